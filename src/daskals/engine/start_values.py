"""The rows from which the loop begins, which are those that Spark starts from, as tasks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dask.delayed import Delayed

from daskals.blocks.biases import BIAS_COLUMNS, Biases
from daskals.blocks.ids import spark_ids
from daskals.blocks.least_squares import SolvedBlock
from daskals.blocks.spark_random import side_seeds, start_values
from daskals.engine.factors import lay_out, pieces_of_blocks
from daskals.engine.sides import Side
from daskals.execution.tasks import FAN_IN, task
from daskals.kernels.types import Float32, Ids, Int64, Losses


@dataclass(frozen=True)
class StartValues:
    """What the start values depend on, besides the ids and the rank."""

    seed: int
    #: Spark's numUserBlocks
    user_blocks: int
    #: Spark's numItemBlocks
    item_blocks: int
    #: "3" for the generator of Spark 3 and later, "2" for that of Spark 2
    version: str
    #: whether to start from absolute values: from rows of both signs a nonnegative fit can become zero and stay so
    nonnegative: bool
    #: what Spark's rows, which have norm 1, are multiplied by
    scale: float = 1.0


def start_rows(
    side: Side, n_columns: int, start: StartValues, token: str, biases: Biases | None = None, *, cut: bool = False
) -> Sequence[Delayed]:
    """Tasks for the rows from which Spark would start this side: a `SolvedBlock` for each block, without losses.

    Where there are columns of biases, all biases begin at 0. With ``cut``, no task has all rows of the side at hand, as
    is needed where they are too many for one process (`daskals.engine.plan.SidePlan`).

    Rows are drawn Spark block by Spark block (see `daskals.blocks.spark_random`) and then laid out in our blocks. Spark
    blocks decide the numbers; ours decide only where the rows lie.
    """
    user_seed, item_seed = side_seeds(start.seed, start.version)
    n_spark_blocks, seed = {
        "users": (start.user_blocks, user_seed),
        "items": (start.item_blocks, item_seed),
    }[side.name]
    n_tasks = min(n_spark_blocks, FAN_IN)
    rank = n_columns if biases is None else n_columns - BIAS_COLUMNS
    prefix = f"{side.name}-{token}"
    drawn = [
        task(_draw, side.ids, (number, n_tasks), n_spark_blocks, rank, seed, start.version,
             name=f"als-draw-{prefix}-{number}")
        for number in range(n_tasks)
    ]  # fmt: skip
    pieces = pieces_of_blocks(drawn, side.bounds, f"als-drawn-{prefix}", cut=cut)
    return [
        task(_start_block, (first, stop), rank, start, biases, *given, name=f"als-start-{prefix}-{first}")
        for (first, stop), given in zip(itertools.pairwise(side.bounds.tolist()), pieces, strict=True)
    ]


def _draw(
    ids: Ids, share: tuple[int, int], n_spark_blocks: int, rank: int, side_seed: int, version: str
) -> tuple[Int64, Float32]:
    """Positions (m,) and start rows (m, rank) of the ids in a share of the Spark blocks.

    ``share`` is (first, n): the blocks first, first + n, first + 2 n, ...
    """
    ids, (first, n) = spark_ids(ids), share
    block_of = ids % ids.dtype.type(n_spark_blocks)
    mine = np.flatnonzero(block_of % ids.dtype.type(n) == first)
    return mine, start_values(ids[mine], n_spark_blocks, rank, side_seed, version)


def _start_block(
    bounds: tuple[int, int], rank: int, start: StartValues, biases: Biases | None, *drawn: tuple[Int64, Float32]
) -> SolvedBlock:
    rows = lay_out(*bounds, rank, *drawn)
    if start.nonnegative:
        rows = np.abs(rows)
    if start.scale != 1:
        rows = rows * np.float32(start.scale)
    if biases is not None:
        rows = biases.widen(np.pad(rows, [(0, 0), (0, 1)]))
    return SolvedBlock(rows, Losses())
