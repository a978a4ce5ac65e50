"""The factors in a model's directory: Parquet files as Spark's, a file for each block, written and read by workers.

What a file takes in memory is its block and little more: it is encoded and decoded a megabyte at a time.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dask
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dask.delayed import Delayed
from distributed import futures_of

from daskals.blocks.ids import merge, positions
from daskals.blocks.ratings import Index
from daskals.engine.factors import FactorMatrix, ids_of_blocks, lay_out
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task, tree_reduce
from daskals.io.directories import SPARK_VERSION, file_name, join
from daskals.io.ids import IdKind
from daskals.kernels.types import Float32, Ids, Int64

#: Bytes of factors that are encoded or decoded at a time: a row group of what we write, a batch of what we read.
#: A block of 15 MB then takes 24 MB to write and 18 MB to read, itself included; in one piece it took 72 and 73 MB
#: (pytest -s tests/io/test_persistence.py -k block_by_block).
BATCH = 1 << 20


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


def write_factors(scheduler: Scheduler, directory: str, name: str, matrix: FactorMatrix) -> None:
    """Write one side, a file for each block. Blocks that workers hold are written there, and not sent around."""
    folder = join(directory, name)
    fs, place = fsspec.url_to_fs(folder)
    fs.makedirs(place, exist_ok=True)
    token = new_token()
    writes = []
    for number, (ids, block) in enumerate(zip(ids_of_blocks(matrix), matrix.blocks, strict=True)):
        with _where_it_is(scheduler, block):
            writes.append(task(_write_block, folder, number, ids, block, name=f"als-write-{token}-{number}"))
    scheduler.fetch(*writes)
    fs.touch(f"{place}/_SUCCESS")


def _where_it_is(scheduler: Scheduler, block: Delayed) -> AbstractContextManager[Any]:
    """Inside, tasks are made for the workers that hold a block, or for others should these be lost.

    Left alone, the scheduler may move a block to a worker that has less to do.
    """
    client = scheduler.client
    workers = [each for held in client.who_has(futures_of(block)).values() for each in held] if client else []
    return dask.annotate(workers=workers, allow_other_workers=True) if workers else nullcontext()


def spark_can_load(scheduler: Scheduler, matrix: FactorMatrix) -> bool:
    """Whether Spark can load this side: its ids are integers of 32 bits."""
    (answer,) = scheduler.fetch(task(fits_spark, matrix.ids, name=f"als-fits-{matrix.token}"))
    return bool(answer)


def fits_spark(ids: Ids) -> bool:
    """The same of sorted ids."""
    if ids.dtype.kind not in "iu":
        return False
    limits = np.iinfo(np.int32)
    return not len(ids) or (limits.min <= int(ids[0]) and int(ids[-1]) <= limits.max)


def _write_block(folder: str, number: int, ids: Ids, factors: Float32) -> None:
    id_array = pa.array(ids.astype(np.int32) if fits_spark(ids) else ids)
    schema = pa.schema(
        [
            pa.field("id", id_array.type, nullable=False),
            pa.field("features", pa.list_(pa.field("element", pa.float32(), nullable=False))),
        ],
        {
            "org.apache.spark.version": SPARK_VERSION,
            "org.apache.spark.sql.parquet.row.metadata": json.dumps(SPARK_SCHEMA),
        }
        if fits_spark(ids)
        else None,
    )
    offsets = pa.array(np.arange(len(ids) + 1, dtype=np.int32) * factors.shape[1])
    values = pa.array(np.ascontiguousarray(factors).reshape(-1))
    features = pa.ListArray.from_arrays(offsets, values, type=schema.field("features").type)
    fs, place = fsspec.url_to_fs(folder)
    with fs.open(f"{place}/part-{number:05d}.snappy.parquet", "wb") as file:
        # no dictionaries: ids are distinct, and factors as good as
        pq.write_table(
            pa.table([id_array, features], schema=schema),
            file,
            row_group_size=_rows_in(BATCH, factors.shape[1]),
            compression="snappy",
            use_dictionary=False,
        )


def read_factors(
    scheduler: Scheduler, path: str, name: str, rank: int, kind: IdKind, bounds: list[int] | None
) -> FactorMatrix:
    """One side of a model, lazily: a task for each file reads it when its rows are needed, and again each time.

    All files are read once here, by tasks, to check them. ``bounds`` tells that file b holds the rows
    bounds[b] .. bounds[b + 1] of ascending ids, as we write them; None that ids are spread over files, as Spark
    writes them.
    """
    folder = join(path, name)
    files = _part_files(folder)
    token = new_token()
    reads = [task(read_block, file, rank, kind, name=f"als-load-{token}-{number}") for number, file in enumerate(files)]
    indexes = [task(_index, each, name=f"als-load-index-{token}-{n}") for n, each in enumerate(reads)]
    index = tree_reduce(_merged, indexes, f"als-load-tree-{token}")
    counts = [task(_size, each, name=f"als-load-size-{token}-{n}") for n, each in enumerate(indexes)]
    *sizes, n_ids = scheduler.fetch(*counts, task(_size, index, name=f"als-load-all-{token}"))
    if n_ids != sum(sizes):
        raise ValueError(
            f"{folder} is damaged: {sum(sizes) - n_ids} of its {sum(sizes)} rows have an id that is there twice"
        )
    ids = task(_ids, index, name=f"als-load-ids-{token}")
    if bounds is not None and np.array_equal(np.diff(bounds), sizes):
        blocks = tuple(task(_rows, each, name=f"als-load-rows-{token}-{n}") for n, each in enumerate(reads))
        return FactorMatrix(ids, np.array(bounds), blocks, rank, token)
    return _rearranged(reads, ids, n_ids, rank, token)


def _rearranged(reads: list[Delayed], ids: Delayed, n_ids: int, rank: int, token: str) -> FactorMatrix:
    bounds = np.linspace(0, n_ids, min(len(reads), n_ids) + 1).astype(np.int64)
    placed = [task(_placed, each, ids, name=f"als-load-place-{token}-{n}") for n, each in enumerate(reads)]
    blocks = tuple(
        task(lay_out, int(bounds[b]), int(bounds[b + 1]), rank, *placed, name=f"als-load-block-{token}-{b}")
        for b in range(len(bounds) - 1)
    )
    return FactorMatrix(ids, bounds, blocks, rank, token)


def _part_files(folder: str) -> list[str]:
    fs, place = fsspec.url_to_fs(folder)
    found = fs.ls(place, detail=False) if fs.exists(place) else []
    files = sorted(file for file in found if file_name(file).endswith(".parquet") and file_name(file)[0] not in "._")
    if not files:
        raise FileNotFoundError(f"{folder} holds no Parquet files: this side of the model is missing")
    return [fs.unstrip_protocol(file) for file in files]


def read_block(file: str, rank: int, kind: IdKind) -> tuple[Ids, Float32]:
    """Ids and factors of one file; ``ValueError`` that names the file if they are not what they should be.

    Read in batches of about `BATCH` bytes into one array: Arrow's own lists of a whole block, and what it decodes
    them from, would take two more of its size.
    """
    fs, place = fsspec.url_to_fs(file)
    try:
        with fs.open(place, "rb") as source:
            parquet = pq.ParquetFile(source, pre_buffer=False, buffer_size=BATCH)
            _check_columns(file, parquet.schema_arrow, kind)
            ids, rows = _read_rows(file, parquet, rank, kind)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file} cannot be read as the factors of a model: {error}") from None
    if np.all(ids[1:] > ids[:-1]):
        return ids, rows
    order = np.argsort(ids, kind="stable")
    return ids[order], rows[order]


def _check_columns(file: str, schema: pa.Schema, kind: IdKind) -> None:
    if not {"id", "features"} <= set(schema.names):
        raise ValueError(f"{file} lacks a column: it has {', '.join(schema.names)}, and needs id and features")
    features, ids = schema.field("features").type, schema.field("id").type
    if not (pa.types.is_list(features) or pa.types.is_large_list(features)):
        raise ValueError(f"{file} has features of type {features}, expected lists of float")
    expected = pa.types.is_timestamp if kind == "datetime64[ns]" else pa.types.is_integer
    if kind == "str":
        expected = _is_text
    if not expected(ids):
        raise ValueError(f"{file} has ids of type {ids}, expected {kind}")


def _read_rows(file: str, parquet: pq.ParquetFile, rank: int, kind: IdKind) -> tuple[Ids, Float32]:
    n = parquet.metadata.num_rows
    ids = np.empty(n, object if kind == "str" else kind)
    rows = np.empty((0, rank), np.float32)
    start = 0
    for batch in parquet.iter_batches(_rows_in(BATCH, rank), columns=["id", "features"], use_threads=False):
        batch_ids = _read_ids(file, batch["id"], kind, start)
        values = _read_features(file, batch["features"], rank, start, batch_ids)
        if not start:  # now it is known that the rows are of this length
            rows = np.empty((n, rank), np.float32)
        ids[start : start + len(batch)] = batch_ids
        rows[start : start + len(batch)] = values
        start += len(batch)
    return ids, rows


def _read_features(file: str, features: pa.Array, rank: int, first: int, ids: Ids) -> Float32:
    """The factors of a batch, of which ``first`` is the number of the first row in the file."""
    lengths = features.value_lengths().to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(~(lengths == rank))
    if len(wrong):
        found = "no" if np.isnan(lengths[wrong[0]]) else int(lengths[wrong[0]])
        raise ValueError(f"{file}: row {first + wrong[0]} has {found} factors, but the model's rank is {rank}")
    values: Float32 = features.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    values = values.reshape(-1, rank)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise ValueError(f"{file}: the factors of id {ids[bad[0]]} (row {first + bad[0]}) are not all finite numbers")
    return values


def _read_ids(file: str, column: pa.Array, kind: IdKind, first: int) -> Ids:
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(f"{file}: row {first + row} has no id")
    ids: Ids = column.to_numpy(zero_copy_only=False).astype(object if kind == "str" else kind)
    return ids


def _rows_in(size: int, rank: int) -> int:
    """How many rows of factors are of about this size in bytes."""
    return max(1, size // (4 * rank))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _index(rows: tuple[Ids, Float32]) -> Index:
    return Index(rows[0], np.ones(len(rows[0]), np.int64))


def _merged(*indexes: Index) -> Index:
    return merge(indexes)


def _size(index: Index) -> int:
    return len(index.ids)


def _ids(index: Index) -> Ids:
    return index.ids


def _rows(rows: tuple[Ids, Float32]) -> Float32:
    return rows[1]


def _placed(rows: tuple[Ids, Float32], ids: Ids) -> tuple[Int64, Float32]:
    return positions(ids, rows[0]), rows[1]
