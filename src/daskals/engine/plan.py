"""What is decided once a fit, from the sizes of the data, the parameters, the configuration and the cluster.

A `Plan` is made when a fit starts and is passed down. Nothing below reads a setting, or asks the cluster how much
memory it has: what another thread changes while a fit runs does not reach it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskals.blocks.ratings import SideName
from daskals.engine.sides import Ratings, Side
from daskals.execution.scheduler import Scheduler
from daskals.kernels.objective import Objective, Solver

#: Chunks, or blocks, are split in so many groups a thread, and at most so many, since pieces number groups times
#: blocks; more groups only where one would hold more than `MAX_GROUP_BYTES` (12 bytes a rating).
GROUPS_PER_THREAD = 2
MAX_GROUPS = 16
MAX_GROUP_BYTES = 256 << 20


@dataclass(frozen=True)
class ShufflePlan:
    """In how many parts the ratings are held and moved. None of these numbers changes a result."""

    user_blocks: int
    item_blocks: int
    #: parts that are split in one task each; fewer where there are fewer parts
    groups: int


def plan_shuffle(
    scheduler: Scheduler, n_users: int, n_items: int, n_ratings: int, wanted: tuple[int | None, int | None]
) -> ShufflePlan:
    """The parts for these ratings; ``wanted`` are numbers of user and item blocks, None for automatic ones."""
    settings = scheduler.settings
    needed = -(-8 * n_ratings // settings.block_bytes)
    automatic = min(settings.max_blocks, max(needed, settings.blocks_per_thread * scheduler.threads))
    groups = max(min(MAX_GROUPS, GROUPS_PER_THREAD * scheduler.threads), -(-12 * n_ratings // MAX_GROUP_BYTES))
    return ShufflePlan(min(wanted[0] or automatic, n_users), min(wanted[1] or automatic, n_items), groups)


@dataclass(frozen=True)
class SidePlan:
    """How the rows of one side are held and sent in a fit."""

    #: cuts of the blocks into panels: panel p has blocks panel_edges[p] to panel_edges[p + 1]
    panel_edges: tuple[int, ...]
    #: the rows are too many for one process: half-steps that read them take them panel by panel
    streamed: bool
    #: the rows are handed to the scheduler after each iteration, so that no lost worker can take them along
    pinned: bool


@dataclass(frozen=True)
class Plan:
    """What one fit does with its ratings."""

    scheduler: Scheduler
    rank: int
    objective: Objective
    solver: Solver
    users: SidePlan
    items: SidePlan
    #: factors are too large to be pinned: a lost worker makes all iterations run again from the last safe point
    loses_history: bool

    def of(self, side: SideName) -> SidePlan:
        """The plan of the side of this name."""
        return self.users if side == "users" else self.items


def make_plan(scheduler: Scheduler, ratings: Ratings, rank: int, objective: Objective, solver: Solver) -> Plan:
    """Decide for a fit to these ratings. Asks a cluster once for the memory of its workers."""
    share = scheduler.settings.factor_share * scheduler.worker_memory()
    itemsize = np.dtype(solver.dtype).itemsize

    def plan_side(side: Side) -> SidePlan:
        # the next iteration starts from users; from items only where conjugate gradients do
        is_start = side.name == "users" or solver.cg_steps > 0
        return SidePlan(
            cut_into_panels(side.n_blocks, scheduler.settings.panels),
            streamed=side.n_rows * rank * itemsize > share,
            pinned=is_start and scheduler.can_lose_results and is_small_enough_to_pin(scheduler, side.n_rows, rank),
        )

    rows = max(ratings.users.n_rows, ratings.items.n_rows)
    return Plan(
        *(scheduler, rank, objective, solver),
        users=plan_side(ratings.users),
        items=plan_side(ratings.items),
        loses_history=scheduler.can_lose_results and not is_small_enough_to_pin(scheduler, rows, rank),
    )


def cut_into_panels(n_blocks: int, n_panels: int) -> tuple[int, ...]:
    """Cut blocks into at most ``n_panels`` runs of neighbours, the panels; returns the ends of runs.

    Every solve depends on every panel: few panels keep the scheduler's graph small, several spread the sending over
    workers.
    """
    return tuple(np.linspace(0, n_blocks, min(n_blocks, n_panels) + 1).astype(int).tolist())


def is_small_enough_to_pin(scheduler: Scheduler, n_rows: int, rank: int, id_bytes: int = 0) -> bool:
    """Whether factors of this size, with ids of so many bytes, may be handed to the scheduler (`Scheduler.pin`)."""
    return 4 * n_rows * rank + id_bytes <= scheduler.settings.durable_bytes
