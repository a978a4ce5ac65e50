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

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from daskals import kernels
from daskals.blocks.ratings import InBlock
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.types import Float, Float32, Float64, Int64, Losses


class SolvedBlock(NamedTuple):
    """The rows of a block after a half-step."""

    #: (rows, rank)
    rows: Float32
    losses: Losses


class SingularRowError(ValueError):
    """The equations of one row have no unique solution. ``position`` is the row's position in its ``side``."""

    def __init__(self, position: int, n_ratings: int, rank: int, side: str = "") -> None:
        super().__init__(position, n_ratings, rank, side)
        self.position, self.n_ratings, self.rank, self.side = position, n_ratings, rank, side

    def __str__(self) -> str:
        return f"The normal equations of row {self.position} {self.explanation()}"

    def explanation(self) -> str:
        """What is wrong and what to do, to follow the name of the row."""
        return (
            f"({self.n_ratings} ratings, rank {self.rank}) are singular, even in float64: its factors are not "
            "determined. Set regParam above 0 (the default is 0.1), or a rank below the number of ratings of "
            "every user and item, or leave out those with fewer ratings."
        )


def solve_block(
    block: InBlock,
    factors: Float,
    gram: Float64 | None,
    objective: Objective,
    solver: Solver,
    previous: Float32 | None = None,
) -> SolvedBlock:
    """The rows of a block that minimise the objective, the source rows ``factors`` (n, rank) being fixed.

    ``factors`` has the solver's dtype. ``previous`` are the block's rows as they were, which conjugate
    gradients start from. Rows whose equations are singular in float32 are solved again in
    float64; `SingularRowError` if that fails as well.
    """
    rows, failed, losses = kernels.solve_rows(
        block.indptr,
        block.source_positions,
        block.ratings,
        factors,
        gram,
        reg=objective.reg,
        alpha=objective.alpha,
        nonnegative=objective.nonnegative,
        previous=previous,
        cg_steps=solver.cg_steps,
    )
    if not len(failed):
        return SolvedBlock(rows, losses)
    if factors.dtype == np.float64:
        row = int(failed[0])
        n_ratings = int(block.indptr[row + 1] - block.indptr[row])
        raise SingularRowError(block.start + row, n_ratings, factors.shape[1])
    part = take_rows(block, failed)
    needed, source_positions = np.unique(part.source_positions, return_inverse=True)
    part = part._replace(source_positions=source_positions.astype(np.int32), start=block.start)
    try:
        again = solve_block(part, factors[needed].astype(np.float64), gram, objective, Solver(double=True))
    except SingularRowError as error:
        position = block.start + int(failed[error.position - block.start])
        raise SingularRowError(position, error.n_ratings, error.rank) from None
    rows[failed] = again.rows
    return SolvedBlock(rows, _without_double_weight(losses, again.losses))


def _without_double_weight(losses: Losses, again: Losses) -> Losses:
    """The first try counted the weights of all rows, so those of the second try must not be added."""
    return losses.plus(again._replace(weight=0.0))


def take_rows(block: InBlock, rows: Int64) -> InBlock:
    """The block that consists of these rows of ``block``, in this order."""
    lengths = block.indptr[rows + 1] - block.indptr[rows]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(indptr[-1]) + np.repeat(block.indptr[rows] - indptr[:-1], lengths)
    return InBlock(0, indptr, block.source_positions[places], block.ratings[places])


def sum_losses(parts: Sequence[Losses]) -> Losses:
    """All parts together."""
    total = Losses()
    for part in parts:
        total = total.plus(part)
    return total


def gram_of(blocks: Sequence[Float32]) -> Float64:
    """Y'Y of the rows of all blocks, accumulated in float64; shape (rank, rank)."""
    rank = blocks[0].shape[1]
    total = np.zeros((rank, rank))
    for block in blocks:
        wide = block.astype(np.float64)
        total += wide.T @ wide
    return total
