"""Factors that are too many for a task, by configuration; and how many rows of factors tasks were given."""

from contextlib import contextmanager
from unittest import mock

import dask
import numpy as np
from dask.callbacks import Callback
from distributed.system import MEMORY_LIMIT

from daskals.engine import share


@contextmanager
def small_shares(rows=1, rank=4, *, all_of=0):
    """Inside, a task may hold all rows of sides that have at most ``all_of``, and of larger sides next to nothing.

    Then each block is a portion, or several if it has more rows than ``rows``. On a scheduler of this process.
    """
    with (
        mock.patch.multiple(share, LEAST_PORTION=4 * rank * rows, LEAST_MEMORY=0),
        dask.config.set({"daskals.factor-share": 4 * rank * (all_of + 0.5) / MEMORY_LIMIT}),
    ):
        yield


class RowsAtHand(Callback):
    """The most rows of factors that any task was given, on the synchronous scheduler: those of ``rank`` columns."""

    def __init__(self, rank):
        self.rank, self.most, self.by_whom = rank, 0, None

    def _pretask(self, key, dsk, state):
        rows = sum(self._rows_in(state["cache"].get(each)) for each in state["dependencies"][key])
        if rows > self.most:
            self.most, self.by_whom = rows, key

    def _rows_in(self, value):
        value = getattr(value, "value", value)  # results that were persisted are data nodes of the graph
        if isinstance(value, np.ndarray):
            return len(value) if value.ndim == 2 and value.shape[1] == self.rank else 0
        return sum(map(self._rows_in, value)) if isinstance(value, (tuple, list)) else 0
