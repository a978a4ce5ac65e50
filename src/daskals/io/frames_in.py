"""Frames in: their columns are checked, and their rows are read into arrays, partition by partition."""

from __future__ import annotations

import decimal
import numbers
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from dask.delayed import Delayed

from daskals.blocks.ids import encode
from daskals.blocks.ratings import CodedChunk, CodedIds
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task, tree_reduce
from daskals.io.frames import Frame, kind_of, partitions
from daskals.io.ids import (
    IdKind,
    IdType,
    count_true,
    id_type_to_look_up,
    is_arrow_decimal,
    is_object,
    place_of,
    read_ids,
)
from daskals.kernels.types import Float32, Ids


class Columns(NamedTuple):
    """Names of the columns to read."""

    user: str | None
    item: str | None
    rating: str | None = None


def check_columns(dataset: Frame, columns: Columns, new: str | None) -> None:
    """The named columns must exist once, be distinct, and ``new`` must not be there; else ``ValueError``."""
    kind_of(dataset)
    present = list(dataset.columns)
    names = [name for name in columns if name is not None]
    for role, name in zip(columns._fields, columns, strict=True):
        if name is not None and present.count(name) != 1:
            how = "No column" if name not in present else f"{present.count(name)} columns"
            raise ValueError(
                f"{how} {name!r} in the dataset; its columns are {', '.join(map(repr, present))}. Rename the "
                f"column, or set {role}Col to the name of the column of {role}s."
            )
    if len(set(names)) < len(names):
        raise ValueError(f"userCol, itemCol and ratingCol must name different columns, got {', '.join(names)}")
    if new in present:
        raise ValueError(f"Column {new!r} already exists in the dataset. Drop it, or set predictionCol to a new name.")


def rating_chunks(
    scheduler: Scheduler, dataset: Frame, columns: Columns, users: IdType, items: IdType, token: str
) -> list[Delayed]:
    """Tasks that read the ratings, a `CodedChunk` each. Values are checked when a task runs: ``ValueError``."""
    assert columns.rating is not None
    dtype = dataset[columns.rating].dtype
    of_numbers = pd.api.types.is_any_real_numeric_dtype(dtype)
    if not of_numbers and not is_object(dtype) and not is_arrow_decimal(dtype):
        raise TypeError(
            f"Column {columns.rating!r} is of type {dtype}, but ratings must be numbers: convert it first, "
            "for example with pandas.to_numeric."
        )
    return [
        task(read_ratings, part, columns, users, items, name=f"als-read-{token}-{number}")
        for number, part in enumerate(partitions(dataset[list(columns)], scheduler))
    ]


def pair_chunks(parts: Sequence[Delayed], columns: Columns, users: IdType, items: IdType, token: str) -> list[Delayed]:
    """Tasks that read users and items, two `CodedIds` each, of a frame in ``parts``."""
    return [
        task(read_pairs, part, columns, users, items, name=f"als-pairs-{token}-{number}")
        for number, part in enumerate(parts)
    ]


def wanted_ids(scheduler: Scheduler, dataset: Frame, name: str, trained: IdType) -> Delayed:
    """A task that gives the distinct ids of one column, ascending; nulls are passed over.

    ``ValueError`` if there is no such column, ``TypeError`` if its ids are of another kind than those trained on.
    """
    check_columns(dataset, Columns(name, None, None), None)
    given, token = id_type_to_look_up(dataset, name, trained), new_token()
    parts = [
        task(_distinct, part, name, given.kind, name=f"als-wanted-{token}-{number}")
        for number, part in enumerate(partitions(dataset[[name]], scheduler))
    ]
    return tree_reduce(_union, parts, f"als-wanted-tree-{token}")


def _distinct(frame: pd.DataFrame, name: str, kind: IdKind) -> Ids:
    column = frame[name].dropna()
    if kind != "str" and pd.api.types.is_float_dtype(column.dtype):
        column = column[column % 1 == 0]  # as Spark: a fractional id is nobody's, and no error here
    return read_ids(column, kind).uniques


def _union(*ids: Ids) -> Ids:
    return encode(np.concatenate(ids)).uniques


def read_ratings(frame: pd.DataFrame, columns: Columns, users: IdType, items: IdType) -> CodedChunk:
    """The ratings of one part of a frame."""
    assert columns.rating is not None
    ratings = read_numbers(frame[columns.rating])
    return CodedChunk(*read_pairs(frame, columns, users, items), ratings)


def read_pairs(frame: pd.DataFrame, columns: Columns, users: IdType, items: IdType) -> tuple[CodedIds, CodedIds]:
    """The users and items of one part of a frame."""
    return read_ids(frame[columns.user], users.kind), read_ids(frame[columns.item], items.kind)


def read_numbers(column: pd.Series) -> Float32:
    """A column of ratings as float32; ``ValueError`` at a null, NaN or infinite one, naming the first row."""
    if is_object(column.dtype):
        _check_numbers(column)
    try:
        wide = column.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise TypeError(f"Column {column.name!r} holds values that are not numbers: {error}") from None
    with np.errstate(over="ignore"):
        ratings = wide.astype(np.float32)
    finite = np.isfinite(ratings)
    if not finite.all():
        row = int(np.argmin(finite))
        what = "null or NaN" if np.isnan(wide[row]) else f"{wide[row]}, which is not a finite float32"
        raise ValueError(
            f"Column {column.name!r} is {what} in {place_of(column, row)} ({count_true(~finite)} such): ratings must "
            "be finite numbers. Drop or repair those rows first."
        )
    return ratings


def _check_numbers(column: pd.Series) -> None:
    """``TypeError`` at the first value of an object column that is no number: NumPy would convert "3" and True."""
    for row, value in enumerate(column):
        number = isinstance(value, numbers.Real | decimal.Decimal) and not isinstance(value, bool | np.bool_)
        missing = pd.api.types.is_scalar(value) and pd.isna(value)
        if not number and not missing:
            raise TypeError(
                f"Column {column.name!r} holds {value!r} in {place_of(column, row)}, but ratings must be numbers: "
                "convert it first, for example with pandas.to_numeric."
            )
