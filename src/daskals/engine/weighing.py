"""Weights of ratings that follow from the numbers of ratings, and means over all ratings.

A fit with count exponents a, b weighs a rating of user u and item i by n_u^-a n_i^-b over the mean of that: without
them, who has rated a thousand films counts a thousand times as much as who has rated one. Which ratings there are is
shared by the fits of a grid; their weights belong to one fit. So the in-blocks of a fit are those of its ratings with
another column of weights, which costs 4 bytes a rating on each side while the fit runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from dask.delayed import Delayed

from daskals.blocks.goal import CountWeights
from daskals.blocks.ratings import InBlock, SideName, other
from daskals.engine.sides import Ratings, Side
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task
from daskals.kernels.types import Int64


def scaled(scheduler: Scheduler, ratings: Ratings, weights: CountWeights) -> CountWeights:
    """The same with the scale that these ratings give, at which the mean weight is 1."""
    side, raw = ratings.held, replace(weights, scale=1.0)
    counts = _counts(side, ratings.of(other(side.name)), weights)
    total, _ = _sums(scheduler, side, _sum_of_weights, side.name, raw, counts)
    return replace(weights, scale=ratings.n_ratings / total)


def weighed(scheduler: Scheduler, side: Side, source: Side, weights: CountWeights) -> Side:
    """A side of ratings with these weights, times those that it has; persisted."""
    token, counts = new_token(), _counts(side, source, weights)
    blocks = [
        task(_weigh, block, side.name, weights, counts, name=f"als-weigh-{side.name}-{token}-{number}")
        for number, block in enumerate(side.in_blocks)
    ]
    return replace(side, in_blocks=scheduler.persist(blocks)[0] if blocks else ())


def mean_rating(scheduler: Scheduler, side: Side) -> float:
    """The weighted mean of all ratings of a side, rounded to float32, as it goes into rows of factors."""
    total, weight = _sums(scheduler, side, _sum_of_ratings)
    return float(np.float32(total / weight)) if weight > 0 else 0.0


def _counts(side: Side, source: Side, weights: CountWeights) -> Delayed | None:
    """The task for the numbers of ratings of the source, which an exponent of 0 does not need."""
    return source.counts if weights.exponents(side.name)[1] else None


def _sums(
    scheduler: Scheduler, side: Side, function: Callable[..., tuple[float, float]], *args: object
) -> tuple[float, float]:
    """The sums over all blocks of the two numbers that a function gives of each."""
    token = new_token()
    tasks = [
        task(function, block, *args, name=f"als-sums-{token}-{number}") for number, block in enumerate(side.in_blocks)
    ]
    parts: Sequence[tuple[float, float]] = scheduler.fetch(*tasks)
    first, second = zip(*parts, strict=True)
    return math.fsum(first), math.fsum(second)


def _sum_of_weights(block: InBlock, side: SideName, weights: CountWeights, counts: Int64 | None) -> tuple[float, float]:
    return float(weights.of(side, block.indptr, block.source_positions, counts).sum()), 0.0


def _sum_of_ratings(block: InBlock) -> tuple[float, float]:
    ratings = block.ratings.astype(np.float64)
    if block.weights is None:
        return float(ratings.sum()), float(len(ratings))
    return float(ratings @ block.weights), float(block.weights.sum(dtype=np.float64))


def _weigh(block: InBlock, side: SideName, weights: CountWeights, counts: Int64 | None) -> InBlock:
    values = weights.of(side, block.indptr, block.source_positions, counts)
    if block.weights is not None:
        values = values * block.weights
    return block._replace(weights=values.astype(np.float32))
