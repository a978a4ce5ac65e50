"""Start rows from factors that were fitted before, as tasks.

The ids of both are sorted, so that the known ids of a block of the fit are a run of neighbours in the earlier factors,
with gaps on both sides. A block is given its rows of the earlier blocks that this run touches, and of no others::

    ids of the fit       [ 2  3  5 | 8  9 12 ]       -1: starts from random rows, as in any fit
    ids of the factors   [ 1  3 | 5  6  9 ]
    where                 -1  1  2  -1  4 -1         block 0 reads of both blocks, block 1 of the second
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from dask.delayed import Delayed

from daskals.blocks.fingerprint import fingerprint_of_rows
from daskals.blocks.ids import positions
from daskals.blocks.least_squares import SolvedBlock
from daskals.blocks.ratings import SideName
from daskals.engine.factors import FactorMatrix, covering
from daskals.engine.loop import ResumePoint
from daskals.engine.plan import Plan
from daskals.engine.sides import Ratings, Side
from daskals.engine.start_values import StartValues, start_rows
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task
from daskals.kernels.types import Float32, Ids, Int64, Losses


def warm_point(
    plan: Plan, ratings: Ratings, start: StartValues, users: FactorMatrix, items: FactorMatrix
) -> ResumePoint:
    """Where a fit begins that goes on from the factors ``users`` and ``items``, whose columns are those of the fit.

    Ids that these have begin at their rows, others at those of `start_rows`. Ids that the ratings lack are left out.
    """
    return ResumePoint(
        0,
        _warm_rows(plan, ratings.users, users, start),
        _warm_rows(plan, ratings.items, items, start),
    )


def fingerprint_of_point(scheduler: Scheduler, ratings: Ratings, point: ResumePoint) -> str:
    """A word that tells the rows of a point from others; it does not depend on the blocks."""
    token = new_token()
    prints = scheduler.fetch(
        *(
            task(_print, side.name, int(start), block, name=f"als-fingerprint-{side.name}-{token}-{start}")
            for side, rows in ((ratings.users, point.users), (ratings.items, point.items))
            for start, block in zip(side.bounds[:-1], rows, strict=True)
        )
    )
    return f"{sum(prints) % 2**64:016x}"


def _print(side: SideName, start: int, block: SolvedBlock) -> int:
    return fingerprint_of_rows(block.rows, start, side)


def _warm_rows(plan: Plan, side: Side, known: FactorMatrix, start: StartValues) -> Sequence[Delayed]:
    token = new_token()
    where = task(_where, known.ids, side.ids, name=f"als-where-{side.name}-{token}")
    spans = task(_spans, where, side.bounds, name=f"als-span-{side.name}-{token}")
    ((where,),), ((found,),) = plan.scheduler.persist_and_fetch([[where]], [[spans]])
    own = plan.of(side.name)
    cold = start_rows(side, known.rank, start, token, own.biases, cut=own.streamed)
    tasks = []
    for n, ((first, stop), (low, high)) in enumerate(
        zip(itertools.pairwise(side.bounds.tolist()), found.tolist(), strict=True)
    ):
        b0, b1, _ = covering(known.bounds, low, high) if low < high else (0, 0, 0)
        name = f"{side.name}-{token}-{n}"
        pieces = []
        for block in range(b0, b1):
            bounds = tuple(known.bounds[block : block + 2].tolist())
            places = task(_places, where, (first, stop), bounds, name=f"als-place-{name}-{block}")
            pieces.append(task(_known_rows, places, known.blocks[block], name=f"als-known-{name}-{block}"))
        tasks.append(task(_warm, start.nonnegative, cold[n], *pieces, name=f"als-warm-{name}"))
    return tasks


def _where(known: Ids, ids: Ids) -> Int64:
    return positions(known, ids)


def _spans(where: Int64, bounds: Int64) -> Int64:
    """For each block the first and last position of its known ids in the factors, the latter plus 1; (blocks, 2)."""
    spans = np.zeros((len(bounds) - 1, 2), np.int64)
    for block, (first, stop) in enumerate(itertools.pairwise(bounds.tolist())):
        found = where[first:stop][where[first:stop] >= 0]
        if len(found):
            spans[block] = found[0], found[-1] + 1
    return spans


class _Places(NamedTuple):
    """Ids of a block of the fit that are in one block of the factors."""

    #: where they are in the block of the fit
    fit: Int64
    #: where they are in the block of the factors
    factors: Int64


def _places(where: Int64, block: tuple[int, int], known: tuple[int, int]) -> _Places:
    """``block`` and ``known`` are the bounds of the two blocks."""
    places = where[slice(*block)]
    here = np.flatnonzero((places >= known[0]) & (places < known[1]))
    return _Places(here, places[here] - known[0])


def _known_rows(places: _Places, known: Float32) -> tuple[Int64, Float32]:
    return places.fit, known[places.factors]


def _warm(nonnegative: bool, cold: SolvedBlock, *pieces: tuple[Int64, Float32]) -> SolvedBlock:
    rows = cold.rows.copy()
    for here, warm in pieces:
        rows[here] = np.abs(warm) if nonnegative else warm
    return SolvedBlock(rows, Losses())
