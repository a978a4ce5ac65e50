"""The losses of rows, compiled: `daskals.kernels.numpy.losses` has the formulas and says what cancels.

Kernels write a line of a table for each row, with the columns `Q`, `ERROR` and `PENALTY`. A row that failed keeps
zeros. All sums are of float64 products: `np.float64` makes them so, while Numba leaves
``float(x)`` of a float32 as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daskals.kernels.numba.compiling import compiled
from daskals.kernels.numpy.losses import CANCELLED
from daskals.kernels.types import Float64, Losses

#: the squared error at x = 0, the squared error, c |x|^2
Q, ERROR, PENALTY = range(3)


def loss_table(n_rows: int) -> Float64:
    """A table of zeros for so many rows."""
    return np.zeros((n_rows, 3))


def sum_table(table: Float64, weight: float, least: float) -> Losses:
    """The losses of all rows, whose residuals weigh ``weight``; errors below ``least`` are rounding."""
    np.maximum(table[:, ERROR], least, out=table[:, ERROR])
    _, error, penalty = table.sum(axis=0).tolist()
    return Losses(error, penalty, weight)


@compiled
def direct_errors(
    indptr: Any, sources: Any, targets: Any, weights: Any, factors: Any, solution: Any, table: Any
) -> None:
    """Put in the squared errors of rows of which too much cancelled, by the residual of each rating, in float64.

    Targets are w times what is to be predicted; ratings of weight 0 have no residual.
    """
    rank = solution.shape[1]
    for row in range(len(indptr) - 1):
        if not table[row, ERROR] < CANCELLED * table[row, Q]:
            continue
        error = 0.0
        for n in range(indptr[row], indptr[row + 1]):
            weight = np.float64(weights[n]) if len(weights) else 1.0
            if weight == 0:
                continue
            residual = np.float64(targets[n]) / weight
            for j in range(rank):
                residual -= np.float64(factors[sources[n], j]) * np.float64(solution[row, j])
            error += weight * residual * residual
        table[row, ERROR] = error
