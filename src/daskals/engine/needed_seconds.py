"""How long a fit will take, from what it needs and how fast things are. An estimate: it knows sizes, not ratings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from daskals.blocks.ratings import SideName, other
from daskals.engine.needs import SIDES, Needs
from daskals.engine.speeds import CACHE_BYTES, RANK_A_PASS, Speed, padded
from daskals.engine.traffic import ROW_ITEMSIZE, HalfStepSize
from daskals.kernels.objective import Objective, Solver

#: Start values are drawn by at most so many tasks a side: as many as Spark has blocks there, by default.
START_TASKS = 10
#: Bytes of a rating on its way to the block of its user, and to that of its item.
PIECE_BYTES = 12


@dataclass(frozen=True)
class Seconds:
    """The parts of an iteration, and what comes before the first."""

    #: solving rows
    arithmetic: float
    #: laying out source rows, and ratings where half-steps are reduced, for the kernels
    packing: float
    #: what comes into a process from others
    network: float
    #: handing factors to the scheduler
    pinning: float
    #: the work of the scheduler and of the client for the tasks
    scheduler: float
    #: reading a frame that is in memory, sorting its ratings, and the start values
    before: float

    @property
    def iteration(self) -> float:
        """All parts of an iteration, one after the other."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, float]:
        """Those of an iteration, by name."""
        return {name: getattr(self, name) for name in ("arithmetic", "packing", "network", "pinning", "scheduler")}


def seconds_of(needs: Needs, speed: Speed) -> Seconds:
    """The seconds of a fit, at such a speed."""
    machines, plan = needs.machines, needs.plan
    byte = speed.byte if machines.bandwidth is None else max(speed.byte, 1 / machines.bandwidth)
    byte = byte / machines.processes if machines.processes > 1 else 0.0
    ratings = needs.sizes.n_ratings
    if machines.is_cluster:
        per_task, per_wait, per_rating = speed.cluster_task, speed.cluster_wait, speed.cluster_shuffle
        least = speed.cluster_fit
    else:
        per_task, per_wait, per_rating, least = speed.task, 0.0, speed.shuffle, speed.fit
    shuffled = ratings * per_rating * len(needs.halves) / 2 / machines.threads + needs.shuffle_tasks * per_task
    sent = len(needs.halves) * PIECE_BYTES * ratings * (1 - 1 / machines.processes) * byte
    numbers = (needs.sizes.n_users + needs.sizes.n_items) * plan.rank
    return Seconds(
        arithmetic=sum(_solving(needs, side, speed) for side in SIDES),
        packing=sum(_packing(needs, side, speed) for side in SIDES),
        network=sum(needs.moved(side) for side in SIDES) * byte,
        # to the scheduler, whose client is beside it, and with the next tasks to workers
        pinning=needs.pinned * max(speed.pinned_byte, 2 / machines.bandwidth if machines.bandwidth else 0.0),
        scheduler=needs.iteration_tasks * per_task + needs.waits * per_wait,
        before=least + shuffled + sent + numbers * speed.start / min(machines.threads, START_TASKS),
    )


def _solving(needs: Needs, side: SideName, speed: Speed) -> float:
    """Seconds of the busiest thread: it solves one block of so many, or adds up what one of the source is part of."""
    n_blocks = needs.shuffled.blocks(other(side) if needs.plan.of(side).reduced else side)
    share = math.ceil(n_blocks / needs.machines.threads) / n_blocks
    objective, solver = needs.plan.of(side).objective, needs.plan.solver
    return share * solve_seconds(needs.half_step_size(side), needs.sizes.n_ratings, objective, solver, speed)


def solve_seconds(size: HalfStepSize, n_ratings: int, objective: Objective, solver: Solver, speed: Speed) -> float:
    """Seconds of one thread for solving all rows of the destination."""
    steps, work = work_of(size, n_ratings, objective, solver)
    total = sum(count * each for count, each in zip(work, speed.kernel(objective, steps), strict=True))
    return total * (speed.double if solver.double else 1.0)


def work_of(
    size: HalfStepSize, n_ratings: int, objective: Objective, solver: Solver
) -> tuple[Literal["exact", "cg"], tuple[float, ...]]:
    """Which kind of kernel solves the rows of the destination, and how often it does what `KernelSpeed` counts.

    Rows with few ratings are solved by as many equations as they have ratings. Of how many there are, no more is known
    here than the mean.
    """
    columns, passes = padded(size.unknowns), solver.cg_steps + 1
    is_far = max(0.0, 1 - CACHE_BYTES / (size.n_source * columns * size.itemsize))
    numbers = n_ratings * columns
    if solver.cg_steps and size.unknowns > RANK_A_PASS * passes:
        of_gram = columns**2 * passes if objective.implicit else 0
        return "cg", (n_ratings, numbers, numbers * passes, size.n_destination * of_gram, numbers * is_far * passes)
    unknowns = min(columns, padded(solver.subspace)) if solver.subspace else columns
    solved = min(unknowns, n_ratings / size.n_destination)
    of_row = columns / unknowns * solved**3
    return "exact", (n_ratings, numbers, numbers * solved, size.n_destination * of_row, numbers * is_far)


def _packing(needs: Needs, side: SideName, speed: Speed) -> float:
    """Seconds for laying out the source rows of a half-step in each process, and its ratings where they are turned."""
    size, solver, machines = needs.half_step_size(side), needs.plan.solver, needs.machines
    if needs.plan.of(side).reduced:
        turned = 0.0 if needs.plan.stay_in_order else needs.sizes.n_ratings * speed.regroup / machines.threads
        return turned + size.n_source * padded(size.unknowns) * speed.pack / machines.processes
    seconds = size.n_source * padded(size.unknowns) * speed.pack * size.itemsize / ROW_ITEMSIZE
    if solver.uses_eigenbasis(needs.plan.of(side).objective):
        seconds += size.n_source * size.unknowns**2 * speed.turn
    return seconds
