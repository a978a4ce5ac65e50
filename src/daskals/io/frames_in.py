"""Frames in: their columns are checked, and their rows are read into arrays, partition by partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from dask.delayed import Delayed

from daskals.blocks.ids import encode
from daskals.blocks.ratings import CodedChunk, CodedIds
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task, tree_reduce
from daskals.io.frames import Frame, kind_of, partitions
from daskals.io.ids import IdType, can_be_read_as, id_type_to_look_up, read_ids
from daskals.io.partition_faults import Source, broken_promise, column_of
from daskals.io.values import can_be_numbers, count_true, in_words, is_number, is_object, nulls_of, place_of
from daskals.kernels.types import Bools, Float32, Float64, Ids

#: A frame of more columns than this is not likely one of ratings under another name.
MANY_COLUMNS = 20


class Columns(NamedTuple):
    """Names of the columns to read."""

    user: str | None
    item: str | None
    rating: str | None = None

    @property
    def named(self) -> list[str]:
        """Those that there are."""
        return [name for name in self if name is not None]


def check_columns(dataset: Frame, columns: Columns, new: str | None, frame: str = "the dataset") -> None:
    """The named columns must exist once, be distinct, and ``new`` must not be there; else ``ValueError``.

    ``frame`` names the dataset in messages.
    """
    kind_of(dataset, frame[0].upper() + frame[1:])
    present = list(dataset.columns)
    for role, name in zip(columns._fields, columns, strict=True):
        if name is not None and present.count(name) != 1:
            how = "No column" if name not in present else f"{present.count(name)} columns"
            raise ValueError(
                f"{how} {name!r} in {frame}; its columns are {_listed(present)}. Rename the "
                f"column, or set {role}Col to the name of the column of {role}s.{_hint_at_melt(present)}"
            )
    if len(set(columns.named)) < len(columns.named):
        raise ValueError(f"userCol, itemCol and ratingCol must name different columns, got {', '.join(columns.named)}")
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
    """Tasks that read the ratings, a `CodedChunk` each. Values are checked when a task runs: ``ValueError``."""
    assert columns.rating is not None
    dtype = dataset[columns.rating].dtype
    if not can_be_numbers(dtype):
        raise TypeError(
            f"Column {columns.rating!r} is of type {dtype}, but ratings must be numbers: convert it first, "
            "for example with pandas.to_numeric."
        )
    return [
        task(read_ratings, part, source, columns, users, items, name=f"als-read-{token}-{source.number}")
        for part, source in _with_sources(dataset, partitions(dataset[columns.named], scheduler), columns)
    ]


def pair_chunks(
    dataset: Frame, parts: Sequence[Delayed], columns: Columns, users: IdType, items: IdType, token: str
) -> list[Delayed]:
    """Tasks that read users and items, two `CodedIds` each, of a dataset that is in ``parts``."""
    return [
        task(read_pairs, part, source, columns, users, items, name=f"als-pairs-{token}-{source.number}")
        for part, source in _with_sources(dataset, parts, columns)
    ]


def pairs_to_look_up(
    scheduler: Scheduler,
    dataset: Frame,
    columns: Columns,
    users: IdType,
    items: IdType,
    frame: str,
    *,
    users_first: bool,
) -> list[Delayed]:
    """Tasks that read users and items, two `CodedIds` each; rows in which either is null are passed over.

    ``users`` and ``items`` are the types of the ids that the model was trained on. The column of users comes first, or
    that of items. ``ValueError`` if a column is missing, ``TypeError`` if its ids are of another kind; ``frame`` names
    the dataset there.
    """
    check_columns(dataset, columns, None, frame)
    trained = zip(columns.named, (users, items), strict=True)
    given = [id_type_to_look_up(dataset, name, ids) for name, ids in trained]
    token, parts = new_token(), partitions(dataset[columns.named], scheduler)
    return [
        task(_some_pairs, part, source, columns, *given, users_first, name=f"als-pairs-{token}-{source.number}")
        for part, source in _with_sources(dataset, parts, columns)
    ]


def wanted_ids(scheduler: Scheduler, dataset: Frame, name: str, trained: IdType, frame: str = "the dataset") -> Delayed:
    """A task that gives the distinct ids of one column, ascending; nulls are passed over.

    ``ValueError`` if there is no such column, ``TypeError`` if its ids are of another kind than those trained on.
    """
    columns = Columns(name, None)
    check_columns(dataset, columns, None, frame)
    given, token = id_type_to_look_up(dataset, name, trained), new_token()
    parts = [
        task(_distinct, part, source, name, given, name=f"als-wanted-{token}-{source.number}")
        for part, source in _with_sources(dataset, partitions(dataset[columns.named], scheduler), columns)
    ]
    return tree_reduce(_union, parts, f"als-wanted-tree-{token}")


def _with_sources(dataset: Frame, parts: Sequence[Delayed], columns: Columns) -> Iterator[tuple[Delayed, Source]]:
    dtypes = {name: str(dataset[name].dtype) for name in columns.named}
    return ((part, Source(number, dtypes)) for number, part in enumerate(parts))


# ---- what these tasks call -------------------------------------------------------------------------------


def _distinct(frame: pd.DataFrame, source: Source, name: str, given: IdType) -> Ids:
    column = _ids_of(frame, source, name, given)
    return read_ids(column[_may_be_known(column, given)], given.kind).uniques


def _some_pairs(
    frame: pd.DataFrame, source: Source, columns: Columns, users: IdType, items: IdType, users_first: bool
) -> tuple[CodedIds, CodedIds]:
    ids = dict(zip(columns.named, (users, items), strict=True))
    masks = [_may_be_known(_ids_of(frame, source, name, given), given) for name, given in ids.items()]
    keep = masks[0] & masks[1]
    pairs = read_pairs(frame if keep.all() else frame[keep], source, columns, users, items)
    return pairs if users_first else pairs[::-1]


def _may_be_known(column: pd.Series, given: IdType) -> Bools:
    """Which ids are not null, and are whole numbers. As in Spark, a fraction is nobody's id, and no error here."""
    keep: Bools = ~nulls_of(column)
    if given.kind != "str" and pd.api.types.is_float_dtype(column.dtype):
        values, limits = column.to_numpy(np.float64, na_value=np.nan), np.iinfo(given.kind)
        keep &= (np.floor(values) == values) & (values >= float(limits.min)) & (values < float(limits.max + 1))
    return keep


