"""Metrics of ranked lists, once it is known which of their items are relevant.

Which those are is found where the lists are: among ids (`daskals.evaluation.ranking`), or among positions
(`daskals.blocks.held_out`). All lists are laid end to end::

    predicted   [7 2 9] [4 1]      of two queries, to whom [2 9 5] and [8] are relevant
    hits         0 1 1   0 0
    position     0 1 2   0 1
    hits so far  0 1 2   0 0
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from daskals.kernels.types import Bools, Float64, Int64


class Marks(NamedTuple):
    """What became of the first k predicted items, all queries end to end."""

    query: Int64
    position: Int64  #: in the query's list, from 0
    hit: Int64  #: 1 where the item is relevant, else 0
    hits_so_far: Int64  #: in the same query, this one included
    relevant: Int64  #: shape (queries,): number of different relevant items
    k: int

    def per_query(self, values: npt.NDArray[Any]) -> Float64:
        """Sums, shape (queries,)."""
        return np.bincount(self.query, weights=values, minlength=len(self.relevant)).astype(np.float64)


def mark(lengths: Int64, hit: Bools, relevant: Int64, k: int) -> Marks:
    """The marks of lists of these lengths, shape (queries,), none of which is longer than ``k``.

    ``hit``, shape (lengths.sum(),), tells which items are relevant to their query; ``relevant``, shape (queries,), how
    many different items are relevant to each.
    """
    starts = np.cumsum(lengths) - lengths
    query = np.repeat(np.arange(len(lengths)), lengths)
    running = np.concatenate([[0], np.cumsum(hit)])
    hits_so_far = running[1:] - running[starts[query]]
    return Marks(query, np.arange(len(hit)) - starts[query], hit.astype(np.int64), hits_so_far, relevant, k)


def scores_of(name: str, marks: Marks) -> Float64:
    """The metric of each query, shape (queries,); 0 where nothing is relevant. For names and formulas see
    `daskals.evaluation.ranking.ranking_scores`.
    """
    total, best = _FORMULAS[name](marks)
    scores = np.zeros(len(total))
    np.divide(total, best, out=scores, where=marks.relevant > 0)
    return scores


def _precision_sum(marks: Marks) -> tuple[Float64, Any]:
    precision = marks.hit * marks.hits_so_far / (marks.position + 1)
    return marks.per_query(precision), np.minimum(marks.relevant, marks.k)


def _hits_of_k(marks: Marks) -> tuple[Float64, Any]:
    return marks.per_query(marks.hit), marks.k


def _hits_of_relevant(marks: Marks) -> tuple[Float64, Any]:
    return marks.per_query(marks.hit), marks.relevant


def _any_hit(marks: Marks) -> tuple[Float64, Any]:
    return marks.per_query(marks.hit * (marks.hits_so_far == 1)), 1


def _first_hit(marks: Marks) -> tuple[Float64, Any]:
    return marks.per_query(marks.hit * (marks.hits_so_far == 1) / (marks.position + 1)), 1


def _gain(marks: Marks) -> tuple[Float64, Any]:
    reachable = np.minimum(marks.relevant, marks.k)
    gains = 1 / np.log(np.arange(reachable.max(initial=0)) + 2)
    best = np.concatenate([[0.0], np.cumsum(gains)])  # of 0, 1, 2, ... relevant items, all at the top
    return marks.per_query(marks.hit / np.log(marks.position + 2)), best[reachable]


#: Each gives a sum per query, and what it is divided by.
_FORMULAS: dict[str, Callable[[Marks], tuple[Float64, Any]]] = {
    "meanAveragePrecision": _precision_sum,
    "meanAveragePrecisionAtK": _precision_sum,
    "precisionAtK": _hits_of_k,
    "ndcgAtK": _gain,
    "recallAtK": _hits_of_relevant,
    "hitRateAtK": _any_hit,
    "meanReciprocalRankAtK": _first_hit,
}

#: Names of the metrics of a query; the first one is Spark's default.
RANKING_METRICS = tuple(_FORMULAS)
