"""Models that fits start from, as far as they may."""

from __future__ import annotations

from typing import Any

from daskals.engine.factors import FactorMatrix
from daskals.io.id_types import IdType
from daskals.recommendation.meanings import columns_of
from daskals.recommendation.model import ALSModel
from daskals.recommendation.parameters import ALSParams

#: Two fits must agree in these for one to start from the model of the other, in a grid with warmStart. Others change
#: how good rows are, and not what they are of.
WARM_PARAMS = ("rank", "biases", "userCol", "itemCol", "ratingCol", "implicitPrefs", "nonnegative")


def check_initial_model(model: Any, params: ALSParams) -> None:
    """``TypeError`` for what is no model, ``ValueError`` for one of another rank than the fit's, biases included."""
    if not isinstance(model, ALSModel):
        raise TypeError(
            f"initialModel must be an ALSModel, got {type(model).__module__}.{type(model).__qualname__}. "
            "ALSModel.load(path) reads one that was saved."
        )
    has_biases = model.intercept is not None
    if has_biases != params.getBiases():
        raise ValueError(
            f"initialModel has {'' if has_biases else 'no '}biases, and this fit has biases={params.getBiases()}: set "
            f"biases={has_biases}, or fit without initialModel."
        )
    more = model.rank - columns_of(params)
    if more:
        rank = params.getRank()
        raise ValueError(
            f"initialModel has rank {rank + more}, and this fit has rank {rank}: set rank={rank + more}, or fit "
            "without initialModel."
        )


def factors_to_start_from(model: ALSModel, user_ids: IdType, item_ids: IdType) -> tuple[FactorMatrix, FactorMatrix]:
    """The factors of a model; ``TypeError`` if its ids are of other kinds than these.

    ``RuntimeError`` if they were on a cluster whose client is closed.
    """
    model._check_alive()
    theirs = model._factors
    for column, given, known in (
        (model.getUserCol(), user_ids, theirs.user_ids),
        (model.getItemCol(), item_ids, theirs.item_ids),
    ):
        if given.kind.lstrip("u") != known.kind.lstrip("u"):
            raise TypeError(
                f"Column {column!r} has ids of kind {given.kind}, but initialModel was trained on ids of kind "
                f"{known.kind}: convert the column first, or fit without initialModel."
            )
    return theirs.users, theirs.items


class Chain:
    """Fits one after another, each of which starts from the model of the one before, if the two agree enough."""

    def __init__(self) -> None:
        self._last: tuple[ALSParams, ALSModel] | None = None

    def before(self, params: ALSParams) -> ALSModel | None:
        """The model that a fit of these parameters starts from."""
        return self._last[1] if self._last and agree(self._last[0], params) else None

    def add(self, params: ALSParams, model: ALSModel) -> ALSModel:
        """Let the next fit start from this model, which is returned."""
        self._last = params, model
        return model


def agree(one: ALSParams, other: ALSParams) -> bool:
    """Whether the fit of ``other`` may start from the model of ``one``."""
    return all(one.getOrDefault(name) == other.getOrDefault(name) for name in WARM_PARAMS)
