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

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from daskals.io.frames import Frame, Rule, generator
from daskals.params.keywords import keyword_only, keyword_only_like
from daskals.params.param import ParamMap
from daskals.tuning.accessors import CrossValidatorAccessors, TrainValidationSplitAccessors
from daskals.tuning.folds import check_folds, split
from daskals.tuning.models import CrossValidatorModel, TrainValidationSplitModel
from daskals.tuning.parameters import CrossValidatorParams, TrainValidationSplitParams
from daskals.tuning.searching import Validator

if TYPE_CHECKING:
    from typing import Self


class CrossValidator(Validator, CrossValidatorParams, CrossValidatorAccessors):
    """Choose the map of parameters with the best mean metric over folds; ``pyspark.ml.tuning.CrossValidator``.

    Parameters
    ----------
    estimator, evaluator : required
        An `ALS` and a `RegressionEvaluator`, to which predictions matter, or a `RankingEvaluator`, to which top lists
        do (see below).
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
    warmStart : bool, default False
        Whether the maps of a fold are fitted in their order, each from the factors of the one before, so that fewer
        iterations are enough: for a grid over regParam, from large to small, say. Where two neighbours differ in rank,
        columns, implicitPrefs or nonnegative, the second begins as usual. Metrics then depend on the order of the maps.
        The best map is fitted to all rows in the same way, by the maps before it. Only for an `ALS`, and with
        parallelism 1.

    Give the estimator ``coldStartStrategy="drop"``: a user or item none of whose ratings is in the training rows of a
    fold makes the metric NaN otherwise. A map whose metric is NaN never wins: a warning says so.

    A `RankingEvaluator` measures an `ALS`, explicit or implicit, by the ``k`` best items for each user of the
    validation rows, without those that the user has in the training rows; Spark has no such way. All validation rows
    of a user call their items relevant: give the evaluator ``relevantFrom=4.0``, say, where low ratings are among them.
    Users who have no training rows count 0. "meanAveragePrecision", which elsewhere looks at all of a list, looks at
    these ``k`` items. On a dask frame the training pairs of a fold are held on the workers as well, and all that is
    recommended stays there.

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
    >>> model.avgMetrics[0] < 0.1 < model.avgMetrics[1], model.bestParams
    (True, {'regParam': 0.001})
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
        warmStart: bool = False,
    ) -> None:
        del estimator, estimatorParamMaps, evaluator, numFolds, seed  # in _input_kwargs, if passed
        del parallelism, collectSubModels, foldCol, warmStart
        super().__init__()
        self._set(**self._input_kwargs)

    @keyword_only_like(__init__)
    def setParams(self, **_: Any) -> Self:
        """Set several parameters, all by keyword, and return self; those not named stay as they are."""
        return self._set(**self._input_kwargs)

    @overload
    def fit(self, dataset: Frame, params: ParamMap | None = None) -> CrossValidatorModel: ...

    @overload
    def fit(self, dataset: Frame, params: Sequence[ParamMap]) -> list[CrossValidatorModel]: ...

    def fit(
        self, dataset: Frame, params: ParamMap | Iterable[ParamMap] | None = None
    ) -> CrossValidatorModel | list[CrossValidatorModel]:
        """Find the best map and fit it to all rows.

        Parameters
        ----------
        dataset : pandas.DataFrame, dask.dataframe.DataFrame or another frame
            What the estimator fits, but no matrix or array, with the columns that the evaluator and foldCol need. Of a
            dask frame, the validation rows of one fold at a time are held on the workers; it is computed twice a fold
            (with a `RankingEvaluator` three times) and once at the end, so ``persist`` it if that is costly and there
            is room.
        params : dict, or list of dict, optional
            Values that override those of this validator, its estimator or its evaluator. For a list, a model each.

        Raises ``TypeError`` for what is no frame and a foldCol that is not of integers; ``ValueError`` for a missing
        or invalid parameter, a fold number out of range, a fold without rows, and if the metric of every map is NaN;
        and whatever the estimator and the evaluator raise.
        """
        found: CrossValidatorModel | list[CrossValidatorModel] = self._fit_maps(dataset, params)
        return found

    def _search(self, dataset: Frame) -> CrossValidatorModel:
        self.validate()
        folds, reads = range(self.getNumFolds()), [self.getFoldCol()] if self.getFoldCol() else []
        if self.getFoldCol():
            check_folds(dataset, self.getFoldCol(), len(folds))
        metrics, models = [], []
        for fold in folds:
            where = f"fold {fold} of 0 to {folds[-1]}"
            measured = self._measure(*split(dataset, self._rule(fold), where, reads), where)
            metrics.append([each.metric for each in measured])
            models.append([each.model for each in measured])
            self._require_numbers(metrics)
        best = self._fit_best(dataset, self._best(metrics))
        averages, deviations = np.mean(metrics, axis=0).tolist(), np.std(metrics, axis=0).tolist()
        model = CrossValidatorModel(best, averages, models if self.getCollectSubModels() else None, deviations)
        self._copyValues(model)
        return model

    def _rule(self, fold: int) -> Rule:
        n, seed, column = self.getNumFolds(), self.getSeed(), self.getFoldCol()
        if column:
            return lambda frame, _: (frame[column] == fold).to_numpy(bool)
        return lambda frame, number: generator(seed, number).integers(n, size=len(frame)) == fold


class TrainValidationSplit(Validator, TrainValidationSplitParams, TrainValidationSplitAccessors):
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
        warmStart: bool = False,
    ) -> None:
        del estimator, estimatorParamMaps, evaluator, trainRatio  # in _input_kwargs, if passed
        del parallelism, collectSubModels, seed, warmStart
        super().__init__()
        self._set(**self._input_kwargs)

    @keyword_only_like(__init__)
    def setParams(self, **_: Any) -> Self:
        """Set several parameters, all by keyword, and return self; those not named stay as they are."""
        return self._set(**self._input_kwargs)

    @overload
    def fit(self, dataset: Frame, params: ParamMap | None = None) -> TrainValidationSplitModel: ...

    @overload
    def fit(self, dataset: Frame, params: Sequence[ParamMap]) -> list[TrainValidationSplitModel]: ...

    def fit(
        self, dataset: Frame, params: ParamMap | Iterable[ParamMap] | None = None
    ) -> TrainValidationSplitModel | list[TrainValidationSplitModel]:
        """Find the best map and fit it to all rows; see `CrossValidator.fit`. A dask frame is computed three times."""
        found: TrainValidationSplitModel | list[TrainValidationSplitModel] = self._fit_maps(dataset, params)
        return found

    def _search(self, dataset: Frame) -> TrainValidationSplitModel:
        self.validate()
        seed, ratio = self.getSeed(), self.getTrainRatio()
        where = f"the split with trainRatio={ratio}"
        parts = split(dataset, lambda frame, number: generator(seed, number).random(len(frame)) >= ratio, where)
        measured = self._measure(*parts, where)
        metrics = [each.metric for each in measured]
        self._require_numbers([metrics])
        best = self._fit_best(dataset, self._best([metrics]))
        models = [each.model for each in measured] if self.getCollectSubModels() else None
        model = TrainValidationSplitModel(best, metrics, models)
        self._copyValues(model)
        return model
