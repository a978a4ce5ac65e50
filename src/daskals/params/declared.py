"""Parameters in Spark's manner: each one is declared once, with its type, its allowed values and its text.

A class lists its parameters as class attributes::

    class ALS(Params):
        rank = Param("rank", "number of latent factors", to_int, default=10, check=at_least(1))

and receives from that line everything that Spark's users know: ``als.getRank()``, ``als.setRank(5)``,
``als.getOrDefault("rank")``, ``als.explainParam("rank")``, and ``als.rank`` as a key of a parameter map
(``{als.rank: 5}``).

Values are checked in two stages, as Spark does it. The *type* is converted and checked when a value is set
(``TypeError``); the *range* is checked when an estimator is about to work (`Params.validate`,
``ValueError``), and then all offending parameters are named at once.

Counterparts in Spark: ``pyspark.ml.param.Param``, ``Params`` and ``TypeConverters``.
"""

from __future__ import annotations

import copy as copying
import functools
import inspect
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from daskals.params.converters import ANYTHING, Check

if TYPE_CHECKING:
    from typing import Self


F = TypeVar("F", bound=Callable[..., Any])
ParamMap = Mapping["Param", Any]


@dataclass(frozen=True, eq=False)
class Param:
    """One parameter of a class (on the class) or of an instance (on the instance).

    Two parameters are equal when they have the same name and belong to the same instance, which is what
    makes ``{als.rank: 5}`` a parameter map. ``parent`` is the uid of that instance, on the class "undefined".
    """

    name: str
    doc: str
    typeConverter: Callable[[Any], Any]
    default: Any = None
    check: Check = ANYTHING
    parent: str = "undefined"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Param) and (self.parent, self.name) == (other.parent, other.name)

    def __hash__(self) -> int:
        return hash((self.parent, self.name))

    def __str__(self) -> str:
        return f"{self.parent}__{self.name}"

    def __repr__(self) -> str:
        return f"Param(parent={self.parent!r}, name={self.name!r}, doc={self.doc!r})"


def keyword_only(method: F) -> F:
    """Refuse positional and unknown arguments; leave those that were really passed in ``self._input_kwargs``.

    Only parameters that the caller passed count as *set* (`Params.isSet`): the defaults in the signature are
    there for the reader.
    """
    return keyword_only_like(method)(method)


def keyword_only_like(model: Callable[..., Any]) -> Callable[[F], F]:
    """`keyword_only`, with the parameters of another method: ``setParams`` takes what ``__init__`` takes."""
    return functools.partial(_keyword_only, inspect.signature(model))


def _keyword_only(signature: inspect.Signature, method: F) -> F:
    signature = signature.replace(return_annotation=inspect.signature(method).return_annotation)
    known = [name for name in signature.parameters if name != "self"]

    @functools.wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args:
            raise TypeError(f"Method {method.__name__} forces keyword arguments.")
        unknown = [name for name in kwargs if name not in known]
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no parameter {', '.join(map(repr, unknown))}; "
                f"its parameters are {', '.join(known)}"
            )
        self._input_kwargs = kwargs
        return method(self, **kwargs)

    wrapper.__signature__ = signature  # type: ignore[attr-defined]
    return wrapper  # type: ignore[return-value]


