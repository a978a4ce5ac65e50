"""How a process makes its part of the sums of destination rows, on all its threads, from ratings laid out by source.

There are two ways. Each begins with the blocks of the source that lie in the process: *a lane*.

    turned     ratings are brought into the order of destination rows: a copy, gone after the half-step. Threads share
               the rows, each of which is gone through once in a pass; nothing is added up in the process.
    in order   ratings stay as they are. Threads share the blocks; each makes sums of all rows, which are added up.

Equations take the first way, since those of a row are made at once. Conjugate gradients take the second while their
rows and the sums stay in a cache (`daskals.kernels.numpy.products`), and the first where they do not. With 10 million
ratings a thread and 64 columns four passes took 0.93 s in order and 1.8 s turned where there were 27 thousand rows, and
4.5 s and 2.3 s with a million rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from daskals import kernels
from daskals.blocks import in_blocks
from daskals.blocks.biases import Biases
from daskals.blocks.least_squares import pack_sources, rows_of
from daskals.blocks.ratings import InBlock, RatingBlock
from daskals.blocks.reduced import Part, PartOfEquations, PartOfProducts, numbers_may_be_too_large, weight_of
from daskals.blocks.threads import threads
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.tallies import tallies_of
from daskals.kernels.types import Equations, Float, Float32, Int64, Rows, SourceRows

#: A block of the source: its ratings, and its rows as the last half-step left them.
SourceBlock = tuple[InBlock, Float32]


class Turned(NamedTuple):
    """Ratings of some source rows in the order of destination rows, and these source rows."""

    #: for each panel of the destination its ratings, cut into runs of rows; source rows are counted from the first one
    #: that is here
    panels: tuple[tuple[InBlock, ...], ...]
    sources: SourceRows


class InOrder(NamedTuple):
    """Ratings of some source rows as they are, and these source rows."""

    #: for each thread some blocks
    groups: tuple[tuple[tuple[Rows, SourceRows], ...], ...]


def turn(
    blocks: Sequence[SourceBlock],
    panels: Sequence[Int64],
    n_threads: int,
    objective: Objective,
    solver: Solver,
    biases: Biases | None = None,
) -> Turned:
    """Bring the ratings of source blocks, in the order of their positions, into the order of destination rows.

    ``panels`` are the ends of runs of rows in each panel; panels follow one another, from row 0 to the last.
    """
    ends = np.concatenate([panels[0][:1], *(panel[1:] for panel in panels)])
    firsts = np.cumsum([0, *(len(rows) for _, rows in blocks)]).tolist()
    here = [block._replace(start=first) for (block, _), first in zip(blocks, firsts[:-1], strict=True)]

    def cut(group: Sequence[InBlock]) -> tuple[RatingBlock, ...]:
        return in_blocks.split([in_blocks.transpose(block) for block in group], ends)

    def joined(run: int) -> InBlock:
        pieces = [of_group[run] for of_group in cuts]
        return in_blocks.build(int(ends[run]), int(ends[run + 1] - ends[run]), firsts[-1], pieces, ordered=True)

    with threads(n_threads) as map_in_threads:
        cuts = map_in_threads(cut, _groups(here, n_threads))
        runs = map_in_threads(joined, range(len(ends) - 1))
    edges = np.cumsum([0, *(len(panel) - 1 for panel in panels)]).tolist()
    return Turned(
        tuple(tuple(runs[first:stop]) for first, stop in itertools.pairwise(edges)),
        pack_sources([rows for _, rows in blocks], None, objective, solver, biases),
    )


def in_order(
    blocks: Sequence[SourceBlock], n_threads: int, objective: Objective, solver: Solver, biases: Biases | None = None
) -> InOrder:
    """Leave the ratings of source blocks as they are, and lay out the source rows."""
    packed = [(rows_of(block), pack_sources([rows], None, objective, solver, biases)) for block, rows in blocks]
    return InOrder(tuple(map(tuple, _groups(packed, n_threads))))


def _groups(blocks: Sequence[Any], n: int) -> list[Sequence[Any]]:
    """At most ``n`` runs of neighbours, of about equal length."""
    edges = np.linspace(0, len(blocks), min(n, len(blocks)) + 1).astype(int).tolist()
    return [blocks[first:stop] for first, stop in itertools.pairwise(edges)]


def part_of_equations(
    turned: Turned, panel: int, n_threads: int, objective: Objective, solver: Solver
) -> PartOfEquations:
    """What the source rows that are here add to the equations of a panel."""

    @numbers_may_be_too_large
    def make(run: InBlock) -> PartOfEquations:
        rows = rows_of(run)
        nothing = kernels.no_equations(len(run.indptr) - 1, turned.sources.rank, solver.dtype)
        equations: Equations = kernels.add_equations(nothing, rows, turned.sources, objective, in_place=True)
        n = equations.rank
        triangles = np.concatenate([equations.A[:, i, i:n] for i in range(n)], axis=1)
        return PartOfEquations(triangles, equations.b[:, :n], equations.q, tallies_of(rows, objective))

    return _of_runs(n_threads, make, turned.panels[panel])


def part_of_products(
    lane: Turned | InOrder, panel: int, start: int, n_threads: int, x: Float, objective: Objective, *, residuals: bool
) -> PartOfProducts:
    """What the source rows that are here add to A x of the rows of a panel, or to b - A x; the first row is ``start``.

    ``x``, (rows, rank), is as `daskals.blocks.reduced.start_rows` or a `Descent` has it. With ``residuals`` come the
    squared errors and the tallies.
    """
    if isinstance(lane, InOrder):

        @numbers_may_be_too_large
        def of_group(group: Any) -> PartOfProducts:
            return PartOfProducts(*kernels.add_products(group, start, x, objective, residuals=residuals))

        return _of_groups(of_group, lane.groups, len(x))

    @numbers_may_be_too_large
    def of_run(run: InBlock) -> PartOfProducts:
        some = x[run.start - start : run.start - start + len(run.indptr) - 1]
        return PartOfProducts(*kernels.products_of(rows_of(run), lane.sources, some, objective, residuals=residuals))

    return _of_runs(n_threads, of_run, lane.panels[panel])


def _of_runs(n_threads: int, make: Callable[[InBlock], Part], runs: Sequence[InBlock]) -> Part:
    """The part of neighbouring runs of rows, of each of which ``make`` makes one, on several threads.

    Runs share no rows. So nothing is added up here, and numbers do not depend on the threads.
    """
    if len(runs) == 1:
        return make(runs[0])
    ends = np.cumsum([0, *(len(run.indptr) - 1 for run in runs)]).tolist()
    with threads(n_threads) as map_in_threads:
        parts: list[Any] = map_in_threads(make, runs)
        wholes = _room_for(ends[-1], parts[0].arrays())

        def place(number: int) -> None:
            for whole, array in zip(wholes, parts[number].arrays(), strict=True):
                whole[ends[number] : ends[number + 1]] = array

        map_in_threads(place, range(len(runs)))
    joined: Part = parts[0].of(wholes, weight_of(parts))
    return joined


def _room_for(n_rows: int, arrays: Sequence[Any]) -> list[Any]:
    """Arrays of so many rows, otherwise as these."""
    return [np.empty((n_rows, *array.shape[1:]), array.dtype) for array in arrays]


def _of_groups(make: Callable[[Any], Part], groups: Sequence[Any], n_rows: int) -> Part:
    """The part of several groups of blocks, each made by ``make`` in a thread of its own, of ``n_rows`` rows.

    Each thread then adds up a share of the rows of all groups, in the order of the groups: so the sum does not depend
    on which thread is first.
    """
    if len(groups) == 1:
        return make(groups[0])
    parts: list[Any] = []

    @numbers_may_be_too_large
    def add(ends: tuple[int, int]) -> None:
        some = slice(*ends)
        for number, whole in enumerate(parts[0].arrays()):
            for part in parts[1:]:
                whole[some] += part.arrays()[number][some]

    with threads(len(groups)) as map_in_threads:
        parts += map_in_threads(make, groups)
        map_in_threads(add, itertools.pairwise(np.linspace(0, n_rows, len(groups) + 1).astype(int).tolist()))
    whole: Part = parts[0].of(parts[0].arrays(), weight_of(parts))
    return whole
