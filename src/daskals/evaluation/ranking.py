"""Metrics of ranked lists, as functions of arrays.

All queries of a part are laid end to end (`Lists`) and scored together: one pass marks which predicted items are
relevant, and every metric is a sum of the marks' values per query::

    predicted   [7 2 9] [4 1]      lengths 3 2, values 7 2 9 4 1
    relevant    [2 9 5] [8]        hits              0 1 1 0 0
    position                                         0 1 2 0 1
    hits so far                                      0 1 2 0 0

Counterpart in Spark: ``mllib.evaluation.RankingMetrics``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from daskals.blocks.ranking import RANKING_METRICS, Marks, mark, scores_of

#: float64 holds all whole numbers up to this one.
WHOLE_FLOAT64 = 2**53

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


class Lists(NamedTuple):
    """One list per query, laid end to end."""

    lengths: Int64  #: shape (queries,)
    values: npt.NDArray[Any]  #: shape (lengths.sum(),): numbers, or str objects

    @property
    def query(self) -> Int64:
        """To which query each value belongs: shape of ``values``."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @property
    def starts(self) -> Int64:
        """Where each query's list begins: shape (queries,)."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def position(self) -> Int64:
        """Where each value stands in its own list, from 0: shape of ``values``."""
        return np.arange(len(self.values)) - np.repeat(self.starts, self.lengths)

    def head(self, k: int) -> Lists:
        """The first ``k`` values of each list."""
        return self._only(self.position < k)

    def without(self, others: Lists) -> Lists:
        """What is in no list of the same query among ``others``, in the same order; `pair_codes` tells its errors."""
        if not len(others.values):
            return self
        (mine, theirs), _ = pair_codes(predicted=self, excluded=others)
        # np.isin takes seconds for a million of such numbers: its hash does not scatter them
        return self._only(~pd.Index(mine).isin(theirs))

    def of_queries(self, kept: npt.NDArray[np.bool_]) -> Lists:
        """The lists of some of the queries, which ``kept``, of shape (queries,), tells."""
        return Lists(self.lengths[kept], self.values[np.repeat(kept, self.lengths)])

    def _only(self, kept: npt.NDArray[np.bool_]) -> Lists:
        lengths = np.bincount(self.query[kept], minlength=len(self.lengths)).astype(np.int64)
        return Lists(lengths, self.values[kept])

    @classmethod
    def grouped(cls, query: Int64, values: npt.NDArray[Any], queries: int) -> Lists:
        """Of values in any order, each with the number of its query; in the order in which they stand."""
        return cls(np.bincount(query, minlength=queries), values[np.argsort(query, kind="stable")])

    @classmethod
    def from_arrow(cls, cells: Any, field: str | None = None) -> Lists:
        """From an Arrow array of lists of items, or of structs of which ``field`` is the item.

        A missing list is an empty one. Raises ``TypeError`` for what are no lists of numbers or of strings, and
        ``ValueError`` for missing items and for structs without the field.
        """
        if pa.types.is_null(cells.type):
            return cls(np.zeros(len(cells), np.int64), np.empty(0))
        if not _is_any(cells.type, "list", "large_list", "fixed_size_list"):
            raise TypeError(f"expected lists, got {cells.type}")
        items = pc.list_flatten(cells)
        if field is not None and pa.types.is_struct(items.type):
            fields = [each.name for each in items.type]
            if field not in fields:
                raise ValueError(f"the structs have no field {field!r}; their fields are {', '.join(fields)}")
            items = pc.struct_field(items, field)
        lengths = pc.list_value_length(cells).fill_null(0)
        return cls(np.asarray(lengths, dtype=np.int64), items_from_arrow(items))


def items_from_arrow(items: Any) -> npt.NDArray[Any]:
    """Items as numbers, dates or str objects; ``TypeError`` for others, ``ValueError`` for missing ones."""
    if items.null_count:
        raise ValueError(f"{items.null_count} items are missing")
    if pa.types.is_null(items.type):
        return np.empty(0)
    if not _is_any(items.type, "integer", "floating", "string", "large_string", "timestamp"):
        raise TypeError(f"items must be numbers, strings or dates, got {items.type}")
    return np.asarray(items.to_numpy(zero_copy_only=False))


def _is_any(kind: Any, *names: str) -> bool:
    return any(getattr(pa.types, f"is_{name}")(kind) for name in names)


def coded(*arrays: npt.NDArray[Any]) -> tuple[Int64, npt.NDArray[Any]]:
    """A code for each value of some arrays, laid end to end, and the distinct values that the codes number.

    Equal integers have one code whatever their types. NumPy would make floats of int64 beside uint64, or beside the
    floats of an empty array, and so round ids beyond 2^53.
    """
    filled = [each for each in arrays if len(each)] or [np.empty(0)]
    whole = np.concatenate(filled)
    if whole.dtype.kind == "f" and any(_beyond_floats(each) for each in filled):
        whole = np.concatenate([each.astype(object) for each in filled])
    codes, values = pd.factorize(whole)
    return codes, values


def _beyond_floats(values: npt.NDArray[Any]) -> bool:
    return values.dtype.kind in "iu" and max(int(values.max()), -int(values.min())) > WHOLE_FLOAT64


def pair_codes(**sides: Lists) -> tuple[list[Int64], int]:
    """Each value, together with its query, as one number that can be compared between sides; and a width.

    The number is query * width + (code of the item). Raises ``TypeError`` where one side holds strings and another
    one numbers.
    """
    called = {"O": "strings", "M": "dates"}
    kinds = {side: called.get(v.values.dtype.kind, "numbers") for side, v in sides.items() if len(v.values)}
    if len(set(kinds.values())) > 1:
        raise TypeError(" and ".join(f"{side} items are {kind}" for side, kind in kinds.items()) + "; convert one")
    codes, items = coded(*(lists.values for lists in sides.values()))
    width = max(len(items), 1)
    cuts = np.cumsum([len(lists.values) for lists in sides.values()])[:-1]
    of_sides = zip(sides.values(), np.split(codes, cuts), strict=True)
    return [lists.query * width + some for lists, some in of_sides], width


def ranking_scores(name: str, predicted: Lists, relevant: Lists, k: int) -> Float64:
    """The metric of each query, shape (queries,); 0 where nothing is relevant.

    With L the set of relevant items and hit_i whether the i-th prediction (from 1) is in L, for i up to k:

    =======================  ==============================================================
    meanAveragePrecisionAtK  sum hit_i (hits up to i) / i, divided by min(size of L, k)
    meanAveragePrecision     the same for all i, divided by the size of L
    precisionAtK             sum hit_i / k, also where there are fewer than k predictions
    recallAtK                sum hit_i / (size of L)
    hitRateAtK               1 if there is any hit, else 0
    meanReciprocalRankAtK    1 / i of the first hit; 0 where there is none
    ndcgAtK                  sum hit_i / log(1 + i), divided by what the best order would give
    =======================  ==============================================================

    Those that Spark lacks are the hit rate and the reciprocal rank (Voorhees, TREC-8, 1999), of the first k items.

    Raises ``TypeError`` where one side holds strings and the other numbers.

    >>> predicted = Lists(np.array([3, 2]), np.array([7, 2, 9, 4, 1]))
    >>> relevant = Lists(np.array([3, 1]), np.array([2, 9, 5, 8]))
    >>> ranking_scores("precisionAtK", predicted, relevant, k=2)
    array([0.5, 0. ])
    """
    if name not in RANKING_METRICS:
        raise ValueError(f"There is no metric {name!r}; the metrics are {', '.join(RANKING_METRICS)}")
    if name == "meanAveragePrecision":
        k = max(1, len(predicted.values) + len(relevant.values))  # longer than any list
    return scores_of(name, _mark(predicted, relevant, k))


def _mark(predicted: Lists, relevant: Lists, k: int) -> Marks:
    # (query, item) becomes one number, so that all sets are compared in one go
    predicted = predicted.head(k)
    (pairs, wanted), width = pair_codes(predicted=predicted, relevant=relevant)
    wanted = np.unique(wanted)  # a list may name an item twice
    sizes = np.bincount(wanted // width, minlength=len(relevant.lengths))
    return mark(predicted.lengths, np.isin(pairs, wanted), sizes, k)
