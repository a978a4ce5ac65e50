"""A context that several threads of this process are in at once: a setting of the whole process, held while needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


class SharedContext:
    """Enters a context with the first of several callers and leaves it with the last.

    For what is set for the whole process and set back afterwards. Two callers that did that by themselves, one after
    the other, would restore each other's values: the second saves what the first has set, and puts it back last.
    ``make`` gives a context manager and is called each time somebody enters while nobody is inside.
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
