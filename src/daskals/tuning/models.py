"""The models that validators find, and their directories.

Validators and their models are saved in Spark's layout::

    <path>/metadata/                   parameters; the grid, as lists of {parent, name, value, isJson}; the metrics
    <path>/estimator/                  as ``ALS.save`` writes it
    <path>/evaluator/                  as ``RegressionEvaluator.save`` writes it
    <path>/bestModel/                  as ``ALSModel.save`` writes it, in a model only, like
    <path>/subModels/fold0/0/ ...      a model for each fold and map; without the fold in TrainValidationSplitModel

Spark loads such a directory, and daskals loads what Spark writes, where Spark has the parts: `ALS`, the evaluators,
and models whose ids are integers of 32 bits. Parameters that Spark lacks (``solver``, say) stand where Spark
ignores them: it loads a grid without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd

from daskals.io.directories import join, read_metadata, write_metadata
from daskals.io.frames import Frame, FrameKind
from daskals.io.notes import encode_numbers
from daskals.io.readwrite import MLWriter
from daskals.params.maps import require_map
from daskals.params.param import ParamMap
from daskals.params.shown import Picture, Row, Shown, rounded, short
from daskals.recommendation.model import ALSModel
from daskals.tuning.files import Metrics, by_folder, decode_metrics, load_models
from daskals.tuning.parameters import CrossValidatorParams, TrainValidationSplitParams, ValidatorParams, owner_of

if TYPE_CHECKING:
    from typing import Self


class TuningModelWriter(MLWriter):
    """What ``model.write()`` gives: an `MLWriter` with the option "persistSubModels"."""

    _options = ("persistSubModels",)

    def __init__(self, instance: TuningModel) -> None:
        super().__init__(instance)
        self._model = instance
        self._sub_models = instance.subModels is not None

    def option(self, key: str, value: Any) -> Self:
        """Set "persistSubModels": "true" or "false"; by default sub-models are saved where there are any.

        ``ValueError`` for another option or value, and for "true" where no sub-models were collected.
        """
        super().option(key, value)
        if str(value).lower() not in ("true", "false"):
            raise ValueError(f"persistSubModels={value!r} is not allowed: it must be 'true' or 'false'")
        self._sub_models = str(value).lower() == "true"
        if self._sub_models and self._model.subModels is None:
            raise ValueError(f"{self._model.uid} has no sub-models to save: fit again with collectSubModels=True")
        return self

    def _write(self, directory: str) -> list[str]:
        return self._model._save_all(directory, self._sub_models)


class TuningModel(ValidatorParams):
    """What both models have in common: the best model, which ``transform`` uses."""

    def __init__(self, bestModel: Any, subModels: Any) -> None:
        super().__init__()
        #: the model of the best parameters, fitted to all rows
        self.bestModel = bestModel
        #: the models of all maps, if collectSubModels was set; else None
        self.subModels = subModels

    @property
    def bestParams(self) -> dict[str, Any]:
        """The values of the best map by the names of their parameters, such as ``{"rank": 20, "regParam": 0.1}``.

        Those of the grid alone: what the estimator was given besides is in ``getEstimator()``. Loaded models have it
        too. ``ValueError`` if this model was made by hand, without metrics.

        In PySpark this takes ``bestModel._java_obj.parent().getRegParam()``.
        """
        metrics, maps = self._metrics(), self.getEstimatorParamMaps()
        if len(metrics) != len(maps) or np.isnan(metrics).all():
            raise ValueError(f"{self.uid} has {len(metrics)} metrics for {len(maps)} maps: which is best is not known")
        best = maps[best_place(metrics, self.getEvaluator())]
        return {param if isinstance(param, str) else param.name: value for param, value in best.items()}

    def _metrics(self) -> Metrics:
        """The metric of each map."""
        raise NotImplementedError

    def _rows_of_split(self) -> list[Row]:
        """How rows were set apart to measure models, as it is shown."""
        raise NotImplementedError

    def _picture(self) -> Picture:
        """Which map was the best, by which metric; and the best model."""
        rows, metrics = [Row("uid", self.uid)], self._metrics()
        maps = self.getEstimatorParamMaps() if self.isSet("estimatorParamMaps") else []
        if metrics and len(metrics) == len(maps) and not np.isnan(metrics).all():
            evaluator = self.getEvaluator()
            name = evaluator.getMetricName() if hasattr(evaluator, "getMetricName") else "metric"
            worst, best = (
                metrics[place] for place in (worst_place(metrics, evaluator), best_place(metrics, evaluator))
            )
            rows += [
                Row("maps", str(len(maps)), "of parameters, of which the best was chosen"),
                Row("bestParams", short(self.bestParams)),
                Row(name, rounded(best), f"of the best map; {rounded(worst)} of the worst"),
                *self._rows_of_split(),
            ]
        if isinstance(self.bestModel, Shown):
            return Picture(type(self).__name__, rows, part=("bestModel", self.bestModel._picture()))
        return Picture(type(self).__name__, [*rows, Row("bestModel", short(self.bestModel))])

    @overload
    def transform(self, dataset: pd.DataFrame, params: ParamMap | None = None) -> pd.DataFrame: ...

    @overload
    def transform(self, dataset: Frame, params: ParamMap | None = None) -> Frame: ...

    def transform(self, dataset: Frame, params: ParamMap | None = None) -> Frame:
        """``bestModel.transform``; see `daskals.recommendation.ALSModel.transform`."""
        return self.copy(params).bestModel.transform(dataset)

    def copy(self, extra: ParamMap | None = None) -> Self:
        """A copy with the same uid; ``extra`` is set in it, or in its copy of ``bestModel``, not in sub-models."""
        extra = require_map(extra)
        theirs = {param: value for param, value in extra.items() if owner_of(param) == self.bestModel.uid}
        other = super().copy({param: value for param, value in extra.items() if param not in theirs})
        other.bestModel = self.bestModel.copy(
            {param: value for param, value in theirs.items() if self.bestModel.hasParam(param.name)}
        )
        other.subModels = _copies(self.subModels)
        return other

    def write(self) -> TuningModelWriter:
        """A writer for this model; see `TuningModelWriter.option`."""
        return TuningModelWriter(self)

    @classmethod
    def load(cls, path: str, *, frames: FrameKind = "dask") -> Self:
        """Read what ``save``, or Spark, wrote; ``frames`` and the errors are those of ``ALSModel.load``.

        The estimator must be an `ALS`, and the evaluator one of `daskals.evaluation`.
        """
        return cls._load(str(path), frames)

    def _save(self, directory: str) -> list[str]:
        return self._save_all(directory, self.subModels is not None)

    def _save_all(self, directory: str, sub_models: bool) -> list[str]:
        models = {"bestModel": self.bestModel, **(by_folder("subModels", self.subModels) if sub_models else {})}
        warnings = [each for folder, model in models.items() for each in model._save(join(directory, folder))]
        warnings += self._save_parts(directory)
        write_metadata(directory, {**self._metadata(), "persistSubModels": sub_models})
        return warnings

    @classmethod
    def _load(cls, path: str, kind: FrameKind = "dask") -> Self:
        raise NotImplementedError


class CrossValidatorModel(TuningModel, CrossValidatorParams):
    """What `CrossValidator.fit` returns; ``pyspark.ml.tuning.CrossValidatorModel``.

    ``subModels[fold][place of the map]``; ``avgMetrics`` and ``stdMetrics`` have the mean and the standard deviation
    (of the population, as NumPy's) over the folds of each map's metric, NaN where that of a fold is NaN.
    """

    _java_class = "org.apache.spark.ml.tuning.CrossValidatorModel"

    def __init__(
        self,
        bestModel: Any,
        avgMetrics: Metrics | None = None,
        subModels: list[list[Any]] | None = None,
        stdMetrics: Metrics | None = None,
    ) -> None:
        super().__init__(bestModel, subModels)
        self.avgMetrics = list(avgMetrics or [])
        self.stdMetrics = list(stdMetrics or [])

    def _metrics(self) -> Metrics:
        return self.avgMetrics

    def _rows_of_split(self) -> list[Row]:
        metrics, deviations = self.avgMetrics, self.stdMetrics
        spread = ""
        if deviations and len(deviations) == len(metrics):
            spread = f", with a standard deviation of {rounded(deviations[best_place(metrics, self.getEvaluator())])}"
        return [Row("numFolds", str(self.getNumFolds()), f"the metric is the mean over them{spread}")]

    def _metadata(self) -> dict[str, Any]:
        metrics = {"avgMetrics": encode_numbers(self.avgMetrics), "stdMetrics": encode_numbers(self.stdMetrics)}
        return {**super()._metadata(), **metrics}

    @classmethod
    def _load(cls, path: str, kind: FrameKind = "dask") -> Self:
        fields = read_metadata(path, cls._java_class)
        best = ALSModel._load(join(path, "bestModel"), kind)
        model = cls(best, decode_metrics(path, fields, "avgMetrics"), None, decode_metrics(path, fields, "stdMetrics"))
        model._take(path, fields)
        if fields.get("persistSubModels"):
            model.subModels = [
                load_models(path, f"subModels/fold{fold}", len(model.getEstimatorParamMaps()), kind)
                for fold in range(model.getNumFolds())
            ]
        return model


class TrainValidationSplitModel(TuningModel, TrainValidationSplitParams):
    """What `TrainValidationSplit.fit` returns; ``pyspark.ml.tuning.TrainValidationSplitModel``.

    ``validationMetrics`` has the metric of each map, ``subModels`` the model of each.
    """

    _java_class = "org.apache.spark.ml.tuning.TrainValidationSplitModel"

    def __init__(
        self, bestModel: Any, validationMetrics: Metrics | None = None, subModels: list[Any] | None = None
    ) -> None:
        super().__init__(bestModel, subModels)
        self.validationMetrics = list(validationMetrics or [])

    def _metrics(self) -> Metrics:
        return self.validationMetrics

    def _rows_of_split(self) -> list[Row]:
        return [Row("trainRatio", short(self.getTrainRatio()), "the metric is that of the other rows")]

    def _metadata(self) -> dict[str, Any]:
        return {**super()._metadata(), "validationMetrics": encode_numbers(self.validationMetrics)}

    @classmethod
    def _load(cls, path: str, kind: FrameKind = "dask") -> Self:
        fields = read_metadata(path, cls._java_class)
        model = cls(
            ALSModel._load(join(path, "bestModel"), kind),
            decode_metrics(path, fields, "validationMetrics"),
        )
        model._take(path, fields)
        if fields.get("persistSubModels"):
            model.subModels = load_models(path, "subModels", len(model.getEstimatorParamMaps()), kind)
        return model


def best_place(metrics: Metrics, evaluator: Any) -> int:
    """The place of the best map, given the metric of each; one that is NaN is never the best."""
    return int(np.nanargmax(metrics) if evaluator.isLargerBetter() else np.nanargmin(metrics))


def worst_place(metrics: Metrics, evaluator: Any) -> int:
    """The place of the worst map, of those whose metric is no NaN."""
    return int(np.nanargmin(metrics) if evaluator.isLargerBetter() else np.nanargmax(metrics))


def _copies(models: Any) -> Any:
    """Copies of models in lists, however deep."""
    if isinstance(models, list):
        return [_copies(each) for each in models]
    return models if models is None else models.copy()
