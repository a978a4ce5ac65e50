"""`daskals.plan`: what it takes, what it refuses, what it warns of, how it shows itself."""

import dataclasses
import warnings

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from distributed import Client, LocalCluster

import daskals
from daskals import ALS, Hosts
from daskals.datasets import make_ratings
from daskals.execution.scheduler import current_scheduler
from daskals.io import frame_sizes
from daskals.io.frame_sizes import size_of_frame
from daskals.io.frames_in import Columns

SIZES = (100_000, 20_000, 10_000_000)
SOME = Hosts(4, threads=8, memory="32GB")


# ---- ratings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pandas", "dask", "array", "sparse"])
def test_ratings_are_counted(scheduler, kind):
    frame = make_ratings(300, 90, 4000, seed=3)
    frame = {
        "pandas": lambda: frame,
        "dask": lambda: dd.from_pandas(frame.astype({"user": str}), npartitions=7),
        "array": lambda: frame.to_numpy(np.float64),
        "sparse": lambda: scipy.sparse.coo_array((frame["rating"], (frame["user"], frame["item"])), (400, 400)),
    }[kind]()
    found = daskals.plan(frame, rank=8)
    assert (found.users, found.items, found.ratings) == (300, 90, 4000)


def test_many_ids_of_a_dask_frame_are_estimated(monkeypatch):
    """With 256 of their hashes to about 6 %; whatever the partitions, the estimate is the same."""
    monkeypatch.setattr(frame_sizes, "KEPT", 256)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": rng.integers(0, 20_000, 100_000), "item": rng.integers(0, 200, 100_000)})
    with dask.config.set(scheduler="synchronous"):
        found = [
            size_of_frame(current_scheduler(), dd.from_pandas(frame, npartitions=n), Columns("user", "item"))
            for n in (1, 20)
        ]
    assert found[0][:3] == found[1][:3]
    assert found[0].n_users == pytest.approx(frame["user"].nunique(), rel=0.2)
    assert (found[0].n_items, found[0].n_ratings) == (200, 100_000)


def test_columns_are_those_of_the_estimator():
    frame = make_ratings(30, 9, 100, seed=3).rename(columns={"user": "who"})
    assert daskals.plan(frame, ALS(userCol="who")).users == 30
    with pytest.raises(ValueError, match="No column 'user' in the dataset"):
        daskals.plan(frame)


@pytest.mark.parametrize(
    ("ratings", "error", "words"),
    [
        ((1, 2), TypeError, "three numbers"),
        ((1, 2, "3"), TypeError, "three numbers"),
        ((True, 2, 3), TypeError, "three numbers"),
        ("ratings.csv", TypeError, "must be a pandas or a dask DataFrame"),
        (None, TypeError, "must be a pandas or a dask DataFrame"),
        ((0, 1, 1), ValueError, "at least 1"),
        ((1, -1, 1), ValueError, "at least 1"),
        ((1, 1.5, 2), ValueError, "whole"),
        ((1, 1, float("nan")), ValueError, "whole"),
        ((1, 1, float("inf")), ValueError, "whole"),
        ((1, 1, 1e30), ValueError, "whole"),
        ((100, 1, 10), ValueError, "100 users cannot have 10 ratings"),
        ((1, 100, 10), ValueError, "100 items cannot have 10 ratings"),
        (pd.DataFrame({"user": [], "item": [], "rating": []}), ValueError, "No ratings"),
        (pd.DataFrame({"user": [1j], "item": [1], "rating": [1]}), TypeError, "user"),
    ],
)
def test_what_are_no_ratings(ratings, error, words):
    with pytest.raises(error, match=words):
        daskals.plan(ratings)


# ---- parameters, clusters, speeds ------------------------------------------------------------------------


