"""What a fit is made of beside the loop: ratings that several fits share, and the history that each has."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from daskals.engine.factors import FactorMatrix
from daskals.engine.loop import Iteration
from daskals.engine.sides import Ratings
from daskals.io.frames import FrameKind
from daskals.io.ids import IdType
from daskals.io.model_files import Factors

if TYPE_CHECKING:
    from daskals.recommendation.estimator import ALS
    from daskals.recommendation.model import ALSModel


class History:
    """What is known of each iteration, in the columns of `ALSModel.history`."""

    COLUMNS = ("iteration", "objective", "rmse", "seconds")

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._columns = {name: list(columns.get(name, [])) for name in self.COLUMNS}

    def append(self, iteration: Iteration) -> None:
        """Add the row of an iteration."""
        row = (iteration.number, iteration.objective, iteration.rmse, iteration.seconds)
        for name, value in zip(self.COLUMNS, row, strict=True):
            self._columns[name].append(value)

    def frame(self) -> pd.DataFrame:
        """A row for each iteration."""
        return pd.DataFrame(self._columns)


@dataclass(frozen=True)
class Prepared:
    """Ratings ready to fit, and what is known of the frame that they come from."""

    ratings: Ratings
    user_ids: IdType
    item_ids: IdType
    frame_kind: FrameKind

    def factors(self, users: FactorMatrix, items: FactorMatrix) -> Factors:
        """Factors of these users and items."""
        return Factors(users, items, self.user_ids, self.item_ids)


class FitIterator(Iterator[tuple[int, "ALSModel"]]):
    """Fits one estimator after another: (its place, its model). Several threads may take from it at once.

    Estimators of the same ``key`` share the ratings that ``prepare`` makes of the first of them. They are let go when
    the last of these estimators has been fitted.
    """

    def __init__(
        self,
        estimators: Sequence[ALS],
        *,
        key: Callable[[ALS], Hashable],
        prepare: Callable[[ALS], Prepared],
        fit: Callable[[ALS, Prepared], ALSModel],
    ) -> None:
        self._estimators, self._prepare, self._fit = estimators, prepare, fit
        self._keys = [key(estimator) for estimator in estimators]
        self._places = iter(range(len(estimators)))
        self._lock = threading.Lock()
        self._preparing = threading.Lock()
        self._prepared: dict[Hashable, Prepared] = {}
        #: how many fits of each key have not ended
        self._open = Counter(self._keys)

    def __next__(self) -> tuple[int, ALSModel]:
        with self._lock:
            place = next(self._places)
        try:
            return place, self._fit(self._estimators[place], self._ratings_for(place))
        finally:
            with self._lock:
                self._open[self._keys[place]] -= 1
                if not self._open[self._keys[place]]:
                    self._prepared.pop(self._keys[place], None)

    def _ratings_for(self, place: int) -> Prepared:
        key = self._keys[place]
        with self._preparing:  # a thread that needs the same waits; one shuffle at a time is enough for the memory
            if key not in self._prepared:
                self._prepared[key] = self._prepare(self._estimators[place])
            return self._prepared[key]
