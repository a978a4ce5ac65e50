"""The arithmetic of ALS compiled by Numba: the functions of `daskals.kernels._numpy`, with the same signatures.

Everything releases Python's lock and is cached between processes. See `_numpy` for the formulas; this module
says only how they are made fast.

A row's equations are assembled from panels: `PANEL_BYTES` worth of its source rows are gathered into a contiguous
buffer, padded with zeros to a multiple of 8 entries, and added to A tile by tile (`daskals.kernels._tiles`). A
stays in cache. The matrix then becomes its own Cholesky factor U (A = U'U, upper triangle, row-major), eight rows
at a time with the same tiles; b stands as one more column beside A, so that the factorisation leaves U'^-1 b there.

Rows with fewer ratings than the rank go, in explicit mode, through the dual system

    (Y Y' + c I) z = r,   x = Y' z,   residuals r - Y x = c z

which has one equation for each rating instead of one for each factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from daskals.kernels.arrays import as_kernel_array
from daskals.kernels.numba.assembling import PANEL_BYTES, assemble, sums
from daskals.kernels.numba.cg import cg_rows
from daskals.kernels.numba.equations import add_gram, back_substitute, compiled, factorise, solve_nonnegative
from daskals.kernels.numpy.solving import Solution
from daskals.kernels.types import Float, Float32, Float64, Int32, Int64, Losses

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
def _solve_rows(
    indptr: Any, sources: Any, ratings: Any, factors: Any, rank: int, gram: Any, implicit: bool, reg: float,
    alpha: float, nonnegative: bool, rows: Any, failed: Any, losses: Any,
) -> None:  # fmt: skip
    padded, dtype = factors.shape[1], factors.dtype
    most = max(8, PANEL_BYTES // (padded * factors.itemsize))
    panel, weighted = np.zeros((most, padded), dtype), np.zeros((most if implicit else 0, padded), dtype)
    # matrices of one column and of one row, so that every product is between arrays of one type: one compilation
    targets, b, x = np.zeros((most, 1), dtype), np.zeros((1, padded), dtype), np.zeros(padded, dtype)
    A = np.zeros((padded, padded + 8), dtype)
    dual_most = 0 if implicit or nonnegative or reg == 0 else int(DUAL_SHARE * rank)
    dual_padded = (dual_most + 7) // 8 * 8
    columns = np.zeros((rank, dual_padded), dtype)
    K, z = np.zeros(dual_padded * (dual_padded + 8), dtype), np.zeros(dual_padded, dtype)
    for row in range(len(indptr) - 1):
        first, stop = indptr[row], indptr[row + 1]
        q, counted, weight = sums(ratings, first, stop, implicit, alpha)
        losses[2] += weight
        c = reg * counted
        dual = stop - first <= dual_most and q > 0
        if dual:
            ok = _solve_dual(first, stop, sources, ratings, factors, c, columns, K, z, x)
        else:
            for i in range(padded):
                for j in range(i // 8 * 8, padded):
                    A[i, j] = gram[i, j] if implicit else 0
                b[0, i] = 0
            assemble(first, stop, sources, ratings, factors, rank, implicit, alpha, panel, weighted, targets, A, b)
            if nonnegative:
                ok = solve_nonnegative(A, b[0], c, rank, x)
            else:
                ok = _solve_primal(A, b[0], c, rank, x)
                if c == 0 and not implicit and stop - first < rank:
                    # fewer equations than unknowns, which rounding can hide from the pivots; right only for x = 0
                    for j in range(rank):
                        ok = ok and x[j] == 0
        if not ok:
            failed[row] = True
            continue
        norm, explained, residual = 0.0, 0.0, 0.0
        for j in range(rank):
            rows[row, j] = x[j]
            norm += float(x[j]) * float(x[j])
            explained += float(b[0, j]) * float(x[j])
        if dual:
            for t in range(stop - first):
                residual += float(z[t]) * float(z[t])
            losses[0] += c * c * residual
        else:
            losses[0] += q - explained - c * norm
        losses[1] += c * norm


def solve_rows(
    indptr: Int64,
    sources: Int32,
    ratings: Float32,
    factors: Float,
    gram: Float64 | None,
    *,
    reg: float,
    alpha: float = 1.0,
    nonnegative: bool = False,
    previous: Float32 | None = None,
    cg_steps: int = 0,
) -> Solution:
    """Solve the normal equations of every row of a CSR block; see `daskals.kernels._numpy.solve_rows`."""
    n_rows, rank = len(indptr) - 1, factors.shape[1]
    padded = -(-rank // 8) * 8
    padded_gram = np.zeros((padded, padded), factors.dtype)
    if gram is not None:
        padded_gram[:rank, :rank] = gram
    if padded > rank:
        factors = np.pad(factors, ((0, 0), (0, padded - rank)))
    rows = np.zeros((n_rows, rank), np.float32)
    failed = np.zeros(n_rows, np.bool_)
    losses = np.zeros(3)
    problem = (
        as_kernel_array(indptr, np.int64), as_kernel_array(sources, np.int32), as_kernel_array(ratings, np.float32),
        as_kernel_array(factors, factors.dtype), rank, padded_gram, gram is not None, float(reg), float(alpha),
    )  # fmt: skip
    if cg_steps:
        assert previous is not None
        cg_rows(*problem, as_kernel_array(previous, np.float32), cg_steps, rows, losses)
    else:
        _solve_rows(*problem, nonnegative, rows, failed, losses)
    if nonnegative:
        np.maximum(rows, 0, out=rows)
    return Solution(rows, np.flatnonzero(failed), Losses(*losses.tolist()))


def no_equations(n_rows: int, rank: int, dtype: npt.DTypeLike) -> tuple[Float, Float]:
    """A and b of rows without ratings, padded as `assemble` wants them."""
    padded = -(-rank // 8) * 8
    return np.zeros((n_rows, padded, padded), dtype), np.zeros((n_rows, padded), dtype)


@compiled
def _add_equations(
    A: Any, b: Any, indptr: Any, sources: Any, ratings: Any, factors: Any, rank: int, implicit: bool, alpha: float
) -> None:
    padded, dtype = factors.shape[1], factors.dtype
    most = max(8, PANEL_BYTES // (padded * factors.itemsize))
    panel, weighted = np.zeros((most, padded), dtype), np.zeros((most if implicit else 0, padded), dtype)
    targets = np.zeros((most, 1), dtype)
    for row in range(len(indptr) - 1):
        assemble(
            indptr[row], indptr[row + 1], sources, ratings, factors, rank, implicit, alpha, panel, weighted, targets,
            A[row], b[row : row + 1],
        )  # fmt: skip


def add_equations(
    A: Float, b: Float, indptr: Int64, sources: Int32, ratings: Float32, factors: Float, alpha: float | None
) -> None:
    """Add ratings of every row to its A and b; see `daskals.kernels._numpy.add_equations`."""
    rank, padded = factors.shape[1], b.shape[1]
    factors = as_kernel_array(np.pad(factors, ((0, 0), (0, padded - rank))) if padded > rank else factors, b.dtype)
    _add_equations(
        A, b, as_kernel_array(indptr, np.int64), as_kernel_array(sources, np.int32),
        as_kernel_array(ratings, np.float32), factors, rank,
        alpha is not None, alpha or 0.0,
    )  # fmt: skip


def whole_equations(A: Float, b: Float, rank: int, dtype: npt.DTypeLike) -> tuple[Float, Float]:
    """Symmetric A and b without padding; see `daskals.kernels._numpy.whole_equations`."""
    A = A[:, :rank, :rank].astype(dtype)
    i, j = np.triu_indices(rank, 1)
    A[:, j, i] = A[:, i, j]
    return A, b[:, :rank].astype(dtype)
