"""How large the ratings of a frame are, without fitting: rows, and different ids on either side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task, tree_reduce
from daskals.io.frames import Frame, kind_of, n_slices
from daskals.io.frames_in import Columns
from daskals.io.ids import id_type

Hashes = npt.NDArray[np.uint64]

#: Of a dask frame so many of the smallest hashes of ids are kept. More ids than that are estimated from how dense they
#: are, with a standard error of one over the square root of this: less than a percent.
KEPT = 1 << 14


class FrameSize(NamedTuple):
    """What a plan wants to know of a frame."""

    n_users: int
    n_items: int
    n_ratings: int
    #: in how many parts it is read
    n_parts: int
    #: of the columns that are read, in memory of this process; 0 of a dask frame
    n_bytes: int


class _Sketch(NamedTuple):
    rows: int
    #: the smallest hashes of users and of items, ascending and distinct
    users: Hashes
    items: Hashes


def size_of_frame(scheduler: Scheduler, dataset: Frame, columns: Columns) -> FrameSize:
    """Rows and different ids of a pandas frame, counted; of a dask frame ids are estimated, where there are many.

    A dask frame is read once, partition by partition, and no more than a few hundred kilobytes of each come here.
    ``TypeError`` for columns that cannot be ids.
    """
    assert columns.user is not None
    assert columns.item is not None
    for name in (columns.user, columns.item):
        id_type(dataset, name)
    if kind_of(dataset) == "pandas":
        n_users, n_items = (int(dataset[name].nunique(dropna=False)) for name in (columns.user, columns.item))
        n_bytes = int(dataset[columns.named].memory_usage(index=False).sum())
        return FrameSize(n_users, n_items, len(dataset), n_slices(len(dataset), scheduler.threads), n_bytes)

    def sketch() -> _Sketch:
        token = new_token()
        parts = [
            task(_sketch, part, columns.user, columns.item, name=f"als-hash-ids-{token}-{number}")
            for number, part in enumerate(dataset[[columns.user, columns.item]].to_delayed())
        ]
        (merged,) = scheduler.fetch(tree_reduce(_merge, parts, f"als-merge-hash-{token}"))
        found: _Sketch = merged
        return found

    found = scheduler.retry(sketch, "Counting the ids")
    return FrameSize(_estimate(found.users), _estimate(found.items), found.rows, dataset.npartitions, 0)


def _sketch(part: pd.DataFrame, user: str, item: str) -> _Sketch:
    return _Sketch(len(part), _hashes(part[user]), _hashes(part[item]))


def _hashes(column: pd.Series) -> Hashes:
    return _smallest(np.asarray(pd.util.hash_pandas_object(column.drop_duplicates(), index=False), np.uint64))


def _smallest(hashes: Hashes) -> Hashes:
    return np.unique(hashes)[:KEPT]


def _merge(*parts: _Sketch) -> _Sketch:
    rows, users, items = zip(*parts, strict=True)
    return _Sketch(sum(rows), _smallest(np.concatenate(users)), _smallest(np.concatenate(items)))


def _estimate(smallest: Hashes) -> int:
    """How many distinct values there are whose smallest hashes, of 64 bits, are these."""
    if len(smallest) < KEPT:
        return len(smallest)
    return round((KEPT - 1) / (float(smallest[-1]) / 2.0**64))
