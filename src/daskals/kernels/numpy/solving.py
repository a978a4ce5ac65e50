"""The arithmetic of ALS in plain NumPy and SciPy: correct everywhere, and the oracle of the compiled kernels.

Every function is pure: arrays in, new arrays out. Letters are those of the papers: a row x of the destination
solves

    A x = b,   A = sum w y y' (+ g Y'Y) + c I,   b = sum t y

over the row's ratings, with source rows y. What w, t, g and c are follows from the ratings and the objective
(`daskals.kernels.numpy.terms`, `daskals.kernels.objective.Objective`).

There are two ways to the equations. `solve_rows` has all source rows at hand, and makes the equations of some rows,
solves them and forgets them. Where the source rows come in parts, `add_equations` adds up the equations of all rows
part by part, and `solve_equations` solves them at the end. What follows after the equations is one code for both. In
single precision the two differ by rounding, since sums are taken in another order.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from daskals.kernels.eigenbasis import base_of, into_basis, out_of_basis
from daskals.kernels.numpy.cg import Product, conjugate_gradients, product_without_A, right_hand_sides
from daskals.kernels.numpy.equations import (
    SIDE_BY_SIDE_RANK,
    are_too_few,
    assemble_row_by_row,
    assemble_side_by_side,
    solve_systems,
)
from daskals.kernels.numpy.losses import CANCELLED, direct_errors
from daskals.kernels.numpy.short_rows import DUAL_SHARE, solve_short_row
from daskals.kernels.numpy.subspace import subspace_sweep
from daskals.kernels.numpy.terms import start_of, sum_rows, terms_of
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.tallies import known_terms
from daskals.kernels.types import (
    Bools,
    Equations,
    Float,
    Float32,
    Float64,
    Int32,
    Int64,
    Losses,
    Rows,
    Solution,
    SourceRows,
    Tallies,
    Terms,
)

#: Bytes of normal equations in hand at a time.
BATCH_BYTES = 4 << 20

_Array = TypeVar("_Array")
#: Solves rows ``batch`` whose c are given: returns x (rows, rank), which rows failed, and b.x with the b that belongs
#: to x (`daskals.kernels.numpy.losses`).
BatchSolver = Callable[[slice, Float64], tuple[Float, Bools, Float64]]


#: What overflows ends as a loss that is not finite, which the fit warns of: NumPy's own warnings name no cause.
_numbers_may_be_too_large = np.errstate(over="ignore", invalid="ignore")


def pack_sources(blocks: Sequence[Float32], dtype: npt.DTypeLike) -> SourceRows:
    """Join the rows of all blocks, each (rows of the block, rank), as `solve_rows` wants them."""
    whole = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    return SourceRows(np.require(whole, dtype, ["C", "A"]), whole.shape[1])


@_numbers_may_be_too_large
def solve_rows(
    rows: Rows,
    sources: SourceRows,
    gram: Float64 | None,
    objective: Objective,
    solver: Solver,
    previous: Float32 | None = None,
) -> Solution:
    """Solve the normal equations of every row.

    Parameters
    ----------
    rows
        The ratings of the rows.
    sources
        All source rows, packed with the dtype of the solver.
    gram : array of float64, shape (rank, rank)
        Y'Y of all source rows. The implicit objective needs it, unless the sources have a basis; the explicit one does
        not look at it.
    objective, solver
        What is minimised, and how.
    previous : array of float32, shape (rows, rank)
        The rows as they were. Conjugate gradients and sweeps start from them, and no row fails with them; an exact
        solution does not look at them.
    """
    factors, rank = sources.values, sources.rank
    terms = terms_of(rows, sources.offsets, objective, factors.dtype)
    base = base_of(gram, sources.basis, objective)
    matrix = None if base is None else base.astype(factors.dtype)
    assemble = assemble_side_by_side if rank <= SIDE_BY_SIDE_RANK else assemble_row_by_row
    previous = start_of(previous, terms, objective)
    if previous is not None and sources.basis is not None:
        previous = into_basis(previous, sources.basis)

    def solve(batch: slice, c: Float64) -> tuple[Float, Bools, Float64]:
        cut = slice(rows.indptr[batch.start], rows.indptr[batch.stop])
        indptr = rows.indptr[batch.start : batch.stop + 1] - cut.start
        positions, t = rows.source_positions[cut], terms.targets[cut]
        w = None if terms.weights is None else terms.weights[cut]
        if solver.cg_steps:
            apply = product_without_A(indptr, positions, w, factors, matrix, c)
            b = right_hand_sides(indptr, positions, t, factors)
            return _improve(apply, b, _needed(previous, "previous")[batch], solver)
        if solver.subspace:
            d = c[:, None] + (np.zeros(rank) if sources.basis is None else np.diagonal(_needed(base, "basis")))
            start = _needed(previous, "previous")[batch]
            return _sweep((indptr, positions, w, t), factors, d.astype(factors.dtype), start, solver.subspace)
        if sources.basis is not None and rank > SIDE_BY_SIDE_RANK:
            d = objective.gram_weight * sources.basis.values + c[:, None]
            return _solve_in_eigenbasis(indptr, positions, _needed(w, "w"), t, factors, d.astype(factors.dtype))
        A, b = assemble(indptr, positions, w, t, factors)
        A[:, np.arange(rank), np.arange(rank)] += c[:, None].astype(A.dtype)
        if matrix is not None:
            A += matrix
        return _solve_exactly(A, b, c, _count(indptr, w), objective)

    # a conjugate gradient step holds source rows and products of them, an exact solve one matrix for each row
    width = 2 * len(rows.ratings) / max(1, len(rows.indptr) - 1) if solver.cg_steps else rank
    direct = None if objective.implicit else functools.partial(direct_errors, rows, terms, sources)
    n_rows = len(rows.indptr) - 1
    row_bytes = rank * factors.itemsize * width
    solution = _solve_in_batches(n_rows, rank, terms, row_bytes, solve, objective.least_error, direct)
    if sources.basis is not None:
        solution = solution._replace(rows=out_of_basis(solution.rows, sources.basis))
    return solution


def no_equations(n_rows: int, rank: int, dtype: npt.DTypeLike) -> Equations:
    """The equations of ``n_rows`` rows without ratings."""
    return Equations(np.zeros((n_rows, rank, rank), dtype), np.zeros((n_rows, rank), dtype), np.zeros(n_rows), rank)


def add_equations(
    equations: Equations, rows: Rows, sources: SourceRows, objective: Objective, *, in_place: bool = False
) -> Equations:
    """The equations with these ratings of every row added; ``equations`` stay as they are, unless ``in_place``."""
    terms = terms_of(rows, sources.offsets, objective, sources.values.dtype)
    assemble = assemble_side_by_side if sources.rank <= SIDE_BY_SIDE_RANK else assemble_row_by_row
    A, b = assemble(rows.indptr, rows.source_positions, terms.weights, terms.targets, sources.values)
    if in_place:
        A, b = np.add(A, equations.A, out=equations.A), np.add(b, equations.b, out=equations.b)
        return Equations(A, b, equations.q + terms.q, equations.rank)
    return Equations(equations.A + A, equations.b + b, equations.q + terms.q, equations.rank)


@_numbers_may_be_too_large
def solve_equations(
    equations: Equations,
    tallies: Tallies,
    gram: Float64 | None,
    objective: Objective,
    solver: Solver,
    previous: Float32 | None = None,
) -> Solution:
    """Solve equations to which all ratings have been added; other arguments and the result are those of `solve_rows`.

    ``tallies`` are those of all ratings. Source rows are not at hand here. So the squared error of a row that is nearly
    fitted is not computed again from residuals; it is only kept from being negative (`daskals.kernels.numpy.losses`).
    """
    rank, dtype = equations.rank, solver.dtype
    base = base_of(gram, None, objective)
    terms = known_terms(equations.q, tallies, objective)
    previous = start_of(previous, terms, objective)

    def solve(batch: slice, c: Float64) -> tuple[Float, Bools, Float64]:
        A, b = equations.A[batch].astype(dtype), equations.b[batch].astype(dtype)
        # (`solve_rows` adds these two in the other order: each way keeps the bits that its fits have always had)
        if base is not None:
            A += base.astype(dtype)
        A[:, np.arange(rank), np.arange(rank)] += c[:, None].astype(dtype)
        if solver.cg_steps:
            return _improve(lambda x: np.einsum("mij,mj->mi", A, x), b, _needed(previous, "previous")[batch], solver)
        return _solve_exactly(A, b, c, tallies.n_ratings[batch], objective)

    n_rows = len(equations.q)
    row_bytes = rank * rank * np.dtype(dtype).itemsize
    return _solve_in_batches(n_rows, rank, terms, row_bytes, solve, objective.least_error)


def _needed(array: _Array | None, name: str) -> _Array:
    if array is None:
        raise TypeError(f"{name} is needed for this objective and solver, and was not given")
    return array


def _improve(apply: Product, b: Float, previous: Float32, solver: Solver) -> tuple[Float, Bools, Float64]:
    """Conjugate gradients from ``previous``, as a `BatchSolver` returns them."""
    x, residual = conjugate_gradients(apply, b, previous.astype(b.dtype), solver.cg_steps)
    return x, np.zeros(len(b), np.bool_), np.einsum("ij,ij->i", b + residual, x, dtype=np.float64)


def _count(indptr: Int64, weights: Float | None) -> Int64:
    """How many ratings of each row count."""
    return np.diff(indptr) if weights is None else sum_rows(indptr, weights != 0).astype(np.int64)


def _solve_in_eigenbasis(
    indptr: Int64, positions: Int32, w: Float, t: Float, factors: Float, d: Float
) -> tuple[Float, Bools, Float64]:
    """The solutions of (diag(d) + sum w y y') x = sum t y, as a `BatchSolver` returns them; d is (rows, rank)."""
    x, failed, explained = np.zeros(d.shape, factors.dtype), np.zeros(len(d), np.bool_), np.zeros(len(d))
    for row, (first, stop) in enumerate(itertools.pairwise(indptr.tolist())):
        Y, weights, targets = factors[positions[first:stop]], w[first:stop], t[first:stop]
        if not targets.any():
            continue  # then x = 0, whatever A is; there may be no ratings at all
        solution = None
        if stop - first <= DUAL_SHARE * d.shape[1] and (d[row] > 0).all():
            solution = solve_short_row(Y, weights, targets, d[row])
        if solution is None:
            (solution,), (failed[row],) = solve_systems(
                ((Y * weights[:, None]).T @ Y + np.diag(d[row]))[None], (targets @ Y)[None]
            )
        x[row] = solution
        explained[row] = np.dot(targets.astype(np.float64), Y @ solution)
    return x, failed, explained


def _sweep(
    ratings: tuple[Int64, Int32, Float | None, Float], factors: Float, d: Float, previous: Float32, size: int
) -> tuple[Float, Bools, Float64]:
    """One sweep of `subspace_sweep`, as a `BatchSolver` returns it."""
    indptr, _, w, t = ratings
    x, scores = subspace_sweep(*ratings, factors, d, previous, size)
    # what takes the place of b.x short of the solution: 2 b.x - x'A x
    wide = scores.astype(np.float64)
    gained = sum_rows(indptr, (2 * t - wide * (1.0 if w is None else w)) * wide)
    return x, np.zeros(len(x), np.bool_), gained - np.einsum("ij,ij,ij->i", d, x, x, dtype=np.float64)


def _solve_exactly(
    A: Float, b: Float, c: Float64, n_ratings: Int64, objective: Objective
) -> tuple[Float, Bools, Float64]:
    """The solutions of A x = b, as a `BatchSolver` returns them."""
    x, failed = solve_systems(A, b, nonnegative=objective.nonnegative)
    if objective.gram_weight == 0 and not objective.nonnegative:
        failed |= are_too_few(n_ratings, b, c)
    return x, failed, np.einsum("ij,ij->i", b, x, dtype=np.float64)


def _solve_in_batches(
    n_rows: int,
    rank: int,
    terms: Terms,
    row_bytes: float,
    solve: BatchSolver,
    least_error: float,
    direct: Callable[[Float32, Int64], Float64] | None = None,
) -> Solution:
    """Solve all rows, `BATCH_BYTES` of them at a time, a row taking so many bytes; and add up their losses.

    ``direct`` gives the squared errors of some rows of a solution by their residuals, if there is a way to them.
    """
    solution, failed = np.zeros((n_rows, rank), np.float32), np.zeros(n_rows, np.bool_)
    explained, norms = np.zeros(n_rows), np.zeros(n_rows)
    step = max(1, int(BATCH_BYTES // max(1, row_bytes)))
    for first in range(0, n_rows, step):
        batch = slice(first, min(first + step, n_rows))
        x, failed[batch], explained[batch] = solve(batch, terms.c[batch])
        solution[batch] = x
        norms[batch] = np.einsum("ij,ij->i", x, x, dtype=np.float64)
    errors = terms.q - explained - terms.c * norms
    if direct is not None:
        cancelled = np.flatnonzero((errors < CANCELLED * terms.q) & ~failed)
        errors[cancelled] = direct(solution, cancelled)
    losses = Losses(
        squared_error=float(np.maximum(errors, least_error)[~failed].sum()),
        penalty=float((terms.c * norms)[~failed].sum()),
        weight=terms.weight,
    )
    return Solution(solution, np.flatnonzero(failed), losses)
