"""What is known of each iteration of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from daskals.engine.loop import Iteration
from daskals.io.history import EXPLICIT_COLUMNS, IMPLICIT_COLUMNS, PREFERENCE_ERROR


class History:
    """A row for each iteration, in the columns of `ALSModel.history`."""

    def __init__(self, *, implicit: bool) -> None:
        names = IMPLICIT_COLUMNS if implicit else EXPLICIT_COLUMNS
        self._columns: dict[str, list[Any]] = {name: [] for name in names}

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Any]]) -> History:
        """The history that metadata hold, a list for each column; an empty one if they hold none, as Spark's."""
        history = cls(implicit=PREFERENCE_ERROR in columns)
        history._columns = {name: list(columns.get(name, [])) for name in history._columns}
        return history

    def append(self, iteration: Iteration) -> None:
        """Add the row of an iteration."""
        row = (iteration.number, iteration.objective, iteration.rmse, iteration.seconds)
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)

    def frame(self) -> pd.DataFrame:
        """A row for each iteration."""
        return pd.DataFrame(self._columns)

    @property
    def last_objective(self) -> float | None:
        """The objective after the last iteration; None where there was none."""
        return self._columns["objective"][-1] if self._columns["objective"] else None

    def first_not_finite(self) -> int | None:
        """The first iteration whose objective or error is not a finite number; None where all are."""
        numbers, *values, _ = self._columns.values()
        bad = np.flatnonzero(~np.isfinite(np.array(values, dtype=float)).all(axis=0))
        return int(numbers[bad[0]]) if len(bad) else None
