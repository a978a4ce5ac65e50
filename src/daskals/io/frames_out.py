"""Frames out, of the kind that came in: predictions, recommendations, factors."""

from __future__ import annotations

from collections.abc import Sequence

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
from dask.delayed import Delayed

from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task
from daskals.io.frames import Frame, FrameKind, concatenated, kind_of
from daskals.io.id_types import IdType
from daskals.io.ids import arrow_ids, id_column, no_ids
from daskals.io.list_columns import ListArray
from daskals.kernels.types import Float32, Ids


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


def collect_recommendations(
    scheduler: Scheduler,
    found: Sequence[Delayed],
    columns: tuple[str, str],
    id_types: tuple[IdType, IdType],
    kind: FrameKind,
) -> Frame:
    """What `daskals.engine.recommend.recommend` found, as a frame."""
    token = new_token()
    out = [
        task(recommendation_frame, each, columns, id_types, name=f"als-recommendations-{token}-{number}")
        for number, each in enumerate(found)
    ]
    if kind == "pandas":
        return concatenated(scheduler, out)
    nothing = no_ids(id_types[0].kind), no_ids(id_types[1].kind).reshape(0, 1), np.empty((0, 1), np.float32)
    return dd.from_delayed(out, meta=recommendation_frame(nothing, columns, id_types), verify_meta=False)


def collect_factors(
    scheduler: Scheduler, rows: Sequence[Delayed], rank: int, id_type: IdType, kind: FrameKind
) -> Frame:
    """Ids and rows of `daskals.engine.factors.rows_with_ids`, as a frame."""
    out = [task(factor_frame, each, id_type, name=f"{each.key}-frame") for each in rows]
    if kind == "pandas":
        return concatenated(scheduler, out)
    nothing = no_ids(id_type.kind), np.empty((0, rank), np.float32)
    return dd.from_delayed(out, meta=factor_frame(nothing, id_type), verify_meta=False)


def add_predictions(frame: pd.DataFrame, scores: Float32, name: str, drop: bool) -> pd.DataFrame:
    """The frame with a column of scores; without the rows whose score is NaN where ``drop``."""
    out = frame.assign(**{name: np.asarray(scores, np.float32)})
    return out[~np.isnan(scores)] if drop else out


def recommendation_frame(
    found: tuple[Ids, Ids, Float32], columns: tuple[str, str], id_types: tuple[IdType, IdType]
) -> pd.DataFrame:
    """Query ids and an Arrow ``list<struct<candidate, rating: float>>`` of what is recommended to each."""
    ids, candidates, scores = found
    values = pa.StructArray.from_arrays(
        [arrow_ids(candidates.reshape(-1), id_types[1]), pa.array(scores.reshape(-1), pa.float32())],
        names=[columns[1], "rating"],
    )
    lists = _lists_of(values, len(ids), scores.shape[1])
    return pd.DataFrame({columns[0]: id_column(ids, id_types[0]), "recommendations": lists})


def factor_frame(rows: tuple[Ids, Float32], id_type: IdType) -> pd.DataFrame:
    """Columns ``id`` and ``features``, an Arrow ``list<float>``."""
    ids, factors = rows
    values = pa.array(np.ascontiguousarray(factors, np.float32).reshape(-1))
    return pd.DataFrame({"id": id_column(ids, id_type), "features": _lists_of(values, *factors.shape)})


def _lists_of(values: pa.Array, n: int, length: int) -> pd.Series:
    offsets = np.arange(n + 1) * length
    if offsets[-1] <= np.iinfo(np.int32).max:
        lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
    else:
        lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)
    return pd.Series(ListArray(lists))
