"""The arithmetic of ALS in plain NumPy and SciPy: correct everywhere, and the oracle of the compiled kernels.

Every function is pure: arrays in, new arrays out. Letters are those of the papers: a row x of the destination
solves

    A x = b,   A = sum w y y' (+ Y'Y) + c I,   b = sum t y

over the row's ratings, with source rows y and, for a rating r (`weights_and_targets`),

    explicit   w = 1            t = r                                 c = reg * number of ratings
    implicit   w = alpha |r|    t = 1 + alpha |r| if r > 0 else 0     c = reg * number of ratings > 0

The squared error of the row comes with the solution. It is E(x) = q - 2 b.x + x'(A - cI)x with q = sum of
(weight * target value squared), and since A x = b that is q - b.x - c |x|^2. (With x >= 0 enforced the same holds:
x'(Ax - b) = 0 is one of the optimality conditions.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import lapack

from daskals.blocks import AnyArray, Float, Float32, Float64, Int32, Int64, Losses
from daskals.kernels._numpy_scores import predict_pairs, top_k

__all__ = ["Solution", "name", "predict_pairs", "regroup", "solve_rows", "top_k"]

name = "numpy"

#: Up to this rank all equations of a batch are assembled by one sparse product and solved side by side; above
#: it each row has its own BLAS and LAPACK calls. On the first 20,000 users of ML-20M's
#: shape, 2 threads, one BLAS thread each, best of three, row by row took 4.2 / 2.7 / 1.6 / 1.1 / 0.5 times as long at
#: rank 10 / 16 / 20 / 24 / 32.
SIDE_BY_SIDE_RANK = 20
#: Rounding errors that a pivot is taken to have collected, in units of rank times machine precision. With 1, up to
#: 58 of 300 random singular matrices passed as regular. With 8 some still do (8 to 15 of 200, where a rating that
#: stands twice is all that is missing): rows with fewer ratings than the rank are therefore counted, not measured.
PIVOT_ERRORS = 8
#: Bytes of normal equations in hand at a time.
BATCH_BYTES = 4 << 20
#: Products of pairs of source columns made at a time when assembling side by side.
TABLE_COLUMNS = 64


class Solution(NamedTuple):
    """What `solve_rows` returns."""

    #: (rows, rank) float32; rows that failed hold zeros
    rows: Float32
    #: which rows have equations that are singular to working precision
    failed: Int64
    #: sums over the rows that were solved
    losses: Losses


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
    """Solve the normal equations of every row of a CSR block.

    Parameters
    ----------
    indptr, sources, ratings
        The rows' ratings, as in `daskals.blocks.InBlock`.
    factors : array, shape (sources, rank)
        Source rows; their dtype, float32 or float64, is the precision of the arithmetic.
    gram : array of float64, shape (rank, rank), or None
        Y'Y of all source rows for the implicit objective; None means the explicit one.
    previous : array of float32, shape (rows, rank), and cg_steps : int
        With ``cg_steps`` > 0 the equations are not solved exactly but improved on: so many steps of the method of
        conjugate gradients, from the rows ``previous``. No row fails then.
    """
    n_rows, rank = len(indptr) - 1, factors.shape[1]
    side_by_side = rank <= SIDE_BY_SIDE_RANK
    weights, targets = weights_and_targets(ratings, None if gram is None else alpha, factors.dtype)
    squares = weights_of_squares(ratings, targets, implicit=gram is not None)
    counted = np.ones(len(ratings)) if gram is None else (ratings > 0)
    c = reg * sum_rows(indptr, counted)
    rows = np.zeros((n_rows, rank), np.float32)
    failed = np.zeros(n_rows, np.bool_)
    explained, norms = np.zeros(n_rows), np.zeros(n_rows)
    # (a conjugate gradient step holds source rows and products of them, a solve one matrix for each row)
    row_bytes = rank * factors.itemsize * (2 * len(ratings) / max(1, n_rows) if cg_steps else rank)
    step = max(1, int(BATCH_BYTES // max(1, row_bytes)))
    for first in range(0, n_rows, step):
        batch = slice(first, min(first + step, n_rows))
        cut = slice(indptr[batch.start], indptr[batch.stop])
        equations = (
            indptr[batch.start : batch.stop + 1] - cut.start,
            sources[cut],
            None if weights is None else weights[cut],
            targets[cut],
            factors,
        )
        if cg_steps:
            assert previous is not None
            x, b, residual = improve(*equations, gram, c[batch], previous[batch], cg_steps)
            explained[batch] = np.einsum("ij,ij->i", b + residual, x, dtype=np.float64)
        else:
            A, b = assemble_side_by_side(*equations) if side_by_side else assemble_row_by_row(*equations)
            A[:, np.arange(rank), np.arange(rank)] += c[batch, None].astype(A.dtype)
            if gram is not None:
                A += gram.astype(A.dtype)
            x, failed[batch] = solve_equations(A, b, nonnegative=nonnegative)
            if gram is None and not nonnegative:
                # fewer equations than unknowns: rounding can hide it from the pivots
                failed[batch] |= (c[batch] == 0) & (np.diff(equations[0]) < rank) & b.any(axis=1)
            explained[batch] = np.einsum("ij,ij->i", b, x, dtype=np.float64)
        rows[batch] = x
        norms[batch] = np.einsum("ij,ij->i", x, x, dtype=np.float64)
    solved = ~failed
    q = sum_rows(indptr, squares)
    losses = Losses(
        squared_error=float((q - explained - c * norms)[solved].sum()),
        penalty=float((c * norms)[solved].sum()),
        weight=float(len(ratings) if weights is None else weights.sum(dtype=np.float64)),
    )
    return Solution(rows, np.flatnonzero(failed), losses)


def weights_and_targets(ratings: Float32, alpha: float | None, dtype: npt.DTypeLike) -> tuple[Float | None, Float]:
    """w and t of each rating (see the head of the module); ``alpha`` None is the explicit objective, w = 1."""
    if alpha is None:
        return None, ratings.astype(dtype)
    weights = (alpha * np.abs(ratings)).astype(dtype)
    return weights, np.where(ratings > 0, 1 + weights, 0).astype(dtype)


def weights_of_squares(ratings: Float32, targets: Float, *, implicit: bool) -> Float64:
    """Each rating's part of q: r^2, or in implicit mode the confidence of a positive preference."""
    return targets.astype(np.float64) if implicit else ratings.astype(np.float64) ** 2


