"""Models, estimators and evaluators come back as they were; writers, readers and warnings."""

import json
import pickle
import shutil
import traceback
import warnings
from pathlib import Path

import dask
import dask.dataframe as dd
import fsspec
import numpy as np
import pandas as pd
import pytest
from distributed import get_task_stream
from pandas.testing import assert_frame_equal
from support.models import IDS, assert_same, fit, pandas, ratings_with, write_spark_model

from daskals import ALS, ALSModel
from daskals.engine.factors import FactorMatrix
from daskals.evaluation import RankingEvaluator, RegressionEvaluator
from daskals.execution.scheduler import current_scheduler
from daskals.execution.tasks import new_token, task
from daskals.io.id_types import IdType
from daskals.io.model_files import Factors
from daskals.recommendation.history import History


@pytest.fixture
def model(ratings):
    return fit(ratings)


@pytest.fixture
def spark_model(tmp_path):
    return write_spark_model(tmp_path / "spark")


# ---- round trips -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pandas", "dask"])
@pytest.mark.parametrize("ids", IDS)
@pytest.mark.filterwarnings("ignore:Spark cannot load this model")
def test_models_come_back_exactly(ids, kind, tmp_path):
    frame = ratings_with(IDS[ids], IDS["strings"] if ids == "dates" else None)
    model = fit(frame if kind == "pandas" else dd.from_pandas(frame, npartitions=3))
    model.save(tmp_path / "model")
    for scheduler in ("threads", "synchronous"):
        with dask.config.set(scheduler=scheduler):
            loaded = ALSModel.load(tmp_path / "model", frames=kind)
            assert_same(loaded, model)
            assert isinstance(loaded.userFactors, pd.DataFrame) == (kind == "pandas")
            assert_frame_equal(loaded.transform(frame), model.transform(frame))
            best, expected = (pandas(each.recommendForAllUsers(4)) for each in (loaded, model))
            assert_frame_equal(best, expected)


@pytest.mark.parametrize("place", ["plain", "path", "file", "memory"])
@pytest.mark.parametrize("trailing", ["", "/"])
def test_places_are_folders_and_urls(model, tmp_path, place, trailing):
    path = {
        "plain": f"{tmp_path}/model{trailing}",
        "path": tmp_path / "model",
        "file": f"file://{tmp_path}/model{trailing}",
        "memory": f"memory://{tmp_path.name}/model{trailing}",
    }[place]
    model.save(path)
    assert_same(ALSModel.load(path), model)
    fs, folder = fsspec.url_to_fs(str(path))
    assert [Path(each).name for each in fs.ls(str(Path(folder).parent), detail=False)] == ["model"]


