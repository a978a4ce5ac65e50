"""Calls from inside a task of a cluster: what they wait for are tasks of the same cluster, which need its threads."""

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster, worker_client
from support.killable_cluster import HANGING, until

from daskals import ALS, ALSModel
from daskals.datasets import make_ratings
from daskals.evaluation import RegressionEvaluator
from daskals.tuning import CrossValidator, ParamGridBuilder

SHAPE = {"n_users": 40, "n_items": 20, "n_ratings": 600, "seed": 2}
ALS_OF_TESTS = ALS(rank=3, maxIter=2, coldStartStrategy="drop")


@pytest.fixture(scope="module")
def client():
    """The default client of one worker in this process, which has one thread; and one in another executor."""
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            executor={"other": ThreadPoolExecutor(1)},
        ) as workers,
        Client(workers) as client,
    ):
        yield client


def predictions(seed=0, **more):
    ratings = make_ratings(**SHAPE, **more)
    predicted = ALS_OF_TESTS.copy({ALS_OF_TESTS.seed: seed}).fit(ratings).transform(ratings)
    return dask.compute(predicted)[0].prediction.to_numpy()


def lazy_predictions():
    return predictions(npartitions=2)


def recommendations():
    model = ALS_OF_TESTS.fit(make_ratings(**SHAPE))
    return [[row["item"] for row in rows] for rows in model.recommendForAllUsers(3)["recommendations"]]


def saved_and_loaded(folder):
    model = ALS_OF_TESTS.fit(make_ratings(**SHAPE))
    model.save(f"{folder}/{threading.get_ident()}")
    return np.stack(ALSModel.load(f"{folder}/{threading.get_ident()}").userFactors["features"])


def validation():
    """By several threads of the task, which have no thread of the worker and wait as well."""
    grid = ParamGridBuilder().addGrid(ALS_OF_TESTS.regParam, [0.1, 1.0]).build()
    evaluator = RegressionEvaluator(labelCol="rating")
    validator = CrossValidator(
        estimator=ALS_OF_TESTS, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2, parallelism=2
    )
    return validator.fit(make_ratings(**SHAPE)).avgMetrics


CALLS = {
    "fit and transform": predictions,
    "a lazy frame": lazy_predictions,
    "recommendForAllUsers": recommendations,
    "CrossValidator": validation,
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_in_a_task_gives_what_it_gives_outside(client, call):
    with dask.config.set(scheduler="threads"):
        expected = CALLS[call]()
    np.testing.assert_allclose(client.submit(CALLS[call], pure=False).result(HANGING), expected, rtol=1e-4)


def test_models_are_saved_and_loaded_in_a_task(client, tmp_path):
    rows = client.submit(saved_and_loaded, str(tmp_path)).result(HANGING)
    np.testing.assert_allclose(rows, saved_and_loaded(str(tmp_path)), rtol=1e-4)


@pytest.mark.parametrize("separate_thread", [True, False])
def test_so_does_one_with_worker_client(client, separate_thread):
    def call():
        with worker_client(separate_thread=separate_thread):
            return predictions()

    np.testing.assert_allclose(client.submit(call).result(HANGING), predictions(), rtol=1e-4)


def test_many_fits_at_once_on_one_thread(client):
    found = client.gather(client.map(predictions, range(8), pure=False))
    for seed, rows in enumerate(found):
        np.testing.assert_allclose(rows, predictions(seed), rtol=1e-4)


def test_on_workers_of_their_own_processes(cluster):
    """Two processes with a thread each, and four fits."""
    futures = cluster.map(predictions, range(4), pure=False)
    found = [future.result(HANGING) for future in futures]
    for seed, rows in enumerate(found):
        np.testing.assert_allclose(rows, predictions(seed), rtol=1e-4)


class Inside:
    """How many tasks there are at a time that have fitted and go on; in this process, as the worker is."""

    now, most, lock = 0, 0, threading.Lock()


def fit_and_go_on(seed):
    predictions(seed)
    with Inside.lock:
        Inside.now += 1
        Inside.most = max(Inside.most, Inside.now)
    time.sleep(0.05)
    with Inside.lock:
        Inside.now -= 1


def test_after_the_call_a_task_holds_a_thread_again(client):
    """So no more tasks go on at a time than the worker has threads."""
    client.gather(client.map(fit_and_go_on, range(4), pure=False))
    assert Inside.most == 1


def test_an_error_comes_out_of_the_task_and_the_thread_comes_back(client):
    def call():
        ALS(rank=2).fit(make_ratings(**SHAPE).rename(columns={"item": "film"}))

    with pytest.raises(ValueError, match="film"):
        client.submit(call).result(HANGING)
    assert client.submit(int, "7").result(HANGING) == 7


def test_a_fit_on_threads_of_the_task_stays_there(client):
    def call():
        with dask.config.set(scheduler="synchronous"):
            return predictions()

    np.testing.assert_allclose(client.submit(call).result(HANGING), predictions(), rtol=1e-4)


def test_in_another_executor_the_error_says_what_to_do(client):
    with dask.annotate(executor="other"):
        future = client.submit(predictions, pure=False)
    with pytest.raises(RuntimeError, match=r"executor of its own.*worker_client"):
        future.result(HANGING)


def test_in_an_asynchronous_task_the_error_says_what_to_do(client):
    async def call():
        return predictions()

    with pytest.raises(RuntimeError, match=r"asynchronous[^$]*asyncio.to_thread"):
        client.submit(call).result(HANGING)


class Fitter:
    def fit(self):
        return predictions()


def test_in_an_actor_a_fit_works(client):
    actor = client.submit(Fitter, actor=True).result(HANGING)
    np.testing.assert_allclose(actor.fit().result(HANGING), predictions(), rtol=1e-4)


def test_afterwards_nothing_stays(client):
    client.submit(predictions, pure=False).result(HANGING)
    # those of a test that failed here on purpose are its own, and go with its traceback
    names = partial(client.run_on_scheduler, lambda dask_scheduler: [n for n in dask_scheduler.tasks if "als-" in n])
    until(lambda: gc.collect() is not None and not names(), "tasks stay")
