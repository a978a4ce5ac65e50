"""Arguments of methods, checked as parameters are, with errors that name the argument."""

from __future__ import annotations

import math
from typing import Any

from daskals.params.converters import to_boolean, to_float, to_int


def at_least_one(name: str, value: Any) -> int:
    """An argument as an integer; ``TypeError`` if it is none, ``ValueError`` if it is not positive."""
    try:
        number = to_int(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} is not allowed: it must be an integer >= 1") from None
    if number < 1:
        raise ValueError(f"{name}={number} is not allowed: it must be an integer >= 1")
    return number


def least_score(name: str, value: Any) -> float:
    """An argument as a float; ``TypeError`` if it is no number, ``ValueError`` for NaN, which no score reaches."""
    try:
        number = to_float(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} is not allowed: it must be a number") from None
    if math.isnan(number):
        raise ValueError(f"{name}={value!r} is not allowed: no score reaches NaN")
    return number


def true_or_false(name: str, value: Any) -> bool:
    """An argument as a bool; ``TypeError`` for anything else, "yes" too."""
    try:
        return to_boolean(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} is not allowed: it must be True or False") from None