class Params:
    """An object with parameters, as ``pyspark.ml.param.Params``.

    Subclasses declare `Param` class attributes; ``getX`` methods come from them, and ``setX`` methods for the
    parameters named in ``_setters`` (all, where it is None).
    """

    uid: str
    _setters: tuple[str, ...] | None = None
    _input_kwargs: dict[str, Any]

    if TYPE_CHECKING:  # the generated getters and setters

        def __getattr__(self, name: str) -> Any: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for param in _declared(cls):
            name = param.name[0].upper() + param.name[1:]
            if not hasattr(cls, f"get{name}"):
                setattr(cls, f"get{name}", _getter(param))
            if not hasattr(cls, f"set{name}") and (cls._setters is None or param.name in cls._setters):
                setattr(cls, f"set{name}", _setter(param))

    def __init__(self) -> None:
        self._become(f"{type(self).__name__}_{uuid.uuid4().hex[-12:]}")
        self._paramMap: dict[Param, Any] = {}

    def _become(self, uid: str) -> None:
        """Take this uid, and parameters that belong to it."""
        self.uid = uid
        for param in _declared(type(self)):
            setattr(self, param.name, replace(param, parent=uid))

    def __repr__(self) -> str:
        return self.uid

    # -- what there is

    @property
    def params(self) -> list[Param]:
        """All parameters, sorted by name."""
        return [getattr(self, param.name) for param in _declared(type(self))]

    def hasParam(self, paramName: str) -> bool:
        """Whether there is a parameter of this name."""
        return any(param.name == paramName for param in self.params)

    def getParam(self, paramName: str) -> Param:
        """The parameter of this name; ``ValueError`` naming those there are if there is none."""
        for param in self.params:
            if param.name == paramName:
                return param
        names = ", ".join(param.name for param in self.params)
        raise ValueError(f"{self!r} has no parameter {paramName!r}; its parameters are {names}")

    def isSet(self, param: Param | str) -> bool:
        """Whether the parameter was set by the user."""
        return self._own(param) in self._paramMap

    def hasDefault(self, param: Param | str) -> bool:
        """Whether the parameter has a default value."""
        return self._own(param).default is not None

    def isDefined(self, param: Param | str) -> bool:
        """Whether the parameter was set or has a default."""
        return self.isSet(param) or self.hasDefault(param)

    def getOrDefault(self, param: Param | str) -> Any:
        """The value that was set, else the default; ``KeyError`` if there is neither."""
        own = self._own(param)
        if own in self._paramMap:
            return self._paramMap[own]
        if own.default is None:
            raise KeyError(f"Parameter {own.name!r} of {self.uid} is not set and has no default")
        return own.default

    def explainParam(self, param: Param | str) -> str:
        """One line: ``name: doc (default: x, current: y)``."""
        own = self._own(param)
        notes = [f"default: {own.default}"] if own.default is not None else []
        notes += [f"current: {self._paramMap[own]}"] if own in self._paramMap else []
        return f"{own.name}: {own.doc} ({', '.join(notes) or 'undefined'})"

    def explainParams(self) -> str:
        """A line for every parameter, sorted by name."""
        return "\n".join(map(self.explainParam, self.params))

    def extractParamMap(self, extra: ParamMap | None = None) -> dict[Param, Any]:
        """Defaults, overridden by what was set, overridden by ``extra``."""
        defaults = {param: param.default for param in self.params if param.default is not None}
        return {**defaults, **self._paramMap, **(extra or {})}

    # -- changing it

    def set(self, param: Param | str, value: Any) -> Self:
        """Set one parameter; ``TypeError`` if the value is of a wrong type."""
        return self._set(**{self._own(param).name: value})

    def clear(self, param: Param | str) -> None:
        """Return a parameter to its default."""
        self._paramMap.pop(self._own(param), None)

    def copy(self, extra: ParamMap | None = None) -> Self:
        """A copy with the same uid, in which ``extra`` is set."""
        other = copying.copy(self)
        other._paramMap = dict(self._paramMap)
        for param, value in (extra or {}).items():
            other.set(param, value)
        return other

    def validate(self) -> None:
        """Stage two: raise one ``ValueError`` that names every value out of range and what is allowed."""
        faults = [
            f"  {param.name}={value!r} is not allowed: it must be {param.check.allowed}"
            for param, value in self.extractParamMap().items()
            if not param.check.accepts(value)
        ]
        if faults:
            raise ValueError("\n".join([f"{self.uid} was given invalid values:", *faults]))

    def _set(self, **values: Any) -> Self:
        """Convert and set; a value of None means "not given"."""
        converted = {}
        for name, value in values.items():
            if value is None:
                continue
            param = self.getParam(name)
            try:
                converted[param] = param.typeConverter(value)
            except TypeError as error:
                raise TypeError(f'Invalid param value given for param "{name}". {error}') from None
        self._paramMap.update(converted)
        return self

    def _own(self, param: Param | str) -> Param:
        """This instance's parameter that is meant by a name, or by a Param of the instance or its class."""
        if isinstance(param, str):
            return self.getParam(param)
        if not isinstance(param, Param):
            raise TypeError(f"Expected a parameter or its name, got {param!r}")
        if param.parent not in (self.uid, "undefined"):
            raise ValueError(f"Parameter {param} does not belong to {self.uid}")
        return self.getParam(param.name)

    def _copy_values_to(self, other: Params) -> None:
        """Give ``other`` the values set here, for those parameters that it has."""
        for param, value in self._paramMap.items():
            if other.hasParam(param.name):
                other.set(param.name, value)


def _declared(cls: type[Params]) -> tuple[Param, ...]:
    found: dict[str, Param] = {}
    for base in reversed(cls.__mro__):
        found |= {value.name: value for value in vars(base).values() if isinstance(value, Param)}
    return tuple(sorted(found.values(), key=lambda param: param.name))


def _getter(param: Param) -> Callable[[Params], Any]:
    def get(self: Params) -> Any:
        return self.getOrDefault(param.name)

    get.__doc__ = f"The value of {param.name}, or its default: {param.doc}."
    return get


def _setter(param: Param) -> Callable[[Params, Any], Params]:
    def set_(self: Params, value: Any) -> Params:
        return self._set(**{param.name: value})

    set_.__doc__ = f"Set {param.name} and return self: {param.doc}."
    return set_


def read_param_maps(params: ParamMap | Iterable[ParamMap] | None) -> tuple[list[ParamMap], bool]:
    """Normalise the ``params`` argument of ``fit``: the maps, and whether the caller gave a list of them.

    Raises ``TypeError`` for anything that is neither a map nor a list or tuple of maps.
    """
    if params is None:
        return [{}], False
    if isinstance(params, Mapping):
        return [params], False
    if isinstance(params, list | tuple) and all(isinstance(each, Mapping) for each in params):
        return list(params), True
    raise TypeError(
        f"params must be a map from parameters to values, or a list of such maps, got {type(params).__name__}"
    )
