"""A half-step in which the source's rows stay where they are, with their ratings: what travels are sums.

A source of many rows has in-blocks, and the few rows of the destination have none. With two panels of the destination,
and source blocks in three lanes, of neighbours that mostly lie on one worker, an exact half-step is::

    lane 0   lane 1   lane 2        each with the ratings and rows of its blocks
      |  \\     |  \\     |  \
      +---|----+---|----+   |      parts of the equations of panel 0, added in a tree   --> solve --> panel 0
          +--------+--------+      ... of panel 1                                       --> solve --> panel 1

With conjugate gradients the same happens in each pass with directions and products (`daskals.blocks.reduced`)::

    x --> lanes --> tree --> first step --direction--> lanes --> tree --> next step --direction--> ... --> panel

Parts for one panel are as large as its equations, in each lane. So no more than `PANELS_AT_ONCE` panels are in the
making at a time, and `daskals.engine.plan` makes them small enough.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from dask.delayed import Delayed

from daskals.blocks.least_squares import SolvedBlock
from daskals.blocks.ratings import InBlock
from daskals.blocks.reduced import (
    PartOfEquations,
    PartOfProducts,
    Steps,
    add_equations,
    add_products,
    first_step,
    next_step,
    part_of_equations,
    part_of_products,
    solve_part,
    solved_rows,
    start_rows,
)
from daskals.engine.forms import PANELS_AT_ONCE
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
    edges = plan.of(side.name).panel_edges
    bounds = [side.bounds[first : stop + 1] for first, stop in itertools.pairwise(edges)]
    panels: list[Delayed] = []
    sums: list[Delayed] = []
    for number, of_panel in enumerate(bounds):
        # the sums of an earlier panel, for which this one waits
        after = _done(sums[number - PANELS_AT_ONCE]) if number >= PANELS_AT_ONCE else None
        given = (what, of_panel, lanes, gram, f"{name}-{number}", after)
        if plan.solver.cg_steps:
            panel, last_sum = _improved(*given, previous[number], plan.scheduler)
        else:
            panel, last_sum = _solved(*given)
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


#: With more lanes than this each pass is sent to a cluster by itself.
LANES_IN_ONE = 64


class Lane(NamedTuple):
    """Neighbouring blocks of the source that lie on one worker."""

    worker: str | None
    #: the tasks of their in-blocks, and then those of their panels
    blocks: Sequence[Delayed]


class Lanes(NamedTuple):
    """All blocks of the source: for each worker a lane for each of its threads."""

    of_workers: Sequence[Sequence[Lane]]

    @property
    def are_many(self) -> bool:
        """Whether tasks of one pass had better begin before those of the next are made."""
        return sum(map(len, self.of_workers)) > LANES_IN_ONE

    def total(self, function: Callable[..., Any], add: Callable[..., Any], given: Sequence[Any], name: str) -> Delayed:
        """The sum of what a function makes of each lane, besides what it is given, as a task.

        First over the lanes of a worker, so that one sum leaves it.
        """
        sums = []
        for number, lanes in enumerate(self.of_workers):
            parts = [
                task(function, *given, *lane.blocks, name=f"{name}-{number}-{n}", worker=lane.worker)
                for n, lane in enumerate(lanes)
            ]
            name_of_sum, worker = f"{name}-sum-{number}", lanes[0].worker
            sums.append(parts[0] if len(parts) == 1 else tree_reduce(add, parts, name_of_sum, worker))
        return sums[0] if len(sums) == 1 else tree_reduce(add, sums, f"{name}-tree")


def _lanes(source: Side, source_panels: Sequence[Delayed], plan: Plan) -> Lanes:
    homes = [source.home(block) for block in range(source.n_blocks)]
    of_workers = []
    for home in dict.fromkeys(homes):
        blocks = [n for n, each in enumerate(homes) if each == home]
        n_lanes = -(-plan.scheduler.threads * len(blocks) // source.n_blocks)
        edges = np.linspace(0, len(blocks), min(n_lanes, len(blocks)) + 1).astype(int).tolist()
        groups = [blocks[first:stop] for first, stop in itertools.pairwise(edges)]
        of_workers.append(
            [
                Lane(home, [*(source.in_blocks[n] for n in group), *(source_panels[n] for n in group)])
                for group in groups
            ]
        )
    return Lanes(of_workers)


def _gram_of(panels: Sequence[Delayed], name: str) -> Delayed:
    """A task for Y'Y of all rows of these panels."""
    grams = [task(_gram, panel, name=f"als-gram-{name}-{number}") for number, panel in enumerate(panels)]
    return tree_reduce(_sum_grams, grams, f"als-gram-tree-{name}")


