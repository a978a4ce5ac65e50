"""PySpark's own tests: the example of the documentation, step by step, test_als.py and test_evaluation.py.

The predictions of the example are in ``blocks/test_spark_random.py``, the metrics in ``surface/test_evaluation.py``.
"""

import math

import numpy as np
import pandas as pd
import pytest

from daskals import ALS, ALSModel
from daskals.evaluation import RankingEvaluator, RegressionEvaluator
from spark_suite.report import absolute, spark_test

TEST = pd.DataFrame([(0, 2), (1, 0), (2, 0)], columns=["user", "item"])


def documented(ratings):
    als = ALS(rank=10, seed=0)
    als.setMaxIter(5)
    als.setRegParam(0.1)
    als.clear(als.regParam)
    return als, als.fit(ratings)


@spark_test("PySpark doctest", 0, "ALS: parameters of estimator and model")
def test_parameters_of_the_example(ratings):
    """Setters return the estimator, clear returns to the default, the model has values of its own."""
    als = ALS(rank=10, seed=0)
    assert als.setMaxIter(5) is als
    assert als.getMaxIter() == 5
    assert als.setRegParam(0.2) is als
    assert als.getRegParam() == 0.2
    assert als.clear(als.regParam) is None
    assert als.getRegParam() == 0.1
    model = als.fit(ratings)
    assert model.getBlockSize() == 4096
    assert model.getUserCol() == "user"
    assert model.setUserCol("user") is model
    assert model.getItemCol() == "item"
    # PySpark's line, which goes on here
    assert repr(model.setPredictionCol("newPrediction")).startswith(f"ALSModel: uid={als.uid}, rank=10, users=3, ")
    assert model.rank == 10
    assert model.userFactors.id.tolist() == [0, 1, 2]
    assert list(model.transform(TEST).columns) == ["user", "item", "newPrediction"]


@spark_test("PySpark doctest", 0, "ALS: recommendForUserSubset, recommendForItemSubset", absolute(1e-3))
@pytest.mark.parametrize(
    ("method", "where", "n", "ids", "scores"),
    [
        ("recommendForUserSubset", ("user", 2), 3, [2, 1, 0], [4.892, 1.076, -0.899]),
        ("recommendForItemSubset", ("item", 0), 3, [0, 1, 2], [3.910, 3.473, -0.899]),
    ],
)
def test_subsets_of_the_example(ratings, tolerance, method, where, n, ids, scores):
    """Ids in order, and scores to the digits that the documentation shows: it cuts the others off."""
    _, model = documented(ratings)
    column, value = where
    found = getattr(model, method)(ratings[ratings[column] == value], n)
    other = {"user": "item", "item": "user"}[column]
    assert found[column].tolist() == [value]
    (row,) = found.recommendations
    assert [each[other] for each in row] == ids
    np.testing.assert_allclose([each["rating"] for each in row], scores, rtol=0, atol=tolerance)
    assert [math.trunc(1000 * each["rating"]) / 1000 for each in row] == scores


@spark_test("PySpark doctest", 0, "ALS: save and load")
def test_files_of_the_example(ratings, tmp_path):
    """The estimator and the model that were loaded are those that were saved."""
    als, model = documented(ratings)
    als.save(f"{tmp_path}/als")
    assert ALS.load(f"{tmp_path}/als").getMaxIter() == als.getMaxIter() == 5
    model.save(f"{tmp_path}/als_model")
    loaded = ALSModel.load(f"{tmp_path}/als_model", frames="pandas")
    assert loaded.rank == model.rank
    assert loaded.userFactors.equals(model.userFactors)
    assert loaded.itemFactors.equals(model.itemFactors)
    assert loaded.transform(TEST).equals(model.transform(TEST))


