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

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


def iterations(ratings: Ratings, start: Start, objective: Objective, token: str) -> Iterator[Iteration]:
    """Yield the start and then one iteration after another, endlessly: the caller decides when to stop."""
    users, items = ratings.users, ratings.items
    clock = time.perf_counter()
    user_blocks: Sequence[Delayed]
    item_blocks: Sequence[Delayed]
    user_blocks, item_blocks = execution.persist(
        _start(users, start, start.user_blocks, objective, token),
        _start(items, start, start.item_blocks, objective, token),
    )
    number = 0
    losses = penalties = Losses(np.nan, np.nan, np.nan)
    panels = _panels(user_blocks, objective, f"als-panel-users-{token}-0")
    while True:
        seconds = time.perf_counter() - clock
        yield Iteration(
            number,
            _matrix(users, user_blocks, start.rank, f"{token}-users-{number}"),
            _matrix(items, item_blocks, start.rank, f"{token}-items-{number}"),
            losses.squared_error + losses.penalty + penalties.penalty,
            _rmse(losses, ratings, objective),
            seconds,
        )
        clock = time.perf_counter()
        number += 1
        item_blocks, panels, penalties = half_step(items, panels, item_blocks, objective, f"{token}-{number}")
        user_blocks, panels, losses = half_step(users, panels, user_blocks, objective, f"{token}-{number}")


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
