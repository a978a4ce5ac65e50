"""What evaluators demand of the frames that they are given, and the errors that say what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import pandas.api.types as dtypes
import pyarrow as pa

from daskals.io.foreign import names_of, opened, read_frame
from daskals.io.frames import kind_of

#: What is wrong, and how many times: ``{"missing values in labelCol 'rating'": 3}``.
Faults = Counter[str]


def common_dtype(dtypes_of: Mapping[str, Any], user: str) -> Any:
    """The dtype for the users of some frames, by name; ``TypeError`` if they cannot be compared.

    Equal users of different dtypes would go to different partitions: -1 hashes differently as int32 and int64.
    """
    (first, dtype), *others = dtypes_of.items()
    is_numeric = dtypes.is_numeric_dtype(dtype)
    for name, other in others:
        if dtypes.is_numeric_dtype(other) != is_numeric:
            raise TypeError(f"userCol {user!r} is {dtype} in {first} and {other} in {name}; convert one of them")
    if not is_numeric or all(other == dtype for _, other in others):
        return dtype
    return "Int64" if all(map(dtypes.is_integer_dtype, dtypes_of.values())) else "Float64"


def distinct_columns(columns: Mapping[str, str]) -> list[str]:
    """The names of columns, each once."""
    return list(dict.fromkeys(columns.values()))


def require_columns(dataset: Any, columns: Mapping[str, str], name: str = "dataset") -> Any:
    """The frame; of one of another library these columns, as a pandas frame.

    ``TypeError`` for what is no frame, ``ValueError`` if a column is absent or there twice.
    """
    kind, dataset = kind_of(dataset, name), opened(dataset)
    present = names_of(dataset)
    for role, column in columns.items():
        if (times := present.count(column)) != 1:
            raise ValueError(
                f"{name} has {times or 'no'} columns {column!r} ({role}) and needs one; "
                f"its columns are {', '.join(map(str, present))}"
            )
    return dataset if kind in ("pandas", "dask") else read_frame(dataset, distinct_columns(columns))


def require_numbers(dtype: Any, what: str) -> None:
    """``TypeError`` if a column of this dtype holds no real numbers."""
    is_real = dtypes.is_numeric_dtype(dtype) and not dtypes.is_complex_dtype(dtype)
    if not is_real or dtypes.is_bool_dtype(dtype):
        raise TypeError(f"{what} must be numeric, its dtype is {dtype}; convert it with astype")


def require_lists(dtype: Any, what: str) -> None:
    """``TypeError`` if a column of this dtype cannot hold lists."""
    is_arrow_list = isinstance(dtype, pd.ArrowDtype) and pa.types.is_nested(dtype.pyarrow_dtype)
    if not is_arrow_list and not dtypes.is_object_dtype(dtype):
        raise TypeError(
            f"{what} must hold lists, its dtype is {dtype}. Dask makes strings of Python lists unless the column "
            "has an Arrow list dtype or 'dataframe.convert-string' is False in dask.config"
        )


def require_rows(rows: int, name: str) -> None:
    """``ValueError`` if there is nothing to evaluate."""
    if not rows:
        raise ValueError(f"{name} has no rows, so there is nothing to evaluate")


def raise_faults(found: Iterable[Faults]) -> None:
    """``ValueError`` that tells all that is wrong in all parts, with counts."""
    faults = sum(found, Faults())  # the sum keeps positive counts only
    if faults:
        problems = ", ".join(f"{count} {what}" for what, count in sorted(faults.items()))
        raise ValueError(f"The frame cannot be evaluated, it has {problems}; correct or drop these rows")
