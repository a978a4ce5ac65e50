"""Kinds of clients: in a running event loop, asynchronous, closed in mid-fit, and two at once."""

import asyncio
import logging
import threading
from contextlib import ExitStack
from contextvars import copy_context
from functools import partial

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster
from support.at_once import at_once
from support.killable_cluster import HANGING, in_thread

from daskals import ALS
from daskals.datasets import make_ratings

IN_THIS_PROCESS = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
SHAPE = {"n_users": 40, "n_items": 20, "n_ratings": 600, "seed": 2}


def predictions(seed=0, iterations=2, **more):
    ratings = make_ratings(**SHAPE)
    return ALS(rank=3, maxIter=iterations, seed=seed).fit(ratings, **more).transform(ratings).prediction.to_numpy()


@pytest.fixture
def expected():
    with dask.config.set(scheduler="synchronous"):
        return predictions()


# ---- event loops -----------------------------------------------------------------------------------------


def test_a_fit_in_a_running_event_loop(expected):
    """As in a notebook: on threads, and with a client that has an event loop of its own."""

    async def call():
        on_threads = predictions()
        with LocalCluster(**IN_THIS_PROCESS) as workers, Client(workers):
            return on_threads, predictions()

    for found in asyncio.run(call()):
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_with_an_asynchronous_client_the_error_says_what_to_do_and_that_works(expected):
    async def call():
        async with (
            LocalCluster(**IN_THIS_PROCESS, asynchronous=True) as workers,
            Client(workers, asynchronous=True),
        ):
            with pytest.raises(RuntimeError, match=r"asynchronous=True[^$]*asyncio\.to_thread"):
                predictions()

            def fit():
                with Client(workers.scheduler_address) as client, client.as_current():
                    return predictions()

            return await asyncio.to_thread(fit)

    np.testing.assert_allclose(asyncio.run(call()), expected, rtol=1e-4)


@pytest.mark.slow  # Dask starts processes for each graph
def test_on_processes_of_dasks_own(expected):
    with dask.config.set(scheduler="processes", num_workers=1):
        np.testing.assert_allclose(predictions(), expected, rtol=1e-4)


# ---- closing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["client", "cluster"])
def test_closing_in_mid_fit_ends_the_fit_with_an_error_that_says_so(what, caplog):
    """Soon, from another thread; nothing is tried again."""
    caplog.set_level(logging.WARNING, logger="daskals")
    with ExitStack() as stack:
        workers = stack.enter_context(LocalCluster(**IN_THIS_PROCESS))
        client = stack.enter_context(Client(workers, set_as_default=False))
        begun, closes = threading.Event(), {"client": client, "cluster": workers}[what].close

        def go_on(iteration):
            begun.set()

        with client.as_current():
            fit = in_thread(lambda: predictions(iterations=100_000, callbacks=[go_on]))
            assert begun.wait(HANGING)
            closes()
        with pytest.raises(RuntimeError, match=r"closed while daskals worked.*Keep it open"):
            fit.result(HANGING)
    assert not [record for record in caplog.records if record.name == "daskals"]


def test_a_closed_client_in_force_is_named():
    with LocalCluster(**IN_THIS_PROCESS) as workers:
        client = Client(workers, set_as_default=False)
        with client.as_current():
            client.close()
            with pytest.raises(RuntimeError, match=r"has been closed\. Open one"):
                predictions()


# ---- two at once -----------------------------------------------------------------------------------------


def under(client, function):
    """A call of a function with this client in force. (Dask's ``as_current`` must not overlap between threads.)"""
    with client.as_current():
        return partial(copy_context().run, function)


def test_two_clusters_in_two_threads(expected):
    """Each fit runs on its own."""
    with ExitStack() as stack:
        both = [stack.enter_context(LocalCluster(**IN_THIS_PROCESS)) for _ in range(2)]
        clients = [stack.enter_context(Client(each, set_as_default=False)) for each in both]
        found = at_once([under(client, predictions) for client in clients for _ in range(2)])
        for client in clients:
            assert client.run_on_scheduler(lambda dask_scheduler: "als-solve-users" in dask_scheduler.task_prefixes)
    for each in found:
        np.testing.assert_allclose(each, expected, rtol=1e-4)


def test_two_clients_of_one_cluster_with_the_same_frame(expected):
    frame = make_ratings(**SHAPE, npartitions=2)

    def fit(seed):
        model = ALS(rank=3, maxIter=2, seed=seed).fit(frame)
        return model.transform(make_ratings(**SHAPE)).prediction.to_numpy()

    with ExitStack() as stack:
        workers = stack.enter_context(LocalCluster(**IN_THIS_PROCESS))
        clients = [stack.enter_context(Client(workers, set_as_default=False)) for _ in range(3)]
        calls = [under(client, partial(fit, seed)) for client, seed in zip(clients, [0, 0, 1], strict=True)]
        same, also, another = at_once(calls)
    np.testing.assert_allclose(same, expected, rtol=1e-4)
    np.testing.assert_allclose(also, expected, rtol=1e-4)
    assert np.abs(another - expected).max() > 1e-3
