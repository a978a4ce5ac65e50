"""A factor matrix in blocks: its start values, its panels, and its rows gathered where a task needs them all."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
from dask.delayed import Delayed

from daskals import execution, spark_random
from daskals.blocks import Float, Float32, Float64, Ids, Int64, Losses, Panel, SolvedBlock
from daskals.indexing import spark_ids
from daskals.least_squares import gram_of, sum_losses
from daskals.partitioning import Side


@dataclass(frozen=True)
class FactorMatrix:
    """The factors of one side: ids and rows, persisted, in blocks of neighbouring positions."""

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

    def persist(self) -> FactorMatrix:
        """The same, computed, as rows alone; kept where workers can be lost and it is not too large for that."""
        if execution.loses_results() and is_small_enough_to_keep(self.n_rows, self.rank):
            ids, *blocks = execution.keep(execution.fetch(self.ids, *self.blocks), self.token)
            return replace(self, ids=ids, blocks=tuple(blocks))
        return replace(self, blocks=execution.persist(self.blocks)[0])

    def bundles(self) -> list[Delayed]:
        """All rows in a few tasks, each a tuple of blocks; `gather` joins them where they are needed."""
        return [
            execution.task(_bundle, *some, name=f"als-bundle-{self.token}-{number}")
            for number, some in enumerate(_neighbours(self.blocks))
        ]


def _bundle(*blocks: Float32) -> tuple[Float32, ...]:
    return blocks


def is_small_enough_to_keep(n_rows: int, rank: int) -> bool:
    """Whether factors of this size may be handed to the scheduler (`daskals.execution.keep`)."""
    return 4 * n_rows * rank <= execution.setting_of_bytes("durable-bytes")


def is_too_large_to_gather(n_rows: int, rank: int, dtype: npt.DTypeLike) -> bool:
    """Whether factors of this size would take more of a worker's memory than the setting "factor-share" allows."""
    size = n_rows * rank * np.dtype(dtype).itemsize
    return size > float(execution.setting("factor-share")) * execution.worker_memory()


def n_panels(n_blocks: int) -> int:
    """How many panels the blocks of a side make."""
    return int(min(n_blocks, execution.setting("panels")))


def _panel_edges(n_blocks: int) -> list[int]:
    """Cut blocks into a few runs of neighbours, the panels.

    Every solve depends on every panel: few panels keep the scheduler's graph small, several spread the sending
    over workers.
    """
    edges: list[int] = np.linspace(0, n_blocks, n_panels(n_blocks) + 1).astype(int).tolist()
    return edges


def _neighbours(blocks: Sequence[Delayed]) -> list[Sequence[Delayed]]:
    return [blocks[first:stop] for first, stop in itertools.pairwise(_panel_edges(len(blocks)))]


def places_in_panels(n_blocks: int) -> list[tuple[int, int]]:
    """For each block, the panel that it is in and its place there.

    (With the setting "panels" 2, five blocks are at (0, 0), (0, 1), (1, 0), (1, 1), (1, 2).)
    """
    edges = _panel_edges(n_blocks)
    return [(panel, place) for panel, (a, b) in enumerate(itertools.pairwise(edges)) for place in range(b - a)]


def panel_starts(bounds: Int64) -> list[int]:
    """The position of the first row of each panel, of a side whose blocks have these bounds."""
    starts: list[int] = bounds[_panel_edges(len(bounds) - 1)[:-1]].tolist()
    return starts


def start_blocks(
    side: Side, n_spark_blocks: int, rank: int, seed: int, version: str, token: str
) -> tuple[Delayed, ...]:
    """Tasks for the rows that Spark would start this side from, one `SolvedBlock` for each block.

    Rows are drawn by Spark block (see `daskals.spark_random`) and laid out by our blocks: the former decide the
    numbers, the latter only where they lie.
    """
    which = 0 if side.name == "users" else 1
    side_seed = spark_random.side_seeds(seed, version)[which]
    n_tasks = min(n_spark_blocks, execution.FAN_IN)
    prefix = f"{side.name}-{token}"
    drawn = [
        execution.task(
            _draw,
            side.ids,
            range(first, n_spark_blocks, n_tasks),
            n_spark_blocks,
            rank,
            side_seed,
            version,
            name=f"als-draw-{prefix}-{first}",
        )
        for first in range(n_tasks)
    ]
    return tuple(
        execution.task(_start_block, int(start), int(stop), rank, *drawn, name=f"als-start-{prefix}-{start}")
        for start, stop in itertools.pairwise(side.bounds)
    )


