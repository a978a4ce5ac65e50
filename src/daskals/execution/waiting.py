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
from daskals.execution import interrupts
from daskals.execution.health import count_restarts, make_again
from daskals.execution.in_force import is_closed
from daskals.execution.watching import WorkerWatch

logger = logging.getLogger("daskals")
T = TypeVar("T")

#: Seconds after which an error in one task is raised, at the latest, while others still run.
ERROR_SECONDS = 0.5
#: Results of up to this many tasks are fetched one by one, each as soon as it is there.
MOST_EARLY = 32
#: Results that are fetched from workers directly, and have not come after so many seconds, are fetched otherwise.
DIRECT_SECONDS = 3.0
#: The exceptions by which a computation ends when workers were lost.
LOSSES = (KilledWorker, threaded.CancelledError, CommClosedError)
#: Dask's reason for cancelling a future whose scheduler went away.
SCHEDULER_GONE = "scheduler-connection-lost"


def wait_for(futures: Sequence[Future], watch: WorkerWatch) -> None:
    """Wait until all futures are done. If one fails, its exception is raised soon, even while others still run."""
    # each wait costs the client's event loop some microseconds for each future, so with many of them there are fewer
    pause = max(ERROR_SECONDS, len(futures) / 1000)
    count = progress.counter(len(futures))
    with cancelled_on_error(futures):
        while True:
            interrupts.check()
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
            done = sum(future.done() for future in futures)
            if count is not None:
                count(done)
            if not pending and done == len(futures):  # some may have been lost again
                return
            watch.look(done)


def _raise_error_of(future: Future) -> None:
    if future.status == "error":
        raise without_our_frames(future.exception()).with_traceback(future.traceback()) from None
    if future.status == "cancelled":
        future.result()


class Gathering:
    """Fetches the results of futures while others are waited for: each one as soon as it is there."""

    def __init__(self, futures: Sequence[Future], *, direct: bool) -> None:
        self._futures, self._direct = futures, direct
        # a call for each of many would cost the client and the scheduler more than what is gained
        self._parts = [[future] for future in futures] if len(futures) <= MOST_EARLY else [list(futures)]
        self._begun = [self._begin(some) for some in self._parts] if len(futures) <= MOST_EARLY else []

    def _begin(self, futures: Sequence[Future]) -> threaded.Future[Any]:
        client = futures[0].client
        # None leaves it to the client, which may have been told (Client(direct_to_workers=True))
        gathering = client.gather(futures, asynchronous=True, direct=self._direct or None)
        return asyncio.run_coroutine_threadsafe(gathering, client.loop.asyncio_loop)

    def cancel(self) -> None:
        """Stop fetching."""
        for each in self._begun:
            each.cancel()

    def results(self, watch: WorkerWatch) -> list[Any]:
        """The results of futures that were done. They may be lost meanwhile, so this watches for lost workers too."""
        if not self._futures:
            return []
        with cancelled_on_error(self._futures):
            self._begun = self._begun or [self._begin(some) for some in self._parts]
            latest = time.monotonic() + DIRECT_SECONDS
            while threaded.wait(self._begun, ERROR_SECONDS).not_done:
                interrupts.check()
                watch.look()
                if self._direct and time.monotonic() > latest:
                    self._ask_scheduler()
            results: list[Any] = []
            for each in self._begun:
                if error := each.exception():
                    raise without_our_frames(error) from None
                results += each.result()
            return results

    def _ask_scheduler(self) -> None:
        """Fetch what has not come by way of the scheduler, which knows of workers that are dead.

        Nobody tells a client. It would try to reach such a worker until `distributed.comm.timeouts.connect` is over.
        """
        self._direct = False
        for number, each in enumerate(self._begun):
            if not each.done():
                each.cancel()
                self._begun[number] = self._begin(self._parts[number])


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


def retry(function: Callable[[], T], what: str, most: int, client: Client | None, inputs: Sequence[Delayed] = ()) -> T:
    """Call ``function``, and call it again, at most ``most`` times, if it fails because workers were lost.

    ``function`` must make new tasks in each call, since the scheduler counts, for each task, the workers that died
    while they ran it, and gives the task up when they are too many. It can also give up ``inputs``: persisted tasks
    that were lost and are made again. It is then asked to try these again as well.

    The exception of the last try comes with a note that says which work (``what``) failed, and why it was not tried
    again. ``ConnectionError`` where not workers were lost but the scheduler.
    """
    for failures in range(1, most + 2):
        start = time.monotonic()
        try:
            return function()
        except (*LOSSES, OSError) as error:
            _check_scheduler(client, error, what)
            if client is None or not isinstance(error, LOSSES):
                raise
            restarts = client.run_on_scheduler(count_restarts, time.monotonic() - start)
            memory = f": {restarts}" if restarts.number else ""
            if failures > most:
                error.add_note(
                    f"{what} failed {failures} times, since workers were lost{memory}; daskals.retries is {most}"
                )
                raise
            n_given_up = client.run_on_scheduler(make_again, _blamed(error, inputs))
            logger.warning("%s failed, since workers were lost (%s)%s; trying again, %d of %d",
                           what, type(error).__name__, memory, failures, most)  # fmt: skip
            if n_given_up:
                logger.warning("%d of the results that this starts from were given up by Dask; they are made again",
                               n_given_up)  # fmt: skip
    raise AssertionError("not reached")


def tells_of_lost_scheduler(error: BaseException) -> bool:
    """Whether an error says that the scheduler is gone, rather than that somebody has closed the client."""
    return getattr(error, "reason", None) == SCHEDULER_GONE or isinstance(error, ConnectionError)


def _blamed(error: BaseException, inputs: Sequence[Delayed]) -> list[Any]:
    """The keys of the inputs, and of the task under which too many workers have died: perhaps one that they need."""
    keys = [future.key for future in futures_of(list(inputs))]
    return [*keys, error.task] if isinstance(error, KilledWorker) else keys


def _check_scheduler(client: Client | None, error: BaseException, what: str) -> None:
    """``ConnectionError`` if an error came about because the scheduler is gone."""
    if client is None:
        return
    if isinstance(error, CommClosedError):  # the client may learn it a moment later than we do
        deadline = time.monotonic() + ERROR_SECONDS
        while client.status == "running" and time.monotonic() < deadline:
            time.sleep(0.01)
    if client.status != "running" or tells_of_lost_scheduler(error):
        raise ConnectionError(
            f"{what} failed, since the connection to the scheduler was lost, and with it all that it held for this "
            "client. Start a cluster, connect a new client, and call again."
        ) from without_our_frames(error)
