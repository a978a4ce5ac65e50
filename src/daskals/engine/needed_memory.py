"""How much memory the largest process of a fit will need, phase by phase.

What a task does not use at the moment can go to the disk of a worker, and back; what cannot is counted apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daskals.blocks.ratings import SideName, other
from daskals.engine.forms import FitShape, panels_at_once, threads_of_process
from daskals.engine.needs import SIDES, Needs
from daskals.engine.speeds import padded
from daskals.engine.traffic import ROW_ITEMSIZE, row_bytes
from daskals.execution.tasks import FAN_IN

#: Bytes of a rating: in a chunk or a piece (two positions and a value), in an in-block, and of a weight.
PIECE, IN_BLOCK, WEIGHT = 12, 8, 4
#: Bytes of an id and of its number of ratings, where ids are numbers.
ID = 16
#: Columns of room for a right-hand side in the equations of a row, as the compiled kernels lay them out.
ROOM = 8


@dataclass(frozen=True)
class Phase:
    """Memory of the largest process in a part of the fit."""

    name: str
    #: all that it holds
    held: float
    #: what it must hold at one moment
    used: float


def phases_of(needs: Needs, process_bytes: float) -> list[Phase]:
    """The phases of a fit in their order; ``process_bytes`` are those of a process that holds nothing."""
    base = process_bytes + needs.sizes.frame_bytes
    return [
        Phase(phase.name, phase.held + base, phase.used + base)
        for phase in (*_sorting(needs), *(_half_step(needs, side) for side in SIDES))
    ]


def _sorting(needs: Needs) -> list[Phase]:
    """Until both sides are built: chunks, then pieces by user, blocks of users, pieces by item, blocks of items.

    Or, where one side alone has in-blocks, until that one is.
    """
    sizes, shuffled = needs.sizes, needs.shuffled
    weight = WEIGHT if sizes.has_weights else 0
    first, *second = needs.halves
    ratings = sizes.n_ratings * _share(needs, first)
    piece, block = ratings * (PIECE + weight), ratings * (IN_BLOCK + weight)
    ids = ID * (sizes.n_users + sizes.n_items)
    threads = math.ceil(needs.machines.threads / needs.machines.processes)
    in_hand = sizes.n_ratings * (PIECE + weight) * min(threads / min(map(shuffled.blocks, needs.halves)), 1)
    phases = [
        Phase("merging ids", piece + _merging(needs), _merging(needs)),
        Phase(f"sorting by {first[:-1]}", 2 * piece + ids, ids + in_hand),
        Phase(f"building {first}", piece + block + ids + in_hand, in_hand),
    ]
    for side in second:
        phases.append(Phase(f"sorting by {side[:-1]}", block + piece + ids, in_hand))
        phases.append(Phase(f"building {side}", piece + 2 * block + ids, in_hand))
    return phases


def _merging(needs: Needs) -> float:
    """Bytes of the last task of the tree that merges the ids of all parts: its inputs, joined, and its result."""
    sizes, inputs = needs.sizes, needs.sizes.n_parts
    while inputs > FAN_IN:
        inputs = -(-inputs // FAN_IN)
    of_one = [n * -math.expm1(-sizes.n_ratings / inputs / n) for n in (sizes.n_users, sizes.n_items)]
    return ID * (2 * inputs * sum(of_one) + sizes.n_users + sizes.n_items)


def _half_step(needs: Needs, side: SideName) -> Phase:
    """The half-step that solves a side: ratings, factors, and what the tasks work on."""
    sizes, plan = needs.sizes, needs.plan
    weight = WEIGHT if sizes.has_weights or plan.goal.weights is not None else 0
    rated = sum(_share(needs, each) for each in SIDES if needs.form(each) == "gather") * sizes.n_ratings
    # new rows of a side are made while those before are held, and rows that came from others stay until they are let go
    rows = row_bytes(sizes.n_users + sizes.n_items, plan.rank)
    factors = 2 * rows / needs.machines.processes
    left = row_bytes(sizes.n_users, plan.rank) if side == "users" and needs.machines.processes > 1 else 0
    working = _working(needs, side)
    streamed_away = 0 if plan.users.streamed else left
    return Phase(f"solving {side}", rated * (IN_BLOCK + weight) + factors + streamed_away + working, working)


def _working(needs: Needs, side: SideName) -> float:
    """Bytes that the tasks of a half-step work on at one moment in a process."""
    size, plan, machines = needs.half_step_size(side), needs.plan, needs.machines
    itemsize = np.dtype(plan.solver.dtype).itemsize
    n_blocks = needs.shuffled.user_blocks if side == "users" else needs.shuffled.item_blocks
    at_once = min(math.ceil(machines.threads / machines.processes) / n_blocks, 1.0)
    in_hand = at_once * (needs.sizes.n_ratings * IN_BLOCK + row_bytes(size.n_destination, size.columns))
    columns = padded(size.unknowns)
    equations = columns * (columns + ROOM) * itemsize
    if needs.form(side) != "gather":
        # parts of a panel, and the sums of a few panels; a lane of ratings, in their new order too, and its source rows
        shape = FitShape(plan.rank, plan.solver, size.has_biases)
        panels, at_once = len(plan.of(side).panel_edges) - 1, panels_at_once(plan.scheduler, plan.lanes)
        n_parts = threads_of_process(plan.scheduler) if plan.stay_in_order else 1
        n_sums = n_parts / panels + min(at_once / panels, 1.0)
        turned = 0.0 if plan.stay_in_order else needs.sizes.n_ratings * (PIECE + IN_BLOCK)
        of_lanes = (turned + size.n_source * columns * itemsize) / machines.processes / plan.lanes
        return n_sums * size.n_destination * shape.row_bytes() + of_lanes
    packed = size.n_source * columns * itemsize
    came = 0.0 if machines.processes == 1 else size.n_source * size.columns * ROW_ITEMSIZE
    if plan.of(other(side)).streamed:
        # two panels at a time, and the equations of blocks before and after a panel is added
        panels = len(plan.of(other(side)).panel_edges) - 1
        return in_hand + 2 * (packed + came) / panels + 2 * at_once * size.n_destination * equations
    turned = packed if plan.solver.uses_eigenbasis(plan.of(side).objective) else 0.0
    return in_hand + packed + came + turned


def _share(needs: Needs, side: SideName) -> float:
    """The share of a side's blocks that the largest process holds."""
    n_blocks = needs.shuffled.user_blocks if side == "users" else needs.shuffled.item_blocks
    return math.ceil(n_blocks / needs.machines.processes) / n_blocks
