"""What share of the factors of a side a task may hold at a time."""

from __future__ import annotations

from daskals.execution.scheduler import Scheduler

#: A portion has at most this part of what a task may hold: kernels copy it, and a worker can run several tasks.
PART_OF_SHARE = 4
#: A portion may have this many bytes, however small a worker is.
LEAST_PORTION = 1 << 20
#: No worker has less memory than this, so smaller factors are known to fit without asking a cluster.
LEAST_MEMORY = 64 << 20


class Share:
    """How many bytes of the factors of a side a task may hold. A cluster is asked once, and only if it matters."""

    def __init__(self, scheduler: Scheduler, size: float | None = None) -> None:
        """``size`` is given where it is known."""
        self._scheduler, self._size = scheduler, size

    @property
    def size(self) -> float:
        """The setting ``factor-share``, in bytes of the smallest worker's memory."""
        if self._size is None:
            self._size = self._scheduler.settings.factor_share * self._scheduler.worker_memory()
        return self._size

    def holds(self, n_rows: int, rank: int) -> bool:
        """Whether a task may hold so many rows."""
        return self._is_within(4 * n_rows * rank, 1)

    def n_portions(self, n_rows: int, rank: int) -> int:
        """How many portions of equal numbers of rows are needed."""
        if self._is_within(4 * n_rows * rank, PART_OF_SHARE):
            return 1
        return -(-n_rows // self.rows_of_portion(rank))

    def rows_of_portion(self, rank: int) -> int:
        """How many rows a portion has, at most."""
        return int(max(self.size / PART_OF_SHARE, LEAST_PORTION) // (4 * rank)) or 1

    def _is_within(self, size: int, part: int) -> bool:
        least = self._scheduler.settings.factor_share * LEAST_MEMORY
        return size <= least / part or size <= self.size / part
