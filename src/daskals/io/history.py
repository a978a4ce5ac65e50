"""The columns of a model's history, as its metadata have them and as `ALSModel.history` shows them."""

from __future__ import annotations

#: What an iteration's error is called: of ratings where the fit is explicit, of preferences where it is implicit.
RATING_ERROR, PREFERENCE_ERROR = "rmse", "preferenceRmse"
#: The columns of either kind of fit, in their order.
EXPLICIT_COLUMNS = ("iteration", "objective", RATING_ERROR, "seconds")
IMPLICIT_COLUMNS = ("iteration", "objective", PREFERENCE_ERROR, "seconds")
#: What the metric of held-out ratings is called, in the column that follows where there are such: an error where the
#: fit is explicit, to be small, and a gain where it is implicit, to be large.
VALIDATION_ERROR, VALIDATION_GAIN = "validationRmse", "validationNdcg"


def columns_of(*, implicit: bool, validated: bool) -> tuple[str, ...]:
    """The columns of a fit of this kind, with held-out ratings or without."""
    if implicit:
        return (*IMPLICIT_COLUMNS, VALIDATION_GAIN) if validated else IMPLICIT_COLUMNS
    return (*EXPLICIT_COLUMNS, VALIDATION_ERROR) if validated else EXPLICIT_COLUMNS
