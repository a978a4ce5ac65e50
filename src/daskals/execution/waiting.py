"""Waiting for the tasks of a cluster: raising their errors, watching for lost workers, trying lost work again."""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures as threaded
from contextlib import contextmanager
from typing import Any, TypeVar

from dask.delayed import Delayed
from distributed import Client, Future, KilledWorker, futures_of, wait
from distributed.comm import CommClosedError

from daskals import progress
from daskals.execution.in_force import CLOSED_MEANWHILE, is_closed

logger = logging.getLogger("daskals")
T = TypeVar("T")

#: Seconds between two looks at the workers while waiting for results.
POLL_SECONDS = 5.0
#: Seconds after which an error in one task is raised, at the latest, while others still run.
ERROR_SECONDS = 0.5
#: The exceptions by which a computation ends when workers were lost.
LOSSES = (KilledWorker, threaded.CancelledError, CommClosedError)

#: A cluster object of Dask drops workers that take longer than that to restart, and starts no others by itself.
NO_WORKERS_HINT = (
    "If none come: a Dask cluster object gives up workers that are not back within "
    "distributed.deploy.lost-worker-timeout; its scale(n) starts new ones"
)


class WorkerWatch:
    """Looks whether a cluster has workers, warns while it has none, and gives up after ``limit`` seconds without any.

    With ``limit`` None it never gives up.
    """

    def __init__(self, client: Client, limit: float | None) -> None:
        self._client, self._limit = client, limit
        self._next_look = time.monotonic() + POLL_SECONDS
        self._gone_since: float | None = None

    def look(self) -> None:
        """Look if the last look was `POLL_SECONDS` ago; so this can be called often.

        ``TimeoutError`` that says what to do when there have been no workers for as long as the limit.
        """
        if is_closed(self._client):  # its event loop can be gone, and then nothing would ever end
            raise RuntimeError(CLOSED_MEANWHILE)
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + POLL_SECONDS
        if self._client.nthreads():
            self._gone_since = None
            return
        if self._gone_since is None:
            self._gone_since = now
            return
        gone = now - self._gone_since
        logger.warning("The cluster has had no workers for %.0f s; waiting for some to come. %s", gone, NO_WORKERS_HINT)
        if self._limit is not None and gone >= self._limit:
            raise TimeoutError(
                f"The cluster has had no workers for {gone:.0f} s (daskals.no-worker-timeout is {self._limit:.0f} s). "
                f"Start workers and call again. {NO_WORKERS_HINT}."
            )


def wait_for(futures: Sequence[Future], watch: WorkerWatch) -> None:
    """Wait until all futures are done. If one fails, its exception is raised soon, even while others still run."""
    # each wait costs the client's event loop some microseconds for each future, so with many of them there are fewer
    pause = max(ERROR_SECONDS, len(futures) / 1000)
    count = progress.counter(len(futures))
    with cancelled_on_error(futures):
        while True:
            try:
                wait(futures, timeout=pause)
                pending = False
            except TimeoutError as error:
                pending = True
                # Dask keeps it in a variable of a frame that its traceback refers to; with it our frames, and so the
                # results of this fit, would stay until the garbage collector runs
                error.__traceback__ = None
            for future in futures:
                _raise_error_of(future)
            if count is not None:
                count(sum(future.done() for future in futures))
            if not pending and all(future.done() for future in futures):  # some may have been lost again
                return
            watch.look()


def _raise_error_of(future: Future) -> None:
    if future.status == "error":
        raise without_our_frames(future.exception()).with_traceback(future.traceback()) from None
    if future.status == "cancelled":
        future.result()


def gather(futures: Sequence[Future], watch: WorkerWatch) -> Sequence[Any]:
    """The results of futures that were done. They may have been lost since, so this watches for lost workers too."""
    client = futures[0].client
    with cancelled_on_error(futures):
        gathering = asyncio.run_coroutine_threadsafe(
            client.gather(futures, asynchronous=True), client.loop.asyncio_loop
        )
        while not threaded.wait([gathering], ERROR_SECONDS).done:
            watch.look()
        if error := gathering.exception():
            raise without_our_frames(error) from None
        results: Sequence[Any] = gathering.result()
        return results


@contextmanager
def cancelled_on_error(futures: Sequence[Future]) -> Iterator[None]:
    """A context that tells the cluster to stop these tasks if it is left by an exception of any kind."""
    try:
        yield
    except BaseException:
        if not is_closed(futures[0].client):
            futures[0].client.cancel(futures)
        raise


def without_our_frames(error: BaseException) -> BaseException:
    """Copy an exception, without its traceback.

    The client holds the original for as long as it holds the future. If we raised the original, its traceback would
    refer to our variables, these to the futures, and so the workers would hold their results as long as there is a
    client.
    """
    try:
        return copy.copy(error)
    except TypeError:  # an exception that cannot be made from its own arguments
        return error


def retry(function: Callable[[], T], what: str, most: int, inputs: Sequence[Delayed] = ()) -> T:
    """Call ``function``, and call it again, at most ``most`` times, if it fails because workers were lost.

    ``function`` must make new tasks in each call, since the scheduler counts, for each task, the workers that died
    while they ran it, and gives the task up when they are too many. It can also give up one of ``inputs``: persisted
    tasks that were lost and are made again. Then nothing is tried again, because it would fail at once or wait for
    ever.

    The exception of the last try comes with a note that says which work (``what``) failed, and why it was not tried
    again.
    """
    for failures in range(1, most + 2):
        try:
            return function()
        except LOSSES as error:
            given_up = any(future.status == "error" for future in futures_of(list(inputs)))
            if failures > most or given_up:
                why = "the cluster has given up what it starts from" if given_up else f"daskals.retries is {most}"
                error.add_note(f"{what} failed {failures} times, since workers were lost; {why}")
                raise
            logger.warning("%s failed, since workers were lost (%s); trying again, %d of %d",
                           what, type(error).__name__, failures, most)  # fmt: skip
    raise AssertionError("not reached")
