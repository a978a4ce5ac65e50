"""Watching the workers of a cluster while something waits for results: warnings, and the end of a vain wait."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from dask.utils import format_bytes
from distributed import Client

from daskals.execution.health import (
    COMFORTABLE_SHARE,
    MEMORY_ADVICE,
    Health,
    SilentWorker,
    WorkerMemory,
    look_at_workers,
    place_stranded,
    restart_workers,
)
from daskals.execution.in_force import CLOSED_MEANWHILE, is_closed
from daskals.execution.settings import Settings

logger = logging.getLogger("daskals")

#: Seconds between two looks at the workers while waiting for results.
POLL_SECONDS = 5.0
#: A wait ends when workers were restarted this many times because of their memory, for each of them, and no result of
#: those waited for has been made meanwhile. Dask gives up a task after as many deaths; but where workers die of the
#: results that they hold, it is another task each time.
MOST_RESTARTS = 4
#: ... and no sooner than so many seconds after the last result: a nanny can restart a worker many times in one second.
LEAST_SECONDS = 20.0
#: How many workers a message names.
NAMED = 3
#: Seconds between two warnings of the same that has not changed.
REPEAT_SECONDS = 60.0

#: A cluster object of Dask drops workers that take longer than that to restart, and starts no others by itself.
NO_WORKERS_HINT = (
    "If none come: a Dask cluster object gives up workers that are not back within "
    "distributed.deploy.lost-worker-timeout; its scale(n) starts new ones"
)


class WorkerWatch:
    """Looks after the workers of a cluster while somebody waits for results.

    - It warns while there are no workers, or all are paused because of their memory, and gives up when that has lasted
      as long as the settings allow.
    - It has workers restarted that have work to do and do not answer.
    - It has tasks placed that Dask has set aside for a worker that does not come back.
    - It gives up when workers are restarted again and again because of their memory and nothing is achieved.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client, self._settings = client, settings
        self._next_look = time.monotonic() + POLL_SECONDS
        #: since when there have been no workers, or only paused ones, look by look
        self._gone_since: float | None = None
        self._paused_since: float | None = None
        self._some_paused_since: float | None = None
        #: when the next warning of paused workers may come
        self._next_told = 0.0
        #: workers that were silent at the last look, with the time at which they were seen last
        self._silent: dict[str, float] = {}
        self._most_workers = 1
        #: the most results that were there, and since when
        self._done, self._done_at = 0, time.monotonic()

    def look(self, done: int = 0) -> None:
        """Look if the last look was `POLL_SECONDS` ago; so this can be called often.

        ``done`` is how many of the results that are waited for are there. ``TimeoutError`` or ``MemoryError`` that says
        what to do when there is no use in waiting.
        """
        if is_closed(self._client):  # its event loop can be gone, and then nothing would ever end
            raise RuntimeError(CLOSED_MEANWHILE)
        now = time.monotonic()
        if done > self._done:
            self._done, self._done_at = done, now
        if now < self._next_look:
            return
        self._next_look = now + POLL_SECONDS
        seconds = now - self._done_at
        health = self._client.run_on_scheduler(look_at_workers, self._settings.hung_worker_timeout, seconds)
        self._check_presence(health, now)
        self._check_memory(health, now)
        self._check_restarts(health)
        self._restart_hung(health.silent)
        if health.n_stranded:
            self._client.run_on_scheduler(place_stranded)

    def _check_presence(self, health: Health, now: float) -> None:
        if health.n_workers:
            self._gone_since = None
            return
        if self._gone_since is None:
            self._gone_since = now
            return
        gone, limit = now - self._gone_since, self._settings.no_worker_timeout
        logger.warning("The cluster has had no workers for %.0f s; waiting for some to come. %s", gone, NO_WORKERS_HINT)
        if limit is not None and gone >= limit:
            raise TimeoutError(
                f"The cluster has had no workers for {gone:.0f} s (daskals.no-worker-timeout is {limit:.0f} s). "
                f"Start workers and call again. {NO_WORKERS_HINT}."
            )

    def _check_memory(self, health: Health, now: float) -> None:
        n_paused = len(health.paused)
        if not n_paused or n_paused < health.n_workers:
            self._paused_since = None
            self._check_some_paused(health, now)
            return
        self._some_paused_since = None
        if self._paused_since is None:
            self._paused_since = now
            return
        paused, limit = now - self._paused_since, self._settings.paused_timeout
        text = (
            f"All {n_paused} workers have been paused for {paused:.0f} s because of their memory, so that nothing is "
            f"done: {_told(health.paused)}. What they hold is too much for them: {_advice(health.paused)}"
        )
        if limit is not None and paused >= limit:
            raise MemoryError(f"{text}. (daskals.paused-timeout is {limit:.0f} s)")
        self._warn_now_and_then(text, now)

    def _check_some_paused(self, health: Health, now: float) -> None:
        """Others work, but what a paused worker was given, or holds, can be what all wait for."""
        if not health.paused:
            self._some_paused_since = None
            return
        if self._some_paused_since is None:
            self._some_paused_since = now
        text = (
            f"{len(health.paused)} of {health.n_workers} workers are paused because of their memory, and begin no "
            f"task: {_told(health.paused)}"
        )
        vain, limit = now - max(self._some_paused_since, self._done_at), self._settings.paused_timeout
        if limit is not None and vain >= limit:
            raise MemoryError(
                f"{text}. Nothing was achieved for {vain:.0f} s (daskals.paused-timeout is {limit:.0f} s): "
                f"{_advice(health.paused)}"
            )
        self._warn_now_and_then(text, now)

    def _warn_now_and_then(self, text: str, now: float) -> None:
        if now >= self._next_told:
            self._next_told = now + REPEAT_SECONDS
            logger.warning("%s", text)

    def _check_restarts(self, health: Health) -> None:
        self._most_workers = max(self._most_workers, health.n_workers)
        seconds = time.monotonic() - self._done_at
        if seconds >= LEAST_SECONDS and health.restarts.number >= MOST_RESTARTS * self._most_workers:
            raise MemoryError(f"Nothing was achieved in the last {seconds:.0f} s, in which {health.restarts}")

    def _restart_hung(self, silent: Sequence[SilentWorker]) -> None:
        """Restart workers that were silent at the last look too.

        Two looks, since a scheduler that was busy itself finds all workers silent, until it has read what they said.
        """
        hung = [each for each in silent if self._silent.get(each.address) == each.last_seen]
        self._silent = {each.address: each.last_seen for each in silent}
        if not hung:
            return
        logger.warning(
            "Worker %s has not answered for %.0f s (daskals.hung-worker-timeout is %.0f s): it is restarted, or struck "
            "off where that is impossible, and its work done by others",
            *(", ".join(each.address for each in hung[:NAMED]), max(each.seconds for each in hung)),
            self._settings.hung_worker_timeout,
        )
        self._client.run_on_scheduler(restart_workers, [each.address for each in hung])


def _told(paused: Sequence[WorkerMemory]) -> str:
    more = f", and {len(paused) - NAMED} more" if len(paused) > NAMED else ""
    return ", ".join(map(str, paused[:NAMED])) + more


def _advice(paused: Sequence[WorkerMemory]) -> str:
    needed = max(each.used + each.spilled for each in paused) / COMFORTABLE_SHARE
    return MEMORY_ADVICE.format(needed=format_bytes(int(needed)))
