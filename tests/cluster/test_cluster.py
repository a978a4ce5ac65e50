"""On a cluster: nothing stays behind, fits do not mix, input is read once, and not by the driver."""

import gc
import re
import subprocess
import sys
import time
import uuid
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import psutil
import pytest
from dask.distributed import Client, SchedulerPlugin
from pandas.testing import assert_frame_equal
from support.at_once import at_once
from support.marks import a_few

from daskals import ALS
from daskals.datasets import make_ratings
from daskals.engine import shuffle
from daskals.execution.waiting import ERROR_SECONDS

SHAPE = {"n_users": 300, "n_items": 120, "n_ratings": 6000}
PATIENCE = 5.0  # seconds until the scheduler must have forgotten


@pytest.fixture
def client(cluster):
    """The client of two worker processes, current, with what it held before."""
    with cluster.as_current():
        yield cluster


@pytest.fixture(scope="module")
def frame():
    return make_ratings(**SHAPE)


def lazy(**more):
    return make_ratings(**{**SHAPE, "npartitions": 4, **more})


def tasks_of(client):
    return set(client.run_on_scheduler(lambda dask_scheduler: [str(key) for key in dask_scheduler.tasks]))


def assert_forgotten(client, before):
    """The scheduler comes to hold nothing but what it held before."""
    deadline = time.monotonic() + PATIENCE
    while (left := tasks_of(client) - before) and time.monotonic() < deadline:
        gc.collect()  # an exception and its traceback are a cycle
        time.sleep(0.05)
    assert not left


# ---- nothing stays behind --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pandas", "dask"])
def test_nothing_of_a_fit_stays_on_the_scheduler_when_the_model_is_gone(client, frame, kind):
    before = tasks_of(client)
    model = ALS(rank=4, maxIter=2).fit(frame if kind == "pandas" else lazy())
    assert tasks_of(client) - before, "the factors are on the workers"
    model.transform(frame.head(10))
    model.recommendForAllUsers(3)
    del model
    assert_forgotten(client, before)


def test_a_model_holds_its_factors_in_memory_and_nothing_else_of_the_fit(client):
    """A lost block comes from the scheduler again: nothing else, no ratings, need be known."""
    before = in_memory(client)
    model = ALS(rank=4, maxIter=3).fit(lazy())
    deadline = time.monotonic() + PATIENCE
    while (kinds := kinds_of(in_memory(client) - before)) != {"als-pin"}:
        assert time.monotonic() < deadline, kinds
        gc.collect()
        time.sleep(0.05)
    assert model.rank == 4


def slow_part(part):
    time.sleep(2 * ERROR_SECONDS)
    return part


def test_a_model_is_gone_with_its_last_reference_and_not_when_garbage_is_collected(client):
    """Also of a fit that waited so long that its waiting timed out: exceptions refer to frames, and these to models."""
    gc.collect()
    gc.disable()
    try:
        gone = weakref.ref(ALS(rank=2, maxIter=1).fit(lazy().map_partitions(slow_part, meta=lazy()._meta)))
        assert gone() is None
    finally:
        gc.enable()


def in_memory(client):
    return set(
        client.run_on_scheduler(
            lambda dask_scheduler: [str(key) for key, task in dask_scheduler.tasks.items() if task.state == "memory"]
        )
    )


def kinds_of(keys):
    return {re.sub("-(users|items|[0-9a-f]{12})-.*", "", key) for key in keys}


def test_nothing_of_an_estimator_and_its_other_models_stays(client, frame):
    before = tasks_of(client)
    als = ALS(rank=2, maxIter=1)
    models = als.fit(frame, [{als.rank: 2}, {als.rank: 3}])
    assert [model.rank for model in models] == [2, 3]
    del models
    assert_forgotten(client, before)
    assert als.getRank() == 2


FAULTS = {
    "a null rating": (lambda part: part.assign(rating=part["rating"].where(part["user"] != 250)), {}, "null or NaN"),
    "a fractional id": (lambda part: part.assign(user=part["user"] + 0.5), {}, "whole numbers"),
    "no rows": (lambda part: part[part["user"] < 0], {}, "No ratings"),
    "singular equations": (lambda part: part, {"regParam": 0.0, "rank": 200}, "singular"),
}


