"""Splitting ratings into rows to fit and rows to measure: at random, or the latest of each user.

::

    randomSplit          each row goes to one of the parts by a number that is drawn for it
    leaveLastOut         each user's n latest rows go to test, the others to train

Both keep the rows in their order and the kind of the frame, and are lazy on Dask frames. There each of the resulting
frames computes the partitions for itself, and the rows of a partition must come in the same order each time:
``persist`` a frame of which that is not true, a shuffled one for instance.

The latest rows of a user may lie in many partitions. So each partition tells, by user, how many rows it has and which
of them are its latest; what is told of a user meets in one bucket; and the buckets tell each partition its test rows::

    partition 0 ── lalast_rows ──┬── bucket 0 ── last_rows ──┬── mask of partition 0
    partition 1 ── lalast_rows ──┼── bucket 1 ── last_rows ──┼── mask of partition 1
    partition 2 ── lalast_rows ──┘                           └── mask of partition 2

Only users, times and row numbers travel, at most n rows of each user from a partition.
"""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from dask.delayed import Delayed

from daskals.datasets.latest import Told, Users, can_be_times, last_rows, latest_rows, mark
from daskals.execution.tasks import new_token, task
from daskals.io.foreign import names_of, read_frame, rows_of, settled
from daskals.io.frames import Frame, Rule, generator, keep_rows, kind_of, of_parts
from daskals.io.ids import id_type
from daskals.kernels.types import Int64

#: Buckets in which users meet, at most: there are as many tasks as partitions times buckets.
MOST_BUCKETS = 32


# ---- at random -------------------------------------------------------------------------------------------


def randomSplit(frame: Frame, weights: Sequence[float], seed: int = 0) -> list[Frame]:
    """Split the rows of a frame at random; the counterpart of ``pyspark.sql.DataFrame.randomSplit``.

    Parameters
    ----------
    frame : pandas.DataFrame, dask.dataframe.DataFrame, Polars frame or Arrow table
        An Arrow stream is read into a table first.
    weights : list of float
        The share of each part, relative to their sum. A part has about its share of the rows, not exactly.
    seed : int, default 0
        Which rows go where depends on the seed, and on the partition and the place of a row in it, on nothing else. A
        frame that is not of Dask is one partition. The rows are not those that Spark draws.

    Returns
    -------
    list of frames of the same kind
        As many as weights. Every row is in exactly one of them, in the order of ``frame``. Dask frames are lazy.

    Raises
    ------
    TypeError
        What is no frame; weights or a seed that are no numbers.
    ValueError
        No weights; one that is not positive and finite.

    Examples
    --------
    >>> from daskals.datasets import load_sample
    >>> train, test = randomSplit(load_sample(), [0.8, 0.2], seed=7)
    >>> len(train) + len(test), 0.75 < len(train) / 1501 < 0.85
    (1501, True)
    """
    edges = _edges(weights)
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise TypeError(f"seed={seed!r} is not allowed: it must be an integer")
    frame = settled(frame)
    kind_of(frame, "frame")
    return [keep_rows(frame, _between(low, high, int(seed))) for low, high in itertools.pairwise(edges)]


def _edges(weights: Sequence[float]) -> list[float]:
    """Where the parts begin and end in the range of the numbers that are drawn, 0 to 1."""
    if isinstance(weights, str) or not hasattr(weights, "__iter__"):
        raise TypeError(f"weights={weights!r} is not allowed: it must be a list of numbers, such as [0.8, 0.2]")
    given = list(weights)
    if not given:
        raise ValueError("weights is empty: name the share of each part, such as [0.8, 0.2]")
    for place, weight in enumerate(given):
        if isinstance(weight, bool) or not isinstance(weight, numbers.Real):
            raise TypeError(f"weights[{place}]={weight!r} is not allowed: it must be a number")
        if not 0 < weight < math.inf:
            raise ValueError(f"weights[{place}]={weight!r} is not allowed: it must be positive and finite")
    shares = np.cumsum([float(weight) / max(map(float, given)) for weight in given])
    return [0.0, *(shares[:-1] / shares[-1]).tolist(), math.inf]


def _between(low: float, high: float, seed: int) -> Rule:
    def rule(frame: pd.DataFrame, number: int) -> npt.NDArray[np.bool_]:
        drawn = generator(seed, number).random(len(frame))
        return (drawn >= low) & (drawn < high)

    return rule


# ---- by time ---------------------------------------------------------------------------------------------


