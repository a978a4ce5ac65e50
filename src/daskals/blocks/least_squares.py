"""The rows of a block that minimise the objective, when those of the other side are fixed.

Each row is a least-squares problem of its own. `solve_block` solves those of a block with all source rows at hand;
`daskals.blocks.streamed` does so with a part of them at hand at a time. Both end in `SolvedBlock` by way of
`solved_block`, which gives rows that are singular in float32 a second try in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from daskals import kernels
from daskals.blocks.biases import Biases
from daskals.blocks.ratings import InBlock, SideName
from daskals.kernels.eigenbasis import turned
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.types import Float32, Float64, Int64, Losses, Rows, Solution, SourceRows


class SolvedBlock(NamedTuple):
    """The rows of a block after a half-step."""

    #: (rows, rank)
    rows: Float32
    losses: Losses


class SingularRowError(ValueError):
    """The equations of one row have no unique solution. ``position`` is the row's position in its ``side``."""

    def __init__(self, position: int, n_ratings: int, rank: int, side: SideName = "users") -> None:
        super().__init__(position, n_ratings, rank, side)
        self.position, self.n_ratings, self.rank, self.side = position, n_ratings, rank, side

    def __str__(self) -> str:
        return f"The normal equations of row {self.position} {self.explanation()}"

    def explanation(self) -> str:
        """What is wrong and what to do, to follow the name of the row."""
        return (
            f"({self.n_ratings} ratings, rank {self.rank}) are singular, even in float64: its factors are not "
            "determined. Set regParam above 0 (the default is 0.1), or a rank below the number of ratings of "
            "every user and item, or leave out those with fewer ratings. Where regParam is above 0, the ratings are "
            "so large that it counts for nothing beside them: divide them all by a constant."
        )


def pack_sources(
    blocks: Sequence[Float32],
    gram: Float64 | None,
    objective: Objective,
    solver: Solver,
    biases: Biases | None = None,
) -> SourceRows:
    """The source rows as `solve_block` wants them: of all blocks, each (rows of the block, columns).

    ``gram`` is Y'Y of all of them, which only the implicit objective needs. It is also what the eigenbasis is made of
    where one is used, so ``blocks`` must then be all there are.
    """
    offsets: Float32 | None = None
    if biases is not None:
        blocks, offsets = biases.narrow_sources(blocks)
    sources: SourceRows = kernels.pack_sources(blocks, solver.dtype)
    if gram is not None and solver.uses_eigenbasis(objective):
        return turned(sources, gram)
    return sources if offsets is None else replace(sources, offsets=offsets.astype(solver.dtype))


def solve_block(
    block: InBlock,
    sources: SourceRows,
    gram: Float64 | None,
    objective: Objective,
    solver: Solver,
    previous: Float32 | None = None,
    biases: Biases | None = None,
) -> SolvedBlock:
    """The rows of a block that minimise the objective, the source rows being fixed.

    Parameters
    ----------
    block
        The ratings of the rows.
    sources
        All source rows, by `pack_sources` with the same objective, solver and biases.
    gram : array of float64, shape (rank, rank)
        Y'Y of all source rows (`gram_of`), which only the implicit objective needs.
    objective, solver
        What is minimised, and how.
    previous : array of float32, shape (rows, columns)
        The rows as they were, which a solver needs that is not exact, to start from them.
    biases
        Which columns hold biases; None where there are none.

    Raises
    ------
    SingularRowError
        Where the equations of a row are singular in float64 too.
    """
    if previous is not None and biases is not None:
        previous = biases.narrow(previous)
    first = kernels.solve_rows(rows_of(block), sources, gram, objective, solver, previous)

    def again(failed: Int64) -> Solution:
        rows = take_rows(block, failed)
        needed, places = np.unique(rows.source_positions, return_inverse=True)
        rows = rows._replace(source_positions=places.astype(np.int32))
        some = kernels.pack_sources([sources.values[needed, : sources.rank]], np.float64)
        offsets = None if sources.offsets is None else sources.offsets[needed]
        some = replace(some, offsets=offsets, basis=sources.basis)
        solution: Solution = kernels.solve_rows(rows, some, gram, objective, Solver(double=True))
        return solution

    return solved_block(block.start, np.diff(block.indptr), first, solver, again, biases)


def solved_block(
    start: int,
    n_ratings: Int64,
    first: Solution,
    solver: Solver,
    again: Callable[[Int64], Solution],
    biases: Biases | None = None,
) -> SolvedBlock:
    """A solution of the rows from position ``start`` on, those that failed being replaced by a second try.

    ``n_ratings`` says for each row how many ratings it has. ``again`` solves the rows with these numbers in float64. It
    is called where some failed and ``solver`` works in float32; `SingularRowError` names the first row that fails for
    good.
    """
    rows, failed, losses = first
    if len(failed) and not solver.double:
        second = again(failed)
        rows[failed] = second.rows
        # the first try counted the weights of all rows
        losses = losses.plus(second.losses._replace(weight=0.0))
        failed = failed[second.failed]
    if len(failed):
        row = int(failed[0])
        raise SingularRowError(start + row, int(n_ratings[row]), rows.shape[1])
    return SolvedBlock(rows if biases is None else biases.widen(rows), losses)


def rows_of(block: InBlock) -> Rows:
    """The ratings of a block as kernels take them."""
    return Rows(block.indptr, block.source_positions, block.ratings, block.weights)


def take_rows(block: InBlock, rows: Int64) -> Rows:
    """The ratings of these rows of a block, in this order."""
    lengths = block.indptr[rows + 1] - block.indptr[rows]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(indptr[-1]) + np.repeat(block.indptr[rows] - indptr[:-1], lengths)
    weights = None if block.weights is None else block.weights[places]
    return Rows(indptr, block.source_positions[places], block.ratings[places], weights)


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
