"""The Dask scheduler in force, as a value that is passed down; running tasks on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import dask
from dask import multiprocessing, threaded
from dask.callbacks import Callback
from dask.delayed import Delayed, delayed
from dask.highlevelgraph import HighLevelGraph
from dask.local import get_sync
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, futures_of
from distributed import Scheduler as DaskScheduler
from distributed.system import MEMORY_LIMIT

from daskals import progress
from daskals.execution import interrupts, waiting, watching
from daskals.execution.blas import one_blas_thread
from daskals.execution.in_force import CLOSED_MEANWHILE, client_of, get_in_force, is_closed
from daskals.execution.seceding import seceded
from daskals.execution.settings import Settings, read_settings
from daskals.execution.shared_context import SharedContext
from daskals.execution.tasks import identity, task

T = TypeVar("T")

# Dask warns of a "large graph" when tasks hold much data: ours do where that is meant (`carriers`)
_large_graphs_are_meant = SharedContext(
    lambda: dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"})
)


@dataclass(frozen=True)
class Scheduler:
    """The Dask scheduler that was in force when a piece of work began, and the configuration of that moment.

    All tasks of that work run on it, even if another scheduler comes into force meanwhile, in this thread or another.
    """

    #: the client of a cluster; None for a local scheduler
    client: Client | None
    #: Dask's function that runs a graph in this process; not used where there is a client
    get: Callable[..., Any]
    #: keywords for ``get``
    options: dict[str, Any] = field(hash=False)
    #: how many tasks run at a time, on all workers together
    threads: int
    settings: Settings
    #: in how many processes they run: workers of a cluster
    processes: int = 1

    @property
    def can_lose_results(self) -> bool:
        """Whether results can be lost. On a cluster they can, with the workers that hold them."""
        return self.client is not None

    def worker_memory(self) -> float:
        """Memory limit of the smallest worker, in bytes; of this machine, for a local scheduler. Asks the cluster."""
        if self.client is None:
            return float(MEMORY_LIMIT)
        limits = self.client.run_on_scheduler(_memory_limits)
        return float(min((limit for limit in limits if limit), default=MEMORY_LIMIT))

    def thread_memory(self) -> float:
        """How many bytes of memory there are for each thread of a worker, on the worker that has the least for it.

        For a local scheduler those of this machine for each of its threads. Asks the cluster.
        """
        if self.client is None:
            return float(MEMORY_LIMIT / self.threads)
        shares = self.client.run_on_scheduler(_thread_memories)
        return float(min((share for share in shares if share), default=MEMORY_LIMIT / self.threads))

    # -- running tasks

    def persist(self, *groups: Sequence[Delayed]) -> list[tuple[Delayed, ...]]:
        """Compute all tasks of all groups, and leave the results where they are.

        Returns when all are done: for each group, tasks that hold the results. The exception of a task is raised here.
        If this call ends by an exception of any kind, Ctrl-C included, a cluster is told to stop the tasks.
        """
        return self.persist_and_fetch(groups, ())[0]

    def fetch(self, *tasks: Delayed) -> tuple[Any, ...]:
        """Compute tasks and bring their results to this process: small ones, or those that the user asked to see.

        Exceptions are those of `persist`.
        """
        return self.persist_and_fetch((), (tasks,))[1][0]

    def begin(self, tasks: Sequence[Delayed]) -> tuple[Delayed, ...]:
        """Have a cluster begin with tasks, without waiting; return tasks of the same results for graphs to come.

        A task carries the graph of all that it is made from, and to merge those takes time that grows with the square
        of the number of tasks where each of many reads each of many. What has begun carries nothing. On a local
        scheduler nothing begins, and the tasks come back as they are.
        """
        if self.client is None:
            return tuple(tasks)
        with _large_graphs_are_meant:
            return tuple(self.client.persist(list(tasks)))

    def persist_and_fetch(
        self, stay: Sequence[Sequence[Delayed]], come: Sequence[Sequence[Delayed]]
    ) -> tuple[list[tuple[Delayed, ...]], list[tuple[Any, ...]]]:
        """Compute several groups of tasks as one graph: `persist` the groups in ``stay``, `fetch` those in ``come``.

        Returns the persisted tasks of each group in ``stay``, and the results of each group in ``come``.
        """
        interrupts.check()
        flat = [each for group in (*stay, *come) for each in group]
        try:
            if self.client is None:
                done, results = self._run_here(flat, n_stay=sum(map(len, stay)))
            else:
                with seceded(), self._telling_of_closing():
                    done, results = self._run_on_cluster(self.client, flat, n_stay=sum(map(len, stay)))
        except (ValueError, *waiting.LOSSES) as error:
            if not waiting.tells_of_lost_scheduler(error):
                check_holders(flat)  # Dask says "missing dependency" or "cancelled" of what a closed client held
            raise
        stayed, came = iter(done), iter(results)
        return (
            [tuple(next(stayed) for _ in group) for group in stay],
            [tuple(next(came) for _ in group) for group in come],
        )

    def _run_here(self, tasks: Sequence[Delayed], n_stay: int) -> tuple[Sequence[Delayed], Sequence[Any]]:
        if not tasks:
            return (), ()
        # what dask.persist and dask.compute do, in one pass over the graph: for small data theirs take most of the time
        keys = [each.key for each in tasks]
        graph = HighLevelGraph.merge(*(each.__dask_graph__() for each in tasks))
        graph = Delayed.__dask_optimize__(graph, keys)
        with self._blas():
            results = self.get(graph, keys, **self.options, **self._counting(keys))
        held = [holding(key, value) for key, value in zip(keys[:n_stay], results[:n_stay], strict=True)]
        return held, results[n_stay:]

    def _counting(self, keys: Sequence[str]) -> dict[str, Any]:
        """Keywords for ``get`` by which it counts those of the keys that are done, where somebody wants to know."""
        count = progress.counter(len(keys))
        if count is None or self.get not in (threaded.get, get_sync, multiprocessing.get):
            return {}
        left = set(keys)

        def look(key: str, *_: Any) -> None:
            if key in left:
                left.remove(key)
                count(len(keys) - len(left))

        return {"callbacks": [(None, None, None, look, None), *Callback.active]}

    def _blas(self) -> AbstractContextManager[None]:
        """A context in which BLAS has one thread, where several threads of this process work.

        Otherwise each of them would start BLAS threads of its own, and all would compete for the cores. (On workers
        that were started by a nanny BLAS has one thread anyway.)
        """
        return one_blas_thread if self.threads > 1 else nullcontext()

    def _run_on_cluster(
        self, client: Client, tasks: Sequence[Delayed], n_stay: int
    ) -> tuple[Sequence[Delayed], Sequence[Any]]:
        with _large_graphs_are_meant:
            done = client.persist(list(tasks))
        futures = [futures_of(each)[0] for each in done]
        if not futures:
            return (), ()
        watch = watching.WorkerWatch(client, self.settings)
        gathering = waiting.Gathering(futures[n_stay:], direct=isinstance(client.cluster, LocalCluster))
        try:
            waiting.wait_for(futures, watch)
            return done[:n_stay], gathering.results(watch)
        except BaseException:
            gathering.cancel()
            raise

    def pin(self, values: Sequence[Any], token: str) -> tuple[Delayed, ...]:
        """Send values, which were fetched before, to the scheduler; return tasks that hold them, computed.

        A worker that has a result of such a task can be lost, and nothing needs to be computed again: the scheduler
        still has the task with the value in it. It holds the value as long as there is a reference to the task.
        """
        return self.persist(carriers(values, token))[0]

    def retry(self, function: Callable[[], T], what: str, inputs: Sequence[Delayed] = ()) -> T:
        """Call ``function``; call it again if workers were lost, as often as the setting ``retries`` allows.

        ``what`` names the work in messages. See `daskals.execution.waiting.retry`.
        """
        with self._telling_of_closing():
            return waiting.retry(function, what, self.settings.retries, self.client, inputs)

    @contextmanager
    def _telling_of_closing(self) -> Iterator[None]:
        """A context in which ``RuntimeError`` takes the place of whatever fails because the client is closed."""
        try:
            yield
        except Exception as error:
            if self.client is None or not is_closed(self.client) or waiting.tells_of_lost_scheduler(error):
                raise
            raise RuntimeError(CLOSED_MEANWHILE) from None


def holding(name: str, value: Any) -> Delayed:
    """A task of this name that holds a value.

    It is plain data in the graph. (Dask itself would put the bare value there, and take a NamedTuple, as our blocks and
    panels are, for a task that makes one of its fields.)
    """
    return Delayed(name, delayed(value, name=name, pure=False, traverse=False).dask)


def current_scheduler() -> Scheduler:
    """The scheduler in force and the configuration, as they are now.

    ``ValueError`` that names the key if a value in the configuration is not allowed; ``RuntimeError`` if the client in
    force is closed or asynchronous.
    """
    settings, get = read_settings(), get_in_force()
    client = client_of(get)
    if client is not None:
        threads = client.nthreads()
        return Scheduler(client, get, {}, max(1, sum(threads.values())), settings, max(1, len(threads)))
    pool, workers = dask.config.get("pool", None), dask.config.get("num_workers", None)
    chosen = {"pool": pool, "num_workers": workers} if get in (threaded.get, multiprocessing.get) else {}
    threads = 1 if get is get_sync else getattr(pool, "_max_workers", None) or workers or CPU_COUNT
    return Scheduler(
        None, get, {name: value for name, value in chosen.items() if value is not None}, max(1, threads), settings
    )


def carriers(values: Sequence[Any], token: str) -> tuple[Delayed, ...]:
    """Tasks that hold values, not computed: the values travel to the scheduler with the graph that the tasks are in."""
    return tuple(task(identity, value, name=f"als-pin-{token}-{n}") for n, value in enumerate(values))


def check_holders(tasks: Sequence[Delayed]) -> None:
    """Check that the results which tasks start from can still be reached.

    ``RuntimeError`` that says what to do if they are on a cluster whose client has been closed.
    """
    for future in futures_of(list(tasks)):
        if future.client is None or is_closed(future.client):
            raise RuntimeError(
                "The factors of this model, or the frame, were on a cluster whose client has been closed, and are "
                "gone with it. Keep the client open while the model is in use; or save the model before, and load it."
            )


def _memory_limits(dask_scheduler: DaskScheduler) -> list[int]:
    return [worker.memory_limit for worker in dask_scheduler.workers.values()]


def _thread_memories(dask_scheduler: DaskScheduler) -> list[float]:
    return [worker.memory_limit / worker.nthreads for worker in dask_scheduler.workers.values()]
