"""The loop: items from users, users from items, and again; a generator, one iteration a turn.

A half-step has B tasks that solve a block each, and G <= 8 panels that carry the new rows on; an iteration, two
half-steps, is one graph::

    panels of the source   P_0 .. P_G-1        in-blocks of the destination   R_0 .. R_B-1
              \\_________________ solve R_b with all P_g __________________/
                                     |
                             rows of block b  -->  panels of the destination, for the next half-step

Where there are no more blocks than panels, each block is a panel, and no task is needed to make it one.

Each solve is a least-squares problem for every row of its block (`daskals.least_squares`); rows do not depend on
each other, so neither the number of blocks nor where they run can change a result, but for rounding.

Where the source's rows are too many for one process (`daskals.factors.is_too_large_to_gather`), panels come one after
the other, with a task for each block and panel that adds to the equations of the block (`daskals.streamed`).
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from dask.delayed import Delayed

from daskals import execution
from daskals.blocks import Float32, Float64, InBlock, Losses, Objective, Panel, SolvedBlock
from daskals.factors import (
    FactorMatrix,
    gather,
    is_small_enough_to_keep,
    is_too_large_to_gather,
    n_panels,
    panel_of,
    panel_starts,
    panel_tasks,
    places_in_panels,
    start_blocks,
    total_gram,
)
from daskals.least_squares import SingularRowError, solve_block, sum_losses
from daskals.partitioning import Ratings, Side
from daskals.streamed import Equations, accumulate, solve_accumulated


@dataclass(frozen=True)
class Start:
    """Where a fit starts from: what decides the start values besides the ids."""

    rank: int
    seed: int
    user_blocks: int
    item_blocks: int
    version: str


@dataclass(frozen=True)
class Iteration:
    """The state after one iteration; the 0th is the start."""

    number: int
    users: FactorMatrix
    items: FactorMatrix
    #: value of the objective (see `daskals.blocks.Objective`); nan for the start
    objective: float
    #: root of the mean weighted squared residual over the training ratings (explicit), over all pairs (implicit)
    rmse: float
    seconds: float


class Reached(NamedTuple):
    """Where an earlier fit stopped: after which iteration, and tasks for the `SolvedBlock`s of both sides."""

    number: int
    user_blocks: Sequence[Delayed]
    item_blocks: Sequence[Delayed]


class _State(NamedTuple):
    """What an iteration starts from and ends with: panels of both sides, and the losses of their rows."""

    users: Sequence[Delayed]
    items: Sequence[Delayed]
    user_losses: Losses
    item_losses: Losses


def iterations(
    ratings: Ratings, start: Start, objective: Objective, reached: Reached | None = None
) -> Generator[Iteration, Reached | None, None]:
    """Yield the start and then one iteration after another, endlessly: the caller decides when to stop.

    With ``reached`` the first one yielded is that state, and then those that follow from it. Who sends a `Reached`
    makes the next iteration follow from it: the same factors read back from files, say, which no loss of workers
    can touch.

    An iteration that fails because workers were lost is done again from the one before, which is safe in the
    scheduler (`daskals.execution.keep`); see there for what is too large for that.
    """
    clock = time.perf_counter()
    state = execution.retry(lambda: _begin(ratings, start, objective, reached), "Making start values", ratings.tasks)
    for number in itertools.count(reached.number if reached else 0):
        reached = yield Iteration(
            number,
            _matrix(ratings.users, state.users, start.rank),
            _matrix(ratings.items, state.items, start.rank),
            state.user_losses.squared_error + state.user_losses.penalty + state.item_losses.penalty,
            _rmse(state.user_losses, ratings, objective),
            time.perf_counter() - clock,
        )
        clock = time.perf_counter()
        if reached:
            state = execution.retry(functools.partial(_begin, ratings, start, objective, reached), "Reading factors")
        if not objective.cg_steps:
            # nothing is made from these any more: a cluster that loses them shall not make them again
            state = state._replace(items=())
        iterate = functools.partial(_iterate, ratings, state, start.rank, objective, number + 1)
        inputs = [*ratings.tasks, *state.users, *state.items]
        state = execution.retry(iterate, f"Iteration {number + 1}", inputs)


def loses_history(ratings: Ratings, rank: int) -> bool:
    """Whether a lost worker makes all iterations run again: factors are too large to be kept by the scheduler."""
    rows = max(ratings.users.n_rows, ratings.items.n_rows)
    return execution.loses_results() and not is_small_enough_to_keep(rows, rank)


def _begin(ratings: Ratings, start: Start, objective: Objective, reached: Reached | None) -> _State:
    token = execution.new_token()
    users, items = (
        reached[1:]
        if reached
        else (
            _start(ratings.users, start, start.user_blocks, objective, token),
            _start(ratings.items, start, start.item_blocks, objective, token),
        )
    )
    nothing = Losses(np.nan, np.nan, np.nan)
    panels = panel_tasks(users, with_gram=objective.implicit, name=f"als-panel-users-{token}-0")
    ((user_panels, _),) = _computed([(ratings.users, panels)], start.rank, objective, f"{token}-0")
    # the first half-step makes items from users; those made here are seen only where there is none, or by cg
    item_panels = panel_tasks(items, with_gram=False, name=f"als-panel-items-{token}-0")
    return _State(user_panels, item_panels, nothing, nothing)


def _iterate(ratings: Ratings, state: _State, rank: int, objective: Objective, number: int) -> _State:
    token = f"{execution.new_token()}-{number}"
    try:
        items = half_step(ratings.items, ratings.users, state.users, state.items, rank, objective, token)
        if is_too_large_to_gather(ratings.items.n_rows, rank, objective.dtype):
            # taken panel by panel, in rounds: no round shall make them again
            (items,) = execution.persist(items)
        users = half_step(ratings.users, ratings.items, items, state.users, rank, objective, token)
        # `state` stays referenced until this returns: a cluster must not forget the inputs of running tasks
        halves = _computed([(ratings.users, users), (ratings.items, items)], rank, objective, token)
    except SingularRowError as error:
        raise _with_id(error, ratings) from error
    (users, user_losses), (items, item_losses) = halves
    return _State(users, items, user_losses, item_losses)


def _with_id(error: SingularRowError, ratings: Ratings) -> ValueError:
    (ids,) = execution.fetch(ratings.users.ids if error.side == "users" else ratings.items.ids)
    culprit = ids[error.position : error.position + 1].tolist()[0]
    return ValueError(f"The normal equations of the {error.side[:-1]} with id {culprit!r} {error.explanation()}")


def half_step(
    side: Side,
    source: Side,
    sources: Sequence[Delayed],
    previous: Sequence[Delayed],
    rank: int,
    objective: Objective,
    token: str,
) -> Sequence[Delayed]:
    """Tasks for the new panels of one side, which are ``previous`` now, from the panels ``sources`` of the other."""
    name = f"{side.name}-{token}"
    places = places_in_panels(side.n_blocks)
    # an exact solve does not depend on the rows before, and should not wait for them or keep them
    before = [(previous[panel] if objective.cg_steps else None, place) for panel, place in places]
    if is_too_large_to_gather(source.n_rows, rank, objective.dtype):
        solves = _streamed(side, source, sources, before, rank, objective, name)
        return panel_tasks(solves, with_gram=objective.implicit, name=f"als-panel-{name}")
    alone = n_panels(side.n_blocks) == side.n_blocks
    solves = [
        execution.task(
            _solve_panel if alone else _solve,
            objective,
            name,
            block,
            *before[number],
            *sources,
            name=f"als-solve-{name}-{number}",
        )
        for number, block in enumerate(side.in_blocks)
    ]
    return solves if alone else panel_tasks(solves, with_gram=objective.implicit, name=f"als-panel-{name}")


def _computed(
    parts: Sequence[tuple[Side, Sequence[Delayed]]], rank: int, objective: Objective, token: str
) -> list[tuple[Sequence[Delayed], Losses]]:
    """Compute the panels of sides, as one graph, and the losses in them; keep those from which more is made.

    Users are what the next iteration starts from. Items are that only for conjugate gradients.
    """
    kept = [
        (side.name == "users" or objective.cg_steps > 0)
        and execution.loses_results()
        and is_small_enough_to_keep(side.n_rows, rank)
        for side, _ in parts
    ]
    stay, come = [], []
    for keep, (side, panels) in zip(kept, parts, strict=True):
        stay.append(() if keep else panels)
        come.append(panels if keep else _losses_of(side, panels, rank, objective, token))
    stayed, came = execution.persist_and_fetch(stay, come)
    return [
        (execution.keep(values, f"{side.name}-{token}"), sum_losses([panel.losses for panel in values]))
        if keep
        else (panels, sum_losses(values))
        for keep, (side, _), panels, values in zip(kept, parts, stayed, came, strict=True)
    ]


def _losses_of(side: Side, panels: Sequence[Delayed], rank: int, objective: Objective, token: str) -> Sequence[Delayed]:
    """Tasks for the losses of panels: one, except where no worker may be given all panels."""
    apart = is_too_large_to_gather(side.n_rows, rank, objective.dtype)
    groups = [[panel] for panel in panels] if apart else [panels]
    return [
        execution.task(_losses, *group, name=f"als-losses-{side.name}-{token}-{number}")
        for number, group in enumerate(groups)
    ]


def _solve(
    objective: Objective, name: str, block: InBlock, previous: Panel | None, place: int, *sources: Panel
) -> SolvedBlock:
    factors = gather(name, [rows for panel in sources for rows in panel.blocks], objective.dtype)
    gram = total_gram([panel.gram for panel in sources])
    with _error_with(name):
        return solve_block(block, factors, gram, objective, previous and previous.blocks[place])


def _solve_panel(objective: Objective, name: str, *args: Any) -> Panel:
    """Solve a block that is a panel by itself."""
    return panel_of(objective.implicit, _solve(objective, name, *args))


@contextmanager
def _error_with(name: str) -> Iterator[None]:
    """Tell a row without a solution the side that it is on, which is the first word of ``name``."""
    try:
        yield
    except SingularRowError as error:
        raise SingularRowError(error.position, error.n_ratings, error.rank, name.partition("-")[0]) from None


def _streamed(
    side: Side,
    source: Side,
    sources: Sequence[Delayed],
    before: Sequence[tuple[Delayed | None, int]],
    rank: int,
    objective: Objective,
    name: str,
) -> list[Delayed]:
    """Tasks that solve the blocks of a side, their equations having been accumulated panel by panel."""
    equations: Sequence[Delayed | None] = [None] * side.n_blocks
    for number, (panel, start) in enumerate(zip(sources, panel_starts(source.bounds), strict=True)):
        added = [
            execution.task(_add_panel, objective, start, *pair, panel, name=f"als-add-{name}-{number}-{block}")
            for block, pair in enumerate(zip(side.in_blocks, equations, strict=True))
        ]
        # all blocks take a panel before the next one comes: that is what bounds the memory
        (equations,) = execution.persist(added)
    grams = [execution.task(_gram, panel, name=f"als-gram-{name}-{number}") for number, panel in enumerate(sources)]
    return [
        execution.task(
            _solve_added, objective, name, rank, block, equations[number], *before[number], *grams,
            name=f"als-solve-{name}-{number}",
        )
        for number, block in enumerate(side.in_blocks)
    ]  # fmt: skip


def _add_panel(
    objective: Objective, start: int, block: InBlock, equations: Equations | None, panel: Panel
) -> Equations:
    return accumulate(block, start, panel.blocks, objective, equations)


def _gram(panel: Panel) -> Float64 | None:
    return panel.gram


def _solve_added(
    objective: Objective, name: str, rank: int, block: InBlock, equations: Equations, previous: Panel | None,
    place: int, *grams: Float64 | None,
) -> SolvedBlock:  # fmt: skip
    before = previous and previous.blocks[place]
    with _error_with(name):
        return solve_accumulated(block, equations, rank, total_gram(grams), objective, before)


def _losses(*panels: Panel) -> Losses:
    return sum_losses([panel.losses for panel in panels])


def _start(side: Side, start: Start, n_spark_blocks: int, objective: Objective, token: str) -> Sequence[Delayed]:
    blocks = start_blocks(side, n_spark_blocks, start.rank, start.seed, start.version, token)
    if not objective.nonnegative:
        return blocks
    # Spark starts from rows of both signs here as well, and can then stay at zero for ever.
    return [
        execution.task(_absolute, block, name=f"als-start-absolute-{side.name}-{token}-{number}")
        for number, block in enumerate(blocks)
    ]


def _absolute(block: SolvedBlock) -> SolvedBlock:
    return block._replace(rows=np.abs(block.rows))


def _matrix(side: Side, panels: Sequence[Delayed], rank: int) -> FactorMatrix:
    token = f"{side.name}-{execution.new_token()}"
    rows = tuple(
        execution.task(_rows, panels[panel], place, name=f"als-factors-{token}-{number}")
        for number, (panel, place) in enumerate(places_in_panels(side.n_blocks))
    )
    return FactorMatrix(side.ids, side.bounds, rows, rank, token)


def _rows(panel: Panel, place: int) -> Float32:
    return panel.blocks[place]


def _rmse(losses: Losses, ratings: Ratings, objective: Objective) -> float:
    pairs = ratings.users.n_rows * ratings.items.n_rows if objective.implicit else 0
    return float(np.sqrt(max(losses.squared_error, 0.0) / (losses.weight + pairs)))
