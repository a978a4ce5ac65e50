"""One shuffle: chunks of ratings become in-blocks of both sides, held by the scheduler.

::

    coded chunks  --index_of-->  ids of each side (a tree)  --block_bounds-->  bounds of blocks
         |                            |                                             |
       split, a group of chunks a task, one piece for each user block  -------------+
         |
       build, a task for each block  -->  in-blocks of users
                                               |
       split, a group of blocks a task, one piece for each item block
         |
       build, a task for each block  -->  in-blocks of items

Each step is complete before the next begins, and what it came from is let go: memory holds the ratings twice, not
three or four times.

A side's sorted ids are one array. It is shorter than the side's factors at any rank above two, and a half-step
brings those to every worker; so what bounds the size of a fit is never this array.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dask.delayed import Delayed

from daskals import execution, in_blocks, indexing
from daskals.blocks import CodedChunk, Ids, InBlock, Index, Int64, Piece
from daskals.in_blocks import SideName

SIDES: tuple[SideName, SideName] = ("users", "items")

#: Chunks, or blocks, are split in so many groups a thread, and at most so many, since pieces number groups times
#: blocks; more groups only where one would hold more than `MAX_GROUP_BYTES` (12 bytes a rating).
GROUPS_PER_THREAD = 2
MAX_GROUPS = 16
MAX_GROUP_BYTES = 256 << 20


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
    """The ratings of a fit, blocked both ways."""

    users: Side
    items: Side
    n_ratings: int

    @property
    def tasks(self) -> list[Delayed]:
        """All that is persisted of them."""
        return [task for side in (self.users, self.items) for task in (side.ids, *side.in_blocks)]


def shuffle(chunks: Sequence[Delayed], user_blocks: int | None, item_blocks: int | None, token: str) -> Ratings:
    """Ratings of all chunks (tasks that give a `CodedChunk`) in blocks of both sides.

    ``user_blocks`` and ``item_blocks`` are numbers of blocks, None for automatic ones. ``ValueError`` if there
    are no ratings.
    """
    execution.release_memory()
    (chunks,) = execution.persist(chunks)
    index = _index(chunks, token)
    summary = execution.task(_summary, index, name=f"als-summary-{token}")
    ((n_users, n_items, n_ratings),) = execution.fetch(summary)
    if n_ratings == 0:
        raise ValueError("No ratings: the dataset has no rows. Check the path or the filter that it comes from.")
    n_blocks = (
        min(user_blocks or _automatic_blocks(n_ratings), n_users),
        min(item_blocks or _automatic_blocks(n_ratings), n_items),
    )
    (bounds,) = execution.fetch(execution.task(_bounds, index, n_blocks, name=f"als-bounds-{token}"))
    (id_tasks,) = execution.persist(
        [execution.task(_ids, index, which, name=f"als-ids-{side}-{token}") for which, side in enumerate(SIDES)]
    )
    ids = dict(zip(SIDES, id_tasks, strict=True))
    splits = [
        execution.task(
            _split_chunks, *ids.values(), bounds[0], *group, name=f"als-split-users-{token}-{number}", home=home
        )
        for number, (home, group) in enumerate(_grouped(*execution.by_worker(chunks), n_ratings))
    ]
    (pieces,) = execution.persist(splits)
    del chunks, splits
    execution.release_memory()
    users = _build_side("users", ids, bounds[0], pieces, token)
    del pieces
    execution.release_memory()
    # in their order, wherever they are: items are built from users that ascend
    groups = _grouped(users.in_blocks, execution.homes(users.n_blocks), n_ratings)
    splits = [
        execution.task(_split_blocks, bounds[1], *group, name=f"als-split-items-{token}-{number}", home=home)
        for number, (home, group) in enumerate(groups)
    ]
    (pieces,) = execution.persist(splits)
    del splits
    items = _build_side("items", ids, bounds[1], pieces, token)
    del pieces
    execution.release_memory()
    return Ratings(users, items, n_ratings)


def _index(chunks: Sequence[Delayed], token: str) -> Delayed:
    """The ids of both sides, with their numbers of ratings: a pair of `Index`, persisted."""
    parts = [execution.task(_indexes, chunk, name=f"als-index-{token}-{number}") for number, chunk in enumerate(chunks)]
    (persisted,) = execution.persist([execution.tree_reduce(_merge, parts, f"als-index-tree-{token}")])
    return persisted[0]


def _indexes(chunk: CodedChunk) -> tuple[Index, ...]:
    return tuple(in_blocks.index_of(chunk, side) for side in SIDES)


def _merge(*parts: tuple[Index, ...]) -> tuple[Index, ...]:
    # a chunk without rows may have ids of another type
    return tuple(
        indexing.merge([index for index in side if len(index.ids)] or side[:1]) for side in zip(*parts, strict=True)
    )


def _summary(index: tuple[Index, Index]) -> tuple[int, int, int]:
    users, items = index
    return len(users.ids), len(items.ids), int(users.counts.sum())


def _bounds(index: tuple[Index, Index], n_blocks: tuple[int, int]) -> tuple[Int64, ...]:
    return tuple(indexing.block_bounds(side.counts, n) for side, n in zip(index, n_blocks, strict=True))


def _ids(index: tuple[Index, Index], which: int) -> Ids:
    return index[which].ids


def _automatic_blocks(n_ratings: int) -> int:
    """How many blocks a side gets where nobody says: see daskals.yaml."""
    needed = -(-8 * n_ratings // execution.setting_of_bytes("block-bytes"))
    for_threads = execution.setting("blocks-per-thread") * execution.total_threads()
    return int(min(execution.setting("max-blocks"), max(needed, for_threads)))


def _grouped(
    parts: Sequence[Delayed], workers: Sequence[str | None], n_ratings: int
) -> list[tuple[str | None, Sequence[Delayed]]]:
    """Groups of neighbouring parts, each with the worker that holds its middle: what a task reads is mostly there."""
    wanted = min(MAX_GROUPS, GROUPS_PER_THREAD * execution.total_threads())
    n_groups = min(len(parts), max(wanted, -(-12 * n_ratings // MAX_GROUP_BYTES)))
    edges = np.linspace(0, len(parts), n_groups + 1).astype(int)
    return [(workers[(first + stop) // 2], parts[first:stop]) for first, stop in itertools.pairwise(edges)]


def _split_chunks(ids: Ids, source_ids: Ids, bounds: Int64, *chunks: CodedChunk) -> tuple[Piece, ...]:
    return in_blocks.split([in_blocks.decode(chunk, "users", ids, source_ids) for chunk in chunks], bounds)


def _split_blocks(bounds: Int64, *blocks: InBlock) -> tuple[Piece, ...]:
    return in_blocks.split([in_blocks.transpose(block) for block in blocks], bounds)


def _build_side(
    side: SideName, ids: dict[SideName, Delayed], bounds: Int64, groups: Sequence[Delayed], token: str
) -> Side:
    source: SideName = "items" if side == "users" else "users"
    blocks = []
    homes = execution.homes(len(bounds) - 1)
    for block, (start, stop) in enumerate(itertools.pairwise(bounds.tolist())):
        pieces = [
            execution.task(_take, pieces, block, name=f"als-piece-{side}-{token}-{number}-{block}")
            for number, pieces in enumerate(groups)
        ]
        blocks.append(
            execution.task(
                _build,
                start,
                stop - start,
                ids[source],
                side == "items",
                *pieces,
                name=f"als-ratings-{side}-{token}-{block}",
                home=homes[block],
            )
        )
    (persisted,) = execution.persist(blocks)
    return Side(side, ids[side], bounds, persisted)


def _take(pieces: tuple[Piece, ...], block: int) -> Piece:
    return pieces[block]


def _build(start: int, n_rows: int, source_ids: Ids, ordered: bool, *pieces: Piece) -> InBlock:
    return in_blocks.build(start, n_rows, len(source_ids), pieces, ordered)
