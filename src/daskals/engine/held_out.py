"""Held-out ratings, and how the factors of a fit are measured by them after an iteration.

The ratings are laid out once, in the blocks of the fit's users (`hold_out`). To measure factors takes a task for each
block, where the block is (`Measure`): it is given the panel with its users and the panels of all items, which the
last half-step has brought to that process already, and returns one number::

    chunks  --split_known-->  pieces  --build-->  held-out block  --+
          what its users have already, once (implicit fits)  --------+--  squared error, or sum of NDCG  -->  the metric
                     panels of users and items, after an iteration  -+

The rows of all items come to each process that takes part; where they are too many for one, they come panel by panel.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from dask.delayed import Delayed

from daskals import kernels
from daskals.blocks import in_blocks
from daskals.blocks.candidates import Ranking
from daskals.blocks.fingerprint import fingerprint
from daskals.blocks.held_out import (
    Relevant,
    best_items,
    ndcg_sum,
    relevant_items,
    split_known,
    squared_error,
)
from daskals.blocks.ratings import CodedChunk, InBlock, RatingBlock
from daskals.engine.loop import Snapshot
from daskals.engine.panels import Panel, gather, join_rows, panel_starts, places_in_panels
from daskals.engine.plan import Plan
from daskals.engine.sides import Ratings
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task
from daskals.kernels.types import Float32, Ids, Int64

#: Chunks of held-out ratings are cut by blocks of users in at most so many tasks.
MOST_SPLITS = 16


@dataclass(frozen=True)
class HeldOut:
    """Held-out ratings of users and items that a fit knows, computed, in the blocks of the fit's users."""

    #: a task for each block, which gives an `InBlock`
    blocks: tuple[Delayed, ...]
    #: how many ratings there are in the blocks
    n_ratings: int
    #: how many were given, those of unknown ids included
    n_given: int

    def fingerprint(self, scheduler: Scheduler) -> str:
        """A word that tells these ratings from others, whatever the blocks and the order of the rows."""
        token = new_token()
        prints = scheduler.fetch(
            *(task(fingerprint, block, name=f"als-fingerprint-{token}-{n}") for n, block in enumerate(self.blocks))
        )
        return f"{sum(prints) % 2**64:016x}"


def hold_out(scheduler: Scheduler, chunks: Sequence[Delayed], ratings: Ratings) -> HeldOut:
    """Lay out held-out ratings, which come as tasks that give a `CodedChunk` each, in the blocks of a fit's users."""
    token, users, items = new_token(), ratings.users, ratings.items
    edges = np.linspace(0, len(chunks), min(len(chunks), MOST_SPLITS) + 1).astype(int)
    splits = [
        task(_split, users.ids, items.ids, users.bounds, *chunks[first:stop], name=f"als-split-held-{token}-{number}")
        for number, (first, stop) in enumerate(itertools.pairwise(edges))
    ]
    given = [task(_n_ratings, chunk, name=f"als-count-held-{token}-{n}") for n, chunk in enumerate(chunks)]
    blocks = []
    for block, (start, stop) in enumerate(itertools.pairwise(users.bounds.tolist())):
        pieces = [
            task(_take, split, block, name=f"als-piece-held-{token}-{n}-{block}") for n, split in enumerate(splits)
        ]
        blocks.append(task(_build, start, stop - start, items.n_rows, *pieces, name=f"als-held-{token}-{block}"))
    counts = [task(_n_in_block, block, name=f"als-size-held-{token}-{n}") for n, block in enumerate(blocks)]
    (held,), (sizes, all_sizes) = scheduler.persist_and_fetch([blocks], [counts, given])
    return HeldOut(held, sum(sizes), sum(all_sizes))


def _split(user_ids: Ids, item_ids: Ids, bounds: Int64, *chunks: CodedChunk) -> tuple[RatingBlock, ...]:
    return split_known(chunks, user_ids, item_ids, bounds)


def _take(pieces: tuple[RatingBlock, ...], block: int) -> RatingBlock:
    return pieces[block]


def _build(start: int, n_rows: int, n_sources: int, *pieces: RatingBlock) -> InBlock:
    return in_blocks.build(start, n_rows, n_sources, pieces)


def _n_ratings(chunk: CodedChunk) -> int:
    return len(chunk.ratings)


