"""Exact solutions of the normal equations, compiled: one row after another.

The plain form is `daskals.kernels.numpy.solving`, which has the formulas. A row's equations are assembled some source
rows at a time (`daskals.kernels.numba.assembling`), padded with zeros to a multiple of 8 entries, and A stays in cache.
The matrix then becomes its own Cholesky factor U (A = U'U, upper triangle, row-major), eight rows at a time with the
same tiles; b stands as one more column beside A, so that the factorisation leaves U'^-1 b there. Where what all rows
have in common is diagonal `daskals.kernels.numba.blockwise` does the same in less time, with other roundings.

Rows with fewer ratings than the rank go through a dual system, which has one equation for each rating instead of one
for each factor: in explicit mode, where all ratings weigh 1,

    (Y Y' + c I) z = t,   x = Y' z,   t - Y x = c z

and else the one of `daskals.kernels.numba.short_rows`, if what all rows have in common is diagonal. (The two are the
same in exact arithmetic; the first is kept as it was, since the bits of Spark's objective follow from it.) Equations
that were added up part by part (`solve_equations_exactly`) have no dual: that is one of the ways in which they differ,
by rounding, from those of `solve_rows_exactly`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daskals.kernels.numba.assembling import GATHERED_BYTES, assemble
from daskals.kernels.numba.blockwise import solve_blockwise
from daskals.kernels.numba.compiling import compiled, inner
from daskals.kernels.numba.equations import add_gram, back_substitute, factorise, solve_nonnegative
from daskals.kernels.numba.gathering import ask_for_rows, combine
from daskals.kernels.numba.losses import ERROR, PENALTY, Q
from daskals.kernels.numba.short_rows import GATHERED_BYTES as COLUMN_BYTES
from daskals.kernels.numba.short_rows import set_diagonal, solve_short_row
from daskals.kernels.numba.tiles import BYTES
from daskals.kernels.numpy.short_rows import DUAL_SHARE


@inner
def _solve_primal(A: Any, b: Any, c: float, rank: int, diagonal: Any, x: Any) -> bool:
    """x = (A + c I)^-1 b; A is overwritten. b = 0 has the solution 0 whatever A is.

    It is `solve_blockwise` that solves where there is a ``diagonal``, and else `factorise`, by whose bits others go.
    """
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
    if diagonal is not None:  # of the two, only one is compiled
        for i in range(rank, padded):
            A[i, i] = 1
        return bool(solve_blockwise(A, rank, x))
    if not factorise(A, rank):
        return False
    back_substitute(A, rank, x)
    return True


@inner
def _solve_dual(
    first: int, stop: int, sources: Any, targets: Any, factors: Any, c: float, columns: Any, K: Any, z: Any, x: Any
) -> bool:
    """x = Y'(YY' + cI)^-1 t for a row with few ratings; z receives (YY' + cI)^-1 t. Targets must not be all zero.

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
        M[t, padded] = targets[first + t, 0]
    if not factorise(M, n):
        return False
    back_substitute(M, n, z)
    for j in range(rank):
        total = K.dtype.type(0)
        for t in range(n):
            total += columns[j, t] * z[t]
        x[j] = total
    return True


@inner
def _solve_assembled(
    A: Any, b: Any, c: float, n_ratings: int, rank: int, has_base: bool, diagonal: Any, nonnegative: Any, x: Any
) -> bool:
    """x = (A + c I)^-1 b, or the nonnegative x; False where that is not determined. A is overwritten."""
    ok: bool
    if nonnegative is not None:  # it is never compiled where it is not used
        ok = solve_nonnegative(A, b, c, rank, x)
        return ok
    ok = _solve_primal(A, b, c, rank, diagonal, x)
    if c == 0 and not has_base and n_ratings < rank:
        # fewer equations than unknowns, which rounding can hide from the pivots; right only for x = 0
        for j in range(rank):
            ok = ok and x[j] == 0
    return ok


@inner
def _write_row(row: int, rank: int, q: float, b: Any, c: float, x: Any, solution: Any, table: Any) -> None:
    """Write down x, and the losses of a row with A x = b."""
    norm, explained = 0.0, 0.0
    for j in range(rank):
        solution[row, j] = x[j]
        norm += np.float64(x[j]) * np.float64(x[j])
    for j in range(min(rank, len(b))):
        explained += np.float64(b[j]) * np.float64(x[j])
    table[row, Q] = q
    table[row, ERROR] = q - explained - c * norm
    table[row, PENALTY] = c * norm


@inner
def _is_something(base: Any, diagonal: Any) -> bool:
    """Whether what rows have in common is not zero: one of a pair, a Gram matrix or a diagonal, has rows."""
    something = False
    for j in range(len(base)):
        something = something or base[j, j] != 0
    for j in range(len(diagonal)):
        something = something or diagonal[j] != 0
    return something


@inner
def _count_weights(weights: Any, first: int, stop: int) -> int:
    """How many ratings of a row count."""
    if not len(weights):
        return stop - first
    n = 0
    for t in range(first, stop):
        n += weights[t] != 0
    return n


@compiled
def solve_rows_by_dual(
    indptr: Any, sources: Any, targets: Any, q: Any, c: Any, factors: Any, rank: int, solution: Any, table: Any,
    solved: Any, failed: Any,
) -> None:  # fmt: skip
    """Solve the rows of few ratings, which all weigh 1; they are then ``solved``, those that ``failed`` too."""
    dtype = factors.dtype
    most = int(DUAL_SHARE * rank)
    padded = (most + 7) // 8 * 8
    columns, K = np.zeros((rank, padded), dtype), np.zeros(padded * (padded + 8), dtype)
    z, x, nothing = np.zeros(padded, dtype), np.zeros(rank, dtype), np.zeros(rank, dtype)
    for row in range(len(indptr) - 1):
        first, stop = indptr[row], indptr[row + 1]
        if stop - first > most or not q[row] > 0 or c[row] == 0:
            continue
        solved[row] = True
        if not _solve_dual(first, stop, sources, targets, factors, c[row], columns, K, z, x):
            failed[row] = True
            continue
        _write_row(row, rank, q[row], nothing, c[row], x, solution, table)
        residual = 0.0
        for t in range(stop - first):
            residual += np.float64(z[t]) * np.float64(z[t])
        table[row, ERROR] = c[row] * c[row] * residual


@compiled
def solve_short_rows(
    indptr: Any, sources: Any, targets: Any, weights: Any, q: Any, c: Any, factors: Any, rank: int, diagonal: Any,
    solution: Any, table: Any, solved: Any,
) -> None:  # fmt: skip
    """Solve the rows of few ratings by `solve_short_row`, if it can; they are then ``solved``."""
    dtype, padded, itemsize = factors.dtype, factors.shape[1], factors.itemsize
    most = int(DUAL_SHARE * rank)
    short_padded = (most + 7) // 8 * 8
    room_for_K = np.zeros(short_padded * (short_padded + 8), dtype)
    room_for_V = np.zeros(max(COLUMN_BYTES // itemsize, 8 * short_padded), dtype)
    roots, z = np.zeros((2, short_padded), dtype)
    d, scales, apart, x, b = np.zeros((5, padded), dtype)
    for row in range(len(indptr) - 1):
        first, stop = indptr[row], indptr[row + 1]
        if stop - first > most or not q[row] > 0 or not set_diagonal(diagonal, c[row], rank, d):
            continue
        after = min(indptr[min(row + 2, len(indptr) - 1)], stop + most)
        ask_for_rows(factors, sources, stop, after - stop, padded * itemsize // BYTES)
        solved[row] = solve_short_row(
            first, stop, sources, targets, weights, factors, d, rank, scales, roots, room_for_V, room_for_K, z, apart, x
        )
        if solved[row]:
            for j in range(padded):
                b[j] = 0
            combine(b, targets[first:stop], factors, sources, first, stop - first, padded * itemsize // BYTES)
            _write_row(row, rank, q[row], b, c[row], x, solution, table)


@compiled
def solve_rows_exactly(
    indptr: Any, sources: Any, targets: Any, weights: Any, q: Any, c: Any, factors: Any, rank: int, base: Any,
    diagonal: Any, nonnegative: Any, solution: Any, table: Any, solved: Any, failed: Any,
) -> None:  # fmt: skip
    """Solve the rows of a CSR block that are not ``solved``, its source rows being at hand.

    ``base`` is what is in A of every row (it may have no entries), or ``diagonal`` where that is a diagonal matrix; it
    is None elsewhere. ``nonnegative`` is None where rows may be negative.
    """
    padded, dtype = factors.shape[1], factors.dtype
    if diagonal is None:
        has_base = _is_something(base, q[:0])
    else:
        has_base = _is_something(base, diagonal)
    columns = targets.reshape(-1, 1)
    most = max(8, GATHERED_BYTES // (padded * factors.itemsize))
    gathered, weighted = np.zeros((most, padded), dtype), np.zeros((most if len(weights) else 0, padded), dtype)
    # a matrix of one row, so that every product is between arrays of one type: one compilation
    b, x, A = np.zeros((1, padded), dtype), np.zeros(padded, dtype), np.zeros((padded, padded + 8), dtype)
    for row in range(len(indptr) - 1):
        if solved[row]:
            continue
        first, stop = indptr[row], indptr[row + 1]
        for i in range(padded):
            start = i // 8 * 8
            for j in range(padded - start):  # from 0, or what counts from the end is thought of, and entries scattered
                A[i, start + j] = base[i, start + j] if len(base) else 0
            if diagonal is not None:
                A[i, i] = diagonal[i]
            b[0, i] = 0
        assemble(first, stop, sources, columns, weights, factors, rank, gathered, weighted, A, b)
        counting = _count_weights(weights, first, stop) if c[row] == 0 else rank
        if _solve_assembled(A, b[0], c[row], counting, rank, has_base, diagonal, nonnegative, x):
            _write_row(row, rank, q[row], b[0], c[row], x, solution, table)
        else:
            failed[row] = True


@compiled
def solve_equations_exactly(
    A_rows: Any, b_rows: Any, n_ratings: Any, q: Any, c: Any, rank: int, base: Any, nonnegative: Any,
    solution: Any, failed: Any, table: Any,
) -> None:  # fmt: skip
    """Solve every row, of which A (upper triangle) and b are given, and how many ratings count."""
    padded, dtype, has_base = b_rows.shape[1], b_rows.dtype, _is_something(base, q[:0])
    A, x = np.zeros((padded, padded + 8), dtype), np.zeros(padded, dtype)
    for row in range(len(b_rows)):
        b = b_rows[row]
        for i in range(padded):
            for j in range(i // 8 * 8, padded):
                A[i, j] = A_rows[row, i, j] + (base[i, j] if len(base) else 0)
        counting = n_ratings[row] if c[row] == 0 else rank
        if _solve_assembled(A, b, c[row], counting, rank, has_base, None, nonnegative, x):
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
