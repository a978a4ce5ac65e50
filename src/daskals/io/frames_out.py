"""Frames out, of the kind that came in: predictions, recommendations, factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
from dask.delayed import Delayed

from daskals.blocks.candidates import Recommendations
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task
from daskals.io.foreign import give_back
from daskals.io.frames import Frame, FrameKind, concatenated, kind_of
from daskals.io.id_types import IdType
from daskals.io.ids import arrow_ids, id_column, no_ids
from daskals.io.list_columns import ListArray
from daskals.kernels.types import Float32, Ids, Int64

#: The column that says where a candidate stands among those of its query.
RANK = "rank"


def collect_predictions(
    scheduler: Scheduler, dataset: Frame, parts: Sequence[Delayed], scores: Sequence[Delayed], name: str, *, drop: bool
) -> Frame:
    """The dataset, which is in ``parts``, with a column of its scores."""
    token = new_token()
    out = [
        task(add_predictions, part, some, name, drop, name=f"als-transform-{token}-{number}")
        for number, (part, some) in enumerate(zip(parts, scores, strict=True))
    ]
    if kind_of(dataset) == "pandas":
        return concatenated(scheduler, out, keep_index=True)
    meta = add_predictions(dataset._meta, np.empty(0, np.float32), name, drop)
    return dd.from_delayed(out, meta=meta, divisions=dataset.divisions, verify_meta=False)


class Labels(NamedTuple):
    """The names in a frame of recommendations."""

    #: columns of ids: who is recommended to, and what
    query: str
    candidate: str
    #: the score of a candidate
    score: str = "rating"
    #: the column of lists
    lists: str = "recommendations"

    def check(self, *, flat: bool) -> None:
        """``ValueError`` if two columns, or two fields of a list, would have one name."""
        given = (self.query, self.candidate, self.score, RANK) if flat else (self.candidate, self.score)
        if len(set(given)) < len(given) or self.query == self.lists:
            raise ValueError(
                f"The result would have columns or fields {', '.join(map(repr, given))} and {self.lists!r}, of which "
                "two have one name. Give the model other names: model.setUserCol(...), model.setItemCol(...)."
            )


def collect_recommendations(
    scheduler: Scheduler,
    found: Sequence[Delayed],
    labels: Labels,
    id_types: tuple[IdType, IdType],
    kind: FrameKind,
    *,
    flat: bool,
) -> Frame:
    """What `daskals.engine.recommend.recommend` found, as a frame: a row for each query, or for each candidate."""
    make = flat_frame if flat else nested_frame
    token = new_token()
    out = [
        task(make, each, labels, id_types, name=f"als-to-frame-{token}-{number}") for number, each in enumerate(found)
    ]
    if kind != "dask":
        return give_back(concatenated(scheduler, out), kind)
    ids = (no_ids(each.kind) for each in id_types)
    nothing = Recommendations(next(ids), np.zeros(1, np.int64), next(ids), np.empty(0, np.float32))
    return dd.from_delayed(out, meta=make(nothing, labels, id_types), verify_meta=False)


def collect_factors(
    scheduler: Scheduler, rows: Sequence[Delayed], rank: int, id_type: IdType, kind: FrameKind
) -> Frame:
    """Ids and rows of `daskals.engine.factors.rows_with_ids`, as a frame."""
    out = [task(factor_frame, each, id_type, name=f"{each.key}-frame") for each in rows]
    if kind != "dask":
        return give_back(concatenated(scheduler, out), kind)
    nothing = no_ids(id_type.kind), np.empty((0, rank), np.float32)
    return dd.from_delayed(out, meta=factor_frame(nothing, id_type), verify_meta=False)


def collect_column(
    scheduler: Scheduler,
    rows: Sequence[Delayed],
    column: tuple[int, float],
    name: str,
    id_type: IdType,
    kind: FrameKind,
) -> Frame:
    """Ids and one column of their rows as a frame; ``column`` is its number, and what is to be subtracted from it."""
    out = [task(column_frame, each, column, name, id_type, name=f"{each.key}-{name}") for each in rows]
    if kind != "dask":
        return give_back(concatenated(scheduler, out), kind)
    nothing = no_ids(id_type.kind), np.empty((0, column[0] + 1), np.float32)
    return dd.from_delayed(out, meta=column_frame(nothing, column, name, id_type), verify_meta=False)


def column_frame(rows: tuple[Ids, Float32], column: tuple[int, float], name: str, id_type: IdType) -> pd.DataFrame:
    """Columns ``id`` and ``name``, float32."""
    ids, factors = rows
    number, less = column
    return pd.DataFrame({"id": id_column(ids, id_type), name: factors[:, number] - np.float32(less)})


def add_predictions(frame: pd.DataFrame, scores: Float32, name: str, drop: bool) -> pd.DataFrame:
    """The frame with a column of scores; without the rows whose score is NaN where ``drop``."""
    out = frame.assign(**{name: np.asarray(scores, np.float32)})
    return out[~np.isnan(scores)] if drop else out


def nested_frame(found: Recommendations, labels: Labels, id_types: tuple[IdType, IdType]) -> pd.DataFrame:
    """Query ids and an Arrow ``list<struct<candidate, rating: float>>`` of what is recommended to each."""
    values = pa.StructArray.from_arrays(
        [arrow_ids(found.candidates, id_types[1]), pa.array(found.scores, pa.float32())],
        names=[labels.candidate, labels.score],
    )
    lists = _lists_of(values, found.indptr)
    return pd.DataFrame({labels.query: id_column(found.ids, id_types[0]), labels.lists: lists})


def flat_frame(found: Recommendations, labels: Labels, id_types: tuple[IdType, IdType]) -> pd.DataFrame:
    """A row for each candidate of each query: query id, candidate id, rating (float32), rank (int32, from 1)."""
    lengths = np.diff(found.indptr)
    rank = np.arange(len(found.scores)) - np.repeat(found.indptr[:-1], lengths) + 1
    return pd.DataFrame(
        {
            labels.query: id_column(np.repeat(found.ids, lengths), id_types[0]),
            labels.candidate: id_column(found.candidates, id_types[1]),
            labels.score: np.asarray(found.scores, np.float32),
            RANK: rank.astype(np.int32),
        }
    )


def factor_frame(rows: tuple[Ids, Float32], id_type: IdType) -> pd.DataFrame:
    """Columns ``id`` and ``features``, an Arrow ``list<float>``."""
    ids, factors = rows
    values = pa.array(np.ascontiguousarray(factors, np.float32).reshape(-1))
    return pd.DataFrame(
        {"id": id_column(ids, id_type), "features": _lists_of(values, np.arange(len(ids) + 1) * factors.shape[1])}
    )


def _lists_of(values: pa.Array, offsets: Int64) -> pd.Series:
    if offsets[-1] <= np.iinfo(np.int32).max:
        lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
    else:
        lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)
    return pd.Series(ListArray(lists))
