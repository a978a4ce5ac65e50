"""Choosing parameters: fit a grid of them on some of the rows, and see which model predicts the others best.

::

    fold 0   | validate |  train   |  train   |      all maps of a fold share its ratings, which are shuffled once
    fold 1   |  train   | validate |  train   |      (`ALS.fitMultiple`); parallelism of them are fitted at a time
    fold 2   |  train   |  train   | validate |
                                       ...           and the best map is fitted once more, to all rows

Which fold a row is in is drawn by a generator for each partition, from the seed and the number of the partition:
the same on every scheduler, lazily, where the rows are. A pandas frame is one partition. The rows of a partition
must come in the same order each time they are computed, since training and validation rows are computed apart:
``persist`` a frame of which that is not true, a shuffled one for instance.

Counterparts in Spark: ``ParamGridBuilder``, ``CrossValidator``, ``TrainValidationSplit`` and their models in
``pyspark.ml.tuning``.
"""

from __future__ import annotations

import contextvars
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

import numpy as np

from daskals.io.frames import Frame, Rule
from daskals.params.converters import at_least, to_boolean, to_int
from daskals.params.declared import Param, ParamMap, keyword_only, keyword_only_like, read_param_maps
from daskals.tuning.folds import check_folds, generator, split
from daskals.tuning.models import CrossValidatorModel, TrainValidationSplitModel, TuningModel
from daskals.tuning.parameters import CrossValidatorParams, TrainValidationSplitParams, ValidatorParams

if TYPE_CHECKING:
    from typing import Self


M = TypeVar("M", bound=TuningModel)
V = TypeVar("V", bound="Validator")
T = TypeVar("T")
logger = logging.getLogger("daskals")


class Measured(NamedTuple):
    """What became of a map on a fold."""

    place: int
    metric: float
    model: Any


class Validator(ValidatorParams):
    """What both validators have in common."""

    _setters: tuple[str, ...] | None = None

    parallelism = Param("parallelism", "how many models are fitted at a time", to_int, 1, at_least(1))
    collectSubModels = Param("collectSubModels", "whether to keep the models of all maps and folds", to_boolean, False)

    def validate(self) -> None:
        """Raise ``ValueError`` that names what is not set, or every value out of range and what is allowed."""
        self._require("fit")
        super().validate()

    def fitMultiple(self, dataset: Frame, paramMaps: Sequence[ParamMap]) -> Iterator[tuple[int, Any]]:
        """(place, model) for each map in turn; like any generator it is not to be shared by threads."""
        for place, each in enumerate(paramMaps):
            yield place, self.fit(dataset, each)

    def _measure(self, train: Frame, validation: Frame, where: str) -> list[Measured]:
        """Fit all maps to ``train`` and evaluate them on ``validation``; in the order of the maps."""
        maps, evaluator = self.getEstimatorParamMaps(), self.getEvaluator()
        fits = self.getEstimator().fitMultiple(train, maps)

        def measure_next(_: object) -> Measured:
            place, model = next(fits)
            metric = float(evaluator.evaluate(model.transform(validation)))
            return Measured(place, metric, model if self.getCollectSubModels() else None)

        try:
            measured = sorted(_in_threads(measure_next, maps, self.getParallelism()), key=lambda each: each.place)
        except Exception as error:
            error.add_note(f"This happened in {where} of {self.uid}.")
            raise
        logger.info("%s: metrics %s", where, [each.metric for each in measured])
        return measured

    def _best(self, metrics: Sequence[Sequence[float]]) -> int:
        """The place of the best map, given a row of metrics for each fold."""
        averages = np.mean(metrics, axis=0)
        if np.isnan(averages).any():
            warnings.warn(f"{self._about_nan(metrics)} They are ranked last. {NAN_ADVICE}", stacklevel=5)
        return int(np.nanargmax(averages) if self.getEvaluator().isLargerBetter() else np.nanargmin(averages))

    def _require_numbers(self, metrics: Sequence[Sequence[float]]) -> None:
        """``ValueError`` if no map is left whose metric is a number on all folds so far."""
        if np.isnan(metrics).any(axis=0).all():
            raise ValueError(f"No map can be the best. {self._about_nan(metrics)} {NAN_ADVICE}")

    def _about_nan(self, metrics: Sequence[Sequence[float]]) -> str:
        missing = np.isnan(metrics)
        maps = self.getEstimatorParamMaps()
        texts = [
            f"{{{', '.join(f'{param.name}: {value!r}' for param, value in maps[place].items())}}}"
            + (f" in fold {', '.join(map(str, np.flatnonzero(missing[:, place])))}" if len(metrics) > 1 else "")
            for place in np.flatnonzero(missing.any(axis=0))
        ]
        shown = "; ".join(texts[:3]) + ("; ..." if len(texts) > 3 else "")
        return f"The metric of {len(texts)} of {len(maps)} parameter maps is NaN: {shown}."


