"""How many threads BLAS uses in this process."""

from __future__ import annotations

import threading
from typing import Any

try:
    import threadpoolctl
except ImportError:  # the extra "fast"
    threadpoolctl = None


class BlasLimit:
    """Holds BLAS to one thread in this process while anybody is inside.

    The limit is set by the first of several concurrent callers and lifted by the last: limits that are set and
    lifted crosswise would restore each other's values. Needs threadpoolctl, does nothing without it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit: Any = None
        self._controller: Any = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1 and threadpoolctl is not None:
                # (finding the libraries takes as long as a small half-step; those that we call are loaded by now)
                self._controller = self._controller or threadpoolctl.ThreadpoolController()
                self._limit = self._controller.limit(limits=1, user_api="blas")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._limit is not None:
                self._limit.restore_original_limits()
                self._limit = None
