"""Which candidates a query may be given, and the best of them.

A query is a row of one side (a user, say), its candidates are rows of the other. Masks and lists of candidates are CSR
matrices without values (`Lists`). With the users 0 to 2, of whom user 0 has rated the items 3 and 1 and user 2 item 1::

    pairs      (0, 3) (2, 1) (0, 1)
    Lists      indptr [0, 2, 2, 3], positions [1, 3, 1]
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from daskals import kernels
from daskals.blocks.ids import positions
from daskals.blocks.ratings import CodedIds
from daskals.kernels.types import Bools, Float32, Ids, Int32, Int64


class Lists(NamedTuple):
    """Candidates of some queries, by position: those of query j stand at ``indptr[j]`` to ``indptr[j + 1]``."""

    #: (queries + 1,)
    indptr: Int64
    #: ascending and distinct within a query
    positions: Int32

    @property
    def query(self) -> Int64:
        """The query of each candidate, from 0: shape of ``positions``."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))


class Ranking(NamedTuple):
    """Candidates of some queries, best first, of equal scores the larger position first; laid out as `Lists`."""

    indptr: Int64
    positions: Int64
    scores: Float32


class Recommendations(NamedTuple):
    """A `Ranking` with ids in place of positions."""

    #: (queries,): who they are for
    ids: Ids
    #: (queries + 1,)
    indptr: Int64
    candidates: Ids
    scores: Float32


# ---- lists from pairs of ids -----------------------------------------------------------------------------
#
# A pair is one number, (position of the query << 32) | position of the candidate: one sort orders both.


def split_pairs(
    chunks: Sequence[tuple[CodedIds, CodedIds]], query_ids: Ids, candidate_ids: Ids, bounds: Int64
) -> tuple[Int64, ...]:
    """Pairs of positions as numbers, ascending: a piece for each block of queries, whose bounds are these.

    Pairs of an unknown id are passed over.
    """
    pairs = np.sort(np.concatenate([_known(*chunk, query_ids, candidate_ids) for chunk in chunks]))
    cuts = np.searchsorted(pairs, bounds << 32)
    return tuple(pairs[first:stop] for first, stop in itertools.pairwise(cuts.tolist()))


def _known(queries: CodedIds, candidates: CodedIds, query_ids: Ids, candidate_ids: Ids) -> Int64:
    rows = (positions(query_ids, queries.uniques) << 32)[queries.codes]
    columns = positions(candidate_ids, candidates.uniques)[candidates.codes]
    pairs: Int64 = rows | columns  # negative where either is -1
    return pairs[pairs >= 0]


def lists_of(start: int, n_queries: int, pieces: Sequence[Int64]) -> Lists:
    """The lists of a block of queries, whose first one has position ``start``, from its pieces of `split_pairs`."""
    pairs = np.concatenate(pieces)
    pairs.sort(kind="stable")  # which merges what is in order already
    repeated = pairs[1:] == pairs[:-1]
    if repeated.any():
        pairs = pairs[np.append(True, ~repeated)]
    indptr = np.searchsorted(pairs, np.arange(start, start + n_queries + 1) << 32)
    return Lists(indptr, pairs.astype(np.int32))  # the lower half of each


# ---- fewer of them ---------------------------------------------------------------------------------------


def _kept(lists: Lists, keep: Bools) -> Lists:
    before = np.concatenate([[0], np.cumsum(keep)])
    return Lists(before[lists.indptr], lists.positions[keep])


def of_queries(lists: Lists, rows: Int64) -> Lists:
    """The lists of some of the queries, in the order of ``rows``."""
    lengths = np.diff(lists.indptr)[rows]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(lists.indptr[rows] - indptr[:-1], lengths) + np.arange(indptr[-1])
    return Lists(indptr, lists.positions[places])


def among(lists: Lists, allowed: Int64) -> Lists:
    """Only candidates in ``allowed``, which ascends, each by its place there.

    >>> among(Lists(np.array([0, 2, 3]), np.array([2, 5, 7], np.int32)), np.array([0, 5, 7])).positions.tolist()
    [1, 2]
    """
    places = positions(allowed, lists.positions.astype(np.int64)).astype(np.int32)
    return _kept(lists._replace(positions=places), places >= 0)


def within(lists: Lists, start: int, stop: int) -> Lists:
    """Only candidates at positions ``start`` to ``stop`` - 1, each by its place there.

    >>> within(Lists(np.array([0, 2, 3]), np.array([2, 5, 7], np.int32)), 5, 9).positions.tolist()
    [0, 2]
    """
    keep = (lists.positions >= start) & (lists.positions < stop)
    if not start and keep.all():
        return lists
    return _kept(lists._replace(positions=lists.positions - np.int32(start)), keep)


def without(lists: Lists, unwanted: Lists) -> Lists:
    """The lists without the candidates in ``unwanted``, which has the same queries."""
    return _kept(lists, positions(_one_number(unwanted), _one_number(lists)) < 0)


def _one_number(lists: Lists) -> Int64:
    return (lists.query << 32) | lists.positions


# ---- the best --------------------------------------------------------------------------------------------


def best_of_all(queries: Float32, packed: Any, k: int, block_size: int, unwanted: Lists | None) -> Ranking:
    """The ``k`` best of all candidates but the unwanted ones, fewer where fewer are left.

    ``queries`` are rows (m, rank), ``packed`` is what `daskals.kernels.pack_candidates` made.
    """
    found, scores = kernels.top_k(queries, packed, k, block_size, unwanted)
    m, k = found.shape
    if unwanted is None or (found >= 0).all():
        return Ranking(np.arange(m + 1) * k, found.reshape(-1), scores.reshape(-1))
    there = found >= 0
    return Ranking(np.concatenate([[0], np.cumsum(there.sum(axis=1))]), found[there], scores[there])


def best_of_listed(queries: Float32, candidates: Float32, k: int, listed: Lists) -> Ranking:
    """The ``k`` best of the candidates that are listed for each query; ``candidates`` are rows (n, rank)."""
    row = listed.query
    scores = kernels.predict_pairs(queries, candidates, row, listed.positions.astype(np.int64))
    return _first_of_each(len(queries), row, listed.positions.astype(np.int64), scores, k)


def best_of_rankings(rankings: Sequence[Ranking], k: int) -> Ranking:
    """The ``k`` best of what was found for the same queries among several sets of candidates."""
    n_queries = len(rankings[0].indptr) - 1
    rows = [np.repeat(np.arange(n_queries), np.diff(each.indptr)) for each in rankings]
    found, scores = (np.concatenate([each[n] for each in rankings]) for n in (1, 2))
    return _first_of_each(n_queries, np.concatenate(rows), found, scores, k)


def _first_of_each(n_queries: int, row: Int64, found: Int64, scores: Float32, k: int) -> Ranking:
    """The ``k`` best of each query; ``row`` says of which query each candidate is."""
    order = np.lexsort((-found, -scores, row))
    lengths = np.bincount(row, minlength=n_queries)
    starts = np.cumsum(lengths) - lengths
    first = order[np.arange(len(row)) - np.repeat(starts, lengths) < k]
    return Ranking(np.concatenate([[0], np.cumsum(np.minimum(lengths, k))]), found[first], scores[first])


def reaching(ranking: Ranking, least: float) -> Ranking:
    """Only candidates whose score is at least ``least``."""
    keep = ranking.scores >= least
    before = np.concatenate([[0], np.cumsum(keep)])
    return Ranking(before[ranking.indptr], ranking.positions[keep], ranking.scores[keep])
