"""How good predictions are: Spark's evaluators for ratings and for rankings, on pandas and Dask frames.

Both work alike. The frame is checked; one task per partition makes a few numbers of it; all tasks are computed
together by whatever Dask scheduler is in force; the numbers are merged here. Rows never come to the caller. What
is wrong inside a partition (a missing label, say) is counted there and raised here, with the count of all.

Counterparts in Spark: ``Evaluator``, ``RegressionEvaluator``, ``RankingEvaluator`` in ``pyspark.ml.evaluation``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pandas.api.types as dtypes
import pyarrow as pa

from daskals import metrics
from daskals.metrics import Lists, Moments
from daskals.params import (
    Param,
    Params,
    at_least,
    keyword_only,
    keyword_only_like,
    one_of,
    to_boolean,
    to_int,
    to_string,
)
from daskals.saving import Savable

if TYPE_CHECKING:
    from typing import Self

T = TypeVar("T")

#: What is wrong, and how many times: ``{"missing values in labelCol 'rating'": 3}``.
Faults = Counter[str]

REGRESSION_METRICS = ("rmse", "mse", "r2", "mae", "var")
RANKING_METRICS = tuple(metrics.RANKING_METRICS)
#: The list column that ``recommendForAllUsers`` makes.
RECOMMENDATIONS = "recommendations"


class Evaluator(Params):
    """What tuning needs of an evaluator: a number for a frame, and whether more of it is better."""

    predictionCol = Param("predictionCol", "column of predictions", to_string, default="prediction")
    labelCol = Param("labelCol", "column of true values", to_string, default="label")

    def __repr__(self) -> str:
        values = (f"{p.name}={self.getOrDefault(p)!r}" for p in self.params if self.isDefined(p))
        return f"{type(self).__name__}({', '.join(values)})"

    def evaluate(self, dataset: Any, params: Mapping[Param, Any] | None = None) -> float:
        """The metric of a pandas or Dask frame; ``params`` (parameter -> value) hold for this call only."""
        return self._ready(params)._evaluate(dataset)

    def isLargerBetter(self) -> bool:
        """Whether the model with the larger metric is the better one."""
        return True

    def _ready(self, params: Mapping[Param, Any] | None) -> Self:
        """A copy in which ``params`` are set and every value is in range."""
        if params is not None and not isinstance(params, Mapping):
            raise TypeError(f"params must be a map from parameters to values, got {type(params).__name__}")
        evaluator = self.copy(params)
        evaluator.validate()
        return evaluator

    def _evaluate(self, dataset: Any) -> float:
        raise NotImplementedError(f"{type(self).__name__} does not say how to evaluate")

    def _metric(self, choices: Iterable[str]) -> str:
        """The metric's documented name: any case of letters is accepted."""
        name = self.getOrDefault("metricName")
        return next((choice for choice in choices if choice.lower() == name.lower()), name)


