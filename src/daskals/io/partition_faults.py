"""Partitions of a Dask frame that are not what the frame says of them.

A Dask frame promises by its *meta*, an empty pandas frame, which columns every partition has and of which dtypes.
Nobody holds it to that: with the wrong dtype an id would be taken for another one, in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import pandas as pd

from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task
from daskals.io.frames import Frame, kind_of, partitions


class Source(NamedTuple):
    """Where the rows that a task reads come from, for error messages."""

    #: the number of the partition
    number: int
    #: the dtype of each column in the meta, as a string
    dtypes: Mapping[str, str]


def column_of(part: Any, source: Source, name: str) -> pd.Series:
    """A column of a partition; ``TypeError`` or ``ValueError`` if that has none, or is no frame."""
    if (fault := fault_of(part, source.number, [name])) is not None:
        raise fault
    column: pd.Series = part[name]
    return column


def broken_promise(column: pd.Series, source: Source) -> TypeError:
    """The error to raise where a partition's column is of a dtype that cannot be read as that of the meta."""
    meta = source.dtypes[str(column.name)]
    return TypeError(
        f"Partition {source.number} has column {column.name!r} of type {column.dtype}, but the frame says that it is "
        f"of type {meta}, by its meta. Convert the column with astype where the partition is made, or make the frame "
        "with the right meta."
    )


def fault_of(part: Any, number: int, names: Sequence[str]) -> Exception | None:
    """What is wrong with a partition that must be a pandas frame with each of these columns once."""
    if not isinstance(part, pd.DataFrame):
        return TypeError(
            f"Partition {number} is of type {type(part).__qualname__}, where a pandas.DataFrame was expected. The "
            "function that makes the partitions must return a frame of the columns of its meta, for no rows as well."
        )
    present = list(part.columns)
    for name in names:
        if present.count(name) != 1:
            return ValueError(
                f"Partition {number} has {present.count(name) or 'no'} columns {name!r}; its columns are "
                f"{', '.join(map(repr, present))}. Every partition must have the columns of the frame's meta, once."
            )
    return None


@contextmanager
def naming_bad_partitions(scheduler: Scheduler, dataset: Frame, names: Sequence[str]) -> Iterator[None]:
    """If something inside fails because of a partition without the columns, say so, and which partition it is.

    Dask takes columns out of partitions before they come to us, and its error names no partition. So all partitions
    are looked at again, after a failure of that kind only. An error that has another origin stays as it is.
    """
    try:
        yield
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        ours = str(error).startswith(("Column ", "Partition "))
        if kind_of(dataset) == "dask" and not ours and (fault := _first_fault(scheduler, dataset, names)):
            raise fault from None
        raise


def _first_fault(scheduler: Scheduler, dataset: Frame, names: Sequence[str]) -> Exception | None:
    token = new_token()
    faults = [
        task(fault_of, part, number, list(names), name=f"als-look-{token}-{number}")
        for number, part in enumerate(partitions(dataset, scheduler))
    ]
    with suppress(Exception):  # a partition that cannot even be made has its own error, which is raised already
        return next((fault for fault in scheduler.fetch(*faults) if fault is not None), None)
    return None
