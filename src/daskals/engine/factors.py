"""A factor matrix in blocks, as tasks; its rows in other blocks, and with their ids."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, replace

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

    #: sorted ids, shape (n,)
    ids: Delayed
    bounds: Int64
    #: a block each: float32, shape (bounds[b + 1] - bounds[b], rank)
    blocks: tuple[Delayed, ...]
    rank: int
    #: unique to these rows
    token: str

    @property
    def n_rows(self) -> int:
        """How many ids there are."""
        return int(self.bounds[-1])

    def persist(self, scheduler: Scheduler) -> FactorMatrix:
        """The same, computed, as rows alone; pinned where workers can be lost and it is not too large for that."""
        if scheduler.can_lose_results:
            (id_bytes,) = scheduler.fetch(task(_id_bytes, self.ids, name=f"als-id-bytes-{self.token}"))
            if is_small_enough_to_pin(scheduler, self.n_rows, self.rank, id_bytes):
                ids, *blocks = scheduler.pin(scheduler.fetch(self.ids, *self.blocks), self.token)
                return replace(self, ids=ids, blocks=tuple(blocks))
        return replace(self, blocks=scheduler.persist(self.blocks)[0])

    def panels(self, n: int) -> list[Delayed]:
        """All rows in at most ``n`` tasks, each a tuple of blocks; `daskals.engine.panels.gather` joins them."""
        return [
            task(_blocks, *some, name=f"als-rows-of-panel-{self.token}-{n}-{number}")
            for number, some in enumerate(cut(self.blocks, cut_into_panels(len(self.blocks), n)))
        ]


def _id_bytes(ids: Ids) -> int:
    """What sorted ids take in memory, strings included (which Dask's ``sizeof`` does not count)."""
    return ids.nbytes + (sum(map(sys.getsizeof, ids)) if ids.dtype.kind == "O" else 0)


def _blocks(*blocks: Float32) -> tuple[Float32, ...]:
    return blocks


def lay_out(start: int, stop: int, rank: int, *parts: tuple[Int64, Float32]) -> Float32:
    """The rows at positions start .. stop, picked from parts that give (positions, rows) in any order."""
    rows = np.empty((stop - start, rank), np.float32)
    for positions, values in parts:
        here = np.flatnonzero((positions >= start) & (positions < stop))
        rows[positions[here] - start] = values[here]
    return rows


def rebased(matrix: FactorMatrix, bounds: Int64) -> tuple[Delayed, ...]:
    """Tasks for the same rows in blocks with other bounds, as `SolvedBlock`."""
    token = new_token()
    return tuple(
        task(_cut_rows, start, stop, first, *matrix.blocks[b0:b1], name=f"als-rebased-{token}-{number}")
        for number, (start, stop) in enumerate(itertools.pairwise(bounds.tolist()))
        for b0, b1, first in [_covering(matrix.bounds, start, stop)]
    )


def _covering(bounds: Int64, start: int, stop: int) -> tuple[int, int, int]:
    """Which blocks hold the rows start .. stop, and the position of their first row."""
    b0 = int(np.searchsorted(bounds, start, "right")) - 1
    b1 = int(np.searchsorted(bounds, stop, "left"))
    return b0, b1, int(bounds[b0])


def _cut_rows(start: int, stop: int, first: int, *blocks: Float32) -> SolvedBlock:
    return SolvedBlock(np.concatenate(blocks)[start - first : stop - first], Losses())


def rows_with_ids(matrix: FactorMatrix) -> list[Delayed]:
    """Tasks for (ids (m,), factors (m, rank)), one for each block."""
    return [
        task(_with_ids, ids, block, name=f"als-rows-{matrix.token}-{number}")
        for number, (ids, block) in enumerate(zip(ids_of_blocks(matrix), matrix.blocks, strict=True))
    ]


def ids_of_blocks(matrix: FactorMatrix) -> list[Delayed]:
    """Tasks for the ids (m,) of each block.

    They are cut where all ids are: a worker is sent those of its own blocks, which are smaller than these, and not
    those of all rows, which may be larger and would draw the task away from the block.
    """
    return [
        task(_cut_ids, int(start), int(stop), matrix.ids, name=f"als-ids-{matrix.token}-{number}")
        for number, (start, stop) in enumerate(itertools.pairwise(matrix.bounds))
    ]


def _cut_ids(start: int, stop: int, ids: Ids) -> Ids:
    return ids[start:stop]


def _with_ids(ids: Ids, rows: Float32) -> tuple[Ids, Float32]:
    return ids, rows
