"""Solving rows where the ratings are laid out by the other side: every process gives its part of the sums.

In `daskals.blocks.least_squares` the source rows come to the ratings of a destination row. Here source rows stay, and
with them their ratings, in in-blocks *of the source*. What travels are sums for destination rows::

    ratings and rows of the source in process 0  --> part of the sums of a panel of destination rows --+
    ... in process 1                             -->                                                   +--> solved
    ...                                                                                              --+

That is cheaper where the source has many more rows than the destination. There are two kinds of sums:

* Exact solutions take the equations A and b of each row (`PartOfEquations`), rank (rank + 3) / 2 numbers.
* Conjugate gradients never make A. In each step a direction d of each row goes out to all processes, and parts of A d
  come back (`PartOfProducts`): twice rank numbers, and once more before the first step.

How a process makes its part is in `daskals.blocks.lanes`.

Numbers are those of `daskals.blocks.least_squares` but for rounding, as in `daskals.blocks.streamed`: sums are taken in
another order, squared errors have a floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from daskals import kernels
from daskals.blocks.biases import Biases
from daskals.blocks.least_squares import SolvedBlock
from daskals.blocks.streamed import solve_sums
from daskals.kernels.eigenbasis import base_of
from daskals.kernels.numpy.cg import Descent
from daskals.kernels.numpy.terms import start_of
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.tallies import known_terms
from daskals.kernels.types import Equations, Float, Float32, Float64, Losses, Products, Tallies

#: What overflows ends as a loss that is not finite, which the fit warns of.
numbers_may_be_too_large = np.errstate(over="ignore", invalid="ignore")


class PartOfEquations(NamedTuple):
    """A (half of it, as it is symmetric) and b of a panel of destination rows, summed over some source rows."""

    #: (rows, rank (rank + 1) / 2): the upper triangle of each A, row by row
    triangles: Float
    b: Float
    q: Float64
    tallies: Tallies

    def arrays(self) -> list[Any]:
        """All that there is for each row."""
        return [*self[:3], *self.tallies[:2]]

    @classmethod
    def of(cls, arrays: Sequence[Any], weight: float) -> PartOfEquations:
        """The part with such `arrays`, and such a weight of all ratings."""
        triangles, b, q, n, n_ratings = arrays
        return cls(triangles, b, q, Tallies(n, n_ratings, weight))


class PartOfProducts(NamedTuple):
    """Products of a panel of destination rows, summed over some source rows."""

    products: Products
    #: of the first pass alone
    tallies: Tallies | None

    def arrays(self) -> list[Any]:
        """All that there is for each row."""
        return [self.products.values] if self.tallies is None else [*self.products, *self.tallies[:2]]

    @classmethod
    def of(cls, arrays: Sequence[Any], weight: float) -> PartOfProducts:
        """The part with such `arrays`, and such a weight of all ratings."""
        values, *others = arrays
        if not others:
            return cls(Products(values, np.zeros(0), np.zeros(0)), None)
        q, error, n, n_ratings = others
        return cls(Products(values, q, error), Tallies(n, n_ratings, weight))


Part = TypeVar("Part", PartOfEquations, PartOfProducts)


@numbers_may_be_too_large
def add_parts(*parts: Part) -> Part:
    """The sum of parts of the same rows. They stay as they are: a task may run again."""
    sums = [array.copy() for array in parts[0].arrays()]
    for part in parts[1:]:
        for total, array in zip(sums, part.arrays(), strict=True):
            total += array
    return parts[0].of(sums, weight_of(parts))


def weight_of(parts: Sequence[PartOfEquations | PartOfProducts]) -> float:
    """The weight of all ratings of some parts together."""
    return sum(part.tallies.weight for part in parts if part.tallies is not None)


# ---- exact solutions -------------------------------------------------------------------------------------


@numbers_may_be_too_large
def solve_part(
    start: int,
    whole: PartOfEquations,
    gram: Float64 | None,
    objective: Objective,
    solver: Solver,
    biases: Biases | None = None,
) -> SolvedBlock:
    """The rows from position ``start`` on, of which all parts have been added up.

    ``gram`` is Y'Y of all source rows, where the objective needs it. Errors are those of
    `daskals.blocks.least_squares.solve_block`.
    """
    rank = whole.b.shape[1]
    equations = kernels.no_equations(len(whole.b), rank, solver.dtype)
    equations.b[:, :rank] = whole.b
    first = 0
    for i in range(rank):
        values = whole.triangles[:, first : first + rank - i]
        equations.A[:, i, i:rank] = values
        equations.A[:, i:rank, i] = values
        first += rank - i
    equations = Equations(equations.A, equations.b, whole.q, rank)
    return solve_sums(start, equations, whole.tallies, gram, objective, solver, None, biases)


# ---- conjugate gradients ---------------------------------------------------------------------------------


class Steps(NamedTuple):
    """Where destination rows are between two steps."""

    descent: Descent
    #: (rows,): the squared error, with c |x|^2
    value: Float64
    #: (rows,): the penalty of |x|^2
    c: Float64
    #: what is in A of every row, (rank, rank), of the solver's dtype; None: nothing
    base: Float | None
    weight: float


def start_rows(previous: Float32, solver: Solver, biases: Biases | None = None) -> Float:
    """Destination rows as they were, (rows, columns), as steps begin from them: (rows, rank), in the solver's dtype."""
    return (previous if biases is None else biases.narrow(previous)).astype(solver.dtype)


