"""Frames in: their columns are checked, and their rows are read into arrays, partition by partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from dask.delayed import Delayed

from daskals.blocks.ratings import CodedChunk, CodedIds
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import task
from daskals.io.foreign import frame_of_numbers, holds_numbers, names_of, opened, read_frame
from daskals.io.frames import Frame, FrameKind, kind_of, partitions
from daskals.io.id_types import IdType
from daskals.io.ids import can_be_read_as, read_ids
from daskals.io.partition_faults import Source, broken_promise, column_of
from daskals.io.values import can_be_numbers, count_true, in_words, is_bool, is_number, is_object, nulls_of, place_of
from daskals.kernels.types import Float32, Float64

#: A frame of more columns than this is not likely one of ratings under another name.
MANY_COLUMNS = 20


class Columns(NamedTuple):
    """Names of the columns to read."""

    user: str | None
    item: str | None
    rating: str | None = None
    weight: str | None = None

    @property
    def named(self) -> list[str]:
        """Those that there are."""
        return [name for name in self if name is not None]


def read_columns(
    dataset: Frame, columns: Columns, new: str | None = None, frame: str = "the dataset"
) -> tuple[Frame, FrameKind]:
    """A dataset of any kind as a pandas or dask frame, and the kind to give back.

    A pandas or dask frame comes back as it is, of others the named columns alone; arrays and sparse matrices have them
    in the order of `Columns`. The named columns must exist once, be distinct, and ``new`` must not be there; else
    ``ValueError``. ``TypeError`` for what is no frame. ``frame`` names the dataset there.
    """
    if holds_numbers(dataset):
        _check_names(list(dict.fromkeys(columns.named)), columns, new, frame)
        return frame_of_numbers(dataset, columns.named), "pandas"
    kind, dataset = kind_of(dataset, "The dataset" if frame == "the dataset" else frame), opened(dataset)
    _check_names(names_of(dataset), columns, new, frame)
    return dataset if kind in ("pandas", "dask") else read_frame(dataset, columns.named), kind


def _check_names(present: Sequence[Any], columns: Columns, new: str | None, frame: str) -> None:
    for role, name in zip(columns._fields, columns, strict=True):
        if name is not None and present.count(name) != 1:
            how = "No column" if name not in present else f"{present.count(name)} columns"
            raise ValueError(
                f"{how} {name!r} in {frame}; its columns are {_listed(present)}. Rename the "
                f"column, or set {role}Col to the name of the column of {role}s.{_hint_at_melt(present)}"
            )
    if len(set(columns.named)) < len(columns.named):
        roles = (
            "userCol, itemCol and ratingCol" if columns.weight is None else "userCol, itemCol, ratingCol and weightCol"
        )
        raise ValueError(f"{roles} must name different columns, got {', '.join(columns.named)}")
    if new in present:
        raise ValueError(f"Column {new!r} already exists in {frame}. Drop it, or set predictionCol to a new name.")


def _listed(names: Sequence[Any]) -> str:
    more = f" and {len(names) - MANY_COLUMNS} more" if len(names) > MANY_COLUMNS else ""
    return ", ".join(map(repr, names[:MANY_COLUMNS])) + more


def _hint_at_melt(names: Sequence[Any]) -> str:
    if len(names) <= MANY_COLUMNS:
        return ""
    return (
        " If it is a table with a row for each user and a column for each item, make a row of each rating first: "
        "table.rename_axis('user').reset_index().melt('user', var_name='item', value_name='rating').dropna()."
    )


# ---- tasks that read a frame -----------------------------------------------------------------------------


def rating_chunks(
    scheduler: Scheduler, dataset: Frame, columns: Columns, users: IdType, items: IdType, token: str
) -> list[Delayed]:
    """Tasks that read the ratings, a `CodedChunk` each. Values are checked when a task runs: ``ValueError``.

    Where there is no column of ratings, each row is a rating of 1.
    """
    for name, what in ((columns.rating, "ratings"), (columns.weight, "weights")):
        dtype = None if name is None else dataset[name].dtype
        if dtype is not None and not can_be_numbers(dtype):
            raise TypeError(
                f"Column {name!r} is of type {dtype}, but {what} must be numbers: convert it first, "
                "for example with pandas.to_numeric."
            )
    return [
        task(read_ratings, part, source, columns, users, items, name=f"als-read-{token}-{source.number}")
        for part, source in with_sources(dataset, partitions(dataset[columns.named], scheduler), columns)
    ]


def pair_chunks(
    dataset: Frame, parts: Sequence[Delayed], columns: Columns, users: IdType, items: IdType, token: str
) -> list[Delayed]:
    """Tasks that read users and items, two `CodedIds` each, of a dataset that is in ``parts``."""
    return [
        task(read_pairs, part, source, columns, users, items, name=f"als-read-pairs-{token}-{source.number}")
        for part, source in with_sources(dataset, parts, columns)
    ]


def with_sources(dataset: Frame, parts: Sequence[Delayed], columns: Columns) -> Iterator[tuple[Delayed, Source]]:
    """Each part of a dataset with what error messages say of it."""
    dtypes = {name: str(dataset[name].dtype) for name in columns.named}
    return ((part, Source(number, dtypes)) for number, part in enumerate(parts))


# ---- what these tasks call -------------------------------------------------------------------------------


def read_ratings(frame: pd.DataFrame, source: Source, columns: Columns, users: IdType, items: IdType) -> CodedChunk:
    """The ratings of one part of a frame."""
    ratings, weights = np.ones(len(frame), np.float32), None
    if columns.rating is not None:
        ratings = read_numbers(_number_column(frame, source, columns.rating))
    if columns.weight is not None:
        weights = _read_weights(_number_column(frame, source, columns.weight))
    return CodedChunk(*read_pairs(frame, source, columns, users, items), ratings, weights)


def _number_column(frame: pd.DataFrame, source: Source, name: str) -> pd.Series:
    column = column_of(frame, source, name)
    is_odd = is_bool(column.dtype) and "bool" not in source.dtypes[name]  # where numbers were promised
    if len(column) and (is_odd or not can_be_numbers(column.dtype)):
        raise broken_promise(column, source)
    return column


def _read_weights(column: pd.Series) -> Float32:
    """A column of weights as float32; ``ValueError`` at one that is null, not finite or negative."""
    weights = read_numbers(column, "weights")
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        raise ValueError(
            f"Column {column.name!r} is {in_words(column.iloc[row])} in {place_of(column, row)} "
            f"({count_true(weights < 0)} such): weights must not be negative."
        )
    return weights


def read_pairs(
    frame: pd.DataFrame, source: Source, columns: Columns, users: IdType, items: IdType
) -> tuple[CodedIds, CodedIds]:
    """The users and items of one part of a frame."""
    assert columns.user is not None
    assert columns.item is not None
    return (
        read_ids(ids_of(frame, source, columns.user, users), users.kind),
        read_ids(ids_of(frame, source, columns.item, items), items.kind),
    )


def ids_of(frame: pd.DataFrame, source: Source, name: str, expected: IdType) -> pd.Series:
    """A column of ids of one part; ``TypeError`` if it is of another type than the whole frame promises."""
    column = column_of(frame, source, name)
    as_promised = is_object(column.dtype) and source.dtypes[name] == "object"  # then each value is looked at
    if not as_promised and not can_be_read_as(column, expected):
        raise broken_promise(column, source)
    return column


def read_numbers(column: pd.Series, what: str = "ratings") -> Float32:
    """A column of ratings, or of ``what``, as float32; ``ValueError`` naming the first null, NaN or infinite one."""
    wide = (
        _float64_of_objects(column, what) if is_object(column.dtype) else column.to_numpy(np.float64, na_value=np.nan)
    )
    with np.errstate(over="ignore"):
        ratings = wide.astype(np.float32)
    finite = np.isfinite(ratings)
    if not finite.all():
        row = int(np.argmin(finite))
        value = column.iloc[row] if is_object(column.dtype) else wide[row]
        fault = "null or NaN" if np.isnan(wide[row]) else f"{in_words(value)}, which is not a finite float32"
        raise ValueError(
            f"Column {column.name!r} is {fault} in {place_of(column, row)} ({count_true(~finite)} such): {what} must "
            "be finite numbers. Drop or repair those rows first."
        )
    return ratings


def _float64_of_objects(column: pd.Series, what: str) -> Float64:
    """Objects as numbers, NaN where they are null; ``TypeError`` at the first that is no number, as "3" and True."""
    nulls, values = nulls_of(column), np.full(len(column), np.nan)
    for row, value in enumerate(column):
        if nulls[row]:
            continue
        if not is_number(value):
            raise TypeError(
                f"Column {column.name!r} holds {in_words(value)} in {place_of(column, row)}, but {what} must be "
                "numbers: convert it first, for example with pandas.to_numeric."
            )
        try:
            values[row] = float(value)
        except OverflowError:  # a large integer
            values[row] = np.inf
        except ValueError:  # a signalling NaN
            values[row] = np.nan
    return values
