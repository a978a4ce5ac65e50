"""One block of a half-step: the kernels, their second try in float64, and the error when that fails too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daskals import kernels
from daskals.blocks import Float, Float32, Float64, InBlock, Int64, Losses, Objective, SolvedBlock


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
    block: InBlock, factors: Float, gram: Float64 | None, objective: Objective, previous: Float32 | None = None
) -> SolvedBlock:
    """The rows of a block that minimise the objective, the source rows ``factors`` (n, rank) being fixed.

    ``factors`` has the objective's dtype. ``previous`` are the block's rows as they were, which conjugate
    gradients start from. Rows whose equations are singular in float32 are solved again in
    float64; `SingularRowError` if that fails as well.
    """
    rows, failed, losses = kernels.solve_rows(
        block.indptr,
        block.sources,
        block.ratings,
        factors,
        gram,
        reg=objective.reg,
        alpha=objective.alpha,
        nonnegative=objective.nonnegative,
        previous=previous,
        cg_steps=objective.cg_steps,
    )
    if not len(failed):
        return SolvedBlock(rows, losses)
    if factors.dtype == np.float64:
        row = int(failed[0])
        n_ratings = int(block.indptr[row + 1] - block.indptr[row])
        raise SingularRowError(block.start + row, n_ratings, factors.shape[1])
    part = take_rows(block, failed)
    needed, sources = np.unique(part.sources, return_inverse=True)
    part = part._replace(sources=sources.astype(np.int32), start=block.start)
    try:
        again = solve_block(part, factors[needed].astype(np.float64), gram, objective)
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
    return InBlock(0, indptr, block.sources[places], block.ratings[places])


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
