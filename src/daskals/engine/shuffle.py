"""The shuffle: chunks of ratings become in-blocks of users and in-blocks of items, which stay where they are made.

::

    coded chunks  --index_of-->  ids of each side (a tree)  --block_bounds-->  bounds of blocks
         |                            |                                             |
       split: a task for each group of chunks gives a piece for each user block  ---+
         |
       build: a task for each user block joins its pieces  -->  in-blocks of users
                                                                     |
       split: a task for each group of user blocks gives a piece for each item block
         |
       build: a task for each item block joins its pieces  -->  in-blocks of items

Each step is complete before the next one begins, and then the inputs of the step are let go. So memory holds the
ratings twice, and not three or four times. What happens inside a task is in `daskals.blocks.in_blocks`.

All sorted ids of a side are one array. At any rank above two it is smaller than the factors of that side, which every
half-step brings to every worker anyway. So it is never this array that limits the size of a fit.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from dask.delayed import Delayed

from daskals import progress
from daskals.blocks import in_blocks
from daskals.blocks.ids import merge
from daskals.blocks.ratings import CodedChunk, InBlock, Index, RatingBlock, SideName, other
from daskals.engine.factors import FactorMatrix
from daskals.engine.forms import Choice, Halves
from daskals.engine.plan import ShufflePlan, plan_shuffle
from daskals.engine.sides import Ratings, Side
from daskals.execution.memory import release_memory
from daskals.execution.placement import preferred_workers, sort_by_worker
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import task, tree_reduce
from daskals.kernels.types import Ids, Int64

SIDES: tuple[SideName, SideName] = ("users", "items")


def shuffle(
    scheduler: Scheduler,
    chunks: Sequence[Delayed],
    wanted: tuple[int | None, int | None],
    token: str,
    choose: Choice | None = None,
) -> Ratings:
    """Bring the ratings of all chunks into blocks of both sides.

    Each of ``chunks`` is a task that gives a `CodedChunk`. ``wanted`` are the numbers of user blocks and of item blocks
    that the caller asks for; None for an automatic one. ``choose`` may decide otherwise when the numbers of users and
    items are known, and also which sides get in-blocks; one that gets none has ids, counts and bounds. ``ValueError``
    if there are no ratings; errors that reading a chunk raises come through.
    """
    release_memory()
    with progress.stage("Reading the ratings", unit="parts"):
        (chunks,) = scheduler.persist(chunks)
    with progress.stage("Sorting the ratings"):
        index = _index(scheduler, chunks, token)
        users, items = index.sides
        halves = choose(users.n_rows, items.n_rows) if choose else Halves(SIDES, wanted)
        plan = plan_shuffle(scheduler, users.n_rows, items.n_rows, index.n_ratings, halves.blocks)
        bounds = task(_bounds, index.task, (plan.user_blocks, plan.item_blocks), name=f"als-bounds-{token}")
        (of_sides,) = scheduler.fetch(bounds)
        sides = {
            name: Side(name, own.ids, own.counts, of_sides[n], ())
            for n, (name, own) in enumerate(zip(SIDES, index.sides, strict=True))
        }
        first, *second = (name for name in SIDES if name in halves.names)
        pieces = _split_chunks_by(scheduler, sides[first], chunks, index, plan, token)
        del chunks
        release_memory()
        sides[first] = _build_side(scheduler, sides[first], index, pieces, token, ordered=False)
        del pieces
        release_memory()
        for name in second:
            pieces = _split_side_by(scheduler, sides[name], sides[first], plan, token)
            sides[name] = _build_side(scheduler, sides[name], index, pieces, token, ordered=True)
            del pieces
            release_memory()
    return Ratings(sides["users"], sides["items"], index.n_ratings)


def shuffle_by_user(scheduler: Scheduler, chunks: Sequence[Delayed], items: FactorMatrix, token: str) -> Side | None:
    """Bring the ratings of all chunks into blocks of users alone, where the items are those of a matrix.

    Each of ``chunks`` is a task that gives a `CodedChunk` without an item that the matrix lacks. None where there are
    no ratings.
    """
    release_memory()
    (chunks,) = scheduler.persist(chunks)
    parts = [
        task(in_blocks.index_of, chunk, "users", name=f"als-index-ids-{token}-{number}")
        for number, chunk in enumerate(chunks)
    ]
    ((users,),) = scheduler.persist([tree_reduce(_merge_side, parts, f"als-merge-ids-{token}")])
    ((n_users, n_ratings),) = scheduler.fetch(task(_size, users, name=f"als-count-ids-{token}"))
    if not n_ratings:
        return None
    ids, counts = (task(_field, users, name, name=f"als-fold-{name}-{token}") for name in Index._fields)
    own = _IdsOfSide(n_users, *scheduler.persist([ids, counts])[0])
    index = _Indexes(users, (own, _IdsOfSide(items.n_rows, items.ids, items.counts)), n_ratings)
    plan = plan_shuffle(scheduler, n_users, items.n_rows, n_ratings, (None, None))
    (bounds,) = scheduler.fetch(task(_bounds_of, users, plan.user_blocks, name=f"als-bounds-{token}"))
    side = Side("users", own.ids, own.counts, bounds, ())
    pieces = _split_chunks_by(scheduler, side, chunks, index, plan, token)
    del chunks
    release_memory()
    return _build_side(scheduler, side, index, pieces, token, ordered=False)


def _size(users: Index) -> tuple[int, int]:
    return len(users.ids), int(users.counts.sum())


def _field(users: Index, name: str) -> Ids:
    field: Ids = getattr(users, name)
    return field


def _bounds_of(users: Index, n_blocks: int) -> Int64:
    return in_blocks.block_bounds(users.counts, n_blocks)


# ---- the ids of both sides -------------------------------------------------------------------------------


class _IdsOfSide(NamedTuple):
    n_rows: int
    #: a persisted task for the sorted ids, shape (n_rows,)
    ids: Delayed
    #: a persisted task for the number of ratings of each, int64 (n_rows,)
    counts: Delayed | None


class _Indexes(NamedTuple):
    """The ids of both sides, in the order of `SIDES`."""

    #: a persisted task for a pair of `Index`
    task: Delayed
    sides: tuple[_IdsOfSide, _IdsOfSide]
    n_ratings: int

    def of(self, side: SideName) -> _IdsOfSide:
        return self.sides[SIDES.index(side)]


def _index(scheduler: Scheduler, chunks: Sequence[Delayed], token: str) -> _Indexes:
    parts = [task(_indexes, chunk, name=f"als-index-ids-{token}-{number}") for number, chunk in enumerate(chunks)]
    ((index,),) = scheduler.persist([tree_reduce(_merge, parts, f"als-merge-ids-{token}")])
    ((n_users, n_items, n_ratings),) = scheduler.fetch(task(_summary, index, name=f"als-count-ids-{token}"))
    if n_ratings == 0:
        raise ValueError("No ratings: the dataset has no rows. Check the path or the filter that it comes from.")
    ids, counts = scheduler.persist(
        [task(_ids, index, which, name=f"als-ids-{side}-{token}") for which, side in enumerate(SIDES)],
        [task(_counts, index, which, name=f"als-count-{side}-{token}") for which, side in enumerate(SIDES)],
    )
    users, items = map(_IdsOfSide, (n_users, n_items), ids, counts)
    return _Indexes(index, (users, items), n_ratings)


def _indexes(chunk: CodedChunk) -> tuple[Index, ...]:
    return tuple(in_blocks.index_of(chunk, side) for side in SIDES)


def _merge(*parts: tuple[Index, ...]) -> tuple[Index, ...]:
    return tuple(_merge_side(*side) for side in zip(*parts, strict=True))


def _merge_side(*indexes: Index) -> Index:
    # an index without ids is left out, since its ids may be of another type than the others'
    return merge([index for index in indexes if len(index.ids)] or indexes[:1])


def _summary(index: tuple[Index, Index]) -> tuple[int, int, int]:
    users, items = index
    return len(users.ids), len(items.ids), int(users.counts.sum())


def _bounds(index: tuple[Index, Index], n_blocks: tuple[int, int]) -> tuple[Int64, ...]:
    return tuple(in_blocks.block_bounds(side.counts, n) for side, n in zip(index, n_blocks, strict=True))


def _ids(index: tuple[Index, Index], which: int) -> Ids:
    return index[which].ids


def _counts(index: tuple[Index, Index], which: int) -> Int64:
    return index[which].counts


# ---- pieces, and the blocks that are built from them -----------------------------------------------------


def _split_chunks_by(
    scheduler: Scheduler, side: Side, chunks: Sequence[Delayed], index: _Indexes, plan: ShufflePlan, token: str
) -> Sequence[Delayed]:
    """Persisted tasks, one for each group of chunks, that give the group's ratings as a piece for each block."""
    source = index.of(other(side.name))
    groups = _grouped(*sort_by_worker(scheduler.client, chunks), plan.groups)
    splits = [
        task(
            _split_chunks, side.name, side.ids, source.ids, side.bounds, *group,
            name=f"als-split-{side.name}-{token}-{number}", worker=worker,
        )
        for number, (worker, group) in enumerate(groups)
    ]  # fmt: skip
    return scheduler.persist(splits)[0]


