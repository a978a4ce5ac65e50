"""`ALS` and `ALSModel`: the surface of ``pyspark.ml.recommendation``, on Dask. And `plan`: what a fit will need."""

from daskals.recommendation.estimator import ALS
from daskals.recommendation.hosts import Hosts
from daskals.recommendation.model import ALSModel
from daskals.recommendation.planning import plan

__all__ = ["ALS", "ALSModel", "Hosts", "plan"]
