"""Checksums that Spark leaves beside its files on a local disk: ``.part-00000.parquet.crc`` for ``part-00000.parquet``.

Spark's metadata tell nothing of the files of a model. These checksums do: a file that is missing, or that holds what
another one held, would otherwise be a model with fewer ids, or with factors of items as those of users. The file
systems of clusters (HDFS, S3) have none; then nothing is checked, and neither where only the data were copied.

The format is Hadoop's: ``crc``, a zero, the length of a piece as 4 bytes, and the CRC-32 of each piece as 4 bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from daskals.io.directories import file_name

_HEAD = struct.Struct(">4sI")
_MAGIC = b"crc\0"
#: Bytes that are read at a time.
_BATCH = 1 << 20


def check_none_missing(folder: str, files: list[str]) -> None:
    """``FileNotFoundError`` that names a file of ``folder`` of which only the checksums are there.

    A file that has another name now is none that is missing: there are as many files as checksums.
    """
    fs, place = fsspec.url_to_fs(folder)
    if not isinstance(fs, LocalFileSystem) or not fs.isdir(place):
        return
    names = [file_name(each) for each in fs.ls(place, detail=False)]
    told = sorted(name[1:-4] for name in names if name.startswith(".") and name.endswith(".parquet.crc"))
    present = {file_name(file) for file in files}
    missing = [name for name in told if name not in present]
    if missing and len(files) < len(told):
        raise FileNotFoundError(
            f"{folder}/{missing[0]} is missing: its checksums are there, in .{missing[0]}.crc. Copy it again from "
            "where it was written, or save the model again."
        )


def check_content(file: str) -> None:
    """``ValueError`` that names the file if it does not agree with the checksums beside it, where there are any."""
    fs, place = fsspec.url_to_fs(file)
    folder, _, name = place.rpartition("/")
    beside = f"{folder}/.{name}.crc"
    if not isinstance(fs, LocalFileSystem) or not fs.isfile(beside):
        return
    content = fs.cat_file(beside)
    magic, length = _HEAD.unpack_from(content) if len(content) >= _HEAD.size else (b"", 0)
    if magic != _MAGIC or not 0 < length <= _BATCH:
        return  # something else of this name
    if content[_HEAD.size :] != b"".join(_sums_of(fs, place, length)):
        raise ValueError(
            f"{file} is not as it was written: it does not agree with the checksums in .{name}.crc beside it. Copy it "
            "again from where it was written, or save the model again."
        )


def _sums_of(fs: Any, place: str, length: int) -> Iterator[bytes]:
    """The CRC-32 of each piece of a file, as they are stored."""
    with fs.open(place, "rb") as source:
        while batch := source.read(_BATCH // length * length):
            for start in range(0, len(batch), length):
                yield struct.pack(">I", zlib.crc32(batch[start : start + length]))
