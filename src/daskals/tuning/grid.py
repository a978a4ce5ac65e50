"""Grids of parameter maps, and their JSON.

A map is a dict from parameters to values, ``{als.rank: 5, als.regParam: 0.1}``; a grid is a list of them. In the
metadata of a directory a map is a list of ``{"parent": uid, "name": ..., "value": JSON, "isJson": "true"}``.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from daskals.params.declared import Params
from daskals.params.param import Param, ParamMap
from daskals.params.shown import Picture, Row, Shown, short

if TYPE_CHECKING:
    from typing import Self


#: A map as JSON.
Entries = list[dict[str, Any]]


class ParamGridBuilder(Shown):
    """Builds all combinations of parameter values; ``pyspark.ml.tuning.ParamGridBuilder``.

    The parameter that was added last varies fastest.

    >>> from daskals import ALS
    >>> als = ALS()
    >>> grid = ParamGridBuilder().baseOn({als.maxIter: 5}).addGrid(als.rank, [5, 10]).addGrid(als.regParam, [0.1, 1])
    >>> for each in grid.build():
    ...     print({param.name: value for param, value in each.items()})
    {'maxIter': 5, 'rank': 5, 'regParam': 0.1}
    {'maxIter': 5, 'rank': 5, 'regParam': 1.0}
    {'maxIter': 5, 'rank': 10, 'regParam': 0.1}
    {'maxIter': 5, 'rank': 10, 'regParam': 1.0}
    """

    def __init__(self) -> None:
        self._values: dict[Param, list[Any]] = {}

    def _picture(self) -> Picture:
        n = math.prod(map(len, self._values.values()))
        rows = [Row(param.name, short(values), param.doc) for param, values in self._values.items()]
        return Picture(type(self).__name__, [Row("maps", str(n)), *rows])

    def addGrid(self, param: Param, values: Iterable[Any]) -> Self:
        """Let a parameter take each of ``values``, which replace those it had; return self.

        ``TypeError`` if ``param`` is no parameter (``als.rank``), if ``values`` is not iterable or is a string, or for
        a value of a wrong type; ``ValueError`` if there are no values, which would leave nothing of the grid.
        """
        if not isinstance(param, Param):
            raise TypeError(f"param must be an instance of Param, such as als.rank, got {param!r}")
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(f"The values of {param.name!r} must be a list of values, got {values!r}")
        converted = [_converted(param, value) for value in values]
        if not converted:
            raise ValueError(f"{param.name!r} was given no values; leave it out of the grid to keep the estimator's")
        self._values[param] = converted
        return self

    def baseOn(self, *args: ParamMap | Sequence[Any]) -> Self:
        """Give parameters one value each, by a dict or by (parameter, value) pairs; return self.

        ``TypeError`` for anything else, and as `addGrid`.
        """
        pairs = list(args[0].items()) if len(args) == 1 and isinstance(args[0], Mapping) else list(args)
        for pair in pairs:
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise TypeError(f"baseOn takes one dict, or pairs (parameter, value), got {pair!r}")
            self.addGrid(pair[0], [pair[1]])
        return self

    def build(self) -> list[dict[Param, Any]]:
        """The grid: a list of maps; of one empty map if nothing was added."""
        return [dict(zip(self._values, values, strict=True)) for values in itertools.product(*self._values.values())]


def _converted(param: Param, value: Any) -> Any:
    try:
        return param.typeConverter(value)
    except TypeError as error:
        raise TypeError(f'Invalid param value given for param "{param.name}". {error}') from None


def encode_maps(maps: Sequence[ParamMap], owner: Params) -> list[Entries]:
    """A grid as JSON; ``ValueError`` for a parameter that does not belong to ``owner``."""
    return [[_encode(owner._resolveParam(param), value) for param, value in each.items()] for each in maps]


def _encode(param: Param, value: Any) -> dict[str, Any]:
    encoded = json.dumps(_converted(param, value))
    return {"parent": param.parent, "name": param.name, "value": encoded, "isJson": "true"}


def decode_maps(path: str, maps: Sequence[Entries], owner: Params) -> list[ParamMap]:
    """The grid of JSON that is from the metadata of ``path``, of parameters of ``owner``.

    ``ValueError`` naming the path and the fault for parameters of others, unknown ones, and what is no such JSON.
    """
    try:
        return [dict(_decode(entry, owner) for entry in each) for each in maps]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"The metadata of {path} hold no grid for {owner.uid} in estimatorParamMaps: {error}"
        ) from None


def _decode(entry: dict[str, Any], owner: Params) -> tuple[Param, Any]:
    if entry["parent"] != owner.uid:
        raise ValueError(f"{entry['name']!r} is a parameter of {entry['parent']}")
    if str(entry.get("isJson", True)).lower() != "true":
        raise ValueError(f"the value of {entry['name']!r} is not JSON but saved in {entry['value']}")
    value, param = entry["value"], owner.getParam(entry["name"])
    return param, _converted(param, json.loads(value) if isinstance(value, str) else value)
