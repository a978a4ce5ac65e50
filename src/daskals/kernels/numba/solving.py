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
from daskals.kernels.numba.cg import cg_equations, cg_rows
from daskals.kernels.numba.exact import add_rows_to_equations, solve_equations_exactly, solve_rows_exactly
from daskals.kernels.numba.losses import direct_errors, loss_table, sum_table
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.types import Bools, Equations, Float, Float32, Float64, Rows, Solution, SourceRows


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
    solution, failed, table = _room_for(rows, rank)
    rows = _as_kernel_rows(rows)
    problem = (*rows, factors, rank, _padded_gram(gram, rank, factors.dtype, objective), *_numbers(objective))
    if solver.cg_steps:
        cg_rows(*problem, _start_rows(previous), solver.cg_steps, solution, table)
    else:
        solve_rows_exactly(*problem, objective.nonnegative, solution, failed, table)
    _clip(solution, objective)
    if not objective.implicit:
        direct_errors(*rows, factors, solution, table)
    return Solution(solution, np.flatnonzero(failed), sum_table(table))


def no_equations(n_rows: int, rank: int, dtype: npt.DTypeLike) -> Equations:
    """The equations of rows without ratings, padded as `assemble` wants them."""
    padded = _padded(rank)
    return Equations(np.zeros((n_rows, padded, padded), dtype), np.zeros((n_rows, padded), dtype), rank)


def add_equations(equations: Equations, rows: Rows, sources: SourceRows, objective: Objective) -> Equations:
    """The equations with these ratings added; see `daskals.kernels.numpy.solving.add_equations`."""
    A, b = equations.A.copy(), equations.b.copy()
    factors = as_kernel_array(sources.values, sources.values.dtype)
    add_rows_to_equations(
        A, b, *_as_kernel_rows(rows), factors, sources.rank, objective.implicit, float(objective.alpha)
    )
    return Equations(A, b, equations.rank)


def solve_equations(
    equations: Equations,
    rows: Rows,
    gram: Float64 | None,
    objective: Objective,
    solver: Solver,
    previous: Float32 | None = None,
) -> Solution:
    """Solve equations to which all ratings were added; see `daskals.kernels.numpy.solving.solve_equations`."""
    rank, dtype = equations.rank, solver.dtype
    A, b = (as_kernel_array(each, dtype) for each in (equations.A, equations.b))
    solution, failed, table = _room_for(rows, rank)
    rows = _as_kernel_rows(rows)
    known = (rank, _padded_gram(gram, rank, dtype, objective), *_numbers(objective))
    if solver.cg_steps:
        cg_equations(A, b, *rows, *known, _start_rows(previous), solver.cg_steps, solution, table)
    else:
        solve_equations_exactly(A, b, rows.indptr, rows.ratings, *known, objective.nonnegative, solution, failed, table)
    _clip(solution, objective)
    return Solution(solution, np.flatnonzero(failed), sum_table(table))


def _padded(rank: int) -> int:
    return -(-rank // 8) * 8


def _padded_gram(gram: Float64 | None, rank: int, dtype: npt.DTypeLike, objective: Objective) -> Float:
    """Y'Y with zeros to a multiple of 8; zeros alone for the explicit objective."""
    padded = np.zeros((_padded(rank), _padded(rank)), dtype)
    if objective.implicit:
        if gram is None:
            raise TypeError("gram is needed for the implicit objective, and was not given")
        padded[:rank, :rank] = gram
    return padded


def _start_rows(previous: Float32 | None) -> Float32:
    if previous is None:
        raise TypeError("previous is needed for conjugate gradients, and was not given")
    return as_kernel_array(previous, np.float32)


def _as_kernel_rows(rows: Rows) -> Rows:
    return Rows(
        as_kernel_array(rows.indptr, np.int64),
        as_kernel_array(rows.source_positions, np.int32),
        as_kernel_array(rows.ratings, np.float32),
    )


def _numbers(objective: Objective) -> tuple[bool, float, float]:
    """What compiled code is told of the objective: implicit, reg, alpha."""
    return objective.implicit, float(objective.reg), float(objective.alpha)


def _room_for(rows: Rows, rank: int) -> tuple[Float32, Bools, Float64]:
    """Arrays that a compiled function writes to: the solution, which rows failed, and the table of losses."""
    n_rows = len(rows.indptr) - 1
    return np.zeros((n_rows, rank), np.float32), np.zeros(n_rows, np.bool_), loss_table(n_rows)


def _clip(solution: Float32, objective: Objective) -> None:
    """Take from nonnegative rows what rounding left below zero."""
    if objective.nonnegative:
        np.maximum(solution, 0, out=solution)
