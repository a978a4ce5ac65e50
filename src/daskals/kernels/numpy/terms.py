"""What ratings contribute to the equations of rows and to their losses, in plain NumPy.

A rating r of weight W (1 unless the fit has weights), of which o is known beforehand, contributes
(`daskals.kernels.objective.Objective`)

                            w            t                                      q            n
    explicit                W            w (r - o)                              w (r - o)^2  W
    implicit                W alpha |r|  w if r > 0 else 0                      t            W if r > 0 else 0
    implicit, Spark's       W alpha |r|  W (1 + alpha |r|) if r > 0 else 0      t            W if r > 0 else 0

where w and t are those of A = sum w y y' and b = sum t y, q adds up to the squared error of the row 0, and n to what
the penalty of the row grows with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from daskals.kernels.objective import Objective
from daskals.kernels.types import Float, Float32, Float64, Int64, Rows, Terms


def terms_of(rows: Rows, offsets: Float | None, objective: Objective, dtype: npt.DTypeLike) -> Terms:
    """The terms of all ratings; ``offsets`` are those of `SourceRows`, w and t come in ``dtype``."""
    counts = None if rows.weights is None else rows.weights.astype(np.float64)
    if objective.implicit:
        return _implicit(rows, counts, objective, dtype)
    targets = rows.ratings.astype(dtype)
    if offsets is not None:
        targets -= offsets[rows.source_positions]
    squares = targets.astype(np.float64) ** 2
    if counts is None:
        n = np.diff(rows.indptr).astype(np.float64)
        return Terms(None, targets, sum_rows(rows.indptr, squares), objective.penalties(n), float(len(targets)))
    weights = counts.astype(dtype)
    n, q = (sum_rows(rows.indptr, values) for values in (counts, counts * squares))
    return Terms(weights, weights * targets, q, objective.penalties(n), float(counts.sum()))


def _implicit(rows: Rows, counts: Float64 | None, objective: Objective, dtype: npt.DTypeLike) -> Terms:
    ratings, positive = rows.ratings, rows.ratings > 0
    weights = (objective.alpha * np.abs(ratings)).astype(dtype)
    wide = objective.alpha * np.abs(ratings.astype(np.float64))
    extra = 1.0 if objective.unobserved_weight is None else 0.0
    targets, q = np.where(positive, extra + weights, 0).astype(dtype), np.where(positive, extra + wide, 0)
    n = positive.astype(np.float64)
    if counts is not None:
        small = counts.astype(dtype)
        weights, targets, q, n, wide = weights * small, targets * small, q * counts, n * counts, wide * counts
    q, n = (sum_rows(rows.indptr, values) for values in (q, n))
    return Terms(weights, targets, q, objective.penalties(n), float(wide.sum()))


def sum_rows(indptr: Int64, values: npt.NDArray[Any]) -> Float64:
    """Sums of ``values`` over the rows of a CSR block, float64."""
    total: Float64 = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return total[indptr[1:]] - total[indptr[:-1]]


def start_of(previous: Float32 | None, terms: Terms, objective: Objective) -> Float32 | None:
    """Rows to start from; those of whom nothing is to be predicted are 0.

    That is their solution. Where none of their ratings counts, no step would lead there: A is zero as well.
    """
    if previous is None or terms.weights is None or objective.gram_weight > 0:
        return previous
    return np.where(terms.q[:, None] == 0, np.float32(0), previous)
