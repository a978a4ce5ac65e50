"""Solving rows where the ratings are laid out by the other side: every block of source rows gives its part of the sums.

In `daskals.blocks.least_squares` the source rows come to the ratings of a destination row. Here source rows stay, and
with them their ratings, in in-blocks *of the source*. What travels are sums for destination rows::

    block 0 of the source, its ratings  --> part of the sums of a panel of destination rows --+
    block 1                             -->                                                   +--> added --> solved
    ...                                                                                     --+

That is cheaper where the source has many more rows than the destination. There are two kinds of sums:

* Exact solutions take the equations A and b of each row (`part_of_equations`), rank (rank + 3) / 2 numbers.
* Conjugate gradients never make A. In each step a direction d of each row goes out to all blocks of the source, and
  parts of A d come back (`part_of_products`): twice rank numbers, and once more before the first step.

Numbers are those of `daskals.blocks.least_squares` but for rounding, as in `daskals.blocks.streamed`: sums are taken in
another order, squared errors have a floor.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from daskals import kernels
from daskals.blocks import in_blocks
from daskals.blocks.biases import Biases
from daskals.blocks.least_squares import SolvedBlock, pack_sources, rows_of
from daskals.blocks.ratings import InBlock
from daskals.blocks.streamed import accumulate, solve_sums
from daskals.blocks.threads import threads
from daskals.kernels.eigenbasis import base_of
from daskals.kernels.numpy.cg import Descent
from daskals.kernels.numpy.terms import start_of
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.tallies import known_terms, tallies_of
from daskals.kernels.types import Equations, Float, Float32, Float64, Losses, Products, Tallies

#: What overflows ends as a loss that is not finite, which the fit warns of.
_numbers_may_be_too_large = np.errstate(over="ignore", invalid="ignore")
#: A block of the source: its ratings, and its rows as the last half-step left them.
SourceBlock = tuple[InBlock, Float32]


class PartOfEquations(NamedTuple):
    """A (half of it, as it is symmetric) and b of a panel of destination rows, summed over some source rows."""

    #: (rows, rank (rank + 1) / 2): the upper triangle of each A, row by row
    triangles: Float
    b: Float
    q: Float64
    tallies: Tallies


class PartOfProducts(NamedTuple):
    """Products of a panel of destination rows, summed over some source rows."""

    products: Products
    #: of the first pass alone
    tallies: Tallies | None


Part = TypeVar("Part", PartOfEquations, PartOfProducts)

# ---- sums of parts ---------------------------------------------------------------------------------------


def part_of_groups(make: Callable[[Any], Part], groups: Sequence[Sequence[SourceBlock]], n_rows: int) -> Part:
    """The part of several groups of blocks, each made by ``make`` in a thread of its own, of ``n_rows`` rows.

    Each thread then adds up a share of the rows of all groups, in the order of the groups: so the sum does not depend
    on which thread is first.
    """
    if len(groups) == 1:
        return make(groups[0])
    edges = np.linspace(0, n_rows, len(groups) + 1).astype(int).tolist()
    with threads(len(groups)) as map_in_threads:
        parts: list[Part] = map_in_threads(make, groups)
        map_in_threads(lambda ends: _add_rows(parts, slice(*ends)), itertools.pairwise(edges))
    return _with_weight_of(parts)


def add_parts(*parts: Part) -> Part:
    """The sum of parts, which stay as they are: a task may run again."""
    own = list(parts)
    own[0] = copy.deepcopy(parts[0])
    _add_rows(own, slice(None))
    return _with_weight_of(own)


@_numbers_may_be_too_large
def _add_rows(parts: Sequence[PartOfEquations | PartOfProducts], rows: slice) -> None:
    """Add these rows of all parts to those of the first."""
    for first, *others in zip(*map(_arrays, parts), strict=True):
        for each in others:
            first[rows] += each[rows]


def _arrays(part: PartOfEquations | PartOfProducts) -> list[Any]:
    """What a part has for each row."""
    sums = part.products if isinstance(part, PartOfProducts) else (part.triangles, part.b, part.q)
    return [*sums, *(part.tallies or ())[:2]]


def _with_weight_of(parts: Sequence[Part]) -> Part:
    """The first part, whose rows are the sums of all."""
    weights = [part.tallies.weight for part in parts if part.tallies is not None]
    whole = parts[0]
    return whole if whole.tallies is None else whole._replace(tallies=whole.tallies._replace(weight=sum(weights)))


# ---- exact solutions -------------------------------------------------------------------------------------


def part_of_equations(
    blocks: Sequence[SourceBlock],
    rows: tuple[int, int],
    objective: Objective,
    solver: Solver,
    biases: Biases | None = None,
) -> PartOfEquations:
    """What neighbouring blocks of the source add to the equations of destination rows rows[0] to rows[1] - 1."""
    start, stop = rows
    first = blocks[0][0].start
    pieces = [in_blocks.transpose(block) for block, _ in blocks]
    if any(len(block.ratings) and not _is_within(block, start, stop) for block, _ in blocks):
        # cut at these two positions: the ratings of other rows are in the first and in the last piece
        pieces = [in_blocks.split_range(pieces, start, stop)]
    n_sources = sum(len(block.indptr) - 1 for block, _ in blocks)
    transposed = in_blocks.build(start, stop - start, first + n_sources, pieces, ordered=True)
    sources = pack_sources([factors for _, factors in blocks], None, objective, solver, biases)
    equations = accumulate(transposed, first, sources, objective, solver, None)
    n = equations.rank
    triangles = np.concatenate([equations.A[:, i, i:n] for i in range(n)], axis=1)
    return PartOfEquations(triangles, equations.b[:, :n], equations.q, tallies_of(rows_of(transposed), objective))


def _is_within(block: InBlock, start: int, stop: int) -> bool:
    return bool(block.source_positions.min() >= start and block.source_positions.max() < stop)


@_numbers_may_be_too_large
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


@_numbers_may_be_too_large
def part_of_products(
    blocks: Sequence[SourceBlock],
    start: int,
    x: Float,
    objective: Objective,
    solver: Solver,
    biases: Biases | None = None,
    *,
    residuals: bool,
) -> PartOfProducts:
    """What blocks of the source add to A x of the destination rows from position ``start`` on, or to b - A x.

    ``x`` is as `start_rows` or a `Descent` has it. With ``residuals`` come the squared errors and the tallies.
    """
    pairs = [(rows_of(block), pack_sources([factors], None, objective, solver, biases)) for block, factors in blocks]
    return PartOfProducts(*kernels.add_products(pairs, start, x, objective, residuals=residuals))


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


@_numbers_may_be_too_large
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


@_numbers_may_be_too_large
def next_step(steps: Steps, whole: PartOfProducts) -> Steps:
    """After one more step; ``whole`` are the sums of all parts of A d of its directions."""
    image = whole.products.values + _times_common(steps.descent.direction, steps.c, steps.base)
    descent = steps.descent.step(image)
    return steps._replace(descent=descent, value=steps.value - descent.gained)


def _times_common(x: Float, c: Float64, base: Float | None) -> Float:
    """What is in A of a row besides its ratings, times x."""
    product: Float = c.astype(x.dtype)[:, None] * x
    return product if base is None else product + x @ base


@_numbers_may_be_too_large
def solved_rows(steps: Steps, objective: Objective, biases: Biases | None = None) -> SolvedBlock:
    """The rows and their losses after the last step."""
    x = steps.descent.x.astype(np.float32)
    penalties = steps.c * np.einsum("ij,ij->i", x, x, dtype=np.float64)
    errors = np.maximum(steps.value - penalties, objective.least_error)
    losses = Losses(float(errors.sum()), float(penalties.sum()), steps.weight)
    return SolvedBlock(x if biases is None else biases.widen(x), losses)
