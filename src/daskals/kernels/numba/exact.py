"""Exact solutions of the normal equations, compiled: one row after another.

The plain form is `daskals.kernels.numpy.solving`, which has the formulas. A row's equations are assembled some source
rows at a time (`daskals.kernels.numba.assembling`), padded with zeros to a multiple of 8 entries, and A stays in cache.
The matrix then becomes its own Cholesky factor U (A = U'U, upper triangle, row-major), eight rows at a time with the
same tiles; b stands as one more column beside A, so that the factorisation leaves U'^-1 b there.

Rows with fewer ratings than the rank go, in explicit mode, through the dual system

    (Y Y' + c I) z = r,   x = Y' z,   residuals r - Y x = c z

which has one equation for each rating instead of one for each factor. Equations that were added up part by part
(`solve_equations_exactly`) have no dual: that is one of the ways in which they differ, by rounding, from those of
`solve_rows_exactly`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daskals.kernels.numba.assembling import GATHERED_BYTES, assemble
from daskals.kernels.numba.compiling import compiled
from daskals.kernels.numba.equations import add_gram, back_substitute, factorise, solve_nonnegative
from daskals.kernels.numba.losses import ERROR, PENALTY, WEIGHT, Q, sums

#: The dual system is used for rows with at most this share of the rank in ratings.
DUAL_SHARE = 0.75


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
def _solve_dual(
    first: int, stop: int, sources: Any, ratings: Any, factors: Any, c: float, columns: Any, K: Any, z: Any, x: Any
) -> bool:
    """x = Y'(YY' + cI)^-1 r for a row with few ratings; z receives (YY' + cI)^-1 r. Ratings must not be all zero.

    ``columns`` (rank, padded) receives Y', ratings side by side.
    """
    rank, n = columns.shape[0], stop - first
    padded = (n + 7) // 8 * 8
    M = K[: padded * (padded + 8)].reshape(padded, padded + 8)
    for t in range(n):
        source = sources[first + t]
        for j in range(rank):
            columns[j, t] = factors[source, j]
    for t in range(n, padded):
        for j in range(rank):
            columns[j, t] = 0
    M[:] = 0
    add_gram(M, columns, columns, rank, n)
    for t in range(n):
        M[t, t] += K.dtype.type(c)
        M[t, padded] = ratings[first + t]
    if not factorise(M, n):
        return False
    back_substitute(M, n, z)
    for j in range(rank):
        total = K.dtype.type(0)
        for t in range(n):
            total += columns[j, t] * z[t]
        x[j] = total
    return True


@compiled
def _solve_assembled(
    A: Any, b: Any, c: float, n_ratings: int, rank: int, implicit: bool, nonnegative: bool, x: Any
) -> bool:
    """x = (A + c I)^-1 b, or the nonnegative x; False where that is not determined. A is overwritten."""
    ok: bool
    if nonnegative:
        ok = solve_nonnegative(A, b, c, rank, x)
        return ok
    ok = _solve_primal(A, b, c, rank, x)
    if c == 0 and not implicit and n_ratings < rank:
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
def solve_rows_exactly(
    indptr: Any, sources: Any, ratings: Any, factors: Any, rank: int, gram: Any, implicit: bool, reg: float,
    alpha: float, nonnegative: bool, solution: Any, failed: Any, table: Any,
) -> None:  # fmt: skip
    """Solve every row of a CSR block, its source rows being at hand."""
    padded, dtype = factors.shape[1], factors.dtype
    most = max(8, GATHERED_BYTES // (padded * factors.itemsize))
    gathered, weighted = np.zeros((most, padded), dtype), np.zeros((most if implicit else 0, padded), dtype)
    # matrices of one column and of one row, so that every product is between arrays of one type: one compilation
    targets, b, x = np.zeros((most, 1), dtype), np.zeros((1, padded), dtype), np.zeros(padded, dtype)
    A = np.zeros((padded, padded + 8), dtype)
    dual_most = 0 if implicit or nonnegative or reg == 0 else int(DUAL_SHARE * rank)
    dual_padded = (dual_most + 7) // 8 * 8
    columns = np.zeros((rank, dual_padded), dtype)
    K, z = np.zeros(dual_padded * (dual_padded + 8), dtype), np.zeros(dual_padded, dtype)
    for row in range(len(indptr) - 1):
        first, stop = indptr[row], indptr[row + 1]
        q, counted, table[row, WEIGHT] = sums(ratings, first, stop, implicit, alpha)
        c = reg * counted
        dual = stop - first <= dual_most and q > 0
        if dual:
            ok = _solve_dual(first, stop, sources, ratings, factors, c, columns, K, z, x)
        else:
            for i in range(padded):
                for j in range(i // 8 * 8, padded):
                    A[i, j] = gram[i, j] if implicit else 0
                b[0, i] = 0
            assemble(first, stop, sources, ratings, factors, rank, implicit, alpha, gathered, weighted, targets, A, b)
            ok = _solve_assembled(A, b[0], c, stop - first, rank, implicit, nonnegative, x)
        if not ok:
            failed[row] = True
            continue
        _write_row(row, rank, q, b[0], c, x, solution, table)
        if dual:
            residual = 0.0
            for t in range(stop - first):
                residual += np.float64(z[t]) * np.float64(z[t])
            table[row, ERROR] = c * c * residual


@compiled
def solve_equations_exactly(
    A_rows: Any, b_rows: Any, indptr: Any, ratings: Any, rank: int, gram: Any, implicit: bool, reg: float,
    alpha: float, nonnegative: bool, solution: Any, failed: Any, table: Any,
) -> None:  # fmt: skip
    """Solve every row, of which A (upper triangle) and b are given."""
    padded, dtype = b_rows.shape[1], b_rows.dtype
    A, x = np.zeros((padded, padded + 8), dtype), np.zeros(padded, dtype)
    for row in range(len(indptr) - 1):
        first, stop = indptr[row], indptr[row + 1]
        q, counted, table[row, WEIGHT] = sums(ratings, first, stop, implicit, alpha)
        c, b = reg * counted, b_rows[row]
        for i in range(padded):
            for j in range(i // 8 * 8, padded):
                A[i, j] = A_rows[row, i, j] + (gram[i, j] if implicit else 0)
        if _solve_assembled(A, b, c, stop - first, rank, implicit, nonnegative, x):
            _write_row(row, rank, q, b, c, x, solution, table)
        else:
            failed[row] = True


@compiled
def add_rows_to_equations(
    A_rows: Any, b_rows: Any, indptr: Any, sources: Any, ratings: Any, factors: Any, rank: int, implicit: bool,
    alpha: float,
) -> None:  # fmt: skip
    """Add the ratings of every row of a CSR block to its A (upper triangle) and b."""
    padded, dtype = factors.shape[1], factors.dtype
    most = max(8, GATHERED_BYTES // (padded * factors.itemsize))
    gathered, weighted = np.zeros((most, padded), dtype), np.zeros((most if implicit else 0, padded), dtype)
    targets = np.zeros((most, 1), dtype)
    for row in range(len(indptr) - 1):
        assemble(
            indptr[row], indptr[row + 1], sources, ratings, factors, rank, implicit, alpha, gathered, weighted,
            targets, A_rows[row], b_rows[row : row + 1],
        )  # fmt: skip
