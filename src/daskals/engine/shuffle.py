"""The shuffle: chunks of ratings become in-blocks of users and in-blocks of items, which stay where they are made.

::

    coded chunks  --index_of-->  ids of each side (a tree)  --block_bounds-->  bounds of blocks
         |                            |                                             |
       split: a task for each group of chunks gives a piece for each bundle of user blocks
         |
       build: a task for each bundle joins its pieces, and is cut into blocks  -->  in-blocks of users
                                                                                       |
       split: a task for each group of user blocks gives a piece for each bundle of item blocks
         |
       build: a task for each bundle joins its pieces, and is cut into blocks  -->  in-blocks of items

A *bundle* is a run of neighbouring blocks of a side: one block, unless groups times blocks were too many pieces
(`daskals.engine.shuffle_plan`). Each step is complete before the next one begins, and then the inputs of the step are
let go. So memory holds the ratings twice, and not three or four times. What happens inside a task is in
`daskals.blocks.in_blocks`.

**Ratings that do not fit into memory** are read once all the same: a cluster moves chunks and pieces to disk. A piece
is written there and read again once, since it leaves the array of its group in the step that made it, and each one is
a result of its own.

**Dask's own shuffle between workers (P2P) is not used.** Its public interface is that of frames and arrays,
``DataFrame.shuffle`` and ``rechunk``; what it is made of is internal to ``distributed``. A frame would need a column
with the block of each row, and would come back as frames in an order that is not determined, on workers that P2P
chooses, and only on a cluster. And it would lose more with a worker: one that leaves has the whole shuffle begin anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from dask.delayed import Delayed

from daskals import progress
from daskals.blocks import in_blocks
from daskals.blocks.ratings import CodedChunk, InBlock, RatingBlock, SideName, other
from daskals.engine.factors import FactorMatrix
from daskals.engine.forms import Choice, Halves
from daskals.engine.indexing import Indexes, index_both, index_users
from daskals.engine.shuffle_plan import ShufflePlan, plan_shuffle
from daskals.engine.sides import SIDES, Ratings, Side
from daskals.execution.memory import release_memory
from daskals.execution.placement import preferred_workers, sort_by_worker
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import task
from daskals.kernels.types import Ids, Int64


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
        index = index_both(scheduler, chunks, token)
        users, items = index.sides
        halves = choose(users.n_rows, items.n_rows) if choose else Halves(SIDES, wanted)
        plan = plan_shuffle(scheduler, users.n_rows, items.n_rows, index.n_ratings, halves.blocks)
        bounds = index.bounds(scheduler, [plan.user_blocks, plan.item_blocks], token)
        sides = {
            name: Side(name, own.ids, own.counts, edges, ())
            for name, own, edges in zip(SIDES, index.sides, bounds, strict=True)
        }
        first, *second = (name for name in SIDES if name in halves.names)
        pieces = _split_chunks_by(scheduler, sides[first], chunks, index, plan, token)
        del chunks
        release_memory()
        sides[first] = _build_side(scheduler, sides[first], index, plan, pieces, token, ordered=False)
        del pieces
        release_memory()
        for name in second:
            pieces = _split_side_by(scheduler, sides[name], sides[first], plan, token)
            sides[name] = _build_side(scheduler, sides[name], index, plan, pieces, token, ordered=True)
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
    index = index_users(scheduler, chunks, items, token)
    if index is None:
        return None
    users = index.of("users")
    plan = plan_shuffle(scheduler, users.n_rows, items.n_rows, index.n_ratings, (None, None))
    (bounds,) = index.bounds(scheduler, [plan.user_blocks], token)
    side = Side("users", users.ids, users.counts, bounds, ())
    pieces = _split_chunks_by(scheduler, side, chunks, index, plan, token)
    del chunks
    release_memory()
    return _build_side(scheduler, side, index, plan, pieces, token, ordered=False)


# ---- pieces, and the blocks that are built from them -----------------------------------------------------

#: Persisted tasks for the pieces of a side: for each bundle those of all groups, in the order of the groups.
Pieces = Sequence[Sequence[Delayed]]


def _split_chunks_by(
    scheduler: Scheduler, side: Side, chunks: Sequence[Delayed], index: Indexes, plan: ShufflePlan, token: str
) -> Pieces:
    """The pieces of a side, made of chunks: the ratings of each group of chunks in a piece for each bundle."""
    source = index.of(other(side.name))
    bounds = side.bounds[list(plan.bundle_edges(side.name))]
    groups = _grouped(*sort_by_worker(scheduler.client, chunks), plan.groups)
    splits = [
        task(
            _split_chunks, side.name, side.ids, source.ids, bounds, *group,
            name=f"als-split-{side.name}-{token}-{number}", worker=worker,
        )
        for number, (worker, group) in enumerate(groups)
    ]  # fmt: skip
    return _pieces(scheduler, side, splits, [worker for worker, _ in groups], len(bounds) - 1, token)


def _split_side_by(scheduler: Scheduler, side: Side, source: Side, plan: ShufflePlan, token: str) -> Pieces:
    """The pieces of a side, made of the blocks of the other: the ratings of each group of them."""
    bounds = side.bounds[list(plan.bundle_edges(side.name))]
    # groups of neighbours, wherever they lie: blocks rely on pieces in which sources ascend (`ordered` in `build`)
    groups = _grouped(source.in_blocks, preferred_workers(scheduler.client, source.n_blocks), plan.groups)
    splits = [
        task(_split_blocks, bounds, *group, name=f"als-split-{side.name}-{token}-{number}", worker=worker)
        for number, (worker, group) in enumerate(groups)
    ]
    return _pieces(scheduler, side, splits, [worker for worker, _ in groups], len(bounds) - 1, token)


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


def _pieces(
    scheduler: Scheduler, side: Side, splits: Sequence[Delayed], workers: Sequence[str | None], n: int, token: str
) -> Pieces:
    """Compute the ``n`` pieces that each of ``splits`` gives, on these workers.

    What a split gives leaves memory as soon as it is taken apart. If all of that were kept, and the pieces taken later,
    a worker with all of it on disk would read it again for each piece.
    """
    taken = [
        [
            task(_take, split, bundle, name=f"als-piece-{side.name}-{token}-{number}-{bundle}", worker=worker)
            for bundle in range(n)
        ]
        for number, (split, worker) in enumerate(zip(splits, workers, strict=True))
    ]
    return list(zip(*scheduler.persist(*taken), strict=True))


def _take(pieces: tuple[RatingBlock, ...], bundle: int) -> RatingBlock:
    return pieces[bundle]


def _build_side(
    scheduler: Scheduler, side: Side, index: Indexes, plan: ShufflePlan, pieces: Pieces, token: str, *, ordered: bool
) -> Side:
    """The side with its in-blocks, joined of its pieces; ``ordered`` is that of `build`."""
    n_sources, bounds = index.of(other(side.name)).n_rows, side.bounds.tolist()
    workers = preferred_workers(scheduler.client, side.n_blocks)
    blocks = []
    for (first, stop), of_bundle in zip(itertools.pairwise(plan.bundle_edges(side.name)), pieces, strict=True):
        # all blocks of a bundle are on one worker: a bundle does not travel
        worker, is_block = workers[(first + stop) // 2], stop - first == 1
        name = f"als-{'build' if is_block else 'join'}-{side.name}-{token}-{first}"
        rows = bounds[first], bounds[stop] - bounds[first]
        bundle = task(_build, *rows, n_sources, ordered, *of_bundle, name=name, worker=worker)
        blocks += [bundle] if is_block else _cut_bundle(side, bundle, range(first, stop), worker, token)
    (persisted,) = scheduler.persist(blocks)
    return replace(side, in_blocks=persisted)


def _cut_bundle(side: Side, bundle: Delayed, blocks: range, worker: str | None, token: str) -> list[Delayed]:
    """A task for each of these blocks, which are those of the bundle."""
    edges = side.bounds[blocks.start : blocks.stop + 1].tolist()
    return [
        task(in_blocks.cut, bundle, start, stop - start, name=f"als-build-{side.name}-{token}-{block}", worker=worker)
        for block, (start, stop) in zip(blocks, itertools.pairwise(edges), strict=True)
    ]


def _build(start: int, n_rows: int, n_sources: int, ordered: bool, *pieces: RatingBlock) -> InBlock:
    return in_blocks.build(start, n_rows, n_sources, pieces, ordered)