NAN_ADVICE = (
    "The likely cause: users or items that are only in the validation rows, whose prediction is NaN. "
    "coldStartStrategy='drop' in the estimator leaves such rows out of the metric."
)


class CrossValidator(Validator, CrossValidatorParams):
    """Choose the map of parameters with the best mean metric over folds; ``pyspark.ml.tuning.CrossValidator``.

    Parameters
    ----------
    estimator, evaluator : required
        An `ALS` and, say, a `RegressionEvaluator`.
    estimatorParamMaps : list of dict, required
        The grid, as `ParamGridBuilder` makes it.
    numFolds : int, default 3
        At least 2. Each fold has about as many rows as another.
    seed : int
        Decides the folds. The default is fixed, -1191137437, as in Spark's Scala. The folds are not Spark's, which
        follow from its partitions: set foldCol on both sides to compare metrics.
    parallelism : int, default 1
        How many models are fitted at a time, from as many threads. The result does not depend on it.
    collectSubModels : bool, default False
        Whether the model has all numFolds times len(estimatorParamMaps) models. They take memory on the workers.
    foldCol : str, default ""
        A column of integers, 0 to numFolds - 1, that says in which fold a row is, instead of the random folds.

    Give the estimator ``coldStartStrategy="drop"``: a user or item none of whose ratings is in the training rows of a
    fold makes the metric NaN otherwise. A map whose metric is NaN never wins: a warning says so.

    >>> import pandas as pd
    >>> from daskals import ALS
    >>> from daskals.evaluation import RegressionEvaluator
    >>> from daskals.tuning import CrossValidator, ParamGridBuilder
    >>> pairs = [(user, item) for user in range(12) for item in range(10)]
    >>> ratings = pd.DataFrame([(u, i, (u + 1) * (i + 1) / 12) for u, i in pairs], columns=["user", "item", "rating"])
    >>> als = ALS(rank=1, maxIter=5, coldStartStrategy="drop")
    >>> grid = ParamGridBuilder().addGrid(als.regParam, [0.001, 10.0]).build()
    >>> validator = CrossValidator(
    ...     estimator=als, estimatorParamMaps=grid, evaluator=RegressionEvaluator(labelCol="rating")
    ... )
    >>> model = validator.fit(ratings)
    >>> model.avgMetrics[0] < 0.1 < model.avgMetrics[1]
    True
    >>> float(model.transform(ratings).eval("(prediction - rating).abs().max()")) < 0.1
    True
    """

    _java_class = "org.apache.spark.ml.tuning.CrossValidator"

    @keyword_only
    def __init__(
        self,
        *,
        estimator: Any = None,
        estimatorParamMaps: Sequence[ParamMap] | None = None,
        evaluator: Any = None,
        numFolds: int = 3,
        seed: int | None = None,
        parallelism: int = 1,
        collectSubModels: bool = False,
        foldCol: str = "",
    ) -> None:
        del estimator, estimatorParamMaps, evaluator, numFolds, seed  # in _input_kwargs, if passed
        del parallelism, collectSubModels, foldCol
        super().__init__()
        self._set(**self._input_kwargs)

    @keyword_only_like(__init__)
    def setParams(self, **_: Any) -> Self:
        """Set several parameters, all by keyword, and return self; those not named stay as they are."""
        return self._set(**self._input_kwargs)

    @overload
    def fit(self, dataset: Frame, params: ParamMap | None = None) -> CrossValidatorModel: ...

    @overload
    def fit(self, dataset: Frame, params: list[ParamMap] | tuple[ParamMap, ...]) -> list[CrossValidatorModel]: ...

    def fit(
        self, dataset: Frame, params: ParamMap | Iterable[ParamMap] | None = None
    ) -> CrossValidatorModel | list[CrossValidatorModel]:
        """Find the best map and fit it to all rows.

        Parameters
        ----------
        dataset : pandas.DataFrame or dask.dataframe.DataFrame
            What the estimator fits, with the columns that the evaluator and foldCol need. Of a dask frame, the
            validation rows of one fold at a time are held on the workers; it is computed twice a fold and once at
            the end, so ``persist`` it if that is costly and there is room.
        params : dict, or list of dict, optional
            Values that override those of this validator, its estimator or its evaluator. For a list, a model each.

        Raises ``TypeError`` for what is no frame and a foldCol that is not of integers; ``ValueError`` for a missing
        or invalid parameter, a fold number out of range, a fold without rows, and if the metric of every map is NaN;
        and whatever the estimator and the evaluator raise.
        """
        return _fit_each(self, CrossValidator._fit, dataset, params)

    def _fit(self, dataset: Frame) -> CrossValidatorModel:
        self.validate()
        folds = range(self.getNumFolds())
        if self.getFoldCol():
            check_folds(dataset, self.getFoldCol(), len(folds))
        metrics, models = [], []
        for fold in folds:
            where = f"fold {fold} of 0 to {folds[-1]}"
            measured = self._measure(*split(dataset, self._rule(fold), where), where)
            metrics.append([each.metric for each in measured])
            models.append([each.model for each in measured])
            self._require_numbers(metrics)
        best = self.getEstimator().fit(dataset, self.getEstimatorParamMaps()[self._best(metrics)])
        averages, deviations = np.mean(metrics, axis=0).tolist(), np.std(metrics, axis=0).tolist()
        model = CrossValidatorModel(best, averages, models if self.getCollectSubModels() else None, deviations)
        self._copy_values_to(model)
        return model

    def _rule(self, fold: int) -> Rule:
        n, seed, column = self.getNumFolds(), self.getSeed(), self.getFoldCol()
        if column:
            return lambda frame, _: (frame[column] == fold).to_numpy(bool)
        return lambda frame, number: generator(seed, number).integers(n, size=len(frame)) == fold


