"""Half-steps: the rows of one side from those of the other, as tasks.

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

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dask.delayed import Delayed

from daskals import execution
from daskals.blocks import Float64, InBlock, Losses, Objective, Panel, SolvedBlock
from daskals.factors import (
    gather,
    is_small_enough_to_keep,
    is_too_large_to_gather,
    n_panels,
    panel_of,
    panel_starts,
    panel_tasks,
    places_in_panels,
    total_gram,
)
from daskals.least_squares import SingularRowError, solve_block, sum_losses
from daskals.partitioning import Side
from daskals.streamed import Equations, accumulate, solve_accumulated


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


def compute(
    parts: Sequence[tuple[Side, Sequence[Delayed]]], rank: int, objective: Objective, token: str
) -> list[tuple[Sequence[Delayed], Losses]]:
    """Compute the panels of sides, as one graph, and the losses in them; keep those from which more is made.

    Returns for each side its panels, persisted, and the losses of its rows. Users are what the next iteration starts
    from; items are that only for conjugate gradients. `SingularRowError`, with the side, where a row has no solution.
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
