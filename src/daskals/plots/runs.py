"""What a tuning run found, by the values of its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from daskals.kernels.types import Float64
from daskals.params.param import Param
from daskals.tuning.models import CrossValidatorModel, TrainValidationSplitModel, best_place


class Run(NamedTuple):
    """What a tuning run found."""

    maps: list[dict[str, Any]]  #: a value for each parameter that any map has, by name
    metrics: Float64
    spread: Float64 | None  #: the standard deviation over folds
    best: int
    metric: str
    is_larger_better: bool

    def varied(self) -> list[str]:
        """The parameters of several values, in the order of the maps."""
        return [name for name in self.maps[0] if len(values_of(name, self.maps)) > 1]


def run_of(tuned: Any) -> Run:
    """What a model of a validator knows; ``TypeError`` for anything else."""
    if not isinstance(tuned, CrossValidatorModel | TrainValidationSplitModel):
        raise TypeError(
            "tuned must be a CrossValidatorModel or a TrainValidationSplitModel, which fit of a CrossValidator or a "
            f"TrainValidationSplit returns, got an object of type {type(tuned).__name__}"
        )
    estimator, evaluator = tuned.getEstimator(), tuned.getEvaluator()
    named = [
        {param if isinstance(param, str) else param.name: value for param, value in each.items()}
        for each in tuned.getEstimatorParamMaps()
    ]
    names = list(dict.fromkeys(name for each in named for name in each))
    metrics = np.array(tuned._metrics(), float)
    tuned.bestParams  # noqa: B018  raises where it is not known which is best
    if not names:
        raise ValueError("The grid has one map without parameters: there is nothing to draw a metric over.")
    maps = [{name: each[name] if name in each else _default(estimator, name) for name in names} for each in named]
    spread = None
    if isinstance(tuned, CrossValidatorModel) and len(tuned.stdMetrics) == len(metrics):
        spread = np.array(tuned.stdMetrics, float)
    return Run(
        maps, metrics, spread, best_place(list(metrics), evaluator), _metric_name(evaluator), evaluator.isLargerBetter()
    )


def _default(estimator: Any, name: str) -> Any:
    """What a fit by a map without this parameter takes."""
    return estimator.getOrDefault(name) if estimator.isDefined(name) else None


def _metric_name(evaluator: Any) -> str:
    name = str(evaluator.getMetricName())
    return f"{name} at {evaluator.getK()}" if hasattr(evaluator, "getK") else name


def name_of(param: Any, role: str) -> str | None:
    """The name of a parameter that is given as such or by its name; ``role`` is that of the argument."""
    if param is None or isinstance(param, str):
        return param
    if isinstance(param, Param):
        return param.name
    raise TypeError(f"{role} must be a parameter, such as als.rank, or its name, got {param!r}")


def chosen_of(run: Run, x: str | None, y: str | None) -> list[str]:
    """The parameters that are drawn, one or two; ``x`` and ``y`` are those that the caller names."""
    names, varied = list(run.maps[0]), run.varied()
    for role, name in (("x", x), ("y", y)):
        if name is not None and name not in names:
            raise ValueError(f"{role}={name!r} is not in the grid, whose parameters are {', '.join(names)}")
    if x is not None and x == y:
        raise ValueError(f"x and y are both {x!r}: name two parameters, or x alone for a line")
    if x is not None:
        return [x] if y is None else [x, y]
    if y is not None:
        others = [name for name in varied if name != y]
        if not others:
            raise ValueError(f"y={y!r} alone: no other parameter of the grid varies. Pass it as x for a line.")
        return [others[0], y]
    return varied[:2] or names[:1]


def values_of(name: str, maps: Sequence[dict[str, Any]]) -> list[Any]:
    """The distinct values of a parameter, numbers ascending, others in their order."""
    distinct: list[Any] = []
    for each in maps:
        if each[name] not in distinct:
            distinct.append(each[name])
    try:
        return sorted(distinct) if all(is_number(value) for value in distinct) else distinct
    except TypeError:
        return distinct


def is_number(value: Any) -> bool:
    """Whether a value is a number, which True is not."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
