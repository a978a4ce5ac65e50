"""A scheduler on paper: it has the size of a cluster, takes tasks as any other, counts them, and runs none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from dask.delayed import Delayed
from distributed import Client
from distributed import Scheduler as DaskScheduler

from daskals.execution.scheduler import Scheduler, holding
from daskals.execution.settings import Settings
from daskals.kernels.types import Losses

T = TypeVar("T")


@dataclass(frozen=True)
class Machines:
    """Where a fit runs, as far as that matters to what it needs."""

    #: how many processes have a share of the ratings
    processes: int
    #: of all processes together
    threads: int
    #: the memory limit of the smallest process, in bytes
    memory: float
    #: whether the processes are workers of a cluster, which can be lost
    is_cluster: bool
    #: bytes a second that come into a process from others; None where all are on one machine
    bandwidth: float | None = None


def machines_of(scheduler: Scheduler) -> Machines:
    """The machines of a scheduler. This asks a cluster, once; one without workers has one of one thread, as in a fit.

    Workers under several host names have a network between them of which nothing is known: its bandwidth is None too.
    """
    if scheduler.client is None:
        return Machines(1, scheduler.threads, scheduler.worker_memory(), is_cluster=False)
    threads = scheduler.client.run_on_scheduler(_threads_of_workers)
    return Machines(max(1, len(threads)), max(1, sum(threads)), scheduler.worker_memory(), is_cluster=True)


def _threads_of_workers(dask_scheduler: DaskScheduler) -> list[int]:
    return [worker.nthreads for worker in dask_scheduler.workers.values()]


class Blank(Losses):
    """What a task on paper gives whose result somebody looks at: losses of nothing, or what has such losses."""

    @property
    def losses(self) -> Losses:
        """Those of a panel."""
        return self


@dataclass
class Counted:
    """What was asked of a scheduler on paper."""

    #: tasks that would have been computed
    tasks: int = 0
    #: how often somebody would have waited for tasks
    waits: int = 0
    #: names of tasks that are counted, or were done before
    seen: set[str] = field(default_factory=set, repr=False)


@dataclass(frozen=True)
class PaperScheduler(Scheduler):
    """A scheduler of such machines, under such settings, that runs nothing.

    What makes a fit's tasks makes them for it as for a real one, so that it can count what a fit would compute.
    """

    machines: Machines = field(kw_only=True)
    counted: Counted = field(default_factory=Counted, hash=False, kw_only=True)

    @classmethod
    def of(cls, machines: Machines, settings: Settings) -> PaperScheduler:
        """One that has counted nothing."""
        return cls(None, _refuse, {}, machines.threads, settings, machines.processes, machines=machines)

    @property
    def can_lose_results(self) -> bool:
        """Whether the workers that it stands for could be lost."""
        return self.machines.is_cluster

    def worker_memory(self) -> float:
        """As it was told."""
        return self.machines.memory

    def thread_memory(self) -> float:
        """What there is for each thread."""
        return self.machines.memory * self.machines.processes / self.machines.threads

    def done(self, *names: str) -> tuple[Delayed, ...]:
        """Tasks that were computed before: they are not counted."""
        self.counted.seen.update(names)
        return tuple(holding(name, None) for name in names)

    def begin(self, tasks: Sequence[Delayed]) -> tuple[Delayed, ...]:
        """Count the tasks; nobody waits for them."""
        return self.count(tasks)

    def persist_and_fetch(
        self, stay: Sequence[Sequence[Delayed]], come: Sequence[Sequence[Delayed]]
    ) -> tuple[list[tuple[Delayed, ...]], list[tuple[Any, ...]]]:
        """Count the tasks; return ones that are done, and `Blank` as the result of each that is to be fetched."""
        self.counted.waits += 1
        self.count(each for group in come for each in group)
        return [self.count(group) for group in stay], [(Blank(),) * len(group) for group in come]

    def retry(self, function: Callable[[], T], what: str, inputs: Sequence[Delayed] = ()) -> T:  # noqa: ARG002
        """Call the function: nothing is lost on paper."""
        return function()

    def count(self, tasks: Iterable[Delayed]) -> tuple[Delayed, ...]:
        """Count what has to be computed for these tasks, each once; return tasks of the same names that are done."""
        tasks = list(tasks)
        names = {name for each in tasks for layer in each.__dask_graph__().layers.values() for name in layer}
        self.counted.tasks += len(names - self.counted.seen)
        self.counted.seen |= names
        return self.done(*(each.key for each in tasks))


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise RuntimeError("A scheduler on paper runs nothing: it is for plans")


def machines_of_client(client: Client, settings: Settings) -> Machines:
    """The machines of a cluster that may not be the one in force."""
    threads = max(1, sum(client.nthreads().values()))
    return machines_of(Scheduler(client, client.get, {}, threads, settings))
