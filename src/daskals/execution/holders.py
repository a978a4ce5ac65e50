"""Where the results are that tasks start from, as far as this process knows without asking anybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dask.delayed import Delayed
from distributed import futures_of

from daskals.execution.in_force import is_closed


class Holder(NamedTuple):
    """A cluster whose workers, or whose scheduler, held results."""

    #: of its scheduler; empty where the client is closed, and no longer knows it
    address: str
    is_open: bool
    #: whether it has all of them still, or makes them again; not so after a restart
    has_all: bool


def holders(tasks: Sequence[Delayed]) -> list[Holder]:
    """The clusters that hold results of tasks, those with a closed client too; none where all is in this process."""
    found: dict[int, Holder] = {}
    for future in futures_of(list(tasks)):
        client = future.client
        address = getattr(getattr(client, "scheduler", None), "address", None) or ""
        is_open = client is not None and not is_closed(client)
        before = found.get(id(client))
        has_all = future.status not in ("cancelled", "lost", "error") and (before is None or before.has_all)
        found[id(client)] = Holder(address, is_open, has_all)
    return list(found.values())
