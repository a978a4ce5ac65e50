"""One file of factors: Parquet as Spark's, written and read by a task.

What a file takes in memory is its block and little more: it is encoded and decoded a megabyte at a time. Pages carry
checksums. What a file holds is told by a `FileRecord`, which the metadata of a model keep.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daskals.blocks.fingerprint import checksum
from daskals.io.directories import SPARK_VERSION
from daskals.io.id_types import IdKind
from daskals.io.spark_checksums import check_content
from daskals.io.values import as_arrow
from daskals.kernels.types import Float32, Ids

#: Bytes of factors that are encoded or decoded at a time: a row group of what we write, a batch of what we read.
#: A block of 15 MB then takes 26 MB to write and 14 MB to read, itself included; in one piece it took 72 and 73 MB
#: (pytest -s tests/io/test_factor_files.py -k block_by_block).
BATCH = 1 << 20

ARROW_TYPES: dict[IdKind, pa.DataType] = {
    "int64": pa.int64(),
    "uint64": pa.uint64(),
    "datetime64[ns]": pa.timestamp("ns"),
    "str": pa.large_string(),
}
SPARK_SCHEMA = {
    "type": "struct",
    "fields": [
        {"name": "id", "type": "integer", "nullable": False, "metadata": {}},
        {
            "name": "features",
            "type": {"type": "array", "elementType": "float", "containsNull": False},
            "nullable": True,
            "metadata": {},
        },
    ],
}


class FileRecord(NamedTuple):
    """What a file of factors holds. Dates are told in nanoseconds since 1970, as integers."""

    rows: int
    #: the smallest and the largest id, an int or a str; None where there are no rows
    first: Any
    last: Any
    #: of ids and factors, whatever the encoding: `daskals.blocks.fingerprint.checksum`
    checksum: int


def record_of(ids: Ids, factors: Float32) -> FileRecord:
    """The record of ascending ids and their factors."""
    plain = ids.view(np.int64) if ids.dtype.kind == "M" else ids
    first, last = plain[[0, -1]].tolist() if len(ids) else (None, None)
    return FileRecord(len(ids), first, last, checksum(ids, factors))


# ---- writing


def write_block(file: str, ids: Ids, factors: Float32, for_spark: bool) -> FileRecord:
    """Write ascending ids and their factors (n, rank); ``for_spark`` says that all ids of the side have 32 bits."""
    id_array = as_arrow(ids.astype(np.int32) if for_spark else ids)
    schema = pa.schema(
        [
            pa.field("id", id_array.type, nullable=False),
            pa.field("features", pa.list_(pa.field("element", pa.float32(), nullable=False))),
        ],
        {
            "org.apache.spark.version": SPARK_VERSION,
            "org.apache.spark.sql.parquet.row.metadata": json.dumps(SPARK_SCHEMA),
        }
        if for_spark
        else None,
    )
    offsets = pa.array(np.arange(len(ids) + 1, dtype=np.int32) * factors.shape[1])
    values = pa.array(np.ascontiguousarray(factors).reshape(-1))
    features = pa.ListArray.from_arrays(offsets, values, type=schema.field("features").type)
    fs, place = fsspec.url_to_fs(file)
    with fs.open(place, "wb") as target:
        # no dictionaries: ids are distinct, and factors as good as
        pq.write_table(
            pa.table([id_array, features], schema=schema),
            target,
            row_group_size=_rows_in(BATCH, factors.shape[1]),
            compression="snappy",
            use_dictionary=False,
            write_page_checksum=True,
        )
    return record_of(ids, factors)


# ---- reading

#: What Parquet, NumPy and file systems make of a damaged file.
FAULTS = (ValueError, OSError, pa.ArrowException, MemoryError, OverflowError)


def read_block(file: str, rank: int, kind: IdKind) -> tuple[Ids, Float32]:
    """Ids, ascending, and factors of one file; ``ValueError`` that names the file if they are not what they should be.

    Read in batches of about `BATCH` bytes into one array: Arrow's own lists of a whole block, and what it decodes
    them from, would take two more of its size.
    """
    fs, place = fsspec.url_to_fs(file)
    try:
        with fs.open(place, "rb") as source:
            parquet = pq.ParquetFile(source, pre_buffer=False, buffer_size=BATCH, page_checksum_verification=True)
            _check_columns(parquet.schema_arrow, kind)
            return _in_order(*_read_rows(parquet, rank, kind))
    except FAULTS as error:
        raise ValueError(f"{file} cannot be read as the factors of a model: {error}") from None


def read_first(file: str, rank: int, kind: IdKind) -> tuple[Ids, Float32]:
    """`read_block` of a file that was not read before: it must also agree with the checksums of Spark beside it."""
    check_content(file)
    return read_block(file, rank, kind)


def read_again(file: str, rank: int, kind: IdKind, record: FileRecord) -> tuple[Ids, Float32]:
    """`read_block` of a file that was read before; ``ValueError`` that names it if it was changed since then."""
    ids, rows = read_block(file, rank, kind)
    if record_of(ids, rows) != record:
        raise ValueError(f"{file} has been changed since the model was loaded: load the model again")
    return ids, rows


def _check_columns(schema: pa.Schema, kind: IdKind) -> None:
    for name in ("id", "features"):
        if schema.names.count(name) != 1:
            fault = "lacks a column" if name not in schema.names else f"has several columns {name!r}"
            raise ValueError(f"it {fault}: there are {', '.join(schema.names)}; id and features are needed, once each")
    features, ids = schema.field("features").type, schema.field("id").type
    if not (_is_list(features) and (pa.types.is_floating(features.value_type) or _is_integer(features.value_type))):
        raise ValueError(f"it has features of type {features}, expected lists of float")
    expected = {"datetime64[ns]": pa.types.is_timestamp, "str": _is_text}.get(kind, _is_integer)
    if not expected(ids):
        raise ValueError(f"it has ids of type {ids}, expected {kind}")


def _read_rows(parquet: pq.ParquetFile, rank: int, kind: IdKind) -> tuple[Ids, Float32]:
    n = parquet.metadata.num_rows
    ids = np.empty(0, object if kind == "str" else kind)
    rows = np.empty((0, rank), np.float32)
    start = 0
    for batch in parquet.iter_batches(_rows_in(BATCH, rank), columns=["id", "features"], use_threads=False):
        stop = start + len(batch)
        if stop > n:
            break
        batch_ids = _read_ids(batch["id"], kind, start)
        values = _read_features(batch["features"], rank, start, batch_ids)
        if not start:  # now it is known that the rows are of this length
            ids, rows = np.empty(n, ids.dtype), np.empty((n, rank), np.float32)
        ids[start:stop], rows[start:stop] = batch_ids, values
        start = stop
    if start != n:
        raise ValueError(f"it is said to have {n} rows, and its columns have others")
    return ids, rows


def _read_features(features: pa.Array, rank: int, first: int, ids: Ids) -> Float32:
    """The factors of a batch, of which ``first`` is the number of the first row in the file."""
    lengths = features.value_lengths().to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(~(lengths == rank))
    if len(wrong):
        found = "no" if np.isnan(lengths[wrong[0]]) else int(lengths[wrong[0]])
        raise ValueError(f"row {first + wrong[0]} has {found} factors, but the model's rank is {rank}")
    values: Float32 = features.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    values = values.reshape(-1, rank)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise ValueError(f"the factors of id {ids[bad[0]]} (row {first + bad[0]}) are not all finite numbers")
    return values


def _read_ids(column: pa.Array, kind: IdKind, first: int) -> Ids:
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(f"row {first + row} has no id")
    try:
        ids: Ids = column.cast(ARROW_TYPES[kind]).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        raise ValueError(f"an id in row {first} or after it does not fit into {kind}: {error}") from None
    return ids


def _in_order(ids: Ids, rows: Float32) -> tuple[Ids, Float32]:
    """Rows by ascending ids; ``ValueError`` if an id is there twice."""
    if np.all(ids[1:] > ids[:-1]):
        return ids, rows
    order = np.argsort(ids, kind="stable")
    ids, rows = ids[order], rows[order]
    twice = np.flatnonzero(ids[1:] == ids[:-1])
    if len(twice):
        raise ValueError(f"it has an id that is there twice, {ids[twice[0]]}")
    return ids, rows


def _rows_in(size: int, rank: int) -> int:
    """How many rows of factors are of about this size in bytes."""
    return max(1, size // (4 * rank))


def _is_integer(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
