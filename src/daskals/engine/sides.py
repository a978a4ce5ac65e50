"""The ratings of a fit, blocked both ways, as tasks that are done."""

from __future__ import annotations

from dataclasses import dataclass

from dask.delayed import Delayed

from daskals.blocks.ratings import SideName
from daskals.kernels.types import Int64


@dataclass(frozen=True)
class Side:
    """One side of the ratings: its ids and its in-blocks, persisted."""

    name: SideName
    #: the sorted ids, shape (n,)
    ids: Delayed
    #: (blocks + 1,): block b is rows bounds[b] to bounds[b + 1]
    bounds: Int64
    in_blocks: tuple[Delayed, ...]

    @property
    def n_rows(self) -> int:
        """How many ids there are."""
        return int(self.bounds[-1])

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        return len(self.bounds) - 1


@dataclass(frozen=True)
class Ratings:
    """The ratings of a fit, once by user and once by item."""

    users: Side
    items: Side
    n_ratings: int

    @property
    def tasks(self) -> list[Delayed]:
        """All that is persisted of them."""
        return [task for side in (self.users, self.items) for task in (side.ids, *side.in_blocks)]