@pytest.mark.parametrize("fault", a_few(FAULTS, "a null rating", "no rows", "singular equations"))
def test_nothing_of_a_failed_fit_stays_on_the_scheduler(client, fault):
    spoil, parameters, words = FAULTS[fault]
    before = tasks_of(client)
    given = lazy()
    text = ""
    try:
        ALS(**{"rank": 2, "maxIter": 2, **parameters}).fit(given.map_partitions(spoil, meta=spoil(given._meta)))
    except ValueError as error:
        text = str(error)
    assert words in text
    assert_forgotten(client, before)
    assert ALS(rank=2, maxIter=1).fit(lazy()).rank == 2


def test_a_lazy_frame_outlives_its_model_and_then_nothing_stays(client, frame):
    before = tasks_of(client)
    model = ALS(rank=3, maxIter=1).fit(lazy())
    expected = model.transform(frame)
    predictions, factors, recommended = model.transform(lazy()), model.userFactors, model.recommendForAllItems(2)
    del model
    gc.collect()
    time.sleep(0.2)
    np.testing.assert_allclose(predictions.compute()["prediction"], expected["prediction"], rtol=1e-5)
    assert len(factors.compute()) == SHAPE["n_users"]
    assert recommended.compute()["recommendations"].map(len).eq(2).all()
    del predictions, factors, recommended
    assert_forgotten(client, before)


def resident():
    return psutil.Process().memory_info().rss / 2**20


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere freed memory need not be returned at once")
def test_workers_return_to_their_memory_when_the_model_is_gone(client):
    """To within a quarter of what the fit had taken; 8 M ratings are 61 MB on each side."""
    given = make_ratings(40_000, 4_000, 8_000_000, npartitions=16)
    ALS(rank=8, maxIter=1).fit(given)  # all imports are done, all pools are filled
    start, most, done = sum(client.run(resident).values()), [], Event()

    def watch():
        while not done.wait(0.05):
            most.append(sum(client.run(resident).values()))

    with ThreadPoolExecutor(1) as watcher:
        watching = watcher.submit(watch)
        try:
            model = ALS(rank=8, maxIter=2).fit(given)
        finally:
            done.set()
        watching.result()
    taken = max(most) - start
    assert taken > 60, "this test could not have failed"
    assert model.rank == 8
    del model
    deadline = time.monotonic() + PATIENCE
    while (stays := sum(client.run(resident).values()) - start) > taken / 4:
        assert time.monotonic() < deadline, f"{stays:.0f} of {taken:.0f} MB stay"
        gc.collect()
        time.sleep(0.1)


# ---- fits do not mix -------------------------------------------------------------------------------------


def test_fits_at_once_from_several_threads_do_not_mix(client):
    jobs = [
        (ALS(rank=3, maxIter=4), {"seed": 1}),
        (ALS(rank=3, maxIter=4), {"seed": 2}),
        (ALS(rank=5, maxIter=3, implicitPrefs=True), {"seed": 1, "implicit": True}),
    ]

    def run(als, data):
        return als.fit(lazy(**data)).transform(make_ratings(**SHAPE, **data))

    found = at_once([partial(run, *job) for job in jobs])
    with dask.config.set(scheduler="threads"):
        expected = [run(*job) for job in jobs]
    for mine, its in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine["prediction"], its["prediction"], atol=1e-3)


@pytest.mark.slow
def test_fits_at_once_from_two_clients_do_not_mix(client):
    """Nor does it matter to one that the other has gone."""

    def run(seed, iterations):
        model = ALS(rank=3, maxIter=iterations, seed=seed).fit(lazy())
        return model.transform(make_ratings(**SHAPE))

    def run_as(seed, iterations):
        with Client(client.scheduler.address, set_as_default=False) as another, another.as_current():
            return run(seed, iterations)

    jobs = [(1, 2), (2, 12), (1, 12)]
    before = tasks_of(client)
    found = at_once([partial(run_as, *job) for job in jobs])
    assert_forgotten(client, before)
    with dask.config.set(scheduler="threads"):
        expected = [run(*job) for job in jobs]
    for mine, its in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine["prediction"], its["prediction"], atol=1e-3)


