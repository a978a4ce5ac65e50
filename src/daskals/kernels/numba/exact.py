"""Exact solutions of the normal equations, compiled: one row after another.

The plain form is `daskals.kernels.numpy.solving`, which has the formulas. A row's equations are assembled some source
rows at a time (`daskals.kernels.numba.assembling`), padded with zeros to a multiple of 8 entries, and A stays in cache.
The matrix then becomes its own Cholesky factor U (A = U'U, upper triangle, row-major), eight rows at a time with the
same tiles; b stands as one more column beside A, so that the factorisation leaves U'^-1 b there.

Rows with fewer ratings than the rank go through the dual system, which has one equation for each rating instead of one
for each factor. With D the part of A that all rows of the other side, and the penalty, put on its diagonal, and
S = Y D^-1/2,

    (S S' + 1/w) z = t / w,   x = D^-1/2 S' z,   w (t / w - Y x) = z

In explicit mode D is c I, and the system is multiplied by c: (Y Y' + c/w) z = t / w, x = Y' z, w (t / w - Y x) = c z.
In implicit mode D is diagonal in the eigenbasis of the Gram matrix (`daskals.kernels.eigenbasis`). Equations that were
added up part by part (`solve_equations_exactly`) have no dual: that is one of the ways in which they differ, by
rounding, from those of `solve_rows_exactly`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daskals.kernels.numba.assembling import GATHERED_BYTES, assemble
from daskals.kernels.numba.compiling import compiled
from daskals.kernels.numba.equations import add_gram, back_substitute, factorise, solve_nonnegative
from daskals.kernels.numba.losses import ERROR, PENALTY, Q


@compiled
def _solve_primal(A: Any, b: Any, c: float, rank: int, x: Any) -> bool:
    """x = (A + c I)^-1 b; A is overwritten. b = 0 has the solution 0 whatever A is."""
    zero = True
    for j in range(rank):
        zero = zero and b[j] == 0
        x[j] = 0
    if zero:
        return True
    padded = A.shape[0]
    for i in range(rank):
        A[i, i] += A.dtype.type(c)
        A[i, padded] = b[i]
        for j in range(padded + 1, padded + 8):
            A[i, j] = 0
    if not factorise(A, rank):
        return False
    back_substitute(A, rank, x)
    return True


@compiled
def _gather_columns(
    first: int, stop: int, sources: Any, targets: Any, weights: Any, factors: Any, scale: Any, kept: Any, columns: Any
) -> int:
    """``columns`` (rank, padded) = S', the scaled source rows of a row's ratings side by side; how many there are.

    Ratings without weight and target are left out; ``kept`` receives the places of the others. -1 where a rating has
    a target and no weight: no equation of the dual can hold it.
    """
    rank, n = columns.shape[0], 0
    for t in range(first, stop):
        if len(weights) and weights[t] == 0:
            if targets[t, 0] != 0:
                return -1
            continue
        kept[n] = t
        n += 1
    for t in range(n):
        source = sources[kept[t]]
        if len(scale):
            for j in range(rank):
                columns[j, t] = factors[source, j] * scale[j]
        else:
            for j in range(rank):
                columns[j, t] = factors[source, j]
    for t in range(n, (n + 7) // 8 * 8):
        for j in range(rank):
            columns[j, t] = 0
    return n


@compiled
def _solve_dual(
    n: int, kept: Any, targets: Any, weights: Any, ridge: float, scale: Any, columns: Any, K: Any, z: Any, x: Any
) -> bool:
    """x = D^-1/2 S' z with (S S' + ridge / w) z = t / w, for a row whose n ratings `_gather_columns` has gathered.

    ``scale`` is the diagonal of D^-1/2, nothing where that is 1. False where the equations are singular.
    """
    rank = columns.shape[0]
    padded = (n + 7) // 8 * 8
    M = K[: padded * (padded + 8)].reshape(padded, padded + 8)
    M[:] = 0
    add_gram(M, columns, columns, rank, n)
    for t in range(n):
        if len(weights):
            M[t, t] += K.dtype.type(ridge) / weights[kept[t]]
            M[t, padded] = targets[kept[t], 0] / weights[kept[t]]
        else:
            M[t, t] += K.dtype.type(ridge)
            M[t, padded] = targets[kept[t], 0]
    if not factorise(M, n):
        return False
    back_substitute(M, n, z)
    for j in range(rank):
        total = K.dtype.type(0)
        for t in range(n):
            total += columns[j, t] * z[t]
        x[j] = total * scale[j] if len(scale) else total
    return True


@compiled
def _error_of_dual(
    n: int, kept: Any, targets: Any, weights: Any, ridge: float, is_scaled: bool, q: float, penalty: float, z: Any
) -> float:
    """The squared error of a row that `_solve_dual` has solved; w (t / w - y.x) = ridge z for each rating."""
    error = 0.0
    for t in range(n):
        weight = np.float64(weights[kept[t]]) if len(weights) else 1.0
        if is_scaled:  # b.x, from y.x = (t - z) / w
            target = np.float64(targets[kept[t], 0])
            error += target * (target - np.float64(z[t])) / weight
        else:
            error += np.float64(z[t]) * np.float64(z[t]) / weight
    return q - error - penalty if is_scaled else ridge * ridge * error


@compiled
def _solve_assembled(
    A: Any, b: Any, c: float, n_ratings: int, rank: int, has_base: bool, nonnegative: bool, x: Any
) -> bool:
    """x = (A + c I)^-1 b, or the nonnegative x; False where that is not determined. A is overwritten."""
    ok: bool
    if nonnegative:
        ok = solve_nonnegative(A, b, c, rank, x)
        return ok
    ok = _solve_primal(A, b, c, rank, x)
    if c == 0 and not has_base and n_ratings < rank:
        # fewer equations than unknowns, which rounding can hide from the pivots; right only for x = 0
        for j in range(rank):
            ok = ok and x[j] == 0
    return ok


@compiled
def _write_row(row: int, rank: int, q: float, b: Any, c: float, x: Any, solution: Any, table: Any) -> None:
    """Write down x, and the losses of a row with A x = b."""
    norm, explained = 0.0, 0.0
    for j in range(rank):
        solution[row, j] = x[j]
        norm += np.float64(x[j]) * np.float64(x[j])
        explained += np.float64(b[j]) * np.float64(x[j])
    table[row, Q] = q
    table[row, ERROR] = q - explained - c * norm
    table[row, PENALTY] = c * norm


@compiled
def _count_weights(weights: Any, first: int, stop: int) -> int:
    """How many ratings of a row count."""
    if not len(weights):
        return stop - first
    n = 0
    for t in range(first, stop):
        n += weights[t] != 0
    return n


@compiled
def solve_rows_exactly(
    indptr: Any, sources: Any, targets: Any, weights: Any, q: Any, c: Any, factors: Any, rank: int, base: Any,
    dual_most: int, nonnegative: bool, solution: Any, failed: Any, table: Any,
) -> None:  # fmt: skip
    """Solve every row of a CSR block, its source rows being at hand.

    ``base`` is what is in A of every row, of no rows where there is nothing. Rows with up to ``dual_most`` ratings go
    through the dual, for which ``base`` must be diagonal.
    """
    padded, dtype, has_base = factors.shape[1], factors.dtype, len(base) > 0
    most = max(8, GATHERED_BYTES // (padded * factors.itemsize))
    gathered, weighted = np.zeros((most, padded), dtype), np.zeros((most if len(weights) else 0, padded), dtype)
    # a matrix of one row, so that every product is between arrays of one type: one compilation
    b, x, A = np.zeros((1, padded), dtype), np.zeros(padded, dtype), np.zeros((padded, padded + 8), dtype)
    dual_padded = (dual_most + 7) // 8 * 8
    columns, kept = np.zeros((rank, dual_padded), dtype), np.zeros(dual_padded, np.int64)
    K, z = np.zeros(dual_padded * (dual_padded + 8), dtype), np.zeros(dual_padded, dtype)
    scale = np.zeros(rank if has_base else 0, dtype)
    for row in range(len(indptr) - 1):
        first, stop = indptr[row], indptr[row + 1]
        n = -1
        if stop - first <= dual_most and q[row] > 0 and c[row] > 0:
            for j in range(len(scale)):
                scale[j] = 1 / np.sqrt(np.float64(base[j, j]) + c[row])
            n = _gather_columns(first, stop, sources, targets, weights, factors, scale, kept, columns)
        ridge = 1.0 if has_base else c[row]
        if n >= 0:
            ok = _solve_dual(n, kept, targets, weights, ridge, scale, columns, K, z, x)
        else:
            for i in range(padded):
                for j in range(i // 8 * 8, padded):
                    A[i, j] = base[i, j] if has_base else 0
                b[0, i] = 0
            assemble(first, stop, sources, targets, weights, factors, rank, gathered, weighted, A, b)
            counting = _count_weights(weights, first, stop) if c[row] == 0 else rank
            ok = _solve_assembled(A, b[0], c[row], counting, rank, has_base, nonnegative, x)
        if not ok:
            failed[row] = True
            continue
        _write_row(row, rank, q[row], b[0], c[row], x, solution, table)
        if n >= 0:
            penalty = table[row, PENALTY]
            table[row, ERROR] = _error_of_dual(n, kept, targets, weights, ridge, has_base, q[row], penalty, z)


@compiled
def solve_equations_exactly(
    A_rows: Any, b_rows: Any, indptr: Any, weights: Any, q: Any, c: Any, rank: int, base: Any, nonnegative: bool,
    solution: Any, failed: Any, table: Any,
) -> None:  # fmt: skip
    """Solve every row, of which A (upper triangle) and b are given."""
    padded, dtype, has_base = b_rows.shape[1], b_rows.dtype, len(base) > 0
    A, x = np.zeros((padded, padded + 8), dtype), np.zeros(padded, dtype)
    for row in range(len(indptr) - 1):
        b = b_rows[row]
        for i in range(padded):
            for j in range(i // 8 * 8, padded):
                A[i, j] = A_rows[row, i, j] + (base[i, j] if has_base else 0)
        counting = _count_weights(weights, indptr[row], indptr[row + 1]) if c[row] == 0 else rank
        if _solve_assembled(A, b, c[row], counting, rank, has_base, nonnegative, x):
            _write_row(row, rank, q[row], b, c[row], x, solution, table)
        else:
            failed[row] = True


@compiled
def add_rows_to_equations(
    A_rows: Any, b_rows: Any, indptr: Any, sources: Any, targets: Any, weights: Any, factors: Any, rank: int
) -> None:
    """Add the ratings of every row of a CSR block to its A (upper triangle) and b."""
    padded, dtype = factors.shape[1], factors.dtype
    most = max(8, GATHERED_BYTES // (padded * factors.itemsize))
    gathered, weighted = np.zeros((most, padded), dtype), np.zeros((most if len(weights) else 0, padded), dtype)
    for row in range(len(indptr) - 1):
        assemble(
            indptr[row], indptr[row + 1], sources, targets, weights, factors, rank, gathered, weighted,
            A_rows[row], b_rows[row : row + 1],
        )  # fmt: skip
