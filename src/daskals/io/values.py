"""Values of a column: which dtypes and which objects are numbers, which are null; words for a value and its row."""

from __future__ import annotations

import decimal
import numbers
import reprlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

is_object = pd.api.types.is_object_dtype


def is_arrow_decimal(dtype: object) -> bool:
    """Whether a dtype is that of Arrow decimals."""
    return isinstance(dtype, pd.ArrowDtype) and pa.types.is_decimal(dtype.pyarrow_dtype)


def dates_of_arrow(dtype: object) -> np.dtype[Any] | None:
    """NumPy's dtype for Arrow's dates without a time zone; None for any other dtype."""
    if not isinstance(dtype, pd.ArrowDtype) or not pa.types.is_timestamp(dtype.pyarrow_dtype):
        return None
    return None if dtype.pyarrow_dtype.tz is not None else np.dtype(f"datetime64[{dtype.pyarrow_dtype.unit}]")


def is_bool(dtype: Any) -> bool:
    """Whether a column of a dtype holds truth values; categories of them are none."""
    return bool(pd.api.types.is_bool_dtype(dtype)) and not isinstance(dtype, pd.CategoricalDtype)


def can_be_numbers(dtype: Any) -> bool:
    """Whether a column of a dtype holds real numbers, truth values (0 and 1), or objects, which may be numbers."""
    is_real = pd.api.types.is_any_real_numeric_dtype(dtype) or is_bool(dtype)
    return bool(is_real) or is_object(dtype) or is_arrow_decimal(dtype)


def is_number(value: object) -> bool:
    """Whether an object is a real number: Python's, NumPy's or a decimal, and no truth value."""
    return isinstance(value, numbers.Real | decimal.Decimal) and not isinstance(value, bool | np.bool_)


def nulls_of(column: pd.Series) -> npt.NDArray[np.bool_]:
    """Which values are null. A signalling NaN, with which nothing can be compared, is none; pandas stumbles over it."""
    try:
        return column.isna().to_numpy(np.bool_)
    except decimal.InvalidOperation:
        nulls = [not _is_signalling(value) and pd.api.types.is_scalar(value) and pd.isna(value) for value in column]
        return np.array(nulls, np.bool_)


def _is_signalling(value: object) -> bool:
    return isinstance(value, decimal.Decimal) and value.is_snan()


def in_words(value: object) -> str:
    """A value for an error message, shortened where it is long."""
    if isinstance(value, np.generic):
        value = value.item()
    try:
        return str(value) if isinstance(value, float | decimal.Decimal) else reprlib.repr(value)
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        return "an integer of thousands of digits"


def place_of(column: pd.Series, row: int) -> str:
    """Words for the row of a column, by its label, for error messages."""
    label = column.index[row]
    return f"row {label.item() if isinstance(label, np.generic) else label!r}"


def count_true(mask: npt.NDArray[np.bool_]) -> int:
    """How many entries of a mask are set."""
    return int(np.count_nonzero(mask))


def as_arrow(ids: Any) -> pa.Array:
    """Ids as an Arrow array; ``ValueError`` that names one that Arrow does not have."""
    try:
        return pa.Array.from_pandas(ids)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"The id {error.object!r} has half of a surrogate pair, which no file and no list of recommendations can "
            "hold: fit a model of other ids, such as those of a repaired encoding."
        ) from None
