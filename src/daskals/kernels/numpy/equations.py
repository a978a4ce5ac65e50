"""The normal equations of many rows in plain NumPy and SciPy: assembling A and b, and solving A x = b.

`daskals.kernels.numpy.solving` has the formulas.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from daskals.kernels.numpy.cg import right_hand_sides
from daskals.kernels.types import Bools, Float, Float64, Int32, Int64

#: Up to this rank all equations of a batch are assembled by one sparse product and solved side by side; above
#: it each row has its own BLAS and LAPACK calls. On the first 20,000 users of ML-20M's
#: shape, 2 threads, one BLAS thread each, best of three, row by row took 4.2 / 2.7 / 1.6 / 1.1 / 0.5 times as long at
#: rank 10 / 16 / 20 / 24 / 32.
SIDE_BY_SIDE_RANK = 20
#: Rounding errors that a pivot is taken to have collected, in units of rank times machine precision. With 1, up to
#: 58 of 300 random singular matrices passed as regular. With 8 some still do (8 to 15 of 200, where a rating that
#: stands twice is all that is missing): rows with fewer ratings than the rank are therefore counted, not measured.
PIVOT_ERRORS = 8
#: Products of pairs of source columns made at a time when assembling side by side.
TABLE_COLUMNS = 64


def are_too_few(n_ratings: Int64, b: Float, c: Float64) -> Bools:
    """Rows of more unknowns than equations, without a penalty: rounding can hide it from the pivots."""
    few: Bools = (c == 0) & (n_ratings < b.shape[1]) & b.any(axis=1)
    return few


def assemble_side_by_side(
    indptr: Int64, sources: Int32, weights: Float | None, targets: Float, factors: Float
) -> tuple[Float, Float]:
    """A, shape (rows, rank, rank), and b, shape (rows, rank), of all rows by sparse products.

    The entry (i, j) of all A at once is  W @ (Y[:, i] * Y[:, j])  with W the block as a sparse matrix. Products
    of pairs of columns are made some at a time. No Python loop over rows, and no lock held in the product.
    """
    rank, dtype = factors.shape[1], factors.dtype
    shape = (len(indptr) - 1, len(factors))
    if weights is None:
        weights = np.ones(len(sources), dtype)
    W = sparse.csr_matrix((weights, sources, indptr), shape)
    lower = np.tril_indices(rank)
    A = np.empty((shape[0], rank, rank), dtype)
    for first in range(0, len(lower[0]), TABLE_COLUMNS):
        i, j = (side[first : first + TABLE_COLUMNS] for side in lower)
        A[:, i, j] = A[:, j, i] = W @ (factors[:, i] * factors[:, j])
    return A, right_hand_sides(indptr, sources, targets, factors)


def assemble_row_by_row(
    indptr: Int64, sources: Int32, weights: Float | None, targets: Float, factors: Float
) -> tuple[Float, Float]:
    """The same as `assemble_side_by_side`, a BLAS call for each row; better from rank 20 or so on."""
    n_rows, rank = len(indptr) - 1, factors.shape[1]
    A = np.empty((n_rows, rank, rank), factors.dtype)
    b = np.empty((n_rows, rank), factors.dtype)
    for row in range(n_rows):
        cut = slice(indptr[row], indptr[row + 1])
        Y = factors[sources[cut]]
        np.dot(targets[cut], Y, out=b[row])
        if weights is None:
            np.dot(Y.T, Y, out=A[row])
        else:
            np.dot((Y * weights[cut, None]).T, Y, out=A[row])
    return A, b


def solve_systems(A: Float, b: Float, *, nonnegative: bool = False) -> tuple[Float, Bools]:
    """Solutions of many small symmetric positive definite systems, and which of them are singular.

    A has shape (m, rank, rank), b (m, rank). A system counts as singular when a pivot of its Cholesky
    factorisation is no larger than rounding errors make it. Where b = 0 the solution is 0 whatever A is.
    """
    if nonnegative:
        return solve_nonnegative(A, b)
    solve = solve_side_by_side if A.shape[1] <= SIDE_BY_SIDE_RANK else solve_row_by_row
    x, smallest_pivot = solve(A, b)
    trivial = ~b.any(axis=1)
    failed = ~(smallest_pivot > least_pivot(A)) & ~trivial
    x[failed | trivial] = 0
    return x, failed


def least_pivot(A: Float) -> float:
    """A pivot of Cholesky's factorisation that is smaller than this share of its diagonal entry may be rounding."""
    return float(PIVOT_ERRORS * A.shape[1] * np.finfo(A.dtype).eps)


