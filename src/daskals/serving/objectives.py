"""What a row that is not in the model minimises: the parameters of the fit, or those that the caller gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daskals.kernels.objective import Objective
from daskals.params.converters import at_least, to_boolean, to_float

#: The parameters that an objective is made of, and the values of those that were not set for a fit.
DEFAULTS: dict[str, Any] = {"regParam": 0.1, "implicitPrefs": False, "alpha": 1.0, "nonnegative": False}
_NOT_NEGATIVE = at_least(0)


def decode_parent(about: Any) -> dict[str, Any] | None:
    """The parameters of the fit in the metadata of a model, None where they are not known; ``ValueError`` of faults."""
    if about is None:
        return None
    values = about.get("paramMap") if isinstance(about, dict) else None
    if not isinstance(values, dict):
        raise ValueError(f"{about!r} is no map with a paramMap")
    try:
        return {name: _checked(name, values.get(name, default)) for name, default in DEFAULTS.items()}
    except TypeError as error:
        raise ValueError(str(error)) from None


def objective_of(parent: Mapping[str, Any] | None, given: Mapping[str, Any]) -> Objective:
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
    values = {**DEFAULTS, **(parent or {}), **named}
    return Objective(values["regParam"], values["implicitPrefs"], values["alpha"], values["nonnegative"])


def _checked(name: str, value: Any) -> Any:
    convert = to_float if name in ("regParam", "alpha") else to_boolean
    try:
        converted = convert(value)
    except TypeError as error:
        raise TypeError(f"{name}={value!r} is not allowed: {error}") from None
    if convert is to_float and not _NOT_NEGATIVE.accepts(converted):
        raise ValueError(f"{name}={value!r} is not allowed: it must be {_NOT_NEGATIVE.allowed}")
    return converted
