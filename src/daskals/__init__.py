"""daskals: alternating least squares on Dask, with the surface and the numbers of Spark's ALS."""

import logging

from daskals.recommendation import ALS, ALSModel

__all__ = ["ALS", "ALSModel"]
__version__ = "0.1.0"

logging.getLogger("daskals").addHandler(logging.NullHandler())