def _split_side_by(scheduler: Scheduler, side: Side, source: Side, plan: ShufflePlan, token: str) -> Sequence[Delayed]:
    """Persisted tasks, one for each group of the source's blocks, that give their ratings as a piece for each block."""
    # groups of neighbours, wherever they lie: blocks rely on pieces in which sources ascend (`ordered` in `build`)
    groups = _grouped(source.in_blocks, preferred_workers(scheduler.client, source.n_blocks), plan.groups)
    splits = [
        task(_split_blocks, side.bounds, *group, name=f"als-split-{side.name}-{token}-{number}", worker=worker)
        for number, (worker, group) in enumerate(groups)
    ]
    return scheduler.persist(splits)[0]


def _grouped(
    parts: Sequence[Delayed], workers: Sequence[str | None], most: int
) -> list[tuple[str | None, Sequence[Delayed]]]:
    """Cut parts into at most ``most`` groups of neighbours; give with each the worker that holds its middle part.

    ``workers`` says for each part which worker holds it. Neighbours mostly lie on one worker, which therefore has most
    of what the group's task reads.
    """
    edges = np.linspace(0, len(parts), min(len(parts), most) + 1).astype(int)
    return [(workers[(first + stop) // 2], parts[first:stop]) for first, stop in itertools.pairwise(edges)]


def _split_chunks(
    side: SideName, ids: Ids, source_ids: Ids, bounds: Int64, *chunks: CodedChunk
) -> tuple[RatingBlock, ...]:
    return in_blocks.split([in_blocks.decode(chunk, side, ids, source_ids) for chunk in chunks], bounds)


def _split_blocks(bounds: Int64, *blocks: InBlock) -> tuple[RatingBlock, ...]:
    return in_blocks.split([in_blocks.transpose(block) for block in blocks], bounds)


def _build_side(
    scheduler: Scheduler, side: Side, index: _Indexes, groups: Sequence[Delayed], token: str, *, ordered: bool
) -> Side:
    """The side with its in-blocks, joined of the pieces that each group gives; ``ordered`` is that of `build`."""
    n_sources = index.of(other(side.name)).n_rows
    workers = preferred_workers(scheduler.client, side.n_blocks)
    blocks = []
    for block, (start, stop) in enumerate(itertools.pairwise(side.bounds.tolist())):
        pieces = [
            task(_take, pieces, block, name=f"als-piece-{side.name}-{token}-{number}-{block}")
            for number, pieces in enumerate(groups)
        ]
        name = f"als-build-{side.name}-{token}-{block}"
        blocks.append(task(_build, start, stop - start, n_sources, ordered, *pieces, name=name, worker=workers[block]))
    (persisted,) = scheduler.persist(blocks)
    return replace(side, in_blocks=persisted)


def _take(pieces: tuple[RatingBlock, ...], block: int) -> RatingBlock:
    return pieces[block]


def _build(start: int, n_rows: int, n_sources: int, ordered: bool, *pieces: RatingBlock) -> InBlock:
    return in_blocks.build(start, n_rows, n_sources, pieces, ordered)
