"""What a row that is not in the model minimises: the parameters of the fit, or those that the caller gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from daskals.blocks.goal import CountWeights, Goal, Learned
from daskals.kernels.objective import Objective
from daskals.params.converters import Check, at_least, one_of, to_boolean, to_float, to_string

_NOT_NEGATIVE = at_least(0)
_Kind = tuple[Callable[[object], Any], Check | None]
_NUMBER: _Kind = (to_float, _NOT_NEGATIVE)
_FLAG: _Kind = (to_boolean, None)
_KINDS: dict[str, _Kind] = {
    "regParam": _NUMBER,
    "implicitPrefs": _FLAG,
    "alpha": _NUMBER,
    "nonnegative": _FLAG,
    "biases": _FLAG,
    "regExponent": _NUMBER,
    "userRegParam": _NUMBER,
    "unobservedWeight": _NUMBER,
    "regCount": (to_string, one_of("observed", "all")),
    "userCountExponent": _NUMBER,
    "itemCountExponent": _NUMBER,
}
#: The values of those parameters that were not set for a fit.
DEFAULTS: dict[str, Any] = {
    **{"regParam": 0.1, "implicitPrefs": False, "alpha": 1.0, "nonnegative": False, "biases": False},
    **{"regExponent": 1.0, "userRegParam": None, "unobservedWeight": None, "regCount": "observed"},
    **{"userCountExponent": 0.0, "itemCountExponent": 0.0},
}


def decode_parent(about: Any) -> dict[str, Any] | None:
    """The parameters of the fit in the metadata of a model, None where they are not known; ``ValueError`` of faults.

    Under "learned" is what the fit has found out about its ratings, a `Learned`.
    """
    if about is None:
        return None
    values = about.get("paramMap") if isinstance(about, dict) else None
    if not isinstance(values, dict):
        raise ValueError(f"{about!r} is no map with a paramMap")
    learned = about.get("learned", {})
    if not isinstance(learned, dict) or not set(learned) <= set(Learned._fields):
        raise ValueError(f"what it has learned is {learned!r}, no map of {', '.join(Learned._fields)}")
    try:
        found = Learned(**{name: to_float(value) for name, value in learned.items()})
        known = {name: _checked(name, values.get(name, default)) for name, default in DEFAULTS.items()}
    except TypeError as error:
        raise ValueError(str(error)) from None
    if (missing := found.missing(known)) is not None:
        raise ValueError(f"it has {missing}")
    return {**known, "learned": found}


def goal_of(parent: Mapping[str, Any] | None, given: Mapping[str, Any]) -> Goal:
    """What to minimise: ``given`` has the same names, None for what the caller has not given.

    ``ValueError`` that says what to pass where the parameters of the fit are not known and too few are given.
    """
    named = {name: _checked(name, value) for name, value in given.items() if value is not None}
    if parent is None:
        missing = [name for name in ("regParam", "implicitPrefs") if name not in named]
        if named.get("implicitPrefs", False) and "alpha" not in named:
            missing.append("alpha")
        if missing:
            raise ValueError(
                "The files of this model do not tell with which parameters it was fitted (Spark's never do). Pass "
                f"those of the fit: {', '.join(f'{name}=' for name in missing)}; and alpha= where "
                "implicitPrefs is True, nonnegative=True if it was set."
            )
    values = {**DEFAULTS, "learned": Learned(), **(parent or {}), **named}
    if values["biases"] and (values["implicitPrefs"] or values["nonnegative"]):
        raise ValueError("This model has biases, with which neither implicitPrefs nor nonnegative can be True")
    of_all_pairs = values["unobservedWeight"] is not None or values["regCount"].lower() == "all"
    if of_all_pairs and not values["implicitPrefs"]:
        raise ValueError(
            "This model was fitted with unobservedWeight or regCount='all', weights of pairs without a rating, which "
            "explicit ratings do not have: leave implicitPrefs out, or pass implicitPrefs=True"
        )
    learned, exponents = values["learned"], (values["userCountExponent"], values["itemCountExponent"])
    scale = 1.0 if learned.count_scale is None else learned.count_scale
    return Goal(
        Objective(
            values["regParam"],
            values["implicitPrefs"],
            values["alpha"],
            values["nonnegative"],
            reg_exponent=values["regExponent"],
            unobserved_weight=values["unobservedWeight"],
        ),
        # a regParam of the caller is meant for this row
        user_reg=None if "regParam" in named else values["userRegParam"],
        counts_all=values["regCount"].lower() == "all",
        mean=learned.mean if values["biases"] else None,
        weights=CountWeights(*exponents, scale) if any(exponents) else None,
    )


def _checked(name: str, value: Any) -> Any:
    convert, check = _KINDS[name]
    if value is None and DEFAULTS[name] is None:
        return None
    try:
        converted = convert(value)
    except TypeError as error:
        raise TypeError(f"{name}={value!r} is not allowed: {error}") from None
    if check is not None and not check.accepts(converted):
        raise ValueError(f"{name}={value!r} is not allowed: it must be {check.allowed}")
    return converted