def _gram(panel: Panel) -> Float64 | None:
    return panel.gram


def _sum_grams(*grams: Float64) -> Float64 | None:
    return total_gram(grams)


def _blocks_of(lane: Sequence[Any]) -> list[tuple[InBlock, Any]]:
    """The ratings and the rows of the blocks of a lane."""
    half = len(lane) // 2
    return [(block, panel.blocks[0]) for block, panel in zip(lane[:half], lane[half:], strict=True)]


# ---- exact solutions -------------------------------------------------------------------------------------


def _solved(
    what: Work, bounds: Int64, lanes: Lanes, gram: Delayed | None, name: str, after: Delayed | None
) -> tuple[Delayed, Delayed]:
    """Tasks for a panel of the side, whose blocks have these bounds, and for the sums that it is solved from."""
    whole = lanes.total(_part_of_equations, add_equations, (what, bounds, after), f"als-reduce-{name}")
    return task(_solve, what, bounds, whole, gram, name=f"als-solve-{name}"), whole


def _part_of_equations(what: Work, bounds: Int64, _: None, *lane: Any) -> PartOfEquations:
    rows = int(bounds[0]), int(bounds[-1])
    return part_of_equations(_blocks_of(lane), rows, what.objective, what.solver, what.biases)


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


def _improved(
    what: Work,
    bounds: Int64,
    lanes: Lanes,
    gram: Delayed | None,
    name: str,
    after: Delayed | None,
    previous: Delayed,
    scheduler: Scheduler,
) -> tuple[Delayed, Delayed]:
    """Tasks for a panel of the side, after steps from its rows as they were, and for the last of the steps."""
    start = int(bounds[0])
    x = task(_start_rows, what, previous, after, name=f"als-begin-{name}")
    whole = lanes.total(_part_of_residuals, add_products, (what, start, x), f"als-reduce-{name}-0")
    steps = task(_first_step, what, x, whole, gram, name=f"als-step-{name}-0")
    for number in range(1, what.solver.cg_steps + 1):
        # a task of its own, since all else that steps hold need not travel
        d = task(_direction, steps, name=f"als-direction-{name}-{number}")
        if lanes.are_many:
            steps, d = scheduler.begin((steps, d))
        whole = lanes.total(_part_of_products, add_products, (what, start, d), f"als-reduce-{name}-{number}")
        steps = task(next_step, steps, whole, name=f"als-step-{name}-{number}")
    return task(_finish, what, bounds, steps, name=f"als-solve-{name}"), steps


def _start_rows(what: Work, previous: Panel, _: None) -> Float:
    blocks = [start_rows(rows, what.solver, what.biases) for rows in previous.blocks]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _part_of_residuals(what: Work, start: int, x: Float, *lane: Any) -> PartOfProducts:
    given = (_blocks_of(lane), start, x, what.objective, what.solver, what.biases)
    return part_of_products(*given, residuals=True)


def _part_of_products(what: Work, start: int, d: Float, *lane: Any) -> PartOfProducts:
    given = (_blocks_of(lane), start, d, what.objective, what.solver, what.biases)
    return part_of_products(*given, residuals=False)


def _first_step(what: Work, x: Float, whole: PartOfProducts, gram: Float64 | None) -> Steps:
    return first_step(x, whole, gram, what.objective)


def _direction(steps: Steps) -> Float:
    return steps.descent.direction


def _finish(what: Work, bounds: Int64, steps: Steps) -> Panel:
    return _panel(what, bounds, solved_rows(steps, what.objective, what.biases))
