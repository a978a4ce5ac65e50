"""The ratings of a fit, in blocks of users and in blocks of items, as tasks whose results are there already."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dask.delayed import Delayed
from distributed import Client

from daskals.blocks.ratings import SideName
from daskals.execution.placement import holders
from daskals.kernels.types import Int64

SIDES: tuple[SideName, SideName] = ("users", "items")


@dataclass(frozen=True)
class Side:
    """One side of the ratings: its ids and its in-blocks, which were computed and stay where they are."""

    name: SideName
    #: a task for the sorted ids, shape (rows,)
    ids: Delayed
    #: a task for the number of ratings of each row, int64 (rows,); None for the source of a half-step without a fit,
    #: where it need not be known
    counts: Delayed | None
    #: (blocks + 1,): block b has the rows at positions bounds[b] to bounds[b + 1] - 1
    bounds: Int64
    #: a task for each block, which gives a `daskals.blocks.ratings.InBlock`; none where the other side alone has them
    in_blocks: tuple[Delayed, ...]
    #: for each block, the worker that had best solve it (`daskals.execution.placement`); empty where any will do
    homes: tuple[str | None, ...] = ()

    @property
    def n_rows(self) -> int:
        """How many ids there are, and so how many rows of factors this side has."""
        return int(self.bounds[-1])

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        return len(self.bounds) - 1

    def at_home(self, client: Client | None) -> Side:
        """The same with its blocks at home where they lie now.

        Left to itself, Dask gives a worker that seems less busy a block that another one holds, and with it the
        block's ratings, which are sent there; and sometimes gives it back in the next iteration.
        """
        return self if client is None else replace(self, homes=tuple(holders(client, self.in_blocks)))

    def home(self, block: int) -> str | None:
        """The home of a block, if it has one."""
        return self.homes[block] if self.homes else None


@dataclass(frozen=True)
class Ratings:
    """The ratings of a fit, held twice: by user and by item. (Or once: then one of the sides has no in-blocks.)"""

    users: Side
    items: Side
    n_ratings: int

    def of(self, side: SideName) -> Side:
        """The side of this name."""
        return self.users if side == "users" else self.items

    def at_home(self, client: Client | None) -> Ratings:
        """The same, with the blocks of both sides at home where they lie now."""
        return replace(self, users=self.users.at_home(client), items=self.items.at_home(client))

    def has_lost_homes(self, client: Client | None) -> bool:
        """Whether some blocks are at home on a worker that is gone, or were nowhere. Asks the cluster.

        Other workers have made such blocks again, or will. What looks for them at home would bring them together on one
        of these, all at once.
        """
        homes = {*self.users.homes, *self.items.homes}
        return client is not None and not homes <= client.nthreads().keys()

    @property
    def held(self) -> Side:
        """A side that has in-blocks: users, unless they alone have none (`daskals.engine.forms`)."""
        return self.users if self.users.in_blocks else self.items

    @property
    def tasks(self) -> list[Delayed]:
        """All persisted tasks of both sides: ids, counts and in-blocks."""
        sides = self.users, self.items
        tasks = [task for side in sides for task in (side.ids, side.counts, *side.in_blocks)]
        return [task for task in tasks if task is not None]
