"""The arithmetic of ALS compiled by Numba: the functions of `daskals.kernels.numpy.solving`, with the same signatures.

Everything releases Python's lock and is cached between processes. `daskals.kernels.numpy.solving` has the formulas and
says what each function does; `daskals.kernels.numba.exact` and `daskals.kernels.numba.cg` say how it is made fast. Here
arrays are laid out for them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from daskals.kernels.arrays import as_kernel_array
from daskals.kernels.eigenbasis import base_of, into_basis, out_of_basis
from daskals.kernels.numba.cg import cg_equations, cg_rows
from daskals.kernels.numba.exact import (
    add_rows_to_equations,
    solve_equations_exactly,
    solve_rows_by_dual,
    solve_rows_exactly,
    solve_short_rows,
)
from daskals.kernels.numba.losses import direct_errors, loss_table, sum_table
from daskals.kernels.numba.subspace import subspace_rows
from daskals.kernels.numba.terms import terms_of
from daskals.kernels.numpy.terms import start_of
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.tallies import known_terms
from daskals.kernels.types import (
    Basis,
    Bools,
    Equations,
    Float,
    Float32,
    Float64,
    Rows,
    Solution,
    SourceRows,
    Tallies,
    Terms,
)


def pack_sources(blocks: Sequence[Float32], dtype: npt.DTypeLike) -> SourceRows:
    """Join the rows of all blocks and pad them to a multiple of 8 entries; see `daskals.kernels.numpy.solving`."""
    rank = blocks[0].shape[1]
    padded = _padded(rank)
    if len(blocks) == 1 and padded == rank:
        return SourceRows(as_kernel_array(blocks[0], dtype), rank)
    values = np.zeros((sum(map(len, blocks)), padded), dtype)
    first = 0
    for block in blocks:
        values[first : first + len(block), :rank] = block
        first += len(block)
    return SourceRows(values, rank)


def solve_rows(
    rows: Rows,
    sources: SourceRows,
    gram: Float64 | None,
    objective: Objective,
    solver: Solver,
    previous: Float32 | None = None,
) -> Solution:
    """Solve the normal equations of every row; see `daskals.kernels.numpy.solving.solve_rows`."""
    rank, factors = sources.rank, as_kernel_array(sources.values, sources.values.dtype)
    rows = _as_kernel_rows(rows)
    terms = terms_of(rows, sources.offsets, objective, factors.dtype)
    previous = start_of(previous, terms, objective)
    solution, failed, table = _room_for(len(rows.indptr) - 1, rank)
    weights = _or_none(terms.weights, factors.dtype)
    problem = (rows.indptr, rows.source_positions, terms.targets, weights, terms.q, terms.c, factors, rank)
    common = _common(gram, sources, objective, terms)
    if solver.cg_steps:
        cg_rows(*problem, *common, _start_rows(previous, sources.basis), solver.cg_steps, solution, table)
    elif solver.subspace:
        start = _start_rows(previous, sources.basis)
        diagonal = common[1] if sources.basis is not None else np.zeros(factors.shape[1], factors.dtype)
        subspace_rows(*problem, diagonal, start, solver.subspace, solution, table)
    else:
        solved = np.zeros(len(solution), np.bool_)
        if len(common[1]):
            solve_short_rows(*problem, common[1], solution, table, solved)
        elif not (objective.implicit or objective.nonnegative):
            targets = terms.targets.reshape(-1, 1)
            unweighted = (rows.indptr, rows.source_positions, targets, terms.q, terms.c, factors, rank)
            solve_rows_by_dual(*unweighted, solution, table, solved, failed)
        given = (common[0], common[1] if len(common[1]) else None, objective.nonnegative or None)
        solve_rows_exactly(*problem, *given, solution, table, solved, failed)
    _clip(solution, objective)
    if not objective.implicit:
        direct_errors(rows.indptr, rows.source_positions, terms.targets, weights, factors, solution, table)
    if sources.basis is not None:
        solution = out_of_basis(solution, sources.basis)
    return Solution(solution, np.flatnonzero(failed), sum_table(table, terms.weight, objective.least_error))


def no_equations(n_rows: int, rank: int, dtype: npt.DTypeLike) -> Equations:
    """The equations of rows without ratings, padded as `assemble` wants them."""
    padded = _padded(rank)
    A, b = np.zeros((n_rows, padded, padded), dtype), np.zeros((n_rows, padded), dtype)
    return Equations(A, b, np.zeros(n_rows), rank)


def add_equations(
    equations: Equations, rows: Rows, sources: SourceRows, objective: Objective, *, in_place: bool = False
) -> Equations:
    """The equations with these ratings added; see `daskals.kernels.numpy.solving.add_equations`."""
    A, b = (equations.A, equations.b) if in_place else (equations.A.copy(), equations.b.copy())
    factors, rows = as_kernel_array(sources.values, sources.values.dtype), _as_kernel_rows(rows)
    terms = terms_of(rows, sources.offsets, objective, factors.dtype)
    targets, weights = terms.targets.reshape(-1, 1), _or_none(terms.weights, factors.dtype)
    add_rows_to_equations(A, b, rows.indptr, rows.source_positions, targets, weights, factors, sources.rank)
    return Equations(A, b, equations.q + terms.q, equations.rank)


def solve_equations(
    equations: Equations,
    tallies: Tallies,
    gram: Float64 | None,
    objective: Objective,
    solver: Solver,
    previous: Float32 | None = None,
) -> Solution:
    """Solve equations to which all ratings were added; see `daskals.kernels.numpy.solving.solve_equations`."""
    rank, dtype = equations.rank, solver.dtype
    A, b = (as_kernel_array(each, dtype) for each in (equations.A, equations.b))
    terms = known_terms(as_kernel_array(equations.q, np.float64), tallies, objective)
    previous = start_of(previous, terms, objective)
    base = _padded_base(base_of(gram, None, objective), rank, dtype)
    solution, failed, table = _room_for(len(b), rank)
    known = (terms.q, terms.c, rank, base)
    if solver.cg_steps:
        cg_equations(A, b, *known, _start_rows(previous, None), solver.cg_steps, solution, table)
    else:
        n_ratings = as_kernel_array(tallies.n_ratings, np.int64)
        solve_equations_exactly(A, b, n_ratings, *known, objective.nonnegative or None, solution, failed, table)
    _clip(solution, objective)
    return Solution(solution, np.flatnonzero(failed), sum_table(table, terms.weight, objective.least_error))


def _padded(rank: int) -> int:
    return -(-rank // 8) * 8


@np.errstate(over="ignore")  # what overflows ends as a loss that is not finite, which the fit warns of
def _padded_base(base: Float64 | None, rank: int, dtype: npt.DTypeLike) -> Float:
    """What is in A of every row, with zeros to a multiple of 8; of no rows where there is nothing."""
    if base is None:
        return np.zeros((0, 0), dtype)
    padded = np.zeros((_padded(rank), _padded(rank)), dtype)
    padded[:rank, :rank] = base
    return padded


def _or_none(weights: Float | None, dtype: npt.DTypeLike) -> Float:
    """Weights as compiled code takes them: none at all where all are 1."""
    return np.zeros(0, dtype) if weights is None else weights


@np.errstate(over="ignore")
def _common(gram: Float64 | None, sources: SourceRows, objective: Objective, terms: Terms) -> tuple[Float, Float]:
    """What A of every row has in common: as a matrix, or by its diagonal where that is all it has.

    Weighted explicit rows have a diagonal of zeros in common, to which their penalty comes: their dual is the one of
    `daskals.kernels.numba.short_rows`.
    """
    rank, dtype = sources.rank, sources.values.dtype
    if sources.basis is None:
        base, diagonal = _padded_base(base_of(gram, None, objective), rank, dtype), np.zeros(0, dtype)
        if not (objective.implicit or objective.nonnegative or terms.weights is None):
            diagonal = np.zeros(_padded(rank), dtype)
        return base, diagonal
    diagonal = np.zeros(_padded(rank), dtype)
    diagonal[:rank] = objective.gram_weight * sources.basis.values
    return _padded_base(None, rank, dtype), diagonal


def _start_rows(previous: Float32 | None, basis: Basis | None) -> Float32:
    if previous is None:
        raise TypeError("previous is needed where rows are not solved exactly, and was not given")
    return as_kernel_array(previous if basis is None else into_basis(previous, basis), np.float32)


def _as_kernel_rows(rows: Rows) -> Rows:
    return Rows(
        as_kernel_array(rows.indptr, np.int64),
        as_kernel_array(rows.source_positions, np.int32),
        as_kernel_array(rows.ratings, np.float32),
        None if rows.weights is None else as_kernel_array(rows.weights, np.float32),
    )


def _room_for(n_rows: int, rank: int) -> tuple[Float32, Bools, Float64]:
    """Arrays that a compiled function writes to: the solution, which rows failed, and the table of losses."""
    return np.zeros((n_rows, rank), np.float32), np.zeros(n_rows, np.bool_), loss_table(n_rows)


def _clip(solution: Float32, objective: Objective) -> None:
    """Take from nonnegative rows what rounding left below zero."""
    if objective.nonnegative:
        np.maximum(solution, 0, out=solution)
