"""All that differs between Dask's schedulers: making tasks, running them, waiting, keeping, asking how much there is.

The scheduler in force is used, as for any Dask collection: threads by default, a cluster when a
``distributed.Client`` is current, whatever ``dask.config.set(scheduler=...)`` says. The same tasks run on all.

A cluster can lose workers. What that costs is decided by where results come from: the scheduler makes lost ones
again from the tasks that gave them, which is cheap for ratings (read and shuffle a part again) and ruinous for
factors (all iterations again). So factors are *kept* (`keep`): replaced by tasks that hold the values themselves.
"""

from __future__ import annotations

import asyncio
import copy
import ctypes
import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures as threaded
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.resources import files
from typing import Any, TypeVar

import dask
import pyarrow as pa
import yaml
from dask.base import get_scheduler
from dask.delayed import Delayed, delayed
from dask.local import get_sync
from dask.system import CPU_COUNT
from dask.utils import parse_bytes, parse_timedelta
from distributed import Client, Future, KilledWorker, Scheduler, futures_of, wait
from distributed.comm import CommClosedError
from distributed.system import MEMORY_LIMIT

from daskals.blas import BlasLimit

logger = logging.getLogger("daskals")
T = TypeVar("T")

#: Inputs of a node in a reduction tree.
FAN_IN = 16
#: Seconds between two looks at the workers while waiting for results.
LOOK = 5.0
#: What a lost worker makes of a computation.
LOSSES = (KilledWorker, threaded.CancelledError, CommClosedError)

dask.config.update_defaults(yaml.safe_load(files("daskals").joinpath("daskals.yaml").read_text()))


# ---- settings --------------------------------------------------------------------------------------------


def setting(key: str) -> Any:
    """The value of ``daskals.<key>`` in Dask's configuration, read at call time; daskals.yaml lists the keys."""
    return dask.config.get(f"daskals.{key}")


def setting_of_bytes(key: str) -> int:
    """The same for a size, which may be written as "128MiB"."""
    return int(parse_bytes(setting(key)))


def current_client() -> Client | None:
    """The client of the cluster in force; None where the scheduler in force is a local one."""
    client = getattr(get_scheduler(), "__self__", None)
    return client if isinstance(client, Client) else None


def total_threads() -> int:
    """How many tasks the scheduler in force runs at a time."""
    client = current_client()
    if client is not None:
        threads: int = sum(client.nthreads().values())
        return max(1, threads)
    if get_scheduler() is get_sync:
        return 1
    pool = dask.config.get("pool", None)
    n: int = getattr(pool, "_max_workers", None) or dask.config.get("num_workers", None) or CPU_COUNT
    return max(1, n)


def worker_memory() -> float:
    """Bytes of memory of the smallest worker, or of this machine where a local scheduler is in force."""
    client = current_client()
    if client is None:
        return float(MEMORY_LIMIT)
    limits = client.run_on_scheduler(_memory_limits)
    return float(min((limit for limit in limits if limit), default=MEMORY_LIMIT))


def _memory_limits(dask_scheduler: Scheduler) -> list[int]:
    return [worker.memory_limit for worker in dask_scheduler.workers.values()]


# ---- tasks -----------------------------------------------------------------------------------------------


def new_token() -> str:
    """A short word that no other call returns; task names of a fit contain one, so that fits never mix."""
    return uuid.uuid4().hex[:12]


def task(function: Callable[..., Any], *args: Any, name: str, home: str | None = None) -> Delayed:
    """A task that calls ``function(*args)``; ``name`` must be unique. Delayed arguments become dependencies.

    Delayed objects are to be arguments of their own, never inside a list: Dask would drop the futures of
    persisted ones from the new graph, and a cluster could then forget them too early. ``home`` is one of `homes`.
    """
    wish = nullcontext() if home is None else dask.annotate(workers=[home], allow_other_workers=True)
    with wish:
        return delayed(function, name=f"{name}-function", pure=False)(*args, dask_key_name=name)


