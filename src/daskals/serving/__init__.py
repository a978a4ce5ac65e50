"""Answers from a fitted model in a process of its own, without Dask and without Numba.

local    `LocalModel`, what users call       held        where it comes from, and what it holds
asking   one id or several, how many         answers     what comes back
sides    ranking the rows of a side          top         the best of many scores
ids      where an id stands                  new_rows    rows for those who are not in the model
files    the files of a saved model          arrays      a copy of them in NumPy's format, which opens at once
objectives    what new rows minimise
"""

from daskals.serving.answers import Explanation, Scored, UnknownIdError
from daskals.serving.local import LocalModel

__all__ = ["Explanation", "LocalModel", "Scored", "UnknownIdError"]
