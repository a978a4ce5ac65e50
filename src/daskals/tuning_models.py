"""The models that `daskals.tuning` finds, the parameters they share with their validators, and the files of both.

Both are saved in Spark's layout::

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

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from daskals import persistence
from daskals.evaluation import RankingEvaluator, RegressionEvaluator
from daskals.frames import Frame, Kind
from daskals.grids import decode_maps, encode_maps
from daskals.params import Check, Param, ParamMap, Params, at_least, to_float, to_int, to_string
from daskals.recommendation import ALS, LONGS, ALSModel
from daskals.saving import MLWriter, Savable

if TYPE_CHECKING:
    from typing import Self

Metrics = Sequence[float]

#: What a saved tuning run may consist of: nothing else is ever loaded.
PARTS: dict[str, tuple[type[Savable], ...]] = {
    "estimator": (ALS,),
    "evaluator": (RegressionEvaluator, RankingEvaluator),
}

#: Spark's default seeds in Scala: hash codes of "org.apache.spark.ml.tuning.CrossValidator" and of
#: "org.apache.spark.ml.tuning.TrainValidationSplit". (PySpark's change with every process.)
CROSS_VALIDATOR_SEED = -1191137437
TRAIN_VALIDATION_SPLIT_SEED = -1772833110

SHARES = Check(lambda value: 0 < value < 1, "a number between 0 and 1, neither of them")
GRIDS = Check(lambda value: len(value) > 0, "a list of one map or more; [{}] fits the estimator as it is")


def _to_estimator(value: object) -> Any:
    if isinstance(value, Params) and hasattr(value, "fitMultiple"):
        return value
    raise TypeError(f"It must be an estimator with fit and fitMultiple, such as ALS(), got {_kind(value)}")


def _to_evaluator(value: object) -> Any:
    if isinstance(value, Params) and hasattr(value, "evaluate") and hasattr(value, "isLargerBetter"):
        return value
    raise TypeError(f"It must be an evaluator, such as RegressionEvaluator(labelCol='rating'), got {_kind(value)}")


def _to_param_maps(value: object) -> list[ParamMap]:
    if isinstance(value, list | tuple) and all(isinstance(each, Mapping) for each in value):
        return list(value)
    raise TypeError(f"It must be a list of maps from parameters to values, as ParamGridBuilder makes: got {value!r}")


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"an object of type {type(value).__name__}"


# ---- parameters ------------------------------------------------------------------------------------------


class ValidatorParams(Savable):
    """What is tuned, over which values, and by which measure."""

    _setters: tuple[str, ...] | None = ()

    estimator = Param("estimator", "estimator whose parameters are tuned", _to_estimator)
    estimatorParamMaps = Param("estimatorParamMaps", "maps of parameters to choose from", _to_param_maps, check=GRIDS)
    evaluator = Param("evaluator", "evaluator that tells which model is the best", _to_evaluator)

    def copy(self, extra: ParamMap | None = None) -> Self:
        """A copy with the same uid; ``extra`` is set in it, or in its copies of the estimator and the evaluator."""
        extra = dict(extra or {})
        parts = {name: self.getOrDefault(name) for name in PARTS if self.isSet(name)}
        for name, part in parts.items():
            theirs = {param: extra.pop(param) for param in list(extra) if param.parent == part.uid}
            parts[name] = part.copy(theirs)
        return super().copy(extra)._set(**parts)

    def _require(self, purpose: str) -> None:
        missing = [name for name in (*PARTS, "estimatorParamMaps") if not self.isSet(name)]
        if missing:
            raise ValueError(
                f"{self.uid} cannot {purpose}: {', '.join(missing)} not set. Set them, by keyword or setter"
            )

    # -- files

    def _save(self, directory: str) -> None:
        self._save_parts(directory)
        super()._save(directory)

    def _save_parts(self, directory: str) -> None:
        self._require("be saved")
        for name, classes in PARTS.items():
            part = self.getOrDefault(name)
            if type(part) not in classes:
                raise TypeError(
                    f"{self.uid} cannot be saved: its {name} is of type {type(part).__name__}, and only "
                    f"{_names(classes)} could be loaded again"
                )
            part._save(persistence.join(directory, name))

    def _metadata(self) -> dict[str, Any]:
        """Spark's fields: all parameters in paramMap, defaults included, as Spark has it, and the grid."""
        fields = super()._metadata()
        estimator = self.getOrDefault("estimator")
        maps = encode_maps(self.getOrDefault("estimatorParamMaps"), estimator)
        ours = estimator._own_params
        values = {**fields["defaultParamMap"], **fields["paramMap"]}
        values["estimatorParamMaps"] = [[entry for entry in each if entry["name"] not in ours] for each in maps]
        fields["paramMap"] = {name: value for name, value in values.items() if name not in PARTS}
        fields["daskals"]["estimatorParamMaps"] = [[entry for entry in each if entry["name"] in ours] for each in maps]
        return fields

    def _take(self, path: str, fields: dict[str, Any]) -> None:
        """Take the parameters of saved metadata, and the parts that are saved beside them."""
        parts = {name: _load_one_of(persistence.join(path, name), classes) for name, classes in PARTS.items()}
        values = dict(fields.get("paramMap", {}))
        maps = decode_maps(path, values.pop("estimatorParamMaps", []), parts["estimator"])
        ours = fields.get("daskals", {}).get("estimatorParamMaps", [[]] * len(maps))
        more = decode_maps(path, ours, parts["estimator"])
        super()._take(path, {**fields, "paramMap": values})
        self._set(**parts, estimatorParamMaps=[{**a, **b} for a, b in zip(maps, more, strict=True)])


