"""Columns of ids: of which kind they are, reading them into arrays, and making columns of them again.

An id column may be of any integer type (NumPy's, nullable, Arrow's), of floats or decimals with integral values,
of strings, of categories of those, or of dates. It is read as one of four *kinds*: int64, uint64, datetime64[ns],
or str. The ids that a model returns have the dtype of the column that it was trained on; where that was a nullable or
Arrow integer, NumPy's of the same width; for floats and decimals, int64; for categories, the dtype of their values.
"""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from daskals.blocks.ids import encode, factorize, sort_distinct
from daskals.blocks.ratings import CodedIds
from daskals.io.frames import Frame, kind_of
from daskals.io.id_types import IdKind, IdType
from daskals.io.values import (
    as_arrow,
    count_true,
    dates_of_arrow,
    in_words,
    is_arrow_decimal,
    is_number,
    is_object,
    nulls_of,
    place_of,
)
from daskals.kernels.types import Ids


def id_type(dataset: Frame, name: str) -> IdType:
    """How to read the ids in a column; ``TypeError`` if it cannot hold ids."""
    column = dataset[name]
    if kind_of(dataset) == "pandas":
        return _id_type_of_values(column, name)
    if isinstance(column.dtype, pd.CategoricalDtype):
        known = column if column.cat.known else column.head(1, npartitions=-1)
        return _id_type_of_values(pd.Series(known.cat.categories), name)
    return _id_type_of_dtype(column.dtype, name)


def _id_type_of_values(column: pd.Series, name: str) -> IdType:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _id_type_of_values(pd.Series(column.cat.categories), name)
    return _id_type_of_objects(column, name) if is_object(column.dtype) else _id_type_of_dtype(column.dtype, name)


def _id_type_of_dtype(dtype: Any, name: str) -> IdType:
    if pd.api.types.is_bool_dtype(dtype):
        raise TypeError(_not_ids(name, f"is of type {dtype}"))
    if pd.api.types.is_integer_dtype(dtype):
        plain = np.dtype(getattr(dtype, "numpy_dtype", dtype))
        return IdType("uint64" if plain == np.uint64 else "int64", plain)
    if pd.api.types.is_float_dtype(dtype) or is_arrow_decimal(dtype):
        return IdType("int64", np.dtype(np.int64))
    if (plain := dates_of_arrow(dtype)) is not None:
        return IdType("datetime64[ns]", plain)
    if pd.api.types.is_datetime64_dtype(dtype):
        return IdType("datetime64[ns]", dtype)
    if pd.api.types.is_string_dtype(dtype) or is_object(dtype):
        return IdType("str", dtype)
    raise TypeError(_not_ids(name, f"is of type {dtype}"))


def _id_type_of_objects(column: pd.Series, name: str) -> IdType:
    try:
        found = pd.api.types.infer_dtype(column, skipna=True)
    except decimal.InvalidOperation:  # a signalling NaN, which is found when the column is read
        found = "decimal"
    if found in ("string", "empty"):
        return IdType("str", column.dtype)
    if found in ("integer", "decimal", "floating"):
        return IdType("int64", np.dtype(np.int64))
    given = column[~nulls_of(column)]
    types = [type(value) for value in given]
    other = next((row for row, each in enumerate(types) if each is not types[0]), None)
    what = f"holds {types[0].__name__} objects"
    if other is not None:
        what = f"mixes {types[0].__name__} with {types[other].__name__} ({place_of(given, other)})"
    raise TypeError(f"{_not_ids(name, what)} Objects that have a text of their own, such as UUIDs: astype(str).")


def _not_ids(name: str, what: str) -> str:
    return (
        f"Column {name!r} {what}, which cannot hold ids: use integers, strings, categories or dates "
        "without a time zone."
    )


def id_type_to_look_up(dataset: Frame, name: str, trained: IdType) -> IdType:
    """How to read ids that are looked up; ``TypeError`` if they are of another kind than those ``trained`` on."""
    if kind_of(dataset) == "pandas" and not len(dataset):
        return trained  # the dtype of a column without rows says nothing
    given = id_type(dataset, name)
    if trained.kind.lstrip("u") != given.kind.lstrip("u"):
        raise TypeError(
            f"Column {name!r} has ids of kind {given.kind}, but the model was trained on ids of kind "
            f"{trained.kind}: convert the column first."
        )
    return given


