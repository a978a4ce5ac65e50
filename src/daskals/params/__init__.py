"""Parameters in Spark's manner; ``pyspark.ml.param``."""

from daskals.params.declared import Params
from daskals.params.param import Param, ParamMap, UnknownParamError

__all__ = ["Param", "ParamMap", "Params", "UnknownParamError"]
