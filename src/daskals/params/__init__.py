"""Parameters in Spark's manner; ``pyspark.ml.param``."""

from daskals.params.declared import Param, ParamMap, Params

__all__ = ["Param", "ParamMap", "Params"]
