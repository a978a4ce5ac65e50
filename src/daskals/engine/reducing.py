"""A half-step in which the source's rows stay where they are, with their ratings: what travels are sums.

A source of many rows has in-blocks, and the few rows of the destination have none. With two panels of the destination,
and the blocks of the source on three workers, an exact half-step is::

    worker 0   worker 1   worker 2      each with the ratings and rows of its blocks: all its threads make its part
       |  \\      |  \\      |  \\
       +---|-----+---|-----+   |        parts of the equations of panel 0, added on worker 0    --> solve --> panel 0
           +---------+---------+        ... of panel 1, on worker 1                             --> solve --> panel 1

With conjugate gradients the same happens in each pass with directions and products (`daskals.blocks.reduced`)::

    x --> workers --> sum --> first step --direction--> workers --> sum --> next step --direction--> ... --> panel

A panel for each worker, which is added up there: so every worker sends and receives about as much. A worker goes over
its ratings in one task; where they do not stay in its memory, in several, each of which adds to what the one before has
made. `daskals.engine.forms` decides that, and how many panels are in the making at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from dask.delayed import Delayed

from daskals.blocks.least_squares import SolvedBlock
from daskals.blocks.reduced import (
    Part,
    PartOfEquations,
    PartOfProducts,
    SourceBlock,
    Steps,
    add_parts,
    first_step,
    next_step,
    part_of_equations,
    part_of_groups,
    part_of_products,
    solve_part,
    solved_rows,
    start_rows,
)
from daskals.engine.forms import panels_at_once, threads_of_process
from daskals.engine.panels import Panel, panel_of, total_gram
from daskals.engine.plan import Plan
from daskals.engine.sides import Side
from daskals.engine.streaming import Work, error_on_side
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import task, tree_reduce
from daskals.kernels.types import Float, Float64, Int64


def reduced_panels(
    side: Side, source: Side, source_panels: Sequence[Delayed], previous: Sequence[Delayed], plan: Plan, name: str
) -> list[Delayed]:
    """Tasks for the new panels of a side that has no in-blocks; the source has one panel for each of its blocks.

    ``previous`` are the side's panels as they are, which exact solutions do not look at.
    """
    what = Work(side.name, name, plan.of(side.name).objective, plan.solver, plan.of(side.name).biases)
    lanes = _lanes(source, source_panels, plan)
    gram = _gram_of(source_panels, name) if what.objective.implicit else None
    edges, at_once = plan.of(side.name).panel_edges, panels_at_once(plan.scheduler, plan.lanes)
    panels: list[Delayed] = []
    sums: list[Delayed] = []
    for number, (first, stop) in enumerate(itertools.pairwise(edges)):
        # the sums of an earlier panel, for which this one waits
        after = _done(sums[number - at_once]) if number >= at_once else None
        given = Given(what, side.bounds[first : stop + 1], lanes, lanes.root(number), gram, f"{name}-{number}", after)
        if plan.solver.cg_steps:
            panel, last_sum = _improved(given, previous[number], plan.scheduler)
        else:
            panel, last_sum = _solved(given)
        if lanes.are_many:
            panel, last_sum = plan.scheduler.begin((panel, last_sum))
        panels.append(panel)
        sums.append(last_sum)
    return panels


def _done(each: Delayed) -> Delayed:
    """A task that gives nothing, when another one is done."""
    return task(_nothing, each, name=f"{each.key}-done")


def _nothing(_: Any) -> None:
    return None


#: With more blocks of the source than this each pass is sent to a cluster by itself.
BLOCKS_IN_ONE = 64


class Lane(NamedTuple):
    """Blocks of the source that lie on one worker, and are gone over by one task."""

    worker: str | None
    #: the first ``cuts[1]`` blocks are gone over by the first thread, those up to ``cuts[2]`` by the second, ...
    cuts: tuple[int, ...]
    #: the tasks of their in-blocks, and then those of their panels
    blocks: Sequence[Delayed]


class Lanes(NamedTuple):
    """All blocks of the source: for each worker its lanes, of which each adds to what the one before has made."""

    of_workers: Sequence[Sequence[Lane]]

    @property
    def are_many(self) -> bool:
        """Whether tasks of one pass had better begin before those of the next are made."""
        return sum(len(lane.blocks) for lanes in self.of_workers for lane in lanes) > 2 * BLOCKS_IN_ONE

    def root(self, panel: int) -> str | None:
        """The worker that adds up what all of them have made for a panel."""
        return self.of_workers[panel % len(self.of_workers)][0].worker

    def total(self, function: Callable[..., Any], given: Sequence[Any], name: str, root: str | None) -> Delayed:
        """The sum of what a function makes of all blocks, besides what it is given, as a task."""
        sums = []
        for number, lanes in enumerate(self.of_workers):
            whole: Delayed | None = None
            for n, lane in enumerate(lanes):
                args = whole, lane.cuts, *given, *lane.blocks
                whole = task(function, *args, name=f"{name}-{number}-{n}", worker=lane.worker)
            if whole is not None:
                sums.append(whole)
        return sums[0] if len(sums) == 1 else tree_reduce(add_parts, sums, f"{name}-tree", root)


def _lanes(source: Side, source_panels: Sequence[Delayed], plan: Plan) -> Lanes:
    homes = [source.home(block) for block in range(source.n_blocks)]
    n_threads = threads_of_process(plan.scheduler)
    of_workers = []
    for home in dict.fromkeys(homes):
        blocks = [n for n, each in enumerate(homes) if each == home]
        lanes = []
        for first, stop in _even(len(blocks), plan.lanes):
            some = blocks[first:stop]
            tasks = [*(source.in_blocks[n] for n in some), *(source_panels[n] for n in some)]
            lanes.append(Lane(home, (0, *(stop for _, stop in _even(len(some), n_threads))), tasks))
        of_workers.append(lanes)
    return Lanes(of_workers)


def _even(n: int, parts: int) -> list[tuple[int, int]]:
    """Ends of at most so many runs of ``n`` neighbours, of about equal length."""
    edges = np.linspace(0, n, min(n, parts) + 1).astype(int).tolist()
    return list(itertools.pairwise(edges))


class Given(NamedTuple):
    """What the tasks for a panel of the destination are made from."""

    what: Work
    #: of its blocks
    bounds: Int64
    lanes: Lanes
    #: the worker that adds up and solves
    root: str | None
    gram: Delayed | None
    name: str
    #: a task that must be done before, if any
    after: Delayed | None


def _gram_of(panels: Sequence[Delayed], name: str) -> Delayed:
    """A task for Y'Y of all rows of these panels."""
    grams = [task(_gram, panel, name=f"als-gram-{name}-{number}") for number, panel in enumerate(panels)]
    return tree_reduce(_sum_grams, grams, f"als-gram-tree-{name}")