class RegressionEvaluator(Evaluator, Savable):
    """Compare predicted numbers with true ones; ``pyspark.ml.evaluation.RegressionEvaluator``.

    ``metricName`` is "rmse" (default), "mse", "mae", "r2" or "var"; for the formulas, with weights, see
    `daskals.metrics.regression_metric`. ``throughOrigin`` concerns r2 alone. Columns are of any integer or
    floating dtype, nullable and Arrow ones included. There is one pass over the data.

    One missing prediction (NaN or NA: an unseen user or item) makes the metric NaN. To measure over the others,
    set ``coldStartStrategy="drop"`` in the model, or call ``dropna`` on its predictions.

    Raises ``ValueError`` for an absent column, a frame without rows, missing labels or weights, weights that are
    negative, all zero, or (r2 alone) add up to 1 or less; ``TypeError`` for what is no frame and for columns
    that are not numeric.

    >>> frame = pd.DataFrame({"prediction": [1.5, 1.0, 3.0], "label": [1, 2, 4]})
    >>> evaluator = RegressionEvaluator(metricName="mse")
    >>> evaluator.evaluate(frame)
    0.75
    >>> round(evaluator.evaluate(frame, {evaluator.metricName: "mae"}), 4)
    0.8333
    """

    _java_class = "org.apache.spark.ml.evaluation.RegressionEvaluator"

    metricName = Param("metricName", "rmse, mse, r2, mae or var", to_string, "rmse", one_of(*REGRESSION_METRICS))
    weightCol = Param("weightCol", "column of weights; all rows weigh 1 if it is not set", to_string)
    throughOrigin = Param("throughOrigin", "whether r2 is that of a fit through the origin", to_boolean, False)

    @keyword_only
    def __init__(
        self,
        *,
        predictionCol: str = "prediction",
        labelCol: str = "label",
        metricName: str = "rmse",
        weightCol: str | None = None,
        throughOrigin: bool = False,
    ) -> None:
        del predictionCol, labelCol, metricName, weightCol, throughOrigin  # in _input_kwargs, if passed
        super().__init__()
        self._set(**self._input_kwargs)

    @keyword_only_like(__init__)
    def setParams(self, **_: Any) -> Self:
        """Set parameters, by the keywords of the constructor, and return self."""
        return self._set(**self._input_kwargs)

    def isLargerBetter(self) -> bool:
        """True for r2 and var, False for the errors."""
        return self._metric(REGRESSION_METRICS) in ("r2", "var")

    def _evaluate(self, dataset: Any) -> float:
        columns = {"predictionCol": self.getPredictionCol(), "labelCol": self.getLabelCol()}
        if self.isDefined("weightCol") and self.getWeightCol():  # "" means none, as in Spark
            columns["weightCol"] = self.getWeightCol()
        _require_columns(dataset, columns)
        for role, column in columns.items():
            _require_numbers(dataset.dtypes[column], f"{role} {column!r}")
        parts = _per_partition(_regression_part, dataset[_distinct(columns)], columns)
        _raise_faults(faults for _, faults in parts)
        moments = metrics.merge_moments([part for part, _ in parts])
        _require_rows(moments.rows, "dataset")
        if moments.weight == 0:
            raise ValueError(f"All weights in weightCol {columns['weightCol']!r} are 0; one must be positive")
        return metrics.regression_metric(self._metric(REGRESSION_METRICS), moments, self.getThroughOrigin())


