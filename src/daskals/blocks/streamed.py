"""Solving a block when the factors of the other side are too many for one process: panel by panel.

A row's normal equations are sums over its ratings (`daskals.kernels.numpy.solving`), so they can be made in parts, with
a part of the source rows at hand at a time::

    A = 0, b = 0
    for each panel of the source:   A += sum w y y',  b += sum t y   over the ratings whose source is in the panel
    x = (A (+ Y'Y) + c I)^-1 b

What stays is A and b of every row of the block, rank^2 + rank numbers each, instead of all source rows.

The numbers are those of `daskals.blocks.least_squares` but for rounding: sums are taken in another order, and rows with
few ratings are solved by their normal equations rather than by a dual system. In single precision, predictions have
been seen to differ by 4e-5 where equations are solved exactly, and by 2e-4 with conjugate gradients. Which of the two
is used is decided once a fit by the memory of the smallest worker (`daskals.engine.plan`), so two clusters can differ
by that much.
"""

from __future__ import annotations

import numpy as np

from daskals import kernels
from daskals.blocks.biases import Biases
from daskals.blocks.least_squares import SolvedBlock, rows_of, solved_block
from daskals.blocks.ratings import InBlock
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.tallies import tallies_of
from daskals.kernels.types import Equations, Float32, Float64, Int64, Rows, Solution, SourceRows, Tallies


def accumulate(
    block: InBlock,
    start: int,
    sources: SourceRows,
    objective: Objective,
    solver: Solver,
    equations: Equations | None,
) -> Equations:
    """The equations of a block's rows with the ratings added whose source is among ``sources``.

    ``sources`` are those from position ``start`` on, by `daskals.blocks.least_squares.pack_sources` without a Gram
    matrix. ``equations`` None are those of no
    ratings. They are not changed, since a task may run again.
    """
    is_new = equations is None
    if equations is None:
        equations = kernels.no_equations(len(block.indptr) - 1, sources.rank, solver.dtype)
    here = (block.source_positions >= start) & (block.source_positions < start + len(sources))
    rows = Rows(
        np.concatenate([[0], np.cumsum(here)])[block.indptr],
        block.source_positions[here] - np.int32(start),
        block.ratings[here],
        None if block.weights is None else block.weights[here],
    )
    added: Equations = kernels.add_equations(equations, rows, sources, objective, in_place=is_new)
    return added


def solve_accumulated(
    block: InBlock,
    equations: Equations,
    gram: Float64 | None,
    objective: Objective,
    solver: Solver,
    previous: Float32 | None = None,
    biases: Biases | None = None,
) -> SolvedBlock:
    """The rows of a block from their complete equations; arguments are those of `solve_block`, and so is the result.

    The second try of rows that float32 cannot solve is in float64, but from equations that were accumulated in float32.
    The squared error in the losses has a floor, as source rows are not at hand: it is kept from being negative, where
    it cannot be, and is known to about 1e-6 of the sum of squared ratings in single precision
    (`daskals.kernels.numpy.losses`).
    """
    tallies = tallies_of(rows_of(block), objective)
    return solve_sums(block.start, equations, tallies, gram, objective, solver, previous, biases)


def solve_sums(
    start: int,
    equations: Equations,
    tallies: Tallies,
    gram: Float64 | None,
    objective: Objective,
    solver: Solver,
    previous: Float32 | None = None,
    biases: Biases | None = None,
) -> SolvedBlock:
    """The same for rows from position ``start`` on whose ratings are not at hand, only what they add up to."""
    if previous is not None and biases is not None:
        previous = biases.narrow(previous)
    first = kernels.solve_equations(equations, tallies, gram, objective, solver, previous)

    def again(failed: Int64) -> Solution:
        A, b, q = (each[failed].astype(np.float64) for each in (equations.A, equations.b, equations.q))
        some = Tallies(tallies.n[failed], tallies.n_ratings[failed], 0.0)
        solution: Solution = kernels.solve_equations(
            Equations(A, b, q, equations.rank), some, gram, objective, Solver(double=True)
        )
        return solution

    return solved_block(start, tallies.n_ratings, first, solver, again, biases)