def _union(*ids: Ids) -> Ids:
    return encode(np.concatenate(ids)).uniques


def read_ratings(frame: pd.DataFrame, source: Source, columns: Columns, users: IdType, items: IdType) -> CodedChunk:
    """The ratings of one part of a frame."""
    assert columns.rating is not None
    column = column_of(frame, source, columns.rating)
    if len(column) and not can_be_numbers(column.dtype):
        raise broken_promise(column, source)
    return CodedChunk(*read_pairs(frame, source, columns, users, items), read_numbers(column))


def read_pairs(
    frame: pd.DataFrame, source: Source, columns: Columns, users: IdType, items: IdType
) -> tuple[CodedIds, CodedIds]:
    """The users and items of one part of a frame."""
    assert columns.user is not None
    assert columns.item is not None
    return (
        read_ids(_ids_of(frame, source, columns.user, users), users.kind),
        read_ids(_ids_of(frame, source, columns.item, items), items.kind),
    )


def _ids_of(frame: pd.DataFrame, source: Source, name: str, expected: IdType) -> pd.Series:
    column = column_of(frame, source, name)
    as_promised = is_object(column.dtype) and source.dtypes[name] == "object"  # then each value is looked at
    if not as_promised and not can_be_read_as(column, expected):
        raise broken_promise(column, source)
    return column


def read_numbers(column: pd.Series) -> Float32:
    """A column of ratings as float32; ``ValueError`` at a null, NaN or infinite one, naming the first row."""
    wide = _float64_of_objects(column) if is_object(column.dtype) else column.to_numpy(np.float64, na_value=np.nan)
    with np.errstate(over="ignore"):
        ratings = wide.astype(np.float32)
    finite = np.isfinite(ratings)
    if not finite.all():
        row = int(np.argmin(finite))
        value = column.iloc[row] if is_object(column.dtype) else wide[row]
        what = "null or NaN" if np.isnan(wide[row]) else f"{in_words(value)}, which is not a finite float32"
        raise ValueError(
            f"Column {column.name!r} is {what} in {place_of(column, row)} ({count_true(~finite)} such): ratings must "
            "be finite numbers. Drop or repair those rows first."
        )
    return ratings


def _float64_of_objects(column: pd.Series) -> Float64:
    """Objects as numbers, NaN where they are null; ``TypeError`` at the first that is no number, as "3" and True."""
    nulls, values = nulls_of(column), np.full(len(column), np.nan)
    for row, value in enumerate(column):
        if nulls[row]:
            continue
        if not is_number(value):
            raise TypeError(
                f"Column {column.name!r} holds {in_words(value)} in {place_of(column, row)}, but ratings must be "
                "numbers: convert it first, for example with pandas.to_numeric."
            )
        try:
            values[row] = float(value)
        except OverflowError:  # a large integer
            values[row] = np.inf
        except ValueError:  # a signalling NaN
            values[row] = np.nan
    return values
