"""Metrics as functions of arrays: no Dask, no column names.

**Regression.** A part of the data is summed up in ten numbers (`Moments`), parts are merged, and a metric is
read off the merged numbers. So each row is looked at once, and what travels is tiny. Scatter (the sum of squares
about the mean) is kept instead of plain sums of squares: with labels near 1e8 the difference of two plain sums
of squares has no correct digit left.

**Ranking.** All queries of a part are laid end to end (`Lists`) and scored together: one pass marks which
predicted items are relevant, and every metric is a sum of the marks' values per query::

    predicted   [7 2 9] [4 1]      lengths 3 2, values 7 2 9 4 1
    relevant    [2 9 5] [8]        hits              0 1 1 0 0
    position                                         0 1 2 0 1
    hits so far                                      0 1 2 0 0

Counterparts in Spark: ``mllib.evaluation.RegressionMetrics`` and ``RankingMetrics``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


# ---- regression ------------------------------------------------------------------------------------------


class Moments(NamedTuple):
    """What is kept of rows (prediction p, label y, weight w). Means and sums are weighted; the error is y - p."""

    rows: int  #: number of rows, those of weight 0 included
    weight: float = 0.0  #: sum of w
    weight_squares: float = 0.0  #: sum of w^2
    label_mean: float = 0.0
    label_scatter: float = 0.0  #: sum of w (y - mean y)^2
    prediction_mean: float = 0.0
    prediction_scatter: float = 0.0  #: sum of w (p - mean p)^2
    error_sum: float = 0.0  #: sum of w (y - p)
    error_squares: float = 0.0  #: sum of w (y - p)^2
    error_abs: float = 0.0  #: sum of w |y - p|


def regression_moments(prediction: Float64, label: Float64, weight: Float64 | None = None) -> Moments:
    """Sum up rows, given as arrays of one length; ``weight`` None means 1 for each.

    Rows of weight 0 have no influence, not even if they hold a NaN (as in Spark's summarizer).

    >>> float(regression_moments(np.array([1.5, 1.0, 3.0]), np.array([1.0, 2.0, 4.0])).error_squares)
    2.25
    """
    rows = len(label)
    w = np.ones(rows) if weight is None else weight
    used = w != 0
    y, p, w = label[used], prediction[used], w[used]
    if not len(w):
        return Moments(rows)
    with np.errstate(all="ignore"):  # NaN and infinity are for the caller to see, in the metric
        e = y - p
        scatters = *_mean_and_scatter(w, y), *_mean_and_scatter(w, p)
        return Moments(rows, w.sum(), w @ w, *scatters, w @ e, w @ e**2, w @ np.abs(e))


def merge_moments(parts: Sequence[Moments]) -> Moments:
    """The moments of the rows of all parts, after Chan, Golub and LeVeque (1979), for any number of parts.

    Scatter about the common mean is the parts' own scatter plus the scatter of their means; nothing large is
    subtracted from anything large.
    """
    rows = sum(part.rows for part in parts)
    parts = [part for part in parts if part.weight != 0]
    if not parts:
        return Moments(rows)
    m: Any = Moments(*np.array(parts, dtype=np.float64).T)  # an array per field, an element per part
    with np.errstate(all="ignore"):
        label = _mean_and_scatter(m.weight, m.label_mean, m.label_scatter)
        prediction = _mean_and_scatter(m.weight, m.prediction_mean, m.prediction_scatter)
        errors = m.error_sum.sum(), m.error_squares.sum(), m.error_abs.sum()
        return Moments(rows, m.weight.sum(), m.weight_squares.sum(), *label, *prediction, *errors)


def _mean_and_scatter(weight: Float64, value: Float64, inner: Any = 0.0) -> tuple[float, float]:
    """Of rows, or of parts with a mean and an ``inner`` scatter each."""
    offset = value - value[0]  # small numbers to add up, where the values themselves may be near 1e8
    shift = weight @ offset / weight.sum()
    return value[0] + shift, np.sum(inner) + weight @ (offset - shift) ** 2


def regression_metric(name: str, moments: Moments, through_origin: bool = False) -> float:
    """One of rmse, mse, mae, r2, var; the sum of weights must be positive.

    ============  ===========================================================================
    mse, rmse     sum w (y - p)^2 / W, where W = sum w, and its square root
    mae           sum w abs(y - p) / W
    var           sum w (p - mean y)^2 / W
    r2            1 - sum w (y - p)^2 / SStot
    SStot         sum w (y - mean y)^2 (W - 1) / (W - sum w^2 / W): Spark multiplies the
                  unbiased variance by W - 1. Where all weights are 1 the two factors cancel
    SStot         sum w y^2 for a regression through the origin
    ============  ===========================================================================

    Raises ``ValueError`` for r2 with weights that do not add up to more than 1: SStot would not be positive, and
    r2 would be above 1 for predictions that are wrong.
    """
    m, total = moments, np.float64(moments.weight)
    with np.errstate(all="ignore"):  # r2 of constant labels is -inf or NaN, as in Spark
        if name == "mse":
            return float(m.error_squares / total)
        if name == "rmse":
            return float(np.sqrt(m.error_squares / total))
        if name == "mae":
            return float(m.error_abs / total)
        if name == "var":
            return float(m.prediction_scatter / total + (m.error_sum / total) ** 2)
        if name == "r2":
            return float(1 - m.error_squares / _total_squares(moments, through_origin))
    raise ValueError(f"There is no metric {name!r}; the metrics are rmse, mse, mae, r2, var")


def _total_squares(moments: Moments, through_origin: bool) -> np.float64:
    total = moments.weight
    if through_origin:
        return np.float64(moments.label_scatter + total * moments.label_mean**2)
    unbiased = total - moments.weight_squares / total
    if unbiased <= 0:  # a single row: no variance to speak of
        return np.float64(0)
    if total <= 1:
        raise ValueError(
            "r2 as Spark defines it has (sum of weights - 1) in a denominator, so the weights must add up to more "
            f"than 1; they add up to {total:g}. Multiply them by a constant: no other metric minds"
        )
    return np.float64(moments.label_scatter * ((total - 1) / unbiased))


# ---- ranking ---------------------------------------------------------------------------------------------


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
        return Lists(np.minimum(self.lengths, k), self.values[self.position < k])

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
    """Items as numbers or as str objects; ``TypeError`` for others, ``ValueError`` for missing ones."""
    if items.null_count:
        raise ValueError(f"{items.null_count} items are missing")
    if pa.types.is_null(items.type):
        return np.empty(0)
    if not _is_any(items.type, "integer", "floating", "string", "large_string"):
        raise TypeError(f"items must be numbers or strings, got {items.type}")
    return np.asarray(items.to_numpy(zero_copy_only=False))


def _is_any(kind: Any, *names: str) -> bool:
    return any(getattr(pa.types, f"is_{name}")(kind) for name in names)


class _Marks(NamedTuple):
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


def ranking_scores(name: str, predicted: Lists, relevant: Lists, k: int) -> Float64:
    """The metric of each query, shape (queries,); 0 where nothing is relevant.

    With L the set of relevant items and hit_i whether the i-th prediction (from 1) is in L, for i up to k:

    =======================  ==============================================================
    meanAveragePrecisionAtK  sum hit_i (hits up to i) / i, divided by min(size of L, k)
    meanAveragePrecision     the same for all i, divided by the size of L
    precisionAtK             sum hit_i / k, also where there are fewer than k predictions
    recallAtK                sum hit_i / (size of L)
    ndcgAtK                  sum hit_i / log(1 + i), divided by what the best order would give
    =======================  ==============================================================

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
    marks = _mark(predicted, relevant, k)
    total, best = RANKING_METRICS[name](marks)
    scores = np.zeros(len(total))
    np.divide(total, best, out=scores, where=marks.relevant > 0)
    return scores


def _mark(predicted: Lists, relevant: Lists, k: int) -> _Marks:
    sides = {"predicted": predicted.values, "relevant": relevant.values}
    kinds = {side: "strings" if v.dtype.kind == "O" else "numbers" for side, v in sides.items() if len(v)}
    if len(set(kinds.values())) > 1:
        raise TypeError(" and ".join(f"{side} items are {kind}" for side, kind in kinds.items()) + "; convert one")
    # 1. items become codes, and (query, item) becomes one number, so that all sets are compared in one go
    predicted = predicted.head(k)
    items, codes = np.unique(np.concatenate([predicted.values, relevant.values]), return_inverse=True)
    query, width = predicted.query, max(len(items), 1)
    pairs = query * width + codes[: len(query)]
    wanted = np.unique(relevant.query * width + codes[len(query) :])  # a list may name an item twice
    # 2. hits, and their running number in the query
    hit = np.isin(pairs, wanted).astype(np.int64)
    running = np.concatenate([[0], np.cumsum(hit)])
    hits_so_far = running[1:] - running[predicted.starts[query]]
    sizes = np.bincount(wanted // width, minlength=len(relevant.lengths))
    return _Marks(query, predicted.position, hit, hits_so_far, sizes, k)


def _precision_sum(marks: _Marks) -> tuple[Float64, Any]:
    precision = marks.hit * marks.hits_so_far / (marks.position + 1)
    return marks.per_query(precision), np.minimum(marks.relevant, marks.k)


def _hits_of_k(marks: _Marks) -> tuple[Float64, Any]:
    return marks.per_query(marks.hit), marks.k


def _hits_of_relevant(marks: _Marks) -> tuple[Float64, Any]:
    return marks.per_query(marks.hit), marks.relevant


def _gain(marks: _Marks) -> tuple[Float64, Any]:
    reachable = np.minimum(marks.relevant, marks.k)
    gains = 1 / np.log(np.arange(reachable.max(initial=0)) + 2)
    best = np.concatenate([[0.0], np.cumsum(gains)])  # of 0, 1, 2, ... relevant items, all at the top
    return marks.per_query(marks.hit / np.log(marks.position + 2)), best[reachable]


#: Each gives a sum per query, and what it is divided by.
RANKING_METRICS: dict[str, Callable[[_Marks], tuple[Float64, Any]]] = {
    "meanAveragePrecision": _precision_sum,
    "meanAveragePrecisionAtK": _precision_sum,
    "precisionAtK": _hits_of_k,
    "ndcgAtK": _gain,
    "recallAtK": _hits_of_relevant,
}
