"""What kind of frame there is, its partitions as tasks, and some of its rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, get_args

import dask
import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd
from dask.delayed import Delayed

from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import identity, new_token, task, tree_reduce
from daskals.io.foreign import foreign_kind, is_lazy_polars, polars, read_frame, rows_of

FrameKind = Literal["pandas", "dask", "polars", "pyarrow"]
Frame = Any  #: pandas.DataFrame or dask.dataframe.DataFrame; on the surface also what `daskals.io.foreign` reads
T = TypeVar("T")
#: (rows of a partition, number of the partition) -> which of the rows are meant
Rule = Callable[[pd.DataFrame, int], npt.NDArray[np.bool_]]

#: A pandas frame is cut into slices of at least this many rows,
MIN_SLICE_ROWS = 250_000
#: and of at most this many for each thread, so that no thread waits long for the last.
SLICES_PER_THREAD = 4


def kind_of(dataset: Frame, name: str = "The dataset") -> FrameKind:
    """Which kind a frame is; ``TypeError`` that says what to do for anything else, which it calls by ``name``.

    What offers an Arrow stream and is of no other kind is "pyarrow".
    """
    if isinstance(dataset, pd.DataFrame):
        return "pandas"
    if isinstance(dataset, dd.DataFrame):
        return "dask"
    if (kind := foreign_kind(dataset)) is not None:
        return kind
    if is_lazy_polars(dataset):
        raise TypeError(
            f"{name} is a polars.LazyFrame, which is not computed yet: select the columns that are needed and call "
            ".collect()."
        )
    raise TypeError(
        f"{name} must be a pandas or a dask DataFrame, got {type(dataset).__module__}."
        f"{type(dataset).__qualname__}. For an array use pandas.DataFrame(array, columns=[...]). Polars frames, Arrow "
        "tables and whatever offers an Arrow stream are taken as well."
    )


def check_kind(kind: Any) -> None:
    """``ValueError`` for what is no kind of frame, ``ModuleNotFoundError`` for Polars where it is not installed."""
    if kind not in get_args(FrameKind):
        raise ValueError(f"frames={kind!r} is not allowed: it must be one of {', '.join(get_args(FrameKind))}")
    if kind == "polars":
        polars()


def partitions(dataset: Frame, scheduler: Scheduler) -> list[Delayed]:
    """A frame in parts, as tasks: slices of a pandas frame, the partitions of a dask frame."""
    if kind_of(dataset) == "dask":
        return list(dataset.to_delayed())
    edges = np.linspace(0, len(dataset), n_slices(len(dataset), scheduler.threads) + 1).astype(int)
    token = new_token()
    return [
        task(identity, dataset.iloc[start:stop], name=f"als-slice-frame-{token}-{start}")
        for start, stop in itertools.pairwise(edges)
    ]


def n_slices(n_rows: int, threads: int) -> int:
    """In how many slices a pandas frame of so many rows is cut."""
    return max(1, min(SLICES_PER_THREAD * threads, n_rows // MIN_SLICE_ROWS))


def of_each_partition(
    scheduler: Scheduler, function: Callable[..., T], dataset: Frame, *args: Any, name: str
) -> list[T]:
    """``function(partition, *args)`` of every partition, in one computation.

    For what is small. A pandas frame is one partition, and is not computed by tasks.
    """
    if kind_of(dataset) == "pandas":
        return [function(dataset, *args)]
    token = new_token()
    tasks = [task(function, part, *args, name=f"{name}-{token}-{n}") for n, part in enumerate(dataset.to_delayed())]
    return list(scheduler.fetch(*tasks))


def of_matching_partitions(
    scheduler: Scheduler,
    function: Callable[..., T],
    frames: Sequence[Frame],
    column: str,
    *args: Any,
    merge: Callable[..., T],
    name: str,
) -> T:
    """``function(*args, *partitions)`` of partitions that hold the same values of a column, merged to one.

    A partition of each frame. For what is small: the results are merged by ``merge(*results)`` in a tree, and one comes
    here. If any is a dask frame, all are shuffled by the column, whose dtypes must agree.
    """
    if all(kind_of(frame) == "pandas" for frame in frames):
        return merge(function(*args, *frames))
    # tasks: p2p, the default under a client, could not be computed by another scheduler afterwards;
    # convert-string: a pandas column of lists would become one of strings
    with dask.config.set({"dataframe.shuffle.method": "tasks", "dataframe.convert-string": False}):
        lazy = [dd.from_pandas(f, npartitions=1) if kind_of(f) == "pandas" else f for f in frames]
        blocks = max(frame.npartitions for frame in lazy)
        sides = [frame.shuffle(column, npartitions=blocks).to_delayed() for frame in lazy]
    token = new_token()
    parts = [
        task(function, *args, *matching, name=f"{name}-{token}-{n}")
        for n, matching in enumerate(zip(*sides, strict=True))
    ]
    (merged,) = scheduler.fetch(tree_reduce(merge, parts, f"{name}-tree-{token}"))
    result: T = merged
    return result


def generator(seed: int, number: int) -> np.random.Generator:
    """The generator of partition ``number``, for rules of `keep_rows` that draw rows at random."""
    return np.random.default_rng([seed % 2**64, number])


def keep_rows(dataset: Frame, rule: Rule, reads: Sequence[str] = ()) -> Frame:
    """The rows for which ``rule(partition, its number)`` is true; lazily of a dask frame, whose divisions stay.

    A frame of another kind is partition 0. The rule is given a pandas frame; of a Polars frame or an Arrow table it has
    the columns ``reads`` alone.
    """
    kind = kind_of(dataset)
    if kind == "pandas":
        return _kept(dataset, 0, rule)
    if kind != "dask":
        return rows_of(dataset, rule(read_frame(dataset, reads), 0))
    # Not by map_partitions: Dask numbers the partitions anew when it takes some of the result, by head() for example.
    token = new_token()
    parts = [
        task(_kept, part, number, rule, name=f"als-kept-rows-{token}-{number}")
        for number, part in enumerate(dataset.to_delayed())
    ]
    return of_parts(parts, dataset)


def _kept(frame: pd.DataFrame, number: int, rule: Rule) -> pd.DataFrame:
    rows: pd.DataFrame = frame[rule(frame, number)]
    return rows


def hold(scheduler: Scheduler, dataset: Frame) -> tuple[Frame, int]:
    """The same frame, computed once and held by the scheduler, and its number of rows.

    Workers that are lost meanwhile are watched for, and the frame is computed again.
    """
    if kind_of(dataset) != "dask":
        return dataset, len(dataset)

    def held() -> tuple[Frame, int]:
        token = new_token()
        parts = [
            task(identity, part, name=f"als-hold-frame-{token}-{number}")
            for number, part in enumerate(dataset.to_delayed())
        ]
        counts = [task(len, part, name=f"als-count-rows-{token}-{number}") for number, part in enumerate(parts)]
        (stayed,), (rows,) = scheduler.persist_and_fetch([parts], [counts])
        return of_parts(stayed, dataset), sum(rows)

    return scheduler.retry(held, "Computing a frame")


def of_parts(parts: Sequence[Delayed], like: dd.DataFrame) -> dd.DataFrame:
    """A dask frame of tasks that give a partition each, which has rows of the same partition of another frame."""
    return dd.from_delayed(parts, meta=like._meta, divisions=like.divisions, verify_meta=False)


def concatenated(scheduler: Scheduler, parts: Sequence[Delayed], *, keep_index: bool = False) -> pd.DataFrame:
    """The frames that tasks give, in one pandas frame here."""
    frames: tuple[pd.DataFrame, ...] = scheduler.fetch(*parts)
    return pd.concat(frames, ignore_index=not keep_index) if len(frames) > 1 else frames[0]