def test_parameters_are_those_of_an_estimator_and_of_the_call():
    als = ALS(rank=8, maxIter=3)
    with pytest.raises(TypeError, match=r"als must be an ALS.*one argument"):
        daskals.plan(SIZES, 64)
    with pytest.raises(TypeError, match=r"three numbers.*\(users, items, ratings\)"):
        daskals.plan(1e6, rank=64)
    with pytest.raises(TypeError, match=r"no parameter 'n_factors'.*rank"):
        daskals.plan(SIZES, n_factors=3)
    with pytest.raises(ValueError, match="rank"):
        daskals.plan(SIZES, rank=0)
    one, other = daskals.plan(SIZES, als, cluster=SOME), daskals.plan(SIZES, als, cluster=SOME, rank=80)
    assert other.bytesPerIteration == 10 * one.bytesPerIteration
    assert als.getRank() == 8
    assert one.seconds == pytest.approx(one.secondsBefore + 3 * one.secondsPerIteration)


def test_the_scheduler_in_force_and_numbers_of_threads():
    with dask.config.set(scheduler="threads", num_workers=3):
        assert (daskals.plan(SIZES).processes, daskals.plan(SIZES).threads) == (1, 3)
        assert daskals.plan(SIZES, cluster=5).threads == 5
    assert daskals.plan(SIZES, cluster=SOME).processes == 4
    assert daskals.plan(SIZES, cluster=dataclasses.replace(SOME, processes=2)).processes == 8


def test_clients_and_clusters(cluster):
    """In force, or as an argument: the same plan. What there is a client of is not made the default."""
    with cluster.as_current():
        in_force = daskals.plan(SIZES)
    assert (in_force.processes, in_force.threads, in_force.bandwidth) == (2, 2, None)
    assert daskals.plan(SIZES, cluster=cluster) == daskals.plan(SIZES, cluster=cluster.cluster) == in_force
    assert current_scheduler().client is None


def test_a_cluster_in_this_process():
    with (
        LocalCluster(n_workers=1, threads_per_worker=3, processes=False, dashboard_address=None) as workers,
        Client(workers, set_as_default=False) as client,
    ):
        found = daskals.plan(SIZES, cluster=client)
    assert (found.processes, found.threads, found.bytesPerIteration) == (1, 3, 0)


@pytest.mark.parametrize("cluster", ["tcp://scheduler:8786", 2.5, True, object(), [1]])
def test_what_is_no_cluster(cluster):
    with pytest.raises(TypeError, match=r"cluster must be a daskals\.Hosts"):
        daskals.plan(SIZES, cluster=cluster)


@pytest.mark.parametrize(
    ("given", "error", "name"),
    [
        ({"n": 0}, ValueError, "n"),
        ({"n": 1.5}, TypeError, "n"),
        ({"threads": -1}, ValueError, "threads"),
        ({"processes": 0}, ValueError, "processes"),
        ({"memory": "lots"}, ValueError, "memory"),
        ({"memory": 0}, ValueError, "memory"),
        ({"memory": float("nan")}, ValueError, "memory"),
        ({"memory": None}, TypeError, "memory"),
        ({"bandwidth": "10"}, ValueError, "bandwidth"),
        ({"bandwidth": "1.2.3GB/s"}, ValueError, "bandwidth"),
        ({"bandwidth": 0}, ValueError, "bandwidth"),
        ({"bandwidth": True}, TypeError, "bandwidth"),
    ],
)
def test_what_are_no_hosts(given, error, name):
    with pytest.raises(error, match=f"^{name}="):
        Hosts(**{"n": 2, "threads": 4, "memory": "8GB", **given})


@pytest.mark.parametrize(
    ("rate", "bytes_a_second"),
    [("10Gbit/s", 1.25e9), ("10 Gbps", 1.25e9), ("100Mbit/s", 1.25e7), ("1GB/s", 1e9), ("1GiB/s", 2**30), (5e8, 5e8)],
)
def test_rates(rate, bytes_a_second):
    assert daskals.plan(SIZES, cluster=SOME, bandwidth=rate).bandwidth == bytes_a_second


