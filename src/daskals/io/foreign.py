"""Frames of other libraries: Polars, PyArrow, whatever offers an Arrow stream; SciPy's sparse matrices and arrays.

All that is below works on pandas and Dask frames. Here the columns that are needed become pandas columns, and what was
made of them goes back to the kind that came in::

    Polars frame     ┐
    Arrow table      ├─ opened ─→ read_frame(names) ─→ pandas ──→ give_back, or put_beside: of the kind that came in
    Arrow stream     ┘                                  ↑
    sparse matrix, array ───────→ frame_of_numbers ─────┘

An Arrow column of numbers without nulls in one chunk is not copied; its pandas column reads the same memory. A stream
(a DuckDB relation, a record batch reader) is read once, batch by batch, and columns that are not asked for are let go
with their batch. Rows are called by their number, from 0, in error messages.

Polars is imported by whoever made the frame; it is looked up, never imported, until a model has to make one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from dask.base import is_dask_collection

ForeignKind = Literal["polars", "pyarrow"]

#: float32 holds all whole numbers up to this one
WHOLE_FLOAT32 = 2**24


def foreign_kind(dataset: Any) -> ForeignKind | None:
    """Which kind of frame of another library this is; None if it is none. All streams of Arrow are "pyarrow"."""
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(dataset, polars.DataFrame):
        return "polars"
    if isinstance(dataset, pd.DataFrame | pd.Series | pa.ChunkedArray) or is_dask_collection(dataset):
        return None  # pandas has streams too
    if polars is not None and isinstance(dataset, polars.Series):
        return None
    return "pyarrow" if hasattr(dataset, "__arrow_c_stream__") else None


def is_lazy_polars(dataset: Any) -> bool:
    """Whether this is a Polars frame that is not computed yet."""
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(dataset, polars.LazyFrame)


def opened(dataset: Any) -> Any:
    """The same frame; of what is a stream, a reader, which can be read once."""
    if foreign_kind(dataset) != "pyarrow" or isinstance(dataset, pa.Table | pa.RecordBatchReader):
        return dataset
    try:
        return pa.RecordBatchReader.from_stream(dataset)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TypeError(f"{_type_of(dataset)} has an Arrow stream that is not read as a table: {error}") from None


def settled(dataset: Any) -> Any:
    """The same as `rereadable`; ``TypeError`` for a sparse matrix, in whose kind nothing can be given back."""
    if _is_sparse(dataset):
        raise TypeError(
            f"{_type_of(dataset)} is read by fit, and by exclude= and candidates=, but here rows must stay what they "
            "are: give a frame, or for predictions an array of (row, column): "
            "numpy.column_stack([matrix.tocoo().row, matrix.tocoo().col])."
        )
    return rereadable(dataset)


def rereadable(dataset: Any) -> Any:
    """The same frame; of what is a stream, the table, which can be read as often as one likes."""
    dataset = opened(dataset)
    return dataset.read_all() if isinstance(dataset, pa.RecordBatchReader) else dataset


def names_of(dataset: Any) -> list[Any]:
    """Names of the columns of any frame that is `opened`."""
    if isinstance(dataset, pa.Table | pa.RecordBatchReader):
        return list(dataset.schema.names)
    return list(dataset.columns)


# ---- in --------------------------------------------------------------------------------------------------


def read_frame(dataset: Any, names: Collection[str]) -> pd.DataFrame:
    """The named columns of a Polars frame, an Arrow table or a reader of Arrow batches, as a pandas frame.

    Its index is that of row numbers. ``TypeError`` that names the column if Arrow cannot hold one.
    """
    if foreign_kind(dataset) == "polars":
        columns = {name: _column(name, _of_polars(dataset, name)) for name in dict.fromkeys(names)}
        return pd.DataFrame(columns, index=pd.RangeIndex(len(dataset)), copy=False)
    table = _table_of(dataset, names)
    columns = {name: _column(name, table.column(name)) for name in table.column_names}
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows), copy=False)


def _of_polars(frame: Any, name: str) -> pa.ChunkedArray:
    try:
        return pa.chunked_array([frame.get_column(name).to_arrow()])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        dtype = frame.schema[name]
        raise TypeError(f"Column {name!r} is of type {dtype}, which Arrow does not hold: cast it. ({error})") from None


def _table_of(dataset: pa.Table | pa.RecordBatchReader, names: Collection[str]) -> pa.Table:
    if isinstance(dataset, pa.Table):
        return dataset.select(list(names))
    places = [place for place, name in enumerate(dataset.schema.names) if name in names]
    schema = pa.schema([dataset.schema.field(place) for place in places])
    batches = list(dataset)
    if not places:  # a table without columns would have no rows
        return pa.table({"": pa.nulls(sum(batch.num_rows for batch in batches))}).select([])
    return pa.Table.from_batches([batch.select(places) for batch in batches], schema)


def _column(name: str, values: pa.ChunkedArray) -> pd.Series:
    """A pandas column of the same values; of the same memory where that is possible."""
    kind = values.type
    is_numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if is_numeric and not values.null_count:
        plain = values.chunk(0) if values.num_chunks == 1 else values
        return pd.Series(plain.to_numpy(zero_copy_only=False), name=name, copy=False)
    if pa.types.is_null(kind):
        return pd.Series([None] * len(values), name=name, dtype=object)
    if pa.types.is_dictionary(kind):
        values = _with_signed_indices(values)
    if pa.types.is_dictionary(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return pd.Series(values.to_pandas(date_as_object=False), name=name)
    if pa.types.is_string_view(kind):
        values = values.cast(pa.large_string())
    return pd.Series(pd.arrays.ArrowExtensionArray(values), name=name, copy=False)


def _with_signed_indices(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same dictionary-encoded values; older versions of Arrow give pandas none whose indices are unsigned."""
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices.cast(pa.int64()), chunk.dictionary, ordered=chunk.type.ordered)
        for chunk in values.chunks
    ]
    kind = pa.dictionary(pa.int64(), values.type.value_type, values.type.ordered)
    return pa.chunked_array(chunks, kind)