def leaveLastOut(frame: Frame, userCol: str = "user", timeCol: str = "timestamp", n: int = 1) -> tuple[Frame, Frame]:
    """Split the rows of a frame by time: the ``n`` latest of each user are for testing, the others for training.

    Users with ``n`` rows or fewer stay in train whole: a model could tell nothing of a user of whom it has no row. Of
    rows of the same time the later in the frame is the later one.

    Parameters
    ----------
    frame : pandas.DataFrame, dask.dataframe.DataFrame, Polars frame or Arrow table
        An Arrow stream is read into a table first.
    userCol : str, default "user"
        Column of users: whatever `daskals.ALS` takes as ids.
    timeCol : str, default "timestamp"
        Column of times: numbers, or dates of any kind.
    n : int, default 1
        How many rows of a user are for testing.

    Returns
    -------
    (train, test), frames of the same kind
        In the order of ``frame``. Dask frames are lazy; a user's rows may be in any number of partitions.

    Raises
    ------
    TypeError
        What is no frame; a column that can hold no users, or no times; an n that is no integer.
    ValueError
        A missing column; a null user or time, with its row; an n below 1.

    Examples
    --------
    >>> import pandas as pd
    >>> ratings = pd.DataFrame({"user": [1, 1, 2, 1], "item": [5, 6, 5, 7], "timestamp": [10, 30, 10, 20]})
    >>> train, test = leaveLastOut(ratings)
    >>> test
       user  item  timestamp
    1     1     6         30
    >>> train["item"].tolist()
    [5, 5, 7]
    """
    if isinstance(n, bool) or not isinstance(n, numbers.Integral):
        raise TypeError(f"n={n!r} is not allowed: it must be an integer >= 1")
    if n < 1:
        raise ValueError(f"n={n} is not allowed: it must be an integer >= 1")
    frame = settled(frame)
    kind = kind_of(frame, "frame")
    _require_columns(names_of(frame), {"userCol": userCol, "timeCol": timeCol})
    columns = frame[[userCol, timeCol]] if kind in ("pandas", "dask") else read_frame(frame, [userCol, timeCol])
    if not can_be_times(columns.dtypes[timeCol]):
        raise TypeError(
            f"Column {timeCol!r} is of type {columns.dtypes[timeCol]}, but times must be numbers or dates: convert it "
            "first, for example with pandas.to_datetime."
        )
    users = Users(userCol, timeCol, id_type(columns, userCol).kind, columns.dtypes[timeCol])
    if kind == "dask":
        return _split_lazily(frame, users, int(n))
    (told,) = latest_rows(columns, users, int(n), 1)
    mask = mark(len(columns), 0, last_rows(int(n), told))
    if kind == "pandas":
        return frame[~mask], frame[mask]
    return rows_of(frame, ~mask), rows_of(frame, mask)


def _split_lazily(frame: Frame, users: Users, n: int) -> tuple[Frame, Frame]:
    token, parts = new_token(), frame.to_delayed()
    buckets = min(len(parts), MOST_BUCKETS)
    told = [
        task(latest_rows, part, users, n, buckets, name=f"als-latest-{token}-{number}")
        for number, part in enumerate(parts)
    ]
    found = [_bucket(told, bucket, n, token) for bucket in range(buckets)]
    train, test = (
        [
            task(_side, part, number, latest, *found, name=f"als-{side}-{token}-{number}")
            for number, part in enumerate(parts)
        ]
        for side, latest in (("earlier", False), ("last", True))
    )
    return of_parts(train, frame), of_parts(test, frame)


def _bucket(told: Sequence[Delayed], bucket: int, n: int, token: str) -> Delayed:
    pieces = [
        task(_piece, each, bucket, name=f"als-told-{token}-{number}-{bucket}") for number, each in enumerate(told)
    ]
    return task(last_rows, n, *pieces, name=f"als-last-rows-{token}-{bucket}")


def _piece(told: Sequence[Told], bucket: int) -> Told:
    return told[bucket]


def _side(frame: pd.DataFrame, number: int, latest: bool, *found: list[Int64]) -> pd.DataFrame:
    rows: pd.DataFrame = frame[mark(len(frame), number, *found) == latest]
    return rows


def _require_columns(present: Sequence[Any], columns: dict[str, str]) -> None:
    for role, name in columns.items():
        if (times := present.count(name)) != 1:
            raise ValueError(
                f"frame has {times or 'no'} columns {name!r} ({role}) and needs one; its columns are "
                f"{', '.join(map(repr, present))}"
            )
    if columns["userCol"] == columns["timeCol"]:
        raise ValueError(f"userCol and timeCol must name different columns, got {columns['userCol']!r} for both")
