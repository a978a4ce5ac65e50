"""Methods that take parameters by keyword alone: the constructors, and ``setParams``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from daskals.params.names import explain_unknown, shown
from daskals.params.param import Param, capitalized

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
S = TypeVar("S")


class KeywordsOf(Protocol[P]):
    """For type checkers: a method of the parameters P that returns its object, of whatever subclass that is."""

    def __get__(self, instance: S, owner: type | None = None, /) -> Callable[P, S]: ...


def keyword_only(method: F) -> F:
    """Refuse positional and unknown arguments; leave those that were passed in ``self._input_kwargs``.

    Only parameters that the caller passed count as *set* (`Params.isSet`): the defaults in the signature are
    there for the reader.
    """
    return _keyword_only(inspect.signature(method), method)


def keyword_only_like(model: Callable[Concatenate[Any, P], Any]) -> Callable[[Callable[..., Any]], KeywordsOf[P]]:
    """`keyword_only`, with the parameters of another method: ``setParams`` takes what ``__init__`` takes."""
    return functools.partial(_keyword_only, inspect.signature(model))


def _keyword_only(signature: inspect.Signature, method: F) -> F:
    signature = signature.replace(return_annotation=inspect.signature(method).return_annotation)
    known = [name for name in signature.parameters if name != "self"]

    @functools.wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args:
            raise TypeError(_about_positional(type(self), method.__name__, args, known))
        unknown = [name for name in kwargs if name not in known]
        if unknown:
            raise TypeError(_about_unknown(type(self), unknown, known))
        self._input_kwargs = kwargs
        return method(self, **kwargs)

    wrapper.__signature__ = signature  # type: ignore[attr-defined]
    return wrapper  # type: ignore[return-value]


def _about_positional(cls: type, method: str, args: Sequence[object], known: Sequence[str]) -> str:
    """Spark's own words, and the call with the keywords that the arguments had in their order."""
    call = cls.__name__ if method == "__init__" else method
    given = ", ".join(f"{name}={shown(value)}" for name, value in zip(known, args, strict=False))
    return f"Method {method} forces keyword arguments. By their order they would be {call}({given})."


def _about_unknown(cls: type, unknown: Sequence[str], known: Sequence[str]) -> str:
    for name in unknown:
        if isinstance(getattr(cls, name, None), Param):
            call = f"set{capitalized(name)}(value)"
            return f"{name!r} is a parameter of {cls.__name__} but no keyword, as in Spark: call {call}"
    return f"{cls.__name__} has no parameter {explain_unknown(unknown, known)}"


def in_order_of_keywords(cls: type, params: Iterable[Param]) -> list[Param]:
    """Parameters of a class in the order in which its constructor has them, those that are no keywords at the end."""
    names = list(inspect.signature(cls.__init__).parameters)  # type: ignore[misc]
    return sorted(params, key=lambda param: names.index(param.name) if param.name in names else len(names))
