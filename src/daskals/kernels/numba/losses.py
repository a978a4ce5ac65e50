"""The losses of rows, compiled: `daskals.kernels.numpy.losses` has the formulas and says what cancels.

Kernels write a line of a table for each row, with the columns `Q`, `ERROR`, `PENALTY` and `WEIGHT`. A row that failed
keeps zeros in all but the last. All sums are of float64 products: `np.float64` makes them so, while Numba leaves
``float(x)`` of a float32 as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daskals.kernels.numba.compiling import compiled
from daskals.kernels.numpy.losses import CANCELLED
from daskals.kernels.types import Float64, Losses

#: the squared error at x = 0, the squared error, L n |x|^2, the sum of the weights of the residuals
Q, ERROR, PENALTY, WEIGHT = range(4)


def loss_table(n_rows: int) -> Float64:
    """A table of zeros for so many rows."""
    return np.zeros((n_rows, 4))


def sum_table(table: Float64) -> Losses:
    """The losses of all rows; a squared error below zero is rounding, and counts as zero."""
    np.maximum(table[:, ERROR], 0, out=table[:, ERROR])
    _, error, penalty, weight = table.sum(axis=0).tolist()
    return Losses(error, penalty, weight)


@compiled
def sums(ratings: Any, first: int, stop: int, implicit: bool, alpha: float) -> tuple[float, int, float]:
    """q, the number of ratings that count for the regularisation, and the weight of a row."""
    q = 0.0
    if not implicit:
        for t in range(first, stop):
            q += np.float64(ratings[t]) * np.float64(ratings[t])
        return q, stop - first, float(stop - first)
    counted, weight = 0, 0.0
    for t in range(first, stop):
        w = alpha * abs(np.float64(ratings[t]))
        weight += w
        if ratings[t] > 0:
            q += 1 + w
            counted += 1
    return q, counted, weight


@compiled
def direct_errors(indptr: Any, sources: Any, ratings: Any, factors: Any, solution: Any, table: Any) -> None:
    """Put in the squared errors of rows of which too much cancelled, by the residual of each rating, in float64."""
    rank = solution.shape[1]
    for row in range(len(indptr) - 1):
        if not table[row, ERROR] < CANCELLED * table[row, Q]:
            continue
        error = 0.0
        for n in range(indptr[row], indptr[row + 1]):
            residual = np.float64(ratings[n])
            for j in range(rank):
                residual -= np.float64(factors[sources[n], j]) * np.float64(solution[row, j])
            error += residual * residual
        table[row, ERROR] = error
