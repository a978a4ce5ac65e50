"""All that differs between Dask's schedulers: making tasks, running them, waiting, asking how much there is.

The scheduler in force is used, as for any Dask collection: threads by default, a cluster when a
``distributed.Client`` is current, whatever ``dask.config.set(scheduler=...)`` says. The same tasks run on all.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dask
from dask.base import get_scheduler
from dask.delayed import Delayed, delayed
from dask.local import get_sync
from dask.system import CPU_COUNT
from distributed import Client, futures_of, wait

try:
    import threadpoolctl
except ImportError:  # the extra "fast"
    threadpoolctl = None

#: Inputs of a node in a reduction tree.
FAN_IN = 16


def new_token() -> str:
    """A short word that no other call returns; task names of a fit contain one, so that fits never mix."""
    return uuid.uuid4().hex[:12]


def task(function: Callable[..., Any], *args: Any, name: str) -> Delayed:
    """A task that calls ``function(*args)``; ``name`` must be unique. Delayed arguments become dependencies.

    Delayed objects are to be arguments of their own, never inside a list: Dask would drop the futures of
    persisted ones from the new graph, and a cluster could then forget them too early.
    """
    return delayed(function, name=f"{name}-function", pure=False)(*args, dask_key_name=name)


def tree_reduce(function: Callable[..., Any], parts: Sequence[Delayed], name: str) -> Delayed:
    """Combine parts by ``function(*parts)`` in a tree of fan-in `FAN_IN`."""
    level = 0
    while len(parts) > 1 or level == 0:
        parts = [
            task(function, *parts[first : first + FAN_IN], name=f"{name}-{level}-{first // FAN_IN}")
            for first in range(0, len(parts), FAN_IN)
        ]
        level += 1
    return parts[0]


def persist(*groups: Sequence[Delayed]) -> list[tuple[Delayed, ...]]:
    """Compute all tasks of all groups and keep the results where they are; return when all are done.

    A task's exception is raised here.
    """
    with _one_blas_thread():
        flat = dask.persist(*(each for group in groups for each in group))
    futures = futures_of(flat)
    if futures:  # on a cluster; the local schedulers have computed by now
        wait(futures)
    for future in futures:
        if future.status != "finished":
            future.result()
    rest = iter(flat)
    return [tuple(next(rest) for _ in group) for group in groups]


def fetch(*tasks: Delayed) -> tuple[Any, ...]:
    """Compute tasks and bring their results here. For small results, and for what the user asked to see."""
    with _one_blas_thread():
        results: tuple[Any, ...] = dask.compute(*tasks)
    return results


class _BlasLimit:
    """Holds BLAS to one thread in this process while anybody is inside.

    The limit is set by the first of several concurrent callers and lifted by the last: limits that are set and
    lifted crosswise would restore each other's values. Needs threadpoolctl, does nothing without it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1 and threadpoolctl is not None:
                self._limit = threadpoolctl.threadpool_limits(1, "blas")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._limit is not None:
                self._limit.restore_original_limits()
                self._limit = None


_blas_limit = _BlasLimit()


def _one_blas_thread() -> AbstractContextManager[None]:
    """Around the work of several threads of this process, which BLAS's own threads would fight for the cores.

    (Workers that a nanny starts have one BLAS thread anyway.)
    """
    return _blas_limit if total_threads() > 1 else nullcontext()


def setting(key: str) -> Any:
    """The value of ``daskals.<key>`` in Dask's configuration, None where it is not set; read at call time."""
    return dask.config.get(f"daskals.{key}", None)


def total_threads() -> int:
    """How many tasks the scheduler in force runs at a time."""
    scheduler = get_scheduler()
    client = getattr(scheduler, "__self__", None)
    if isinstance(client, Client):
        threads: int = sum(client.nthreads().values())
        return max(1, threads)
    if scheduler is get_sync:
        return 1
    pool = dask.config.get("pool", None)
    n: int = getattr(pool, "_max_workers", None) or dask.config.get("num_workers", None) or CPU_COUNT
    return max(1, n)
