"""Columns of ids: of which kind they are, reading them into arrays, and showing them again.

An id column may be of any integer type (NumPy's, nullable, Arrow's), of floats or decimals with integral values,
of strings, of categories of those, or of dates. It is read as one of four *kinds*: int64, uint64, datetime64[ns],
or str. What a model shows of its ids has the dtype of the column that it was trained on; where that was a nullable or
Arrow integer, NumPy's of the same width; for floats and decimals, int64; for categories, the dtype of their values.
"""

from __future__ import annotations

import decimal
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from daskals.blocks.ids import encode, sort_distinct
from daskals.blocks.ratings import CodedIds
from daskals.io.frames import Frame, kind_of
from daskals.kernels.types import Ids

is_object = pd.api.types.is_object_dtype
IdKind = Literal["int64", "uint64", "datetime64[ns]", "str"]


class IdType(NamedTuple):
    """How the ids of a side are read, and how they are shown."""

    kind: IdKind
    #: pandas dtype of ids in frames that we return
    dtype: Any


def id_type(dataset: Frame, name: str) -> IdType:
    """How to read the ids in a column; ``TypeError`` if it cannot hold ids."""
    column = dataset[name]
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        known = kind_of(dataset) == "pandas" or column.cat.known
        categories = dtype.categories if known else column.head(1, npartitions=-1).cat.categories
        column, dtype = pd.Series(categories), categories.dtype
    if is_object(dtype) and isinstance(column, pd.Series):
        return _id_type_of_objects(column, name)
    if pd.api.types.is_bool_dtype(dtype):
        raise TypeError(_not_ids(name, dtype))
    if pd.api.types.is_integer_dtype(dtype):
        shown = np.dtype(getattr(dtype, "numpy_dtype", dtype))
        return IdType("uint64" if shown == np.uint64 else "int64", shown)
    if pd.api.types.is_float_dtype(dtype) or is_arrow_decimal(dtype):
        return IdType("int64", np.dtype(np.int64))
    if pd.api.types.is_datetime64_dtype(dtype):
        return IdType("datetime64[ns]", dtype)
    if pd.api.types.is_string_dtype(dtype) or is_object(dtype):
        return IdType("str", dtype)
    raise TypeError(_not_ids(name, dtype))


def _id_type_of_objects(column: pd.Series, name: str) -> IdType:
    found = pd.api.types.infer_dtype(column, skipna=True)
    if found in ("string", "empty"):
        return IdType("str", column.dtype)
    if found in ("integer", "decimal", "floating"):
        return IdType("int64", np.dtype(np.int64))
    raise TypeError(_not_ids(name, f"object ({found})"))


def _not_ids(name: str, dtype: object) -> str:
    return (
        f"Column {name!r} is of type {dtype}, which cannot hold ids: use integers, strings, categories or dates "
        "without a time zone."
    )


def is_arrow_decimal(dtype: object) -> bool:
    """Whether a dtype is that of Arrow decimals."""
    return isinstance(dtype, pd.ArrowDtype) and pa.types.is_decimal(dtype.pyarrow_dtype)


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


def read_ids(column: pd.Series, kind: IdKind) -> CodedIds:
    """A column of ids, coded; ``ValueError`` at a null or a fractional one, naming the first row and its value."""
    missing = column.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"Column {column.name!r} is null in {place_of(column, int(np.argmax(missing)))} ({count_true(missing)} "
            "such): every rating needs a user and an item. Drop those rows first."
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        used = encode(column.cat.codes.to_numpy())
        first = np.empty(len(used.uniques), np.int64)
        first[used.codes[::-1]] = np.arange(len(column))[::-1]
        categories = pd.Series(column.cat.categories[used.uniques], column.index[first], name=column.name)
        inner = read_ids(categories, kind)
        return CodedIds(inner.uniques, inner.codes[used.codes])
    if kind == "str":
        try:
            codes, distinct = pd.factorize(column)
        except TypeError as error:
            raise TypeError(_not_ids(str(column.name), f"object ({error})")) from None
        return sort_distinct(_strings(column, distinct, codes), codes)
    if kind == "datetime64[ns]":
        return encode(_nanoseconds(column))
    coded = encode(_integers(column, kind))
    return CodedIds(coded.uniques.astype(kind), coded.codes)


def _nanoseconds(column: pd.Series) -> Ids:
    dates = column.to_numpy()
    exact = dates.astype("datetime64[ns]")
    wrapped = exact.astype(dates.dtype) != dates
    if wrapped.any():
        row = int(np.argmax(wrapped))
        raise ValueError(
            f"Column {column.name!r} is {dates[row]} in {place_of(column, row)}: dates as ids must lie between 1677 "
            "and 2262, where nanoseconds can count them. Use strings instead."
        )
    return exact


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
    if is_object(column.dtype) or is_arrow_decimal(column.dtype):
        return _integral(column, np.array([_as_number(value) for value in column], dtype=object), kind)
    values = column.to_numpy()
    if is_object(values.dtype):  # nullable and Arrow integers, whose nulls were excluded above
        values = column.to_numpy(np.dtype(kind))
    return values if values.dtype.kind in "iu" else _integral(column, values, kind)


def _as_number(value: Any) -> Any:
    return int(value) if isinstance(value, decimal.Decimal) and value == value.to_integral_value() else value


def _integral(column: pd.Series, values: Ids, kind: IdKind) -> Ids:
    limits = np.iinfo(kind)
    fits = np.array([value % 1 == 0 and limits.min <= int(value) <= limits.max for value in values.tolist()], np.bool_)
    if not fits.all():
        row = int(np.argmin(fits))
        raise ValueError(
            f"Column {column.name!r} is {values[row]} in {place_of(column, row)} ({count_true(~fits)} such): numeric "
            f"ids must be whole numbers in the range of {kind}."
        )
    return values.astype(kind)


def place_of(column: pd.Series, row: int) -> str:
    """Words for the row of a column, by its label, for error messages."""
    label = column.index[row]
    return f"row {label.item() if isinstance(label, np.generic) else label!r}"


def count_true(mask: Any) -> int:
    """How many entries of a mask are set."""
    return int(np.count_nonzero(mask))


def id_column(ids: Ids, id_type: IdType) -> pd.Series:
    """Ids as a column of a frame that we return, in the dtype of `IdType`."""
    return pd.Series(ids).astype(id_type.dtype)


def arrow_ids(ids: Ids, id_type: IdType) -> pa.Array:
    """The same as an Arrow array."""
    return pa.Array.from_pandas(id_column(ids, id_type))


def no_ids(kind: IdKind) -> Ids:
    """An array of no ids, of the dtype of their kind."""
    return np.empty(0, object if kind == "str" else kind)