def _gram(panel: Panel) -> Float64 | None:
    return panel.gram


def _sum_grams(*grams: Float64) -> Float64 | None:
    return total_gram(grams)


def _add_part(
    before: Part | None, cuts: Sequence[int], make: Callable[[Any], Part], n_rows: int, lane: Sequence[Any]
) -> Part:
    """What a lane adds to what was made before."""
    half = len(lane) // 2
    blocks = [(block, panel.blocks[0]) for block, panel in zip(lane[:half], lane[half:], strict=True)]
    groups = [blocks[first:stop] for first, stop in itertools.pairwise(cuts)]
    part = part_of_groups(make, groups, n_rows)
    return part if before is None else add_parts(before, part)


# ---- exact solutions -------------------------------------------------------------------------------------


def _solved(given: Given) -> tuple[Delayed, Delayed]:
    """Tasks for a panel of the side, and for the sums that it is solved from."""
    what, bounds, lanes, root, gram, name, after = given
    whole = lanes.total(_part_of_equations, (what, bounds, after), f"als-reduce-{name}", root)
    return task(_solve, what, bounds, whole, gram, name=f"als-solve-{name}", worker=root), whole


def _part_of_equations(
    before: PartOfEquations | None, cuts: Sequence[int], what: Work, bounds: Int64, _: None, *lane: Any
) -> PartOfEquations:
    rows = int(bounds[0]), int(bounds[-1])

    def make(blocks: Sequence[SourceBlock]) -> PartOfEquations:
        return part_of_equations(blocks, rows, what.objective, what.solver, what.biases)

    return _add_part(before, cuts, make, rows[1] - rows[0], lane)