class RankingEvaluator(Evaluator, Savable):
    """Compare ranked lists with the set of relevant items; ``pyspark.ml.evaluation.RankingEvaluator``.

    ``metricName`` is "meanAveragePrecision" (default), "meanAveragePrecisionAtK", "precisionAtK", "ndcgAtK" or
    "recallAtK"; ``k`` (10) is the number of predictions that the latter four look at. For the formulas see
    `daskals.metrics.ranking_scores`. The metric is the mean over all rows; one without relevant items counts 0.

    A row is a query: ``predictionCol`` holds a list, best first, ``labelCol`` a list in any order. Cells are
    Python lists, tuples or arrays (object dtype), or Arrow lists, of integers, floats or strings (Spark takes
    ``array<double>`` alone). Dask makes strings of Python lists when it makes a frame: give the column an Arrow
    list dtype first, or set "dataframe.convert-string" to False in ``dask.config``.

    >>> frame = pd.DataFrame({"prediction": [[1, 6, 2], [4, 5]], "label": [[1, 2, 3], [7]]})
    >>> RankingEvaluator(metricName="precisionAtK", k=2).evaluate(frame)
    0.25

    Recommendations are evaluated as they come (see `evaluate`); here users 1 and 3 count, with 1/2 and 0:

    >>> recommended = pd.DataFrame({"user": [1, 2], "recommendations": [[{"item": 5, "rating": 4.5}], []]})
    >>> held_out = pd.DataFrame({"user": [1, 1, 3], "item": [5, 6, 6]})
    >>> RankingEvaluator(metricName="recallAtK").evaluate(recommended, heldOut=held_out)
    0.25
    """

    _java_class = "org.apache.spark.ml.evaluation.RankingEvaluator"

    metricName = Param(
        "metricName", ", ".join(RANKING_METRICS), to_string, RANKING_METRICS[0], one_of(*RANKING_METRICS)
    )
    k = Param("k", "number of predictions that the metrics ...AtK look at", to_int, 10, at_least(1))

    @keyword_only
    def __init__(
        self,
        *,
        predictionCol: str = "prediction",
        labelCol: str = "label",
        metricName: str = "meanAveragePrecision",
        k: int = 10,
    ) -> None:
        del predictionCol, labelCol, metricName, k  # in _input_kwargs, if passed
        super().__init__()
        self._set(**self._input_kwargs)

    @keyword_only_like(__init__)
    def setParams(self, **_: Any) -> Self:
        """Set parameters, by the keywords of the constructor, and return self."""
        return self._set(**self._input_kwargs)

    def evaluate(
        self,
        dataset: Any,
        params: Mapping[Param, Any] | None = None,
        *,
        heldOut: Any = None,
        userCol: str = "user",
        itemCol: str = "item",
    ) -> float:
        """The mean of the metric over the rows of ``dataset``, or over the users of ``heldOut``.

        Args:
            dataset: a pandas or Dask frame with columns ``predictionCol`` and ``labelCol``. With ``heldOut``:
                what ``recommendForAllUsers`` returned, a row per user, with columns ``userCol`` and
                ``recommendations``: lists of structs of which the field ``itemCol`` is used, or of plain items.
            params: parameter -> value, for this call only.
            heldOut: a pandas or Dask frame of ratings that the model has not seen, with columns ``userCol`` and
                ``itemCol``. Each row calls an item relevant to a user, so filter out low ratings first.
            userCol: column of users in both frames.
            itemCol: column of items in ``heldOut``, and field of the recommendations.

        With ``heldOut``, users without held-out rows are left out; users with held-out rows but without
        recommendations count 0. If either is a Dask frame, both are shuffled by user.

        Raises ``ValueError`` for absent columns, no rows, missing lists, items or users, and users who occur
        twice in the recommendations; ``TypeError`` for what is no frame, cells that are not lists, and items or
        users that are numbers on one side and strings on the other.
        """
        evaluator = self._ready(params)
        if heldOut is None:
            return evaluator._evaluate(dataset)
        return evaluator._evaluate_held_out(dataset, heldOut, userCol, itemCol)

    def _evaluate(self, dataset: Any) -> float:
        columns = {"predictionCol": self.getPredictionCol(), "labelCol": self.getLabelCol()}
        _require_columns(dataset, columns)
        for role, column in columns.items():
            _require_lists(dataset.dtypes[column], f"{role} {column!r}")
        score = self._metric(RANKING_METRICS), self.getK()
        parts = _per_partition(_ranking_part, dataset[_distinct(columns)], columns, score)
        return _mean_score(parts, "dataset")

    def _evaluate_held_out(self, dataset: Any, held_out: Any, user: str, item: str) -> float:
        _require_columns(dataset, {"userCol": user, "made by recommendForAllUsers": RECOMMENDATIONS})
        _require_columns(held_out, {"userCol": user, "itemCol": item}, "heldOut")
        _require_lists(dataset.dtypes[RECOMMENDATIONS], f"column {RECOMMENDATIONS!r}")
        pairs = _pair_by_user(dataset[[user, RECOMMENDATIONS]], held_out[[user, item]], user)
        score = self._metric(RANKING_METRICS), self.getK()
        return _mean_score(_per_partition(_held_out_part, pairs, user, item, score), "heldOut")


# ---- tasks: a partition in, a few numbers out --------------------------------------------------------------


