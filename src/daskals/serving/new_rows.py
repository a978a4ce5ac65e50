"""Rows for those who are not in a model, from their ratings; and the shares of these in a score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from daskals.blocks.biases import Biases, biases_of
from daskals.blocks.goal import Goal
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


class NewRow(NamedTuple):
    """A row to be solved: its ratings, the items, and what it minimises."""

    known: KnownRatings
    #: float32 (items, columns): all of them
    rows: Float32
    #: int64 (items,): how many ratings each had; None where that is not known
    counts: Int64 | None
    goal: Goal
    #: Y'Y of all items, which only the implicit objective needs
    gram: Float64 | None

    @property
    def objective(self) -> Objective:
        """What the row minimises."""
        return self.goal.of("users", len(self.rows))

    @property
    def biases(self) -> Biases | None:
        """Which columns are biases."""
        return None if self.goal.mean is None else biases_of("users", self.rows.shape[1], self.goal.mean)

    def weights(self) -> Float64 | None:
        """How much each rating counts, float64 (ratings,); ``ValueError`` where that takes counts that are unknown."""
        if self.goal.weights is None:
            return None
        needs_counts = self.goal.weights.item_exponent != 0
        if needs_counts and self.counts is None:
            raise ValueError(
                "This model was fitted with weights by numbers of ratings (itemCountExponent), which are not known"
            )
        ends, positions = np.array([0, len(self.known.positions)]), self.known.positions
        return self.goal.weights.of("users", ends, positions, self.counts if needs_counts else None)

    def sources(self, more: Int64) -> tuple[Float32, Float32 | None]:
        """The rows of the rated items and of ``more``, (n, rank), and what is known of each beforehand, if anything."""
        some = self.rows[np.concatenate([self.known.positions, more])]
        if self.biases is None:
            return some, None
        (narrow,), offsets = self.biases.narrow_sources([some])
        return narrow, offsets


def solved_row(new: NewRow) -> Float32:
    """The row, float32 (columns,), that minimises the objective for these ratings; solved exactly, in float64.

    ``ValueError`` if its equations are singular.
    """
    from daskals.kernels.numpy.solving import pack_sources, solve_rows  # brings SciPy

    n, weights = len(new.known.positions), new.weights()
    rows = Rows(
        np.array([0, n]),
        np.arange(n, dtype=np.int32),
        new.known.values,
        None if weights is None else weights.astype(np.float32),
    )
    sources, offsets = new.sources(np.empty(0, np.int64))
    packed = pack_sources([sources], np.float64)
    if offsets is not None:
        packed = replace(packed, offsets=offsets.astype(np.float64))
    solution = solve_rows(rows, packed, new.gram, new.objective, Solver(double=True))
    if len(solution.failed):
        raise _singular(n, sources.shape[1])
    row: Float32 = (solution.rows if new.biases is None else new.biases.widen(solution.rows))[0]
    return row


def shares_of(new: NewRow, target: int) -> tuple[Float64, float]:
    """`daskals.blocks.reasons.shares` of the item at position ``target``, and the part of its score beside them.

    ``ValueError`` of singular equations.
    """
    rows, offsets = new.sources(np.array([target]))
    known = None if offsets is None else offsets[:-1]
    try:
        found = shares(
            rows[:-1], new.known.values, rows[-1], new.gram, new.objective, weights=new.weights(), offsets=known
        )
    except np.linalg.LinAlgError:
        raise _singular(len(new.known.positions), rows.shape[1]) from None
    return found, 0.0 if offsets is None else float(offsets[-1])


def _singular(n_ratings: int, rank: int) -> ValueError:
    return ValueError(f"The equations of these ratings {SingularRowError(0, n_ratings, rank).explanation()}")
