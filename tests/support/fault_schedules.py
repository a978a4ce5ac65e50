"""Schedules of faults: what befalls the workers of a small cluster while a piece of work runs, by a seed.

A schedule tells work and strikes: after which share of the work's tasks, what, and whom. Shares are counted in tasks
that are done, not in seconds, so a schedule means the same on a slow machine. Of three workers those strike that are
alive; workers that were killed come back by their nannies, or while the next schedule runs.
"""

import faulthandler
import os
import re
import signal
import sys
import time
from collections import Counter
from concurrent import futures as threaded
from contextlib import contextmanager, suppress
from typing import NamedTuple

import numpy as np
from distributed import Status

from daskals.execution.waiting import LOSSES
from support.killable_cluster import Course, in_thread, kill, killable_cluster, until

N_WORKERS = 3
#: Seconds in which no task changes its state, after which work is said to hang; and ten times as many in all.
HUNG = 90
#: What the struck cluster does besides, or otherwise than by default: it notices soon who is dead.
SETTINGS = {
    "distributed.comm.timeouts.connect": "3s",
    "daskals.no-worker-timeout": "90s",
    "daskals.paused-timeout": "45s",
}


# ---- schedules: pure functions of a seed -----------------------------------------------------------------


class Strike(NamedTuple):
    """One fault."""

    #: the share of the work's tasks that are done when it strikes
    after: float
    what: str
    #: the number of the first worker that is struck, in the order of addresses
    whom: int
    #: how many workers are struck
    many: int
    #: how long it lasts, where it does not end by itself
    seconds: float


class Schedule(NamedTuple):
    """What is done, and what happens meanwhile."""

    seed: int
    work: str
    strikes: tuple[Strike, ...]


#: Kinds of faults, and how many workers each may strike at once.
FAULTS = {
    "kill": (1, 2, N_WORKERS),
    "stop": (1, 1, 2, N_WORKERS),
    "retire": (1,),
    "join": (1,),
    "terminate": (1, N_WORKERS),
    "pause": (1, N_WORKERS),
    "full disk": (1, N_WORKERS),
}


