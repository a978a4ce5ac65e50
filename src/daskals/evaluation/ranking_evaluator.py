"""How good ranked lists are: Spark's evaluator, and what it takes to evaluate a model's recommendations.

Counterpart in Spark: ``RankingEvaluator`` in ``pyspark.ml.evaluation``.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from daskals.blocks.ranking import RANKING_METRICS
from daskals.evaluation.accessors import RankingEvaluatorAccessors
from daskals.evaluation.beyond_accuracy import CATALOGUE_METRICS
from daskals.evaluation.checks import distinct_columns, require_columns, require_lists, require_numbers
from daskals.evaluation.comparing import Comparison, compare
from daskals.evaluation.evaluators import Evaluator
from daskals.evaluation.naming import in_pandas, names_of, require_pairs
from daskals.evaluation.parts import mean_score, ranking_part
from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import Frame, of_each_partition
from daskals.io.readwrite import Savable
from daskals.params.converters import Check, one_of, to_float, to_int, to_string, whole_from
from daskals.params.keywords import keyword_only, keyword_only_like
from daskals.params.param import Param

if TYPE_CHECKING:
    from typing import Self


#: Names of all metrics; the first one is Spark's default.
METRICS = (*RANKING_METRICS, *CATALOGUE_METRICS)
#: Those that Spark has too.
SPARK_METRICS = ("meanAveragePrecision", "meanAveragePrecisionAtK", "precisionAtK", "ndcgAtK", "recallAtK")

FINITE = Check(math.isfinite, "a finite number")


class RankingEvaluator(Evaluator, Savable, RankingEvaluatorAccessors):
    """Compare ranked lists with the set of relevant items; ``pyspark.ml.evaluation.RankingEvaluator``.

    ``metricName`` is one of Spark's, "meanAveragePrecision" (default), "meanAveragePrecisionAtK", "precisionAtK",
    "ndcgAtK" or "recallAtK", or one that Spark lacks, "hitRateAtK", "meanReciprocalRankAtK", "catalogueCoverage" or
    "novelty". All but the first look at the first ``k`` (10) predictions. For the formulas see
    `daskals.evaluation.ranking`, and `daskals.evaluation.beyond_accuracy` for the last two, which are of all lists
    together and need the training pairs. Any other metric is the mean over all rows; one without relevant items counts
    0. Larger is better for each of them, as far as more novelty is what you want.

    A row is a query: ``predictionCol`` holds a list, best first, ``labelCol`` a list in any order. Cells are
    Python lists, tuples or arrays (object dtype), or Arrow lists, of integers, floats or strings (Spark takes
    ``array<double>`` alone). Dask makes strings of Python lists when it makes a frame: give the column an Arrow
    list dtype first, or set "dataframe.convert-string" to False in ``dask.config``.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"prediction": [[1, 6, 2], [4, 5]], "label": [[1, 2, 3], [7]]})
    >>> RankingEvaluator(metricName="precisionAtK", k=2).evaluate(frame)
    0.25

    Recommendations are evaluated as they come (see `evaluate`). Here user 1 had item 5 in training, so that item 6
    leads; and users 1 and 3 count, with 1 and 0:

    >>> recommended = pd.DataFrame({"user": [1, 2], "recommendations": [[{"item": 5}, {"item": 6}], []]})
    >>> train = pd.DataFrame({"user": [1, 2], "item": [5, 7]})
    >>> test = pd.DataFrame({"user": [1, 3], "item": [6, 6]})
    >>> RankingEvaluator(metricName="meanReciprocalRankAtK").evaluate(recommended, heldOut=test, exclude=train)
    0.5

    ``relevantFrom`` is for explicit ratings: the least held-out rating that makes an item relevant to its user. Rows
    below count as if they were not there. Without it each held-out row is relevant, and "two stars" is a hit.

    A saved evaluator with a metric that Spark lacks is one that Spark refuses to load; saving it warns of that.
    """

    _java_class = "org.apache.spark.ml.evaluation.RankingEvaluator"
    _own_params = ("relevantFrom",)

    metricName = Param("metricName", ", ".join(METRICS), to_string, METRICS[0], one_of(*METRICS))
    k = Param(
        "k",
        "number of predictions that the metrics ...AtK, catalogueCoverage and novelty look at",
        to_int,
        10,
        whole_from(1),
    )
    relevantFrom = Param(
        "relevantFrom",
        "least held-out rating of a relevant item; if it is not set, all are relevant",
        to_float,
        check=FINITE,
    )

    @keyword_only
    def __init__(
        self,
        *,
        predictionCol: str = "prediction",
        labelCol: str = "label",
        metricName: str = "meanAveragePrecision",
        k: int = 10,
        relevantFrom: float | None = None,
    ) -> None:
        del predictionCol, labelCol, metricName, k, relevantFrom  # in _input_kwargs, if passed
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
        exclude: Any = None,
        userCol: str | None = None,
        itemCol: str | None = None,
        ratingCol: str = "rating",
    ) -> float:
        """The metric of the rows of ``dataset``, or of what is recommended in it to the users of ``heldOut``.

        Parameters
        ----------
        dataset : pandas.DataFrame, dask.dataframe.DataFrame or another frame, as all others here
            With columns ``predictionCol`` and ``labelCol``. With ``heldOut``: what ``recommendForAllUsers`` returned,
            nested (a column of users, and ``recommendations``: lists of structs or of plain items) or flat (columns of
            users and items, and ``rank``).
        params : dict, optional
            Parameter -> value, for this call only.
        heldOut : frame, optional
            Pairs that the model has not seen, with the columns of users and items. Each row calls an item relevant to a
            user (see ``relevantFrom`` for low ratings).
        exclude : frame, optional
            Training pairs, with the columns of users and items. They are taken out of the lists before the first ``k``
            are looked at, so ask for more than ``k`` items, or recommend with ``exclude=`` too; and they are relevant
            to nobody, even if they are in ``heldOut``. Rows with a null are passed over. "catalogueCoverage" and
            "novelty" need it; with ``exclude`` and no ``heldOut`` they are those of all users of ``dataset``.
        userCol, itemCol : str, optional
            Columns of users and of items in all frames, the latter also the field of the recommendations. By default
            those that the model gave to ``dataset``: the column beside ``recommendations`` and the first field of the
            structs, or the columns beside ``rating`` and ``rank``. ("user" and "item", where there are others too, and
            where items are plain or in Python dicts.)
        ratingCol : str, default "rating"
            Column of ratings in ``heldOut``, for ``relevantFrom`` alone.

        With ``heldOut``, users without held-out rows are left out; users with held-out rows but without
        recommendations count 0. If any is a Dask frame, all are shuffled by user.

        The first call with ``heldOut`` and without ``exclude`` warns: a model puts what a user had in training on top,
        where it can never be a hit, and the better it knows its data, the worse it looks.

        Raises
        ------
        TypeError
            What is no frame; cells that are not lists; items or users that are numbers on one side and strings on the
            other.
        ValueError
            Absent columns; no rows, or none that counts; missing lists, items or users; users who occur twice in nested
            recommendations; a metric or ``relevantFrom`` without the frame that it needs.
        """
        evaluator = self._ready(params)
        metric = evaluator._metric(METRICS)
        evaluator._require_frames(metric, heldOut, exclude)
        if heldOut is None and exclude is None:
            return evaluator._evaluate(dataset)
        if exclude is None:
            warn_of_rated_items()
        dataset = in_pandas(dataset, "dataset")
        names = names_of(dataset, userCol, itemCol)
        frames = {"dataset": dataset, "heldOut": heldOut, "exclude": exclude}
        needed = {"heldOut": {"ratingCol": ratingCol}} if evaluator.isDefined("relevantFrom") else {}
        for role in ("heldOut", "exclude"):
            if frames[role] is not None:
                frames[role] = require_pairs(frames[role], names, role, needed.get(role, {}))
        counted = "heldOut" if heldOut is not None else "dataset"
        if needed:
            frames["heldOut"] = _rated_from(frames["heldOut"], ratingCol, evaluator.getRelevantFrom())
            counted = f"heldOut, of {ratingCol} {evaluator.getRelevantFrom()} and more,"
        present = {role: frame for role, frame in frames.items() if frame is not None}
        return compare(present, Comparison(names, tuple(present), (metric,), evaluator.getK(), counted))[metric]

    def _require_frames(self, metric: str, held_out: Any, exclude: Any) -> None:
        """``ValueError`` if a frame is missing that the metric, or a parameter, needs."""
        if metric in CATALOGUE_METRICS and exclude is None:
            raise ValueError(
                f"{metric} is measured by the training pairs: pass exclude=, a frame with their columns of users and "
                "items, and what recommendForAllUsers returned as dataset"
            )
        if exclude is not None and held_out is None and metric not in CATALOGUE_METRICS:
            raise ValueError(
                f"{metric} of recommendations needs heldOut=, the pairs that are relevant, beside exclude="
            )
        if held_out is None and self.isDefined("relevantFrom"):
            raise ValueError(
                f"relevantFrom={self.getRelevantFrom()} is about held-out ratings: pass heldOut=, or leave it out"
            )

    def _evaluate(self, dataset: Any) -> float:
        columns = {"predictionCol": self.getPredictionCol(), "labelCol": self.getLabelCol()}
        dataset = require_columns(dataset, columns)
        for role, column in columns.items():
            require_lists(dataset.dtypes[column], f"{role} {column!r}")
        score = self._metric(METRICS), self.getK()
        parts = of_each_partition(
            current_scheduler(), ranking_part, dataset[distinct_columns(columns)], columns, score, name="als-rankings"
        )
        return mean_score(parts, "dataset")

    def _save(self, directory: str) -> list[str]:
        warned = super()._save(directory)
        metric = self._metric(METRICS)
        if metric in METRICS and metric not in SPARK_METRICS:
            warned.append(
                f"Spark cannot load {self.uid}: it has no metric {metric!r}. Its metrics are {SPARK_METRICS}."
            )
        return warned


def _rated_from(held_out: Frame, column: str, least: float) -> Frame:
    """The rows of which the rating is not below ``least``; those without a rating are not among them."""
    require_numbers(held_out.dtypes[column], f"ratingCol {column!r} of heldOut")
    return held_out[(held_out[column] >= least).fillna(False)]


@functools.cache
def warn_of_rated_items() -> None:
    """Warn, once in a process, that items rated in training are in the lists."""
    warnings.warn(
        "heldOut= without exclude=: items that users rated in training are in the lists, where they can never be hits. "
        "That turns the comparison of models around: the better a model knows its data, the worse it looks. Recommend "
        "and evaluate without them: evaluate(model.recommendForAllUsers(k, exclude=train), heldOut=test, "
        "exclude=train). (An empty frame as exclude, if there are none.)",
        stacklevel=3,
    )
