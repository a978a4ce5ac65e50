"""The files of one side of a model: which they are, and whether they are those that the metadata tell of. No Dask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import fsspec
import numpy as np

from daskals.io.directories import list_files
from daskals.io.factor_files import FileRecord
from daskals.io.notes import SideNotes
from daskals.io.spark_checksums import check_none_missing

HINT = "Copy it again from where it was written, or save the model again."


def file_name_of(number: int, n_files: int) -> str:
    """The name of a file: in the order of names the files are in the order of blocks, however many there are."""
    return f"part-{number:0{max(5, len(str(n_files - 1)))}d}.snappy.parquet"


def files_of_side(folder: str) -> list[str]:
    """The Parquet files in a folder, by name, as URLs; ``FileNotFoundError`` if there are none, or one is missing."""
    fs, _ = fsspec.url_to_fs(folder)
    files = [fs.unstrip_protocol(file) for file in list_files(folder, _is_part)]
    if not files:
        raise FileNotFoundError(f"{folder} holds no Parquet files: this side of the model is missing")
    check_none_missing(folder, files)
    return files


def _is_part(name: str) -> bool:
    return name.endswith(".parquet") and name[0] not in "._"


def check_as_written(files: Sequence[str], records: Sequence[FileRecord], notes: SideNotes) -> None:
    """Hold files to what the metadata say of them, where they say something."""
    folder, rows = files[0].rpartition("/")[0], sum(record.rows for record in records)
    if notes.files is None:
        if notes.rows is not None and notes.rows != rows:
            raise ValueError(f"{folder} is damaged: its files have {rows} rows, of {notes.rows} that were written")
        return
    due = Counter(notes.files)
    strays = []
    for file, record in zip(files, records, strict=True):
        if due[record]:
            due[record] -= 1
        else:
            strays.append((file, record))
    missing = [(number, record) for number, record in enumerate(notes.files) if record.rows and due[record]]
    for file, record in strays:
        if missing:
            expected = f"expected {_words(missing[0][1])}"
        else:
            expected = "the metadata tell of no such file, or it is there twice"
        if missing or record.rows:  # one more file without rows does no harm
            raise ValueError(f"{file} is not as it was written: it has {_words(record)}; {expected}. {HINT}")
    for number, record in missing:
        name = file_name_of(number, len(notes.files))
        raise FileNotFoundError(f"{folder}/{name} is missing, which has {_words(record)}. {HINT}")


def _words(record: FileRecord) -> str:
    if not record.rows:
        return "no rows"
    return f"{record.rows} rows, ids {record.first!r} to {record.last!r}, with checksum {record.checksum}"


def check_range(files: Sequence[str], records: Sequence[FileRecord], notes: SideNotes) -> None:
    """Integers must fit into the type in which they are shown: they would become others."""
    if notes.ids.dtype.kind not in "iu":
        return
    limits = np.iinfo(notes.ids.dtype)
    for file, record in zip(files, records, strict=True):
        for id_ in (record.first, record.last):
            if isinstance(id_, int) and not limits.min <= id_ <= limits.max:
                raise ValueError(f"{file} has the id {id_}, which does not fit into {notes.ids.dtype}, the type of ids")
