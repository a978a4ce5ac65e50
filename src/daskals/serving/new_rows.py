"""Rows for those who are not in a model, from their ratings; and the shares of these in a score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from daskals.blocks.least_squares import SingularRowError
from daskals.blocks.reasons import shares
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.types import Float32, Float64, Int64, Rows
from daskals.params.converters import to_float
from daskals.serving.ids import SideIds

#: Ratings are of 32 bits, as in a fit.
LARGEST = float(np.finfo(np.float32).max)


class KnownRatings(NamedTuple):
    """Ratings of items that are in the model."""

    #: int64 (ratings,): places of the items
    positions: Int64
    #: float32 (ratings,)
    values: Float32


def read_ratings(ratings: Mapping[Any, float] | Iterable[tuple[Any, float]], ids: SideIds) -> KnownRatings:
    """Ratings as a user gives them; those of unknown items are left out.

    ``TypeError`` for what is no dict and no pairs, ``ValueError`` for a rating that is no finite number in float32.
    """
    try:
        pairs = [(item, rating) for item, rating in (ratings.items() if isinstance(ratings, Mapping) else ratings)]
    except (TypeError, ValueError):
        raise TypeError(
            f"Ratings are a dict of item to rating, or pairs of them; got {type(ratings).__name__}"
        ) from None
    values = np.array([_number(item, rating) for item, rating in pairs], np.float64)
    positions = ids.positions([item for item, _ in pairs])
    known = positions >= 0
    return KnownRatings(positions[known], values[known].astype(np.float32))


def _number(item: Any, rating: Any) -> float:
    try:
        value = to_float(rating)
    except TypeError:
        raise TypeError(f"The rating of item {item!r} is {rating!r}, which is no number") from None
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise ValueError(f"The rating of item {item!r} is {rating!r}, which is no finite number of 32 bits")
    return value


def solved_row(sources: Float32, known: KnownRatings, gram: Float64 | None, objective: Objective) -> Float32:
    """The row, float32 (rank,), that minimises the objective for these ratings; solved exactly, in float64.

    ``ValueError`` if its equations are singular.
    """
    from daskals.kernels.numpy.solving import pack_sources, solve_rows  # brings SciPy

    n = len(known.positions)
    rows = Rows(np.array([0, n]), np.arange(n, dtype=np.int32), known.values)
    packed = pack_sources([sources[known.positions]], np.float64)
    solution = solve_rows(rows, packed, gram, objective, Solver(double=True))
    if len(solution.failed):
        raise _singular(n, sources.shape[1])
    row: Float32 = solution.rows[0]
    return row


def shares_of(
    sources: Float32, known: KnownRatings, target: int, gram: Float64 | None, objective: Objective
) -> Float64:
    """`daskals.blocks.reasons.shares` of the row at position ``target``; ``ValueError`` of singular equations."""
    try:
        return shares(sources[known.positions], known.values, sources[target], gram, objective)
    except np.linalg.LinAlgError:
        raise _singular(len(known.positions), sources.shape[1]) from None


def _singular(n_ratings: int, rank: int) -> ValueError:
    return ValueError(f"The equations of these ratings {SingularRowError(0, n_ratings, rank).explanation()}")
