"""Parameters in Spark's manner: each one is declared once, with its type, its allowed values and its text.

A class lists its parameters as class attributes::

    class ALS(Params):
        rank = Param("rank", "number of latent factors", to_int, default=10, check=whole_from(1))

and has from that line everything that Spark's users know: ``als.getRank()``, ``als.setRank(5)``,
``als.getOrDefault("rank")``, ``als.explainParam("rank")``, and ``als.rank`` as a key of a parameter map
(``{als.rank: 5}``).

Values are checked in two stages, as Spark does it. The *type* is converted and checked when a value is set
(``TypeError``); the *range* is checked when an estimator is about to work (`Params.validate`,
``ValueError``), and then all offending parameters are named at once.

Counterparts in Spark: ``pyspark.ml.param.Param``, ``Params`` and ``TypeConverters``.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from daskals.params.accessors import add_accessors
from daskals.params.keywords import in_order_of_keywords
from daskals.params.maps import require_map
from daskals.params.names import explain_unknown, misspelt
from daskals.params.param import Param, ParamMap, UnknownParamError, about_assignment
from daskals.params.shown import Picture, Row, Shown, count, short

if TYPE_CHECKING:
    from typing import Self


class Params(Shown):
    """An object with parameters, as ``pyspark.ml.param.Params``.

    Subclasses declare `Param` class attributes. They get ``getX`` methods for all of these, and ``setX`` methods for
    the parameters named in ``_setters`` (all, where it is None).

    Methods that start with an underscore and are written as ``_setDefault`` are Spark's, for subclasses.
    """

    uid: str
    _setters: tuple[str, ...] | None = None
    _input_kwargs: dict[str, Any]
    #: the getters and setters that this class has added to those that it inherits
    _accessors: ClassVar[dict[str, Param]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._accessors = add_accessors(cls, _declared(cls), cls._setters)

    def __init__(self) -> None:
        self.uid = f"{type(self).__name__}_{uuid.uuid4().hex[-12:]}"
        self._paramMap: dict[Param, Any] = {}
        #: defaults of this instance that are not those of its class, by name
        self._own_defaults: dict[str, Any] = {}

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; ``AttributeError`` where a parameter was meant, which an attribute would not set."""
        if not (name.startswith("_") or name == "uid" or hasattr(type(self), name)):
            meant = misspelt(name, (param.name for param in _declared(type(self))))
            if meant:
                raise AttributeError(about_assignment(self, name, meant, value))
        super().__setattr__(name, value)

    def _picture(self) -> Picture:
        """A call of the constructor with what is not as the class declares it; all else folded away."""
        changed: list[Row] = []
        others: list[Row] = []
        for param in in_order_of_keywords(type(self), _declared(type(self))):
            defined = self.isDefined(param)
            value = self.getOrDefault(param) if defined else None
            is_changed = defined and not _same(value, param.default)
            rows = changed if is_changed else others
            rows.append(Row(param.name, short(value) if defined else "not set", param.doc))
        heading = f"{count(len(others), 'parameter')} at default"
        return Picture(type(self).__name__, changed, is_call=True, folded=(heading, others))

    # -- what there is

    @property
    def params(self) -> list[Param]:
        """All parameters, sorted by name."""
        return [getattr(self, param.name) for param in _declared(type(self))]

    def hasParam(self, paramName: str) -> bool:
        """Whether there is a parameter of this name; ``TypeError`` if that is no str."""
        if not isinstance(paramName, str):
            raise TypeError(f"hasParam takes the name of a parameter, a str, got {paramName!r}")
        return isinstance(getattr(type(self), paramName, None), Param)

    def getParam(self, paramName: str) -> Param:
        """The parameter of this name.

        `UnknownParamError`, which is an ``AttributeError`` and a ``ValueError``, if there is none.
        """
        if not self.hasParam(paramName):
            names = (param.name for param in self.params)
            raise UnknownParamError(f"{self.uid} has no parameter {explain_unknown([paramName], names)}")
        param: Param = getattr(self, paramName)
        return param

    def isSet(self, param: Param | str) -> bool:
        """Whether the parameter was set by the user."""
        return self._resolveParam(param) in self._paramMap

    def hasDefault(self, param: Param | str) -> bool:
        """Whether the parameter has a default value."""
        return self._resolveParam(param).default is not None

    def isDefined(self, param: Param | str) -> bool:
        """Whether the parameter was set or has a default."""
        return self.isSet(param) or self.hasDefault(param)

    def getOrDefault(self, param: Param | str) -> Any:
        """The value that was set, else the default; ``KeyError`` if there is neither."""
        own = self._resolveParam(param)
        if own in self._paramMap:
            return self._paramMap[own]
        if own.default is None:
            raise KeyError(f"Parameter {own.name!r} of {self.uid} is not set and has no default")
        return own.default

    def explainParam(self, param: Param | str) -> str:
        """One line: ``name: doc (default: x, current: y)``."""
        own = self._resolveParam(param)
        notes = [f"default: {own.default}"] if own.default is not None else []
        notes += [f"current: {self._paramMap[own]}"] if own in self._paramMap else []
        return f"{own.name}: {own.doc} ({', '.join(notes) or 'undefined'})"

    def explainParams(self) -> str:
        """A line for every parameter, sorted by name."""
        return "\n".join(map(self.explainParam, self.params))

    def extractParamMap(self, extra: ParamMap | None = None) -> dict[Param, Any]:
        """Defaults, overridden by what was set, overridden by ``extra``."""
        return {**self._defaultParamMap, **self._paramMap, **(extra or {})}

    # -- changing it

    def __copy__(self) -> Self:
        """What ``copy.copy`` gives: `copy` without other values."""
        return self.copy()

    def set(self, param: Param | str, value: Any) -> Self:
        """Set one parameter and return self; ``TypeError`` if the value is of a wrong type."""
        return self._set(**{self._resolveParam(param).name: value})

    def clear(self, param: Param | str) -> None:
        """Return a parameter to its default."""
        self._paramMap.pop(self._resolveParam(param), None)

    def copy(self, extra: ParamMap | None = None) -> Self:
        """A copy with the same uid, in which ``extra`` is set; ``TypeError`` if that is no map."""
        values = require_map(extra)
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other._paramMap, other._own_defaults = dict(self._paramMap), dict(self._own_defaults)
        for param, value in values.items():
            other.set(param, value)
        return other

    def validate(self) -> None:
        """Stage two: raise one ``ValueError`` that names every value out of range and what is allowed."""
        self._require_range(self.extractParamMap())

    def _require_range(self, values: ParamMap) -> None:
        faults = [
            f"  {param.name}={value!r} is not allowed: it must be {param.check.allowed}"
            for param, value in values.items()
            if not param.check.accepts(value)
        ]
        if faults:
            raise ValueError("\n".join([f"{self.uid} was given invalid values:", *faults]))

    # -- for subclasses, with Spark's names

    @property
    def _defaultParamMap(self) -> Mapping[Param, Any]:
        """The parameters that have a default, with it. Change defaults by `_setDefault`."""
        return MappingProxyType({param: param.default for param in self.params if param.default is not None})

    def _set(self, **kwargs: Any) -> Self:
        """Convert and set; a value of None means "not given". All are set, or none."""
        self._paramMap.update(self._convert(kwargs))
        return self

    def _setDefault(self, **kwargs: Any) -> Self:
        """Give parameters of this instance other defaults than those that the class declares."""
        converted = self._convert(kwargs)
        self._own_defaults.update({param.name: value for param, value in converted.items()})
        return self

    def _convert(self, values: Mapping[str, Any]) -> dict[Param, Any]:
        converted = {}
        for name, value in values.items():
            param = self.getParam(name)
            if value is None:
                continue
            try:
                converted[param] = param.typeConverter(value)
            except TypeError as error:
                raise TypeError(f'Invalid param value given for param "{name}". {error}') from None
        return converted

    def _resolveParam(self, param: Param | str) -> Param:
        """This instance's parameter that is meant by a name, or by a Param of the instance or its class."""
        if isinstance(param, str):
            return self.getParam(param)
        if not isinstance(param, Param):
            raise TypeError(f"Expected a parameter or its name, got {param!r}")
        self._shouldOwn(param)
        return self.getParam(param.name)

    def _shouldOwn(self, param: Param) -> None:
        """``ValueError`` if the parameter is one of another instance, or of none of our classes."""
        if param.parent not in (self.uid, "undefined") or not self.hasParam(param.name):
            raise ValueError(f"Parameter {param} does not belong to {self.uid}")

    def _copyValues(self, to: Params, extra: ParamMap | None = None) -> Params:
        """Give ``to`` this instance's values and defaults, and ``extra``, where it has the parameter; return it."""
        to._own_defaults.update({name: value for name, value in self._own_defaults.items() if to.hasParam(name)})
        for param, value in {**self._paramMap, **(extra or {})}.items():
            if to.hasParam(param.name):
                to._set(**{param.name: value})
        return to

    def _resetUid(self, newUid: Any) -> Self:
        """Take another uid, with all parameters and their values; return self."""
        values = {param.name: value for param, value in self._paramMap.items()}
        self.uid = str(newUid)
        self._paramMap = {getattr(self, name): value for name, value in values.items()}
        return self


def _declared(cls: type[Params]) -> tuple[Param, ...]:
    """The parameters of a class, sorted by name."""
    names = {name for base in cls.__mro__ for name, value in vars(base).items() if isinstance(value, Param)}
    found = (getattr(cls, name) for name in sorted(names))
    return tuple(param for param in found if isinstance(param, Param))


def _same(value: object, default: object) -> bool:
    """Whether a value is its default; it may be of any type, an array too."""
    return value is default or bool(type(value) is type(default) and value == default)
