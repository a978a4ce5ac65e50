"""The file with the numbers of ratings of a side, in the order of ids: Parquet. No Dask."""

from __future__ import annotations

import zlib

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daskals.io.factor_files import FAULTS
from daskals.kernels.types import Int64

FILE = "part-00000.snappy.parquet"


def write_file(file: str, counts: Int64) -> int:
    """Write the numbers (rows,) into a file; returns their CRC-32."""
    fs, place = fsspec.url_to_fs(file)
    with fs.open(place, "wb") as target:
        pq.write_table(pa.table({"count": counts}), target, write_page_checksum=True)
    return zlib.crc32(np.ascontiguousarray(counts, np.int64).data)


def read_file(file: str, rows: int, checksum: int) -> Int64:
    """The numbers in a file, (rows,).

    ``FileNotFoundError`` if it is missing, ``ValueError`` that names it if it is not as it was written.
    """
    fs, place = fsspec.url_to_fs(file)
    if not fs.exists(place):
        raise FileNotFoundError(f"{file} is missing, which has the number of ratings of each of {rows} rows")
    try:
        with fs.open(place, "rb") as source:
            table = pq.read_table(source, columns=["count"], page_checksum_verification=True)
        counts: Int64 = table["count"].to_numpy().astype(np.int64, casting="safe")
    except (*FAULTS, TypeError, KeyError) as error:
        raise ValueError(f"{file} cannot be read as the numbers of ratings of a model: {error}") from None
    if len(counts) != rows or zlib.crc32(counts.data) != checksum:
        raise ValueError(f"{file} is not as it was written: it has {len(counts)} rows, of {rows}, or other numbers")
    return counts
