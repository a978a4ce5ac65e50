"""What is wanted of recommendations, as the user says it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskals.engine.factors import FactorMatrix
from daskals.io.frames import Frame
from daskals.params.converters import to_float, to_int


class Given(NamedTuple):
    """Arguments of methods that recommend; what they mean stands in `Recommending.recommendForAllUsers`."""

    exclude: Frame | None
    candidates: Frame | None
    minScore: float | None
    minSupport: int | None
    flat: bool

    def checked(self, candidates: FactorMatrix) -> Given:
        """The same with numbers of the right types; ``TypeError`` or ``ValueError`` if one cannot be that.

        ``ValueError`` as well if the numbers of ratings of the candidates are asked for and not known.
        """
        least = None if self.minScore is None else _number("minScore", self.minScore)
        support = None if self.minSupport is None else at_least_one("minSupport", self.minSupport)
        if support is not None and candidates.counts is None:
            raise ValueError(
                f"minSupport={support}: this model does not know how many ratings its rows had. Models that Spark, or "
                "an earlier version, saved do not say so; fit the model again, or pass candidates=."
            )
        return self._replace(minScore=least, minSupport=support)


def at_least_one(name: str, value: Any) -> int:
    """An argument as an integer; ``TypeError`` if it is none, ``ValueError`` if it is not positive."""
    try:
        number = to_int(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} is not allowed: it must be an integer >= 1") from None
    if number < 1:
        raise ValueError(f"{name}={number} is not allowed: it must be an integer >= 1")
    return number


def _number(name: str, value: Any) -> float:
    try:
        number = to_float(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} is not allowed: it must be a number") from None
    if np.isnan(number):
        raise ValueError(f"{name}={value!r} is not allowed: no score reaches NaN")
    return number
