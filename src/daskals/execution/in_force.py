"""Which of Dask's schedulers is in force at this moment, in this thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dask import threaded
from dask.base import get_scheduler
from distributed import Client

ASYNCHRONOUS = (
    "The Dask client in force is asynchronous: it was made with Client(asynchronous=True), or this is an async def "
    "task of a cluster. daskals waits for results, which would stop the event loop. Submit such a task as def rather "
    "than async def. Elsewhere call daskals in another thread, with a client of its own:\n\n"
    "    def fit():\n"
    "        with Client(address) as client, client.as_current():\n"
    "            return als.fit(ratings).transform(test)\n\n"
    "    predictions = await asyncio.to_thread(fit)"
)
CLOSED_MEANWHILE = (
    "The Dask client, or its cluster, was closed while daskals worked on it, and what was done is gone with it. "
    "Keep it open until the call returns."
)


def get_in_force() -> Callable[..., Any]:
    """The function that runs a graph on the scheduler in force: that of the client, where this is a cluster.

    ``RuntimeError`` that says what to do where the client in force is asynchronous or closed.
    """
    try:
        get: Callable[..., Any] = get_scheduler() or threaded.get
    except RuntimeError as error:
        if "asynchronous" not in str(error).lower():
            raise
        raise RuntimeError(ASYNCHRONOUS) from None
    client = client_of(get)
    if client is not None and is_closed(client):
        raise RuntimeError(
            "The Dask client in force has been closed. Open one with distributed.Client(...), and call again."
        )
    return get


def client_of(get: Callable[..., Any]) -> Client | None:
    """The client whose method ``get`` is; None for a scheduler of this process."""
    client = getattr(get, "__self__", None)
    return client if isinstance(client, Client) else None


def is_closed(client: Client) -> bool:
    """Whether a client is closed or about to be, so that it answers no more."""
    return client.status in ("closed", "closing")
