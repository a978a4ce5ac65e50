"""Choosing parameters; ``pyspark.ml.tuning``."""

from daskals.tuning.grid import ParamGridBuilder
from daskals.tuning.models import CrossValidatorModel, TrainValidationSplitModel
from daskals.tuning.validators import CrossValidator, TrainValidationSplit

__all__ = [
    "CrossValidator",
    "CrossValidatorModel",
    "ParamGridBuilder",
    "TrainValidationSplit",
    "TrainValidationSplitModel",
]
