"""The columns of a model's history, as its metadata have them and as `ALSModel.history` shows them."""

from __future__ import annotations

#: What an iteration's error is called: of ratings where the fit is explicit, of preferences where it is implicit.
RATING_ERROR, PREFERENCE_ERROR = "rmse", "preferenceRmse"
#: All columns of either kind of fit, in their order.
EXPLICIT_COLUMNS = ("iteration", "objective", RATING_ERROR, "seconds")
IMPLICIT_COLUMNS = ("iteration", "objective", PREFERENCE_ERROR, "seconds")
