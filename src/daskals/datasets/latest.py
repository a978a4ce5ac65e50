"""The latest rows of each user, merged from those of partitions; see the picture in `daskals.datasets.splits`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from daskals.io.id_types import IdKind
from daskals.io.ids import read_ids
from daskals.io.values import count_true, is_bool, nulls_of, place_of
from daskals.kernels.types import Ids, Int64


class Users(NamedTuple):
    """Names of the columns of users and times, the kind of the ids, and the dtype of the times."""

    user: str
    time: str
    kind: IdKind
    time_dtype: Any


class Latest(NamedTuple):
    """How many rows users have in some partitions, and which are their latest there."""

    #: distinct users, and the number of rows of each
    users: Ids
    counts: Int64
    #: of each of the latest rows: the place of its user in ``users``, its time, its partition, its number there
    places: Int64
    times: npt.NDArray[Any]
    partitions: Int64
    rows: Int64


def latest_of_partition(frame: pd.DataFrame, number: int, users: Users, n: int) -> Latest:
    """The ``n`` latest rows of each user of a partition; ``ValueError`` at the first null user or time."""
    coded = read_ids(frame[users.user], users.kind)
    times = read_times(frame[users.time].astype(users.time_dtype))
    order, after = _by_user_and_time(coded.codes, times)
    rows = order[after < n]
    counts = np.bincount(coded.codes, minlength=len(coded.uniques))
    places = coded.codes[rows].astype(np.int64)
    return Latest(coded.uniques, counts, places, times[rows], np.full(len(rows), number), rows)


def merge_latest(n: int, *parts: Latest) -> Latest:
    """The ``n`` latest rows of each user of all these partitions: at most ``n`` times as many rows as users."""
    codes, users = pd.factorize(np.concatenate([each.users for each in parts]))
    counts = np.bincount(codes, weights=np.concatenate([each.counts for each in parts])).astype(np.int64)
    of_part = np.split(codes, np.cumsum([len(each.users) for each in parts])[:-1])
    places = np.concatenate([mine[each.places] for mine, each in zip(of_part, parts, strict=True)])
    times, partitions, rows = (
        np.concatenate([getattr(each, name) for each in parts]) for name in ("times", "partitions", "rows")
    )
    order, after = _by_user_and_time(places, times, rows, partitions)
    chosen = order[after < n]
    return Latest(users, counts, places[chosen], times[chosen], partitions[chosen], rows[chosen])


def rows_to_test(n: int, latest: Latest, n_partitions: int) -> list[Int64]:
    """The rows of users of more than ``n``, in an array for each partition."""
    chosen = latest.counts[latest.places] > n
    partitions, rows = latest.partitions[chosen], latest.rows[chosen]
    order = np.argsort(partitions, kind="stable")
    return np.split(rows[order], np.searchsorted(partitions[order], np.arange(1, n_partitions)))


def _by_user_and_time(codes: npt.NDArray[Any], times: npt.NDArray[Any], *ties: npt.NDArray[Any]) -> tuple[Int64, Int64]:
    """The order of rows by user and time, and for each row in it how many of its user come after it.

    Equal times are in the order of ``ties``, of which the last decides first; without any, as they stand.
    """
    order = np.lexsort((*ties, times, codes))
    ends = np.cumsum(np.bincount(codes))
    return order, ends[codes[order]] - 1 - np.arange(len(order))


def mask_of(rows: Int64, length: int) -> npt.NDArray[np.bool_]:
    """A mask of so many rows that is set at these."""
    mask = np.zeros(length, np.bool_)
    mask[rows] = True
    return mask


# ---- times -----------------------------------------------------------------------------------------------


def can_be_times(dtype: Any) -> bool:
    """Whether a column of this dtype holds numbers or dates."""
    is_number = bool(pd.api.types.is_any_real_numeric_dtype(dtype)) and not is_bool(dtype)
    return is_number or bool(pd.api.types.is_datetime64_any_dtype(dtype)) or _is_arrow_date(dtype)


def _is_arrow_date(dtype: Any) -> bool:
    return isinstance(dtype, pd.ArrowDtype) and pa.types.is_temporal(dtype.pyarrow_dtype) and dtype.kind in "MO"


def read_times(column: pd.Series) -> npt.NDArray[Any]:
    """Times as numbers in the same order; ``ValueError`` at the first that is null, naming its row."""
    missing = nulls_of(column)
    if not missing.any():
        times = _as_numbers(column)
        missing = np.isnan(times)
        if not missing.any():
            return times
    raise ValueError(
        f"Column {column.name!r} is null in {place_of(column, int(np.argmax(missing)))} ({count_true(missing)} such): "
        "every row needs a time. Drop those rows first."
    )


def _as_numbers(column: pd.Series) -> npt.NDArray[Any]:
    if _is_arrow_date(column.dtype):
        column = pa.array(column).to_pandas(date_as_object=False)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column.astype(np.int64).to_numpy()
    plain: Any = getattr(column.dtype, "numpy_dtype", column.dtype)  # of nullable and Arrow numbers
    return column.to_numpy(plain)