def test_speeds():
    slow = daskals.plan(SIZES, cluster=SOME)
    assert daskals.plan(SIZES, cluster=SOME, speed=2).secondsOf["arithmetic"] == slow.secondsOf["arithmetic"] / 2
    assert daskals.plan(SIZES, cluster=SOME, speed={"cluster_task": 1.0}).secondsOf["scheduler"] > 100
    for speed in (0, -1, float("nan"), {"tasks": 1}, {"task": "slow"}):
        with pytest.raises(ValueError, match="speed"):
            daskals.plan(SIZES, speed=speed)
    for speed in ("fast", True, [1]):
        with pytest.raises(TypeError, match="speed"):
            daskals.plan(SIZES, speed=speed)


# ---- what comes out --------------------------------------------------------------------------------------


def test_what_will_not_fit_is_said_and_warned_of():
    """Workers as small as that of which a fit once waited for ever; a machine smaller than the ratings."""
    with pytest.warns(UserWarning, match=r"This will not fit.*80% of the memory limit of a worker.*lower rank"):
        small = daskals.plan((60_000, 9_000, 2e6), rank=32, cluster=Hosts(1, threads=2, memory="660MB", processes=2))
    assert (small.fits, small.limit, len(small.cautions)) == (False, "memory", 1)
    with pytest.warns(UserWarning, match=r"the memory of this machine.*LocalCluster"):
        daskals.plan((1e6, 1e5, 1e12), cluster=2)
    with pytest.warns(UserWarning, match="2,147,483,647 users at most"):
        daskals.plan((3e9, 10, 3e9), cluster=Hosts(1000, threads=1, memory="1TB"))


def test_what_fits_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = daskals.plan(SIZES, rank=64, cluster=SOME)
    assert found.fits
    assert not found.cautions
    assert found.limit == max(found.secondsOf, key=found.secondsOf.get)
    assert found.secondsPerIteration == pytest.approx(sum(found.secondsOf.values()))


def test_less_memory_means_panels_and_disks():
    much = daskals.plan((10e6, 1e6, 1e9), rank=64, cluster=Hosts(4, threads=8, memory="64GB"))
    little = daskals.plan((10e6, 1e6, 1e9), rank=64, cluster=Hosts(4, threads=8, memory="10GB"))
    assert (much.itemsFromUsers, much.bytesToDisk) == ("gather", 0)
    assert little.itemsFromUsers == "gather, panel by panel"
    assert little.bytesToDisk > 0
    assert little.tasksPerIteration > much.tasksPerIteration
    assert any("local directory" in note for note in little.notes)


def test_threads_without_work_are_noted():
    found = daskals.plan((1e6, 1e5, 1e9), cluster=Hosts(16, threads=32, memory="128GB"))
    assert any("256 of 512 threads" in note and "daskals.max-blocks" in note for note in found.notes)
    with dask.config.set({"daskals.max-blocks": 1024}):
        found = daskals.plan((1e6, 1e5, 1e9), cluster=Hosts(16, threads=32, memory="128GB"))
    assert (found.userBlocks, found.notes) == (1024, ())


def test_it_shows_itself_as_a_table():
    found = daskals.plan(SIZES, rank=64, cluster=SOME)
    lines = repr(found).splitlines()
    assert str(found) == repr(found)
    assert lines[0] == "ratings           10,000,000 of 100,000 users and 20,000 items"
    assert lines[1] == "where             4 processes, 32 threads, 32 GB each, 1.25 GB/s into each"
    assert lines[-1] == f"first limit       {found.limit}"
    html = found._repr_html_()
    assert html.count("<tr>") == len(lines)
    assert "10,000,000 of 100,000 users" in html


def test_it_is_a_value_that_nobody_changes():
    found = daskals.plan(SIZES, rank=64, cluster=SOME)
    assert found == daskals.plan(SIZES, ALS(rank=64), cluster=SOME)
    assert hash(found) == hash(daskals.plan(SIZES, ALS(rank=64), cluster=SOME))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.memory = 0
