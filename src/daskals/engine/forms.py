"""Which form half-steps have: the rows of the source travel (gather), or sums for the rows of the destination (reduce).

A fit whose half-steps solve one side by reduced sums (`daskals.engine.reducing`) has no in-blocks of that side: its
ratings are held once, in the blocks of the other side. So the choice is made in the shuffle, when the numbers of users
and items are known. It changes factors by rounding alone.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from daskals.blocks.ratings import SideName, other
from daskals.engine.traffic import Form, HalfStepSize, bytes_moved
from daskals.execution.scheduler import Scheduler
from daskals.kernels.objective import Solver

logger = logging.getLogger("daskals")

#: Sides are reduced in a panel for each process, which adds up what the others send; and in at least this many, unless
#: there are fewer threads: each is a task in every process, and in each pass of conjugate gradients.
LEAST_PANELS = 8
LEAST_PANELS_OF_PASSES = 2
#: So many panels of a side are in the making at a time, at least: while sums of one travel, those of another are made.
PANELS_AT_ONCE = 2
#: A process goes over its ratings in one task where they take no more than this share of its memory. Else in several,
#: one after the other, each of which has a smaller share at hand.
HELD_SHARE = 0.2
LANE_SHARE = 0.1
#: Rows of the destination and sums of them stay in a cache where they take no more.
NEAR_BYTES = 16 << 20
#: Bytes of a rating in an in-block, with a weight.
RATING_BYTES = 12
#: Gathering is left as it is until it moves this many bytes in a half-step, all processes together: below that there is
#: little to gain, and reducing has more tasks.
LEAST_BYTES = 1 << 30
#: ... and where reducing does not move less than this share of that: it does more arithmetic,
WORTH_SHARE = 0.5
#: and where it does not spare each process so many bytes for each of its tasks: a task takes the scheduler about a
#: millisecond, in which a process receives about a megabyte.
BYTES_PER_TASK = 2 << 20


@dataclass(frozen=True)
class FitShape:
    """What the form of half-steps depends on, besides the numbers of users and items."""

    #: of the factors, those of biases included
    columns: int
    solver: Solver
    has_biases: bool = False
    #: whether in-blocks of users are needed in any case, as for validation rows
    needs_users: bool = False

    def row_bytes(self) -> int:
        """Bytes that a thread takes at most for each row of a panel that it makes a part of."""
        width = -(-self.columns // 8) * 8
        numbers = 6 * width if self.solver.cg_steps else 2 * width * width
        return numbers * np.dtype(self.solver.dtype).itemsize

    def stays_in_order(self, n_rows: int) -> bool:
        """Whether ratings stay in the order of the source where so many rows are solved from reduced sums."""
        n_bytes = 2 * n_rows * self.columns * np.dtype(self.solver.dtype).itemsize
        return bool(self.solver.cg_steps) and n_bytes <= NEAR_BYTES

    def bytes_moved(self, n_rows: int, n_sources: int, processes: int) -> tuple[int, int]:
        """Bytes that a half-step moves which solves ``n_rows`` rows: gathered, and reduced."""
        solver = self.solver
        size = HalfStepSize(
            *(n_rows, n_sources, self.columns, processes, self.has_biases), np.dtype(solver.dtype).itemsize
        )
        reduced: Form = "reduce-cg" if solver.cg_steps else "reduce-exact"
        return bytes_moved(size, "gather"), bytes_moved(size, reduced, solver.cg_steps)


class Halves(NamedTuple):
    """Which sides get in-blocks, and how many blocks each side has: None for an automatic number."""

    names: tuple[SideName, ...]
    blocks: tuple[int | None, int | None]


#: Chooses halves from the numbers of users and items.
Choice = Callable[[int, int], Halves]


def choose_halves(
    scheduler: Scheduler, shape: FitShape, wanted: tuple[int | None, int | None], n_users: int, n_items: int
) -> Halves:
    """The sides that are laid out for fits of this shape; ``wanted`` are the numbers of blocks that a user asks for."""
    reduced = reduced_side(scheduler, shape, n_users, n_items)
    if reduced is None:
        return Halves(("users", "items"), wanted)
    users, items = wanted
    n_panels = panels_of_reduced(scheduler, shape, n_users if reduced == "users" else n_items)
    blocks = (users or n_panels, items) if reduced == "users" else (users, items or n_panels)
    return Halves((other(reduced),), blocks)


def reduced_side(scheduler: Scheduler, shape: FitShape, n_users: int, n_items: int) -> SideName | None:
    """The side that is solved from reduced sums, or None; says why in the log."""
    how = scheduler.settings.half_step
    if shape.solver.subspace:
        return None  # a sweep goes over the ratings of a row, with their scores, for every block of columns
    few: SideName = "users" if n_users < n_items else "items"
    n_few, n_many = sorted((n_users, n_items))
    if how == "gather" or (few == "users" and shape.needs_users):
        return None
    gathered, reduced = shape.bytes_moved(n_few, n_many, scheduler.processes)
    pays = gathered >= LEAST_BYTES and reduced <= WORTH_SHARE * gathered
    if pays:
        passes = shape.solver.cg_steps + 1
        n_tasks = panels_of_reduced(scheduler, shape, n_few) * scheduler.processes * passes
        pays = gathered - reduced >= BYTES_PER_TASK * n_tasks * scheduler.processes
    chosen = how == "reduce" or pays
    if gathered:
        logger.info(
            "half-steps that solve %s: %s of them would move %s in an iteration, sums for %s %s: %s%s",
            *(few, other(few), _in_words(gathered), few, _in_words(reduced)),
            *("reduce" if chosen else "gather", "" if how == "auto" else f" (daskals.half-step is {how})"),
        )
    return few if chosen else None


def _in_words(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.3g} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.3g} MB"


def panels_of_reduced(scheduler: Scheduler, shape: FitShape, n_rows: int) -> int:
    """In how many panels a side of so many rows is reduced.

    A worker shall have room for the part of a panel that its threads make, and for its sums of those in the making;
    where ratings stay in the order of the source, for a part that each thread makes.
    """
    share = scheduler.settings.factor_share * scheduler.worker_memory()
    at_hand = panels_at_once(scheduler, 1) + (threads_of_process(scheduler) if shape.stays_in_order(n_rows) else 1)
    needed = int(-(-n_rows * shape.row_bytes() * at_hand // max(1, int(share))))
    least = LEAST_PANELS_OF_PASSES if shape.solver.cg_steps else LEAST_PANELS
    return max(1, min(n_rows, max(needed, scheduler.processes, min(least, scheduler.threads))))


def threads_of_process(scheduler: Scheduler) -> int:
    """How many threads a process has."""
    return -(-scheduler.threads // scheduler.processes)


def panels_at_once(scheduler: Scheduler, n_lanes: int) -> int:
    """How many panels are in the making at a time, where a process goes over its ratings in so many tasks.

    A panel for each process: the network between all of them is then in use. But where ratings do not stay in memory,
    they shall not be read for several panels at a time.
    """
    return max(PANELS_AT_ONCE, scheduler.processes) if n_lanes == 1 else 1


def lanes_of_process(scheduler: Scheduler, n_ratings: int) -> int:
    """In how many tasks, one after the other, a process goes over its ratings."""
    n_bytes, memory = RATING_BYTES * n_ratings / scheduler.processes, scheduler.worker_memory()
    return 1 if n_bytes <= HELD_SHARE * memory else math.ceil(n_bytes / (LANE_SHARE * memory))
