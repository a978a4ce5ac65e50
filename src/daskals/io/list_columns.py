"""Columns of Arrow lists that every reader of Parquet can read back.

pandas and Dask write the name of each column's dtype into a Parquet file, and when they read the file, they make the
dtype from that name. For an Arrow list or struct they cannot: the name ``list<item: float>[pyarrow]`` is none that
pandas understands, and ``read_parquet`` fails with "data type 'list<...>' not understood". Our columns therefore say
``object``, the name that a file has for any column of lists. In memory nothing differs from pandas' Arrow columns.
"""

from __future__ import annotations

from typing import Any, cast

import pandas as pd
import pyarrow as pa
from dask.dataframe.extensions import make_array_nonempty


class ListDtype(pd.ArrowDtype):
    """An Arrow dtype that is written as ``object`` where it is nested; equal to pandas' own of the same Arrow type.

    ``repr`` and ``name`` tell the Arrow type; ``str``, which goes into files and which ``frame.dtypes`` prints, does
    not.
    """

    def __str__(self) -> str:
        return "object" if pa.types.is_nested(self.pyarrow_dtype) else self.name

    def __eq__(self, other: object) -> bool:
        if isinstance(other, pd.ArrowDtype):
            return bool(self.pyarrow_dtype == other.pyarrow_dtype)
        return bool(super().__eq__(other))

    def __hash__(self) -> int:
        return hash(self.name)  # as pandas' own

    def construct_array_type(self) -> type[ListArray]:
        """The class of columns of this dtype."""
        return ListArray


class ListArray(pd.arrays.ArrowExtensionArray):
    """A column of `ListDtype`. What is made of it, its structs by ``explode`` for example, has that dtype too."""

    @property
    def dtype(self) -> ListDtype:
        """The dtype of the column."""
        return ListDtype(cast(pd.ArrowDtype, super().dtype).pyarrow_dtype)


def _two_values(dtype: ListDtype) -> Any:
    """What Dask puts into a frame when it tries out an operation."""
    return pd.array(make_array_nonempty(pd.ArrowDtype(dtype.pyarrow_dtype)), dtype=dtype)


make_array_nonempty.register(ListDtype, _two_values)
