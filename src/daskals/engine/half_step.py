"""Half-steps: the rows of one side from those of the other, as tasks.

A half-step has B tasks that solve a block each, and G <= 8 panels that carry the new rows on; an iteration, two
half-steps, is one graph::

    panels of the source   P_0 .. P_G-1        in-blocks of the destination   R_0 .. R_B-1
              \\_________________ solve R_b with all P_g __________________/
                                     |
                             rows of block b  -->  panels of the destination, for the next half-step

Where there are no more blocks than panels, each block is a panel, and no task is needed to make it one.

Each solve is a least-squares problem for every row of its block (`daskals.blocks.least_squares`); rows do not depend
on each other, so neither the number of blocks nor where they run can change a result, but for rounding.

Where the source's rows are too many for one process, panels come one after the other (`daskals.engine.streaming`).
Where they are many more than those of the destination, they do not travel at all (`daskals.engine.reducing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dask.delayed import Delayed

from daskals.blocks.least_squares import SingularRowError, SolvedBlock, pack_sources, solve_block, sum_losses
from daskals.blocks.ratings import InBlock, other
from daskals.engine.between import HeldPanels
from daskals.engine.panels import Panel, gather, panel_of, panel_tasks, places_in_panels, total_gram
from daskals.engine.plan import Plan
from daskals.engine.reducing import reduced_panels
from daskals.engine.sides import Side
from daskals.engine.streaming import Work, error_on_side, streamed_solves
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task
from daskals.kernels.types import Ids, Losses


def half_step(
    side: Side, source: Side, source_panels: Sequence[Delayed], previous: Sequence[Delayed], plan: Plan, token: str
) -> Sequence[Delayed]:
    """Tasks for the new panels of one side, from the panels of the other; ``previous`` are its panels as they are."""
    edges, name = plan.of(side.name).panel_edges, f"{side.name}-{token}"
    if plan.of(side.name).reduced:
        return reduced_panels(side, source, source_panels, previous, plan, name)
    with_gram = plan.goal.objective.implicit
    # an exact solve does not depend on the rows before, and should not wait for them or keep them
    before = [(None if plan.solver.is_exact else previous[panel], place) for panel, place in places_in_panels(edges)]
    if plan.of(source.name).streamed:
        solves: Sequence[Delayed] = streamed_solves(side, source, source_panels, before, plan, name)
        return panel_tasks(solves, edges, with_gram=with_gram, name=f"als-panel-{name}")
    alone = len(edges) - 1 == side.n_blocks
    what = Work(side.name, name, plan.of(side.name).objective, plan.solver, plan.of(side.name).biases)
    solve = _solve_panel if alone else _solve
    solves = [
        task(solve, what, block, *before[n], *source_panels, name=f"als-solve-{name}-{n}", worker=side.home(n))
        for n, block in enumerate(side.in_blocks)
    ]
    return solves if alone else panel_tasks(solves, edges, with_gram=with_gram, name=f"als-panel-{name}")


def _solve(what: Work, block: InBlock, previous: Panel | None, place: int, *source_panels: Panel) -> SolvedBlock:
    side, name, objective, solver, biases = what
    blocks = [rows for each in source_panels for rows in each.blocks]
    gram = total_gram([each.gram for each in source_panels])
    sources = gather(name, blocks, lambda some: pack_sources(some, gram, objective, solver, biases), "sources")
    with error_on_side(side):
        return solve_block(block, sources, gram, objective, solver, previous and previous.blocks[place], biases)


def _solve_panel(what: Work, *args: Any) -> Panel:
    """Solve a block that is a panel by itself."""
    return panel_of(what.objective.implicit, _solve(what, *args))


def run_half_steps(
    parts: Sequence[tuple[Side, Sequence[Delayed]]], plan: Plan, token: str
) -> list[tuple[HeldPanels, Losses]]:
    """Compute the panels of sides, as one graph, and the losses in them; fetch those that the plan wants pinned.

    Returns for each side its panels and the losses of its rows. `SingularRowError`, with the side, where a row has no
    solution.
    """
    stay: list[Sequence[Delayed]] = []
    come: list[Sequence[Delayed]] = []
    for side, panels in parts:
        pinned = plan.of(side.name).pinned
        stay.append(() if pinned else panels)
        come.append(panels if pinned else _losses_of(side, panels, plan, token))
    stayed, came = plan.scheduler.persist_and_fetch(stay, come)
    done: list[tuple[HeldPanels, Losses]] = []
    for (side, _), panels, values in zip(parts, stayed, came, strict=True):
        if plan.of(side.name).pinned:
            held = HeldPanels(plan.scheduler, (), values, side.name)
            done.append((held, sum_losses([panel.losses for panel in values])))
        else:
            done.append((HeldPanels(plan.scheduler, panels), sum_losses(values)))
    return done


def _losses_of(side: Side, panels: Sequence[Delayed], plan: Plan, token: str) -> Sequence[Delayed]:
    """Tasks for the losses of panels: one, except where no worker may be given all panels, or they stay at home."""
    groups: list[tuple[str | None, Sequence[Delayed]]] = [(None, panels)]
    if plan.of(other(side.name)).reduced:
        homes = [side.home(block) for block in range(side.n_blocks)]
        of_home = {home: [panels[n] for n, each in enumerate(homes) if each == home] for home in homes}
        groups = list(of_home.items())
    elif plan.of(side.name).streamed:
        groups = [(None, [panel]) for panel in panels]
    return [
        task(_losses, *group, name=f"als-loss-{side.name}-{token}-{n}", worker=worker)
        for n, (worker, group) in enumerate(groups)
    ]


def _losses(*panels: Panel) -> Losses:
    return sum_losses([panel.losses for panel in panels])


def with_id(error: SingularRowError, side: Side, scheduler: Scheduler) -> ValueError:
    """The error of a row without a solution, with the id of the row, which is of ``side``."""
    (culprit,) = scheduler.fetch(task(_id_at, side.ids, error.position, name=f"als-id-at-{new_token()}"))
    return ValueError(f"The normal equations of the {side.name[:-1]} with id {culprit!r} {error.explanation()}")


def _id_at(ids: Ids, position: int) -> object:
    return ids[position : position + 1].tolist()[0]
