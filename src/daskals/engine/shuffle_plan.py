"""In how many parts ratings are held and moved, and how many tasks that takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daskals.blocks.ratings import SideName
from daskals.engine.share import Share
from daskals.engine.sides import SIDES
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import tree_size

#: The shuffle splits chunks (or blocks) of ratings in groups, a task for each group. Every group gives a piece to every
#: bundle of blocks, and each piece costs the scheduler a task. So there are only this many groups for each thread,
GROUPS_PER_THREAD = 2
#: and no more than this many in all,
MAX_GROUPS = 16
#: unless a group would then hold more than this many bytes of ratings, counted at 12 bytes for each rating.
MAX_GROUP_BYTES = 256 << 20
#: A side has no more pieces than this, at half a millisecond of the scheduler each: groups become larger, and several
#: blocks are built as one bundle, where there would be more.
MAX_PIECES = 1 << 14
#: What a task of the shuffle needs for each rating: 12 bytes that it takes, 12 that it gives, and 8 for the copy of a
#: sort that is half done.
TASK_BYTES = 32
#: No task shall need more than this share of the memory that its worker has for a thread. (As much again is needed by
#: bundles that are one block larger than others, and by what the worker holds meanwhile.)
TASK_SHARE = 0.5
#: No cluster is asked for its memory for so few ratings, which need 64 MB.
FEW_RATINGS = 2_000_000
#: Blocks have at most as many rows as a portion has of rows of this rank (`daskals.engine.share`), so that a worker can
#: spill factors to disk, and read them again, bit by bit.
RANK_OF_BLOCKS = 64
#: A thread has more than one block only where each of them has this many times the setting ``block-ratings``.
RATINGS_OF_SEVERAL = 4


@dataclass(frozen=True)
class ShufflePlan:
    """In how many parts the ratings are held and moved. None of these numbers changes a result."""

    user_blocks: int
    item_blocks: int
    #: how many tasks split ratings, at most: fewer where there are fewer chunks (or blocks) to split
    groups: int
    #: for how many bundles of neighbouring blocks of a side a group gives pieces, at most: where there are fewer blocks
    #: than that, each is a bundle of its own
    bundles: int

    def blocks(self, side: SideName) -> int:
        """How many blocks a side has."""
        return self.user_blocks if side == "users" else self.item_blocks

    def bundle_edges(self, side: SideName) -> tuple[int, ...]:
        """Bundle d of a side consists of the blocks edges[d] to edges[d + 1] - 1."""
        n_blocks = self.blocks(side)
        return (*range(0, n_blocks, -(-n_blocks // self.bundles)), n_blocks)

    def tasks(self, n_chunks: int, halves: tuple[SideName, ...] = SIDES) -> int:
        """How many tasks the shuffle of so many chunks has, those that read the chunks included.

        ``halves`` are the sides that get in-blocks. (What a frame does before it is read comes on top.)

        >>> ShufflePlan(user_blocks=4, item_blocks=4, groups=4, bundles=4).tasks(n_chunks=2)
        49
        """
        reading = 2 * n_chunks + tree_size(n_chunks)  # each chunk, and its ids
        sides, parts = 0, n_chunks
        for side in (name for name in SIDES if name in halves):
            groups, sizes = min(parts, self.groups), np.diff(self.bundle_edges(side))
            sides += groups + groups * len(sizes) + self.blocks(side) + int((sizes > 1).sum())
            parts = self.blocks(side)  # the second side is made of the first
        return reading + INDEX_TASKS + sides


#: The number of rows and ratings, ids and counts of both sides, bounds of blocks.
INDEX_TASKS = 1 + 2 * 2 + 1


def plan_shuffle(
    scheduler: Scheduler, n_users: int, n_items: int, n_ratings: int, wanted: tuple[int | None, int | None]
) -> ShufflePlan:
    """Choose the numbers of blocks, groups and bundles for ratings of these sizes.

    ``wanted`` are the numbers of user blocks and of item blocks that the caller asks for; None for an automatic one.
    A side never gets more blocks than it has rows.
    """
    settings = scheduler.settings
    least = _least_parts(scheduler, n_ratings)
    needed = max(least, -(-8 * n_ratings // settings.block_bytes))
    wished = settings.blocks_per_thread * scheduler.threads
    is_small = n_ratings < RATINGS_OF_SEVERAL * settings.block_ratings * wished
    if is_small and _fits_a_worker(scheduler, max(n_users, n_items)):
        wished = max(1, min(wished, scheduler.threads, n_ratings // settings.block_ratings))
    wished, share = max(needed, wished), Share(scheduler)
    users, items = (
        min(wish or min(settings.max_blocks, max(wished, share.n_portions(n_rows, RANK_OF_BLOCKS))), n_rows)
        for wish, n_rows in zip(wanted, (n_users, n_items), strict=True)
    )
    groups = max(min(MAX_GROUPS, GROUPS_PER_THREAD * scheduler.threads), -(-12 * n_ratings // MAX_GROUP_BYTES), least)
    return ShufflePlan(users, items, *_pieces(groups, max(users, items), least))


def _pieces(groups: int, n_blocks: int, least: int) -> tuple[int, int]:
    """How many groups and bundles there are, where ``groups`` are wished and one bundle for each block.

    A side has at most `MAX_PIECES` pieces, as long as there are ``least`` groups and bundles. Where there are more of
    both, they become about equally many: that leaves most threads something to do.
    """
    if groups * n_blocks <= MAX_PIECES:
        return groups, n_blocks
    bundles = min(n_blocks, max(math.isqrt(MAX_PIECES), MAX_PIECES // groups, least))
    return min(groups, max(MAX_PIECES // bundles, least)), bundles


def _least_parts(scheduler: Scheduler, n_ratings: int) -> int:
    """In how many parts ratings are to be cut, so that a task which takes a part has the memory for it."""
    if n_ratings <= FEW_RATINGS:
        return 1
    return math.ceil(TASK_BYTES * n_ratings / (TASK_SHARE * scheduler.thread_memory()))


def _fits_a_worker(scheduler: Scheduler, n_rows: int) -> bool:
    """Whether a process may hold a column of the factors of so many rows.

    Where it may not, half-steps read rows panel by panel whatever the rank is; then several panels are needed, and they
    are made of blocks.
    """
    return 4 * n_rows <= scheduler.settings.factor_share * scheduler.worker_memory()
