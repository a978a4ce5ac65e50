"""Rows for new ids, or new rows for known ones, without a fit: a half-step for these ids alone.

::

    chunks of ratings  --known-->  those of known sources  --shuffle-->  in-blocks of the ids that are given
                                                                               |
    rows of the source as they are  --panels-->  half-step  ----------->  rows of these ids (`solve`)

    old rows, in blocks     1 4 6 | 8 9                with the new rows of 5, 8, 20 (`with_rows`)
    become                  1 4 5 6 | 8 9 20           of 8 the new row; a block without new rows stays as it is

The rows are what the last half-step of a fit would make of the same ratings, by the same code, streamed where it would
be. New rows go where their ids belong, so most blocks of a large matrix do not move for a few new ids.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from dask.delayed import Delayed

from daskals.blocks.goal import Goal
from daskals.blocks.ids import positions
from daskals.blocks.least_squares import SingularRowError, gram_of
from daskals.blocks.ratings import CodedChunk, CodedIds, SideName, other
from daskals.engine.factors import FactorMatrix, lay_out
from daskals.engine.half_step import half_step, with_id
from daskals.engine.panels import Panel, cut, rows_of_panels
from daskals.engine.plan import make_plan
from daskals.engine.shuffle import shuffle_by_user
from daskals.engine.sides import Ratings, Side
from daskals.engine.weighing import weighed
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import identity, new_token, task
from daskals.kernels.objective import Solver
from daskals.kernels.types import Bools, Float32, Ids, Int64, Losses

# ---- the rows --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FoldIn:
    """What is the same for all rows: the side that they are of, the rows of the other side, and what is minimised."""

    scheduler: Scheduler
    name: SideName
    source: FactorMatrix
    goal: Goal
    #: exact: conjugate gradients would need rows to start from
    solver: Solver

    def solve(self, chunks: Sequence[Delayed]) -> FactorMatrix | None:
        """The rows of all ids that have ratings of known sources, computed; None where no id has any.

        Each of ``chunks`` is a task for a `CodedChunk`. A pair that is given twice counts twice. ``ValueError`` that
        names the id of a row whose equations have no unique solution. A caller that must not lose the rows with a
        worker calls `FactorMatrix.persist`.
        """
        side = self._shuffled(chunks)
        if side is None:
            return None
        source = Side(other(self.name), self.source.ids, self.source.counts, self.source.bounds, ())
        if self.goal.weights is not None:
            side = weighed(self.scheduler, side, source, self.goal.weights)
        sides = {side.name: side, source.name: source}
        ratings = Ratings(sides["users"], sides["items"], 0)
        plan = make_plan(self.scheduler, ratings, self.source.rank, self.goal, self.solver)
        token = new_token()
        panels = self._source_panels(plan.of(source.name).panel_edges, token)
        try:
            # an exact half-step does not read the rows before
            before: list[Delayed] = []
            (solved,) = self.scheduler.persist(half_step(side, source, panels, before, plan, token))
        except SingularRowError as error:
            raise with_id(error, side, self.scheduler) from error
        name = f"{self.name}-{token}"
        rows = rows_of_panels(solved, plan.of(side.name).panel_edges, f"als-fold-{name}")
        return FactorMatrix(side.ids, side.bounds, rows, self.source.rank, name, side.counts)

    def nothing(self, ids: Ids) -> FactorMatrix:
        """A matrix of no rows, of which ``ids`` are the ids: none."""
        token = f"{self.name}-{new_token()}"
        none = np.empty((0, self.source.rank), np.float32)
        tasks = [task(identity, value, name=f"als-no-{n}-{token}") for n, value in enumerate((ids, none))]
        ((no_ids, no_rows),) = self.scheduler.persist(tasks)
        return FactorMatrix(no_ids, np.zeros(2, np.int64), (no_rows,), self.source.rank, token)

    def _shuffled(self, chunks: Sequence[Delayed]) -> Side | None:
        """The ratings of known sources, in blocks; None where there are none."""
        token = new_token()
        known = [
            task(known_part, chunk, self.name, self.source.ids, name=f"als-known-{token}-{number}")
            for number, chunk in enumerate(chunks)
        ]
        side = shuffle_by_user(self.scheduler, known, self.source, token)
        return side and replace(side, name=self.name)

    def _source_panels(self, edges: Sequence[int], token: str) -> list[Delayed]:
        """Tasks for the panels of the source, whose blocks they share."""
        return [
            task(_panel, self.goal.objective.implicit, *blocks, name=f"als-panel-{other(self.name)}-{token}-{number}")
            for number, blocks in enumerate(cut(self.source.blocks, edges))
        ]


def known_part(chunk: CodedChunk, side: SideName, source_ids: Ids) -> CodedChunk:
    """The ratings whose source is known, with ``side`` in the place of the users."""
    own: CodedIds = getattr(chunk, side)
    sources: CodedIds = getattr(chunk, other(side))
    keep = (positions(source_ids, sources.uniques) >= 0)[sources.codes]
    if keep.all():
        return CodedChunk(own, sources, chunk.ratings, chunk.weights)
    weights = None if chunk.weights is None else chunk.weights[keep]
    return CodedChunk(_kept(own, keep), _kept(sources, keep), chunk.ratings[keep], weights)


def _kept(column: CodedIds, keep: Bools) -> CodedIds:
    """Some rows of a column, with those of its distinct ids that occur in them."""
    codes = column.codes[keep]
    used = np.zeros(len(column.uniques), np.bool_)
    used[codes] = True
    places = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return CodedIds(column.uniques[used], places[codes])


def _panel(with_gram: bool, *blocks: Float32) -> Panel:
    return Panel(blocks, gram_of(blocks) if with_gram else None, Losses())


# ---- their places among other rows -----------------------------------------------------------------------


class Layout(NamedTuple):
    """Where old and new rows go."""

    #: ids of all rows, ascending
    ids: Ids
    #: (old rows,): the position of each; a row that is replaced has the position of the new one
    old: Int64
    #: (new rows,)
    new: Int64


class Run(NamedTuple):
    """A block to be: positions ``start`` to ``stop`` - 1, in which all old rows are of one ``block``."""

    start: int
    stop: int
    block: int
    #: new rows ``first`` to ``last`` - 1 are in it
    first: int
    last: int
    #: whether it is that block, as it is
    unchanged: bool


def layout_of(old: Ids, new: Ids) -> Layout:
    """Where the rows of ascending ids go. It compares only the new ids with others.

    >>> import numpy as np
    >>> layout_of(np.array([1, 4, 6, 8]), np.array([5, 8, 20]))
    Layout(ids=array([ 1,  4,  5,  6,  8, 20]), old=array([0, 1, 3, 4]), new=array([2, 4, 5]))
    """
    slots = np.searchsorted(old, new)
    known = np.zeros(len(new), np.bool_)
    inside = slots < len(old)
    known[inside] = old[slots[inside]] == new[inside]
    fresh = slots[~known]
    ids = np.insert(old, fresh, new[~known])
    return Layout(
        ids,
        np.arange(len(old)) + np.searchsorted(fresh, np.arange(len(old)), "right"),
        slots + np.cumsum(~known) - ~known,
    )


def runs_of(layout: Layout, bounds: Int64, n_new_blocks: int) -> list[Run]:
    """The blocks of all rows, from the ``bounds`` of the old blocks, of which there must be one with rows.

    New rows belong to the block after whose first id theirs comes. A block that grows to twice the usual length is cut:
    that is the mean of the old blocks, or of as many blocks as old and new rows have, if that is more.
    """
    n_rows = len(layout.ids)
    edges = np.append(layout.old, n_rows)[bounds]
    edges[0] = 0
    n_blocks = len(bounds) - 1
    usual = max(-(-len(layout.old) // n_blocks), -(-n_rows // (n_blocks + n_new_blocks)))
    runs = []
    for block, (start, stop) in enumerate(itertools.pairwise(edges.tolist())):
        first, last = np.searchsorted(layout.new, [start, stop])
        if first == last:
            runs.append(Run(start, stop, block, int(first), int(last), True))
            continue
        cuts = np.linspace(start, stop, max(1, (stop - start) // usual) + 1).astype(np.int64)
        news = np.searchsorted(layout.new, cuts).tolist()
        for (a, b), (c, d) in zip(itertools.pairwise(cuts.tolist()), itertools.pairwise(news), strict=True):
            runs.append(Run(a, b, block, c, d, False))
    return runs


def with_rows(scheduler: Scheduler, matrix: FactorMatrix, new: FactorMatrix) -> FactorMatrix:
    """The matrix with new rows added, in the place of those that have the same ids.

    All that is new in it is computed when this returns, and pinned as `FactorMatrix.persist` does it.
    """
    if not matrix.n_rows:
        return new.persist(scheduler)
    token = new_token()
    ((layout,),) = scheduler.persist([task(layout_of, matrix.ids, new.ids, name=f"als-layout-{token}")])
    runs: list[Run]
    (runs,) = scheduler.fetch(task(runs_of, layout, matrix.bounds, len(new.blocks), name=f"als-runs-{token}"))
    ids = task(_ids_of, layout, name=f"als-all-ids-{token}")
    counts = None
    if matrix.counts is not None:
        counts = task(_all_counts, layout, matrix.counts, new.counts, name=f"als-all-counts-{token}")
    (ids, *some) = scheduler.persist([ids] if counts is None else [ids, counts])[0]
    bounds = np.array([0, *(run.stop for run in runs)], np.int64)
    changed = tuple(_laid_out(matrix, new, layout, runs, token))
    name = f"{new.token.partition('-')[0]}-{token}"
    done = FactorMatrix(ids, bounds, changed, matrix.rank, name, *some).persist(scheduler)
    laid = iter(done.blocks)
    return replace(done, blocks=tuple(matrix.blocks[run.block] if run.unchanged else next(laid) for run in runs))


def _laid_out(
    matrix: FactorMatrix, new: FactorMatrix, layout: Delayed, runs: Sequence[Run], token: str
) -> list[Delayed]:
    """A task for each block that is changed."""
    old_parts = {
        run.block: _placed(layout, "old", matrix, run.block, f"als-old-rows-{token}")
        for run in runs
        if not run.unchanged
    }
    new_parts = [_placed(layout, "new", new, block, f"als-new-rows-{token}") for block in range(len(new.blocks))]
    blocks = []
    for run in runs:
        if run.unchanged:
            continue
        covering = np.flatnonzero((new.bounds[:-1] < run.last) & (new.bounds[1:] > run.first))
        # new rows after old ones, which they replace
        parts = [old_parts[run.block], *(new_parts[block] for block in covering)]
        blocks.append(task(lay_out, run.start, run.stop, matrix.rank, *parts, name=f"als-laid-{token}-{run.start}"))
    return blocks


def _placed(layout: Delayed, which: str, matrix: FactorMatrix, block: int, name: str) -> Delayed:
    """A task for the rows of a block, and their positions among all, which are cut where the array of all is."""
    start, stop = matrix.bounds[block : block + 2].tolist()
    places = task(_cut_places, layout, which, start, stop, name=f"{name}-places-{block}")
    return task(_together, places, matrix.blocks[block], name=f"{name}-{block}")


def _cut_places(layout: Layout, which: str, start: int, stop: int) -> Int64:
    places: Int64 = getattr(layout, which)[start:stop]
    return places


def _together(places: Int64, rows: Float32) -> tuple[Int64, Float32]:
    return places, rows


def _ids_of(layout: Layout) -> Ids:
    return layout.ids


def _all_counts(layout: Layout, old: Int64, new: Int64) -> Int64:
    counts = np.zeros(len(layout.ids), np.int64)
    counts[layout.old] = old
    counts[layout.new] = new
    return counts
