"""Block coordinate descent on rows of large rank, in plain NumPy and SciPy: the oracle of the compiled form.

A row x of the destination minimises, over its ratings with source rows y, weights w and targets t,

    x' A x / 2 - b.x,   A = D + sum w y y',   D = diag(diagonal + c),   b = sum t y

(`daskals.kernels.numpy.solving` has w, t and c; ``diagonal`` is the Gram matrix of the source rows after they have been
rotated to its eigenvectors, or zero.) An exact solution takes n rank^2 + rank^3 / 3 multiplications for n ratings.
A sweep takes runs of ``size`` columns of x in order, and moves each run to where the objective is least while the
others stay:

    x_run -= H^-1 g,   H = D_run + sum w y_run y_run',   g = D_run x_run + sum (w s - t) y_run

where s = y.x are the scores of the row's ratings, which are kept up to date. That takes n rank size + rank size^2 / 3
multiplications. No sweep raises the objective, and sweeps converge to the exact solution. After Rendle, Krichene, Zhang
and Koren, "iALS++: Speeding up matrix factorization with subspace optimization" (2021).

Short rows are solved exactly instead, all columns at once (`daskals.kernels.numpy.short_rows`): up to `SHORT_SHARE`
``size`` ratings that is no more than a sweep takes, and nothing is left to later sweeps.
"""

from __future__ import annotations

import numpy as np

from daskals.kernels.numpy.equations import (
    SIDE_BY_SIDE_RANK,
    assemble_row_by_row,
    assemble_side_by_side,
    solve_systems,
)
from daskals.kernels.numpy.short_rows import DUAL_SHARE, solve_short_row
from daskals.kernels.types import Float, Float32, Int32, Int64

#: Rows of at most this share of ``size`` in ratings are short: a sweep takes as long from 1.5 (size 64) or 1.25 (size
#: 128) on, at ranks 512 and 2048, compiled.
SHORT_SHARE = 1.25


def subspace_sweep(
    indptr: Int64,
    positions: Int32,
    weights: Float | None,
    targets: Float,
    factors: Float,
    d: Float,
    previous: Float32,
    size: int,
) -> tuple[Float, Float]:
    """One sweep over every row of a CSR block.

    Parameters
    ----------
    indptr : array of int64, shape (rows + 1,)
    positions : array of int32, shape (ratings,)
        Which row of ``factors`` each rating is of.
    weights, targets : arrays of the dtype of ``factors``, shape (ratings,)
        w >= 0 and t of each rating; ``weights`` None are all 1.
    factors : array, shape (source rows, rank)
        Its dtype is that of the arithmetic. Columns from the rank on are not looked at.
    d : array, shape (rows, rank)
        The diagonal D = diag(diagonal + c) of each row.
    previous : array of float32, shape (rows, rank)
        Where the sweep begins. Short rows do not look at it.
    size : int
        Columns of a run; the last run may have fewer.

    Returns
    -------
    x : array of the dtype of ``factors``, shape (rows, rank)
        Rows whose targets are all zero are zero. A run whose H is singular to working precision stays as it was.
    scores : array of the dtype of ``factors``, shape (ratings,)
        y.x of each rating.
    """
    rank, dtype = previous.shape[1], factors.dtype
    factors, d = factors[:, :rank], d.astype(dtype)
    x = previous.astype(dtype)
    row_of = np.repeat(np.arange(len(x)), np.diff(indptr))
    done = np.bincount(row_of[targets != 0], minlength=len(x)) == 0
    x[done] = 0
    short = ~done & (np.diff(indptr) <= min(SHORT_SHARE * size, DUAL_SHARE * rank)) & (d > 0).all(axis=1)
    for row in np.flatnonzero(short):
        cut = slice(indptr[row], indptr[row + 1])
        w = np.ones(cut.stop - cut.start, dtype) if weights is None else weights[cut]
        solution = solve_short_row(factors[positions[cut]], w, targets[cut], d[row])
        if solution is not None:
            x[row], done[row] = solution, True
    scores: Float = np.einsum("ij,ij->i", factors[positions], x[row_of])
    equations = np.bincount(row_of if weights is None else row_of[weights != 0], minlength=len(x))
    assemble = assemble_side_by_side if min(size, rank) <= SIDE_BY_SIDE_RANK else assemble_row_by_row
    for first in range(0, rank, size):
        run = slice(first, min(first + size, rank))
        columns = np.ascontiguousarray(factors[:, run])
        residuals = targets - (scores if weights is None else weights * scores)
        H, descent = assemble(indptr, positions, weights, residuals, columns)
        H[:, np.arange(H.shape[1]), np.arange(H.shape[1])] += d[:, run]
        change, _ = solve_systems(H, descent - d[:, run] * x[:, run])
        # more unknowns than equations and penalties: rounding can hide it from the pivots
        change[done | ((d[:, run] == 0).sum(axis=1) > equations)] = 0
        x[:, run] += change
        scores += np.einsum("ij,ij->i", columns[positions], change[row_of])
    return x, scores
