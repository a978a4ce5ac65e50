"""What a parameter's value may be: conversions that check its type, and checks of its range."""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Spark's integers have 32 bits.
LARGEST_INT = 2**31 - 1


def to_int(value: object) -> int:
    """An int; floats with an integral value are taken, as Spark does. Booleans are not numbers here."""
    # an integer may be beyond the range of floats
    if _is_number(value) and (isinstance(value, numbers.Integral) or float(value).is_integer()):  # type: ignore[arg-type]
        return int(value)  # type: ignore[call-overload, no-any-return]
    raise TypeError(f"Could not convert {value!r} to int")


def to_float(value: object) -> float:
    """A float, from any real number that is not a boolean; ``ValueError`` for an integer beyond their range."""
    if _is_number(value):
        try:
            return float(value)  # type: ignore[arg-type]
        except OverflowError:
            raise ValueError("An integer of more than 308 digits is beyond the range of floats") from None
    raise TypeError(f"Could not convert {value!r} to float")


def to_boolean(value: object) -> bool:
    """A bool, from a bool of Python or NumPy and from nothing else."""
    if type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise TypeError(f"Boolean Param requires value of type bool. Found {type(value).__name__}: {value!r}")


def to_string(value: object) -> str:
    """A str, from a str or a subclass of it."""
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"Could not convert {value!r} to string type")


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and type(value).__name__ not in ("bool", "bool_")


@dataclass(frozen=True)
class Check:
    """Which values are allowed: a test, and the words for it that an error message uses.

    ``accepts`` is a function of a module, or a `functools.partial` of one, and never a lambda: parameters are
    pickled with the objects that they belong to.
    """

    accepts: Callable[[Any], bool]
    allowed: str


def at_least(minimum: float) -> Check:
    """Allow numbers that are finite and not below ``minimum``."""
    return Check(functools.partial(_is_finite_and_at_least, minimum), f"a finite number >= {minimum}")


def above(minimum: float) -> Check:
    """Allow numbers that are finite and above ``minimum``."""
    return Check(functools.partial(_is_finite_and_above, minimum), f"a finite number > {minimum}")


def whole_from(minimum: int) -> Check:
    """Allow integers that are not below ``minimum`` and that Spark could hold."""
    allowed = f"an integer >= {minimum}, and at most {LARGEST_INT}"
    return Check(functools.partial(_is_between, minimum, LARGEST_INT), allowed)


def one_of(*choices: str) -> Check:
    """Allow these words, in any case of letters."""
    lowered = tuple(choice.lower() for choice in choices)
    return Check(functools.partial(_is_word_of, lowered), "one of " + ", ".join(map(repr, choices)))


def _is_anything(_: object) -> bool:
    return True


def _is_finite_and_at_least(minimum: float, value: float) -> bool:
    return minimum <= value < math.inf


def _is_finite_and_above(minimum: float, value: float) -> bool:
    return minimum < value < math.inf


def _is_between(minimum: int, maximum: int, value: int) -> bool:
    return minimum <= value <= maximum


def _is_word_of(words: tuple[str, ...], value: str) -> bool:
    return value.lower() in words


ANYTHING = Check(_is_anything, "any value")
LONGS = Check(functools.partial(_is_between, -(2**63), 2**63 - 1), "a 64-bit signed integer")
