"""Answers from a fitted model in a process of its own, without Dask and without Numba.

local    `LocalModel`, what users call          ids         where an id stands
top      the best of many scores                objectives  what new rows minimise
files    reading the files of a saved model     arrays      a copy of them in NumPy's format, which opens at once
"""

from daskals.serving.answers import Explanation, Scored, UnknownIdError
from daskals.serving.local import LocalModel

__all__ = ["Explanation", "LocalModel", "Scored", "UnknownIdError"]
