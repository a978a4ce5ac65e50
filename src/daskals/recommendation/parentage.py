"""What a model knows of the fit that made it: the estimator, and so the objective in which more rows can be solved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from dask.delayed import Delayed

from daskals.blocks.goal import Goal, Learned
from daskals.blocks.ratings import SideName
from daskals.params.declared import Params
from daskals.recommendation.contradictions import refuse_impossible_objectives
from daskals.recommendation.held_factors import HoldsFactors
from daskals.recommendation.meanings import goal_of
from daskals.recommendation.parameters import ALSParams

if TYPE_CHECKING:
    from daskals.recommendation.estimator import ALS

#: The keywords by which a method is told what the fit minimised, and where ratings stand.
FIT_KEYWORDS = ("regParam", "implicitPrefs", "alpha", "nonnegative", "ratingCol")


class KnowsItsFit(HoldsFactors):
    """The estimator of a model."""

    #: never changed, so that copies of a model may share it
    _parent: ALS | None = None
    #: what that fit has found out about its ratings
    _learned = Learned()

    @property
    def parent(self) -> ALS | None:
        """The `ALS` that fitted this model: its uid, and the parameters of that fit, those of ``params`` included.

        It is saved with the model. None where it is not known: for models that Spark wrote, whose files do not have
        it, and for files of earlier versions. Every call gives a new copy; to change it changes nothing here.

        >>> import pandas as pd
        >>> from daskals import ALS
        >>> ratings = pd.DataFrame({"user": [0, 0, 1], "item": [0, 1, 1], "rating": [4.0, 2.0, 3.0]})
        >>> ALS(rank=2, regParam=0.05).fit(ratings).parent.getRegParam()
        0.05
        """
        return None if self._parent is None else self._parent.copy()

    @property
    def _java_obj(self) -> NoReturn:
        """There is none. PySpark's users reach the parameters of a fit through it, and are told how to do so here."""
        raise AttributeError(
            f"{type(self).__name__} has no _java_obj: there is no Java here. Where PySpark's idiom is "
            "bestModel._java_obj.parent().getRegParam(), write bestModel.parent.getRegParam()."
        )

    def _parent_fields(self, parent: ALS) -> dict[str, Any]:
        """What the metadata say of the estimator: its uid, and what was set."""
        values = {param.name: value for param, value in parent._paramMap.items()}
        learned = {name: value for name, value in self._learned._asdict().items() if value is not None}
        known = {"learned": learned} if learned else {}
        return {"uid": parent.uid, "paramMap": {**parent._own_defaults, **values}, **known}

    def _fit_params(self, given: Mapping[str, Any]) -> ALSParams:
        """The parameters of the fit, overridden by those of `FIT_KEYWORDS` that are given (those that are not None).

        ``ValueError`` that names what is missing, or out of range; ``TypeError`` for a value of a wrong type.
        """
        values = {name: value for name, value in given.items() if value is not None}
        params: ALSParams
        if self._parent is not None:
            params = self._parent.copy()
        else:
            self._require_how(values)
            params = ALSParams()._resetUid(self.uid)
        params._set(**values)
        if "regParam" in values:  # that of the caller is meant for these rows
            params.clear("userRegParam")
            params.clear("itemRegParam")
        Params.validate(params)
        refuse_impossible_objectives(params)
        return params

    def _goal(self, params: ALSParams) -> Goal:
        """What rows of more ratings minimise, with these parameters."""
        return goal_of(params, self._learned)

    def _counts_of(self, side: SideName) -> Delayed:
        """The task for the numbers of ratings of a side; ``ValueError`` where they are needed and not known."""
        counts: Delayed | None = getattr(self._factors, side).counts
        if counts is None:
            raise ValueError(
                f"{self.uid} was fitted with weights by numbers of ratings (userCountExponent, itemCountExponent), and "
                "does not know these numbers any more: fit again."
            )
        return counts

    def _require_how(self, values: Mapping[str, Any]) -> None:
        needed = ["regParam", "implicitPrefs", *(["alpha"] if values.get("implicitPrefs") else [])]
        missing = [name for name in needed if name not in values]
        if missing:
            raise ValueError(
                f"{self.uid} does not know its fit (model.parent is None, as for models that Spark wrote): pass "
                f"{', '.join(f'{name}=' for name in missing)} as in that fit, and nonnegative=True or ratingCol= where "
                "they were not the defaults."
            )


def parent_of(uid: str, values: Mapping[str, Any], learned: Mapping[str, float]) -> tuple[ALS, Learned]:
    """The estimator with this uid, in which these parameters are set; and what its fit has learned.

    ``ValueError`` for a name that is none and for a value out of range, ``TypeError`` for one of a wrong type.
    """
    from daskals.recommendation.estimator import ALS  # which imports the model, and so this module

    parent = ALS()._resetUid(uid)._set(**values)
    Params.validate(parent)
    return parent, Learned(**learned)
