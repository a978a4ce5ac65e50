"""A half-step where the source's rows are too many for one process: panel by panel.

There is a task for each block and panel that adds to the equations of the block (`daskals.blocks.streamed`), and one
for each block that solves them when all panels have been::

    block b   no equations --P_0--> add --P_1--> add ... --P_G-1--> add --> solve

All blocks take a panel before the next one comes: that is what bounds the memory, to one panel and the equations of
the blocks. So the tasks of each panel run while those of the last step are being made.

A fit is streamed where a worker's memory is too small for gathering (`daskals.engine.plan`). Its numbers then differ by
rounding from those of a fit that gathers (`daskals.blocks.streamed` says by how much).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from dask.delayed import Delayed

from daskals.blocks.biases import Biases
from daskals.blocks.least_squares import SingularRowError, SolvedBlock, pack_sources
from daskals.blocks.ratings import InBlock, SideName
from daskals.blocks.streamed import accumulate, solve_accumulated
from daskals.engine.panels import Panel, gather, panel_starts, total_gram
from daskals.engine.plan import Plan
from daskals.engine.sides import Side
from daskals.execution.tasks import task
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.types import Equations, Float32, Float64, SourceRows


class Work(NamedTuple):
    """What the tasks of a half-step are told."""

    side: SideName
    #: names the half-step
    name: str
    objective: Objective
    solver: Solver
    biases: Biases | None


def streamed_solves(
    side: Side,
    source: Side,
    source_panels: Sequence[Delayed],
    before: Sequence[tuple[Delayed | None, int]],
    plan: Plan,
    name: str,
) -> list[Delayed]:
    """Tasks that solve the blocks of a side, their equations having been accumulated panel by panel."""
    what = Work(side.name, name, plan.of(side.name).objective, plan.solver, plan.of(side.name).biases)
    equations: Sequence[Delayed | None] = [None] * side.n_blocks
    starts = panel_starts(source.bounds, plan.of(source.name).panel_edges)
    for number, (panel, start) in enumerate(zip(source_panels, starts, strict=True)):
        added = [
            task(_add_panel, what, number, start, block, so_far, panel, name=f"als-add-{name}-{number}-{n}")
            for n, (block, so_far) in enumerate(zip(side.in_blocks, equations, strict=True))
        ]
        (equations,) = plan.scheduler.persist(added)
    grams = [task(_gram, panel, name=f"als-gram-{name}-{n}") for n, panel in enumerate(source_panels)]
    return [
        task(_solve_added, what, block, equations[n], *before[n], *grams, name=f"als-solve-{name}-{n}")
        for n, block in enumerate(side.in_blocks)
    ]  # fmt: skip


def _add_panel(
    what: Work,
    number: int,
    start: int,
    block: InBlock,
    equations: Equations | None,
    panel: Panel,
) -> Equations:
    _, name, objective, solver, biases = what

    def pack(blocks: Sequence[Float32]) -> SourceRows:
        return pack_sources(blocks, None, objective, solver, biases)

    sources = gather(name, panel.blocks, pack, f"panel-{number}")
    return accumulate(block, start, sources, objective, solver, equations)


def _gram(panel: Panel) -> Float64 | None:
    return panel.gram


def _solve_added(
    what: Work,
    block: InBlock,
    equations: Equations,
    previous: Panel | None,
    place: int,
    *grams: Float64 | None,
) -> SolvedBlock:
    side, _, objective, solver, biases = what
    before = previous and previous.blocks[place]
    with error_on_side(side):
        return solve_accumulated(block, equations, total_gram(grams), objective, solver, before, biases)


@contextmanager
def error_on_side(side: SideName) -> Iterator[None]:
    """Tell the error of a row without a solution the side that the row is on."""
    try:
        yield
    except SingularRowError as error:
        raise SingularRowError(error.position, error.n_ratings, error.rank, side) from None
