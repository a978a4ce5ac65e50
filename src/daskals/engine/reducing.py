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

from daskals.blocks.lanes import InOrder, Turned, in_order, part_of_equations, part_of_products, turn
from daskals.blocks.least_squares import SolvedBlock
from daskals.blocks.reduced import (
    Part,
    PartOfEquations,
    PartOfProducts,
    Steps,
    add_parts,
    first_step,
    next_step,
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
    edges, n_threads = plan.of(side.name).panel_edges, threads_of_process(plan.scheduler)
    bounds = [side.bounds[first : stop + 1] for first, stop in itertools.pairwise(edges)]
    lanes = _lanes(source, source_panels, [_runs(panel, n_threads) for panel in bounds], what, plan)
    gram = _gram_of(source_panels, name) if what.objective.implicit else None
    at_once = panels_at_once(plan.scheduler, plan.lanes)
    panels: list[Delayed] = []
    sums: list[Delayed] = []
    for number, of_panel in enumerate(bounds):
        # the sums of an earlier panel, for which this one waits
        after = _done(sums[number - at_once]) if number >= at_once else None
        given = Given(what, number, of_panel, lanes, lanes.root(number), gram, n_threads, after)
        if plan.solver.cg_steps:
            panel, last_sum = _improved(given, previous[number], plan.scheduler)
        else:
            panel, last_sum = _solved(given)
        if lanes.are_many:
            panel, last_sum = plan.scheduler.begin((panel, last_sum))
        panels.append(panel)
        sums.append(last_sum)
    return panels


def _runs(bounds: Int64, n_threads: int) -> Int64:
    """Ends of runs of rows in a panel whose blocks have these bounds: some for each thread."""
    first, stop = int(bounds[0]), int(bounds[-1])
    n_runs = 1 if n_threads == 1 else max(1, min(stop - first, RUNS_PER_THREAD * n_threads))
    return np.linspace(first, stop, n_runs + 1).astype(np.int64)


def _done(each: Delayed) -> Delayed:
    """A task that gives nothing, when another one is done."""
    return task(_nothing, each, name=f"{each.key}-done")


def _nothing(_: Any) -> None:
    return None


#: With more blocks of the source than this each pass is sent to a cluster by itself.
BLOCKS_IN_ONE = 64
#: Each thread of a process has so many runs of rows of a panel: rows have different numbers of ratings.
RUNS_PER_THREAD = 2


class Lane(NamedTuple):
    """Blocks of the source that lie on one worker, and are gone over by one task."""

    worker: str | None
    #: a task for their ratings and rows, as parts are made of them (`daskals.blocks.lanes`)
    laid_out: Delayed


class Lanes(NamedTuple):
    """All blocks of the source: for each worker its lanes, of which each adds to what the one before has made."""

    of_workers: Sequence[Sequence[Lane]]
    #: whether tasks of one pass had better begin before those of the next are made
    are_many: bool

    def root(self, panel: int) -> str | None:
        """The worker that adds up what all of them have made for a panel."""
        return self.of_workers[panel % len(self.of_workers)][0].worker

    def total(self, function: Callable[..., Any], given: Sequence[Any], name: str, root: str | None) -> Delayed:
        """The sum of what a function makes of all blocks, besides what it is given, as a task."""
        sums = []
        for number, lanes in enumerate(self.of_workers):
            whole: Delayed | None = None
            for n, lane in enumerate(lanes):
                whole = task(function, whole, lane.laid_out, *given, name=f"{name}-{number}-{n}", worker=lane.worker)
            if whole is not None:
                sums.append(whole)
        return sums[0] if len(sums) == 1 else tree_reduce(add_parts, sums, f"{name}-tree", root)


def _lanes(source: Side, source_panels: Sequence[Delayed], runs: Sequence[Int64], what: Work, plan: Plan) -> Lanes:
    homes = [source.home(block) for block in range(source.n_blocks)]
    of_workers = []
    for number, home in enumerate(dict.fromkeys(homes)):
        blocks = [n for n, each in enumerate(homes) if each == home]
        lanes = []
        for n, some in enumerate(np.array_split(blocks, min(len(blocks), plan.lanes))):
            given = [*(source.in_blocks[block] for block in some), *(source_panels[block] for block in some)]
            name = f"als-lane-{what.name}-{number}-{n}"
            how = threads_of_process(plan.scheduler), plan.stay_in_order
            lanes.append(Lane(home, task(_laid_out, what, runs, *how, *given, name=name, worker=home)))
        of_workers.append(lanes)
    are_many = source.n_blocks > BLOCKS_IN_ONE
    if are_many:
        begun = iter(plan.scheduler.begin([lane.laid_out for lanes in of_workers for lane in lanes]))
        of_workers = [[lane._replace(laid_out=next(begun)) for lane in lanes] for lanes in of_workers]
    return Lanes(of_workers, are_many)


def _laid_out(what: Work, runs: Sequence[Int64], n_threads: int, stay: bool, *lane: Any) -> Turned | InOrder:
    half = len(lane) // 2
    blocks = [(block, panel.blocks[0]) for block, panel in zip(lane[:half], lane[half:], strict=True)]
    given = n_threads, what.objective, what.solver, what.biases
    return in_order(blocks, *given) if stay else turn(blocks, runs, *given)


class Place(NamedTuple):
    """Which panel, the position of its first row, and how many threads there are for it."""

    panel: int
    start: int
    n_threads: int


class Given(NamedTuple):
    """What the tasks for a panel of the destination are made from."""

    what: Work
    panel: int
    #: of its blocks
    bounds: Int64
    lanes: Lanes
    #: the worker that adds up and solves
    root: str | None
    gram: Delayed | None
    #: how many threads a process has
    n_threads: int
    #: a task that must be done before, if any
    after: Delayed | None

    @property
    def name(self) -> str:
        """A part of the names of its tasks."""
        return f"{self.what.name}-{self.panel}"


def _gram_of(panels: Sequence[Delayed], name: str) -> Delayed:
    """A task for Y'Y of all rows of these panels."""
    grams = [task(_gram, panel, name=f"als-gram-{name}-{number}") for number, panel in enumerate(panels)]
    return tree_reduce(_sum_grams, grams, f"als-gram-tree-{name}")


def _gram(panel: Panel) -> Float64 | None:
    return panel.gram


def _sum_grams(*grams: Float64) -> Float64 | None:
    return total_gram(grams)


def _with(before: Part | None, part: Part) -> Part:
    """A part, added to what was made before."""
    return part if before is None else add_parts(before, part)


# ---- exact solutions -------------------------------------------------------------------------------------


def _solved(given: Given) -> tuple[Delayed, Delayed]:
    """Tasks for a panel of the side, and for the sums that it is solved from."""
    what, lanes, root, name = given.what, given.lanes, given.root, given.name
    parts = what, given.panel, given.n_threads, given.after
    whole = lanes.total(_part_of_equations, parts, f"als-reduce-{name}", root)
    return task(_solve, what, given.bounds, whole, given.gram, name=f"als-solve-{name}", worker=root), whole


def _part_of_equations(
    before: PartOfEquations | None, turned: Turned, what: Work, panel: int, n_threads: int, _: None
) -> PartOfEquations:
    return _with(before, part_of_equations(turned, panel, n_threads, what.objective, what.solver))


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
    what, lanes, root, name = given.what, given.lanes, given.root, given.name
    parts = what, Place(given.panel, int(given.bounds[0]), given.n_threads)
    x = task(_start_rows, what, previous, given.after, name=f"als-begin-{name}", worker=root)
    whole = lanes.total(_part_of_residuals, (*parts, x), f"als-reduce-{name}-0", root)
    steps = task(_first_step, what, x, whole, given.gram, name=f"als-step-{name}-0", worker=root)
    for number in range(1, what.solver.cg_steps + 1):
        # a task of its own, since all else that steps hold need not travel
        d = task(_direction, steps, name=f"als-direction-{name}-{number}", worker=root)
        if lanes.are_many:
            steps, d = scheduler.begin((steps, d))
        whole = lanes.total(_part_of_products, (*parts, d), f"als-reduce-{name}-{number}", root)
        steps = task(next_step, steps, whole, name=f"als-step-{name}-{number}", worker=root)
    return task(_finish, what, given.bounds, steps, name=f"als-solve-{name}", worker=root), steps


def _start_rows(what: Work, previous: Panel, _: None) -> Float:
    blocks = [start_rows(rows, what.solver, what.biases) for rows in previous.blocks]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _part_of_residuals(
    before: PartOfProducts | None, lane: Turned | InOrder, what: Work, place: Place, x: Float
) -> PartOfProducts:
    return _with(before, part_of_products(lane, *place, x, what.objective, residuals=True))


def _part_of_products(
    before: PartOfProducts | None, lane: Turned | InOrder, what: Work, place: Place, d: Float
) -> PartOfProducts:
    return _with(before, part_of_products(lane, *place, d, what.objective, residuals=False))


def _first_step(what: Work, x: Float, whole: PartOfProducts, gram: Float64 | None) -> Steps:
    return first_step(x, whole, gram, what.objective)


def _direction(steps: Steps) -> Float:
    return steps.descent.direction


def _finish(what: Work, bounds: Int64, steps: Steps) -> Panel:
    return _panel(what, bounds, solved_rows(steps, what.objective, what.biases))
