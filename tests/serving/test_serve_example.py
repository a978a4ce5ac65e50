"""examples/serve.py as a process: many requests at once while models are replaced."""

import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support.models import IDS, fit, ratings_with, write_spark_model

from daskals.serving import LocalModel

for needed in ("fastapi", "uvicorn", "prometheus_client"):
    pytest.importorskip(needed)
FIT = {"regParam": 0.5, "implicitPrefs": False}
SCRIPT = Path(__file__).parents[2] / "examples" / "serve.py"


class Service:
    """A running service, and requests to it."""

    def __init__(self, path, *arguments):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.root = f"http://127.0.0.1:{port}"
        command = [sys.executable, SCRIPT, path, "--port", str(port), "--every", "0.1", *arguments]
        environment = {**os.environ, "PYTHONWARNINGS": "default"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self._wait()

    def _wait(self):
        for _ in range(600):
            if self.process.poll() is not None:
                raise AssertionError(self.process.stderr.read())
            try:
                return self.get("/health")
            except urllib.error.URLError:
                time.sleep(0.1)
        raise AssertionError("the service does not answer")

    def text(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as found:
            return found.read().decode()

    def get(self, path, body=None):
        return json.loads(self.text(path, body))

    def refusal(self, path, body=None):
        """Status and detail of an answer that is an error."""
        with pytest.raises(urllib.error.HTTPError) as error:
            self.text(path, body)
        with error.value as answer:
            return answer.code, json.loads(answer.read())["detail"]

    def stop(self):
        """End it as a supervisor does; what it has written to stderr."""
        self.process.send_signal(signal.SIGTERM)
        _, written = self.process.communicate(timeout=60)
        return written


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(service, users, folder), of items 0 to 11; 3 and 4 are the most popular. Each test leaves a model that works."""
    folder = tmp_path_factory.mktemp("served")
    model = fit(ratings_with(IDS["int16"]))
    model.save(folder / "model")
    (folder / "popular.json").write_text("[3, 4, 5]")
    service = Service(folder / "model", "--popular", folder / "popular.json", "--fit", json.dumps(FIT))
    yield service, model.userFactors["id"].tolist(), folder / "model"
    assert "Traceback" not in service.stop()


def pairs(answer):
    return [(each["item"], each["score"]) for each in answer["items"]]


def test_what_it_answers(served):
    service, _, path = served
    local = LocalModel.load(path)
    user, item = int(local.userIds[0]), int(local.itemIds[0])
    found = service.get(f"/recommend/{user}?n=3&exclude={item}")
    assert pairs(found) == local.recommend(user, 3, [item])
    assert found["source"] == "model"
    assert found["model"] == {"uid": local.uid, "version": local.version}
    assert pairs(service.get(f"/similar/{item}?n=2")) == local.similarItems(item, 2)
    assert service.get("/health") == {"status": "ok", "uid": local.uid, "version": local.version}
    # strangers
    found = service.get("/recommend/31999?n=2&exclude=4")
    assert (found["source"], pairs(found)) == ("popular", [(3, None), (5, None)])
    assert pairs(service.get("/recommend?n=1", {"ratings": {"999": 5}})) == [(3, None)]
    # requests that cannot be answered
    assert service.refusal("/recommend/ann") == (
        422, "The ids of users in this model are integers; 'ann' is none"
    )  # fmt: skip
    assert service.refusal("/similar/999")[0] == 404
    assert service.refusal("/recommend/1?n=0")[0] == 422
    assert service.refusal("/recommend", {"ratings": {str(item): "five"}})[0] == 422
    text = service.text("/metrics")
    assert re.search(r"^strangers_total [2-9]", text, re.MULTILINE)
    assert f'model_info{{uid="{local.uid}",version="{local.version}"}} 1.0' in text
    assert re.search(r'recommendation_seconds_count\{kind="recommend"\} [2-9]', text)


def test_ratings_of_somebody_who_is_not_in_the_model(served):
    """The items that are best by these ratings, without those that were rated."""
    service, _, path = served
    local = LocalModel.load(path)
    ratings = {int(local.itemIds[0]): 5.0, int(local.itemIds[1]): 1.0, 999: 3.0}
    found = service.get("/recommend?n=3", {"ratings": {str(item): rating for item, rating in ratings.items()}})
    assert pairs(found) == local.recommendForRatings(ratings, 3, **FIT)
    assert found["source"] == "ratings"


def test_models_are_replaced_while_requests_are_answered(served):
    """No error; every answer has all of its scores from the model whose version it tells; the last model wins."""
    service, users, path = served
    known = {}  # version: the model
    stop, faults = threading.Event(), []

    def know():
        local = LocalModel.load(path)
        known[local.version] = local

    know()
    answers = []

    def ask(number):
        while not stop.is_set():
            user = users[number % len(users)]
            number += 4
            try:
                answers.append((user, service.get(f"/recommend/{user}?n=5")))
            except Exception as error:
                faults.append(error)

    with ThreadPoolExecutor(4) as pool:
        for number in range(4):
            pool.submit(ask, number)
        try:
            for number in range(4):
                fit(ratings_with(IDS["int16"])).write().overwrite().save(path)
                if number % 2:
                    LocalModel.writeArrays(path)
                know()
                deadline = time.monotonic() + 60
                while service.get("/health")["version"] not in list(known)[-1:] and time.monotonic() < deadline:
                    time.sleep(0.05)
        finally:
            stop.set()
    assert not faults
    assert service.get("/health")["version"] == list(known)[-1]
    assert {answer["model"]["version"] for _, answer in answers} == set(known)
    for user, answer in answers:
        local = known[answer["model"]["version"]]
        if user not in local:
            assert answer["source"] == "popular"
            continue
        expected = local.recommend(user, 5)
        assert [item for item, _ in pairs(answer)] == [item for item, _ in expected]
        np.testing.assert_allclose([s for _, s in pairs(answer)], [s for _, s in expected], rtol=1e-6)


def test_a_damaged_model_does_not_take_the_place(served):
    """The old one answers, the failure is counted, and a model that comes later is taken."""
    service, _, path = served
    version = service.get("/health")["version"]
    (metadata,) = (path / "metadata").glob("part-*")
    whole = metadata.read_text()
    metadata.write_text("{")
    deadline = time.monotonic() + 60
    while "model_reload_failures_total 0.0" in service.text("/metrics") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert service.get("/health")["version"] == version
    metadata.write_text(whole.replace('"rank"', ' "rank"'))
    while service.get("/health")["version"] == version and time.monotonic() < deadline:
        time.sleep(0.05)
    assert service.get("/health")["version"] == LocalModel.load(path).version != version


def test_strangers_get_what_is_popular_in_the_model_in_use(tmp_path):
    """Without a list: by the numbers of ratings that the model tells; after a reload, those of the new one."""
    path, frame = tmp_path / "model", ratings_with(IDS["int16"])

    def most(ratings, n, exclude=()):
        counts = ratings[~ratings["item"].isin(exclude)]["item"].value_counts()
        return [(i, None) for i, _ in sorted(counts.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)[:n]]

    fit(frame).save(path)
    service = Service(path, "--fit", json.dumps(FIT))
    try:
        found = service.get("/recommend/31999?n=4")
        assert (found["source"], pairs(found)) == ("popular", most(frame, 4))
        out = pairs(found)[0][0]
        assert pairs(service.get(f"/recommend/31999?n=4&exclude={out},999")) == most(frame, 4, [out])
        assert pairs(service.get("/recommend?n=3", {"ratings": {"999": 5}})) == most(frame, 3)
        other = frame[frame["item"] != out]
        version = found["model"]["version"]
        fit(other).write().overwrite().save(path)
        deadline = time.monotonic() + 60
        while service.get("/health")["version"] == version and time.monotonic() < deadline:
            time.sleep(0.05)
        assert pairs(service.get("/recommend/31999?n=4")) == most(other, 4)
        # a model that does not tell them comes: no error, nothing to recommend, and a line that says what to do
        shutil.rmtree(path)
        write_spark_model(tmp_path / "draft").rename(path)
        version = LocalModel.load(path).version
        while service.get("/health")["version"] != version and time.monotonic() < deadline:
            time.sleep(0.05)
        found = service.get("/recommend/31999")
        assert (found["source"], found["items"]) == ("popular", [])
    finally:
        written = service.stop()
    assert "Traceback" not in written
    assert written.count("Strangers get empty lists") == 1
    assert "use --popular" in written


def test_it_says_what_is_wrong_with_a_path(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == f"{tmp_path} holds no model: there is no file metadata/part-* in it"


def test_factors_in_an_index_of_faiss(monkeypatch):
    """What the example shows gives the model's own recommendations."""
    pytest.importorskip("faiss")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the script would set it, for all tests to come
    nearest = runpy.run_path(str(SCRIPT))["nearest_by_faiss"]
    rng = np.random.default_rng(1)
    sides = [(range(n), rng.standard_normal((n, 8))) for n in (3, 500)]
    model = LocalModel.fromArrays(*sides)
    for user in range(3):
        found, expected = nearest(model, user, 10), model.recommend(user, 10)
        assert [each.id for each in found] == [each.id for each in expected]
        np.testing.assert_allclose([each.score for each in found], [each.score for each in expected], rtol=1e-5)


def test_ids_are_read_from_text():
    """Of each kind; what is no id is refused with the kind that there is."""
    one = np.ones((1, 1))
    dates = LocalModel.fromArrays(([np.datetime64("2020-01-02")], one), (["7"], one))
    assert dates.userFromText("2020-01-02") in dates
    assert dates.hasItem(dates.itemFromText("7"))
    with pytest.raises(ValueError, match="ids of users in this model are dates, such as 2026-01-31; 'ann' is none"):
        dates.userFromText("ann")
    assert LocalModel.fromArrays(([-7], one), ([1], one)).userFromText("-7") == -7


def test_factors_in_an_index_of_hnswlib():
    """The calls that the example names; the nearest of few are found exactly."""
    hnswlib = pytest.importorskip("hnswlib")
    rng = np.random.default_rng(1)
    model = LocalModel.fromArrays((range(3), rng.standard_normal((3, 8))), (range(50), rng.standard_normal((50, 8))))
    index = hnswlib.Index("ip", model.rank)
    index.init_index(len(model.itemIds))
    index.add_items(model.itemFactors)
    index.set_ef(50)
    places, distances = index.knn_query(model.userFactors[1], 5)
    expected = model.recommend(1, 5)
    assert model.itemIds[places[0].astype(int)].tolist() == [each.id for each in expected]
    np.testing.assert_allclose(1 - distances[0], [each.score for each in expected], rtol=1e-5)
