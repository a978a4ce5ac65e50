"""What workers tell of kernels that they compile, to displays of progress in the process of the client.

A function of which Numba finds no kept code takes seconds to compile, once on a machine. Numba tells so at that moment
(`daskals.kernels.compilations`), and a worker passes it on by way of the scheduler. Clients are told while they have a
display, and nobody asks the workers anything.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client, get_worker

from daskals import progress
from daskals.execution.shared_context import SharedContext
from daskals.kernels import compilations

#: Under this topic workers tell the clients of a cluster that they compile kernels.
TOPIC = "daskals-compiling"


def _tell(change: int, is_kept: bool) -> None:
    """Pass on that kernels are compiled: to displays of this process, and from a worker to clients that look."""
    progress.compiling("", change, is_kept=is_kept)
    try:
        worker = get_worker()
    except ValueError:
        return
    worker.log_event(TOPIC, {"worker": worker.address, "change": change, "is_kept": is_kept})


# when this module is imported: a worker does nothing of ours before it runs tasks, which import this package
compilations.listeners.append(_tell)


def _hear(event: tuple[float, dict[str, Any]]) -> None:
    message = event[1]
    progress.compiling(message["worker"], message["change"], is_kept=message["is_kept"])


#: One subscription for each client, however many displays there are.
_subscriptions: weakref.WeakKeyDictionary[Client, SharedContext] = weakref.WeakKeyDictionary()


def news_of(client: Client) -> SharedContext:
    """A context in which displays of this process hear what the workers of a cluster compile."""
    held = weakref.ref(client)  # what the dictionary holds must not hold the client
    return _subscriptions.setdefault(client, SharedContext(lambda: _subscribed(held())))


@contextmanager
def _subscribed(client: Client | None) -> Iterator[None]:
    assert client is not None
    client.subscribe_topic(TOPIC, _hear)
    try:
        yield
    finally:
        if client.status == "running":
            client.unsubscribe_topic(TOPIC)