def can_be_read_as(column: pd.Series, expected: IdType) -> bool:
    """Whether ids in one partition of a frame are of the type that is expected of the whole frame.

    Equal kinds are not enough: what is read is returned in the dtype of the whole, which must hold every value. No
    rows are of every type, and objects are checked one by one where strings are expected.
    """
    if not len(column):
        return True
    if is_object(column.dtype):
        return expected.kind == "str"
    try:
        found = _id_type_of_values(column, str(column.name))
    except TypeError:
        return False
    if found.kind.lstrip("u") != expected.kind.lstrip("u"):
        return False
    return found.kind == "str" or np.can_cast(found.dtype, expected.dtype)


def read_ids(column: pd.Series, kind: IdKind) -> CodedIds:
    """A column of ids, coded; ``ValueError`` at a null or a fractional one, naming the first row and its value."""
    if not len(column):
        return CodedIds(no_ids(kind), np.empty(0, np.int32))
    missing = nulls_of(column)
    if missing.any():
        raise ValueError(
            f"Column {column.name!r} is null in {place_of(column, int(np.argmax(missing)))} ({count_true(missing)} "
            "such): every rating needs a user and an item. Drop those rows first."
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _read_categories(column, kind)
    if kind == "str":
        try:
            codes, distinct = factorize(column)
        except TypeError:  # something that has no hash
            row = next(row for row, value in enumerate(column) if not isinstance(value, str))
            what = f"holds {in_words(column.iloc[row])} in {place_of(column, row)}"
            raise TypeError(_not_ids(str(column.name), what)) from None
        return sort_distinct(_strings(column, distinct, codes), codes)
    if kind == "datetime64[ns]":
        return encode(_nanoseconds(column))
    coded = encode(_integers(column, kind))
    return CodedIds(coded.uniques.astype(kind), coded.codes)


def _read_categories(column: pd.Series, kind: IdKind) -> CodedIds:
    """Only the categories that occur are read. An error names the first row of a category."""
    used = encode(column.cat.codes.to_numpy())
    first = np.empty(len(used.uniques), np.int64)
    first[used.codes[::-1]] = np.arange(len(column))[::-1]
    categories = pd.Series(column.cat.categories[used.uniques], column.index[first], name=column.name)
    inner = read_ids(categories, kind)
    return CodedIds(inner.uniques, inner.codes[used.codes])


def _nanoseconds(column: pd.Series) -> Ids:
    dates = column.to_numpy(dates_of_arrow(column.dtype))
    try:
        exact = dates.astype("datetime64[ns]")
        wrapped = exact.astype(dates.dtype) != dates
    except OverflowError:  # from NumPy 2.5 on; older versions make another date of it
        wrapped = np.array([not _is_countable(date) for date in dates])
    if wrapped.any():
        row = int(np.argmax(wrapped))
        raise ValueError(
            f"Column {column.name!r} is {dates[row]} in {place_of(column, row)}: dates as ids must lie between 1677 "
            "and 2262, where nanoseconds can count them. Use strings instead."
        )
    return exact


def _is_countable(date: np.datetime64) -> bool:
    try:
        return bool(date.astype("datetime64[ns]") == date)
    except OverflowError:
        return False


def _strings(column: pd.Series, distinct: Any, codes: Any) -> Ids:
    strings = np.asarray(distinct, dtype=object)
    for place, value in enumerate(strings):
        if not isinstance(value, str):
            row = int(np.argmax(codes == place))
            raise TypeError(
                f"Column {column.name!r} mixes strings with {type(value).__name__}: {value!r} in "
                f"{place_of(column, row)}. Convert the column with astype(str)."
            )
    return strings


def _integers(column: pd.Series, kind: IdKind) -> Ids:
    dtype = column.dtype
    if is_object(dtype) or is_arrow_decimal(dtype):
        return _integers_of_objects(column, kind)
    if pd.api.types.is_integer_dtype(dtype):
        # nullable and Arrow integers, whose nulls were excluded above, could become objects
        return column.to_numpy() if isinstance(dtype, np.dtype) else column.to_numpy(np.dtype(kind))
    values = column.to_numpy(np.float64)
    limits = np.iinfo(kind)
    # the ends of the range are powers of two, which floats hold exactly; NaN is in no range
    inside = (values >= float(limits.min)) & (values < float(limits.max + 1))
    fits = inside & (np.floor(values) == values)
    if not fits.all():
        _raise_no_whole_number(column, values, fits, kind)
    return values.astype(kind)


def _integers_of_objects(column: pd.Series, kind: IdKind) -> Ids:
    """Python's numbers and decimals; each is looked at by itself, which is slow."""
    limits, ids, fits = np.iinfo(kind), np.zeros(len(column), kind), np.ones(len(column), np.bool_)
    values = list(column)
    for row, value in enumerate(values):
        if not is_number(value):
            raise TypeError(
                f"Column {column.name!r} mixes numbers with {type(value).__name__}: {in_words(value)} in "
                f"{place_of(column, row)}. Convert the column with astype(str), or repair that row."
            )
        try:
            whole = int(value)
            fits[row] = whole == value and limits.min <= whole <= limits.max
        except (OverflowError, ValueError, decimal.InvalidOperation):  # an infinity, a NaN
            fits[row] = False
        ids[row] = whole if fits[row] else 0
    if not fits.all():
        _raise_no_whole_number(column, values, fits, kind)
    return ids


def _raise_no_whole_number(column: pd.Series, values: Any, fits: Any, kind: IdKind) -> None:
    row = int(np.argmin(fits))
    raise ValueError(
        f"Column {column.name!r} is {in_words(values[row])} in {place_of(column, row)} ({count_true(~fits)} such): "
        f"numeric ids must be whole numbers in the range of {kind}."
    )


def id_column(ids: Ids, id_type: IdType) -> pd.Series:
    """Ids as a column of a frame that we return, in the dtype of `IdType`."""
    # pandas would make its own strings of objects, which cannot be every text
    return pd.Series(ids, dtype=ids.dtype).astype(id_type.dtype)


def arrow_ids(ids: Ids, id_type: IdType) -> pa.Array:
    """The same as an Arrow array."""
    return as_arrow(id_column(ids, id_type))


def no_ids(kind: IdKind) -> Ids:
    """An array of no ids, of the dtype of their kind."""
    return np.empty(0, object if kind == "str" else kind)


# ---- more ids for a model ------------------------------------------------------------------------------------------


def of_kind(ids: CodedIds, kind: IdKind, name: str) -> CodedIds:
    """Integers of either kind as one; ``ValueError`` that names the column and an id that this kind does not have."""
    if ids.uniques.dtype.kind not in "iu" or ids.uniques.dtype == np.dtype(kind):
        return ids
    limits = np.iinfo(np.dtype(kind))
    for each in (*ids.uniques[:1].tolist(), *ids.uniques[-1:].tolist()):
        if not limits.min <= each <= limits.max:
            raise ValueError(
                f"Column {name!r} has the id {each}, but those of the model are {kind}, which does not have it. Fit a "
                "model in which all ids are of one type."
            )
    return ids._replace(uniques=ids.uniques.astype(kind))


def widened(ids: Ids, shown: IdType) -> IdType:
    """How ids of a model are shown when these, ascending, come to them: in the dtype of before if that holds them.

    Where it does not, in that of their kind: 2**40 makes int32 int64, a nanosecond makes datetime64[s] datetime64[ns].
    """
    if shown.kind == "str" or not len(ids):
        return shown
    if shown.kind == "datetime64[ns]":
        fits = bool((ids.astype(shown.dtype).astype(ids.dtype) == ids).all())
    else:
        limits = np.iinfo(shown.dtype)
        fits = limits.min <= int(ids[0]) and int(ids[-1]) <= limits.max
    return shown if fits else IdType(shown.kind, np.dtype(shown.kind))