def solve_side_by_side(A: Float, b: Float) -> tuple[Float, Float]:
    """Cholesky solutions of all systems, vectorised over systems; and each one's smallest relative pivot."""
    rank = A.shape[1]
    A, x = np.ascontiguousarray(A.transpose(1, 2, 0)), np.array(b.T, order="C")
    diagonal = A[np.arange(rank), np.arange(rank)].copy()
    smallest = np.full(len(b), np.inf, A.dtype)
    with np.errstate(all="ignore"):  # a singular system turns into NaN, which the caller sees by its pivot
        for j in range(rank):
            A[j:, j] -= np.einsum("ikm,km->im", A[j:, :j], A[j, :j])
            smallest = np.minimum(smallest, A[j, j] / diagonal[j])
            A[j:, j] /= np.sqrt(A[j, j])
        for j in range(rank):
            x[j] = (x[j] - np.einsum("km,km->m", A[j, :j], x[:j])) / A[j, j]
        for j in reversed(range(rank)):
            x[j] = (x[j] - np.einsum("km,km->m", A[j + 1 :, j], x[j + 1 :])) / A[j, j]
    return x.T, smallest


def solve_row_by_row(A: Float, b: Float) -> tuple[Float, Float]:
    """The same as `solve_side_by_side` with LAPACK's posv for each system."""
    posv = lapack.sposv if A.dtype == np.float32 else lapack.dposv
    x, smallest = np.zeros_like(b), np.zeros(len(b), b.dtype)
    for row in range(len(b)):
        factor, solution, info = posv(A[row], b[row], lower=1)
        if info == 0:
            x[row] = solution
            smallest[row] = (factor.diagonal() ** 2 / A[row].diagonal()).min()
    return x, smallest


def solve_nonnegative(A: Float, b: Float) -> tuple[Float, Bools]:
    """Minimise  x'Ax/2 - b.x  over x >= 0 for many systems, exactly, by block principal pivoting.

    Each entry is either free (its gradient (Ax - b) is zero) or fixed at zero (its gradient is not negative).
    Guess which, solve for the free ones, exchange every entry that turned out wrong, and repeat. When full
    exchanges stop helping, exchange only the last wrong entry, which cannot cycle. Kim and Park, "Fast
    nonnegative matrix factorization: an active-set-like method and comparisons" (2011).
    """
    m, rank = b.shape
    x, failed = np.zeros((m, rank)), np.zeros(m, np.bool_)
    free = np.zeros((m, rank), np.bool_)
    fewest, patience = np.full(m, rank + 1), np.full(m, 3)
    open_ = np.flatnonzero((b > 0).any(axis=1))
    scale = 16 * np.finfo(A.dtype).eps * rank * np.abs(b).max(axis=1, initial=0)
    wrong = ~free & (b > 0)
    for _ in range(100 * rank):
        if not len(open_):
            break
        count = wrong[open_].sum(axis=1)
        better = count < fewest[open_]
        fewest[open_] = np.minimum(fewest[open_], count)
        patience[open_] = np.where(better, 3, patience[open_] - 1)
        last = rank - 1 - np.argmax(wrong[open_][:, ::-1], axis=1)
        single = np.arange(rank) == last[:, None]
        free[open_] ^= np.where((patience[open_] >= 0)[:, None], wrong[open_], single)
        solution, singular = _solve_free(A[open_], b[open_], free[open_])
        failed[open_[singular]] = True
        x[open_] = solution
        gradient = np.einsum("mij,mj->mi", A[open_], solution) - b[open_]
        slack = scale[open_, None]
        diagonal = np.einsum("mii->mi", A[open_])
        wrong[open_] = np.where(free[open_], solution * diagonal < -slack, gradient < -slack)
        open_ = open_[wrong[open_].any(axis=1) & ~singular]
    failed[open_] = True  # not reached in exact arithmetic
    x[failed] = 0
    return np.maximum(x, 0), failed


def _solve_free(A: Float, b: Float, free: Bools) -> tuple[Float, Bools]:
    """Solve for the free entries with the others at zero: rows and columns of those become the identity."""
    both = free[:, :, None] & free[:, None, :]
    reduced = np.where(both, A, 0) + np.where(free, 0, 1)[:, :, None] * np.eye(A.shape[1])
    solve = solve_side_by_side if A.shape[1] <= SIDE_BY_SIDE_RANK else solve_row_by_row
    x, smallest = solve(reduced, np.where(free, b, 0))
    singular = ~(smallest > least_pivot(A))
    x[singular] = 0
    return np.where(free, x, 0), singular
