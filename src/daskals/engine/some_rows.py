"""A few rows of a factor matrix, and the Gram matrix of all, brought to this process."""

from __future__ import annotations

import itertools

import numpy as np

from daskals.blocks.ids import positions
from daskals.blocks.least_squares import gram_of
from daskals.engine.factors import FactorMatrix
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task, tree_reduce
from daskals.kernels.types import Float32, Float64, Ids, Int64


def places_of(scheduler: Scheduler, matrix: FactorMatrix, ids: Ids) -> Int64:
    """The position of each of a few ids, -1 for those that the matrix does not have."""
    found: Int64
    (found,) = scheduler.fetch(task(positions, matrix.ids, ids, name=f"als-places-{new_token()}"))
    return found


def rows_at(scheduler: Scheduler, matrix: FactorMatrix, places: Int64) -> Float32:
    """The rows at these positions, (positions, rank); only the blocks that have some of them are read."""
    token = new_token()
    wanted, order = np.unique(places, return_inverse=True)
    cuts = np.searchsorted(wanted, matrix.bounds)
    tasks = [
        task(_some, block, wanted[first:stop] - start, name=f"als-some-rows-{token}-{number}")
        for number, (block, start, (first, stop)) in enumerate(
            zip(matrix.blocks, matrix.bounds[:-1].tolist(), itertools.pairwise(cuts.tolist()), strict=True)
        )
        if first < stop
    ]
    rows: Float32 = np.concatenate([np.empty((0, matrix.rank), np.float32), *scheduler.fetch(*tasks)])
    return rows[order]


def gram(scheduler: Scheduler, matrix: FactorMatrix) -> Float64:
    """Y'Y of all rows, in float64."""
    token = new_token()
    parts = [task(_gram, block, name=f"als-gram-{token}-{number}") for number, block in enumerate(matrix.blocks)]
    total: Float64
    (total,) = scheduler.fetch(tree_reduce(_sum, parts, f"als-gram-tree-{token}"))
    return total


def _some(block: Float32, places: Int64) -> Float32:
    return block[places]


def _gram(block: Float32) -> Float64:
    return gram_of([block])


def _sum(*grams: Float64) -> Float64:
    total: Float64 = np.sum(grams, axis=0)
    return total