def test_the_same_estimator_may_fit_twice_at_once(client):
    als, given = ALS(rank=3, maxIter=3), lazy()
    one, two = at_once([lambda: als.fit(given).userFactors.compute()] * 2)
    assert one["id"].tolist() == two["id"].tolist()
    np.testing.assert_allclose(np.stack(one["features"]), np.stack(two["features"]), atol=1e-4)


def test_a_cluster_gives_the_numbers_of_threads(client, frame):
    found = ALS(rank=4, maxIter=3).fit(lazy()).transform(frame)
    with dask.config.set(scheduler="threads"):
        expected = ALS(rank=4, maxIter=3).fit(frame).transform(frame)
    np.testing.assert_allclose(found["prediction"], expected["prediction"], atol=1e-4)


def test_where_blocks_are_changes_no_bit(client, monkeypatch):
    """Blocks of users on the workers in the reverse of the usual order: items are built from them all the same."""
    als = ALS(rank=6, maxIter=3, numUserBlocks=4, numItemBlocks=3)
    expected = als.fit(lazy()).itemFactors.compute()
    usual = shuffle.preferred_workers
    monkeypatch.setattr(shuffle, "preferred_workers", lambda *args: usual(*args)[::-1])
    assert shuffle.preferred_workers(client, 4) != usual(client, 4)
    assert_frame_equal(als.fit(lazy()).itemFactors.compute(), expected, check_exact=True)


def test_a_model_survives_a_rebalance(client, frame):
    model = ALS(rank=4, maxIter=2, numUserBlocks=8, numItemBlocks=6).fit(lazy())
    predictions, recommended = model.transform(frame), model.recommendForAllUsers(3).compute()
    client.rebalance()
    assert_frame_equal(model.transform(frame), predictions)
    assert_frame_equal(model.recommendForAllUsers(3).compute(), recommended)


# ---- how much is done ------------------------------------------------------------------------------------


class Finished(SchedulerPlugin):
    """Keys of the tasks that were computed, in order."""

    def __init__(self):
        self.name = f"finished-{uuid.uuid4().hex}"
        self.keys = []

    def transition(self, key, start, finish, *args, **kwargs):
        if (start, finish) == ("processing", "memory"):
            self.keys.append(str(key))


@pytest.fixture
def finished(client):
    """A function that calls another and returns the keys of the tasks that the cluster computed for it."""

    def run(function):
        plugin = Finished()
        client.register_plugin(plugin)
        try:
            function()
            return client.run_on_scheduler(
                lambda dask_scheduler, name: list(dask_scheduler.plugins[name].keys), name=plugin.name
            )
        finally:
            client.unregister_scheduler_plugin(plugin.name)

    return run


BLOCKS = {"users": 24, "items": 20}


@pytest.mark.parametrize("implicit", a_few([False, True], False))
def test_a_half_step_is_one_task_a_block_and_at_most_sixteen_more(finished, implicit):
    given = lazy(implicit=implicit)
    als = ALS(rank=3, implicitPrefs=implicit, numUserBlocks=BLOCKS["users"], numItemBlocks=BLOCKS["items"])
    one, two = (finished(lambda n=n: als.setMaxIter(n).fit(given)) for n in (1, 2))

    steps = Counter()
    for key in two:
        if match := re.match(r"als-(solve|panel|loss|pin)-(users|items)-[0-9a-f]+-([1-9]\d*)-\d+$", key):
            steps[match[2], int(match[3]), match[1] == "solve"] += 1
    for side, n_blocks in BLOCKS.items():
        for number in (1, 2):
            assert steps[side, number, True] == n_blocks
            assert 0 < steps[side, number, False] <= 16
    assert len(steps) == 8

    # and whatever other names tasks may have: two half-steps more
    assert len(two) - len(one) <= sum(BLOCKS.values()) + 2 * 16


def test_no_task_is_computed_twice(finished):
    keys = Counter(finished(lambda: ALS(rank=3, maxIter=3).fit(lazy())))
    assert [key for key, times in keys.items() if times > 1] == []


