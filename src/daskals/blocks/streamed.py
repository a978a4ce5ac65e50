"""Solving a block when the factors of the other side are too many for one process: panel by panel.

A row's normal equations are sums over its ratings (`daskals.kernels._numpy`), so they can be made in parts, with a
part of the source rows at hand at a time::

    A = 0, b = 0
    for each panel of the source:   A += sum w y y',  b += sum t y   over the ratings whose source is in the panel
    x = (A (+ Y'Y) + c I)^-1 b

What stays is A and b of every row of the block, rank^2 + rank numbers each, instead of all source rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from daskals import kernels
from daskals.blocks.least_squares import SingularRowError, SolvedBlock
from daskals.blocks.ratings import InBlock
from daskals.kernels.numpy.cg import conjugate_gradients
from daskals.kernels.numpy.equations import are_too_few, row_sums, solve_equations
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.types import Float, Float32, Float64, Losses


class Equations(NamedTuple):
    """A and b of the rows of a block, over the ratings so far; `daskals.kernels.no_equations` gives their shapes."""

    A: Float
    b: Float


def accumulate(
    block: InBlock,
    start: int,
    sources: Sequence[Float32],
    objective: Objective,
    solver: Solver,
    equations: Equations | None,
) -> Equations:
    """The equations with the ratings added whose source is among ``sources``, rows from position ``start`` on.

    ``equations`` None are those of no ratings. They are not changed: a task may run again.
    """
    factors = np.concatenate(sources).astype(solver.dtype, copy=False)
    n_rows, rank = len(block.indptr) - 1, factors.shape[1]
    A, b = (
        kernels.no_equations(n_rows, rank, solver.dtype)
        if equations is None
        else (equations.A.copy(), equations.b.copy())
    )
    here = (block.source_positions >= start) & (block.source_positions < start + len(factors))
    indptr = np.concatenate([[0], np.cumsum(here)])[block.indptr]
    kernels.add_equations(
        A, b, indptr, block.source_positions[here] - np.int32(start), block.ratings[here], factors,
        objective.alpha if objective.implicit else None,
    )  # fmt: skip
    return Equations(A, b)


def solve_accumulated(
    block: InBlock, equations: Equations, rank: int, gram: Float64 | None, objective: Objective, solver: Solver,
    previous: Float32 | None = None,
) -> SolvedBlock:  # fmt: skip
    """The rows of a block from their complete equations: what `daskals.least_squares.solve_block` gives.

    Rows whose equations are singular in float32 are solved once more in float64; `SingularRowError` if that fails.
    """
    q, counted, weight = row_sums(block.indptr, block.ratings, objective.alpha if objective.implicit else None)
    c = objective.reg * counted
    A, b = _regularised(equations, rank, gram, c, solver.dtype)
    if solver.cg_steps:
        assert previous is not None
        x, residual = conjugate_gradients(
            lambda v: np.einsum("mij,mj->mi", A, v), b, previous.astype(solver.dtype), solver.cg_steps
        )
    else:
        x, residual = _solve(block, equations, rank, gram, c, objective, A, b), np.zeros_like(b)
    norms = np.einsum("ij,ij->i", x, x, dtype=np.float64)
    explained = np.einsum("ij,ij->i", b + residual, x, dtype=np.float64)
    losses = Losses(float((q - explained - c * norms).sum()), float((c * norms).sum()), weight)
    return SolvedBlock(x.astype(np.float32), losses)


def _regularised(
    equations: Equations, rank: int, gram: Float64 | None, c: Float64, dtype: type[np.floating]
) -> tuple[Float, Float]:
    A, b = kernels.whole_equations(*equations, rank, dtype)
    if gram is not None:
        A += gram.astype(dtype)
    A[:, np.arange(rank), np.arange(rank)] += c[:, None].astype(dtype)
    return A, b


def _solve(
    block: InBlock, equations: Equations, rank: int, gram: Float64 | None, c: Float64, objective: Objective,
    A: Float, b: Float,
) -> Float:  # fmt: skip
    x, failed = solve_equations(A, b, nonnegative=objective.nonnegative)
    n_ratings = np.diff(block.indptr)
    if not objective.implicit and not objective.nonnegative:
        failed |= are_too_few(n_ratings, b, c)
    again = np.flatnonzero(failed)
    if not len(again):
        return x
    some = Equations(equations.A[again], equations.b[again])
    x[again], singular = solve_equations(
        *_regularised(some, rank, gram, c[again], np.float64), nonnegative=objective.nonnegative
    )
    singular |= failed[again] & are_too_few(n_ratings[again], b[again], c[again])
    if singular.any():
        row = int(again[np.argmax(singular)])
        raise SingularRowError(block.start + row, int(n_ratings[row]), rank)
    return x
