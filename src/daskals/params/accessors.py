"""Getters and setters, which a class has from the parameters that it declares.

They are made when the class is: ``getRank`` and ``setRank`` from ``rank = Param("rank", ...)``. Type checkers do not
run that, so the signatures are written down as well, in the modules ``accessors`` of the packages above
(``python tests/support/accessors.py`` writes them, and a test tells when they are out of date).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from daskals.params.param import Param, capitalized


def add_accessors(cls: type, params: Iterable[Param], settable: Collection[str] | None) -> dict[str, Param]:
    """Give a class those that neither it nor a class that it inherits from has; returns them by name.

    All parameters get a getter, those in ``settable`` a setter too (all, where it is None).
    """
    added = {}
    for param in params:
        getter, setter = (f"{word}{capitalized(param.name)}" for word in ("get", "set"))
        if not hasattr(cls, getter):
            setattr(cls, getter, _named(getter, cls, _getter(param)))
            added[getter] = param
        if not hasattr(cls, setter) and (settable is None or param.name in settable):
            setattr(cls, setter, _named(setter, cls, _setter(param)))
            added[setter] = param
    return added


def type_of(param: Param) -> str:
    """The type of a parameter's values as it is written in code: what its converter is annotated to return."""
    return str(getattr(param.typeConverter, "__annotations__", {}).get("return", "Any"))


def _getter(param: Param) -> Callable[[Any], Any]:
    def get(self: Any) -> Any:
        return self.getOrDefault(param.name)

    get.__doc__ = f"The value of {param.name}, or its default: {param.doc}."
    get.__annotations__ = {"return": type_of(param)}
    return get


def _setter(param: Param) -> Callable[[Any, Any], Any]:
    def set_(self: Any, value: Any) -> Any:
        return self._set(**{param.name: value})

    set_.__doc__ = f"Set {param.name} and return self: {param.doc}."
    set_.__annotations__ = {"value": type_of(param), "return": "Self"}
    return set_


def _named(name: str, cls: type, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as if it had been written in the class, for tracebacks and ``help``."""
    function.__name__, function.__qualname__, function.__module__ = name, f"{cls.__qualname__}.{name}", cls.__module__
    return function
