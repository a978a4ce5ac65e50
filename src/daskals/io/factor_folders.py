"""The factors of one side of a model: a folder of files, one for each block, written and read by workers.

How the files of a folder become blocks again::

    part-00000  ids  1 ..  6                        blocks [1 .. 6] [7 .. 9] [11 .. 20]: ranges that do not overlap
    part-00001  ids  7 ..  9        -- we -->       are blocks as they are, whatever the names of their files
    part-00002  ids 11 .. 20

    part-00000  ids 3 6 9           -- Spark -->    every row is laid where its id belongs
    part-00001  ids 1 4 7
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dask
import fsspec
import numpy as np
from dask.delayed import Delayed
from distributed import futures_of

from daskals.blocks.ids import merge, positions
from daskals.blocks.ratings import Index
from daskals.engine.factors import FactorMatrix, ids_of_blocks, lay_out, pieces_of_blocks
from daskals.engine.share import Share
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task, tree_reduce
from daskals.io.directories import join
from daskals.io.factor_files import FileRecord, read_again, read_block, record_of, write_block
from daskals.io.folder_checks import check_as_written, check_range, file_name_of, files_of_side
from daskals.io.id_types import IdKind
from daskals.io.notes import SideNotes
from daskals.kernels.types import Float32, Ids, Int64

# ---- writing


def write_factors(scheduler: Scheduler, folder: str, matrix: FactorMatrix) -> tuple[tuple[FileRecord, ...], bool]:
    """Write one side, a file for each block; returns what each file holds, and whether Spark can load this side.

    Blocks that workers hold are written there, and not sent around. All files have ids of the same type.
    """
    fs, place = fsspec.url_to_fs(folder)
    fs.makedirs(place, exist_ok=True)
    token = new_token()
    for_spark = task(fits_spark, matrix.ids, name=f"als-fits-spark-{token}")
    writes = []
    for number, (ids, block) in enumerate(zip(ids_of_blocks(matrix), matrix.blocks, strict=True)):
        file = join(folder, file_name_of(number, len(matrix.blocks)))
        with _where_it_is(scheduler, block):
            writes.append(task(write_block, file, ids, block, for_spark, name=f"als-write-rows-{token}-{number}"))
    *records, fits = scheduler.fetch(*writes, for_spark)
    fs.touch(f"{place}/_SUCCESS")
    return tuple(records), fits


def _where_it_is(scheduler: Scheduler, block: Delayed) -> AbstractContextManager[Any]:
    """Inside, tasks are made for the workers that hold a block, or for others should these be lost.

    Left alone, the scheduler may move a block to a worker that has less to do.
    """
    client = scheduler.client
    workers = [each for held in client.who_has(futures_of(block)).values() for each in held] if client else []
    return dask.annotate(workers=workers, allow_other_workers=True) if workers else nullcontext()


def fits_spark(ids: Ids) -> bool:
    """Whether Spark can load sorted ids: they are integers of 32 bits."""
    if ids.dtype.kind not in "iu":
        return False
    limits = np.iinfo(np.int32)
    return not len(ids) or (limits.min <= int(ids[0]) and int(ids[-1]) <= limits.max)


# ---- reading


def read_factors(scheduler: Scheduler, folder: str, rank: int, notes: SideNotes) -> FactorMatrix:
    """One side of a model, lazily: a task for each file reads it when its rows are needed, and again each time.

    All files are read once here, by tasks, to check them and to hold them to what the metadata say of them; later
    readings must find the same. ``FileNotFoundError`` if a file is missing, ``ValueError`` that names the file and
    the fault if one is damaged, doubled or another one's.
    """
    files = files_of_side(folder)
    token, kind = new_token(), notes.ids.kind
    records = _inspect(scheduler, files, rank, kind, token, notes)
    check_range(files, records, notes)
    full = sorted((number for number in range(len(files)) if records[number].rows), key=lambda n: records[n].first)
    reads = [
        task(read_again, files[number], rank, kind, records[number], name=f"als-load-file-{token}-{number}")
        for number in full or range(len(files))
    ]
    of_files = [task(_ids_of, each, name=f"als-load-ids-{token}-{n}") for n, each in enumerate(reads)]
    ids = task(_all_ids, _index(of_files, f"{token}-all"), name=f"als-load-all-{token}")
    return _in_blocks(scheduler, reads, [records[number] for number in full], ids, rank, token)


def _inspect(
    scheduler: Scheduler, files: list[str], rank: int, kind: IdKind, token: str, notes: SideNotes
) -> tuple[FileRecord, ...]:
    """What each file holds, which is what the metadata say, and no id twice."""
    # one task for each file, so that its rows are gone from memory when the next one is read
    surveys = [task(_survey, file, rank, kind, name=f"als-check-file-{token}-{n}") for n, file in enumerate(files)]
    told = [task(_record, each, name=f"als-check-notes-{token}-{n}") for n, each in enumerate(surveys)]
    index = _index([task(_ids_of, each, name=f"als-check-ids-{token}-{n}") for n, each in enumerate(surveys)], token)
    *records, n_ids = scheduler.fetch(*told, task(_size, index, name=f"als-check-size-{token}"))
    check_as_written(files, records, notes)
    if n_ids != sum(record.rows for record in records):
        id_ = task(_repeated, index, name=f"als-check-repeated-{token}")
        holding = [task(_holds, each, id_, name=f"als-check-holds-{token}-{n}") for n, each in enumerate(surveys)]
        culprit, *held = scheduler.fetch(id_, *holding)
        both = " and ".join(itertools.compress(files, held))
        raise ValueError(f"{both} are damaged, or one is too many: they have an id that is there twice, {culprit!r}")
    return tuple(records)


def _in_blocks(
    scheduler: Scheduler, reads: list[Delayed], records: Sequence[FileRecord], ids: Delayed, rank: int, token: str
) -> FactorMatrix:
    """Files as blocks; laid out anew where the ranges of their ids overlap. ``records`` are by first id."""
    pairs: Any = itertools.pairwise(records)
    if records and all(before.last < after.first for before, after in pairs):
        bounds = np.cumsum([0, *(record.rows for record in records)])
        blocks = tuple(task(_rows, each, name=f"als-load-rows-{token}-{n}") for n, each in enumerate(reads))
        return FactorMatrix(ids, bounds, blocks, rank, token)
    n_ids = sum(record.rows for record in records)
    share = Share(scheduler)
    n_blocks, cut = min(len(reads), n_ids), not share.holds(n_ids, rank)
    if cut:  # every file has a piece for every block
        n_blocks = min(n_ids, max(scheduler.settings.panels, share.n_portions(n_ids, rank)))
    bounds = np.linspace(0, n_ids, n_blocks + 1).astype(np.int64)
    placed = [task(_placed, each, ids, name=f"als-load-place-{token}-{n}") for n, each in enumerate(reads)]
    pieces = pieces_of_blocks(placed, bounds, f"als-load-{token}", cut=cut)
    blocks = tuple(
        task(lay_out, int(bounds[b]), int(bounds[b + 1]), rank, *given, name=f"als-load-block-{token}-{b}")
        for b, given in enumerate(pieces)
    )
    return FactorMatrix(ids, bounds, blocks, rank, token)


def _index(ids: list[Delayed], token: str) -> Delayed:
    """A task for all ids and in how many files each one is, from tasks for the ids of each file."""
    parts = [task(_index_of, each, name=f"als-load-index-{token}-{n}") for n, each in enumerate(ids)]
    return tree_reduce(_merged, parts, f"als-load-tree-{token}")


def _survey(file: str, rank: int, kind: IdKind) -> tuple[Ids, FileRecord]:
    ids, rows = read_block(file, rank, kind)
    return ids, record_of(ids, rows)


def _record(survey: tuple[Ids, FileRecord]) -> FileRecord:
    return survey[1]


def _ids_of(parts: tuple[Ids, Any]) -> Ids:
    return parts[0]


def _index_of(ids: Ids) -> Index:
    return Index(ids, np.ones(len(ids), np.int64))


def _merged(*indexes: Index) -> Index:
    return merge(indexes)


def _size(index: Index) -> int:
    return len(index.ids)


def _all_ids(index: Index) -> Ids:
    return index.ids


def _repeated(index: Index) -> object:
    return index.ids[index.counts > 1][:1].tolist()[0]


def _holds(survey: tuple[Ids, FileRecord], id_: object) -> bool:
    return id_ in survey[0].tolist()


def _rows(rows: tuple[Ids, Float32]) -> Float32:
    return rows[1]


def _placed(rows: tuple[Ids, Float32], ids: Ids) -> tuple[Int64, Float32]:
    return positions(ids, rows[0]), rows[1]
