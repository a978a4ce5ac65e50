"""Making tasks. Nothing runs here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import dask
from dask.delayed import Delayed, delayed

T = TypeVar("T")

#: How many inputs a node of a reduction tree has, at most.
FAN_IN = 16


def new_token() -> str:
    """A short word that no other call returns. The names of a fit's tasks contain one, so that fits never mix."""
    return uuid.uuid4().hex[:12]


def task(function: Callable[..., Any], *args: Any, name: str, worker: str | None = None) -> Delayed:
    """Make a task that calls ``function(*args)``. An argument that is itself a task becomes a dependency.

    Tasks must be arguments of their own, never inside a list: from a list Dask would drop the futures of persisted
    tasks, and a cluster could then forget their results too early. ``name`` must be unique: a cluster takes a second
    task of the same name for the first. ``worker`` is the address of the worker that had best run the task
    (`daskals.execution.placement`); any other one may run it.
    """
    wish = nullcontext() if worker is None else dask.annotate(workers=[worker], allow_other_workers=True)
    with wish:
        return delayed(function, name=f"{name}-function", pure=False)(*args, dask_key_name=name)


def tree_reduce(
    function: Callable[..., Any], parts: Sequence[Delayed], name: str, worker: str | None = None
) -> Delayed:
    """Combine the results of tasks to one, by ``function(*results)``, in a tree whose nodes have `FAN_IN` inputs.

    ``function`` must accept what it returns, and one input as well as several. ``worker`` is where that had best be.
    """
    level = 0
    while len(parts) > 1 or level == 0:
        parts = [
            task(function, *parts[first : first + FAN_IN], name=f"{name}-{level}-{first // FAN_IN}", worker=worker)
            for first in range(0, len(parts), FAN_IN)
        ]
        level += 1
    return parts[0]


def tree_size(n: int) -> int:
    """How many tasks `tree_reduce` adds to ``n`` parts.

    >>> tree_size(1), tree_size(16), tree_size(17)
    (1, 1, 3)
    """
    parts = -(-n // FAN_IN)
    return parts if parts <= 1 else parts + tree_size(parts)


def identity(value: T) -> T:
    """Return the value. Tasks that do nothing but hold a value call this."""
    return value
