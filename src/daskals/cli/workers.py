"""The worker processes of a cluster during a fit: waiting for them, and counting those that leave and come."""

from __future__ import annotations

import logging
from typing import Any

from distributed import Client

logger = logging.getLogger("daskals.cli")


def wait_for_workers(client: Client, number: int, patience: float | None) -> None:
    """Wait for so many worker processes. The fit divides the ratings by the threads that there are when it starts.

    ``patience`` is in seconds, None for ever; ``TimeoutError`` that says what the usual reasons are.
    """
    logger.info("waiting for %d worker processes", number)
    try:
        client.wait_for_workers(number, timeout=patience)
    except TimeoutError:
        raise TimeoutError(
            f"{len(client.nthreads())} of {number} worker processes came within {patience:.0f} s. Look at the queue, "
            "and at the logs of the workers: a wrong network interface, a Python without daskals, and a full queue "
            "are the usual reasons."
        ) from None


class Attendance:
    """Counts the workers that leave and come inside a with block, and says so."""

    def __init__(self, client: Client) -> None:
        self._client = client
        #: worker processes: at the start, lost since, come since
        self.counts = {"start": len(client.nthreads()), "lost": 0, "came": 0}

    def __enter__(self) -> Attendance:
        self._client.subscribe_topic("all", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        # else the scheduler logs an error for each worker at the end
        self._client.unsubscribe_topic("all")

    def _note(self, event: tuple[float, Any]) -> None:
        _, message = event
        action = message.get("action") if isinstance(message, dict) else None
        for known, word in (("remove-worker", "lost"), ("add-worker", "came")):
            if action == known:
                self.counts[word] += 1
                logger.info("worker %s %s", message["worker"], word)
