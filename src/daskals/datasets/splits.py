"""Splitting ratings into rows to fit and rows to measure: at random, or the latest of each user.

::

    randomSplit          each row goes to one of the parts by a number that is drawn for it
    leaveLastOut         each user's n latest rows go to test, the others to train

Both keep the rows in their order and the kind of the frame, and are lazy on Dask frames. There each of the resulting
frames computes the partitions for itself, and the rows of a partition must come in the same order each time:
``persist`` a frame of which that is not true, a shuffled one for instance.

The latest rows of a user may lie in many partitions, so what is known of users is merged in a tree, in which only
users, times and row numbers travel, and no more rows than n of each user::

    partition 0 ── latest ──┐                             ┌── rows of partition 0 ── train, test
    partition 1 ── latest ──┼── merge ── merge ── rows ───┼── rows of partition 1 ── train, test
    partition 2 ── latest ──┘            │                └── ...
    ...                                  ┘

The root has n rows of each user in memory, about 40 bytes each and the id; a fit holds all ids in one place as well.
"""

from __future__ import annotations

import functools
import itertools
import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from daskals.datasets.latest import Users, can_be_times, latest_of_partition, mask_of, merge_latest, rows_to_test
from daskals.execution.tasks import new_token, task, tree_reduce
from daskals.io.foreign import names_of, read_frame, rows_of, settled
from daskals.io.frames import Frame, Rule, generator, keep_rows, kind_of, of_parts
from daskals.io.ids import id_type
from daskals.kernels.types import Int64
from daskals.params.arguments import at_least_one

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
    n = at_least_one("n", n)
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
        return _split_lazily(frame, users, n)
    (rows,) = rows_to_test(n, latest_of_partition(columns, 0, users, n), 1)
    mask = mask_of(rows, len(columns))
    if kind == "pandas":
        return frame[~mask], frame[mask]
    return rows_of(frame, ~mask), rows_of(frame, mask)


def _split_lazily(frame: Frame, users: Users, n: int) -> tuple[Frame, Frame]:
    token, parts = new_token(), frame.to_delayed()
    latest = [
        task(latest_of_partition, part, number, users, n, name=f"als-latest-{token}-{number}")
        for number, part in enumerate(parts)
    ]
    merged = tree_reduce(functools.partial(merge_latest, n), latest, f"als-latest-tree-{token}")
    rows = task(rows_to_test, n, merged, len(parts), name=f"als-test-rows-{token}")
    mine = [
        task(operator.getitem, rows, number, name=f"als-test-rows-{token}-{number}") for number in range(len(parts))
    ]
    train, test = (
        [
            task(_side, part, some, is_test, name=f"als-{side}-{token}-{number}")
            for number, (part, some) in enumerate(zip(parts, mine, strict=True))
        ]
        for side, is_test in (("train", False), ("test", True))
    )
    return of_parts(train, frame), of_parts(test, frame)


def _side(frame: pd.DataFrame, rows: Int64, is_test: bool) -> pd.DataFrame:
    chosen: pd.DataFrame = frame[mask_of(rows, len(frame)) == is_test]
    return chosen


def _require_columns(present: Sequence[Any], columns: dict[str, str]) -> None:
    for role, name in columns.items():
        if (times := present.count(name)) != 1:
            raise ValueError(
                f"frame has {times or 'no'} columns {name!r} ({role}) and needs one; its columns are "
                f"{', '.join(map(repr, present))}"
            )
    if columns["userCol"] == columns["timeCol"]:
        raise ValueError(f"userCol and timeCol must name different columns, got {columns['userCol']!r} for both")