@spark_test("PySpark test_als", 0, "test_ambiguous_column")
@pytest.mark.parametrize("kind", ["pandas", "dask"])
def test_ambiguous_column(tmp_path, kind):
    """A loaded model predicts for a product of its own frames of factors, over whatever was there before."""
    data = pd.DataFrame([[1, 15, 1], [1, 2, 2], [2, 3, 4], [2, 2, 5]], columns=["user", "item", "rating"])
    model = ALS(numUserBlocks=10, numItemBlocks=10, maxIter=1, seed=42).fit(data)
    model.write().overwrite().save(str(tmp_path))  # an empty folder is something to overwrite
    loaded = ALSModel.load(str(tmp_path), frames=kind)
    users = loaded.userFactors[["id"]].rename(columns={"id": "user"}).assign(key=0)
    items = loaded.itemFactors[["id"]].rename(columns={"id": "item"}).assign(key=0)
    predictions = loaded.transform(users.merge(items, on="key"))
    assert len(predictions) == 6
    if kind == "dask":
        predictions = predictions.compute()
    assert predictions.prediction.notna().all()
    assert {*zip(predictions.user, predictions.item, strict=True)} == {(u, i) for u in (1, 2) for i in (2, 3, 15)}


@spark_test("PySpark test_evaluation", 0, "test_regression_evaluator, test_ranking_evaluator: save and load")
@pytest.mark.parametrize(
    "evaluator",
    [
        RegressionEvaluator().setPredictionCol("raw"),
        RegressionEvaluator(predictionCol="raw", weightCol="weight", metricName="mae", throughOrigin=True),
        RankingEvaluator().setPredictionCol("raw"),
        RankingEvaluator(predictionCol="raw", metricName="ndcgAtK", k=3),
    ],
    ids=["regression", "regression with all", "ranking", "ranking with all"],
)
def test_evaluators_read_write(evaluator, tmp_path):
    """An evaluator that was loaded is the one that was saved, and says so."""
    evaluator.write().overwrite().save(str(tmp_path))
    loaded = type(evaluator).load(str(tmp_path))
    assert loaded.getPredictionCol() == "raw"
    assert str(loaded) == str(evaluator)
    assert loaded.uid == evaluator.uid
    for param in evaluator.params:
        assert loaded.isSet(param.name) == evaluator.isSet(param)
        if evaluator.isDefined(param):
            assert loaded.getOrDefault(param.name) == evaluator.getOrDefault(param)


@spark_test("PySpark test_evaluation", 0, "isLargerBetter")
@pytest.mark.parametrize(
    ("evaluator", "larger"),
    [
        (RegressionEvaluator, {"mse": False, "rmse": False, "mae": False, "r2": True, "var": True}),
        (RankingEvaluator, dict.fromkeys(["meanAveragePrecision", "precisionAtK", "ndcgAtK", "recallAtK"], True)),
    ],
)
def test_is_larger_better(evaluator, larger):
    """By the metric, also after it was set anew."""
    one = evaluator()
    assert {name: one.setMetricName(name).isLargerBetter() for name in larger} == larger


@spark_test("PySpark test_evaluation", 0, "test_evaluate_invalid_type")
def test_evaluate_invalid_type():
    """Parameters that are no map are refused, not taken for none because they are empty."""
    frame = pd.DataFrame({"label": [1.0], "prediction": [1.1]})
    with pytest.raises(TypeError, match="params must be a map"):
        RegressionEvaluator(metricName="r2").evaluate(frame, "")


@spark_test("PySpark test_evaluation", 0, "copies of an evaluator share nothing (SPARK-18274)")
def test_copies_of_an_evaluator():
    """What is left of test_java_params where there is no Java."""
    evaluator = RegressionEvaluator(metricName="mae")
    frame = pd.DataFrame({"label": [1.0, 2.0], "prediction": [1.5, 4.0]})
    copy = evaluator.copy({evaluator.metricName: "mse"})
    assert (evaluator.evaluate(frame), copy.evaluate(frame)) == (1.25, 2.125)
    assert (evaluator.getMetricName(), copy.getMetricName()) == ("mae", "mse")
