"""The best candidates for each row of a side.

::

    pairs of ids, in chunks  --split_pairs-->  pieces  --lists_of-->  masks of a block of queries
                                                                            |
    rows of the candidates  --panels-->  packed once in a process  ------ top_k, a task for each block of queries
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from dask.delayed import Delayed

from daskals import kernels
from daskals.blocks.candidates import (
    Lists,
    Ranking,
    Recommendations,
    among,
    best_of_all,
    best_of_listed,
    lists_of,
    of_queries,
    reaching,
    split_pairs,
    without,
)
from daskals.blocks.ids import positions
from daskals.blocks.ratings import CodedIds
from daskals.engine.factors import FactorMatrix, ids_of_blocks
from daskals.engine.panels import blocks_of, gather, join_rows
from daskals.execution.tasks import new_token, task
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


class _What(NamedTuple):
    """What is the same for all blocks of queries."""

    k: int
    block_size: int
    least_score: float | None
    #: names the candidates' rows, those that any query may be given
    token: str


def recommend(
    queries: FactorMatrix, candidates: FactorMatrix, wishes: Wishes, block_size: int, n_panels: int
) -> list[Delayed]:
    """Tasks for the best candidates of every query row, a task for each block of ``queries``: `Recommendations`.

    The candidates' rows travel in at most ``n_panels`` tasks. On plain NumPy at most ``block_size`` rows are scored
    against each other at a time. The score matrix is made and thrown away tile by tile.
    """
    token, panels = new_token(), candidates.panels(n_panels)
    allowed = _allowed(candidates, wishes, token)
    chosen = candidates.token if allowed is None else f"{candidates.token}-{token}"
    what = _What(wishes.k, block_size, wishes.least_score, chosen)
    listed = _lists_of_blocks(wishes.listed, queries, candidates, f"own-{token}")
    unwanted = _lists_of_blocks(wishes.unwanted, queries, candidates, f"seen-{token}")
    starts: list[int | None] = [None] * len(queries.blocks) if wishes.itself else queries.bounds[:-1].tolist()
    blocks = zip(ids_of_blocks(queries), queries.blocks, listed, unwanted, starts, strict=True)
    asked = [
        task(_queries, wishes.queries, *block, name=f"als-queries-{token}-{number}")
        for number, block in enumerate(blocks)
    ]
    return [
        task(_recommend, what, candidates.ids, allowed, each, *panels, name=f"als-recommend-{token}-{number}")
        for number, each in enumerate(asked)
    ]


# ---- candidates ------------------------------------------------------------------------------------------


def _allowed(candidates: FactorMatrix, wishes: Wishes, token: str) -> Delayed | None:
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


# ---- a block of queries ----------------------------------------------------------------------------------


class _Queries(NamedTuple):
    """The queries of a block that are asked for, and the masks of each, by positions of candidates."""

    ids: Ids
    rows: Float32
    listed: Lists | None
    unwanted: Lists | None


def _queries(
    wanted: Ids | None, ids: Ids, rows: Float32, listed: Lists | None, unwanted: Lists | None, own: int | None
) -> _Queries:
    """The queries of a block. ``own``: the position of the first one where no query may be given itself."""
    if own is not None:
        unwanted = Lists(np.arange(len(ids) + 1), np.arange(own, own + len(ids), dtype=np.int32))
    if wanted is not None:
        places = np.flatnonzero(positions(wanted, ids) >= 0)
        ids, rows = ids[places], rows[places]
        listed, unwanted = (None if lists is None else of_queries(lists, places) for lists in (listed, unwanted))
    return _Queries(ids, np.require(rows, np.float32, ["C", "A"]), listed, unwanted)


def _recommend(
    what: _What, candidate_ids: Ids, allowed: Int64 | None, queries: _Queries, *panels: tuple[Float32, ...]
) -> Recommendations:
    blocks = blocks_of(panels)
    if allowed is not None:
        candidate_ids = candidate_ids[allowed]
        masks = (None if lists is None else among(lists, allowed) for lists in (queries.listed, queries.unwanted))
        queries = _Queries(queries.ids, queries.rows, *masks)
    ranking = _ranked(what, queries, lambda: blocks if allowed is None else _rows_at(allowed, blocks), blocks)
    if what.least_score is not None:
        ranking = reaching(ranking, what.least_score)
    return Recommendations(queries.ids, ranking.indptr, candidate_ids[ranking.positions], ranking.scores)


def _rows_at(places: Int64, blocks: Sequence[Float32]) -> list[Float32]:
    """The rows at these places, which ascend, of all blocks; a block each."""
    ends = np.cumsum([len(rows) for rows in blocks])
    cuts = np.searchsorted(places, ends)
    starts = zip(blocks, [0, *ends], itertools.pairwise([0, *cuts]), strict=False)
    return [rows[places[first:stop] - start] for rows, start, (first, stop) in starts]


def _ranked(
    what: _What, queries: _Queries, chosen: Callable[[], Sequence[Float32]], blocks: Sequence[Float32]
) -> Ranking:
    """The best of the candidates whose rows ``chosen`` gives, for each query."""
    if queries.listed is None:
        packed = gather(what.token, blocks, lambda _: kernels.pack_candidates(chosen()), "candidates")
        return best_of_all(queries.rows, packed, what.k, what.block_size, queries.unwanted)
    listed = queries.listed if queries.unwanted is None else without(queries.listed, queries.unwanted)
    candidates = gather(what.token, blocks, lambda _: join_rows(chosen()), "rows")
    return best_of_listed(queries.rows, candidates, what.k, listed)
