"""Factors of a side that are more than a worker's share, on a worker that would be ended if a task had all of them."""

import os
from contextlib import contextmanager

import dask
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from pandas.testing import assert_frame_equal

from daskals import ALS, ALSModel
from daskals.datasets import make_ratings

pytestmark = pytest.mark.slow

N_USERS, N_ITEMS, RANK = 1_000_000, 2_000, 64


@contextmanager
def small_workers(n_workers, memory, folder):
    """Workers of one thread that must all live on: 290 MB of each are modules."""
    patient = {"distributed.comm.timeouts.connect": "60s", "distributed.scheduler.allowed-failures": 0}
    with (
        dask.config.set(patient),
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            memory_limit=memory,
            dashboard_address=":0",
            local_directory=str(folder),
        ) as cluster,
        Client(cluster) as client,
    ):
        before = set(client.run(os.getpid).values())
        yield client
        assert set(client.run(os.getpid).values()) == before, "a worker was ended"


@pytest.mark.parametrize(("n_workers", "memory"), [(1, "600MB"), (2, "600MB")])
def test_everything_that_a_model_does(n_workers, memory, tmp_path):
    """256 MB of users' factors; a task may hold 150 MB."""
    ratings = make_ratings(N_USERS, N_ITEMS, 2_000_000, seed=1, npartitions=16)
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame({"user": rng.integers(0, N_USERS, 100_000), "item": rng.integers(0, N_ITEMS, 100_000)})
    with small_workers(n_workers, memory, tmp_path / "space"):
        model = ALS(rank=RANK, maxIter=1, seed=1).fit(ratings)
        predicted = model.transform(pairs)
        best = model.recommendForAllItems(10, flat=True).compute()
        assert len(best) == 10 * model._factors.items.n_rows
        checked = model.transform(best)
        np.testing.assert_allclose(checked["prediction"], checked["rating"], rtol=1e-5, atol=1e-6)
        least = best.groupby("item")["rating"].min()
        known = predicted.dropna()
        tops = best.set_index(["item", "user"]).index
        others = known[~known.set_index(["item", "user"]).index.isin(tops)]
        assert (others["prediction"] <= least[others["item"]].to_numpy() + 1e-5).all(), "nobody was passed over"
        assert model.recommendForAllUsers(3)["recommendations"].count().compute() == model._factors.users.n_rows
        model.save(str(tmp_path / "model"))
        del model
        loaded = ALSModel.load(str(tmp_path / "model"), frames="pandas")
        assert_frame_equal(loaded.transform(pairs), predicted)