def homes(n: int) -> list[str | None]:
    """For each of ``n`` results of about equal size, the worker that had best make and hold it: runs of neighbours,
    as many to a worker as its threads can take. All None where there is no choice.

    Left to itself the scheduler places a task where most of its inputs are. Where that is by chance the same worker
    for most of the ratings, all half-steps of a fit run there. It is no more than a wish (`task`): a worker that is
    gone, or full, is replaced by any other.
    """
    client = current_client()
    threads = client.nthreads() if client is not None else {}
    if len(threads) < 2:
        return [None] * n
    # sorted, since the order in which workers came is an accident
    places = [address for address in sorted(threads) for _ in range(threads[address])]
    return [places[number * len(places) // n] for number in range(n)]


def by_worker(persisted: Sequence[Delayed]) -> tuple[list[Delayed], list[str | None]]:
    """Persisted tasks, those together that are on the same worker at this moment, and these workers (see `homes`)."""
    client = current_client()
    if client is None:
        return list(persisted), [None] * len(persisted)
    futures = [futures_of(each)[0] for each in persisted]
    holders = client.who_has(futures)
    first = [min(holders.get(future.key) or [""]) for future in futures]
    order = sorted(range(len(first)), key=first.__getitem__)
    return [persisted[n] for n in order], [first[n] or None for n in order]


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
    """Compute all tasks of all groups and leave the results where they are; return when all are done.

    A task's exception is raised here. If this call ends by an exception of any kind, Ctrl-C included, a cluster
    is told to stop the tasks.
    """
    return persist_and_fetch(groups, ())[0]


def fetch(*tasks: Delayed) -> tuple[Any, ...]:
    """Compute tasks and bring their results here. For small results, and for what the user asked to see."""
    return persist_and_fetch((), (tasks,))[1][0]


def persist_and_fetch(
    stay: Sequence[Sequence[Delayed]], come: Sequence[Sequence[Delayed]]
) -> tuple[list[tuple[Delayed, ...]], list[tuple[Any, ...]]]:
    """Compute groups of tasks as one graph: `persist` those of ``stay`` and `fetch` those of ``come``."""
    flat = [each for group in (*stay, *come) for each in group]
    with _one_blas_thread():
        # (where nothing shall stay a local scheduler need not hold what comes)
        done = dask.persist(*flat) if stay or loses_results() else flat
        rest = iter(done)
        stayed = [tuple(next(rest) for _ in group) for group in stay]
        coming = list(rest)
        results = iter(_fetched(done, coming) if loses_results() else dask.compute(*coming))
    return stayed, [tuple(next(results) for _ in group) for group in come]


def _fetched(done: Sequence[Delayed], coming: Sequence[Delayed]) -> Sequence[Any]:
    """Wait for all persisted tasks; the results of ``coming``, which are some of them."""
    _wait_for(done)
    if not coming:
        return ()
    futures = [futures_of(each)[0] for each in coming]
    with _cancelled_on_error(futures):
        # results can be lost between that wait and this one, which therefore looks at the workers too
        client = futures[0].client
        gathering = asyncio.run_coroutine_threadsafe(
            client.gather(futures, asynchronous=True), client.loop.asyncio_loop
        )
        _watch_until(lambda: bool(threaded.wait([gathering], LOOK).done), client)
        if error := gathering.exception():
            raise _without_our_frames(error) from None
        results: Sequence[Any] = gathering.result()
        return results


def loses_results() -> bool:
    """Whether the scheduler in force can lose results: a cluster can, with the workers that hold them."""
    return current_client() is not None


def keep(values: Sequence[Any], token: str) -> tuple[Delayed, ...]:
    """Tasks that hold these values themselves, done: a cluster that loses one need not compute anything again.

    The values, which were fetched, go to the scheduler, which holds them from then on.
    """
    # "Sending large graph" is what we are doing here, knowingly
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
        return persist([task(itself, value, name=f"als-kept-{token}-{n}") for n, value in enumerate(values)])[0]


def itself(value: T) -> T:
    """The value: what a task calls that only holds one."""
    return value


# ---- waiting, and losses ---------------------------------------------------------------------------------


def _wait_for(collections: Sequence[Delayed]) -> None:
    """Wait for persisted collections; raise the exception of the first that failed."""
    futures = futures_of(list(collections))
    if not futures:
        return

    def done() -> bool:
        try:
            wait(futures, timeout=LOOK)
        except TimeoutError:
            return False
        return all(future.done() for future in futures)  # some may have been lost again

    with _cancelled_on_error(futures):
        _watch_until(done, futures[0].client)
        for future in futures:
            if future.status == "error":
                raise _without_our_frames(future.exception()).with_traceback(future.traceback()) from None
            if future.status == "cancelled":
                future.result()


@contextmanager
def _cancelled_on_error(futures: Sequence[Future]) -> Iterator[None]:
    """Tell the cluster to stop the tasks if this ends by an exception of any kind."""
    try:
        yield
    except BaseException:
        futures[0].client.cancel(futures)
        raise


def _without_our_frames(error: BaseException) -> BaseException:
    """A copy. The client keeps the original with its future; raised from here, the original's traceback would hold
    our variables, these the futures, and so the results on the workers, for as long as there is a client."""
    try:
        return copy.copy(error)
    except TypeError:  # an exception that cannot be made from its own arguments
        return error


#: A cluster object of Dask drops workers that take longer than that to restart, and starts no others by itself.
NO_WORKERS_HINT = (
    "If none come: a Dask cluster object gives up workers that are not back within "
    "distributed.deploy.lost-worker-timeout; its scale(n) starts new ones"
)


def _watch_until(done: Callable[[], bool], client: Client) -> None:
    """Call ``done``, which waits for `LOOK` seconds at most, until it is true; look at the workers after each."""
    watch = _Watch(client)
    while not done():
        watch.look()


class _Watch:
    """Looks whether there are workers, says so when there are none, and gives up when that was set."""

    def __init__(self, client: Client) -> None:
        self._client = client
        limit = setting("no-worker-timeout")
        self._limit: float | None = None if limit is None else parse_timedelta(limit)
        self._gone_since: float | None = None

    def look(self) -> None:
        if self._client.nthreads():
            self._gone_since = None
            return
        now = time.monotonic()
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


def retry(function: Callable[[], T], what: str, inputs: Sequence[Delayed] = ()) -> T:
    """Call again what failed because workers were lost, ``daskals.retries`` times at most.

    ``function`` must make new tasks in each call: the scheduler blames tasks for the workers that died under them.
    It may come to blame ``inputs`` too, persisted tasks that were lost and made again. Then nothing is tried again:
    it would fail at once, or wait for ever, as tasks do whose results are lost after something before them failed.
    """
    most = setting("retries")
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


# ---- memory ----------------------------------------------------------------------------------------------


def release_memory() -> None:
    """Give back to the system what was freed in this process: to be called when much was.

    The C library keeps freed arrays of up to 32 MB for later, and Arrow what it read Parquet into; each can be as
    much as the ratings themselves. (On a cluster workers do the work, and their nannies have them return memory.)
    """
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux" and current_client() is None:
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
        if trim is not None:
            trim(0)


# ---- BLAS ------------------------------------------------------------------------------------------------


_blas_limit = BlasLimit()


def _one_blas_thread() -> AbstractContextManager[None]:
    """Around the work of several threads of this process, which BLAS's own threads would fight for the cores.

    (Workers that a nanny starts have one BLAS thread anyway.)
    """
    return _blas_limit if current_client() is None and total_threads() > 1 else nullcontext()
