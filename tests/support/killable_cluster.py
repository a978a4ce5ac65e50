"""A cluster of real processes that loses workers when a test wants it: by ``SIGKILL``, at a moment of the work.

Moments are tasks, not seconds: a plugin of the scheduler, which runs in this process, sees each task begin and end.
So a schedule of kills means the same on a slow machine as on a fast one.
"""

import gc
import os
import re
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial

import dask
import numpy as np
from distributed import Client, LocalCluster, SchedulerPlugin

from daskals import ALS
from daskals.datasets import make_ratings

SHAPE = {"n_users": 3000, "n_items": 800, "n_ratings": 100_000}
BLOCKS = {"users": 6, "items": 5}
SOLVES = sum(BLOCKS.values())  # in an iteration
FIT = {"rank": 8, "maxIter": 6, "seed": 3, "numUserBlocks": BLOCKS["users"], "numItemBlocks": BLOCKS["items"]}
#: A schedule may kill more often than Dask allows by default (3 deaths under one task, of a frame for example, whose
#: tasks are the same in each retry); deploy/ sets 10 as well. A busy machine needs more time.
PATIENT = {
    "distributed.scheduler.allowed-failures": 10,
    "distributed.deploy.lost-worker-timeout": "1h",
    "distributed.comm.timeouts.connect": "8s",
}
#: Seconds after which something that should have happened is said to hang.
HANGING = 300


def lazy():
    return make_ratings(**SHAPE, npartitions=6)


def als(**more):
    return ALS(**{**FIT, **more})


def factors(model):
    return [np.stack(side["features"]) for side in dask.compute(model.userFactors, model.itemFactors)]


def assert_equal(found, expected):
    difference = max(float(np.abs(mine - its).max()) for mine, its in zip(found, expected, strict=True))
    print(f"largest difference {difference:.3g}")
    assert difference <= 1e-4


def until(condition, complaint):
    deadline = time.monotonic() + HANGING
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)


def in_thread(function):
    """The future of a call in another thread, where the current client is current too."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(copy_context().run, function)
    pool.shutdown(wait=False)
    return future


def kill(workers):
    """Kill workers as the scheduler knows them; how many were alive."""
    killed = 0
    for worker in list(workers):
        with suppress(ProcessLookupError):  # it is dead, and the scheduler has not noticed yet
            os.kill(worker.pid, signal.SIGKILL)
            killed += 1
    return killed


class KillableCluster:
    """A cluster and its client, with access to the scheduler."""

    def __init__(self, cluster, client):
        self.cluster, self.client, self.scheduler = cluster, client, cluster.scheduler

    def on_loop(self, function):
        """Call a function in the thread of the scheduler, whose state belongs to that thread."""

        async def call():
            return function()

        return self.client.sync(call)

    @contextmanager
    def plugged(self, plugin):
        name = uuid.uuid4().hex
        self.on_loop(lambda: self.scheduler.add_plugin(plugin, name=name))
        try:
            yield plugin
        finally:
            self.on_loop(lambda: self.scheduler.remove_plugin(name))

    def addresses(self):
        return self.on_loop(lambda: set(self.scheduler.workers))

    def kill_all(self):
        """Kill all workers, and return when the scheduler knows."""
        before = self.addresses()
        self.on_loop(lambda: kill(self.scheduler.workers.values()))
        until(lambda: not before & self.addresses(), "the scheduler noticed nothing")

    def heal(self):
        """Wait until there are two workers that answer."""
        answers = partial(self.client.run, os.getpid, on_error="ignore")
        until(lambda: len(self.addresses()) == len(answers()) == 2, "workers do not come back")

    def drop_replicas(self):
        """Wait until every result is on one worker only: Dask removes copies every two seconds."""
        time.sleep(2.1)
        tasks = self.scheduler.tasks
        until(lambda: self.on_loop(lambda: all(len(t.who_has or ()) < 2 for t in tasks.values())), "replicas stay")

    def assert_forgotten(self):
        """The scheduler comes to hold nothing."""
        until(lambda: gc.collect() is not None and not self.on_loop(lambda: len(self.scheduler.tasks)), "tasks stay")


@contextmanager
def killable_cluster(folder, n_workers=2, more=None):
    """A cluster, current, with ``more`` of Dask's configuration. By default it would give up a worker that takes 15 s
    to come back, as on a busy machine; and a worker would try for 30 s to reach another one that is dead."""
    with (
        dask.config.set({**PATIENT, **(more or {})}),
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            local_directory=str(folder),
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        client.as_current(),
    ):
        yield KillableCluster(cluster, client)


class At(SchedulerPlugin):
    """Calls a function with a task that a worker is given, if it is of this kind: the first ``times`` times."""

    def __init__(self, scheduler, kind, function, times=1):
        self._scheduler, self._kind, self._function, self._times = scheduler, kind, function, times
        self.keys = []

    def transition(self, key, start, finish, *args, **kwargs):
        if finish == "processing" and re.match(self._kind, str(key)) and len(self.keys) < self._times:
            self.keys.append(str(key))
            self._function(self._scheduler.tasks[key])


def killer(killable, kind, times=1, *, everybody=False, give_up=False):
    """Kills the worker that is given a task of this kind, or everybody; has Dask give the task up for that."""

    def strike(task):
        if give_up:  # as if workers had died under it before
            task.suspicious = killable.scheduler.allowed_failures
        kill(killable.scheduler.workers.values() if everybody else [task.processing_on])

    return At(killable.scheduler, kind, strike, times)


class Course(SchedulerPlugin):
    """Notes the keys of the tasks that were computed."""

    def __init__(self):
        self.keys = []

    def transition(self, key, start, finish, *args, **kwargs):
        if (start, finish) == ("processing", "memory"):
            self.keys.append(str(key))

    def solves(self):
        return sum(key.startswith("als-solve-") for key in self.keys)
