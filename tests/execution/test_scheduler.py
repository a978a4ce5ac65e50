"""The scheduler in force as a value, and what is said of results whose client was closed."""

import time
from concurrent import futures as threaded
from types import SimpleNamespace
from typing import NamedTuple

import dask
import pytest
from dask.callbacks import Callback
from distributed import Client

from daskals import ALS
from daskals.datasets import make_ratings
from daskals.execution import waiting
from daskals.execution.scheduler import current_scheduler
from daskals.execution.tasks import task
from daskals.execution.waiting import MOST_EARLY


def where():
    """The name of the thread that runs this, and the process."""
    import os
    import threading

    return os.getpid(), threading.current_thread().name


def test_work_stays_on_the_scheduler_that_was_in_force_when_it_began(scheduler):
    """Whatever is in force when its tasks run."""
    import os

    begun = current_scheduler()
    assert begun.can_lose_results == (scheduler == "distributed")
    with dask.config.set(scheduler="threads" if scheduler == "synchronous" else "synchronous"):
        ((process, thread),) = begun.fetch(task(where, name=f"where-{scheduler}-{id(begun)}"))
    assert (process != os.getpid()) == (scheduler == "distributed")
    assert (thread == "MainThread") == (scheduler == "synchronous")


USES = {
    "transform": lambda model, frame, folder: model.transform(frame),
    "recommendForAllUsers": lambda model, frame, folder: model.recommendForAllUsers(2),
    "recommendForItemSubset": lambda model, frame, folder: model.recommendForItemSubset(frame, 2),
    "userFactors": lambda model, frame, folder: model.userFactors,
    "itemFactors": lambda model, frame, folder: model.itemFactors,
    "save": lambda model, frame, folder: model.save(str(folder / "model")),
}


@pytest.fixture(scope="module")
def orphans(cluster):
    """A model and a persisted frame whose client was closed."""
    with Client(cluster.scheduler.address, set_as_default=False) as client, client.as_current():
        return ALS(rank=2, maxIter=1).fit(make_ratings(60, 30, 600)), make_ratings(60, 30, 600, npartitions=2).persist()


def in_force(under, cluster):
    return cluster.as_current() if under == "a cluster" else dask.config.set(scheduler="threads")


each_scheduler = pytest.mark.parametrize("under", ["a cluster", "threads"])
ADVICE = "client has been closed.* Keep the client open .* or save the model before"


@each_scheduler
@pytest.mark.parametrize("use", USES)
def test_a_model_whose_client_was_closed_says_what_to_do(cluster, orphans, tmp_path, use, under):
    """Also where another client of the same cluster is there: the factors went with theirs."""
    with in_force(under, cluster), pytest.raises(RuntimeError, match=ADVICE):
        USES[use](orphans[0], make_ratings(60, 30, 600), tmp_path)
    assert not list(tmp_path.iterdir()), "nothing is left half done"


@each_scheduler
def test_so_does_a_fit_to_a_frame_whose_client_was_closed(cluster, orphans, under, caplog):
    with in_force(under, cluster), pytest.raises(RuntimeError, match=ADVICE):
        ALS(rank=2, maxIter=1).fit(orphans[1])
    assert "trying again" not in caplog.text


# ---- on a scheduler of this process ----------------------------------------------------------------------


class Pair(NamedTuple):
    """A result of the kind that our tasks give: Dask takes a bare one in a graph for a task that makes it."""

    left: int
    right: int


class Started(Callback):
    """The names of tasks that run while this is active, in the order in which they start."""

    def __init__(self):
        super().__init__(pretask=lambda key, *_: self.names.append(key))
        self.names = []


def total(*pairs):
    return sum(pair.left + pair.right for pair in pairs)


@pytest.mark.parametrize("where", ["synchronous", "threads"])
def test_what_stays_and_what_comes_is_computed_once_and_then_is_data(where):
    with dask.config.set(scheduler=where):
        scheduler = current_scheduler()
        pairs = [task(Pair, n, 10 * n, name=f"pair-{n}") for n in range(3)]
        with Started() as first:
            (kept, none), (sums, also) = scheduler.persist_and_fetch(
                [pairs[:2], ()], [[task(total, *pairs, name="sum"), pairs[0]], ()]
            )
        assert sorted(first.names) == ["pair-0", "pair-1", "pair-2", "sum"]
        assert (sums, none, also) == ((33, Pair(0, 0)), (), ())
        with Started() as second:
            assert scheduler.fetch(task(total, *kept, name="sum of kept"), *kept) == (11, Pair(0, 0), Pair(1, 10))
        assert second.names == ["sum of kept"]


# ---- on a cluster ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, MOST_EARLY + 1])
def test_what_comes_from_a_cluster_comes_in_order(cluster, n):
    """Whatever is ready first, and whether results are fetched one by one or all at once."""
    with cluster.as_current():
        scheduler = current_scheduler()
        late = [task(later, place, n, name=f"late-{n}-{place}") for place in range(n)]
        assert scheduler.fetch(*late) == tuple(range(n))


@pytest.mark.parametrize("n", [3, MOST_EARLY + 1])
def test_an_error_among_what_comes_is_raised_and_nothing_stays(cluster, n):
    with cluster.as_current():
        scheduler = current_scheduler()
        some = [task(later, place, n, name=f"good-{n}-{place}") for place in range(n)]
        with pytest.raises(ZeroDivisionError):
            scheduler.fetch(*some, task(divide, 0, name=f"bad-{n}"))
        assert scheduler.fetch(task(divide, 2, name=f"after-{n}")) == (0.5,)


def later(place, n):
    time.sleep(0.05 if place == 0 else 0)
    return place


def divide(number):
    return 1 / number


def test_what_does_not_come_from_a_worker_directly_is_fetched_by_way_of_the_scheduler(monkeypatch):
    """A client is not told that a worker is dead, and would try to reach it for half a minute."""
    asked = []

    def begin(self, futures):
        asked.append((self._direct, len(futures)))
        answer = threaded.Future()
        if not self._direct or futures[0].answers:
            answer.set_result([futures[0].value])
        return answer

    monkeypatch.setattr(waiting, "DIRECT_SECONDS", 0)
    monkeypatch.setattr(waiting, "ERROR_SECONDS", 0.01)
    monkeypatch.setattr(waiting.Gathering, "_begin", begin)
    futures = [SimpleNamespace(value=n, answers=n == 1, client=SimpleNamespace()) for n in range(3)]
    assert waiting.Gathering(futures, direct=True).results(SimpleNamespace(look=lambda: None)) == [0, 1, 2]
    assert asked == [(True, 1)] * 3 + [(False, 1)] * 2
