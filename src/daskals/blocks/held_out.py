"""How good the factors of a fit are for ratings that were held out from it, block by block of its users.

Held-out ratings are laid out once as those of the fit are, in CSR form by user (`InBlock`), with the positions that
the fit gives to its ids. Ratings of users and items that the fit does not know are left out: no factors tell of them.

Explicit fits are measured by the error of predictions, implicit ones by the ranking of each user's items without those
that the user has among the ratings of the fit::

    held out  user 3: 0 4 5     training  user 3: 1 4     relevant  user 3: 0 5    their best two  user 3: 5 2
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from daskals import kernels
from daskals.blocks.candidates import Lists, Ranking, best_of_all, best_of_rankings, of_queries, within
from daskals.blocks.ids import positions
from daskals.blocks.in_blocks import split
from daskals.blocks.ranking import mark, scores_of
from daskals.blocks.ratings import CodedChunk, InBlock, RatingBlock
from daskals.kernels.types import Float32, Ids, Int64


def split_known(chunks: Sequence[CodedChunk], user_ids: Ids, item_ids: Ids, bounds: Int64) -> tuple[RatingBlock, ...]:
    """Ratings cut by user, a piece for each block of users, whose bounds are these; without those of unknown ids."""
    return split([_known(chunk, user_ids, item_ids) for chunk in chunks], bounds)


def _known(chunk: CodedChunk, user_ids: Ids, item_ids: Ids) -> RatingBlock:
    rows = positions(user_ids, chunk.users.uniques).astype(np.int32)[chunk.users.codes]
    sources = positions(item_ids, chunk.items.uniques).astype(np.int32)[chunk.items.codes]
    known = (rows >= 0) & (sources >= 0)
    return RatingBlock(rows[known], sources[known], chunk.ratings[known])


def squared_error(held_out: InBlock, users: Float32, items: Float32, start: int = 0) -> float:
    """The sum of squared errors of the predictions for a block's held-out ratings.

    ``users`` are the rows of the block (m, rank), ``items`` those of all items (n, rank); or those from position
    ``start`` on, and then ratings of other items are left out.
    """
    rows = np.repeat(np.arange(len(held_out.indptr) - 1), np.diff(held_out.indptr))
    places, ratings = held_out.source_positions.astype(np.int64) - start, held_out.ratings
    here = (places >= 0) & (places < len(items))
    if not here.all():
        rows, places, ratings = rows[here], places[here], ratings[here]
    predicted = kernels.predict_pairs(users, items, rows, places)
    return float(np.square(predicted.astype(np.float64) - ratings).sum())


class Relevant(NamedTuple):
    """What is to be recommended to some users of a block, and what is not."""

    #: (queries,): the row in the block of each user to whom something is relevant, ascending
    rows: Int64
    #: the items that are relevant to each of them
    items: Lists
    #: the items that each of them has among the ratings of the fit
    rated: Lists


def relevant_items(held_out: InBlock, training: InBlock) -> Relevant:
    """The held-out items of rating above 0 that are not among the training ratings of the same user."""
    rated = np.unique(_pairs(training))
    wanted = np.unique(_pairs(held_out)[held_out.ratings > 0])
    wanted = wanted[positions(rated, wanted) < 0]
    rows, counts = np.unique(wanted >> 32, return_counts=True)
    ends = np.searchsorted(rated, np.arange(len(training.indptr)) << 32)
    return Relevant(
        rows,
        Lists(np.concatenate([[0], np.cumsum(counts)]), wanted.astype(np.int32)),
        of_queries(Lists(ends, rated.astype(np.int32)), rows),
    )


def _pairs(block: InBlock) -> Int64:
    """A number for each rating: (row in the block << 32) | position of the source."""
    rows = np.repeat(np.arange(len(block.indptr) - 1), np.diff(block.indptr))
    pairs: Int64 = (rows << 32) | block.source_positions
    return pairs


def best_items(
    relevant: Relevant, users: Float32, packed_items: Any, k: int, block_size: int, start: int = 0
) -> Ranking:
    """The ``k`` best items for each user of a block to whom something is relevant, without those it has already.

    ``users`` are the rows of the block (m, rank); for ``packed_items``, which are those from position ``start`` on, and
    ``block_size`` see `daskals.blocks.candidates.best_of_all`.
    """
    queries = np.require(users[relevant.rows], np.float32, ["C", "A"])
    rated = within(relevant.rated, start, start + len(packed_items))
    ranking = best_of_all(queries, packed_items, k, block_size, rated)
    return ranking._replace(positions=ranking.positions + start)


def ndcg_sum(relevant: Relevant, rankings: Sequence[Ranking], k: int) -> float:
    """The sum of "ndcgAtK" over these users, from the `best_items` of one or several parts of the items.

    For the metric see `daskals.evaluation.ranking.ranking_scores`.
    """
    if not len(relevant.rows):
        return 0.0
    ranking = best_of_rankings(rankings, k) if len(rankings) > 1 else rankings[0]
    lengths = np.diff(ranking.indptr)
    found = (np.repeat(np.arange(len(lengths)), lengths) << 32) | ranking.positions
    wanted = (relevant.items.query << 32) | relevant.items.positions
    marks = mark(lengths, positions(wanted, found) >= 0, np.diff(relevant.items.indptr), k)
    return math.fsum(scores_of("ndcgAtK", marks))
