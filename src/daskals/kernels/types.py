"""The data structures that flow through a fit, as plain arrays. No Dask, no column names.

Words used throughout. A half-step computes the rows of one side, the *destination*, from the rows of the other,
the *source*. Ids of a side, sorted, have *positions* 0, 1, 2, ...; a *block* is a run of neighbouring positions
``bounds[b] .. bounds[b + 1]``. All that is said of users and items holds with the two words exchanged.

A worked example. Eight users and seven items; a rating is named after its cell, so that 3.4 is what user 3 thinks
of item 4 (and they are not in any order as they arrive)::

            0    1    2    3    4    5    6              positions are ids here
       0 |                0.3                            users in two blocks, bounds = [0, 4, 8]
       1 |      1.1                 1.5
       2 | 2.0                 2.4
       3 |      3.1            3.4            in-block 0 of the user side:
       4 |           4.2                        start   = 0
       5 | 5.0            5.3                   indptr  = [0,  1,       3,       5,       7]
       6 |                          6.5         sources = [3,  1,  5,   0,  4,   1,  4]
       7 |                7.3            7.6    ratings = [0.3, 1.1, 1.5, 2.0, 2.4, 3.1, 3.4]

Row j of the block is user ``start + j``; its ratings stand at ``indptr[j]`` to ``indptr[j + 1]``, ordered by
item. That is the CSR form of rows 0 to 3 of the picture. The item side holds the same ratings a second time, by
column. A user's equations need nothing but its own row and the factors of the items in it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[Any]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Float = npt.NDArray[np.floating[Any]]
AnyArray = npt.NDArray[Any]


class LookedUp(NamedTuple):
    """The integers ``table[codes]``, not written out: [7, 9, 7] is table [7, 9] and codes [0, 1, 0]."""

    table: Int32
    codes: Int32


class Runs(NamedTuple):
    """The integers first, first + 1, ..., the r-th of them at places ``starts[r]`` to ``starts[r + 1]``.

    Not written out: [5, 5, 7] is first 5 and starts [0, 2, 2, 3].
    """

    first: int
    starts: Int64


class Losses(NamedTuple):
    """Parts of the objective that come with the solution of some rows, for nothing; float64 sums over the rows."""

    #: sum of weighted squared residuals
    squared_error: float = 0.0
    #: L n |x|^2
    penalty: float = 0.0
    #: sum of the weights of the residuals, without the 1 that each pair has in implicit mode
    weight: float = 0.0

    def plus(self, other: Losses) -> Losses:
        """Both together."""
        return Losses(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))
