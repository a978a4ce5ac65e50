"""Products with the A of destination rows from a part of their ratings, compiled.

A faster version of `daskals.kernels.numpy.products`, which has the formulas, and says when which of the two is used.
As in `daskals.kernels.numba.cg` ratings are gone through in runs: the sum finds in cache what the scores have read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from daskals.kernels.arrays import as_kernel_array
from daskals.kernels.numba.compiling import compiled, inlined
from daskals.kernels.numba.gathering import RUN, combine, dots
from daskals.kernels.numba.tiles import BYTES
from daskals.kernels.objective import Objective
from daskals.kernels.types import Float, Products, Rows, SourceRows, Tallies


@inlined
def _terms(rating: Any, count: float, offset: Any, implicit: bool, alpha: float, extra: float) -> Any:
    """The weight, the target, its square and the count of a rating (`daskals.kernels.numpy.terms`)."""
    if implicit:
        confidence = alpha * abs(np.float64(rating))
        target = count * (extra + confidence) if rating > 0 else 0.0
        return count * confidence, target, target, count if rating > 0 else 0.0
    value = np.float64(rating - offset)  # in the dtype of the solver, as where rows are solved at once
    return count, count * value, count * value * value, count


@compiled
def _products_of(
    indptr: Any, positions: Any, ratings: Any, counts: Any, factors: Any, offsets: Any, x: Any,
    implicit: bool, alpha: float, extra: float, residuals: bool,
    values: Any, q: Any, error: Any, n: Any, n_ratings: Any,
) -> float:  # fmt: skip
    """Adds to the five arrays, row by row of the destination; returns the weight of all ratings."""
    dtype = factors.dtype
    vectors = factors.shape[1] * factors.itemsize // BYTES
    scores, total = np.zeros(RUN, dtype), 0.0
    for row in range(len(indptr) - 1):
        stop = indptr[row + 1]
        for first in range(indptr[row], stop, RUN):
            length = min(RUN, stop - first)
            dots(scores, x[row], factors, positions, first, length, stop, vectors)
            for t in range(length):
                count = np.float64(counts[first + t]) if len(counts) else 1.0
                offset = offsets[positions[first + t]] if len(offsets) else dtype.type(0)
                weight, target, square, counted = _terms(ratings[first + t], count, offset, implicit, alpha, extra)
                score = np.float64(scores[t])
                scalar = weight * score
                if residuals:
                    q[row] += square
                    error[row] += square + score * (scalar - 2 * target)
                    scalar = target - scalar
                    total += weight
                    n_ratings[row] += weight != 0
                    n[row] += counted
                scores[t] = scalar
            combine(values[row], scores, factors, positions, first, length, vectors)
    return total


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
    """Adds to the five arrays, row by row of the source; returns the weight of all ratings."""
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
                place, count = places[t], np.float64(counts[first + t]) if len(counts) else 1.0
                weight, target, square, counted = _terms(ratings[first + t], count, offset, implicit, alpha, extra)
                score = np.float64(scores[t])
                scalar = weight * score
                if residuals:
                    q[place] += square
                    error[place] += square + score * (scalar - 2 * target)
                    scalar = target - scalar
                    total += weight
                    n_ratings[place] += weight != 0
                    n[place] += counted
                small = dtype.type(scalar)
                for j in range(padded):
                    values[place, j] += small * own[j]
    return total


class _Sums:
    """The five arrays, and what the compiled functions are given besides the ratings."""

    def __init__(self, x: Float, objective: Objective, *, residuals: bool) -> None:
        n_rows, self.rank = x.shape
        shape = n_rows, -(-self.rank // 8) * 8
        self.x, self.values = np.zeros(shape, x.dtype), np.zeros(shape, x.dtype)
        self.x[:, : self.rank] = x
        self.q, self.error, self.n = np.zeros((3, n_rows if residuals else 0))
        self.n_ratings, self.weight = np.zeros(len(self.n), np.int64), 0.0
        extra = 1.0 if objective.unobserved_weight is None else 0.0
        self.how = objective.implicit, float(objective.alpha), extra, residuals

    def arrays(self) -> tuple[Any, ...]:
        return self.values, self.q, self.error, self.n, self.n_ratings

    def ratings(self, rows: Rows) -> tuple[Any, ...]:
        return (
            as_kernel_array(rows.indptr, np.int64),
            as_kernel_array(rows.source_positions, np.int32),
            as_kernel_array(rows.ratings, np.float32),
            np.zeros(0, np.float32) if rows.weights is None else as_kernel_array(rows.weights, np.float32),
        )

    def sources(self, sources: SourceRows) -> tuple[Any, ...]:
        dtype = self.x.dtype
        offsets = np.zeros(0, dtype) if sources.offsets is None else as_kernel_array(sources.offsets, dtype)
        return as_kernel_array(sources.values, dtype), offsets

    def done(self) -> tuple[Products, Tallies | None]:
        tallies = Tallies(self.n, self.n_ratings, self.weight) if self.how[-1] else None
        return Products(self.values[:, : self.rank], self.q, self.error), tallies


def products_of(
    rows: Rows, sources: SourceRows, x: Float, objective: Objective, *, residuals: bool
) -> tuple[Products, Tallies | None]:
    """The sums over ratings in the order of the destination; see `daskals.kernels.numpy.products.products_of`."""
    sums = _Sums(x, objective, residuals=residuals)
    sums.weight = _products_of(*sums.ratings(rows), *sums.sources(sources), sums.x, *sums.how, *sums.arrays())
    return sums.done()


def add_products(
    parts: Iterable[tuple[Rows, SourceRows]], start: int, x: Float, objective: Objective, *, residuals: bool
) -> tuple[Products, Tallies | None]:
    """The sums over ratings in the order of the source; see `daskals.kernels.numpy.products.add_products`."""
    sums = _Sums(x, objective, residuals=residuals)
    for rows, sources in parts:
        given = *sums.ratings(rows), start, *sums.sources(sources)
        sums.weight += _add_products(*given, sums.x, *sums.how, *sums.arrays())
    return sums.done()
