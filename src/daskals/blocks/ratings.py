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

from typing import Literal, NamedTuple

from daskals.kernels.types import Float32, Ids, Int32, Int64, LookedUp, Runs

#: A side of the ratings, by the name of its field in `CodedChunk`.
SideName = Literal["users", "items"]


def other(side: SideName) -> SideName:
    """The side that is the source where this one is the destination."""
    return "items" if side == "users" else "users"


class CodedIds(NamedTuple):
    """A column of ids: the distinct ones, ascending, and for each row the place of its id among them."""

    uniques: Ids
    codes: Int32


class CodedChunk(NamedTuple):
    """Ratings as they arrive from one partition of a frame. Codes are local to the chunk."""

    users: CodedIds
    items: CodedIds
    ratings: Float32
    #: how much each row counts; None: 1
    weights: Float32 | None = None


class Index(NamedTuple):
    """The distinct ids of a side, ascending, and how many ratings each one has."""

    ids: Ids
    counts: Int64


class RatingBlock(NamedTuple):
    """Ratings as three columns of one length: those of a chunk, or the part of them that goes to one block.

    Columns that travel between tasks are arrays. A column that is about to be cut into pieces (`in_blocks.split`) may
    also be given as a rule for it, `LookedUp` or `Runs`, which saves writing it out.
    """

    #: positions of destination rows
    rows: Int32 | LookedUp
    #: positions of source rows
    source_positions: Int32 | LookedUp | Runs
    ratings: Float32
    #: None: all are 1
    weights: Float32 | None = None


class InBlock(NamedTuple):
    """The ratings of a run of destination rows in CSR form; see the example at the head of this module."""

    #: position of the first row among all rows of its side
    start: int
    #: (rows + 1,): where each row's ratings begin
    indptr: Int64
    #: (ratings,): positions of source rows, ascending within a row; a pair that was rated twice stands twice, by value
    source_positions: Int32
    #: (ratings,)
    ratings: Float32
    #: (ratings,): how much each rating counts; None: 1
    weights: Float32 | None = None