def _regression_part(part: pd.DataFrame, columns: Mapping[str, str]) -> tuple[Moments, Faults]:
    """The moments of a partition's rows, and what is wrong with them."""
    values = {r: part[column].to_numpy(dtype="float64", na_value=np.nan) for r, column in columns.items()}
    faults: Faults = Counter()
    for role in columns.keys() - {"predictionCol"}:
        faults[f"missing values in {role} {columns[role]!r}"] = int(np.isnan(values[role]).sum())
    weight = values.get("weightCol")
    if weight is not None:
        faults[f"negative values in weightCol {columns['weightCol']!r}"] = int((weight < 0).sum())
    return metrics.regression_moments(values["predictionCol"], values["labelCol"], weight), faults


def _ranking_part(part: pd.DataFrame, columns: Mapping[str, str], score: tuple[str, int]) -> tuple[float, int, Faults]:
    """The sum of the scores of a partition's rows, their number, and what is wrong with them."""
    faults: Faults = Counter()
    lists = []
    for role, column in columns.items():
        what = f"{role} {column!r}"
        faults[f"missing lists in {what}"] = int(part[column].isna().sum())
        lists.append(_read(part[column], what, Lists.from_arrow))
    name, k = score
    return math.fsum(metrics.ranking_scores(name, lists[0], lists[1], k)), len(part), faults


def _held_out_part(
    parts: tuple[pd.DataFrame, pd.DataFrame], user: str, item: str, score: tuple[str, int]
) -> tuple[float, int, Faults]:
    """The same for users: their recommendations and their held-out rows."""
    recommended, held_out = parts
    faults: Faults = Counter()
    faults[f"missing values in userCol {user!r} of heldOut"] = int(held_out[user].isna().sum())
    faults[f"missing values in itemCol {item!r} of heldOut"] = int(held_out[item].isna().sum())
    faults[f"repeated values in userCol {user!r} of dataset"] = int(recommended[user].duplicated().sum())
    if faults.total():  # then nothing can be matched, and the score is not asked for
        return 0.0, len(held_out), faults
    number, users = pd.factorize(held_out[user])
    items = _read(held_out[item], f"itemCol {item!r} of heldOut", metrics.items_from_arrow)
    relevant = Lists(np.bincount(number, minlength=len(users)), items[np.argsort(number, kind="stable")])
    row = pd.Index(recommended[user]).get_indexer(pd.Index(users))
    predicted = _read(
        recommended[RECOMMENDATIONS],
        f"column {RECOMMENDATIONS!r}",
        # -1, no such user, becomes a missing list, which is an empty one
        lambda cells: Lists.from_arrow(cells.take(pa.array(row, mask=row < 0)), field=item),
    )
    name, k = score
    return math.fsum(metrics.ranking_scores(name, predicted, relevant, k)), len(users), faults


def _read(column: Any, what: str, convert: Callable[[Any], T]) -> T:
    """A column as one Arrow array, converted; errors say which column it is."""
    try:
        values = column.array if isinstance(column.dtype, pd.ArrowDtype) else column.to_numpy()
        cells = pa.array(values, from_pandas=True)
        return convert(cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells)
    except (TypeError, pa.ArrowInvalid) as error:
        raise TypeError(f"{what} cannot be read: {error}") from None
    except ValueError as error:
        raise ValueError(f"{what} cannot be read: {error}") from None


# ---- frames: partitions, and checks at the border ----------------------------------------------------------


def _per_partition(task: Callable[..., T], frame: Any, *args: Any) -> list[T]:
    """``task(partition, *args)`` of every partition, in one computation; a list is a list of partitions."""
    if isinstance(frame, pd.DataFrame):
        return [task(frame, *args)]
    partitions = frame if isinstance(frame, list) else frame.to_delayed()
    return list(dask.compute(*(dask.delayed(task)(each, *args) for each in partitions)))


