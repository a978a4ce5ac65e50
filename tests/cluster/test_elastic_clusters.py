"""Workers come and go, drivers are interrupted or die: fits wait, end, or go on elsewhere, and leave nothing behind."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import dask
import numpy as np
import pytest
from distributed import SchedulerPlugin
from support.killable_cluster import (
    FIT,
    HANGING,
    SHAPE,
    SOLVES,
    At,
    Course,
    als,
    assert_equal,
    factors,
    in_thread,
    killable_cluster,
    lazy,
    until,
)

from daskals import ALSModel
from daskals.execution import waiting, watching

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes as POSIX does")

THIRD = r"als-solve-items-[0-9a-f]+-3-"
PINNED = r"als-pin-users-[0-9a-f]+-0$"


@pytest.fixture
def killable(tmp_path):
    """A cluster for each test: they change it for good."""
    with killable_cluster(tmp_path / "workers") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def expected():
    with dask.config.set(scheduler="threads"):
        return factors(als().fit(lazy()))


@pytest.fixture
def often(monkeypatch):
    """Look at the workers more often than is good."""
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.2)


@contextmanager
def meanwhile(killable, kind, function):
    """Call a function in another thread when a task of this kind begins; it has returned when this ends."""
    called = []
    with killable.plugged(At(killable.scheduler, kind, lambda _: called.append(in_thread(function)))):
        yield
    called[0].result()


# ---- workers that go and come ----------------------------------------------------------------------------


def test_a_worker_may_be_retired_in_a_fit(killable, expected):
    """What it holds moves to the other one: nothing of earlier half-steps is done again."""
    gone = min(killable.addresses())
    with (
        killable.plugged(Course()) as course,
        meanwhile(killable, THIRD, lambda: killable.client.retire_workers([gone])),
    ):
        model = als().fit(lazy())
    until(lambda: gone not in killable.addresses(), "it did not go")
    assert_equal(factors(model), expected)
    assert course.solves() <= (FIT["maxIter"] + 1) * SOLVES


@pytest.mark.slow
def test_a_cluster_may_shrink_and_grow_in_a_fit(killable, expected):
    def shrink_and_grow():
        for n in (1, 3):
            killable.cluster.scale(n)
            until(lambda n=n: len(killable.addresses()) == n, "it was not scaled")

    with meanwhile(killable, THIRD, shrink_and_grow):
        model = als().fit(lazy())
    assert len(killable.addresses()) == 3
    assert_equal(factors(model), expected)


class Coming(SchedulerPlugin):
    """Counts the workers that come and that go."""

    def __init__(self):
        self.added = self.removed = 0

    def add_worker(self, **_):
        self.added += 1

    def remove_worker(self, **_):
        self.removed += 1


@pytest.mark.slow
def test_a_cluster_may_adapt_in_a_fit(killable, expected):
    """It wants more workers when there is work, and fewer between half-steps."""
    with killable.plugged(Coming()) as coming:
        killable.cluster.adapt(minimum=1, maximum=3, interval="50ms", wait_count=1, target_duration="1ms")
        model = als(maxIter=40).fit(lazy())
        assert coming.added
        assert coming.removed
        killable.cluster.adapt(minimum=2, maximum=2)
    found = factors(model)
    with dask.config.set(scheduler="threads"):
        assert_equal(found, factors(als(maxIter=40).fit(lazy())))


# ---- no workers ------------------------------------------------------------------------------------------


def all_gone(killable):
    killable.cluster.scale(0)
    until(lambda: not killable.addresses(), "workers stay")


def test_a_fit_without_workers_says_so_and_ends(killable, often, caplog, tmp_path):
    folder = tmp_path / "checkpoints"
    limit = dask.config.set({"daskals.no-worker-timeout": "2s"})
    with limit, caplog.at_level(logging.WARNING, "daskals"), meanwhile(killable, THIRD, lambda: all_gone(killable)):
        fit = als(checkpointDir=str(folder), checkpointInterval=1, maxIter=100).fit
        with pytest.raises(TimeoutError, match=r"no workers for 2 s \(daskals.no-worker-timeout is 2 s\)") as error:
            fit(lazy())
    assert "has had no workers for 1 s; waiting for some to come" in caplog.text
    assert "distributed.deploy.lost-worker-timeout; its scale(n) starts new ones" in str(error.value)
    assert f"The newest checkpoint is {folder}" in error.value.__notes__[-1]
    del error
    killable.assert_forgotten()


@pytest.mark.slow
def test_workers_that_come_late_let_a_fit_go_on(killable, expected, often, caplog):
    def go_and_come():
        all_gone(killable)
        until(lambda: "has had no workers for" in caplog.text, "nothing is said")
        killable.cluster.scale(2)

    with caplog.at_level(logging.WARNING, "daskals"), meanwhile(killable, THIRD, go_and_come):
        model = als().fit(lazy())
    assert_equal(factors(model), expected)
    assert "trying again" not in caplog.text


@pytest.mark.slow
def test_workers_that_go_with_results_not_yet_fetched_are_missed_too(killable, often, monkeypatch):
    inner = waiting.wait_for

    def wait_for(futures, watch):
        inner(futures, watch)
        if futures[0].key.startswith("als-count-ids-"):
            all_gone(killable)

    monkeypatch.setattr(waiting, "wait_for", wait_for)
    with dask.config.set({"daskals.no-worker-timeout": "2s"}), pytest.raises(TimeoutError, match="no-worker-timeout"):
        als().fit(lazy())


# ---- drivers that are interrupted or die -----------------------------------------------------------------

DRIVER = """
import gc
import signal
import sys
import time

