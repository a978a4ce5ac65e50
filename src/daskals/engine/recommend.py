"""The best candidates for each row of a side.

::

    blocks of queries, with masks (`daskals.engine.queries`)  ----------------+
                                                                              |
    rows of the candidates  --panels-->  packed once in a process  --------- top_k, a task for each block of queries

Where no task may hold all candidates, there is a task for each block of queries and portion of candidates
(`daskals.engine.portions`), and one for each block that merges the best of all portions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
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
    best_of_rankings,
    reaching,
    within,
    without,
)
from daskals.engine.factors import FactorMatrix
from daskals.engine.panels import gather, join_rows
from daskals.engine.portions import Portion, Span, blocks_in, portions
from daskals.engine.queries import Queries, Wishes, allowed_positions, ids_of, in_shares, queries_of_blocks
from daskals.engine.share import PART_OF_SHARE, Share
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task
from daskals.kernels.types import Float32, Ids, Int64

#: What is found in all portions for the queries of a task may take this many bytes, however small a worker is.
LEAST_FOUND = 1 << 20


class _What(NamedTuple):
    """What is the same for all blocks of queries."""

    k: int
    block_size: int
    least_score: float | None
    #: names the candidates' rows, those that any query may be given
    token: str


def recommend(
    scheduler: Scheduler, queries: FactorMatrix, candidates: FactorMatrix, wishes: Wishes, block_size: int
) -> list[Delayed]:
    """Tasks for the best candidates of every query row, in the order of ``queries``: `Recommendations`.

    There is one for each block of ``queries``, or several where the candidates are in portions. On plain NumPy at most
    ``block_size`` rows are scored against each other at a time. The score matrix is made and thrown away tile by tile.
    """
    token, share = new_token(), Share(scheduler)
    allowed = allowed_positions(candidates, wishes, token)
    chosen = candidates.token if allowed is None else f"{candidates.token}-{token}"
    what = _What(wishes.k, block_size, wishes.least_score, chosen)
    asked = queries_of_blocks(queries, candidates, wishes, token)
    whole, *others = portions(scheduler, share, candidates)
    if others:
        most = _most_queries(share, what, candidates, 1 + len(others))
        asked = in_shares(asked, queries.bounds, most, token)
        return _recommend_in_portions(what, candidates, allowed, asked, [whole, *others], token)
    return [
        task(_recommend, what, whole.span, candidates.ids, allowed, each, *whole.tasks,
             name=f"als-recommend-{token}-{number}")
        for number, each in enumerate(asked)
    ]  # fmt: skip


# ---- a block of queries ----------------------------------------------------------------------------------


def _recommend(
    what: _What,
    span: Span,
    candidate_ids: Ids,
    allowed: Int64 | None,
    queries: Queries,
    *held: Float32 | tuple[Float32, ...],
) -> Recommendations:
    return _named(what, candidate_ids, queries.ids, _best(what, span, allowed, queries, *held))


def _named(what: _What, candidate_ids: Ids, query_ids: Ids, ranking: Ranking) -> Recommendations:
    if what.least_score is not None:
        ranking = reaching(ranking, what.least_score)
    return Recommendations(query_ids, ranking.indptr, candidate_ids[ranking.positions], ranking.scores)


def _best(
    what: _What, span: Span, allowed: Int64 | None, queries: Queries, *held: Float32 | tuple[Float32, ...]
) -> Ranking:
    """The best of the candidates in a span, for each query; by their positions among all candidates."""
    blocks = blocks_in(span, held)
    if allowed is None:
        masks = [None if lists is None else within(lists, span.start, span.stop) for lists in queries.masks]
        ranking = _ranked(what, span, queries, masks, lambda: blocks, blocks)
        return ranking._replace(positions=ranking.positions + span.start) if span.start else ranking
    first, stop = np.searchsorted(allowed, [span.start, span.stop])
    allowed = allowed[first:stop]
    masks = [None if lists is None else among(lists, allowed) for lists in queries.masks]
    ranking = _ranked(what, span, queries, masks, lambda: _rows_at(allowed - span.start, blocks), blocks)
    return ranking._replace(positions=allowed[ranking.positions])


def _rows_at(places: Int64, blocks: Sequence[Float32]) -> list[Float32]:
    """The rows at these places, which ascend, of all blocks; a block each."""
    ends = np.cumsum([len(rows) for rows in blocks])
    cuts = np.searchsorted(places, ends)
    starts = zip(blocks, [0, *ends], itertools.pairwise([0, *cuts]), strict=False)
    return [rows[places[first:stop] - start] for rows, start, (first, stop) in starts]


def _ranked(
    what: _What,
    span: Span,
    queries: Queries,
    masks: Sequence[Lists | None],
    chosen: Callable[[], Sequence[Float32]],
    blocks: Sequence[Float32],
) -> Ranking:
    """The best of the candidates in a span whose rows ``chosen`` gives, for each query."""
    (listed, unwanted), token = masks, f"{what.token}-{span.start}"
    if listed is None:
        packed = gather(token, blocks, lambda _: kernels.pack_candidates(chosen()), "candidates")
        return best_of_all(queries.rows, packed, what.k, what.block_size, unwanted)
    listed = listed if unwanted is None else without(listed, unwanted)
    candidates = gather(token, blocks, lambda _: join_rows(chosen()), "rows")
    return best_of_listed(queries.rows, candidates, what.k, listed)


# ---- candidates in portions ------------------------------------------------------------------------------


def _most_queries(share: Share, what: _What, candidates: FactorMatrix, n_portions: int) -> int:
    """How many queries a task may have, so that the best of all portions take no more than a portion takes.

    A candidate that was found takes 12 bytes.
    """
    of_a_query = 12 * min(what.k, candidates.n_rows) * n_portions
    return max(1, int(max(share.size / PART_OF_SHARE, LEAST_FOUND) // of_a_query))


def _recommend_in_portions(
    what: _What,
    candidates: FactorMatrix,
    allowed: Delayed | None,
    asked: Sequence[Delayed],
    parts: Sequence[Portion],
    token: str,
) -> list[Delayed]:
    done = []
    for number, queries in enumerate(asked):
        best = [
            task(_best, what, portion.span, allowed, queries, *portion.tasks, name=f"als-best-{token}-{number}-{n}")
            for n, portion in enumerate(parts)
        ]
        ids = task(ids_of, queries, name=f"als-query-ids-{token}-{number}")
        done.append(task(_merged, what, candidates.ids, ids, *best, name=f"als-recommend-{token}-{number}"))
    return done


def _merged(what: _What, candidate_ids: Ids, query_ids: Ids, *rankings: Ranking) -> Recommendations:
    return _named(what, candidate_ids, query_ids, best_of_rankings(rankings, what.k))
