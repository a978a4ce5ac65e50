"""What both validators do: fit a grid to some rows, measure its models on others, and choose a map."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from daskals.io.foreign import settled
from daskals.io.frames import Frame
from daskals.params.converters import to_boolean, to_int, whole_from
from daskals.params.maps import read_param_maps
from daskals.params.param import Param, ParamMap
from daskals.recommendation.cautions import caution
from daskals.recommendation.estimator import ALS
from daskals.recommendation.fits import fit_maps
from daskals.recommendation.warm_start import agree
from daskals.tuning.accessors import ValidatorAccessors
from daskals.tuning.measuring import measure_for
from daskals.tuning.models import TuningModel, best_place
from daskals.tuning.parameters import ValidatorParams
from daskals.tuning.threads import in_threads

logger = logging.getLogger("daskals")

NAN_ADVICE = (
    "The likely cause: users or items that are only in the validation rows, whose prediction is NaN. "
    "coldStartStrategy='drop' in the estimator leaves such rows out of the metric."
)


class Measured(NamedTuple):
    """The metric of a map on a fold, and the model, if models are collected."""

    place: int
    metric: float
    model: Any


class Validator(ValidatorParams, ValidatorAccessors):
    """What both validators have in common: all but which rows are for training and which for validation."""

    _setters: tuple[str, ...] | None = None

    parallelism = Param("parallelism", "how many models are fitted at a time", to_int, 1, whole_from(1))
    collectSubModels = Param("collectSubModels", "whether to keep the models of all maps and folds", to_boolean, False)
    warmStart = Param(
        "warmStart", "whether each map's fit starts from the model of the map before it", to_boolean, False
    )
    _own_params = ("warmStart",)

    def validate(self) -> None:
        """Raise ``ValueError`` that names what is not set, or every value out of range and what is allowed."""
        self._require("fit")
        super().validate()
        if not self.getWarmStart():
            return
        if self.getParallelism() > 1:
            raise ValueError(
                f"warmStart=True fits the maps one after the other, each from the model of the one before, and "
                f"parallelism={self.getParallelism()} would fit them at the same time: set parallelism=1, or "
                "warmStart=False."
            )
        if not isinstance(self.getEstimator(), ALS):
            raise ValueError(
                f"warmStart=True needs an ALS as estimator, which can start from a model; "
                f"{type(self.getEstimator()).__name__} is none. Set warmStart=False."
            )

    def fitMultiple(self, dataset: Frame, paramMaps: Sequence[ParamMap]) -> Iterator[tuple[int, Any]]:
        """Fit a model for each map: a generator of (place of the map, model), which threads must not share."""
        validator: Any = self  # its fit is that of the subclass
        for place, each in enumerate(paramMaps):
            yield place, validator.fit(dataset, each)

    def _fit_maps(self, dataset: Frame, params: ParamMap | Iterable[ParamMap] | None) -> Any:
        """What ``fit`` returns: a model, or a list of them where ``params`` is a list."""
        maps, several = read_param_maps(params)
        dataset = settled(dataset)
        models = [self.copy(each)._search(dataset) for each in maps]
        return models if several else models[0]

    def _search(self, dataset: Frame) -> TuningModel:
        """Measure all maps, and fit the best one to all rows."""
        raise NotImplementedError

    def _measure(self, train: Frame, validation: Frame, where: str) -> list[Measured]:
        """Fit all maps to ``train`` and evaluate their models on ``validation``; returned in the order of the maps."""
        maps, estimator = self.getEstimatorParamMaps(), self.getEstimator()
        measure = measure_for(estimator, maps, self.getEvaluator(), train, validation)
        warm = self.getWarmStart()
        fits = fit_maps(estimator, train, maps, chained=True) if warm else estimator.fitMultiple(train, maps)

        def measure_next(_: object) -> Measured:
            place, model = next(fits)
            return Measured(place, measure(model, place), model if self.getCollectSubModels() else None)

        try:
            measured = sorted(in_threads(measure_next, maps, self.getParallelism()), key=lambda each: each.place)
        except Exception as error:
            error.add_note(f"This happened in {where} of {self.uid}.")
            raise
        logger.info("%s: metrics %s", where, [each.metric for each in measured])
        return measured

    def _fit_best(self, dataset: Frame, place: int) -> Any:
        """The model of the best map, fitted to all rows in the way in which it was measured.

        With warmStart that is by the maps before it, as far as each starts from the one before.
        """
        estimator, maps = self.getEstimator(), self.getEstimatorParamMaps()
        if not self.getWarmStart():
            return estimator.fit(dataset, maps[place])
        fits = fit_maps(estimator, dataset, maps[start_of_chain(estimator, maps, place) : place + 1], chained=True)
        for _, model in fits:
            best = model
        return best

    def _best(self, metrics: Sequence[Sequence[float]]) -> int:
        """The place of the best map, given a row of metrics for each fold."""
        averages = np.mean(metrics, axis=0)
        if np.isnan(averages).any():
            caution(f"{self._about_nan(metrics)} They are ranked last. {NAN_ADVICE}")
        return best_place(averages, self.getEvaluator())

    def _require_numbers(self, metrics: Sequence[Sequence[float]]) -> None:
        """``ValueError`` if no map is left whose metric is a number on all folds so far."""
        if np.isnan(metrics).any(axis=0).all():
            raise ValueError(f"No map can be the best. {self._about_nan(metrics)} {NAN_ADVICE}")

    def _about_nan(self, metrics: Sequence[Sequence[float]]) -> str:
        """How many metrics are NaN, and which maps and folds the first of them belong to."""
        missing = np.isnan(metrics)
        maps = self.getEstimatorParamMaps()
        texts = [
            f"{{{', '.join(f'{param.name}: {value!r}' for param, value in maps[place].items())}}}"
            + (f" in fold {', '.join(map(str, np.flatnonzero(missing[:, place])))}" if len(metrics) > 1 else "")
            for place in np.flatnonzero(missing.any(axis=0))
        ]
        shown = "; ".join(texts[:3]) + ("; ..." if len(texts) > 3 else "")
        return f"The metric of {len(texts)} of {len(maps)} parameter maps is NaN: {shown}."


def start_of_chain(estimator: ALS, maps: Sequence[ParamMap], place: int) -> int:
    """The first of the maps before a place from which each fit starts from the model of the one before."""
    estimators = [estimator.copy(each) for each in maps[: place + 1]]
    while place and agree(estimators[place - 1], estimators[place]):
        place -= 1
    return place
