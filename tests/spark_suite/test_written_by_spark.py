"""Directories that real Sparks have written, as they were written (``written/write.py``), loaded without a Spark."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from daskals import ALS, ALSModel
from daskals.tuning import CrossValidatorModel

WRITTEN = Path(__file__).parent / "written"
each_spark = pytest.mark.parametrize("spark", ["spark-3.5.6", "spark-4.3.0"])


def expected(spark):
    return json.loads((WRITTEN / spark / "expected.json").read_text(encoding="utf-8"))


def pairs(spark):
    frame = pd.DataFrame(expected(spark)["predictions"], columns=["who", "item", "expected"])
    return frame.astype({"who": "int32", "item": "int32"})


def assert_factors(frame, rows, tolerance=0.0):
    frame = frame if isinstance(frame, pd.DataFrame) else frame.compute()
    assert frame["id"].tolist() == [id_ for id_, _ in rows]
    found = np.array(frame["features"].tolist(), np.float32)
    np.testing.assert_allclose(found, np.array([row for _, row in rows], np.float32), rtol=0, atol=tolerance)


def test_both_namings_of_metadata_are_there():
    """Spark 4 names the file otherwise than Spark 3; a copy that lost one of them would prove nothing."""
    names = {each.parent.parent.parent.name: each.name for each in WRITTEN.glob("*/model/metadata/part-*")}
    assert names["spark-3.5.6"] == "part-00000"
    assert names["spark-4.3.0"].endswith(".txt")
    assert all(len(list(each.glob("*.parquet"))) == 3 for each in WRITTEN.glob("*/model/userFactors"))


@each_spark
@pytest.mark.parametrize("kind", ["pandas", "dask"])
def test_a_model(spark, kind):
    """Factors exactly, predictions to a rounding of float32, lists in the same order."""
    model, known = ALSModel.load(WRITTEN / spark / "model", frames=kind), expected(spark)
    assert (model.uid, model.rank) == (known["uid"], 2)
    assert (model.getUserCol(), model.getPredictionCol()) == ("who", "guess")
    assert_factors(model.userFactors, known["users"])
    assert_factors(model.itemFactors, known["items"])
    found = model.transform(pairs(spark))
    np.testing.assert_allclose(found["guess"], found["expected"], rtol=1e-6)
    best = model.recommendForAllUsers(2)
    best = best if kind == "pandas" else best.compute()
    for row, (who, items) in zip(best.itertuples(index=False), known["recommendations"], strict=True):
        assert row.who == who
        assert [each["item"] for each in row.recommendations] == [item for item, _ in items]
        np.testing.assert_allclose([each["rating"] for each in row.recommendations], [r for _, r in items], rtol=1e-6)


@each_spark
def test_an_estimator_fits_what_spark_has_fitted(spark):
    """Its parameters are those that made the model beside it."""
    als = ALS.load(WRITTEN / spark / "als").setPrecision("double")
    assert (als.getRank(), als.getSeed(), als.getNumUserBlocks(), als.getColdStartStrategy()) == (2, 5, 3, "drop")
    known = expected(spark)
    model = als.fit(pd.DataFrame(known["ratings"], columns=["who", "item", "rating"]))
    assert_factors(model.userFactors, known["users"], 1e-5)
    assert_factors(model.itemFactors, known["items"], 1e-5)


@each_spark
def test_a_tuned_model(spark):
    """With its grid, its evaluator and its best model."""
    tuned, known = CrossValidatorModel.load(WRITTEN / spark / "tuned", frames="pandas"), expected(spark)
    als = tuned.getEstimator()
    assert tuned.getEstimatorParamMaps() == [{als.regParam: 1.0}, {als.regParam: 0.1}]
    assert tuned.avgMetrics == known["avgMetrics"]
    assert tuned.getNumFolds() == 2
    assert tuned.getEvaluator().getMetricName() == "mae"
    assert_factors(tuned.bestModel.itemFactors, known["tunedItems"])
