"""The squared error of rows: what comes with their solution, and what is left of it when numbers cancel.

The squared error of a row x is E(x) = q - 2 b.x + x'(A - cI)x with q = sum of (weight * target value squared). Since
A x = b at the solution, that is

    E = q - b.x - c |x|^2

which costs two dot products. (With x >= 0 enforced the same holds: x'(Ax - b) = 0 is one of the optimality
conditions. Short of the solution, after some steps of conjugate gradients, b + (b - A x) takes the place of b.)

It is a difference of numbers as large as q, of which b.x has the rounding errors of its dtype. Where E is below
`CANCELLED` q, so that few of its digits would be right, the residuals of the row's ratings are computed one by one
(`direct_errors`); ordinary fits have no such rows and pay a comparison. That takes the source rows and the explicit
objective. Without them E is only kept from being negative, where it cannot be (`Objective.least_error`): its errors are
about 1e-6 q in single precision, 1e-15 q in double, which is the floor of the squared error of an implicit fit and of a
streamed one.
"""

from __future__ import annotations

import numpy as np

from daskals.kernels.types import Float32, Float64, Int64, Rows, SourceRows, Terms

#: A squared error below this share of q is computed again, from residuals.
CANCELLED = 1e-3
#: Bytes of source rows in hand at a time, in float64.
CHUNK_BYTES = 4 << 20


def direct_errors(rows: Rows, terms: Terms, sources: SourceRows, solution: Float32, some: Int64) -> Float64:
    """The squared errors of ``some`` rows of the explicit objective, by the residual of each rating, float64.

    Targets are w times what is to be predicted; ratings of weight 0 have no residual.
    """
    lengths = np.diff(rows.indptr)[some]
    ends = np.cumsum(lengths)
    errors = np.zeros(len(some))
    step = max(1, CHUNK_BYTES // (8 * sources.rank))
    for first in range(0, int(lengths.sum()), step):
        # the ratings of these rows, counted through, from ``first`` on: whose they are, and where they stand
        number = np.arange(first, min(first + step, int(ends[-1])))
        row = np.searchsorted(ends, number, "right")
        place = rows.indptr[some[row]] + number - (ends - lengths)[row]
        y = sources.values[rows.source_positions[place], : sources.rank].astype(np.float64)
        predicted = np.einsum("ij,ij->i", y, solution[some[row]].astype(np.float64))
        weights = np.ones(len(place)) if terms.weights is None else terms.weights[place].astype(np.float64)
        wanted = np.divide(terms.targets[place], weights, out=predicted.copy(), where=weights > 0)
        errors += np.bincount(row, weights * (wanted - predicted) ** 2, len(some))
    return errors