class CrossValidatorParams(ValidatorParams):
    """The parameters that `CrossValidator` and its model have in common."""

    numFolds = Param("numFolds", "number of folds", to_int, 3, at_least(2))
    foldCol = Param(
        "foldCol", "column that says in which fold, 0 to numFolds - 1, a row is; '' to draw it at random", to_string, ""
    )
    seed = Param("seed", "seed of the random folds", to_int, CROSS_VALIDATOR_SEED, LONGS)


class TrainValidationSplitParams(ValidatorParams):
    """The parameters that `TrainValidationSplit` and its model have in common."""

    trainRatio = Param("trainRatio", "share of the rows to train on", to_float, 0.75, SHARES)
    seed = Param("seed", "seed of the random split", to_int, TRAIN_VALIDATION_SPLIT_SEED, LONGS)


# ---- models ----------------------------------------------------------------------------------------------


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

    def _write(self, directory: str) -> None:
        self._model._save_all(directory, self._sub_models)


class TuningModel(ValidatorParams):
    """What both models have in common: the best model, which ``transform`` uses."""

    def __init__(self, bestModel: Any, subModels: Any) -> None:
        super().__init__()
        #: the model of the best parameters, fitted to all rows
        self.bestModel = bestModel
        #: the models of all maps, if collectSubModels was set; else None
        self.subModels = subModels

    def transform(self, dataset: Frame, params: ParamMap | None = None) -> Frame:
        """``bestModel.transform``; see `daskals.recommendation.ALSModel.transform`."""
        return self.copy(params).bestModel.transform(dataset)

    def copy(self, extra: ParamMap | None = None) -> Self:
        """A copy with the same uid; ``extra`` is set in it, or in its copy of ``bestModel``, not in sub-models."""
        theirs = {param: value for param, value in (extra or {}).items() if param.parent == self.bestModel.uid}
        other = super().copy({param: value for param, value in (extra or {}).items() if param not in theirs})
        other.bestModel = self.bestModel.copy(
            {param: value for param, value in theirs.items() if self.bestModel.hasParam(param.name)}
        )
        other.subModels = _copies(self.subModels)
        return other

    def write(self) -> TuningModelWriter:
        """A writer for this model; see `TuningModelWriter.option`."""
        return TuningModelWriter(self)

    @classmethod
    def load(cls, path: str, *, frames: Kind = "dask") -> Self:
        """Read what ``save``, or Spark, wrote; ``frames`` and the errors are those of ``ALSModel.load``.

        The estimator must be an `ALS`, and the evaluator one of `daskals.evaluation`.
        """
        return cls._load(str(path), frames)

    def _save(self, directory: str) -> None:
        self._save_all(directory, self.subModels is not None)

    def _save_all(self, directory: str, sub_models: bool) -> None:
        models = {"bestModel": self.bestModel, **(_by_folder("subModels", self.subModels) if sub_models else {})}
        for folder, model in models.items():
            model._save(persistence.join(directory, folder))
        self._save_parts(directory)
        persistence.write_metadata(directory, {**self._metadata(), "persistSubModels": sub_models})

    @classmethod
    def _load(cls, path: str, kind: Kind = "dask") -> Self:
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

    def __repr__(self) -> str:
        return f"CrossValidatorModel: uid={self.uid}, bestModel={self.bestModel}, numFolds={self.getNumFolds()}"

    def _metadata(self) -> dict[str, Any]:
        metrics = {"avgMetrics": _encode_metrics(self.avgMetrics), "stdMetrics": _encode_metrics(self.stdMetrics)}
        return {**super()._metadata(), **metrics}

    @classmethod
    def _load(cls, path: str, kind: Kind = "dask") -> Self:
        fields = persistence.read_metadata(path, cls._java_class)
        best = ALSModel._load(persistence.join(path, "bestModel"), kind)
        model = cls(
            best, _decode_metrics(path, fields, "avgMetrics"), None, _decode_metrics(path, fields, "stdMetrics")
        )
        model._take(path, fields)
        if fields.get("persistSubModels"):
            model.subModels = [
                _load_models(path, f"subModels/fold{fold}", len(model.getEstimatorParamMaps()), kind)
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

    def __repr__(self) -> str:
        return (
            f"TrainValidationSplitModel: uid={self.uid}, bestModel={self.bestModel}, trainRatio={self.getTrainRatio()}"
        )

    def _metadata(self) -> dict[str, Any]:
        return {**super()._metadata(), "validationMetrics": _encode_metrics(self.validationMetrics)}

    @classmethod
    def _load(cls, path: str, kind: Kind = "dask") -> Self:
        fields = persistence.read_metadata(path, cls._java_class)
        model = cls(
            ALSModel._load(persistence.join(path, "bestModel"), kind),
            _decode_metrics(path, fields, "validationMetrics"),
        )
        model._take(path, fields)
        if fields.get("persistSubModels"):
            model.subModels = _load_models(path, "subModels", len(model.getEstimatorParamMaps()), kind)
        return model


# ---- files -----------------------------------------------------------------------------------------------


def _load_one_of(path: str, classes: tuple[type[Savable], ...]) -> Any:
    """What is saved at ``path``, which must be of one of the classes."""
    for cls in classes:
        try:
            persistence.read_metadata(path, cls._java_class)
        except ValueError as error:
            refusal = error
        else:
            return cls._load(path)
    raise ValueError(f"{refusal}. Here daskals loads {_names(classes)}")


def _load_models(path: str, folder: str, n: int, kind: Kind) -> list[ALSModel]:
    return [ALSModel._load(persistence.join(path, folder, str(number)), kind) for number in range(n)]


def _names(classes: tuple[type[Savable], ...]) -> str:
    return " or ".join(cls.__name__ for cls in classes)


def _copies(models: Any) -> Any:
    """Copies of models in lists, however deep."""
    if isinstance(models, list):
        return [_copies(each) for each in models]
    return models if models is None else models.copy()


def _by_folder(folder: str, models: list[Any]) -> dict[str, Any]:
    """Models in lists, each with its folder as Spark names it."""
    found: dict[str, Any] = {}
    for number, each in enumerate(models):
        if isinstance(each, list):
            found |= _by_folder(f"{folder}/fold{number}", each)
        else:
            found[f"{folder}/{number}"] = each
    return found


def _encode_metrics(metrics: Metrics) -> list[float | str]:
    """Metrics for JSON, which has no NaN and no infinity: Spark writes them as strings."""
    return [float(each) if np.isfinite(each) else json.dumps(float(each)) for each in metrics]


def _decode_metrics(path: str, fields: dict[str, Any], name: str) -> list[float]:
    try:
        return [float(each) for each in fields.get(name, [])]
    except (TypeError, ValueError) as error:
        raise ValueError(f"The metadata of {path} hold no numbers in {name}: {error}") from None
