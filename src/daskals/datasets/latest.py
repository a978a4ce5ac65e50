"""The latest rows of each user, from what partitions tell of them; see the picture in `daskals.datasets.splits`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from daskals.io.ids import IdKind, read_ids
from daskals.io.values import count_true, is_bool, nulls_of, place_of
from daskals.kernels.types import Ids, Int64


class Users(NamedTuple):
    """Names of the columns of users and times, the kind of the ids, and the dtype of the times."""

    user: str
    time: str
    kind: IdKind
    time_dtype: Any


class Told(NamedTuple):
    """What a partition tells of some of its users."""

    #: distinct users, and how many rows each has
    users: Ids
    counts: Int64
    #: of each row that may be among the latest: the place of its user in ``users``, its time, its row number
    places: Int64
    times: npt.NDArray[Any]
    rows: Int64


def latest_rows(frame: pd.DataFrame, users: Users, n: int, buckets: int) -> list[Told]:
    """What a partition tells each bucket: its ``n`` latest rows of the users that belong there.

    ``ValueError`` at the first null user or time, naming the row.
    """
    coded = read_ids(frame[users.user], users.kind)
    times = read_times(frame[users.time].astype(users.time_dtype))
    order, after = _by_user_and_time(coded.codes, times)
    rows = order[after < n]
    bucket_of = pd.util.hash_array(coded.uniques) % np.uint64(buckets)
    counts = np.bincount(coded.codes, minlength=len(coded.uniques))
    told = []
    for bucket in range(buckets):
        mine = bucket_of == bucket
        chosen = rows[mine[coded.codes[rows]]]
        places = (np.cumsum(mine) - 1)[coded.codes[chosen]]
        told.append(Told(coded.uniques[mine], counts[mine], places, times[chosen], chosen))
    return told


def last_rows(n: int, *told: Told) -> list[Int64]:
    """The rows that are among the ``n`` latest of all rows of their users, in an array for each partition.

    ``told`` has what each partition tells of the same users. Users of ``n`` rows or fewer have none.
    """
    users = pd.factorize(np.concatenate([each.users for each in told]))[0]
    counts = np.bincount(users, weights=np.concatenate([each.counts for each in told]))
    # at this point a user is a number, the same in all partitions
    of_partition = np.split(users, np.cumsum([len(each.users) for each in told])[:-1])
    codes = np.concatenate([mine[each.places] for mine, each in zip(of_partition, told, strict=True)])
    times, rows = (np.concatenate([getattr(each, name) for each in told]) for name in ("times", "rows"))
    partition = np.repeat(np.arange(len(told)), [len(each.rows) for each in told])
    order, after = _by_user_and_time(codes, times, rows, partition)
    chosen = order[(after < n) & (counts[codes[order]] > n)]
    return [rows[chosen[partition[chosen] == number]] for number in range(len(told))]


def _by_user_and_time(codes: npt.NDArray[Any], times: npt.NDArray[Any], *ties: npt.NDArray[Any]) -> tuple[Int64, Int64]:
    """The order of rows by user and time, and for each row in it how many of its user come after it.

    Equal times are in the order of ``ties``, of which the last decides first; without any, as they stand.
    """
    order = np.lexsort((*ties, times, codes))
    ends = np.cumsum(np.bincount(codes))
    return order, ends[codes[order]] - 1 - np.arange(len(order))


def mark(length: int, number: int, *found: list[Int64]) -> npt.NDArray[np.bool_]:
    """A mask of the rows of partition ``number`` that `last_rows` found, bucket by bucket."""
    mask = np.zeros(length, np.bool_)
    for rows in found:
        mask[rows[number]] = True
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