@numbers_may_be_too_large
def first_step(x: Float, whole: PartOfProducts, gram: Float64 | None, objective: Objective) -> Steps:
    """Before the first step from ``x``; ``whole`` are the sums of all parts of b - A x."""
    (values, q, error), tallies = whole
    assert tallies is not None
    terms = known_terms(q, tallies, objective)
    base = base_of(gram, None, objective)
    matrix = None if base is None else base.astype(x.dtype)
    begin = start_of(x, terms, objective)
    assert begin is not None
    moved = (begin != x).any(axis=1)  # rows of whom nothing is to be predicted, which begin at 0: so b = 0, and b - A 0
    x, values, error = begin, np.where(moved[:, None], 0, values), np.where(moved, q, error)
    residual = values - _times_common(x, terms.c, matrix)
    wide = x.astype(np.float64)
    value = error + terms.c * np.einsum("ij,ij->i", wide, wide)
    if base is not None:
        value += np.einsum("ij,ij->i", wide @ base, wide)
    descent = Descent.begin(x, residual)
    # too large for the type: no step can be taken, and nobody shall believe the row
    value[~np.isfinite(descent.square)] = np.nan
    return Steps(descent, value, terms.c, matrix, tallies.weight)


@numbers_may_be_too_large
def next_step(steps: Steps, whole: PartOfProducts) -> Steps:
    """After one more step; ``whole`` are the sums of all parts of A d of its directions."""
    image = whole.products.values + _times_common(steps.descent.direction, steps.c, steps.base)
    descent = steps.descent.step(image)
    return steps._replace(descent=descent, value=steps.value - descent.gained)


def _times_common(x: Float, c: Float64, base: Float | None) -> Float:
    """What is in A of a row besides its ratings, times x."""
    product: Float = c.astype(x.dtype)[:, None] * x
    return product if base is None else product + x @ base


@numbers_may_be_too_large
def solved_rows(steps: Steps, objective: Objective, biases: Biases | None = None) -> SolvedBlock:
    """The rows and their losses after the last step."""
    x = steps.descent.x.astype(np.float32)
    penalties = steps.c * np.einsum("ij,ij->i", x, x, dtype=np.float64)
    errors = np.maximum(steps.value - penalties, objective.least_error)
    losses = Losses(float(errors.sum()), float(penalties.sum()), steps.weight)
    return SolvedBlock(x if biases is None else biases.widen(x), losses)
