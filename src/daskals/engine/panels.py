"""Rows on their way to the other side: neighbouring blocks travel together, as a panel.

Every half-step sends all rows of one side to every process that solves blocks of the other. They travel as a few
panels (`daskals.engine.plan.cut_into_panels`), and a process that has received all of them joins them and lays them out
for the kernels once, for all tasks that run there at that moment (`gather`).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar
from weakref import WeakValueDictionary

import numpy as np
from dask.delayed import Delayed

from daskals.blocks.least_squares import SolvedBlock, gram_of, sum_losses
from daskals.execution.tasks import task
from daskals.kernels.types import Float32, Float64, Int64, Losses

_Joined = TypeVar("_Joined")


class Panel(NamedTuple):
    """Neighbouring blocks of a side."""

    #: a block each: (rows, rank)
    blocks: tuple[Float32, ...]
    #: (rank, rank): Y'Y of the rows in this panel, where the objective needs it
    gram: Float64 | None
    losses: Losses


def cut(blocks: Sequence[Delayed], edges: Sequence[int]) -> list[Sequence[Delayed]]:
    """The blocks of each panel."""
    return [blocks[first:stop] for first, stop in itertools.pairwise(edges)]


def places_in_panels(edges: Sequence[int]) -> list[tuple[int, int]]:
    """For each block, the panel that it is in and its place there.

    >>> places_in_panels([0, 2, 5])
    [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    """
    return [(panel, place) for panel, (a, b) in enumerate(itertools.pairwise(edges)) for place in range(b - a)]


def panel_starts(bounds: Int64, edges: Sequence[int]) -> list[int]:
    """The position of the first row of each panel, of a side whose blocks have these bounds."""
    starts: list[int] = bounds[list(edges[:-1])].tolist()
    return starts


def panel_tasks(blocks: Sequence[Delayed], edges: Sequence[int], *, with_gram: bool, name: str) -> list[Delayed]:
    """Tasks that join `SolvedBlock` tasks of a side to panels."""
    return [task(panel_of, with_gram, *some, name=f"{name}-{n}") for n, some in enumerate(cut(blocks, edges))]


def panel_of(with_gram: bool, *solved: SolvedBlock) -> Panel:
    """The panel of these blocks."""
    blocks = tuple(each.rows for each in solved)
    return Panel(blocks, gram_of(blocks) if with_gram else None, sum_losses([each.losses for each in solved]))


def rows_of_panels(panels: Sequence[Delayed], edges: Sequence[int], name: str) -> tuple[Delayed, ...]:
    """A task for the rows of each block, from tasks for panels."""
    return tuple(
        task(_rows, panels[panel], place, name=f"{name}-{n}")
        for n, (panel, place) in enumerate(places_in_panels(edges))
    )


def _rows(panel: Panel, place: int) -> Float32:
    return panel.blocks[place]


def total_gram(grams: Sequence[Float64 | None]) -> Float64 | None:
    """The Gram matrix of a side from those of its panels; None where they carry none."""
    given = [gram for gram in grams if gram is not None]
    return np.sum(given, axis=0) if given else None


_gathered: WeakValueDictionary[tuple[str, str], Any] = WeakValueDictionary()
_gathering = threading.Lock()


def gather(token: str, blocks: Sequence[Float32], join: Callable[[Sequence[Float32]], _Joined], what: str) -> _Joined:
    """``join(blocks)``, made once and shared by the tasks that run at this moment in this process.

    Parameters
    ----------
    token
        Names the rows: the same token must mean the same rows.
    blocks
        The rows, a block each: (rows of the block, rank).
    join
        Makes one object of all blocks: `join_rows`, or one of the functions of the kernels that pack rows. The object
        must be one that can be referenced weakly. It lives as long as some task holds it, so threads share one copy
        and nothing stays behind.
    what
        Names what ``join`` makes, as the same rows may be wanted in several forms.
    """
    key = (token, what)
    with _gathering:
        joined: _Joined | None = _gathered.get(key)
        if joined is None:
            joined = join(blocks)
            _gathered[key] = joined
    return joined


def join_rows(blocks: Sequence[Float32]) -> Float32:
    """The rows of all blocks in one array, (n, rank)."""
    return np.require(blocks[0] if len(blocks) == 1 else np.concatenate(blocks), np.float32, ["C", "A"])


def blocks_of(panels: Sequence[tuple[Float32, ...]]) -> list[Float32]:
    """The blocks of all panels, in order."""
    return [rows for panel in panels for rows in panel]