def _draw(
    ids: Ids, spark_blocks: range, n_spark_blocks: int, rank: int, side_seed: int, version: str
) -> tuple[Int64, Float32]:
    """Positions and start rows of the ids that lie in these Spark blocks."""
    ids = spark_ids(ids)
    block_of = ids % ids.dtype.type(n_spark_blocks)
    members = [np.flatnonzero(block_of == block) for block in spark_blocks]
    rows = [
        spark_random.block_start_values(len(some), rank, block, side_seed, version)
        for some, block in zip(members, spark_blocks, strict=True)
    ]
    return np.concatenate(members), np.concatenate(rows)


def _start_block(start: int, stop: int, rank: int, *drawn: tuple[Int64, Float32]) -> SolvedBlock:
    return SolvedBlock(lay_out(start, stop, rank, *drawn), Losses())


def lay_out(start: int, stop: int, rank: int, *parts: tuple[Int64, Float32]) -> Float32:
    """The rows at positions start .. stop, picked from parts that give (positions, rows) in any order."""
    rows = np.empty((stop - start, rank), np.float32)
    for positions, values in parts:
        here = np.flatnonzero((positions >= start) & (positions < stop))
        rows[positions[here] - start] = values[here]
    return rows


def panel_tasks(blocks: Sequence[Delayed], *, with_gram: bool, name: str) -> list[Delayed]:
    """Bundle `SolvedBlock` tasks of a side into a few panels of neighbouring blocks."""
    return [
        execution.task(panel_of, with_gram, *some, name=f"{name}-{number}")
        for number, some in enumerate(_neighbours(blocks))
    ]


def panel_of(with_gram: bool, *solved: SolvedBlock) -> Panel:
    """The panel of these blocks."""
    blocks = tuple(each.rows for each in solved)
    return Panel(blocks, gram_of(blocks) if with_gram else None, sum_losses([each.losses for each in solved]))


def total_gram(grams: Sequence[Float64 | None]) -> Float64 | None:
    """The Gram matrix of a side from those of its panels; None where they carry none."""
    given = [gram for gram in grams if gram is not None]
    return np.sum(given, axis=0) if given else None


_gathered: WeakValueDictionary[tuple[str, str], Float] = WeakValueDictionary()
_gathering = threading.Lock()


def gather(token: str, blocks: Sequence[Float32], dtype: npt.DTypeLike = np.float32) -> Float:
    """All rows in one array, shape (n, rank), shared by the tasks that run at this moment in this process.

    ``token`` names the rows: the same token must mean the same rows. The array lives as long as some task holds
    it, so threads share one copy and nothing stays behind.
    """
    if len(blocks) == 1:
        return np.require(blocks[0], dtype, ["C", "A"])
    key = (token, np.dtype(dtype).str)
    with _gathering:
        rows = _gathered.get(key)
        if rows is None:
            rows = np.concatenate(blocks).astype(dtype, copy=False)
            _gathered[key] = rows
    return rows


def rebased(matrix: FactorMatrix, bounds: Int64) -> tuple[Delayed, ...]:
    """Tasks for the same rows in blocks with other bounds, as `SolvedBlock`."""
    token = execution.new_token()
    return tuple(
        execution.task(_cut, start, stop, first, *matrix.blocks[b0:b1], name=f"als-rebased-{token}-{number}")
        for number, (start, stop) in enumerate(itertools.pairwise(bounds.tolist()))
        for b0, b1, first in [_covering(matrix.bounds, start, stop)]
    )


def _covering(bounds: Int64, start: int, stop: int) -> tuple[int, int, int]:
    """Which blocks hold the rows start .. stop, and the position of their first row."""
    b0 = int(np.searchsorted(bounds, start, "right")) - 1
    b1 = int(np.searchsorted(bounds, stop, "left"))
    return b0, b1, int(bounds[b0])


def _cut(start: int, stop: int, first: int, *blocks: Float32) -> SolvedBlock:
    return SolvedBlock(np.concatenate(blocks)[start - first : stop - first], Losses())
