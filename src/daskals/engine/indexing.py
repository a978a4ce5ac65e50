"""The ids of both sides of the ratings: sorted, with the number of ratings of each, and the bounds of blocks.

All sorted ids of a side are one array. At any rank above two it is smaller than the factors of that side, which every
half-step brings to every worker anyway. So it is never this array that limits the size of a fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dask.delayed import Delayed

from daskals.blocks import in_blocks
from daskals.blocks.ids import merge
from daskals.blocks.ratings import CodedChunk, Index, SideName
from daskals.engine.factors import FactorMatrix
from daskals.engine.sides import SIDES
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import task, tree_reduce
from daskals.kernels.types import Ids, Int64


class IdsOfSide(NamedTuple):
    """The ids of one side, and how many ratings each one has."""

    n_rows: int
    #: a persisted task for the sorted ids, shape (n_rows,)
    ids: Delayed
    #: a persisted task for the number of ratings of each, int64 (n_rows,)
    counts: Delayed | None


class Indexes(NamedTuple):
    """The ids of both sides, in the order of `SIDES`."""

    #: a persisted task for an `Index` of each side that was made of ratings
    task: Delayed
    sides: tuple[IdsOfSide, IdsOfSide]
    n_ratings: int

    def of(self, side: SideName) -> IdsOfSide:
        """The ids of the side of this name."""
        return self.sides[SIDES.index(side)]

    def bounds(self, scheduler: Scheduler, n_blocks: Sequence[int], token: str) -> tuple[Int64, ...]:
        """The bounds of so many blocks, for each side that was made of ratings."""
        bounds: tuple[Int64, ...]
        (bounds,) = scheduler.fetch(task(_bounds, self.task, tuple(n_blocks), name=f"als-bounds-{token}"))
        return bounds


def index_both(scheduler: Scheduler, chunks: Sequence[Delayed], token: str) -> Indexes:
    """The ids of both sides of all chunks, each a task for a `CodedChunk`. ``ValueError`` if there are no ratings."""
    merged, ((n_users, n_items), n_ratings) = _merged(scheduler, chunks, SIDES, token)
    if n_ratings == 0:
        raise ValueError("No ratings: the dataset has no rows. Check the path or the filter that it comes from.")
    ids, counts = scheduler.persist(
        *(
            [task(_field, merged, n, field, name=f"als-{word}-{side}-{token}") for n, side in enumerate(SIDES)]
            for field, word in (("ids", "ids"), ("counts", "count"))
        )
    )
    users, items = map(IdsOfSide, (n_users, n_items), ids, counts)
    return Indexes(merged, (users, items), n_ratings)


def index_users(scheduler: Scheduler, chunks: Sequence[Delayed], items: FactorMatrix, token: str) -> Indexes | None:
    """The ids of the users of all chunks, beside the items of a matrix. None where there are no ratings."""
    merged, ((n_users,), n_ratings) = _merged(scheduler, chunks, ("users",), token)
    if not n_ratings:
        return None
    fields = [task(_field, merged, 0, name, name=f"als-fold-{name}-{token}") for name in Index._fields]
    own = IdsOfSide(n_users, *scheduler.persist(fields)[0])
    return Indexes(merged, (own, IdsOfSide(items.n_rows, items.ids, items.counts)), n_ratings)


def _merged(
    scheduler: Scheduler, chunks: Sequence[Delayed], sides: tuple[SideName, ...], token: str
) -> tuple[Delayed, tuple[tuple[int, ...], int]]:
    """A persisted task for an `Index` of each of these sides; how many ids each has, and how many ratings there are."""
    parts = [
        task(_indexes, chunk, sides, name=f"als-index-ids-{token}-{number}") for number, chunk in enumerate(chunks)
    ]
    ((merged,),) = scheduler.persist([tree_reduce(_merge, parts, f"als-merge-ids-{token}")])
    (sizes,) = scheduler.fetch(task(_sizes, merged, name=f"als-count-ids-{token}"))
    return merged, sizes


def _indexes(chunk: CodedChunk, sides: tuple[SideName, ...]) -> tuple[Index, ...]:
    return tuple(in_blocks.index_of(chunk, side) for side in sides)


def _merge(*parts: tuple[Index, ...]) -> tuple[Index, ...]:
    return tuple(_merge_side(*side) for side in zip(*parts, strict=True))


def _merge_side(*indexes: Index) -> Index:
    # an index without ids is left out, since its ids may be of another type than the others'
    return merge([index for index in indexes if len(index.ids)] or indexes[:1])


def _sizes(index: tuple[Index, ...]) -> tuple[tuple[int, ...], int]:
    return tuple(len(side.ids) for side in index), int(index[0].counts.sum())


def _bounds(index: tuple[Index, ...], n_blocks: tuple[int, ...]) -> tuple[Int64, ...]:
    return tuple(in_blocks.block_bounds(side.counts, n) for side, n in zip(index, n_blocks, strict=True))


def _field(index: tuple[Index, ...], which: int, name: str) -> Ids:
    field: Ids = getattr(index[which], name)
    return field
