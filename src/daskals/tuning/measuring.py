"""How a model is measured on the validation rows of a fold.

By its predictions, as in Spark: the evaluator is given what ``transform`` makes of the validation rows. Or, an `ALS` by
a `RankingEvaluator`, by its recommendations, for which Spark has no way::

    validation   user  item  (rating)       users --> their k best items, without those that they have in train
                                            items --> what is relevant to them, without the same
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from daskals.evaluation.ranking_evaluator import RankingEvaluator
from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import Frame, hold, kind_of
from daskals.params.param import ParamMap
from daskals.recommendation.estimator import ALS
from daskals.recommendation.model import ALSModel

#: (model, place of its map) -> metric
Measure = Callable[[Any, int], float]


def measure_for(estimator: Any, maps: Sequence[ParamMap], evaluator: Any, train: Frame, validation: Frame) -> Measure:
    """How the models that ``estimator`` fits to ``train`` are measured."""
    if not (isinstance(estimator, ALS) and isinstance(evaluator, RankingEvaluator)):
        return partial(_by_predictions, evaluator, validation)
    evaluator.validate()
    estimators = [estimator.copy(each) for each in maps]
    columns = {column for each in estimators for column in (each.getUserCol(), each.getItemCol())}
    if kind_of(train) == "dask":
        # Held, since each model needs the pairs twice. A column that is absent is for the fit to complain of.
        train, _ = hold(current_scheduler(), train[[column for column in train.columns if column in columns]])
    return partial(_by_recommendations, evaluator, train, validation, [each.getRatingCol() for each in estimators])


def _by_predictions(evaluator: Any, validation: Frame, model: Any, place: int) -> float:
    del place  # all models are measured alike
    return float(evaluator.evaluate(model.transform(validation)))


def _by_recommendations(
    evaluator: RankingEvaluator, train: Frame, validation: Frame, rating_cols: list[str], model: ALSModel, place: int
) -> float:
    user, item = model.getUserCol(), model.getItemCol()
    recommended = model.recommendForUserSubset(validation, evaluator.getK(), exclude=train)
    return evaluator.evaluate(
        recommended, heldOut=validation, exclude=train, userCol=user, itemCol=item, ratingCol=rating_cols[place]
    )
