"""Making tasks: a function, its arguments and a name. Nothing runs here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import dask
from dask.delayed import Delayed, delayed

T = TypeVar("T")

#: Inputs of a node in a reduction tree.
FAN_IN = 16


def new_token() -> str:
    """A short word that no other call returns; task names of a fit contain one, so that fits never mix."""
    return uuid.uuid4().hex[:12]


def task(function: Callable[..., Any], *args: Any, name: str, worker: str | None = None) -> Delayed:
    """A task that calls ``function(*args)``; ``name`` must be unique. Delayed arguments become dependencies.

    Delayed objects must be arguments of their own, never inside a list: Dask would drop the futures of persisted
    ones from the new graph, and a cluster could then forget them too early. ``worker`` is the address of the worker
    that had best run the task (`daskals.execution.placement`); any other may.
    """
    wish = nullcontext() if worker is None else dask.annotate(workers=[worker], allow_other_workers=True)
    with wish:
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


def identity(value: T) -> T:
    """Return the value: what a task calls that only holds one."""
    return value
