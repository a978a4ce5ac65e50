"""How the workers of a cluster are, as its scheduler knows; and what it is asked to do about it.

The functions that take a ``dask_scheduler`` run there: `distributed.Client.run_on_scheduler` calls them. Each costs one
message, and the scheduler asks no worker for it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from dask.utils import format_bytes
from distributed import Scheduler as DaskScheduler
from distributed.core import Status
from distributed.scheduler import TaskState, WorkerState

#: Under this topic nannies tell the scheduler that they restart a worker because of its memory.
RESTARTS_TOPIC = "worker-restart-memory"
#: A worker keeps its results in memory, and is not paused, as long as it uses no more than this share of its limit:
#: the default of distributed.worker.memory.target.
COMFORTABLE_SHARE = 0.6
#: Seconds for a nanny to end a worker that hangs; it kills it after 4 s (`distributed.Nanny.kill`).
SECONDS_TO_RESTART = 10
#: What to do where workers have too little memory.
MEMORY_ADVICE = (
    "give each worker at least {needed} of memory, or start more workers; fewer threads in each, smaller partitions of "
    "the frame and a lower daskals.factor-share and daskals.block-bytes make them need less"
)


class WorkerMemory(NamedTuple):
    """The memory of one worker, in bytes."""

    address: str
    #: of its process, when it told last
    used: int
    #: of its results that are on disk
    spilled: int
    limit: int

    def __str__(self) -> str:
        return f"{self.address} uses {format_bytes(self.used)} of {format_bytes(self.limit)}"


class SilentWorker(NamedTuple):
    """A worker that has work to do, or results that others may want, and has not been heard of."""

    address: str
    #: since it was heard of last
    seconds: float
    #: by the scheduler's clock
    last_seen: float


class Restarts(NamedTuple):
    """How often nannies have restarted workers that used more memory than they may."""

    number: int = 0
    #: of the worker that used most, in bytes
    most_used: int = 0

    def __str__(self) -> str:
        times = "once" if self.number == 1 else f"{self.number} times"
        needed = format_bytes(int(self.most_used / COMFORTABLE_SHARE))
        return (
            f"workers were restarted {times} because they used nearly all memory that they may use (up to "
            f"{format_bytes(self.most_used)}): {MEMORY_ADVICE.format(needed=needed)}"
        )


class Health(NamedTuple):
    """The workers of a cluster at one moment."""

    n_workers: int
    #: those that Dask has paused because of their memory
    paused: tuple[WorkerMemory, ...]
    silent: tuple[SilentWorker, ...]
    #: in the seconds that were asked for
    restarts: Restarts
    #: how many tasks wait for a worker that has gone, though others may run them (`place_stranded`)
    n_stranded: int


def look_at_workers(silence: float | None, seconds: float, dask_scheduler: DaskScheduler) -> Health:
    """How the workers are: those silent for ``silence`` seconds at least, restarts in the last ``seconds``."""
    now, workers = time.time(), list(dask_scheduler.workers.values())
    paused = [_memory_of(worker) for worker in workers if worker.status == Status.paused]
    silent = [] if silence is None else [_silence_of(worker, now) for worker in workers if _is_needed(worker)]
    return Health(
        len(workers),
        tuple(sorted(paused, key=lambda memory: memory.used, reverse=True)),
        tuple(each for each in silent if each.seconds >= (silence or 0)),
        count_restarts(seconds, dask_scheduler),
        len(_stranded(dask_scheduler)),
    )


def _memory_of(worker: WorkerState) -> WorkerMemory:
    return WorkerMemory(worker.address, worker.memory.process, worker.memory.spilled, worker.memory_limit)


def _silence_of(worker: WorkerState, now: float) -> SilentWorker:
    return SilentWorker(worker.address, now - worker.last_seen, worker.last_seen)


def _is_needed(worker: WorkerState) -> bool:
    return bool(worker.processing or worker.has_what)


def count_restarts(seconds: float, dask_scheduler: DaskScheduler) -> Restarts:
    """The restarts because of memory in the last seconds."""
    first = time.time() - seconds
    used = [event["rss"] for when, event in dask_scheduler.get_events(RESTARTS_TOPIC) if when >= first]
    return Restarts(len(used), max(used, default=0))


def _stranded(dask_scheduler: DaskScheduler) -> list[TaskState]:
    """Tasks that no worker was given, though there are workers that may run them."""
    return [each for each in dask_scheduler.unrunnable if each.loose_restrictions] if dask_scheduler.running else []


def place_stranded(dask_scheduler: DaskScheduler) -> None:
    """Give tasks to other workers that had best run on one that has gone.

    Dask does so by itself, unless all workers were paused when such a task was ready: it then sets the task aside, and
    later looks whether the worker that comes back is the one that was wished for.
    """
    recommended = {each.key: "processing" for each in _stranded(dask_scheduler)}
    dask_scheduler.transitions(recommended, stimulus_id=f"daskals-place-stranded-{time.time()}")


async def restart_workers(addresses: Sequence[str], dask_scheduler: DaskScheduler) -> None:
    """Restart workers that hang, as Dask itself does after ``distributed.scheduler.worker-ttl``.

    A nanny kills its worker and starts another one. A worker without one, or whose nanny does not answer, is struck
    off: if it wakes up, it is told to close, and what it says is not listened to. Either way its tasks run elsewhere.
    """
    await dask_scheduler.restart_workers(
        list(addresses),
        timeout=SECONDS_TO_RESTART,
        wait_for_workers=False,
        on_error="return",
        stimulus_id=f"daskals-hung-workers-{time.time()}",
    )


def make_again(keys: Sequence[str], dask_scheduler: DaskScheduler) -> int:
    """Have tasks made again that the scheduler has given up, and whatever they depend on; return how many of ``keys``.

    The deaths of workers under them are counted from 0 again.
    """
    tasks = dask_scheduler.tasks
    given_up = [key for key in dict.fromkeys(keys) if key in tasks and tasks[key].state == "erred"]
    for key in dask_scheduler.stimulus_retry(keys=given_up):
        if key in tasks:
            tasks[key].suspicious = 0
    return len(given_up)
