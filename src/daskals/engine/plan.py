"""What is decided once for each fit, from the sizes of the data, the parameters, the configuration and the cluster.

A `Plan` is made when a fit starts and is passed down. No function that it is passed to reads the configuration or asks
the cluster how much memory it has. So a fit does not notice what another thread changes while it runs. What is decided
before, in how many parts the ratings are held and moved, is in `daskals.engine.shuffle_plan`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskals.blocks.biases import Biases, biases_of
from daskals.blocks.goal import Goal
from daskals.blocks.ratings import SideName, other
from daskals.engine.forms import FitShape, lanes_of_process, panels_of_reduced
from daskals.engine.share import LEAST_MEMORY, Share
from daskals.engine.sides import Ratings, Side
from daskals.execution.scheduler import Scheduler
from daskals.kernels.objective import Objective, Solver

#: Factors are pinned if they take at most this share of the memory of the smallest worker.
PINNED_SHARE = 0.25


@dataclass(frozen=True)
class SidePlan:
    """How the rows of one side are solved, held and sent in a fit."""

    #: the objective as its rows see it
    objective: Objective
    #: which columns are biases; None where there are none
    biases: Biases | None

    #: panel p consists of the blocks panel_edges[p] to panel_edges[p + 1] - 1
    panel_edges: tuple[int, ...]
    #: whether the rows are too many for one process: half-steps that read them then take them panel by panel
    streamed: bool
    #: whether the rows are solved from sums that travel, while the source's rows stay (`daskals.engine.reducing`)
    reduced: bool
    #: whether the rows are handed to the scheduler after each iteration, so that they survive the loss of any worker
    pinned: bool


@dataclass(frozen=True)
class Plan:
    """All that was decided for one fit. Everything below takes it as an argument and changes nothing in it."""

    scheduler: Scheduler
    #: columns of the factors, those of biases included
    rank: int
    goal: Goal
    solver: Solver
    users: SidePlan
    items: SidePlan
    #: whether factors are too large to be pinned: then the loss of a worker makes all iterations run again, from the
    #: newest checkpoint or, where there is none, from the start values
    loses_history: bool
    #: in how many tasks a process goes over its ratings, where half-steps are reduced
    lanes: int
    #: whether processes leave their ratings in the order of the source meanwhile (`daskals.blocks.lanes`)
    stay_in_order: bool

    def of(self, side: SideName) -> SidePlan:
        """The plan for one side, "users" or "items"."""
        return self.users if side == "users" else self.items


def make_plan(scheduler: Scheduler, ratings: Ratings, rank: int, goal: Goal, solver: Solver) -> Plan:
    """Make the plan for a fit to these ratings. This asks a cluster once how much memory its workers have.

    ``rank`` counts the columns of biases, where there are any.
    """
    share = scheduler.settings.factor_share * scheduler.worker_memory()
    itemsize = np.dtype(solver.dtype).itemsize
    shape = FitShape(rank, solver, goal.mean is not None)

    def plan_side(side: Side) -> SidePlan:
        streamed = side.n_rows * rank * itemsize > share
        n_panels = scheduler.settings.panels
        if streamed:  # a panel, too, is at hand as a whole
            n_panels = max(n_panels, Share(scheduler, share).n_portions(side.n_rows, rank))
        # an iteration starts from the users of the one before; from its items only where a solver is not exact
        is_start = side.name == "users" or not solver.is_exact
        return SidePlan(
            goal.of(side.name, ratings.of(other(side.name)).n_rows),
            None if goal.mean is None else biases_of(side.name, rank, goal.mean),
            _panel_edges(scheduler, ratings, side, shape, n_panels),
            streamed=streamed,
            reduced=not side.in_blocks,
            pinned=is_start and scheduler.can_lose_results and is_small_enough_to_pin(scheduler, side.n_rows, rank),
        )

    sides = ratings.users, ratings.items
    rows = max(side.n_rows for side in sides)
    return Plan(
        *(scheduler, rank, goal, solver),
        users=plan_side(ratings.users),
        items=plan_side(ratings.items),
        loses_history=scheduler.can_lose_results and not is_small_enough_to_pin(scheduler, rows, rank),
        lanes=1 if all(side.in_blocks for side in sides) else lanes_of_process(scheduler, ratings.n_ratings),
        stay_in_order=shape.stays_in_order(min(side.n_rows for side in sides)),
    )


def _panel_edges(scheduler: Scheduler, ratings: Ratings, side: Side, shape: FitShape, n_panels: int) -> tuple[int, ...]:
    if not ratings.of(other(side.name)).in_blocks:
        return tuple(range(side.n_blocks + 1))  # rows that stay where they are: no two blocks are joined
    if not side.in_blocks:
        return cut_into_panels(side.n_blocks, panels_of_reduced(scheduler, shape, side.n_rows))
    return cut_into_panels(side.n_blocks, n_panels)


def cut_into_panels(n_blocks: int, n_panels: int) -> tuple[int, ...]:
    """Cut blocks into at most ``n_panels`` runs of neighbours, the panels, of about equal numbers of blocks.

    Returns the edges: panel p consists of the blocks edges[p] to edges[p + 1] - 1. Every solve depends on every panel.
    Few panels keep the scheduler's graph small; several let more than one worker do the sending.

    >>> cut_into_panels(5, 2)
    (0, 2, 5)
    """
    return tuple(np.linspace(0, n_blocks, min(n_blocks, n_panels) + 1).astype(int).tolist())


def is_small_enough_to_pin(scheduler: Scheduler, n_rows: int, rank: int, id_bytes: int = 0) -> bool:
    """Whether float32 factors of shape (n_rows, rank), with ids of ``id_bytes`` bytes, are small enough to be pinned.

    The limit is the setting ``durable-bytes``; `daskals.execution.scheduler.Scheduler.pin` says what pinning is. And
    since a worker that holds all rows must have them in memory at once to send them, a part of its memory.
    """
    size = 4 * n_rows * rank + id_bytes
    if size > scheduler.settings.durable_bytes:
        return False
    return size <= PINNED_SHARE * LEAST_MEMORY or size <= PINNED_SHARE * scheduler.worker_memory()
