"""Which rows models are fitted to, and which rows they are measured on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from daskals.execution.scheduler import current_scheduler
from daskals.io.foreign import names_of, read_frame
from daskals.io.frames import Frame, Rule, hold, keep_rows, kind_of, of_each_partition


def split(dataset: Frame, rule: Rule, where: str, reads: Sequence[str] = ()) -> tuple[Frame, Frame]:
    """The training rows, lazily if the dataset is lazy, and the validation rows, held by the scheduler.

    ``rule`` tells which rows are for validation, by the columns ``reads``. ``ValueError`` that names the split,
    ``where``, if there are no validation rows (or, of what is no dask frame, no training rows).
    """
    train = keep_rows(dataset, lambda frame, number: ~rule(frame, number), reads)
    validation, n_rows = hold(current_scheduler(), keep_rows(dataset, rule, reads))
    if not n_rows or (kind_of(train) != "dask" and not len(train)):
        raise ValueError(
            f"There are no {'training' if n_rows else 'validation'} rows in {where}: the dataset has too few rows. Use "
            "fewer folds, or another trainRatio; or say in a column, foldCol, which row is in which fold."
        )
    return train, validation


def check_folds(dataset: Frame, column: str, n_folds: int) -> None:
    """The fold numbers of a column must be integers in range, and all of them there; one pass over the column."""
    kind = kind_of(dataset)
    if (times := names_of(dataset).count(column)) != 1:
        raise ValueError(
            f"There are {times or 'no'} columns {column!r} in the dataset, and foldCol needs one; its columns are "
            f"{', '.join(map(repr, names_of(dataset)))}"
        )
    dataset = dataset[[column]] if kind in ("pandas", "dask") else read_frame(dataset, [column])
    dtype = dataset.dtypes[column]
    if not pd.api.types.is_integer_dtype(dtype):
        raise TypeError(
            f"foldCol {column!r} must be a column of integers, its dtype is {dtype}; convert it with astype"
        )
    counts = of_each_partition(current_scheduler(), _count_folds, dataset, column, n_folds, name="als-count-folds")
    total = np.sum(counts, axis=0)
    if not total.all():
        empty = ", ".join(map(str, np.flatnonzero(total == 0)))
        raise ValueError(
            f"foldCol {column!r} leaves fold {empty} without rows: each number from 0 to {n_folds - 1} must be there. "
            f"Set numFolds to how many folds there are."
        )


def _count_folds(frame: pd.DataFrame, column: str, n_folds: int) -> npt.NDArray[np.int64]:
    """How many rows of a partition are in each fold; ``ValueError`` naming the first that is in none."""
    folds = frame[column]
    wrong = (folds.isna() | (folds < 0) | (folds >= n_folds)).fillna(True).to_numpy(bool)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"foldCol {column!r} is {folds.iloc[row]} in row {folds.index[row]!r} ({np.count_nonzero(wrong)} such): "
            f"fold numbers must be in the range 0 to {n_folds - 1}, since numFolds={n_folds}"
        )
    return np.bincount(folds.to_numpy(np.int64), minlength=n_folds)
