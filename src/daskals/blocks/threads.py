"""Work of one task on all threads of a process: where a task for each thread would be too many for a cluster.

A worker runs as many tasks as it has threads. While one of them uses all threads, others that want to do so wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

#: Held by the task that uses the threads of this process.
_in_use = threading.Lock()


@contextmanager
def threads(n: int) -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]]:
    """A context with ``n`` threads: it gives a ``map`` that returns a list, in the order of what it is given.

    Where ``n`` is 1 that is the thread of the caller, and nobody waits.

    >>> with threads(2) as map_in_threads:
    ...     map_in_threads(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    if n == 1:
        yield lambda function, items: list(map(function, items))
        return
    with _in_use, ThreadPoolExecutor(n, "daskals") as pool:
        yield lambda function, items: list(pool.map(function, items))
