"""What is known of each iteration of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from daskals.engine.loop import Iteration
from daskals.io.history import PREFERENCE_ERROR, VALIDATION_ERROR, VALIDATION_GAIN, columns_of


class History:
    """A row for each iteration, in the columns of `ALSModel.history`."""

    def __init__(self, *, implicit: bool, validated: bool = False) -> None:
        self._columns: dict[str, list[Any]] = {name: [] for name in columns_of(implicit=implicit, validated=validated)}

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Any]]) -> History:
        """The history that metadata hold, a list for each column; an empty one if they hold none, as Spark's."""
        validated = VALIDATION_ERROR in columns or VALIDATION_GAIN in columns
        return cls(implicit=PREFERENCE_ERROR in columns, validated=validated).filled(columns)

    def filled(self, columns: Mapping[str, Sequence[Any]]) -> History:
        """A history of the same columns with the values of others of these names."""
        history = History(implicit=PREFERENCE_ERROR in self._columns, validated=self.validated)
        history._columns = {name: list(columns.get(name, [])) for name in self._columns}
        return history

    def append(self, iteration: Iteration, metric: float | None = None) -> None:
        """Add the row of an iteration, with the metric of held-out ratings where there are such."""
        row = [iteration.number, iteration.objective, iteration.rmse, iteration.seconds]
        row += [] if metric is None else [metric]
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)

    def frame(self) -> pd.DataFrame:
        """A row for each iteration."""
        return pd.DataFrame(self._columns)

    def head(self, n: int) -> History:
        """The history of the first ``n`` iterations."""
        return self.filled({name: values[:n] for name, values in self._columns.items()})

    def __len__(self) -> int:
        return len(self.objectives)

    @property
    def objectives(self) -> list[float]:
        """The objective after each iteration."""
        return self._columns["objective"]

    @property
    def validated(self) -> bool:
        """Whether there is a metric of held-out ratings."""
        return len(self._columns) > len(columns_of(implicit=True, validated=False))

    @property
    def best(self) -> int:
        """The iteration whose factors are the model's: the best by held-out ratings, or the last; 0 if there is none.

        The first of those that are equally good. A metric that is NaN is never the best.
        """
        metrics = np.array(self._columns.get(VALIDATION_GAIN, self._columns.get(VALIDATION_ERROR, [])), float)
        losses = -metrics if VALIDATION_GAIN in self._columns else metrics
        numbers = np.flatnonzero(~np.isnan(losses))  # np.nanargmin would take NaN where all others are infinite
        return int(numbers[np.argmin(losses[numbers])]) + 1 if len(numbers) else len(self)

    @property
    def last_objective(self) -> float | None:
        """The objective after the last iteration; None where there was none."""
        return self.objectives[-1] if self.objectives else None

    def first_not_finite(self) -> int | None:
        """The first iteration whose objective or error is not a finite number; None where all are."""
        numbers, *values = list(self._columns.values())[:3]
        bad = np.flatnonzero(~np.isfinite(np.array(values, dtype=float)).all(axis=0))
        return int(numbers[bad[0]]) if len(bad) else None