def iterations_remembered(dask_scheduler):
    """Of which iterations the scheduler could compute solves again."""
    found = (re.match(r"als-solve-(?:users|items)-[0-9a-f]+-(\d+)-", str(key)) for key in dask_scheduler.tasks)
    return {int(match[1]) for match in found if match}


@pytest.mark.parametrize("checkpoints", a_few([True, False], True))
def test_factors_too_large_to_be_pinned_go_on_from_checkpoints(client, frame, tmp_path, caplog, checkpoints):
    """So that a loss after the fifth iteration does not bring back the first; without a folder a warning."""
    als = ALS(rank=3, maxIter=5, seed=1)
    expected = als.fit(frame).transform(frame).prediction
    caplog.clear()
    if checkpoints:
        als.setParams(checkpointDir=str(tmp_path), checkpointInterval=2)
    with dask.config.set({"daskals.durable-bytes": 0}):
        model = als.fit(frame)
    remembered = client.run_on_scheduler(iterations_remembered)
    np.testing.assert_allclose(model.transform(frame).prediction, expected, rtol=1e-5)
    assert remembered == ({5} if checkpoints else {1, 2, 3, 4, 5})
    assert ("Set checkpointDir" in caplog.text) is not checkpoints


def read_and_note(number, folder, parts):
    (folder / f"{number}-{uuid.uuid4().hex}").touch()
    return parts[number]


@pytest.mark.parametrize("dtype", a_few(["int64", "str", "category"], "int64", "category"))
def test_the_workers_read_the_input_once_for_a_fit(client, frame, tmp_path, dtype):
    typed = frame.astype({"user": dtype, "item": dtype})
    parts = [typed.iloc[start::5] for start in range(5)]
    given = dd.from_map(read_and_note, range(5), folder=tmp_path, parts=parts, meta=typed.iloc[:0])
    ALS(rank=2, maxIter=3).fit(given)
    reads = Counter(path.name.split("-")[0] for path in tmp_path.iterdir())
    assert reads == dict.fromkeys("01234", 1)


def part_of_many(number):
    rng = np.random.default_rng(number)
    return pd.DataFrame({"user": rng.integers(0, 500, 20), "item": rng.integers(0, 300, 20), "rating": 1.0})


@pytest.mark.slow
def test_a_thousand_partitions_to_a_hundred_blocks(finished):
    """Not a task for each pair of them, but one for each pair of a group of partitions and a block."""
    given = dd.from_map(part_of_many, range(1000), meta=part_of_many(0))
    keys = finished(lambda: ALS(rank=2, maxIter=0, numUserBlocks=100, numItemBlocks=100).fit(given))
    ingest = [key for key in keys if re.match("als-(read|index|merge|split|piece|build|count|bounds|ids)", key)]
    assert 2000 < len(ingest) < 6000


# ---- the driver ------------------------------------------------------------------------------------------

DRIVER = '''
import sys
from pathlib import Path

from distributed import Client, LocalCluster

from daskals import ALS
from daskals.datasets import make_ratings


def peak():
    """Peak resident megabytes of this process. (ru_maxrss would begin with those of the process that started it.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    n_ratings = int(sys.argv[1])
    workers = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0")
    with workers, Client(workers):
        ALS(rank=2, maxIter=1).fit(make_ratings(200, 100, 2000, npartitions=2))  # all imports are done
        start = peak()
        ratings = make_ratings(40_000, 4_000, n_ratings, npartitions=16)
        model = ALS(rank=8, maxIter=1).fit(ratings)
        fitted = peak()
        assert len(ratings.compute()) == n_ratings
        print(fitted - start, peak() - start)
'''


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_driver_holds_no_ratings(tmp_path):
    """Its memory grows by less than a quarter of the ratings; if they are fetched on purpose, by more than half."""
    n_ratings = 4_000_000
    megabytes = 12 * n_ratings / 2**20
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    done = subprocess.run(
        [sys.executable, script, str(n_ratings)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    fitted, fetched = map(float, done.stdout.split())
    assert fitted < megabytes / 4
    assert fetched > megabytes / 2, "this test could not have failed"
    print(f"driver grew by {fitted:.1f} MB in the fit, by {fetched:.1f} MB with {megabytes:.0f} MB of ratings")
