"""What is tried, and on which rows: grids of parameter maps with their JSON, and training and validation rows.

A map is a dict from parameters to values, ``{als.rank: 5, als.regParam: 0.1}``; a grid is a list of them. In
the metadata of a directory a map is a list of ``{"parent": uid, "name": ..., "value": JSON, "isJson": "true"}``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd

from daskals import execution
from daskals.frames import Frame, kind_of
from daskals.params import Param, ParamMap, Params

if TYPE_CHECKING:
    from typing import Self

#: A map as JSON.
Entries = list[dict[str, Any]]
Mask = npt.NDArray[np.bool_]
#: (rows of a partition, number of the partition) -> which of the rows are for validation
Rule = Callable[[pd.DataFrame, int], Mask]


class ParamGridBuilder:
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
    return [[_encode(owner._own(param), value) for param, value in each.items()] for each in maps]


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


# ---- rows for training, and rows for validation ----------------------------------------------------------


def generator(seed: int, number: int) -> np.random.Generator:
    """The generator of partition ``number``."""
    return np.random.default_rng([seed % 2**64, number])


def split(dataset: Frame, rule: Rule, where: str) -> tuple[Frame, Frame]:
    """The training rows, lazily if the dataset is lazy, and the validation rows, held by the scheduler.

    ``ValueError`` if there are no validation rows (or, of a pandas frame, no training rows).
    """
    train, validation = _rows(dataset, rule, validation=False), _rows(dataset, rule, validation=True)
    if kind_of(dataset) == "dask":
        validation = validation.persist()
    for name, frame in (("validation", validation), ("training", train)):
        if (frame is validation or kind_of(frame) == "pandas") and not len(frame):
            raise ValueError(
                f"There are no {name} rows in {where}: the dataset has too few rows. Use fewer folds, or another "
                "trainRatio; or say in a column, foldCol, which row is in which fold."
            )
    return train, validation


def _rows(dataset: Frame, rule: Rule, *, validation: bool) -> Frame:
    if kind_of(dataset) == "pandas":
        return _filtered(dataset, 0, rule, validation)
    # Not by map_partitions: Dask numbers the partitions anew when it takes some of the result, by head() for example.
    token = execution.new_token()
    parts = [
        execution.task(_filtered, part, number, rule, validation, name=f"als-fold-{token}-{number}")
        for number, part in enumerate(dataset.to_delayed())
    ]
    return dd.from_delayed(parts, meta=dataset._meta, divisions=dataset.divisions, verify_meta=False)


def _filtered(frame: pd.DataFrame, number: int, rule: Rule, validation: bool) -> pd.DataFrame:
    rows: pd.DataFrame = frame[rule(frame, number) == validation]
    return rows


def check_folds(dataset: Frame, column: str, n_folds: int) -> None:
    """The fold numbers of a column must be integers in range, and all of them there; one pass over the column."""
    kind = kind_of(dataset)
    if (times := list(dataset.columns).count(column)) != 1:
        raise ValueError(
            f"There are {times or 'no'} columns {column!r} in the dataset, and foldCol needs one; its columns are "
            f"{', '.join(map(repr, dataset.columns))}"
        )
    dtype = dataset.dtypes[column]
    if not pd.api.types.is_integer_dtype(dtype):
        raise TypeError(
            f"foldCol {column!r} must be a column of integers, its dtype is {dtype}; convert it with astype"
        )
    if kind == "pandas":
        counts = [_count_folds(dataset, column, n_folds)]
    else:
        token = execution.new_token()
        counts = list(
            execution.fetch(
                *(
                    execution.task(_count_folds, part, column, n_folds, name=f"als-count-folds-{token}-{number}")
                    for number, part in enumerate(dataset[[column]].to_delayed())
                )
            )
        )
    total = np.sum(counts, axis=0)
    if not total.all():
        empty = ", ".join(map(str, np.flatnonzero(total == 0)))
        raise ValueError(
            f"foldCol {column!r} leaves fold {empty} without rows: each number from 0 to {n_folds - 1} must be there. "
            f"Set numFolds to how many folds there are."
        )


def _count_folds(frame: pd.DataFrame, column: str, n_folds: int) -> npt.NDArray[np.int64]:
    """How many rows of a partition are in each fold; ``ValueError`` naming the first that is in none."""
    folds = frame[column]
    wrong = (folds.isna() | (folds < 0) | (folds >= n_folds)).fillna(True).to_numpy(bool)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"foldCol {column!r} is {folds.iloc[row]} in row {folds.index[row]!r} ({np.count_nonzero(wrong)} such): "
            f"fold numbers must be in the range 0 to {n_folds - 1}, since numFolds={n_folds}"
        )
    return np.bincount(folds.to_numpy(np.int64), minlength=n_folds)
