"""One parameter: its name, its text, its type, its default and its range."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from daskals.params.converters import ANYTHING, Check
from daskals.params.names import shown

ParamMap = Mapping["Param", Any]


class UnknownParamError(AttributeError, ValueError):
    """There is no parameter of this name. An ``AttributeError`` as in Spark 4, a ``ValueError`` as before."""


@dataclass(frozen=True, eq=False)
class Param:
    """One parameter of a class, or of an instance.

    It is declared as an attribute of a class (``ALS.rank``). Read from an instance, it is a parameter that belongs to
    that instance (``als.rank``). Two parameters are equal when they have the same name and belong to the same
    instance: this makes ``{als.rank: 5}`` a parameter map.
    """

    name: str
    doc: str
    typeConverter: Callable[[Any], Any]
    default: Any = None
    check: Check = ANYTHING
    #: uid of the instance that it belongs to
    parent: str = "undefined"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Param) and (self.parent, self.name) == (other.parent, other.name)

    def __hash__(self) -> int:
        return hash((self.parent, self.name))

    def __str__(self) -> str:
        return f"{self.parent}__{self.name}"

    def __repr__(self) -> str:
        """``ALS.rank`` of the parameter of an instance, whose class its uid names, and else ``Param('rank')``."""
        owner, _, number = self.parent.rpartition("_")
        return f"{owner}.{self.name}" if owner.isidentifier() and number else f"Param({self.name!r})"

    def __get__(self, instance: object, owner: type | None = None) -> Param:
        if instance is None:
            return self
        holder: Any = instance
        return replace(self, parent=holder.uid, default=holder._own_defaults.get(self.name, self.default))

    def __set__(self, instance: object, value: object) -> NoReturn:
        raise AttributeError(about_assignment(instance, self.name, self.name, value))


def about_assignment(instance: object, name: str, param: str, value: object) -> str:
    """Why an attribute of this name cannot be assigned, and what sets the parameter that was meant."""
    setter = f"set{capitalized(param)}"
    call = f"{setter}({shown(value)})" if hasattr(instance, setter) else f"set({param!r}, {shown(value)})"
    return f"Assigning to {name!r} sets no parameter of {type(instance).__name__}: call {call}"


def capitalized(name: str) -> str:
    """With a capital first letter: the part of a name after get or set."""
    return name[0].upper() + name[1:]
