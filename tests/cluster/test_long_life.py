"""Many fits in one cluster: tasks, names, objects, descriptors, threads and memory stay as they are."""

import gc
import threading
from collections import Counter

import psutil
import pytest
from distributed import Client, LocalCluster
from support.killable_cluster import until

from daskals import ALS
from daskals.datasets import make_ratings
from daskals.engine import panels

MB = 1 << 20


@pytest.fixture
def frame():
    return make_ratings(n_users=40, n_items=20, n_ratings=600, seed=2)


def work(frame, times):
    """So many fits and recommendations for all; nothing of them is kept."""
    for _ in range(times):
        ALS(rank=3, maxIter=1).fit(frame).recommendForAllUsers(2)
    gc.collect()


def of_scheduler(dask_scheduler):
    gc.collect()
    return {
        "tasks": len(dask_scheduler.tasks),
        "kinds of names": len(dask_scheduler.task_prefixes),
        "groups": len(dask_scheduler.task_groups),
        "clients": len(dask_scheduler.clients),
    }


def objects_of_ours():
    """How many objects of each of our classes there are in this process."""
    kinds = (type(each) for each in gc.get_objects())
    return Counter(kind.__name__ for kind in kinds if str(getattr(kind, "__module__", "")).startswith("daskals"))


def in_worker(dask_worker):
    gc.collect()
    process = psutil.Process()
    return process.memory_info().rss, process.num_fds() if hasattr(process, "num_fds") else 0, threading.active_count()


def settled(client):
    """What the scheduler holds when all that was let go has arrived there."""
    until(lambda: not client.run_on_scheduler(of_scheduler)["tasks"], "tasks stay")
    return client.run_on_scheduler(of_scheduler)


def test_some_fits_leave_nothing(frame):
    """All in this process, so that objects on workers and in the scheduler count as well.

    Dask's own records of tasks that ran, which it keeps for its dashboard, hold arguments of tasks, of our classes too:
    the first fits fill those that are bounded. Tests before this one may have left theirs in clusters that live on.
    """
    gc.collect()
    others, gathered = objects_of_ours(), len(panels._gathered)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as workers,
        Client(workers, set_as_default=False) as client,
        client.as_current(),
    ):
        work(frame, 8)
        before, threads = settled(client), threading.active_count()
        descriptors = in_worker(None)[1]
        work(frame, 12)
        assert settled(client) == before
        assert len(panels._gathered) <= gathered
        assert not client.futures
        assert threading.active_count() <= threads + 2, "Dask's pools begin threads when they need some"
        assert in_worker(None)[1] <= descriptors + 4
        found = objects_of_ours()
    more = {name: found[name] - others[name] for name in ("ALSModel", "FactorMatrix", "Scheduler", "InBlock")}
    assert max(more.values()) <= 0, more


@pytest.mark.slow
def test_hundreds_of_fits_leave_nothing(cluster, frame):
    """150 fits and 150 recommendations: after the first 30 nothing of ours is left more than before.

    Processes of Dask grow by records of their own, a worker by 33 MB in 400 such fits: less than 0.1 MB each.
    """
    with cluster.as_current():
        work(frame, 30)
        before, workers = settled(cluster), cluster.run(in_worker)
        ours, threads = objects_of_ours(), threading.active_count()
        work(frame, 120)
        assert settled(cluster) == before
        for address, (memory, descriptors, in_threads) in cluster.run(in_worker).items():
            print(address, "grew by", (memory - workers[address][0]) / MB, "MB")
            assert memory - workers[address][0] < 0.25 * 120 * MB
            assert descriptors <= workers[address][1] + 4
            assert in_threads <= workers[address][2] + 2
        more = {name: n - ours[name] for name, n in objects_of_ours().items() if n - ours[name] > 12}
        assert not more, "less than one in ten fits"
        assert threading.active_count() <= threads + 2
