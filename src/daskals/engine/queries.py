"""What is to be recommended and to whom: blocks of queries with the candidates that each may be given.

::

    pairs of ids, in chunks  --split_pairs-->  pieces  --lists_of-->  masks of a block
                                                                          |
    ids and rows of a block  ------------------------------------------- Queries, those that are asked for
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from dask.delayed import Delayed

from daskals.blocks.candidates import Lists, lists_of, of_queries, split_pairs
from daskals.blocks.ids import positions
from daskals.blocks.ratings import CodedIds
from daskals.engine.factors import FactorMatrix, ids_of_blocks
from daskals.execution.tasks import task
from daskals.kernels.types import Float32, Ids, Int64

#: Chunks of pairs are cut by blocks of queries in at most so many tasks.
MOST_SPLITS = 16


@dataclass(frozen=True)
class Wishes:
    """What is to be recommended, and to whom. Whatever is None restricts nothing."""

    #: how many candidates for each query
    k: int
    #: a task for the sorted ids of the queries that are asked for
    queries: Delayed | None = None
    #: a task for the sorted ids of the candidates that any query may be given
    candidates: Delayed | None = None
    #: tasks for pairs (query, candidate) as two `CodedIds`: a query may be given its own candidates alone
    listed: Sequence[Delayed] | None = None
    #: tasks for pairs that are not wanted
    unwanted: Sequence[Delayed] | None = None
    #: the least score
    least_score: float | None = None
    #: the least number of ratings of a candidate
    least_support: int | None = None
    #: whether a row may be a candidate for itself, where both sides are the same
    itself: bool = True


class Queries(NamedTuple):
    """The queries of a block that are asked for, and the masks of each, by positions of candidates."""

    ids: Ids
    rows: Float32
    listed: Lists | None
    unwanted: Lists | None

    @property
    def masks(self) -> tuple[Lists | None, Lists | None]:
        """Both masks."""
        return self.listed, self.unwanted


def _queries(
    wanted: Ids | None, ids: Ids, rows: Float32, listed: Lists | None, unwanted: Lists | None, own: int | None
) -> Queries:
    """The queries of a block. ``own``: the position of the first one where no query may be given itself."""
    if own is not None:
        unwanted = Lists(np.arange(len(ids) + 1), np.arange(own, own + len(ids), dtype=np.int32))
    if wanted is not None:
        places = np.flatnonzero(positions(wanted, ids) >= 0)
        ids, rows = ids[places], rows[places]
        listed, unwanted = (None if lists is None else of_queries(lists, places) for lists in (listed, unwanted))
    return Queries(ids, np.require(rows, np.float32, ["C", "A"]), listed, unwanted)


def queries_of_blocks(queries: FactorMatrix, candidates: FactorMatrix, wishes: Wishes, token: str) -> list[Delayed]:
    """A task for the `Queries` of each block."""
    listed = _lists_of_blocks(wishes.listed, queries, candidates, f"own-{token}")
    unwanted = _lists_of_blocks(wishes.unwanted, queries, candidates, f"seen-{token}")
    starts: list[int | None] = [None] * len(queries.blocks) if wishes.itself else queries.bounds[:-1].tolist()
    blocks = zip(ids_of_blocks(queries), queries.blocks, listed, unwanted, starts, strict=True)
    return [
        task(_queries, wishes.queries, *block, name=f"als-queries-{token}-{number}")
        for number, block in enumerate(blocks)
    ]


def in_shares(asked: Sequence[Delayed], bounds: Int64, most: int, token: str) -> list[Delayed]:
    """Tasks for the same queries, of which none has more than ``most``."""
    done = []
    for number, (each, size) in enumerate(zip(asked, np.diff(bounds).tolist(), strict=True)):
        n = -(-size // most)
        if n <= 1:
            done.append(each)
        else:
            name = f"als-few-queries-{token}-{number}"
            done += [task(_some_queries, each, first, n, name=f"{name}-{first}") for first in range(n)]
    return done


def _some_queries(queries: Queries, number: int, n: int) -> Queries:
    """One of ``n`` shares of the queries."""
    first, stop = (len(queries.ids) * each // n for each in (number, number + 1))
    places = np.arange(first, stop)
    masks = (None if lists is None else of_queries(lists, places) for lists in queries.masks)
    return Queries(queries.ids[first:stop], queries.rows[first:stop], *masks)


def ids_of(queries: Queries) -> Ids:
    """Who the queries are."""
    return queries.ids


# ---- masks -----------------------------------------------------------------------------------------------


def allowed_positions(candidates: FactorMatrix, wishes: Wishes, token: str) -> Delayed | None:
    """A task for the positions of the candidates that any query may be given; None for all of them."""
    if wishes.candidates is None and wishes.least_support is None:
        return None
    return task(
        _positions_allowed, candidates.ids, wishes.candidates, candidates.counts, wishes.least_support,
        name=f"als-candidates-{token}",
    )  # fmt: skip


def _positions_allowed(ids: Ids, wanted: Ids | None, counts: Int64 | None, least: int | None) -> Int64:
    allowed = np.ones(len(ids), np.bool_) if wanted is None else positions(wanted, ids) >= 0
    if least is not None:
        assert counts is not None
        allowed &= counts >= least
    return np.flatnonzero(allowed)


def _lists_of_blocks(
    chunks: Sequence[Delayed] | None, queries: FactorMatrix, candidates: FactorMatrix, token: str
) -> list[Delayed | None]:
    """For each block of queries a task for its `Lists`, from chunks of pairs; None for each where there are none."""
    if chunks is None:
        return [None] * len(queries.blocks)
    edges = np.linspace(0, len(chunks), min(len(chunks), MOST_SPLITS) + 1).astype(int)
    splits = [
        task(
            _split, queries.ids, candidates.ids, queries.bounds, *chunks[first:stop],
            name=f"als-split-{token}-{number}",
        )
        for number, (first, stop) in enumerate(itertools.pairwise(edges))
    ]  # fmt: skip
    tasks: list[Delayed | None] = []
    for block, (start, stop) in enumerate(itertools.pairwise(queries.bounds.tolist())):
        pieces = [task(_take, split, block, name=f"als-piece-{token}-{n}-{block}") for n, split in enumerate(splits)]
        tasks.append(task(_lists, start, stop - start, *pieces, name=f"als-lists-{token}-{block}"))
    return tasks


def _split(query_ids: Ids, candidate_ids: Ids, bounds: Int64, *chunks: tuple[CodedIds, CodedIds]) -> tuple[Int64, ...]:
    return split_pairs(chunks, query_ids, candidate_ids, bounds)


def _take(pieces: tuple[Int64, ...], block: int) -> Int64:
    return pieces[block]


def _lists(start: int, n_queries: int, *pieces: Int64) -> Lists:
    return lists_of(start, n_queries, pieces)
