"""Reading the Parquet files of a saved model, ours or Spark's, into this process.

The files are checked as `daskals.recommendation.ALSModel.load` checks them, by the same functions. This module brings
pandas and pyarrow; it is imported where there is no copy that opens faster (`daskals.serving.arrays`).
"""

from __future__ import annotations

from typing import Any

import fsspec
import numpy as np

from daskals.io.count_files import FILE, read_file
from daskals.io.directories import MODEL_CLASS, join, list_files, read_metadata
from daskals.io.factor_files import read_first, record_of
from daskals.io.folder_checks import check_as_written, check_range, files_of_side
from daskals.io.notes import SideNotes, decode_sides, naming
from daskals.kernels.types import Float32, Ids
from daskals.serving.objectives import decode_parent
from daskals.serving.sides import Side, Stored, side_of, version_of

#: How often reading begins again, because another model was saved to the place meanwhile.
TRIES = 5


def read_model(path: str) -> Stored:
    """The model at a folder or URL, all of it from one and the same save.

    ``FileNotFoundError`` if there is none, or a side or a file is missing; ``ValueError`` that names the file and the
    fault if one is damaged. Where the metadata have changed while files were read, all is read again.
    """
    for number in range(TRIES):
        before = _metadata(path)
        try:
            stored = _read(path)
        except (ValueError, FileNotFoundError):
            if number == TRIES - 1 or _metadata(path) == before:
                raise
        else:
            if before is not None and _metadata(path) == before:
                return stored._replace(version=version_of(before))
    raise ValueError(f"{path} was replaced {TRIES} times while it was read: load it when it is at rest")


def _metadata(path: str) -> list[bytes] | None:
    """The bytes of the files of metadata; None where they cannot be read."""
    try:
        fs, _ = fsspec.url_to_fs(path)
        return [fs.cat_file(file) for file in list_files(join(path, "metadata"), lambda name: name.startswith("part-"))]
    except (OSError, ValueError):
        return None


def _read(path: str) -> Stored:
    fields = read_metadata(path, MODEL_CLASS)
    rank, notes = decode_sides(path, fields)
    with naming(f"The metadata of {path} are damaged in daskals.parent"):
        parent = decode_parent(fields.get("daskals", {}).get("parent"))
    users, items = (_read_side(path, side, rank, notes[side]) for side in notes)
    return Stored(users, items, fields["uid"], "", parent)


def _read_side(path: str, side: str, rank: int, notes: SideNotes) -> Side:
    ids, rows = _read_factors(join(path, f"{side}Factors"), rank, notes)
    counts = None
    if notes.counts is not None:
        counts = read_file(join(path, f"{side}Counts", FILE), len(ids), notes.counts)
    return side_of(ids, rows, f"{side}s", counts)


def _read_factors(folder: str, rank: int, notes: SideNotes) -> tuple[Ids, Float32]:
    files = files_of_side(folder)
    blocks = [read_first(file, rank, notes.ids.kind) for file in files]
    records = [record_of(*block) for block in blocks]
    check_as_written(files, records, notes)
    check_range(files, records, notes)
    full = sorted((number for number in range(len(files)) if records[number].rows), key=lambda n: records[n].first)
    ids, rows = _joined([blocks[number] for number in full or [0]], blocks)
    if not np.all(ids[1:] > ids[:-1]):
        source = np.repeat(full, [records[number].rows for number in full])
        order = np.argsort(ids, kind="stable")
        ids, rows, source = ids[order], rows[order], source[order]
        twice = np.flatnonzero(ids[1:] == ids[:-1])
        if len(twice):
            both = " and ".join(files[number] for number in source[twice[0] : twice[0] + 2])
            culprit: Any = ids[twice[:1]].tolist()[0]
            raise ValueError(
                f"{both} are damaged, or one is too many: they have an id that is there twice, {culprit!r}"
            )
    return ids, rows


def _joined(parts: list[tuple[Ids, Float32]], blocks: list[tuple[Ids, Float32]]) -> tuple[Ids, Float32]:
    """All parts as two arrays. Each one is let go (by ``blocks`` too) when it is copied: never is all there twice."""
    blocks.clear()
    if len(parts) == 1:
        return parts[0]
    ids = np.concatenate([each for each, _ in parts])
    rows = np.empty((len(ids), parts[0][1].shape[1]), np.float32)
    stop = len(ids)
    while parts:
        _, last = parts.pop()
        rows[stop - len(last) : stop] = last
        stop -= len(last)
    return ids, rows
