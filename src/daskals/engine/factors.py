"""A factor matrix as tasks, a task for each block of rows.

Also: the same rows cut into other blocks (`rebased`), rows put together from parts (`lay_out`), and rows with their
ids (`rows_with_ids`).
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import getitem

import numpy as np
from dask.delayed import Delayed

from daskals.blocks.least_squares import SolvedBlock
from daskals.engine.panels import cut
from daskals.engine.plan import cut_into_panels, is_small_enough_to_pin
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task
from daskals.kernels.types import Float32, Ids, Int64, Losses


@dataclass(frozen=True)
class FactorMatrix:
    """The factors of one side: ids and rows, in blocks of neighbouring positions."""

    #: a task for the sorted ids, shape (rows,)
    ids: Delayed
    #: (blocks + 1,): block b has the rows at positions bounds[b] to bounds[b + 1] - 1
    bounds: Int64
    #: a task for each block: float32, shape (bounds[b + 1] - bounds[b], rank)
    blocks: tuple[Delayed, ...]
    rank: int
    #: a word that belongs to these rows alone; names of tasks contain it
    token: str
    #: a task for the number of ratings of each row, int64 (rows,); None where it is not known, as in Spark's files
    counts: Delayed | None = None

    @property
    def n_rows(self) -> int:
        """How many ids there are."""
        return int(self.bounds[-1])

    def persist(self, scheduler: Scheduler) -> FactorMatrix:
        """Compute the blocks, and return the same matrix with tasks that hold the results.

        On a cluster, ids, counts and blocks are pinned, so that they survive the loss of any worker, unless they are
        too large for that (`daskals.engine.plan.is_small_enough_to_pin`).
        """
        if scheduler.can_lose_results:
            (id_bytes,) = scheduler.fetch(task(_id_bytes, self.ids, name=f"als-id-bytes-{self.token}"))
            # 8 bytes for each count
            if is_small_enough_to_pin(scheduler, self.n_rows, self.rank, id_bytes + 8 * self.n_rows):
                held = (self.ids, *self.blocks, *([] if self.counts is None else [self.counts]))
                ids, *others = scheduler.pin(scheduler.fetch(*held), self.token)
                blocks, counts = others[: len(self.blocks)], others[len(self.blocks) :]
                return replace(self, ids=ids, blocks=tuple(blocks), counts=counts[0] if counts else None)
        return replace(self, blocks=scheduler.persist(self.blocks)[0])

    def panels(self, n: int) -> list[Delayed]:
        """All rows in at most ``n`` tasks, each of which gives a tuple of blocks.

        `daskals.engine.panels.gather` joins the blocks to one array in the process that uses them.
        """
        return [
            task(_blocks, *some, name=f"als-pack-{self.token}-{n}-{number}")
            for number, some in enumerate(cut(self.blocks, cut_into_panels(len(self.blocks), n)))
        ]


def _id_bytes(ids: Ids) -> int:
    """What sorted ids take in memory, strings included (which Dask's ``sizeof`` does not count)."""
    return ids.nbytes + (sum(map(sys.getsizeof, ids)) if ids.dtype.kind == "O" else 0)


def _blocks(*blocks: Float32) -> tuple[Float32, ...]:
    return blocks


def lay_out(start: int, stop: int, rank: int, *parts: tuple[Int64, Float32]) -> Float32:
    """The rows at positions ``start`` to ``stop`` - 1, in order: float32, shape (stop - start, rank).

    Each part gives positions (m,) and the rows (m, rank) at these positions, in any order; rows outside of the range
    are passed over. The parts must have every row of the range.
    """
    rows = np.empty((stop - start, rank), np.float32)
    for positions, values in parts:
        here = np.flatnonzero((positions >= start) & (positions < stop))
        rows[positions[here] - start] = values[here]
    return rows


def pieces_of_blocks(parts: Sequence[Delayed], bounds: Int64, name: str, *, cut: bool) -> list[Sequence[Delayed]]:
    """For each block with these bounds, the tasks that together have its rows, to be given to `lay_out`.

    Each of ``parts`` is a task that gives positions, ascending, and the rows at these positions. Every block is given
    all parts, which is few tasks but has the rows of all blocks at hand; or, with ``cut``, its piece of each part.
    """
    if not cut:
        return [parts] * (len(bounds) - 1)
    pieces = [task(_cut_part, part, bounds, name=f"{name}-cut-{number}") for number, part in enumerate(parts)]
    return [
        [task(getitem, each, block, name=f"{name}-piece-{number}-{block}") for number, each in enumerate(pieces)]
        for block in range(len(bounds) - 1)
    ]


def _cut_part(part: tuple[Int64, Float32], bounds: Int64) -> tuple[tuple[Int64, Float32], ...]:
    positions, rows = part
    cuts = itertools.pairwise(np.searchsorted(positions, bounds).tolist())
    # copies, so that no piece keeps all of its part in memory
    return tuple((positions[first:stop].copy(), rows[first:stop].copy()) for first, stop in cuts)


def rebased(matrix: FactorMatrix, bounds: Int64) -> tuple[Delayed, ...]:
    """Cut the same rows into blocks with other bounds: a task for each new block, which gives a `SolvedBlock`.

    So the factors of a checkpoint, whose blocks are those of another fit, become blocks of this one. Their losses are
    zero, since nothing was solved.
    """
    token = new_token()
    return tuple(
        task(_cut_rows, start, stop, first, *matrix.blocks[b0:b1], name=f"als-rebased-{token}-{number}")
        for number, (start, stop) in enumerate(itertools.pairwise(bounds.tolist()))
        for b0, b1, first in [covering(matrix.bounds, start, stop)]
    )


def covering(bounds: Int64, start: int, stop: int) -> tuple[int, int, int]:
    """The blocks b0 to b1 - 1, which hold the rows start to stop - 1; returns b0, b1, and where b0 begins."""
    b0 = int(np.searchsorted(bounds, start, "right")) - 1
    b1 = int(np.searchsorted(bounds, stop, "left"))
    return b0, b1, int(bounds[b0])


def _cut_rows(start: int, stop: int, first: int, *blocks: Float32) -> SolvedBlock:
    return SolvedBlock(np.concatenate(blocks)[start - first : stop - first], Losses())


def first_columns(matrix: FactorMatrix, n: int) -> FactorMatrix:
    """The same rows without the columns from ``n`` on, lazily."""
    blocks = tuple(
        task(_cut_columns, block, n, name=f"als-cut-{matrix.token}-{new_token()}-{number}")
        for number, block in enumerate(matrix.blocks)
    )
    return replace(matrix, blocks=blocks, rank=n, token=f"{matrix.token}-first-{n}")


def _cut_columns(rows: Float32, n: int) -> Float32:
    return np.ascontiguousarray(rows[:, :n])


def unit_rows(matrix: FactorMatrix) -> FactorMatrix:
    """The same rows scaled to length 1, lazily; rows of zeros stay as they are."""
    blocks = tuple(
        task(_scaled, block, name=f"als-unit-{matrix.token}-{new_token()}-{number}")
        for number, block in enumerate(matrix.blocks)
    )
    return replace(matrix, blocks=blocks, token=f"{matrix.token}-unit")


def _scaled(rows: Float32) -> Float32:
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    scaled: Float32 = (rows / np.where(lengths > 0, lengths, 1.0)[:, None]).astype(np.float32)
    return scaled


def rows_with_ids(matrix: FactorMatrix) -> list[Delayed]:
    """A task for each block, which gives its ids, shape (m,), and its rows, float32 of shape (m, rank)."""
    return [
        task(_with_ids, ids, block, name=f"als-rows-{matrix.token}-{number}")
        for number, (ids, block) in enumerate(zip(ids_of_blocks(matrix), matrix.blocks, strict=True))
    ]


def ids_of_blocks(matrix: FactorMatrix) -> list[Delayed]:
    """A task for each block, which gives its ids, shape (m,).

    These are tasks of their own, so that they run where the array of all ids is. A worker that holds a block is then
    sent the ids of that block alone. If it were sent all ids, which can be larger than the block, the scheduler would
    move the work to the ids, and the block with it.
    """
    return [
        task(_cut_ids, int(start), int(stop), matrix.ids, name=f"als-ids-{matrix.token}-{number}")
        for number, (start, stop) in enumerate(itertools.pairwise(matrix.bounds))
    ]


def _cut_ids(start: int, stop: int, ids: Ids) -> Ids:
    return ids[start:stop]


def _with_ids(ids: Ids, rows: Float32) -> tuple[Ids, Float32]:
    return ids, rows
