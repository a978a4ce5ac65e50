"""How good predictions are: Spark's evaluators for ratings and for rankings, on pandas and Dask frames.

Both work alike. The frame is checked; one task per partition makes a few numbers of it (`daskals.evaluation.parts`);
all tasks are computed together by the Dask scheduler in force; the numbers are merged here. Rows never come to the
caller.

Counterparts in Spark: ``Evaluator``, ``RegressionEvaluator``, ``RankingEvaluator`` in ``pyspark.ml.evaluation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from daskals.evaluation.checks import (
    common_dtype,
    distinct_columns,
    raise_faults,
    require_columns,
    require_lists,
    require_numbers,
    require_rows,
)
from daskals.evaluation.parts import RECOMMENDATIONS, held_out_part, mean_score, ranking_part, regression_part
from daskals.evaluation.ranking import RANKING_METRICS
from daskals.evaluation.regression import REGRESSION_METRICS, merge_moments, regression_metric
from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import of_each_pair_of_partitions, of_each_partition
from daskals.io.readwrite import Savable
from daskals.params.converters import one_of, to_boolean, to_int, to_string, whole_from
from daskals.params.declared import Params
from daskals.params.keywords import keyword_only, keyword_only_like
from daskals.params.param import Param

if TYPE_CHECKING:
    from typing import Self


class Evaluator(Params):
    """What tuning needs of an evaluator: a number for a frame, and whether more of it is better."""

    predictionCol = Param("predictionCol", "column of predictions", to_string, default="prediction")
    labelCol = Param("labelCol", "column of true values", to_string, default="label")

    def __repr__(self) -> str:
        values = (f"{p.name}={self.getOrDefault(p)!r}" for p in self.params if self.isDefined(p))
        return f"{type(self).__name__}({', '.join(values)})"

    def evaluate(self, dataset: Any, params: Mapping[Param, Any] | None = None) -> float:
        """The metric of a frame of any kind; ``params`` (parameter -> value) hold for this call only."""
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
    `daskals.evaluation.regression`. ``throughOrigin`` concerns r2 alone. Columns are of any integer or
    floating dtype, nullable and Arrow ones included. There is one pass over the data.

    One missing prediction (NaN or NA: an unseen user or item) makes the metric NaN. To measure over the others,
    set ``coldStartStrategy="drop"`` in the model, or call ``dropna`` on its predictions.

    Raises ``ValueError`` for an absent column, a frame without rows, missing labels or weights, weights that are
    negative, all zero, or (r2 alone) add up to 1 or less; ``TypeError`` for what is no frame and for columns
    that are not numeric.

    >>> import pandas as pd
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
        dataset = require_columns(dataset, columns)
        for role, column in columns.items():
            require_numbers(dataset.dtypes[column], f"{role} {column!r}")
        parts = of_each_partition(
            current_scheduler(), regression_part, dataset[distinct_columns(columns)], columns, name="als-moments"
        )
        raise_faults(faults for _, faults in parts)
        moments = merge_moments([part for part, _ in parts])
        require_rows(moments.rows, "dataset")
        if moments.weight == 0:
            raise ValueError(f"All weights in weightCol {columns['weightCol']!r} are 0; one must be positive")
        return regression_metric(self._metric(REGRESSION_METRICS), moments, self.getThroughOrigin())


class RankingEvaluator(Evaluator, Savable):
    """Compare ranked lists with the set of relevant items; ``pyspark.ml.evaluation.RankingEvaluator``.

    ``metricName`` is "meanAveragePrecision" (default), "meanAveragePrecisionAtK", "precisionAtK", "ndcgAtK" or
    "recallAtK"; ``k`` (10) is the number of predictions that the latter four look at. For the formulas see
    `daskals.evaluation.ranking`. The metric is the mean over all rows; one without relevant items counts 0.

    A row is a query: ``predictionCol`` holds a list, best first, ``labelCol`` a list in any order. Cells are
    Python lists, tuples or arrays (object dtype), or Arrow lists, of integers, floats or strings (Spark takes
    ``array<double>`` alone). Dask makes strings of Python lists when it makes a frame: give the column an Arrow
    list dtype first, or set "dataframe.convert-string" to False in ``dask.config``.

    >>> import pandas as pd
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
    k = Param("k", "number of predictions that the metrics ...AtK look at", to_int, 10, whole_from(1))

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

        Parameters
        ----------
        dataset : pandas.DataFrame or dask.dataframe.DataFrame
            With columns ``predictionCol`` and ``labelCol``. With ``heldOut``: what ``recommendForAllUsers`` returned,
            a row per user, with columns ``userCol`` and ``recommendations``: lists of structs of which the field
            ``itemCol`` is used, or of plain items.
        params : dict, optional
            Parameter -> value, for this call only.
        heldOut : pandas.DataFrame or dask.dataframe.DataFrame, optional
            Ratings that the model has not seen, with columns ``userCol`` and ``itemCol``. Each row calls an item
            relevant to a user, so filter out low ratings first.
        userCol : str, default "user"
            Column of users in both frames.
        itemCol : str, default "item"
            Column of items in ``heldOut``, and field of the recommendations.

        With ``heldOut``, users without held-out rows are left out; users with held-out rows but without
        recommendations count 0. If either is a Dask frame, both are shuffled by user.

        Raises
        ------
        TypeError
            What is no frame; cells that are not lists; items or users that are numbers on one side and strings on the
            other.
        ValueError
            Absent columns; no rows; missing lists, items or users; users who occur twice in the recommendations.
        """
        evaluator = self._ready(params)
        if heldOut is None:
            return evaluator._evaluate(dataset)
        return evaluator._evaluate_held_out(dataset, heldOut, userCol, itemCol)

    def _evaluate(self, dataset: Any) -> float:
        columns = {"predictionCol": self.getPredictionCol(), "labelCol": self.getLabelCol()}
        dataset = require_columns(dataset, columns)
        for role, column in columns.items():
            require_lists(dataset.dtypes[column], f"{role} {column!r}")
        score = self._metric(RANKING_METRICS), self.getK()
        parts = of_each_partition(
            current_scheduler(), ranking_part, dataset[distinct_columns(columns)], columns, score, name="als-rankings"
        )
        return mean_score(parts, "dataset")

    def _evaluate_held_out(self, dataset: Any, held_out: Any, user: str, item: str) -> float:
        dataset = require_columns(dataset, {"userCol": user, "made by recommendForAllUsers": RECOMMENDATIONS})
        held_out = require_columns(held_out, {"userCol": user, "itemCol": item}, "heldOut")
        require_lists(dataset.dtypes[RECOMMENDATIONS], f"column {RECOMMENDATIONS!r}")
        dtype = common_dtype(dataset.dtypes[user], held_out.dtypes[user], user)
        recommended = dataset[[user, RECOMMENDATIONS]].astype({user: dtype})
        relevant = held_out[[user, item]].astype({user: dtype})
        score = self._metric(RANKING_METRICS), self.getK()
        parts = of_each_pair_of_partitions(
            current_scheduler(), held_out_part, recommended, relevant, user, item, score, name="als-held-out"
        )
        return mean_score(parts, "heldOut")