def holds_numbers(dataset: Any) -> bool:
    """Whether this is an array or a sparse matrix, which `frame_of_numbers` reads."""
    return isinstance(dataset, np.ndarray) or _is_sparse(dataset)


def frame_of_numbers(dataset: Any, names: Sequence[str]) -> pd.DataFrame:
    """An array or a sparse matrix as a pandas frame with these columns: users, items and, if there is a third, ratings.

    Of a sparse matrix each stored entry is a row, zeros and repeated ones too; ids are row and column numbers. An array
    has a column for each name; one of three is taken for two names as well, without its ratings, and ids alone may be
    an array of one dimension. ``TypeError`` for another shape or type, and for a matrix where ids alone are wanted;
    ``ValueError`` for ids in float32 that may be rounded.
    """
    if _is_sparse(dataset):
        return _frame_of_sparse(dataset, names)
    advice = (
        f"A numeric array is taken with columns {', '.join(names)}; other data must be a pandas or a dask DataFrame, "
        "as pandas.DataFrame(array, columns=[...]) makes it."
    )
    if isinstance(dataset, np.ma.MaskedArray) or dataset.dtype.kind not in "iuf":
        what = "a masked array" if isinstance(dataset, np.ma.MaskedArray) else f"of dtype {dataset.dtype}"
        raise TypeError(f"The dataset is a numpy.ndarray, {what}. {advice}")
    shape = dataset.shape
    if len(names) == 1 and dataset.ndim == 1:
        dataset = dataset[:, None]
    if dataset.ndim != 2 or dataset.shape[1] not in ((1,) if len(names) == 1 else (len(names), max(3, len(names)))):
        raise TypeError(f"The dataset is a numpy.ndarray of shape {shape}. {advice}")
    ids = dataset[:, :2]
    if dataset.dtype.kind == "f" and dataset.dtype.itemsize <= 4 and (np.abs(ids) > WHOLE_FLOAT32).any():
        raise ValueError(
            f"The array has ids above {WHOLE_FLOAT32}, where {dataset.dtype} does not hold all whole numbers: some may "
            "be those of others. Make the array in float64 or int64."
        )
    columns = dict(zip(names, np.asarray(dataset).T, strict=False))
    return pd.DataFrame(columns, copy=False)


def _frame_of_sparse(matrix: Any, names: Sequence[str]) -> pd.DataFrame:
    if matrix.ndim != 2 or len(names) == 1:
        raise TypeError(
            f"The dataset is a sparse array of {matrix.ndim} dimension(s) where {', '.join(names)} {_verb(names)} "
            "wanted. In one of two dimensions rows are users and columns are items; ids alone are an array."
        )
    entries = matrix.tocoo()
    return pd.DataFrame(dict(zip(names, (entries.row, entries.col, entries.data), strict=False)), copy=False)


def _verb(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _is_sparse(dataset: Any) -> bool:
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(dataset))


# ---- out -------------------------------------------------------------------------------------------------


def give_back(frame: pd.DataFrame, kind: str) -> Any:
    """A pandas frame as one of another kind, without its index; where the kind is "pandas", as it is.

    ``ModuleNotFoundError`` that says what to install if Polars is asked for and not there.
    """
    if kind == "pandas":
        return frame
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    if kind == "pyarrow":
        return table
    return polars().from_arrow(table)


def polars() -> Any:
    """The module; ``ModuleNotFoundError`` that says what to do where it is not installed."""
    try:
        return importlib.import_module("polars")
    except ModuleNotFoundError as error:
        if error.name != "polars":
            raise
        raise ModuleNotFoundError(
            "The frames of this model are Polars frames, and Polars is not installed: pip install polars, or ask for "
            "another kind, ALSModel.load(path, frames='pandas')",
            name="polars",
        ) from None


def put_beside(dataset: Any, made: pd.DataFrame, name: str, *, drop: bool) -> Any:
    """The given dataset with the column ``name`` of a frame that was made of it, of some of its rows if ``drop``.

    ``made`` is what pandas made of `read_frame`, and its index tells the rows. All other columns of the dataset stay as
    they are. Of an array come back the values alone: ``ValueError`` with ``drop``, since nothing would tell the rows.
    """
    if isinstance(dataset, np.ndarray):
        if drop:
            raise ValueError(
                "coldStartStrategy='drop' leaves out rows, and an array of predictions cannot say which: set it to "
                "'nan' for this call, or give a frame"
            )
        return made[name].to_numpy()
    kind = foreign_kind(dataset)
    if kind is None:
        return made
    if len(made) != len(dataset):
        dataset = rows_of(dataset, np.isin(np.arange(len(dataset)), made.index.to_numpy()))
    values = pa.array(made[name].to_numpy(), from_pandas=False)
    if kind == "pyarrow":
        return dataset.append_column(name, values)
    return dataset.with_columns(sys.modules["polars"].from_arrow(values).alias(name))


def rows_of(dataset: Any, mask: npt.NDArray[np.bool_]) -> Any:
    """The rows of a Polars frame or an Arrow table that a mask keeps."""
    if isinstance(dataset, pa.Table):
        return dataset.filter(pa.array(mask))
    return dataset.filter(sys.modules["polars"].Series(mask))


def _type_of(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
