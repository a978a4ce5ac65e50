"""`ALS` and `ALSModel`: the surface of ``pyspark.ml.recommendation``, on Dask."""

from daskals.recommendation.estimator import ALS
from daskals.recommendation.model import ALSModel

__all__ = ["ALS", "ALSModel"]
