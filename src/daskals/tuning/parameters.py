"""The parameters that a validator shares with the model that it finds, and the files of both's parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from daskals.evaluation.evaluators import RegressionEvaluator
from daskals.evaluation.ranking_evaluator import RankingEvaluator
from daskals.io.directories import join, read_metadata
from daskals.io.readwrite import Savable
from daskals.params.converters import LONGS, Check, to_float, to_int, to_string, whole_from
from daskals.params.declared import Params
from daskals.params.maps import require_map
from daskals.params.param import Param, ParamMap
from daskals.recommendation.estimator import ALS
from daskals.tuning.accessors import (
    CrossValidatorParamsAccessors,
    TrainValidationSplitParamsAccessors,
    ValidatorParamsAccessors,
)
from daskals.tuning.grid import decode_maps, encode_maps

if TYPE_CHECKING:
    from typing import Self


#: What a saved tuning run may consist of: nothing else is ever loaded.
PARTS: dict[str, tuple[type[Savable], ...]] = {
    "estimator": (ALS,),
    "evaluator": (RegressionEvaluator, RankingEvaluator),
}
#: Spark's default seeds in Scala: hash codes of "org.apache.spark.ml.tuning.CrossValidator" and of
#: "org.apache.spark.ml.tuning.TrainValidationSplit". (PySpark's change with every process.)
CROSS_VALIDATOR_SEED = -1191137437
TRAIN_VALIDATION_SPLIT_SEED = -1772833110


def _is_share(value: float) -> bool:
    return 0 < value < 1


SHARES = Check(_is_share, "a number between 0 and 1, neither of them")
GRIDS = Check(bool, "a list of one map or more; [{}] fits the estimator as it is")


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


class ValidatorParams(Savable, ValidatorParamsAccessors):
    """What is tuned, over which values, and by which measure."""

    _setters: tuple[str, ...] | None = ()

    estimator = Param("estimator", "estimator whose parameters are tuned", _to_estimator)
    estimatorParamMaps = Param("estimatorParamMaps", "maps of parameters to choose from", _to_param_maps, check=GRIDS)
    evaluator = Param("evaluator", "evaluator that tells which model is the best", _to_evaluator)

    def copy(self, extra: ParamMap | None = None) -> Self:
        """A copy with the same uid; ``extra`` is set in it, or in its copies of the estimator and the evaluator."""
        extra = require_map(extra)
        parts = {name: self.getOrDefault(name) for name in PARTS if self.isSet(name)}
        for name, part in parts.items():
            theirs = {param: extra.pop(param) for param in list(extra) if owner_of(param) == part.uid}
            parts[name] = part.copy(theirs)
        return super().copy(extra)._set(**parts)

    def _require(self, purpose: str) -> None:
        missing = [name for name in (*PARTS, "estimatorParamMaps") if not self.isSet(name)]
        if missing:
            raise ValueError(
                f"{self.uid} cannot {purpose}: {', '.join(missing)} not set. Set them, by keyword or setter"
            )

    # -- files

    def _save(self, directory: str) -> list[str]:
        return self._save_parts(directory) + super()._save(directory)

    def _save_parts(self, directory: str) -> list[str]:
        """Save the parts; returns what the user is to be warned of."""
        self._require("be saved")
        warnings: list[str] = []
        for name, classes in PARTS.items():
            part = self.getOrDefault(name)
            if type(part) not in classes:
                raise TypeError(
                    f"{self.uid} cannot be saved: its {name} is of type {type(part).__name__}, and only "
                    f"{_names(classes)} could be loaded again"
                )
            warnings += part._save(join(directory, name))
        return warnings

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
        parts = {name: _load_one_of(join(path, name), classes) for name, classes in PARTS.items()}
        values = dict(fields.get("paramMap", {}))
        maps = decode_maps(path, values.pop("estimatorParamMaps", []), parts["estimator"])
        ours = fields.get("daskals", {}).get("estimatorParamMaps", [[]] * len(maps))
        more = decode_maps(path, ours, parts["estimator"])
        super()._take(path, {**fields, "paramMap": values})
        self._set(**parts, estimatorParamMaps=[{**a, **b} for a, b in zip(maps, more, strict=True)])


class CrossValidatorParams(ValidatorParams, CrossValidatorParamsAccessors):
    """The parameters that `CrossValidator` and its model have in common."""

    numFolds = Param("numFolds", "number of folds", to_int, 3, whole_from(2))
    foldCol = Param(
        "foldCol", "column that says in which fold, 0 to numFolds - 1, a row is; '' to draw it at random", to_string, ""
    )
    seed = Param("seed", "seed of the random folds", to_int, CROSS_VALIDATOR_SEED, LONGS)


class TrainValidationSplitParams(ValidatorParams, TrainValidationSplitParamsAccessors):
    """The parameters that `TrainValidationSplit` and its model have in common."""

    trainRatio = Param("trainRatio", "share of the rows to train on", to_float, 0.75, SHARES)
    seed = Param("seed", "seed of the random split", to_int, TRAIN_VALIDATION_SPLIT_SEED, LONGS)


def owner_of(param: Param | str) -> str | None:
    """The uid of the object that a parameter belongs to; None for a name, which is one of our own."""
    return param.parent if isinstance(param, Param) else None


def _load_one_of(path: str, classes: tuple[type[Savable], ...]) -> Any:
    """What is saved at ``path``, which must be of one of the classes."""
    for cls in classes:
        try:
            read_metadata(path, cls._java_class)
        except ValueError as error:
            refusal = error
        else:
            return cls._load(path)
    raise ValueError(f"{refusal}. Here daskals loads {_names(classes)}")


def _names(classes: tuple[type[Savable], ...]) -> str:
    return " or ".join(cls.__name__ for cls in classes)
