"""A context that several threads can be in at once, for settings that hold for the whole process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


class SharedContext:
    """Enters a context when the first of several callers enters, and leaves it when the last one leaves.

    This is for a setting of the whole process that is set for a while and then restored. If each of two overlapping
    callers did that alone, the second would save the value that the first has set, and would restore that value at the
    end. ``make`` returns a context manager; it is called each time that somebody enters while nobody is inside.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._inside = 0
        self._context: AbstractContextManager[Any] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._context = self._make()
                self._context.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._context is not None:
                self._context.__exit__(None, None, None)
                self._context = None
