"""Where the loop begins: the rows that Spark would start from, as tasks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dask.delayed import Delayed

from daskals.blocks.ids import spark_ids
from daskals.blocks.least_squares import SolvedBlock
from daskals.blocks.spark_random import block_start_values, side_seeds
from daskals.engine.factors import lay_out
from daskals.engine.sides import Side
from daskals.execution.tasks import FAN_IN, task
from daskals.kernels.types import Float32, Ids, Int64, Losses


@dataclass(frozen=True)
class StartValues:
    """What decides the start values besides the ids and the rank."""

    seed: int
    #: Spark's numUserBlocks and numItemBlocks
    user_blocks: int
    item_blocks: int
    #: "3" or "2": whose generator
    version: str
    #: start from absolute values: from rows of both signs a nonnegative fit can stay at zero for ever
    nonnegative: bool


def start_rows(side: Side, rank: int, start: StartValues, token: str) -> Sequence[Delayed]:
    """Tasks for the rows that Spark would start this side from, one `SolvedBlock` for each block.

    Rows are drawn by Spark block (see `daskals.blocks.spark_random`) and laid out by our blocks: the former decide
    the numbers, the latter only where they lie.
    """
    user_seed, item_seed = side_seeds(start.seed, start.version)
    n_spark_blocks, seed = {
        "users": (start.user_blocks, user_seed),
        "items": (start.item_blocks, item_seed),
    }[side.name]
    n_tasks = min(n_spark_blocks, FAN_IN)
    prefix = f"{side.name}-{token}"
    drawn = [
        task(_draw, side.ids, (number, n_tasks), n_spark_blocks, rank, seed, start.version,
             name=f"als-draw-{prefix}-{number}")
        for number in range(n_tasks)
    ]  # fmt: skip
    return [
        task(_start_block, (first, stop), rank, start.nonnegative, *drawn, name=f"als-start-{prefix}-{first}")
        for first, stop in itertools.pairwise(side.bounds.tolist())
    ]


def _draw(
    ids: Ids, share: tuple[int, int], n_spark_blocks: int, rank: int, side_seed: int, version: str
) -> tuple[Int64, Float32]:
    """Positions and start rows of the ids in every n-th Spark block from the first; ``share`` is (first, n).

    Only Spark blocks that have ids are visited: there may be 2^31 - 1 of them.
    """
    ids = spark_ids(ids)
    block_of = (ids % ids.dtype.type(n_spark_blocks)).astype(np.int64)
    first, n = share
    mine = np.flatnonzero(block_of % n == first)
    # ids of a block one after the other, in each block ascending
    positions = mine[np.argsort(block_of[mine], kind="stable")]
    blocks, starts = np.unique(block_of[positions], return_index=True)
    sizes = np.diff([*starts, len(positions)])
    rows = [
        block_start_values(int(size), rank, int(block), side_seed, version)
        for block, size in zip(blocks, sizes, strict=True)
    ]
    return positions, np.concatenate([np.empty((0, rank), np.float32), *rows])


def _start_block(bounds: tuple[int, int], rank: int, nonnegative: bool, *drawn: tuple[Int64, Float32]) -> SolvedBlock:
    rows = lay_out(*bounds, rank, *drawn)
    return SolvedBlock(np.abs(rows) if nonnegative else rows, Losses())