def sum_rows(indptr: Int64, values: npt.NDArray[Any]) -> Float64:
    """Sums of ``values`` over the rows of a CSR block, float64."""
    total: Float64 = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return total[indptr[1:]] - total[indptr[:-1]]


# ---- assembling A and b ----------------------------------------------------------------------------------


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
    return A, sparse.csr_matrix((targets, sources, indptr), shape) @ factors


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


# ---- solving A x = b -------------------------------------------------------------------------------------


def solve_equations(A: Float, b: Float, *, nonnegative: bool = False) -> tuple[Float, npt.NDArray[np.bool_]]:
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


def solve_nonnegative(A: Float, b: Float) -> tuple[Float, npt.NDArray[np.bool_]]:
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


def _solve_free(A: Float, b: Float, free: npt.NDArray[np.bool_]) -> tuple[Float, npt.NDArray[np.bool_]]:
    """Solve for the free entries with the others at zero: rows and columns of those become the identity."""
    both = free[:, :, None] & free[:, None, :]
    reduced = np.where(both, A, 0) + np.where(free, 0, 1)[:, :, None] * np.eye(A.shape[1])
    solve = solve_side_by_side if A.shape[1] <= SIDE_BY_SIDE_RANK else solve_row_by_row
    x, smallest = solve(reduced, np.where(free, b, 0))
    singular = ~(smallest > least_pivot(A))
    x[singular] = 0
    return np.where(free, x, 0), singular


# ---- conjugate gradients ---------------------------------------------------------------------------------


def improve(
    indptr: Int64,
    sources: Int32,
    weights: Float | None,
    targets: Float,
    factors: Float,
    gram: Float64 | None,
    c: Float64,
    previous: Float32,
    steps: int,
) -> tuple[Float, Float, Float]:
    """``steps`` steps of conjugate gradients on A x = b for all rows, from ``previous``, A never being formed.

    Returns x, b and the residuals b - A x, each of shape (rows, rank). All rows take their steps together; a row
    whose residual is zero stays. With an inexact x the squared error is q - (b + residual).x - c |x|^2. After
    Takács, Pilászy and Tikk, "Applications of the conjugate gradient method for implicit feedback collaborative
    filtering" (2011).
    """
    shape = (len(indptr) - 1, len(factors))
    Y = factors[sources]
    row_of = np.repeat(np.arange(shape[0]), np.diff(indptr))

    def apply(x: Float) -> Float:
        scores = np.einsum("ij,ij->i", Y, x[row_of])
        product: Float = (
            sparse.csr_matrix((scores if weights is None else weights * scores, sources, indptr), shape) @ factors
        )
        product += c[:, None].astype(x.dtype) * x
        return product if gram is None else product + x @ gram.astype(x.dtype)

    b = sparse.csr_matrix((targets, sources, indptr), shape) @ factors
    x = previous.astype(factors.dtype)
    residual = b - apply(x)
    direction = residual
    square = np.einsum("ij,ij->i", residual, residual)
    # residuals this small are rounding errors; steps on them would divide zero by zero
    enough = np.finfo(x.dtype).eps ** 2 * np.maximum(square, np.einsum("ij,ij->i", b, b))
    for _ in range(steps):
        image = apply(direction)
        curvature = np.einsum("ij,ij->i", direction, image)
        useful = (curvature > 0) & (square > enough)
        length = np.divide(square, curvature, out=np.zeros_like(square), where=useful)[:, None]
        x = x + length * direction
        residual = residual - length * image
        before, square = square, np.einsum("ij,ij->i", residual, residual)
        ratio = np.divide(square, before, out=np.zeros_like(square), where=useful)[:, None]
        direction = residual + ratio * direction
    return x, b, residual


# ---- sorting by counting ---------------------------------------------------------------------------------


def regroup(keys: Sequence[Int32], n_keys: int, *columns: Sequence[AnyArray]) -> tuple[AnyArray, ...]:
    """Columns sorted by integer keys in [0, n_keys), and where each key's run begins in them.

    Keys and columns come in parts, which are read one after the other; equal keys stay in the order given. Returns
    starts, int64 (n_keys + 1,), and the columns, each in one array. Linear in the number of keys: the transposition
    of a sparse matrix with one entry a row is such a sort, and SciPy has it compiled.
    """
    joined = np.concatenate(keys)
    n = len(joined)
    entries = sparse.csr_matrix((np.arange(n), joined, np.arange(n + 1)), (n, n_keys)).tocsc()
    return entries.indptr.astype(np.int64), *(np.concatenate(column)[entries.data] for column in columns)
