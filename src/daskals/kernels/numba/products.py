"""Products with the A of destination rows from the ratings of source rows, compiled.

A faster version of `daskals.kernels.numpy.products`, which has the formulas. A source row stays in cache while its
ratings are gone through, and each of them reads a destination row and adds to the sums of that row. So no copy of the
ratings in the order of destination rows is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from daskals.kernels.arrays import as_kernel_array
from daskals.kernels.numba.compiling import compiled
from daskals.kernels.numba.gathering import RUN, dots
from daskals.kernels.numba.tiles import BYTES
from daskals.kernels.objective import Objective
from daskals.kernels.types import Float, Products, Rows, SourceRows, Tallies


@compiled
def _first_from(positions: Any, first: int, stop: int, wanted: int) -> int:
    """Where the first of some ascending positions stands that is ``wanted`` or more."""
    while first < stop:
        middle = (first + stop) // 2
        if positions[middle] < wanted:
            first = middle + 1
        else:
            stop = middle
    return first


@compiled
def _add_products(
    indptr: Any, positions: Any, ratings: Any, counts: Any, start: int, factors: Any, offsets: Any, x: Any,
    implicit: bool, alpha: float, extra: float, residuals: bool,
    values: Any, q: Any, error: Any, n: Any, n_ratings: Any,
) -> float:  # fmt: skip
    """Adds to the five arrays; returns the weight of all ratings."""
    padded, dtype = factors.shape[1], factors.dtype
    vectors = padded * factors.itemsize // BYTES
    scores, places = np.zeros(RUN, dtype), np.zeros(RUN, np.int32)
    total = 0.0
    for row in range(len(indptr) - 1):
        own = factors[row]
        offset = offsets[row] if len(offsets) else dtype.type(0)
        last = _first_from(positions, indptr[row], indptr[row + 1], start + len(x))
        for first in range(_first_from(positions, indptr[row], last, start), last, RUN):
            length = min(RUN, last - first)
            for t in range(length):
                places[t] = positions[first + t] - start
            dots(scores, own, x, places, 0, length, length, vectors)
            for t in range(length):
                rating, place = ratings[first + t], places[t]
                count = np.float64(counts[first + t]) if len(counts) else 1.0
                if implicit:
                    confidence = alpha * abs(np.float64(rating))
                    weight: Any = count * confidence
                    target: Any = count * (extra + confidence) if rating > 0 else 0.0
                    square: Any = target
                else:
                    # in the dtype of the solver, as where the ratings are the destination's
                    value = np.float64(dtype.type(rating) - offset)
                    weight = count
                    target = weight * value
                    square = target * value
                score = np.float64(scores[t])
                scalar = weight * score
                if residuals:
                    q[place] += square
                    error[place] += square + score * (scalar - 2 * target)
                    scalar = target - scalar
                    total += weight
                    n_ratings[place] += weight != 0
                    n[place] += count if not implicit or rating > 0 else 0.0
                small = dtype.type(scalar)
                for j in range(padded):
                    values[place, j] += small * own[j]
    return total


def add_products(
    parts: Iterable[tuple[Rows, SourceRows]], start: int, x: Float, objective: Objective, *, residuals: bool
) -> tuple[Products, Tallies | None]:
    """The sums over all ratings of some destination rows; see `daskals.kernels.numpy.products.add_products`."""
    n_rows, rank = x.shape
    padded = -(-rank // 8) * 8
    wide, values = np.zeros((n_rows, padded), x.dtype), np.zeros((n_rows, padded), x.dtype)
    wide[:, :rank] = x
    q, error, n = np.zeros((3, n_rows if residuals else 0))
    n_ratings, weight = np.zeros(len(n), np.int64), 0.0
    extra = 1.0 if objective.unobserved_weight is None else 0.0
    how = (objective.implicit, float(objective.alpha), extra, residuals)
    for rows, sources in parts:
        counts = np.zeros(0, np.float32) if rows.weights is None else as_kernel_array(rows.weights, np.float32)
        given = (
            as_kernel_array(rows.indptr, np.int64),
            as_kernel_array(rows.source_positions, np.int32),
            as_kernel_array(rows.ratings, np.float32),
        )
        offsets = np.zeros(0, x.dtype) if sources.offsets is None else as_kernel_array(sources.offsets, x.dtype)
        factors = as_kernel_array(sources.values, x.dtype)
        weight += _add_products(*given, counts, start, factors, offsets, wide, *how, values, q, error, n, n_ratings)
    return Products(values[:, :rank], q, error), Tallies(n, n_ratings, weight) if residuals else None
