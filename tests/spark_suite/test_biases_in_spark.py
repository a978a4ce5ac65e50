"""Models with biases in a real Spark, which knows nothing of them: to it they are factors with two more columns."""

import warnings

import numpy as np
import pandas as pd
import pytest

import daskals
from daskals.datasets import load_sample

pytest.importorskip("pyspark", reason="needs pyspark: pip install 'daskals[spark]'")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyspark.ml import recommendation as spark_recommendation

pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore::Warning:pyspark"),
    pytest.mark.filterwarnings("ignore::Warning:py4j"),
]

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def frame():
    return load_sample()[["user", "item", "rating"]]


@pytest.fixture(scope="module")
def saved(frame, tmp_path_factory):
    """(our model, the path of its files); values that Spark does not have are set."""
    als = daskals.ALS(rank=4, maxIter=3, seed=1, biases=True, coldStartStrategy="bias", userCountExponent=0.5)
    model = als.fit(frame)
    path = str(tmp_path_factory.mktemp("biases") / "model")
    model.save(path)
    return model, path


@pytest.fixture(scope="module")
def theirs(spark, saved):
    return spark_recommendation.ALSModel.load(saved[1])


def in_spark(spark, frame, folder):
    path = str(folder / "frame.parquet")
    frame.to_parquet(path, index=False)
    return spark.read.parquet(path)


def as_pandas(frame):
    return pd.DataFrame([row.asDict(recursive=True) for row in frame.collect()], columns=frame.columns)


def test_spark_predicts_what_we_predict(spark, saved, theirs, frame, tmp_path):
    model, _ = saved
    assert theirs.rank == model.rank == 6
    pairs = frame[["user"]].drop_duplicates().merge(frame[["item"]].drop_duplicates(), how="cross")
    found = as_pandas(theirs.transform(in_spark(spark, pairs, tmp_path))).sort_values(["user", "item"])
    expected = model.transform(pairs).sort_values(["user", "item"])
    assert found[["user", "item"]].to_numpy().tolist() == expected[["user", "item"]].to_numpy().tolist()
    np.testing.assert_allclose(found["prediction"], expected["prediction"], rtol=0, atol=TOLERANCE)
    users, items = (
        np.column_stack([np.stack(factors["features"])[:, :4], biases["bias"]])
        for factors, biases in ((model.userFactors, model.userBiases), (model.itemFactors, model.itemBiases))
    )
    formula = model.intercept + users[:, -1:] + items[:, -1] + users[:, :-1] @ items[:, :-1].T
    np.testing.assert_allclose(found["prediction"], formula.ravel(), rtol=0, atol=TOLERANCE)


def test_spark_recommends_what_we_recommend(saved, theirs):
    model, _ = saved
    for found, expected in (
        (theirs.recommendForAllUsers(10), model.recommendForAllUsers(10)),
        (theirs.recommendForAllItems(10), model.recommendForAllItems(10)),
    ):
        name = expected.columns[0]
        found = as_pandas(found).sort_values(name)
        assert found[name].tolist() == expected[name].tolist()
        for theirs_, ours in zip(found["recommendations"], expected["recommendations"], strict=True):
            mine, its = ([each["rating"] for each in rows] for rows in (ours, theirs_))
            np.testing.assert_allclose(mine, its, rtol=0, atol=TOLERANCE)
            other = "item" if name == "user" else "user"
            ids, scores = ({each[other]: each["rating"] for each in rows} for rows in (ours, theirs_))
            for each in ids.keys() ^ scores.keys():  # which of nearly equal ones are the last
                assert {**ids, **scores}[each] == pytest.approx(its[-1], abs=2 * TOLERANCE)


def test_spark_gives_strangers_nan(spark, saved, theirs, tmp_path):
    """It has no "bias", which stands where Spark does not look."""
    model, path = saved
    assert theirs.getOrDefault("coldStartStrategy") == "nan"
    pairs = pd.DataFrame({"user": [10_000, 0], "item": [1, 10_000]})
    assert as_pandas(theirs.transform(in_spark(spark, pairs, tmp_path)))["prediction"].isna().all()
    ours = daskals.ALSModel.load(path)
    assert ours.getColdStartStrategy() == "bias"
    expected = model.intercept + model.itemBiases.set_index("id")["bias"][1]
    assert ours.transform(pairs)["prediction"][0] == pytest.approx(expected, abs=TOLERANCE)


def test_what_spark_saves_again_predicts_alike_and_has_forgotten_the_biases(saved, theirs, frame, tmp_path):
    model, _ = saved
    theirs.save(str(tmp_path / "again"))
    again = daskals.ALSModel.load(str(tmp_path / "again"))
    expected = model.transform(frame)["prediction"]
    np.testing.assert_allclose(again.transform(frame)["prediction"], expected, rtol=0, atol=TOLERANCE)
    assert again.intercept is None
    with pytest.raises(ValueError, match=r"has no biases.*Spark wrote"):
        again.userBiases.compute()


def test_spark_loads_an_estimator_with_biases(spark, tmp_path):
    """Without them, as it has no such parameter; daskals has them again."""
    path = str(tmp_path / "als")
    daskals.ALS(rank=4, biases=True, coldStartStrategy="bias").save(path)
    theirs = spark_recommendation.ALS.load(path)
    assert theirs.getRank() == 4
    assert theirs.getColdStartStrategy() == "nan"
    assert daskals.ALS.load(path).getBiases()
