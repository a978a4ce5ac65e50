"""Several fits, one after another or from several threads, that share what they can."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Generic, TypeVar

E = TypeVar("E")
P = TypeVar("P")
M = TypeVar("M")


class FitIterator(Iterator[tuple[int, M]], Generic[E, P, M]):
    """Fits one estimator after another: (its place, its model). Several threads may take from it at once.

    Estimators of the same ``key`` share what ``prepare`` makes of the first of them. It is let go when the last of
    these estimators has been fitted, or has failed.
    """

    def __init__(
        self,
        estimators: Sequence[E],
        *,
        key: Callable[[E], Hashable],
        prepare: Callable[[E], P],
        fit: Callable[[E, P], M],
    ) -> None:
        self._estimators, self._prepare, self._fit = estimators, prepare, fit
        self._keys = [key(estimator) for estimator in estimators]
        self._places = iter(range(len(estimators)))
        self._lock = threading.Lock()
        self._preparing = threading.Lock()
        self._prepared: dict[Hashable, P] = {}
        #: how many fits of each key have not ended
        self._open = Counter(self._keys)

    def __next__(self) -> tuple[int, M]:
        with self._lock:
            place = next(self._places)
        try:
            return place, self._fit(self._estimators[place], self._prepared_for(place))
        finally:
            with self._lock:
                self._open[self._keys[place]] -= 1
                if not self._open[self._keys[place]]:
                    self._prepared.pop(self._keys[place], None)

    def _prepared_for(self, place: int) -> P:
        key = self._keys[place]
        with self._preparing:  # a thread that needs the same waits; one shuffle at a time is enough for the memory
            if key not in self._prepared:
                self._prepared[key] = self._prepare(self._estimators[place])
            return self._prepared[key]
