"""Ratings to try things on: Spark's sample, the MovieLens data sets, and synthetic data of any size.

`load_sample` needs no network. `load_movielens` downloads a published archive once. `make_ratings` makes ratings from
known factors, which `make_factors` returns; it makes a pandas frame or, for more than fits into memory, a lazy Dask
frame. `randomSplit` and `leaveLastOut` divide ratings, yours as well, into those to fit and those to measure.
"""

from daskals.datasets.movielens import (
    MOVIELENS_NAMES,
    MOVIELENS_SPLITS,
    load_movielens,
    load_movielens_titles,
)
from daskals.datasets.movielens_files import GROUPLENS_URL
from daskals.datasets.sample import load_sample
from daskals.datasets.splits import leaveLastOut, randomSplit
from daskals.datasets.synthetic import make_factors, make_ratings

__all__ = [
    "GROUPLENS_URL",
    "MOVIELENS_NAMES",
    "MOVIELENS_SPLITS",
    "leaveLastOut",
    "load_movielens",
    "load_movielens_titles",
    "load_sample",
    "make_factors",
    "make_ratings",
    "randomSplit",
]