def _n_in_block(block: InBlock) -> int:
    return len(block.ratings)


# ---- measuring -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measure:
    """Measures the factors of one fit by its held-out ratings.

    By the root of the mean squared error of predictions where the fit is explicit; where it is implicit by NDCG of the
    ``k`` best items for each user to whom something is relevant, on average (`daskals.blocks.held_out`).
    """

    plan: Plan
    ratings: Ratings
    held_out: HeldOut
    k: int
    #: rows of factors that plain NumPy scores against each other at a time
    block_size: int
    #: a task for each block, which gives what is `Relevant` there; none in an explicit fit
    relevant: tuple[Delayed, ...] = ()
    #: how many ratings count, or users
    n_counted: int = 0

    def prepared(self) -> Measure:
        """The same with what needs to be computed once."""
        if not self.plan.goal.objective.implicit:
            return replace(self, n_counted=self.held_out.n_ratings)
        inputs = [*self.held_out.blocks, *self.ratings.users.in_blocks]
        return self.plan.scheduler.retry(self._with_relevant_items, "Reading the validation rows", inputs)

    def _with_relevant_items(self) -> Measure:
        token = new_token()
        relevant = [
            task(relevant_items, *blocks, name=f"als-relevant-{token}-{n}")
            for n, blocks in enumerate(zip(self.held_out.blocks, self.ratings.users.in_blocks, strict=True))
        ]
        users = [task(_n_users, each, name=f"als-size-users-{token}-{n}") for n, each in enumerate(relevant)]
        (held,), (counts,) = self.plan.scheduler.persist_and_fetch([relevant], [users])
        return replace(self, relevant=held, n_counted=sum(counts))

    def of(self, snapshot: Snapshot) -> float:
        """The metric of these factors."""
        inputs = [*self.held_out.blocks, *self.relevant, *snapshot.users, *snapshot.items]
        total: float = self.plan.scheduler.retry(lambda: self._total(snapshot), "Validation", inputs)
        mean = total / self.n_counted
        return mean if self.plan.goal.objective.implicit else math.sqrt(mean)

    def _total(self, snapshot: Snapshot) -> float:
        token, plan = new_token(), self.plan
        users = [(snapshot.users[panel], place) for panel, place in places_in_panels(plan.users.panel_edges)]
        items: list[tuple[int, Sequence[Delayed]]] = [(0, snapshot.items)]
        if plan.items.streamed:
            starts = panel_starts(self.ratings.items.bounds, plan.items.panel_edges)
            items = [(start, [panel]) for start, panel in zip(starts, snapshot.items, strict=True)]
        if not plan.goal.objective.implicit:
            errors = [
                task(
                    _squared_error, (token, start), block, *users[n], *some, name=f"als-held-error-{token}-{n}-{start}"
                )
                for n, block in enumerate(self.held_out.blocks)
                for start, some in items
            ]
            return math.fsum(plan.scheduler.fetch(*errors))
        sums = []
        for n, each in enumerate(self.relevant):
            best = [
                task(_best, (token, self.k, self.block_size, start), each, *users[n], *some,
                     name=f"als-held-best-{token}-{n}-{start}")
                for start, some in items
            ]  # fmt: skip
            sums.append(task(_ndcg, self.k, each, *best, name=f"als-ndcg-{token}-{n}"))
        return math.fsum(plan.scheduler.fetch(*sums))


def _n_users(relevant: Relevant) -> int:
    return len(relevant.rows)


def _rows(panels: Sequence[Panel]) -> list[Float32]:
    return [rows for panel in panels for rows in panel.blocks]


def _squared_error(what: tuple[str, int], held_out: InBlock, users: Panel, place: int, *items: Panel) -> float:
    token, start = what
    rows = gather(f"{token}-{start}", _rows(items), join_rows, "rows")
    return squared_error(held_out, users.blocks[place], rows, start)


def _best(what: tuple[str, int, int, int], relevant: Relevant, users: Panel, place: int, *items: Panel) -> Ranking:
    token, k, block_size, start = what
    packed = gather(f"{token}-{start}", _rows(items), kernels.pack_candidates, "candidates")
    return best_items(relevant, users.blocks[place], packed, k, block_size, start)


def _ndcg(k: int, relevant: Relevant, *rankings: Ranking) -> float:
    return ndcg_sum(relevant, rankings, k)
