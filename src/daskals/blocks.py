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

# The structures are NamedTuples of arrays because Dask measures those correctly, and so schedules, spills and
# steals with open eyes: an instance of a class, or a SciPy csr_array, counts as 56 bytes whatever it holds.


class CodedIds(NamedTuple):
    """A column of ids: the distinct ones, ascending, and for each row the place of its id among them."""

    distinct: Ids
    codes: Int32


class CodedChunk(NamedTuple):
    """Ratings as they arrive from one partition of a frame. Codes are local to the chunk."""

    users: CodedIds
    items: CodedIds
    ratings: Float32


class Index(NamedTuple):
    """The distinct ids of a side, ascending, and how many ratings each one has."""

    ids: Ids
    counts: Int64


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


class Piece(NamedTuple):
    """Some ratings of a side, one a row: what a chunk has, or what it has for one block; see `daskals.in_blocks`.

    Pieces that travel are arrays. What is about to be cut into pieces need not be written out.
    """

    #: positions of destination rows
    rows: Int32 | LookedUp
    #: positions of source rows
    sources: Int32 | LookedUp | Runs
    ratings: Float32


class InBlock(NamedTuple):
    """The ratings of a run of destination rows in CSR form; see the example at the head of this module."""

    #: position of the first row among all rows of its side
    start: int
    #: (rows + 1,): where each row's ratings begin
    indptr: Int64
    #: (ratings,): positions of source rows, ascending within a row; a pair that was rated twice stands twice, by value
    sources: Int32
    #: (ratings,)
    ratings: Float32


class Objective(NamedTuple):
    """What is minimised. With x_u, y_i the factor rows, n_u, n_i the numbers of ratings and L = ``reg``:

    explicit
        sum over ratings (r - x_u . y_i)^2  +  L (sum n_u |x_u|^2 + sum n_i |y_i|^2)
    implicit
        sum over ALL pairs c (p - x_u . y_i)^2  +  the same, n counting the ratings > 0 only, where
        p = 1 if r > 0 else 0 and c = 1 + alpha |r|

    Zhou et al., "Large-scale parallel collaborative filtering for the Netflix prize" (2008), for the weights
    n_u, n_i; Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets" (2008).
    """

    reg: float
    implicit: bool = False
    alpha: float = 1.0
    nonnegative: bool = False
    #: accumulate and solve the normal equations in float64 (as Spark) rather than float32
    double: bool = False
    #: 0: solve the equations of a row exactly; else so many conjugate gradient steps from the row as it was
    cg_steps: int = 0

    @property
    def dtype(self) -> type[np.floating[Any]]:
        """The type in which equations are accumulated and solved."""
        return np.float64 if self.double or self.nonnegative else np.float32


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


class SolvedBlock(NamedTuple):
    """The rows of a block after a half-step."""

    #: (rows, rank)
    rows: Float32
    losses: Losses


class Panel(NamedTuple):
    """Neighbouring blocks of a side, bundled for the journey to every block of the other side."""

    blocks: tuple[Float32, ...]
    #: (rank, rank): Y'Y of the rows in this panel, where the objective needs it
    gram: Float64 | None
    losses: Losses