def test_a_relative_path_is_one_of_this_folder(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model.save("some/model")
    assert (tmp_path / "some/model/metadata/part-00000").exists()
    assert_same(ALSModel.read().load("some/model"), model)


@pytest.mark.slow
def test_workers_write_and_read(ratings, tmp_path, cluster):
    with cluster.as_current():
        model = fit(dd.from_pandas(ratings, npartitions=2))
        model.save(tmp_path / "model")
        assert_same(ALSModel.load(tmp_path / "model"), model)
        expected = pandas(model.userFactors)
    assert_frame_equal(ALSModel.load(tmp_path / "model", frames="pandas").userFactors, expected)


def held_by(worker, n_blocks):
    """A model whose blocks are on one worker, its ids on any."""
    bounds, ids = np.arange(n_blocks + 1) * 1000, IdType("int64", np.dtype(np.int64))
    sides = []
    for _ in range(2):
        token = new_token()
        with dask.annotate(workers=[worker]):
            blocks = [task(np.ones, (1000, 8), np.float32, name=f"held-{token}-{number}") for number in range(n_blocks)]
        (blocks, all_ids) = current_scheduler().persist(blocks, [task(np.arange, bounds[-1], name=f"ids-{token}")])
        sides.append(FactorMatrix(all_ids[0], bounds, blocks, 8, token))
    return ALSModel(Factors(*sides, ids, ids), "dask", History(implicit=False).frame())


@pytest.mark.slow
@pytest.mark.parametrize("holder", [0, 1])
def test_each_block_is_written_by_the_worker_that_holds_it(tmp_path, cluster, holder):
    """Though all are held by one worker, and the other has nothing to do and could take some."""
    with cluster.as_current():
        holder = sorted(cluster.scheduler_info()["workers"])[holder]
        model = held_by(holder, n_blocks=12)
        with get_task_stream(cluster) as stream:
            model.save(tmp_path / "model")
    assert [each["worker"] for each in stream.data if "als-write" in str(each["key"])] == [holder] * 24
    assert len(list((tmp_path / "model/userFactors").glob("*.parquet"))) == 12


def test_a_loaded_model_is_saved_again(model, tmp_path):
    model.setPredictionCol("guess").setColdStartStrategy("drop").save(tmp_path / "one")
    ALSModel.load(tmp_path / "one").save(tmp_path / "two")
    shutil.rmtree(tmp_path / "one")
    loaded = ALSModel.load(tmp_path / "two")
    assert_same(loaded, model)
    assert (loaded.getPredictionCol(), loaded.getColdStartStrategy()) == ("guess", "drop")


def test_estimators_come_back_as_they_were(tmp_path):
    als = ALS(rank=7, regParam=1, implicitPrefs=True, userCol="näme", seed=-(2**63), solver="cg", cgSteps=5)
    als.setColdStartStrategy("DROP").save(tmp_path / "als")
    loaded = ALS.load(tmp_path / "als")
    assert (type(loaded), loaded.uid) == (ALS, als.uid)
    assert loaded.extractParamMap() == als.extractParamMap()
    assert [loaded.isSet(param) for param in loaded.params] == [als.isSet(param) for param in als.params]
    fresh = ALS()
    fresh.save(tmp_path / "fresh")
    assert ALS.load(tmp_path / "fresh")._paramMap == {}


@pytest.mark.parametrize(
    "evaluator",
    [
        RegressionEvaluator(),
        RegressionEvaluator(labelCol="rating", metricName="mae", weightCol="w", throughOrigin=True),
        RankingEvaluator(metricName="ndcgAtK", k=3),
    ],
)
def test_evaluators_come_back_as_they_were(evaluator, tmp_path):
    evaluator.save(tmp_path / "evaluator")
    loaded = type(evaluator).load(tmp_path / "evaluator")
    assert (type(loaded), loaded.uid, repr(loaded)) == (type(evaluator), evaluator.uid, repr(evaluator))
    assert loaded.extractParamMap() == evaluator.extractParamMap()
    name = f"org.apache.spark.ml.evaluation.{type(evaluator).__name__}"
    assert json.loads((tmp_path / "evaluator/metadata/part-00000").read_text())["class"] == name


# ---- writers and readers ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_session_is_a_client(ratings, tmp_path, cluster):
    """Written and read on its cluster, though another scheduler is in force."""
    model = fit(ratings)
    with get_task_stream(cluster) as written:
        model.write().session(cluster).overwrite().save(tmp_path / "model")
    counts = sum("als-write-count-" in str(each["key"]) for each in written.data)
    assert counts == 2, "a file of the numbers of ratings of each side"
    assert sum("als-write" in str(each["key"]) for each in written.data) - counts == 5
    with get_task_stream(cluster) as read:
        loaded = ALSModel.read().session(sparkSession=cluster).load(tmp_path / "model")
    assert sum("als-load-index" in str(each["key"]) for each in read.data) >= 5
    assert_same(loaded, model)


@pytest.mark.parametrize("make", [lambda: ALS().write(), ALS.read, ALSModel.read])
def test_what_is_no_client_is_no_session(make):
    with pytest.raises(TypeError, match=r"session takes a distributed.Client, got object.*There is no SparkSession"):
        make().session(object())


@pytest.mark.parametrize("instance", [ALS(), RegressionEvaluator(), RankingEvaluator()])
def test_options_that_are_not_there_are_refused(instance):
    """Spark passes over them; what is believed to be in force and is not would be found out late."""
    name = type(instance).__name__
    with pytest.raises(ValueError, match=f"{name} is not written with an option 'compression'; it has none"):
        instance.write().option("compression", "gzip")


def test_the_warning_of_ids_points_to_the_caller(tmp_path):
    model = fit(ratings_with(IDS["strings"]))
    for save in ("model.save(path)", "model.write().save(path)"):
        line = compile(save, "caller.py", "eval")
        with pytest.warns(UserWarning, match="Spark cannot load") as caught:
            eval(line, {"model": model, "path": tmp_path / save})
        assert [each.filename for each in caught] == ["caller.py"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_model_is_saved_though_the_warning_of_ids_is_an_error(tmp_path, overwrite):
    """As with python -W error."""
    model = fit(ratings_with(IDS["strings"], IDS["dates"]))
    writer = model.write().overwrite() if overwrite else model.write()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="Spark cannot load this model: the ids of userFactors"):
            writer.save(tmp_path / "model")
    assert [each.name for each in tmp_path.iterdir()] == ["model"]
    assert_same(ALSModel.load(tmp_path / "model"), model)


# ---- nothing is executed ---------------------------------------------------------------------------------


def test_nothing_is_unpickled(model, spark_model, tmp_path, monkeypatch):
    model.save(tmp_path / "model")
    ALS().save(tmp_path / "als")

    loads = pickle.loads

    def never(*args, **kwargs):
        callers = [frame.filename for frame in traceback.extract_stack()]
        # Dask pickles objects of this process to name its tasks, and looks whether they come back
        assert any(name.endswith("dask/tokenize.py") for name in callers), "unpickled"
        return loads(*args, **kwargs)

    with dask.config.set(scheduler="synchronous"), monkeypatch.context() as patched:
        for name in ("load", "loads"):
            patched.setattr(pickle, name, never)
        loaded = ALSModel.load(tmp_path / "model", frames="pandas")
        users, other = loaded.userFactors, ALSModel.load(spark_model, frames="pandas").userFactors
        ALS.load(tmp_path / "als")
    assert_frame_equal(users, pandas(model.userFactors))
    assert len(other) == 11


def test_a_history_that_is_not_finite_is_written_as_json_has_it(ratings, tmp_path):
    """JSON has no NaN, and Spark's parser refuses one; what is read back is what was there."""
    model = ALS(rank=3, maxIter=4).fit(ratings)
    # put in by hand: whether a fit with numbers of such size ends so depends on the compiler of the kernels
    model._history = model.history.assign(objective=[np.inf, -np.inf, np.nan, 1.0], rmse=[1.0, np.nan, np.inf, 1.0])
    model.save(tmp_path / "model")
    (part,) = (tmp_path / "model" / "metadata").glob("part-*")
    json.loads(part.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert_frame_equal(ALSModel.load(tmp_path / "model").history, model.history)
