"""The loop: items from users, users from items, and again; a generator, one iteration a turn."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from dask.delayed import Delayed

from daskals import execution
from daskals.blocks import Float32, Losses, Objective, Panel, SolvedBlock
from daskals.factors import (
    FactorMatrix,
    is_small_enough_to_keep,
    is_too_large_to_gather,
    panel_tasks,
    places_in_panels,
    start_blocks,
)
from daskals.half_steps import compute, half_step
from daskals.least_squares import SingularRowError
from daskals.partitioning import Ratings, Side


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
    ((user_panels, _),) = compute([(ratings.users, panels)], start.rank, objective, f"{token}-0")
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
        halves = compute([(ratings.users, users), (ratings.items, items)], rank, objective, token)
    except SingularRowError as error:
        raise _with_id(error, ratings) from error
    (users, user_losses), (items, item_losses) = halves
    return _State(users, items, user_losses, item_losses)


def _with_id(error: SingularRowError, ratings: Ratings) -> ValueError:
    (ids,) = execution.fetch(ratings.users.ids if error.side == "users" else ratings.items.ids)
    culprit = ids[error.position : error.position + 1].tolist()[0]
    return ValueError(f"The normal equations of the {error.side[:-1]} with id {culprit!r} {error.explanation()}")


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