class TrainValidationSplit(Validator, TrainValidationSplitParams):
    """Choose the map of parameters with the best metric on held-out rows; ``pyspark.ml.tuning.TrainValidationSplit``.

    As `CrossValidator`, with one split instead of folds. ``trainRatio`` (0.75) is the share of the rows, about, that
    models are fitted to; the metric is that of the others. The default seed is fixed, -1772833110; which rows it draws
    differs from Spark, where that follows from the partitions.
    """

    _java_class = "org.apache.spark.ml.tuning.TrainValidationSplit"

    @keyword_only
    def __init__(
        self,
        *,
        estimator: Any = None,
        estimatorParamMaps: Sequence[ParamMap] | None = None,
        evaluator: Any = None,
        trainRatio: float = 0.75,
        parallelism: int = 1,
        collectSubModels: bool = False,
        seed: int | None = None,
    ) -> None:
        del estimator, estimatorParamMaps, evaluator, trainRatio  # in _input_kwargs, if passed
        del parallelism, collectSubModels, seed
        super().__init__()
        self._set(**self._input_kwargs)

    @keyword_only_like(__init__)
    def setParams(self, **_: Any) -> Self:
        """Set several parameters, all by keyword, and return self; those not named stay as they are."""
        return self._set(**self._input_kwargs)

    @overload
    def fit(self, dataset: Frame, params: ParamMap | None = None) -> TrainValidationSplitModel: ...

    @overload
    def fit(self, dataset: Frame, params: list[ParamMap] | tuple[ParamMap, ...]) -> list[TrainValidationSplitModel]: ...

    def fit(
        self, dataset: Frame, params: ParamMap | Iterable[ParamMap] | None = None
    ) -> TrainValidationSplitModel | list[TrainValidationSplitModel]:
        """Find the best map and fit it to all rows; see `CrossValidator.fit`. A dask frame is computed three times."""
        return _fit_each(self, TrainValidationSplit._fit, dataset, params)

    def _fit(self, dataset: Frame) -> TrainValidationSplitModel:
        self.validate()
        seed, ratio = self.getSeed(), self.getTrainRatio()
        where = f"the split with trainRatio={ratio}"
        parts = split(dataset, lambda frame, number: generator(seed, number).random(len(frame)) >= ratio, where)
        measured = self._measure(*parts, where)
        metrics = [each.metric for each in measured]
        self._require_numbers([metrics])
        best = self.getEstimator().fit(dataset, self.getEstimatorParamMaps()[self._best([metrics])])
        models = [each.model for each in measured] if self.getCollectSubModels() else None
        model = TrainValidationSplitModel(best, metrics, models)
        self._copy_values_to(model)
        return model


def _fit_each(
    validator: V, fit: Callable[[V, Frame], M], dataset: Frame, params: ParamMap | Iterable[ParamMap] | None
) -> M | list[M]:
    maps, several = read_param_maps(params)
    models = []
    for each in maps:
        models.append(fit(validator.copy(each), dataset))
    return models if several else models[0]


def _in_threads(function: Callable[[Any], T], arguments: Sequence[Any], n_threads: int) -> list[T]:
    """The function of each argument, from ``n_threads`` threads that see what this one sees.

    Dask's configuration is global, and so is the default client; one made current by ``client.as_current()`` is
    a context variable, which a new thread would not have. After an error no further call is begun.
    """
    if n_threads == 1:
        return [function(each) for each in arguments]
    contexts = [contextvars.copy_context() for _ in arguments]
    with ThreadPoolExecutor(min(n_threads, len(arguments)), "daskals-tuning") as pool:
        return list(pool.map(lambda context, each: context.run(function, each), contexts, arguments))