def schedule(seed, works):
    """The schedule of a seed: one to three strikes. Works and first faults take turns; all else is drawn."""
    rng = np.random.default_rng(seed)
    names = list(FAULTS)
    first = names[(seed + seed // len(works)) % len(names)]
    whats = [first, *(names[rng.integers(len(names))] for _ in range(rng.integers(3)))]
    strikes = [
        Strike(
            round(float(rng.uniform(0, 0.9)), 2),
            what,
            int(rng.integers(N_WORKERS)),
            int(rng.choice(FAULTS[what])),
            round(float(rng.uniform(0.2, 1.5)), 1),
        )
        for what in whats
    ]
    return Schedule(seed, list(works)[seed % len(works)], tuple(sorted(strikes)))


# ---- strikes ---------------------------------------------------------------------------------------------


def _small_memory(seconds, dask_worker):
    """The worker's limit becomes what it takes: it spills, and pauses, until its limit is what it was."""
    manager = dask_worker.memory_manager
    # the worker may be struck again before its limit is back
    before = dask_worker.__dict__.setdefault("limit_before", manager.memory_limit)
    manager.memory_limit = dask_worker.monitor.get_process_memory()
    dask_worker.loop.call_later(seconds, setattr, manager, "memory_limit", before)


def _longest_file(length):
    """No file of this process may grow beyond this length (None: any), which fails as it does on a full disk."""
    import resource  # of POSIX alone

    most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (most if length is None else length, most))


class Striker(Course):
    """Strikes by a schedule while work runs; ``n_tasks`` is about the number of its tasks."""

    def __init__(self, house, strikes, n_tasks):
        super().__init__()
        self._house, self._n_tasks = house, n_tasks
        self._left = list(strikes)
        self.struck = []
        self.futures = []
        self.changed = time.monotonic()

    def transition(self, *args, **kwargs):
        super().transition(*args, **kwargs)
        self.changed = time.monotonic()
        while self._left and len(self.keys) >= self._left[0].after * self._n_tasks:
            self._strike(self._left.pop(0))

    def _strike(self, strike):
        workers = sorted(self._house.scheduler.workers.values(), key=lambda worker: worker.address)
        if not workers:
            return
        first = strike.whom % len(workers)
        some = (workers[first:] + workers[:first])[: strike.many]
        self.struck.append(strike.what)
        getattr(self, f"_{strike.what.replace(' ', '_')}")(some, strike.seconds)

    def _kill(self, workers, seconds):
        kill(workers)

    def _stop(self, workers, seconds):
        for worker in workers:
            self._house.stopped.add(worker.pid)
            send(worker.pid, signal.SIGSTOP)
            self._house.scheduler.loop.call_later(seconds, send, worker.pid, signal.SIGCONT)

    def _retire(self, workers, seconds):
        client, addresses = self._house.client, [worker.address for worker in workers]
        self.futures.append(in_thread(lambda: client.retire_workers(addresses)))

    def _join(self, workers, seconds):
        cluster = self._house.cluster
        cluster.scale(len(cluster.worker_spec) + 1)

    def _terminate(self, workers, seconds):
        """Their nannies find that they take too much memory."""
        for nanny in self._house.nannies():
            if nanny.worker_address in {worker.address for worker in workers}:
                before, nanny.memory_manager.memory_limit = nanny.memory_manager.memory_limit, 1
                self._house.scheduler.loop.call_later(0.5, setattr, nanny.memory_manager, "memory_limit", before)

    def _pause(self, workers, seconds):
        self._run(workers, _small_memory, seconds)

    def _full_disk(self, workers, seconds):
        self._run(workers, _longest_file, 0)

    def _run(self, workers, function, *args):
        client, addresses = self._house.client, [worker.address for worker in workers]
        self.futures.append(in_thread(lambda: client.run(function, *args, workers=addresses, on_error="ignore")))


def send(pid, number):
    with suppress(ProcessLookupError):
        os.kill(pid, number)


# ---- the cluster that is struck --------------------------------------------------------------------------


class House:
    """A cluster of `N_WORKERS`, which many schedules strike one after the other; a new one when one hung."""

    def __init__(self, killable):
        self.cluster, self.client, self.scheduler = killable.cluster, killable.client, killable.scheduler
        self.killable = killable
        self.stopped = set()
        self.tally = Counter()
        self.seconds = 0.0

    def nannies(self):
        return list(self.cluster.workers.values())

    def wake(self):
        while self.stopped:
            send(self.stopped.pop(), signal.SIGCONT)

    def heal(self, least=2):
        """Mend what the last schedule has left; returns when so many workers answer. Others may still be coming."""
        self.wake()

        def answering():
            # a worker that is being retired has not left yet
            self.killable.on_loop(self._forget_retired)
            self.cluster.scale(N_WORKERS)
            if len(self.killable.addresses()) < least:
                return 0
            return len(self.client.run(_longest_file, None, on_error="ignore"))

        until(lambda: answering() >= least, "workers do not come back")

    def _forget_retired(self):
        gone = [name for name, nanny in self.cluster.workers.items() if nanny.status in (Status.closed, Status.failed)]
        for name in gone:
            del self.cluster.workers[name]
            self.cluster.worker_spec.pop(name, None)

    def end(self):
        """Nobody who was stopped can be asked to end."""
        self.wake()


@contextmanager
def struck_house(folder):
    """A cluster to strike, current; the tally of all outcomes is printed at the end."""
    with killable_cluster(folder, n_workers=N_WORKERS, more=SETTINGS) as killable:
        house = House(killable)
        try:
            yield house
        finally:
            house.end()
            print(f"\n{house.tally.total()} schedules in {house.seconds:.0f} s:", dict(sorted(house.tally.items())))


# ---- what comes of it ------------------------------------------------------------------------------------

#: How our errors say how to go on. Dask's own, bare, do not count.
ADVICE = [
    r"failed \d+ times, since workers were lost; (daskals\.retries is|the cluster has given up)",
    r"Start workers and call again",
    r"fit\(\.\.\., resume=True\) goes on from it",
    r"make room|Make room",
    r"give each worker at least",
    r"was not written, and nothing stays of it",
    r"Copy it again|save the model again",
]


class Outcome(NamedTuple):
    """What came of a schedule: "equal", "advice", or what must not be: "wrong", "bare" (an error), "hung"."""

    kind: str
    said: str
    struck: tuple[str, ...]

    @property
    def is_fine(self):
        return self.kind in ("equal", "advice")


def all_said(error):
    """Messages and notes of an exception, and of those that it came from."""
    said = []
    while error is not None:
        said += [f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


def outcome_of(house, chosen, work, expected, n_tasks):
    """Run ``work()``, which returns arrays, on a healed cluster while it is struck."""
    house.heal()
    start = time.monotonic()
    with house.killable.plugged(Striker(house, chosen.strikes, n_tasks)) as striker:
        future = in_thread(work)
        try:
            ended = _ends(future, striker)
            kind, said = _judged(future.result(), expected) if ended else ("hung", _state(house))
        except Exception as error:
            kind, said = _judged_error(error)
        house.wake()
        for each in striker.futures:
            with suppress(Exception):
                each.result(HUNG)
    if kind == "hung":
        house.client.cancel(list(house.client.futures), force=True)  # so that its thread ends
    took = time.monotonic() - start
    house.tally[kind] += 1
    house.seconds += took
    print(f"{chosen}: {kind}, {took:.1f} s, {len(striker.keys)} tasks, {striker.struck}", said and f"\n{said}")
    return Outcome(kind, said, tuple(striker.struck))


def _ends(future, striker):
    """Wait for the end of work, as long as it gets on; whether it has ended."""
    start = time.monotonic()
    while not threaded.wait([future], 1).done:
        now = time.monotonic()
        if now - max(start, striker.changed) > HUNG or now - start > 10 * HUNG:
            return False
    return True


def _judged(found, expected):
    assert len(found) == len(expected)
    different = max(float(np.abs(mine - its).max()) for mine, its in zip(found, expected, strict=True))
    return ("equal", "") if different <= 1e-4 else ("wrong", f"largest difference {different:.3g}")


def _judged_error(error):
    """It must be of a kind by which workers and disks fail: no note helps where the fit itself is at fault."""
    said = all_said(error)
    is_told = isinstance(error, (*LOSSES, OSError, MemoryError)) and any(re.search(each, said) for each in ADVICE)
    return "advice" if is_told else "bare", said


def _state(house):
    """What the scheduler knows, for who looks for the cause; the stacks of all threads go to standard error."""
    faulthandler.dump_traceback(sys.__stderr__, all_threads=True)

    def told():
        tasks = Counter(
            (task.state, re.sub("-[0-9a-f]{12}.*", "", str(key))) for key, task in house.scheduler.tasks.items()
        )
        workers = [(each.address, each.status.name, each.pid) for each in house.scheduler.workers.values()]
        return f"workers {workers}, tasks {dict(tasks)}"

    return house.killable.on_loop(told)