from distributed import Client

from daskals import ALS
from daskals.datasets import make_ratings

address, folder, shape, fit = sys.argv[1], sys.argv[2], eval(sys.argv[3]), eval(sys.argv[4])
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells turn it off for what they start in the background
with Client(address) as client:
    als = ALS(**fit, checkpointDir=folder, checkpointInterval=1)
    try:
        als.setMaxIter(100_000).fit(make_ratings(**shape, npartitions=6))
    except KeyboardInterrupt as error:
        print("interrupted", *getattr(error, "__notes__", []), flush=True)
    # this client is still there: it is by our doing that the tasks go
    while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
        gc.collect()
        time.sleep(0.05)
    als.setMaxIter(1).fit(make_ratings(**shape, npartitions=6))
    print("usable")
"""


@pytest.fixture
def driver(killable, tmp_path):
    """A process that fits without end on the cluster, with a checkpoint after each iteration."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    process = subprocess.Popen(
        [sys.executable, script, killable.scheduler.address, tmp_path / "checkpoints", repr(SHAPE), repr(FIT)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["als-read-", "als-split-items-", THIRD, PINNED])
def test_an_interrupt_cancels_what_is_ours_and_leaves_the_cluster_usable(killable, driver, kind):
    """Users are pinned for each checkpoint: the third time two of them are written."""
    times = 3 if kind == PINNED else 1

    def strike(_):
        if len(at.keys) == times:
            driver.send_signal(signal.SIGINT)

    at = At(killable.scheduler, kind, strike, times)
    with killable.plugged(at):
        said = driver.communicate(timeout=100)[0].splitlines()
    assert said[0].startswith("interrupted")
    assert ("The newest checkpoint is" in said[0]) == (kind in (THIRD, PINNED))
    assert said[1:] == ["usable"]
    assert driver.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_fit_goes_on_on_another_cluster_after_the_death_of_its_driver(killable, driver, tmp_path, seed):
    folder = tmp_path / "checkpoints"
    until(lambda: list(folder.glob("fit-*/iteration-000003")) or driver.poll() is not None, "no checkpoints")
    time.sleep(np.random.default_rng(seed).uniform(0, 0.5))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    killable.assert_forgotten()
    newest = max(folder.glob("fit-*/iteration-??????"))
    reached = int(newest.name[-6:])
    before = ALSModel.load(str(newest)).history
    longer = als(maxIter=reached + 3, checkpointDir=str(folder), checkpointInterval=1)
    with killable_cluster(tmp_path / "other workers", n_workers=3):
        model = longer.fit(lazy(), resume=True)
        found = factors(model)
    assert model.history["seconds"].tolist()[:reached] == before["seconds"].tolist(), "those were not made again"
    with dask.config.set(scheduler="threads"):
        assert_equal(found, factors(als(maxIter=reached + 3).fit(lazy())))


FIT_ON = """
import sys

from distributed import Client

from daskals import ALS
from daskals.datasets import make_ratings

address, folder, shape, fit = sys.argv[1], sys.argv[2], eval(sys.argv[3]), eval(sys.argv[4])
with Client(address):
    try:
        ALS(**{**fit, "maxIter": 100_000}, checkpointDir=folder, checkpointInterval=1).fit(
            make_ratings(**shape, npartitions=6)
        )
    except Exception as error:
        print(type(error).__name__, *getattr(error, "__notes__", []), flush=True)
"""


@pytest.mark.slow
def test_a_fit_goes_on_elsewhere_after_the_death_of_its_scheduler(tmp_path):
    """The driver ends, and says where the newest checkpoint is; with threads it goes on from there."""
    folder, script, where = (tmp_path / name for name in ("checkpoints", "fit_on.py", "scheduler.json"))
    script.write_text(FIT_ON)
    run = [sys.executable, "-m", "dask"]
    scheduler = subprocess.Popen([*run, "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", where])
    others = []
    try:
        until(where.exists, "the scheduler does not start")
        worker = [*run, "worker", "--scheduler-file", where, "--nthreads", "1", "--death-timeout", "30"]
        others = [subprocess.Popen(worker, cwd=tmp_path) for _ in range(2)]
        address = json.loads(where.read_text())["address"]
        fit = [sys.executable, script, address, folder, repr(SHAPE), repr(FIT)]
        soon = {**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s"}  # it tries to reach the dead one
        driver = subprocess.Popen(fit, stdout=subprocess.PIPE, text=True, env=soon)
        others.append(driver)
        until(lambda: list(folder.glob("fit-*/iteration-000003")) or driver.poll() is not None, "no checkpoints")
        scheduler.kill()
        said = driver.communicate(timeout=HANGING)[0]
    finally:
        for process in (scheduler, *others):
            process.terminate()
            process.wait()
    newest = max(folder.glob("fit-*/iteration-??????"))
    assert f"The newest checkpoint is {newest}: fit(..., resume=True) goes on from it" in said
    longer = {"maxIter": int(newest.name[-6:]) + 2}
    with dask.config.set(scheduler="threads"):
        model = als(**longer, checkpointDir=str(folder), checkpointInterval=1).fit(lazy(), resume=True)
        assert_equal(factors(model), factors(als(**longer).fit(lazy())))