def _solve(what: Work, bounds: Int64, whole: PartOfEquations, gram: Float64 | None) -> Panel:
    with error_on_side(what.side):
        solved = solve_part(int(bounds[0]), whole, gram, what.objective, what.solver, what.biases)
    return _panel(what, bounds, solved)


def _panel(what: Work, bounds: Int64, solved: SolvedBlock) -> Panel:
    """A panel of blocks with these bounds, from the rows of all of them."""
    panel = panel_of(what.objective.implicit, solved)
    cuts = (bounds[1:-1] - bounds[0]).tolist()
    return panel._replace(blocks=tuple(np.split(solved.rows, cuts)))


# ---- conjugate gradients ---------------------------------------------------------------------------------


def _improved(given: Given, previous: Delayed, scheduler: Scheduler) -> tuple[Delayed, Delayed]:
    """Tasks for a panel of the side, after steps from its rows as they were, and for the last of the steps."""
    what, bounds, lanes, root, gram, name, after = given
    start = int(bounds[0])
    x = task(_start_rows, what, previous, after, name=f"als-begin-{name}", worker=root)
    whole = lanes.total(_part_of_residuals, (what, start, x), f"als-reduce-{name}-0", root)
    steps = task(_first_step, what, x, whole, gram, name=f"als-step-{name}-0", worker=root)
    for number in range(1, what.solver.cg_steps + 1):
        # a task of its own, since all else that steps hold need not travel
        d = task(_direction, steps, name=f"als-direction-{name}-{number}", worker=root)
        if lanes.are_many:
            steps, d = scheduler.begin((steps, d))
        whole = lanes.total(_part_of_products, (what, start, d), f"als-reduce-{name}-{number}", root)
        steps = task(next_step, steps, whole, name=f"als-step-{name}-{number}", worker=root)
    return task(_finish, what, bounds, steps, name=f"als-solve-{name}", worker=root), steps


def _start_rows(what: Work, previous: Panel, _: None) -> Float:
    blocks = [start_rows(rows, what.solver, what.biases) for rows in previous.blocks]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _part_of_residuals(
    before: PartOfProducts | None, cuts: Sequence[int], what: Work, start: int, x: Float, *lane: Any
) -> PartOfProducts:
    return _products(before, cuts, what, start, x, lane, residuals=True)


def _part_of_products(
    before: PartOfProducts | None, cuts: Sequence[int], what: Work, start: int, d: Float, *lane: Any
) -> PartOfProducts:
    return _products(before, cuts, what, start, d, lane, residuals=False)


def _products(
    before: PartOfProducts | None,
    cuts: Sequence[int],
    what: Work,
    start: int,
    x: Float,
    lane: Sequence[Any],
    *,
    residuals: bool,
) -> PartOfProducts:
    def make(blocks: Sequence[SourceBlock]) -> PartOfProducts:
        return part_of_products(blocks, start, x, what.objective, what.solver, what.biases, residuals=residuals)

    return _add_part(before, cuts, make, len(x), lane)


def _first_step(what: Work, x: Float, whole: PartOfProducts, gram: Float64 | None) -> Steps:
    return first_step(x, whole, gram, what.objective)


def _direction(steps: Steps) -> Float:
    return steps.descent.direction


def _finish(what: Work, bounds: Int64, steps: Steps) -> Panel:
    return _panel(what, bounds, solved_rows(steps, what.objective, what.biases))
