"""What a parameter's value may be: conversions that check its type, and checks of its range."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def to_int(value: object) -> int:
    """An int; floats with an integral value are taken, as Spark does. Booleans are not numbers here."""
    if _is_number(value) and float(value).is_integer():  # type: ignore[arg-type]
        return int(value)  # type: ignore[call-overload, no-any-return]
    raise TypeError(f"Could not convert {value!r} to int")


def to_float(value: object) -> float:
    """A float, from any real number that is not a boolean."""
    if _is_number(value):
        return float(value)  # type: ignore[arg-type]
    raise TypeError(f"Could not convert {value!r} to float")


def to_boolean(value: object) -> bool:
    """A bool and nothing that merely looks like one."""
    if type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise TypeError(f"Boolean Param requires value of type bool. Found {type(value).__name__}: {value!r}")


def to_string(value: object) -> str:
    """A str."""
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"Could not convert {value!r} to string type")


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and type(value).__name__ not in ("bool", "bool_")


@dataclass(frozen=True)
class Check:
    """Which values are allowed: a test, and the words for it that an error message uses."""

    accepts: Callable[[Any], bool]
    allowed: str


ANYTHING = Check(lambda _: True, "any value")


def at_least(minimum: float) -> Check:
    """Allow numbers that are finite and not below ``minimum``."""
    return Check(lambda value: minimum <= value < float("inf"), f"a finite number >= {minimum}")


def one_of(*choices: str) -> Check:
    """Allow these words, in any case of letters."""
    lowered = tuple(choice.lower() for choice in choices)
    return Check(lambda value: value.lower() in lowered, "one of " + ", ".join(map(repr, choices)))


LONGS = Check(lambda value: -(2**63) <= value < 2**63, "a 64-bit signed integer")
