"""The loop: items from users, users from items, and again; a generator, one iteration a turn.

A half-step is one graph, with B tasks that solve a block each and G <= 8 panels that carry the new rows on::

    panels of the source   P_0 .. P_G-1        in-blocks of the destination   R_0 .. R_B-1
              \\_________________ solve R_b with all P_g __________________/
                                     |
                             rows of block b  -->  panels of the destination, for the next half-step

Each solve is a least-squares problem for every row of its block (`daskals.least_squares`); rows do not depend on
each other, so neither the number of blocks nor where they run can change a result, but for rounding.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from dask.delayed import Delayed

from daskals import execution
from daskals.blocks import Float32, InBlock, Losses, Objective, Panel, SolvedBlock
from daskals.factors import FactorMatrix, gather, panel_tasks, start_blocks, total_gram
from daskals.least_squares import SingularRowError, solve_block, sum_losses
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


def iterations(ratings: Ratings, start: Start, objective: Objective) -> Iterator[Iteration]:
    """Yield the start and then one iteration after another, endlessly: the caller decides when to stop.

    An iteration that fails because workers were lost is done again from the one before, which is safe in the
    scheduler (`daskals.execution.keep`); see there for what is too large for that.
    """
    users, items = ratings.users, ratings.items
    clock = time.perf_counter()
    user_blocks, item_blocks = execution.retry(lambda: _start_both(ratings, start, objective), "Making start values")
    nothing = Losses(np.nan, np.nan, np.nan)
    state = _State(user_blocks, item_blocks, _panels(user_blocks, objective, execution.new_token()), nothing, nothing)
    for number in itertools.count():
        token = execution.new_token()
        yield Iteration(
            number,
            _matrix(users, state.user_blocks, start.rank, f"users-{token}"),
            _matrix(items, state.item_blocks, start.rank, f"items-{token}"),
            state.user_losses.squared_error + state.user_losses.penalty + state.item_losses.penalty,
            _rmse(state.user_losses, ratings, objective),
            time.perf_counter() - clock,
        )
        clock = time.perf_counter()
        state = execution.retry(
            functools.partial(_iterate, ratings, state, objective, start.rank), f"Iteration {number + 1}"
        )


class _State(NamedTuple):
    """What an iteration starts from and ends with: blocks of both sides, panels of the users, losses of both."""

    user_blocks: Sequence[Delayed]
    item_blocks: Sequence[Delayed]
    user_panels: Sequence[Delayed]
    user_losses: Losses
    item_losses: Losses


def _iterate(ratings: Ratings, state: _State, objective: Objective, rank: int) -> _State:
    token = execution.new_token()
    items, item_panels, item_losses = half_step(ratings.items, state.user_panels, state.item_blocks, objective, token)
    users, user_panels, user_losses = half_step(ratings.users, item_panels, state.user_blocks, objective, token)
    if _small_enough_to_keep(ratings.users, rank):
        kept = execution.keep(users, f"users-{token}")
        if kept is not users:
            users, user_panels = kept, _panels(kept, objective, f"als-panel-kept-{token}")
        if objective.cg_steps:  # only then does the next iteration start from the items as well
            items = execution.keep(items, f"items-{token}")
    return _State(users, items, user_panels, user_losses, item_losses)


def _small_enough_to_keep(side: Side, rank: int) -> bool:
    return 4 * side.n_rows * rank <= execution.setting_of_bytes("durable-bytes")


def _start_both(ratings: Ratings, start: Start, objective: Objective) -> Sequence[Sequence[Delayed]]:
    token = execution.new_token()
    users = _start(ratings.users, start, start.user_blocks, objective, token)
    items = _start(ratings.items, start, start.item_blocks, objective, token)
    if not _small_enough_to_keep(ratings.users, start.rank):
        return execution.persist(users, items)
    users, items = execution.persist(users, items)
    return execution.keep(users, f"start-users-{token}"), items


def half_step(
    side: Side, panels: Sequence[Delayed], previous: Sequence[Delayed], objective: Objective, token: str
) -> tuple[Sequence[Delayed], Sequence[Delayed], Losses]:
    """Solve the rows of one side, which are ``previous`` now, from the panels of the other.

    Returns the side's blocks and panels, persisted, and the losses of its rows. `ValueError` that names the id
    whose equations are singular.
    """
    name = f"{side.name}-{token}"
    solves = [
        execution.task(
            _solve,
            objective,
            name,
            block,
            # an exact solve does not depend on the rows before, and should not wait for them or keep them
            previous[number] if objective.cg_steps else None,
            *panels,
            name=f"als-solve-{name}-{number}",
        )
        for number, block in enumerate(side.in_blocks)
    ]
    new_panels = _panels(solves, objective, f"als-panel-{name}")
    losses = [execution.task(_losses, each, name=f"als-losses-{name}-{n}") for n, each in enumerate(new_panels)]
    try:
        # `panels` stays referenced until this returns: a cluster must not forget the inputs of running tasks
        solved, carried, summed = execution.persist(solves, new_panels, losses)
    except SingularRowError as error:
        (ids,) = execution.fetch(side.ids)
        culprit = ids[error.position : error.position + 1].tolist()[0]
        raise ValueError(
            f"The normal equations of the {side.name[:-1]} with id {culprit!r} {error.explanation()}"
        ) from error
    return solved, carried, sum_losses(execution.fetch(*summed))


def _solve(
    objective: Objective, token: str, block: InBlock, previous: SolvedBlock | None, *panels: Panel
) -> SolvedBlock:
    factors = gather(token, [rows for panel in panels for rows in panel.blocks], objective.dtype)
    return solve_block(block, factors, total_gram(panels), objective, previous and previous.rows)


def _losses(panel: Panel) -> Losses:
    return panel.losses


def _panels(blocks: Sequence[Delayed], objective: Objective, name: str) -> Sequence[Delayed]:
    return panel_tasks(blocks, with_gram=objective.implicit, name=name)


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


def _matrix(side: Side, blocks: Sequence[Delayed], rank: int, token: str) -> FactorMatrix:
    rows = tuple(
        execution.task(_rows, block, name=f"als-factors-{token}-{number}") for number, block in enumerate(blocks)
    )
    return FactorMatrix(side.ids, side.bounds, rows, rank, token)


def _rows(block: SolvedBlock) -> Float32:
    return block.rows


def _rmse(losses: Losses, ratings: Ratings, objective: Objective) -> float:
    pairs = ratings.users.n_rows * ratings.items.n_rows if objective.implicit else 0
    return float(np.sqrt(max(losses.squared_error, 0.0) / (losses.weight + pairs)))
