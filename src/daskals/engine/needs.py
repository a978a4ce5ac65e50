"""What a fit will need, before it runs: blocks, tasks, bytes between processes.

Nothing is decided here. `daskals.engine.plan` decides as for a fit; tasks are made as for a fit, and counted by a
scheduler that runs none (`daskals.execution.paper`). What follows from these numbers, memory and seconds, is in
`daskals.engine.needed_memory` and `daskals.engine.needed_seconds`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskals.blocks.goal import Goal
from daskals.blocks.ratings import SideName, other
from daskals.engine.forms import FitShape, choose_halves
from daskals.engine.loop import Iterations
from daskals.engine.plan import Plan, make_plan
from daskals.engine.shuffle_plan import ShufflePlan, plan_shuffle
from daskals.engine.sides import Ratings, Side
from daskals.engine.start_values import StartValues
from daskals.engine.traffic import Form, HalfStepSize, bytes_moved, row_bytes
from daskals.execution.paper import Machines, PaperScheduler
from daskals.kernels.objective import Solver

#: In the order of an iteration.
SIDES: tuple[SideName, SideName] = ("items", "users")


@dataclass(frozen=True)
class Sizes:
    """Ratings, as far as a plan knows them."""

    n_users: int
    n_items: int
    n_ratings: int
    #: in how many parts they are read
    n_parts: int
    has_weights: bool = False
    #: of the frame, where it is in memory of this process
    frame_bytes: int = 0

    def rows(self, side: SideName) -> int:
        """How many users, or items."""
        return self.n_users if side == "users" else self.n_items


@dataclass(frozen=True)
class Needs:
    """The plan of a fit, and what it was made of and for."""

    sizes: Sizes
    machines: Machines
    shuffled: ShufflePlan
    #: the sides that get in-blocks, the first one made of what is read
    halves: tuple[SideName, ...]
    plan: Plan
    #: tasks of an iteration
    iteration_tasks: int
    #: how often an iteration waits for tasks
    waits: int

    def half_step_size(self, side: SideName) -> HalfStepSize:
        """What the traffic of the half-step depends on that solves a side."""
        return HalfStepSize(
            self.sizes.rows(side),
            self.sizes.rows(other(side)),
            self.plan.rank,
            self.machines.processes,
            self.plan.of(side).biases is not None,
            np.dtype(self.plan.solver.dtype).itemsize,
        )

    def form(self, side: SideName) -> Form:
        """The form of the half-step that solves a side."""
        if not self.plan.of(side).reduced:
            return "gather"
        return "reduce-cg" if self.plan.solver.cg_steps else "reduce-exact"

    def moved(self, side: SideName) -> int:
        """Bytes that the half-step moves between processes which solves a side."""
        return bytes_moved(self.half_step_size(side), self.form(side), self.plan.solver.cg_steps)

    @property
    def pinned(self) -> int:
        """Bytes that are handed to the scheduler in an iteration, so that they survive the loss of any worker."""
        return sum(row_bytes(self.sizes.rows(side), self.plan.rank) for side in SIDES if self.plan.of(side).pinned)

    @property
    def shuffle_tasks(self) -> int:
        """Tasks until both sides are built."""
        return self.shuffled.tasks(self.sizes.n_parts, self.halves)


def needs_of(
    sizes: Sizes,
    scheduler: PaperScheduler,
    wanted: tuple[int | None, int | None],
    columns: int,
    goal: Goal,
    solver: Solver,
) -> Needs:
    """Plan a fit on paper. ``wanted`` are numbers of blocks as in `plan_shuffle`, ``columns`` those of the factors."""
    shape = FitShape(columns, solver, goal.mean is not None)
    halves = choose_halves(scheduler, shape, wanted, sizes.n_users, sizes.n_items)
    shuffled = plan_shuffle(scheduler, sizes.n_users, sizes.n_items, sizes.n_ratings, halves.blocks)
    users = _side_on_paper(scheduler, "users", sizes.n_users, shuffled.user_blocks, halves.names)
    items = _side_on_paper(scheduler, "items", sizes.n_items, shuffled.item_blocks, halves.names)
    ratings = Ratings(users, items, sizes.n_ratings)
    plan = make_plan(scheduler, ratings, columns, goal, solver)
    _iterate(scheduler, ratings, plan)
    return Needs(
        sizes, scheduler.machines, shuffled, halves.names, plan, scheduler.counted.tasks, scheduler.counted.waits
    )


def _side_on_paper(
    scheduler: PaperScheduler, name: SideName, n_rows: int, n_blocks: int, halves: tuple[SideName, ...]
) -> Side:
    """A side of so many rows in blocks of equal numbers of them, whose tasks are done."""
    ids, counts = scheduler.done(f"{name}-ids", f"{name}-counts")
    bounds = np.linspace(0, n_rows, n_blocks + 1).astype(np.int64)
    in_blocks = [f"{name}-{block}" for block in range(n_blocks)] if name in halves else []
    # neighbours lie on one process, as `daskals.execution.placement.preferred_workers` has it
    homes = tuple(f"process {block * scheduler.processes // n_blocks}" for block in range(len(in_blocks)))
    return Side(name, ids, counts, bounds, scheduler.done(*in_blocks), homes)


def _iterate(scheduler: PaperScheduler, ratings: Ratings, plan: Plan) -> None:
    """Let the loop of fits make the tasks of an iteration, and the scheduler count them."""
    loop = Iterations(ratings, StartValues(0, 1, 1, "3", nonnegative=False), plan)
    if not plan.solver.is_exact:
        next(loop)  # of items the first iteration reads start values, which it makes
    scheduler.counted.tasks = scheduler.counted.waits = 0
    next(loop)
