"""Frames of ids that are looked up in a model: who is asked for, what is not to be recommended, what may be.

Unlike ratings they may hold what the model does not know. Nulls, fractions and strangers are passed over.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from dask.delayed import Delayed

from daskals.blocks.ids import encode
from daskals.blocks.ratings import CodedIds
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task, tree_reduce
from daskals.io.foreign import holds_numbers, names_of, opened
from daskals.io.frames import Frame, FrameKind, kind_of, partitions
from daskals.io.frames_in import Columns, ids_of, read_columns, read_pairs, with_sources
from daskals.io.id_types import IdType
from daskals.io.ids import id_type_to_look_up, read_ids
from daskals.io.partition_faults import Source
from daskals.io.values import nulls_of
from daskals.kernels.types import Bools, Ids


def answer_kind(dataset: Frame) -> FrameKind:
    """The kind of frame in which those in a dataset are answered; arrays are answered in pandas frames."""
    return "pandas" if holds_numbers(dataset) else kind_of(dataset)


def holds_pairs(dataset: Frame, column: str, frame: str) -> bool:
    """Whether a frame has this column beside another one, or an array more columns than one.

    ``TypeError`` for what is no frame; ``frame`` names the dataset there.
    """
    if holds_numbers(dataset):
        return bool(dataset.ndim == 2 and dataset.shape[1] > 1)
    kind_of(dataset, frame)
    return column in names_of(opened(dataset))


def pairs_to_look_up(
    scheduler: Scheduler,
    dataset: Frame,
    columns: Columns,
    users: IdType,
    items: IdType,
    frame: str,
    *,
    users_first: bool,
) -> list[Delayed]:
    """Tasks that read users and items, two `CodedIds` each; rows in which either is null are passed over.

    ``users`` and ``items`` are the types of the ids that the model was trained on. The column of users comes first, or
    that of items. ``ValueError`` if a column is missing, ``TypeError`` if its ids are of another kind; ``frame`` names
    the dataset there.
    """
    dataset, _ = read_columns(dataset, columns, frame=frame)
    trained = zip(columns.named, (users, items), strict=True)
    given = [id_type_to_look_up(dataset, name, ids) for name, ids in trained]
    token, parts = new_token(), partitions(dataset[columns.named], scheduler)
    return [
        task(_some_pairs, part, source, columns, *given, users_first, name=f"als-read-pairs-{token}-{source.number}")
        for part, source in with_sources(dataset, parts, columns)
    ]


def wanted_ids(scheduler: Scheduler, dataset: Frame, name: str, trained: IdType, frame: str = "the dataset") -> Delayed:
    """A task that gives the distinct ids of one column, ascending; nulls are passed over.

    ``ValueError`` if there is no such column, ``TypeError`` if its ids are of another kind than those trained on.
    """
    columns = Columns(name, None)
    dataset, _ = read_columns(dataset, columns, frame=frame)
    given, token = id_type_to_look_up(dataset, name, trained), new_token()
    parts = [
        task(_distinct, part, source, name, given, name=f"als-wanted-{token}-{source.number}")
        for part, source in with_sources(dataset, partitions(dataset[columns.named], scheduler), columns)
    ]
    return tree_reduce(_union, parts, f"als-wanted-all-{token}")


def _distinct(frame: pd.DataFrame, source: Source, name: str, given: IdType) -> Ids:
    column = ids_of(frame, source, name, given)
    return read_ids(column[_may_be_known(column, given)], given.kind).uniques


def _some_pairs(
    frame: pd.DataFrame, source: Source, columns: Columns, users: IdType, items: IdType, users_first: bool
) -> tuple[CodedIds, CodedIds]:
    ids = dict(zip(columns.named, (users, items), strict=True))
    masks = [_may_be_known(ids_of(frame, source, name, given), given) for name, given in ids.items()]
    keep = masks[0] & masks[1]
    pairs = read_pairs(frame if keep.all() else frame[keep], source, columns, users, items)
    return pairs if users_first else pairs[::-1]


def _may_be_known(column: pd.Series, given: IdType) -> Bools:
    """Which ids are not null, and are whole numbers. As in Spark, a fraction is nobody's id, and no error here."""
    keep: Bools = ~nulls_of(column)
    if given.kind != "str" and pd.api.types.is_float_dtype(column.dtype):
        values, limits = column.to_numpy(np.float64, na_value=np.nan), np.iinfo(given.kind)
        keep &= (np.floor(values) == values) & (values >= float(limits.min)) & (values < float(limits.max + 1))
    return keep


def _union(*ids: Ids) -> Ids:
    return encode(np.concatenate(ids)).uniques
