"""The arithmetic of ALS in plain NumPy and SciPy: correct everywhere, and the oracle of the compiled kernels.

Every function is pure: arrays in, new arrays out. Letters are those of the papers: a row x of the destination
solves

    A x = b,   A = sum w y y' (+ Y'Y) + c I,   b = sum t y

over the row's ratings, with source rows y and, for a rating r (`_numpy_equations.weights_and_targets`),

    explicit   w = 1            t = r                                 c = reg * number of ratings
    implicit   w = alpha |r|    t = 1 + alpha |r| if r > 0 else 0     c = reg * number of ratings > 0

The squared error of the row comes with the solution. It is E(x) = q - 2 b.x + x'(A - cI)x with q = sum of
(weight * target value squared), and since A x = b that is q - b.x - c |x|^2. (With x >= 0 enforced the same holds:
x'(Ax - b) = 0 is one of the optimality conditions.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from daskals.kernels.numpy.cg import cg_steps_on_rows
from daskals.kernels.numpy.equations import (
    SIDE_BY_SIDE_RANK,
    are_too_few,
    assemble_row_by_row,
    assemble_side_by_side,
    row_sums,
    solve_equations,
    weights_and_targets,
)
from daskals.kernels.types import Float, Float32, Float64, Int32, Int64, Losses

#: Bytes of normal equations in hand at a time.
BATCH_BYTES = 4 << 20


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
    q, counted, weight = row_sums(indptr, ratings, None if gram is None else alpha)
    c = reg * counted
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
            x, b, residual = cg_steps_on_rows(*equations, gram, c[batch], previous[batch], cg_steps)
            explained[batch] = np.einsum("ij,ij->i", b + residual, x, dtype=np.float64)
        else:
            A, b = assemble_side_by_side(*equations) if side_by_side else assemble_row_by_row(*equations)
            A[:, np.arange(rank), np.arange(rank)] += c[batch, None].astype(A.dtype)
            if gram is not None:
                A += gram.astype(A.dtype)
            x, failed[batch] = solve_equations(A, b, nonnegative=nonnegative)
            if gram is None and not nonnegative:
                failed[batch] |= are_too_few(np.diff(equations[0]), b, c[batch])
            explained[batch] = np.einsum("ij,ij->i", b, x, dtype=np.float64)
        rows[batch] = x
        norms[batch] = np.einsum("ij,ij->i", x, x, dtype=np.float64)
    solved = ~failed
    losses = Losses(
        squared_error=float((q - explained - c * norms)[solved].sum()),
        penalty=float((c * norms)[solved].sum()),
        weight=weight,
    )
    return Solution(rows, np.flatnonzero(failed), losses)


def no_equations(n_rows: int, rank: int, dtype: npt.DTypeLike) -> tuple[Float, Float]:
    """A and b of ``n_rows`` rows without ratings, for `add_equations`; only the kernels know what A looks like."""
    return np.zeros((n_rows, rank, rank), dtype), np.zeros((n_rows, rank), dtype)


def add_equations(
    A: Float, b: Float, indptr: Int64, sources: Int32, ratings: Float32, factors: Float, alpha: float | None
) -> None:
    """Add ratings of every row to its A and b; ``alpha`` None is the explicit objective."""
    weights, targets = weights_and_targets(ratings, alpha, factors.dtype)
    assemble = assemble_side_by_side if factors.shape[1] <= SIDE_BY_SIDE_RANK else assemble_row_by_row
    more = assemble(indptr, sources, weights, targets, factors)
    A += more[0]
    b += more[1]


def whole_equations(A: Float, b: Float, rank: int, dtype: npt.DTypeLike) -> tuple[Float, Float]:
    """Symmetric A (rows, rank, rank) and b (rows, rank) of this type, new arrays, after all `add_equations`."""
    assert A.shape[1:] == (rank, rank)
    return A.astype(dtype), b.astype(dtype)