def _pair_by_user(recommended: Any, held_out: Any, user: str) -> list[tuple[Any, Any]]:
    """Pairs of partitions that hold the same users."""
    # equal users of different dtypes would go to different partitions: -1 hashes differently as int32 and int64
    dtype = _common_dtype(recommended.dtypes[user], held_out.dtypes[user], user)
    frames = [recommended.astype({user: dtype}), held_out.astype({user: dtype})]
    if all(isinstance(frame, pd.DataFrame) for frame in frames):
        return [(frames[0], frames[1])]
    # tasks: p2p, the default under a client, could not be computed by another scheduler afterwards;
    # convert-string: a pandas column of lists would become one of strings
    with dask.config.set({"dataframe.shuffle.method": "tasks", "dataframe.convert-string": False}):
        frames = [dd.from_pandas(f, npartitions=1) if isinstance(f, pd.DataFrame) else f for f in frames]
        blocks = max(frame.npartitions for frame in frames)
        left, right = (frame.shuffle(user, npartitions=blocks).to_delayed() for frame in frames)
    return list(zip(left, right, strict=True))


def _common_dtype(left: Any, right: Any, user: str) -> Any:
    numeric = [dtypes.is_numeric_dtype(dtype) for dtype in (left, right)]
    if any(numeric) and not all(numeric):
        raise TypeError(f"userCol {user!r} is {left} in dataset and {right} in heldOut; convert one of them")
    if left == right or not any(numeric):
        return left
    return "Int64" if dtypes.is_integer_dtype(left) and dtypes.is_integer_dtype(right) else "Float64"


def _distinct(columns: Mapping[str, str]) -> list[str]:
    return list(dict.fromkeys(columns.values()))


def _require_columns(dataset: Any, columns: Mapping[str, str], name: str = "dataset") -> None:
    if not isinstance(dataset, pd.DataFrame | dd.DataFrame):
        raise TypeError(f"{name} must be a pandas or Dask DataFrame, got {type(dataset).__name__}")
    present = list(dataset.columns)
    for role, column in columns.items():
        if (times := present.count(column)) != 1:
            raise ValueError(
                f"{name} has {times or 'no'} columns {column!r} ({role}) and needs one; "
                f"its columns are {', '.join(map(str, present))}"
            )


def _require_numbers(dtype: Any, what: str) -> None:
    is_real = dtypes.is_numeric_dtype(dtype) and not dtypes.is_complex_dtype(dtype)
    if not is_real or dtypes.is_bool_dtype(dtype):
        raise TypeError(f"{what} must be numeric, its dtype is {dtype}; convert it with astype")


def _require_lists(dtype: Any, what: str) -> None:
    is_arrow_list = isinstance(dtype, pd.ArrowDtype) and pa.types.is_nested(dtype.pyarrow_dtype)
    if not is_arrow_list and not dtypes.is_object_dtype(dtype):
        raise TypeError(
            f"{what} must hold lists, its dtype is {dtype}. Dask makes strings of Python lists unless the column "
            "has an Arrow list dtype or 'dataframe.convert-string' is False in dask.config"
        )


def _require_rows(rows: int, name: str) -> None:
    if not rows:
        raise ValueError(f"{name} has no rows, so there is nothing to evaluate")


def _raise_faults(found: Iterable[Faults]) -> None:
    faults = sum(found, Faults())  # the sum keeps positive counts only
    if faults:
        problems = ", ".join(f"{count} {what}" for what, count in sorted(faults.items()))
        raise ValueError(f"The frame cannot be evaluated, it has {problems}; correct or drop these rows")


def _mean_score(parts: list[tuple[float, int, Faults]], name: str) -> float:
    _raise_faults(faults for _, _, faults in parts)
    rows = sum(count for _, count, _ in parts)
    _require_rows(rows, name)
    return math.fsum(total for total, _, _ in parts) / rows
