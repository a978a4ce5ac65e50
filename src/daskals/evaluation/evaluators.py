"""How good predicted ratings are, and what all evaluators have in common; on pandas and Dask frames.

Evaluators work alike. The frame is checked; one task per partition makes a few numbers of it
(`daskals.evaluation.parts`); all tasks are computed together by the Dask scheduler in force; the numbers are merged.
Rows never come to the caller.

Counterparts in Spark: ``Evaluator`` and ``RegressionEvaluator`` in ``pyspark.ml.evaluation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from daskals.evaluation.accessors import EvaluatorAccessors, RegressionEvaluatorAccessors
from daskals.evaluation.checks import distinct_columns, raise_faults, require_columns, require_numbers, require_rows
from daskals.evaluation.parts import regression_part
from daskals.evaluation.regression import REGRESSION_METRICS, merge_moments, regression_metric
from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import of_each_partition
from daskals.io.readwrite import Savable
from daskals.params.converters import one_of, to_boolean, to_string
from daskals.params.declared import Params
from daskals.params.keywords import keyword_only, keyword_only_like
from daskals.params.param import Param

if TYPE_CHECKING:
    from typing import Self


class Evaluator(Params, EvaluatorAccessors):
    """What tuning needs of an evaluator: a number for a frame, and whether more of it is better."""

    predictionCol = Param("predictionCol", "column of predictions", to_string, default="prediction")
    labelCol = Param("labelCol", "column of true values", to_string, default="label")

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


class RegressionEvaluator(Evaluator, Savable, RegressionEvaluatorAccessors):
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
