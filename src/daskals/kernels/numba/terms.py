"""What ratings contribute to the equations of rows and to their losses, compiled.

A faster version of `daskals.kernels.numpy.terms`, which has the formulas: one pass over the ratings of a block.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from daskals.kernels.arrays import as_kernel_array
from daskals.kernels.numba.compiling import compiled
from daskals.kernels.objective import Objective
from daskals.kernels.types import Float, Rows, Terms


@compiled
def _squares(indptr: Any, ratings: Any, q: Any) -> None:
    """q of explicit ratings that are the targets as they stand."""
    for row in range(len(indptr) - 1):
        square = 0.0
        for t in range(indptr[row], indptr[row + 1]):
            square += np.float64(ratings[t]) * np.float64(ratings[t])
        q[row] = square


@compiled
def _explicit(
    indptr: Any, sources: Any, ratings: Any, counts: Any, offsets: Any, weights: Any, targets: Any, q: Any, n: Any
) -> None:
    for row in range(len(indptr) - 1):
        square, weight = 0.0, 0.0
        for t in range(indptr[row], indptr[row + 1]):
            value = targets.dtype.type(ratings[t])
            if len(offsets):
                value -= offsets[sources[t]]
            w = 1.0
            if len(counts):
                w = np.float64(counts[t])
                weights[t] = counts[t]
            targets[t] = w * value if len(counts) else value
            square += w * np.float64(value) * np.float64(value)
            weight += w
        q[row], n[row] = square, weight


@compiled
def _implicit(
    indptr: Any, ratings: Any, counts: Any, alpha: float, extra: float, weights: Any, targets: Any, q: Any, n: Any
) -> float:
    total = 0.0
    for row in range(len(indptr) - 1):
        square, counted = 0.0, 0.0
        for t in range(indptr[row], indptr[row + 1]):
            count = np.float64(counts[t]) if len(counts) else 1.0
            confidence = alpha * abs(np.float64(ratings[t]))
            w = weights.dtype.type(confidence)
            target = weights.dtype.type(extra) + w if ratings[t] > 0 else weights.dtype.type(0)
            if len(counts):
                w *= weights.dtype.type(count)
                target *= weights.dtype.type(count)
            weights[t], targets[t] = w, target
            total += count * confidence
            if ratings[t] > 0:
                square += count * (extra + confidence)
                counted += count
        q[row], n[row] = square, counted
    return total


def terms_of(rows: Rows, offsets: Float | None, objective: Objective, dtype: npt.DTypeLike) -> Terms:
    """The terms of all ratings; see `daskals.kernels.numpy.terms.terms_of`. ``rows`` are as the kernels want them."""
    n_rows, n_ratings = len(rows.indptr) - 1, len(rows.ratings)
    q, n = np.empty(n_rows), np.empty(n_rows)
    counts = np.zeros(0, np.float32) if rows.weights is None else rows.weights
    if objective.implicit:
        weights, targets = np.empty((2, n_ratings), dtype)
        extra = 1.0 if objective.unobserved_weight is None else 0.0
        total = _implicit(rows.indptr, rows.ratings, counts, float(objective.alpha), extra, weights, targets, q, n)
        return Terms(weights, targets, q, objective.penalties(n), total)
    if rows.weights is None and offsets is None:
        _squares(rows.indptr, rows.ratings, q)
        n = np.diff(rows.indptr).astype(np.float64)
        return Terms(None, as_kernel_array(rows.ratings, dtype), q, objective.penalties(n), float(n_ratings))
    weights, targets = np.empty(len(counts), dtype), np.empty(n_ratings, dtype)
    known = np.zeros(0, dtype) if offsets is None else as_kernel_array(offsets, dtype)
    _explicit(rows.indptr, rows.source_positions, rows.ratings, counts, known, weights, targets, q, n)
    return Terms(None if rows.weights is None else weights, targets, q, objective.penalties(n), float(n.sum()))
