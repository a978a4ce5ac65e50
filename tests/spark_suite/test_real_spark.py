"""daskals beside a real Spark, on the same data: factors, predictions, files, metrics, lists, errors.

Needs pyspark and Java (``pip install 'daskals[spark]'``); skipped with the reason elsewhere. MovieLens 100K is used
where it is present, the shipped sample elsewhere. daskals computes in float64 here, as Spark does.
"""

import json
import math
import os
import warnings
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import daskals
from daskals import evaluation, tuning
from daskals.datasets import load_sample
from spark_suite.test_als_suite import write_model

pytest.importorskip("pyspark", reason="needs pyspark: pip install 'daskals[spark]'")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyspark.ml import evaluation as spark_evaluation
    from pyspark.ml import recommendation as spark_recommendation
    from pyspark.ml import tuning as spark_tuning

pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore::Warning:pyspark"),
    pytest.mark.filterwarnings("ignore::Warning:py4j"),
]

#: what the issue allows between two fits
TOLERANCE = 1e-5
#: and between two readers of the same factors: a few roundings of sums near 5 in float32
SAME_FACTORS = 4e-6

COLUMNS = ["user", "item", "rating"]
FIT = {"rank": 10, "maxIter": 3, "seed": 5757}
OBJECTIVES = {"explicit": {}, "implicit": {"implicitPrefs": True, "alpha": 2.0}}
BLOCKS = {"default blocks": {}, "2 x 3 blocks": {"numUserBlocks": 2, "numItemBlocks": 3}}


def both(frame, spark, folder, name):
    """A pandas frame, and the same for Spark."""
    path = str(folder / f"{name}.parquet")
    frame.to_parquet(path, index=False)
    return SimpleNamespace(pandas=frame, spark=spark.read.parquet(path).cache())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("beside-spark")


@pytest.fixture(scope="module")
def data(spark, folder):
    """Ratings to fit, and others, in which some users or items are unknown."""
    ml100k = Path(os.environ.get("DASKALS_DATA", "")) / "ml-100k"
    if ml100k.is_dir():
        train, test = (
            pd.read_csv(ml100k / name, sep="\t", names=[*COLUMNS, "timestamp"], usecols=COLUMNS)
            for name in ("ua.base", "ua.test")
        )
    else:
        ratings = load_sample()[COLUMNS]
        train, test = ratings[ratings.index % 5 > 0], ratings[ratings.index % 5 == 0]
    unknown = test.head(3).assign(user=[-1, train.user.iloc[0], 10**9], item=[train.item.iloc[0], -(2**31), 2**31 - 1])
    test = pd.concat([test, unknown], ignore_index=True)
    assert 3 <= (~test.user.isin(train.user) | ~test.item.isin(train.item)).sum() < len(test) / 2
    return SimpleNamespace(train=both(train, spark, folder, "train"), test=both(test, spark, folder, "test"))


class Fits:
    """Pairs of models, one from each side, each of them fitted once."""

    def __init__(self, data):
        self._data, self._found = data, {}

    def __call__(self, objective, blocks):
        key = objective, blocks
        if key not in self._found:
            params = {**FIT, **OBJECTIVES[objective], **BLOCKS[blocks]}
            self._found[key] = SimpleNamespace(
                theirs=spark_recommendation.ALS(**params).fit(self._data.train.spark),
                ours=daskals.ALS(**params, precision="double").fit(self._data.train.pandas),
            )
        return self._found[key]


@pytest.fixture(scope="module")
def fits(data):
    return Fits(data)


def collected(frame):
    """A frame of either side, as pandas; structs become dicts and arrays lists."""
    if isinstance(frame, pd.DataFrame):
        return frame
    if hasattr(frame, "dask"):
        return frame.compute()
    return pd.DataFrame([row.asDict(recursive=True) for row in frame.collect()], columns=frame.columns)


def factors(frame):
    """Ids in order, and their rows."""
    frame = collected(frame).sort_values("id")
    return frame.id.tolist(), np.array(frame.features.tolist(), np.float32)


def predictions(frame):
    frame = collected(frame).sort_values(["user", "item"])
    return frame[["user", "item"]].to_numpy(np.int64), frame.prediction.to_numpy(np.float64)


def assert_same_factors(ours, theirs, tolerance=0.0):
    for side in ("userFactors", "itemFactors"):
        (our_ids, our_rows), (their_ids, their_rows) = factors(getattr(ours, side)), factors(getattr(theirs, side))
        assert our_ids == their_ids
        np.testing.assert_allclose(our_rows, their_rows, rtol=0, atol=tolerance)


def assert_same_predictions(ours, theirs, tolerance):
    """NaN in the same places as well."""
    (our_pairs, our_values), (their_pairs, their_values) = predictions(ours), predictions(theirs)
    assert np.array_equal(our_pairs, their_pairs)
    np.testing.assert_allclose(our_values, their_values, rtol=0, atol=tolerance, equal_nan=True)


# ---- fits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_factors_and_predictions(fits, data, objective, blocks):
    """Every row of factors and every prediction, NaN where Spark has NaN."""
    found = fits(objective, blocks)
    assert found.ours.rank == found.theirs.rank == FIT["rank"]
    assert_same_factors(found.ours, found.theirs, TOLERANCE)
    ours, theirs = found.ours.transform(data.test.pandas), found.theirs.transform(data.test.spark)
    assert_same_predictions(ours, theirs, TOLERANCE)
    assert ours.prediction.isna().sum() >= 3


AWKWARD = {
    "duplicates": [(0, 0, 4), (0, 0, 1), (0, 1, 2), (1, 1, 3), (1, 2, 4), (1, 2, 4), (2, 1, 1), (2, 2, 5)],
    "zeros": [(0, 0, 4), (0, 1, 0), (1, 1, 3), (1, 2, 4), (2, 1, 0), (2, 2, 5), (3, 0, 0)],
    "negatives": [(-7, 0, 4), (-7, 1, -2), (1, 1, 3), (1, -2, 4), (2, 1, -1), (2, -2, 5), (2**31 - 1, -2, -3)],
}


@pytest.mark.parametrize("rows", AWKWARD.values(), ids=AWKWARD)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_awkward_ratings(spark, rows, objective):
    """Pairs that were rated twice, zeros, negative ratings, negative and large ids."""
    params = {"rank": 3, "maxIter": 5, "seed": 1, **OBJECTIVES[objective], **BLOCKS["2 x 3 blocks"]}
    theirs = spark_recommendation.ALS(**params).fit(spark.createDataFrame(rows, COLUMNS))
    ours = daskals.ALS(**params, precision="double").fit(pd.DataFrame(rows, columns=COLUMNS))
    assert_same_factors(ours, theirs, TOLERANCE)


def test_start_values(spark):
    """No iterations: the rows of both sides as they were drawn."""
    rows = [(user, item, 1.0) for user in (-5, 3, 11, 12) for item in (7, 2, 900)]
    params = {"rank": 5, "maxIter": 0, "seed": -99, "numUserBlocks": 3, "numItemBlocks": 2}
    theirs = spark_recommendation.ALS(**params).fit(spark.createDataFrame(rows, COLUMNS))
    ours = daskals.ALS(**params).fit(pd.DataFrame(rows, columns=COLUMNS))
    assert_same_factors(ours, theirs, 1.3e-7)  # two roundings of float32


@pytest.mark.parametrize("strategy", ["nan", "drop", "DROP"])
def test_cold_start(fits, data, strategy):
    """The same rows are left, with the same predictions."""
    found = fits("explicit", "2 x 3 blocks")
    ours = found.ours.copy({found.ours.coldStartStrategy: strategy}).transform(data.test.pandas)
    theirs = found.theirs.copy({found.theirs.coldStartStrategy: strategy}).transform(data.test.spark)
    assert_same_predictions(ours, theirs, TOLERANCE)
    assert ours.prediction.isna().any() == (strategy == "nan")
    assert list(ours.columns) == theirs.columns


def test_parameters(spark):
    """The same names, with the same defaults but for the seed, in the same words."""
    theirs, ours = spark_recommendation.ALS(), daskals.ALS()
    own = set(daskals.ALS._own_params)
    defaults = [{p.name: v for p, v in als.extractParamMap().items() if p.name not in own} for als in (ours, theirs)]
    assert all(isinstance(each.pop("seed"), int) for each in defaults)
    assert defaults[0] == defaults[1]
    assert [p.name for p in ours.params if p.name not in own] == [p.name for p in theirs.params]

    def notes(als):  # "name: doc (notes)", of which the doc is our own
        lines = [line for line in als.explainParams().splitlines() if ": " in line and line.endswith(")")]
        return {line.split(":")[0]: line[line.rindex("(") :] for line in lines}

    ours, theirs = (notes(als.setRank(3).setUserCol("who")) for als in (ours, theirs))
    assert {name: ours[name] for name in theirs if name != "seed"} == {n: v for n, v in theirs.items() if n != "seed"}


# ---- files -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["explicit", "implicit"])
def pair(request, fits):
    return fits(request.param, "2 x 3 blocks")


def test_spark_loads_our_model(pair, data, tmp_path):
    """And has the same factors, predictions, lists and parameters."""
    ours = pair.ours.copy({pair.ours.predictionCol: "guess", pair.ours.blockSize: 100})
    ours.save(f"{tmp_path}/model")
    theirs = spark_recommendation.ALSModel.load(f"{tmp_path}/model")
    assert (theirs.uid, theirs.rank) == (ours.uid, ours.rank)
    assert repr(ours).startswith(f"{theirs!r}, users=")
    assert {p.name: v for p, v in theirs.extractParamMap().items()} == {
        p.name: v for p, v in ours.extractParamMap().items()
    }
    assert_same_factors(ours, theirs)
    renamed = [
        each.rename(columns={"guess": "prediction"})
        for each in (ours.transform(data.test.pandas), collected(theirs.transform(data.test.spark)))
    ]
    assert_same_predictions(*renamed, SAME_FACTORS)
    assert_same_lists(ours.recommendForAllItems(3), theirs.recommendForAllItems(3), SAME_FACTORS)


@pytest.mark.parametrize("kind", ["pandas", "dask"])
def test_we_load_the_model_of_a_spark(pair, data, tmp_path, kind):
    """And have the same factors, predictions, lists and parameters."""
    theirs = pair.theirs.copy({pair.theirs.predictionCol: "guess", pair.theirs.coldStartStrategy: "drop"})
    theirs.save(f"{tmp_path}/model")
    ours = daskals.ALSModel.load(f"{tmp_path}/model", frames=kind)
    assert (ours.uid, ours.rank) == (theirs.uid, theirs.rank)
    assert repr(ours).startswith(f"{theirs!r}, users=")
    assert {p.name: v for p, v in ours.extractParamMap().items()} == {
        p.name: v for p, v in theirs.extractParamMap().items()
    }
    assert_same_factors(ours, theirs)
    renamed = [
        each.rename(columns={"guess": "prediction"})
        for each in (ours.transform(data.test.pandas), collected(theirs.transform(data.test.spark)))
    ]
    assert_same_predictions(*renamed, SAME_FACTORS)
    assert_same_lists(ours.recommendForAllUsers(3), theirs.recommendForAllUsers(3), SAME_FACTORS)


@pytest.mark.parametrize("codec", ["gzip", "none"])
def test_we_load_a_model_that_spark_has_partitioned_anew(spark, fits, data, tmp_path, codec):
    """Its files written by Spark in another number, order and compression."""
    theirs = fits("explicit", "2 x 3 blocks").theirs
    theirs.save(f"{tmp_path}/model")
    for side, parts in (("userFactors", 5), ("itemFactors", 1)):
        frame = spark.read.parquet(f"{tmp_path}/model/{side}").repartition(parts).sortWithinPartitions("features")
        frame.write.option("compression", codec).parquet(f"{tmp_path}/new/{side}")
    (tmp_path / "model" / "metadata").rename(tmp_path / "new" / "metadata")
    ours = daskals.ALSModel.load(f"{tmp_path}/new")
    assert_same_factors(ours, theirs)
    found = ours.transform(data.test.pandas)
    assert_same_predictions(found, theirs.transform(data.test.spark), SAME_FACTORS)


def test_a_model_goes_there_and_back(fits, tmp_path):
    """Ours, saved, loaded and saved by Spark, loaded here: bit by bit as it was."""
    ours = fits("implicit", "2 x 3 blocks").ours
    ours.save(f"{tmp_path}/there")
    spark_recommendation.ALSModel.load(f"{tmp_path}/there").save(f"{tmp_path}/back")
    back = daskals.ALSModel.load(f"{tmp_path}/back", frames="pandas")
    assert (back.uid, back.rank) == (ours.uid, ours.rank)
    assert_same_factors(back, ours)


#: a value for every parameter that is not the default
SETTINGS = {
    "rank": 3,
    "maxIter": 2,
    "regParam": 0.25,
    "numUserBlocks": 4,
    "numItemBlocks": 5,
    "implicitPrefs": True,
    "alpha": 40.0,
    "userCol": "who",
    "itemCol": "what",
    "seed": -(2**62),
    "ratingCol": "stars",
    "nonnegative": True,
    "checkpointInterval": -1,
    "intermediateStorageLevel": "DISK_ONLY",
    "finalStorageLevel": "NONE",
    "coldStartStrategy": "drop",
    "blockSize": 77,
    "predictionCol": "guess",
}


def with_settings(als):
    for name, value in SETTINGS.items():
        als = als.copy({als.getParam(name): value})
    return als


@pytest.mark.parametrize("settings", [True, False], ids=["all set", "none set"])
def test_spark_loads_our_estimator(spark, tmp_path, settings):
    """Every parameter, those that were set as set; parameters of ours do not disturb it."""
    ours = daskals.ALS(precision="double", solver="cg", cgSteps=5, sparkRandom="2")
    ours = with_settings(ours) if settings else ours
    ours.save(f"{tmp_path}/als")
    theirs = spark_recommendation.ALS.load(f"{tmp_path}/als")
    assert theirs.uid == ours.uid
    for param in theirs.params:
        assert theirs.isSet(param) == ours.isSet(param.name), param.name
        if param.name != "seed" or settings:  # Spark's Python has a default of its own, whatever was saved
            assert theirs.getOrDefault(param) == ours.getOrDefault(param.name), param.name
    theirs.save(f"{tmp_path}/back")
    assert daskals.ALS.load(f"{tmp_path}/back").getRank() == ours.getRank()


@pytest.mark.parametrize("settings", [True, False], ids=["all set", "none set"])
def test_we_load_the_estimator_of_a_spark(spark, tmp_path, settings):
    """Every parameter, the seed that Spark's Python makes up included."""
    theirs = with_settings(spark_recommendation.ALS()) if settings else spark_recommendation.ALS()
    theirs.save(f"{tmp_path}/als")
    ours = daskals.ALS.load(f"{tmp_path}/als")
    assert ours.uid == theirs.uid
    for param in theirs.params:
        assert ours.getOrDefault(param.name) == theirs.getOrDefault(param), param.name
        if param.name != "seed":  # a default that is not ours counts as set
            assert ours.isSet(param.name) == theirs.isSet(param), param.name


def test_a_default_of_spark_fits_the_same_after_it_was_loaded(spark, tmp_path):
    """An estimator without a seed, saved by Spark, starts here from the seed that it had there."""
    rows = [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0)]
    theirs = spark_recommendation.ALS(rank=3, maxIter=2)
    theirs.save(f"{tmp_path}/als")
    ours = daskals.ALS.load(f"{tmp_path}/als")
    ours.setPrecision("double")
    fitted = ours.fit(pd.DataFrame(rows, columns=COLUMNS))
    assert_same_factors(fitted, theirs.fit(spark.createDataFrame(rows, COLUMNS)), TOLERANCE)


def test_spark_refuses_an_evaluator_with_a_metric_that_it_lacks(spark, tmp_path):
    """Rather than fall back to another one; relevantFrom alone it does not see."""
    ours = evaluation.RankingEvaluator(metricName="hitRateAtK")
    with pytest.warns(UserWarning, match="Spark cannot load RankingEvaluator_.*no metric 'hitRateAtK'"):
        ours.save(f"{tmp_path}/ours")
    with pytest.raises(Exception, match="metricName given invalid value hitRateAtK"):
        spark_evaluation.RankingEvaluator.load(f"{tmp_path}/ours")
    evaluation.RankingEvaluator(metricName="ndcgAtK", relevantFrom=4).save(f"{tmp_path}/from")
    assert spark_evaluation.RankingEvaluator.load(f"{tmp_path}/from").getMetricName() == "ndcgAtK"


EVALUATORS = {
    "RegressionEvaluator": {"predictionCol": "guess", "metricName": "mae", "weightCol": "w", "throughOrigin": True},
    "RankingEvaluator": {"labelCol": "truth", "metricName": "ndcgAtK", "k": 3},
}


@pytest.mark.parametrize("name", EVALUATORS)
@pytest.mark.parametrize("settings", [True, False], ids=["all set", "none set"])
def test_evaluators_go_both_ways(spark, tmp_path, name, settings):
    """Saved here and loaded by Spark, and the reverse."""
    given = EVALUATORS[name] if settings else {}
    ours, theirs = (getattr(module, name)(**given) for module in (evaluation, spark_evaluation))
    ours.save(f"{tmp_path}/ours")
    theirs.save(f"{tmp_path}/theirs")
    there = type(theirs).load(f"{tmp_path}/ours")
    here = type(ours).load(f"{tmp_path}/theirs")
    assert (there.uid, here.uid) == (ours.uid, theirs.uid)
    for loaded, saved in ((there, ours), (here, theirs)):
        for param in theirs.params:
            assert loaded.isSet(loaded.getParam(param.name)) == saved.isSet(saved.getParam(param.name)), param.name
            if theirs.isDefined(param):
                values = [each.getOrDefault(each.getParam(param.name)) for each in (loaded, saved)]
                assert values[0] == values[1], param.name


# ---- tuning ----------------------------------------------------------------------------------------------


def tuner(name, modules, **params):
    """A CrossValidator or a TrainValidationSplit of one side, with a grid of two maps."""
    recommending, evaluating, tuning_ = modules
    als = recommending.ALS(rank=2, maxIter=2, seed=3, coldStartStrategy="drop", numUserBlocks=1, numItemBlocks=1)
    if modules[0] is daskals:
        als.setPrecision("double")
    return getattr(tuning_, name)(
        estimator=als,
        estimatorParamMaps=tuning_.ParamGridBuilder().addGrid(als.regParam, [1.0, 0.1]).build(),
        evaluator=evaluating.RegressionEvaluator(labelCol="rating", metricName="mae"),
        **params,
    )


THEIR_MODULES = spark_recommendation, spark_evaluation, spark_tuning
OUR_MODULES = daskals, evaluation, tuning


@pytest.fixture(scope="module")
def tuned(spark, folder):
    """The same cross-validation by both sides: the folds are in a column."""
    rows = load_sample()[COLUMNS].assign(fold=lambda frame: np.arange(len(frame)) % 2)
    rows = both(rows.astype({"fold": "int32"}), spark, folder, "folds")
    folds = {"numFolds": 2, "foldCol": "fold"}
    return SimpleNamespace(
        ours=tuner("CrossValidator", OUR_MODULES, **folds).fit(rows.pandas),
        theirs=tuner("CrossValidator", THEIR_MODULES, **folds).fit(rows.spark),
        rows=rows,
    )


def assert_same_tuning(one, other, metrics, tolerance=0.0):
    for name in metrics:
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=0, abs=tolerance), name
    assert_same_factors(one.bestModel, other.bestModel, tolerance)
    maps = [
        [{param.name: value for param, value in each.items()} for each in model.getEstimatorParamMaps()]
        for model in (one, other)
    ]
    assert maps[0] == maps[1] == [{"regParam": 1.0}, {"regParam": 0.1}]


CROSS = ("avgMetrics", "stdMetrics")


def test_cross_validation(tuned):
    """Mean and deviation of the metric of every map, and the best model."""
    assert tuned.ours.avgMetrics[1] < tuned.ours.avgMetrics[0]
    assert_same_tuning(tuned.ours, tuned.theirs, CROSS, TOLERANCE)


def test_cross_validators_go_both_ways(tuned, tmp_path):
    """Models of a cross-validation: saved here and loaded by Spark, and the reverse."""
    tuned.ours.save(f"{tmp_path}/ours")
    tuned.theirs.save(f"{tmp_path}/theirs")
    there = spark_tuning.CrossValidatorModel.load(f"{tmp_path}/ours")
    here = tuning.CrossValidatorModel.load(f"{tmp_path}/theirs", frames="pandas")
    assert_same_tuning(there, tuned.ours, CROSS)
    assert_same_tuning(here, tuned.theirs, CROSS[:1])  # Spark writes no deviations
    assert here.stdMetrics == spark_tuning.CrossValidatorModel.load(f"{tmp_path}/theirs").stdMetrics == []
    for loaded, saved in ((there, tuned.ours), (here, tuned.theirs)):
        assert (loaded.uid, loaded.getNumFolds(), loaded.getFoldCol()) == (saved.uid, 2, "fold")
        assert loaded.getEvaluator().getMetricName() == "mae"
        assert loaded.getEstimator().getColdStartStrategy() == "drop"


def test_splits_go_both_ways(tuned, tmp_path):
    """Models of a train-validation split, whose rows each side draws by itself, and what made them."""
    for name in ("TrainValidationSplit", "CrossValidator"):
        for modules, folder in ((OUR_MODULES, "ours"), (THEIR_MODULES, "theirs")):
            tuner(name, modules, seed=5, parallelism=2).save(f"{tmp_path}/{name}/{folder}")
        there = getattr(spark_tuning, name).load(f"{tmp_path}/{name}/ours")
        here = getattr(tuning, name).load(f"{tmp_path}/{name}/theirs")
        for loaded in (here, there):
            assert (loaded.getSeed(), loaded.getEstimator().getRank()) == (5, 2)
            assert [list(each.values()) for each in loaded.getEstimatorParamMaps()] == [[1.0], [0.1]]
    ours = tuner("TrainValidationSplit", OUR_MODULES, trainRatio=0.6).fit(tuned.rows.pandas)
    theirs = tuner("TrainValidationSplit", THEIR_MODULES, trainRatio=0.6).fit(tuned.rows.spark)
    ours.save(f"{tmp_path}/ours")
    theirs.save(f"{tmp_path}/theirs")
    there = spark_tuning.TrainValidationSplitModel.load(f"{tmp_path}/ours")
    here = tuning.TrainValidationSplitModel.load(f"{tmp_path}/theirs", frames="pandas")
    assert_same_tuning(there, ours, ["validationMetrics"])
    assert_same_tuning(here, theirs, ["validationMetrics"])
    assert (there.getTrainRatio(), here.getTrainRatio()) == (0.6, 0.6)


@pytest.mark.parametrize("name", ["CrossValidator", "TrainValidationSplit"])
def test_sub_models_go_both_ways(tuned, tmp_path, name):
    """The models of all maps, and of all folds, each in its place."""
    params = {"collectSubModels": True} | ({"numFolds": 2, "foldCol": "fold"} if name == "CrossValidator" else {})
    ours = tuner(name, OUR_MODULES, **params).fit(tuned.rows.pandas)
    theirs = tuner(name, THEIR_MODULES, **params).fit(tuned.rows.spark)
    ours.write().option("persistSubModels", "true").save(f"{tmp_path}/ours")
    theirs.write().option("persistSubModels", "true").save(f"{tmp_path}/theirs")
    there = getattr(spark_tuning, f"{name}Model").load(f"{tmp_path}/ours")
    here = getattr(tuning, f"{name}Model").load(f"{tmp_path}/theirs", frames="pandas")
    folders = [f"fold{fold}/{place}" for fold in (0, 1) for place in (0, 1)] if name == "CrossValidator" else ["0", "1"]
    assert np.shape(there.subModels) == np.shape(ours.subModels) == np.shape(theirs.subModels)
    # each from its folder: Spark's Python reader (4.3) shows the models of the last fold as those of all folds
    for folder, model in zip(folders, np.ravel(ours.subModels), strict=True):
        assert_same_factors(spark_recommendation.ALSModel.load(f"{tmp_path}/ours/subModels/{folder}"), model)
    for one, other in zip(np.ravel(here.subModels), np.ravel(theirs.subModels), strict=True):
        assert_same_factors(one, other)


def test_the_model_of_a_pipeline_of_spark_is_in_its_stages(fits, tmp_path):
    """There are no pipelines here; what they hold is loaded from its own folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyspark.ml import PipelineModel

    theirs = fits("explicit", "2 x 3 blocks").theirs
    PipelineModel([theirs]).save(f"{tmp_path}/pipeline")
    (stage,) = Path(tmp_path, "pipeline", "stages").iterdir()
    assert stage.name == f"0_{theirs.uid}"
    assert_same_factors(daskals.ALSModel.load(stage), theirs)


# ---- metrics ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def predicted(spark, folder):
    """Labels, predictions, and weights that are anything but 1; not centred, so that the origin matters."""
    random = np.random.default_rng(7)
    label = random.integers(1, 6, 60).astype(float)
    frame = pd.DataFrame({"prediction": label + random.normal(size=60), "label": label})
    frame["weight"] = random.choice([0.05, 0.3, 1.0, 2.5, 7.0], 60)
    return both(frame, spark, folder, "predicted")


@pytest.mark.parametrize("origin", [False, True], ids=["", "through origin"])
@pytest.mark.parametrize("weight", [None, "weight"], ids=["unweighted", "weighted"])
def test_regression_metrics(predicted, weight, origin):
    """All five, to rounding; r2 with weights as well, where Spark's total sum of squares is not the textbook's."""
    for name in ("rmse", "mse", "mae", "r2", "var"):
        params = {"metricName": name, "throughOrigin": origin} | ({"weightCol": weight} if weight else {})
        theirs = spark_evaluation.RegressionEvaluator(**params)
        ours = evaluation.RegressionEvaluator(**params)
        assert ours.evaluate(predicted.pandas) == pytest.approx(theirs.evaluate(predicted.spark), rel=1e-12), name
        assert ours.isLargerBetter() == theirs.isLargerBetter()


def test_a_missing_prediction_makes_the_metric_nan(spark):
    """On both sides: the figure of a model whose coldStartStrategy is nan."""
    rows = [(1.0, 1.0), (float("nan"), 2.0), (3.0, 4.0)]
    ours = evaluation.RegressionEvaluator().evaluate(pd.DataFrame(rows, columns=["prediction", "label"]))
    theirs = spark_evaluation.RegressionEvaluator().evaluate(spark.createDataFrame(rows, ["prediction", "label"]))
    assert math.isnan(ours)
    assert math.isnan(theirs)


RANKED = {
    "the suite": [
        ([1, 6, 2, 7, 8, 3, 9, 10, 4, 5], [1, 2, 3, 4, 5]),
        ([4, 1, 5, 6, 2, 7, 3, 8, 9, 10], [1, 2, 3]),
        ([1, 2, 3, 4, 5], []),
    ],
    "short lists": [([1], [1, 2, 3]), ([], [4, 5]), ([9, 8], [8]), ([3, 2, 1], [1, 2, 3]), ([], [])],
    "labels twice": [([1, 2, 3, 4], [2, 2, 4]), ([5, 6, 7], [7, 5, 5, 5])],
}


@pytest.mark.parametrize("rows", RANKED.values(), ids=RANKED)
def test_ranking_metrics(spark, rows):
    """All five, for k below, at and above the lengths of the lists."""
    rows = [tuple(list(map(float, each)) for each in row) for row in rows]
    frame = spark.createDataFrame(rows, "prediction array<double>, label array<double>").coalesce(1).cache()
    lists = pd.ArrowDtype(pa.list_(pa.float64()))
    ours = pd.DataFrame(rows, columns=["prediction", "label"]).astype(lists)
    for name in ("meanAveragePrecision", "meanAveragePrecisionAtK", "precisionAtK", "ndcgAtK", "recallAtK"):
        for k in (1, 3, 20):
            theirs = spark_evaluation.RankingEvaluator(metricName=name, k=k).evaluate(frame)
            found = evaluation.RankingEvaluator(metricName=name, k=k).evaluate(ours)
            assert found == pytest.approx(theirs, rel=1e-12, abs=1e-15), (name, k)


# ---- lists -----------------------------------------------------------------------------------------------


def lists_of(frame):
    """{id: (candidates, scores)}; the names of columns and fields must be those of a model of users and items."""
    frame = collected(frame)
    query = frame.columns[0]
    assert list(frame.columns) == [query, "recommendations"]
    candidate = {"user": "item", "item": "user"}[query]
    found = {}
    for row in frame.itertuples(index=False):
        assert all(list(each) == [candidate, "rating"] for each in row.recommendations)
        found[getattr(row, query)] = (
            [each[candidate] for each in row.recommendations],
            np.array([each["rating"] for each in row.recommendations], np.float64),
        )
    assert len(found) == len(frame)
    return found


def assert_same_lists(ours, theirs, tolerance):
    """The same scores; the same candidates, but that those whose scores differ by no more may change places."""
    ours, theirs = lists_of(ours), lists_of(theirs)
    assert ours.keys() == theirs.keys()
    for each in ours:
        (our_ids, our_scores), (their_ids, their_scores) = ours[each], theirs[each]
        np.testing.assert_allclose(our_scores, their_scores, rtol=0, atol=tolerance)
        gaps = np.abs(np.diff(their_scores)) > 2 * tolerance
        # a place is certain if both its neighbours are apart; the last one's other neighbour is not in the list
        certain = np.append(True, gaps) & np.append(gaps, False)
        assert [a for a, sure in zip(our_ids, certain, strict=True) if sure] == [
            b for b, sure in zip(their_ids, certain, strict=True) if sure
        ]


def test_recommendations_for_all(fits):
    """Ten items for every user, three users for every item."""
    found = fits("explicit", "2 x 3 blocks")
    assert_same_lists(found.ours.recommendForAllUsers(10), found.theirs.recommendForAllUsers(10), TOLERANCE)
    assert_same_lists(found.ours.recommendForAllItems(3), found.theirs.recommendForAllItems(3), TOLERANCE)


@pytest.mark.parametrize("side", ["user", "item"])
def test_recommendations_for_a_subset(spark, fits, side):
    """Ids that stand twice, unknown ones and nulls; other columns are dropped."""
    found = fits("implicit", "2 x 3 blocks")
    known = factors(getattr(found.ours, f"{side}Factors"))[0]
    wanted = [known[5], known[0], known[5], None, -12345, known[-1]]
    ours = pd.DataFrame({"other": 1.0, side: pd.array(wanted, "Int64")})
    theirs = spark.createDataFrame([(1.0, each) for each in wanted], f"other double, {side} int")
    method = f"recommendFor{side.capitalize()}Subset"
    ours, theirs = getattr(found.ours, method)(ours, 4), getattr(found.theirs, method)(theirs, 4)
    assert_same_lists(ours, theirs, TOLERANCE)
    assert sorted(lists_of(ours)) == sorted({known[0], known[5], known[-1]})


def test_spark_reads_the_frames_that_we_write(spark, fits, tmp_path):
    """Recommendations and factors, as pandas writes them and as Dask does."""
    model = fits("explicit", "2 x 3 blocks").ours
    for name, frame in (("recommendations", model.recommendForAllUsers(4)), ("features", model.userFactors)):
        frame = frame.compute() if hasattr(frame, "compute") else frame
        frame.to_parquet(tmp_path / f"{name}.parquet")
        dd.from_pandas(frame, npartitions=2).to_parquet(tmp_path / name, write_index=False)
        for path in (tmp_path / f"{name}.parquet", tmp_path / name):
            rows = spark.read.parquet(str(path)).orderBy(frame.columns[0]).collect()
            assert [row[0] for row in rows] == frame.iloc[:, 0].tolist()
            cells = [[each.asDict() if hasattr(each, "asDict") else each for each in row[name]] for row in rows]
            assert cells == [list(each) for each in frame[name]]


def test_ties(spark, tmp_path):
    """Of equal scores the larger id is first, in lists of all candidates and in shorter ones."""
    items = {item: [0.0, 1.0] for item in (5, 3, 9, -2, 4)} | {7: [1.0, 0.0], 100: [-1.0, 0.0]}
    path = write_model(tmp_path / "ties", {1: [1.0, 0.0], 2: [0.0, 1.0]}, items, rank=2)
    ours, theirs = daskals.ALSModel.load(path), spark_recommendation.ALSModel.load(path)
    expected = {1: [7, 9, 5, 4, 3, -2, 100], 2: [9, 5, 4, 3, -2, 100, 7]}
    for k in (7, 9):
        for model in (ours, theirs):
            assert {user: ids for user, (ids, _) in lists_of(model.recommendForAllUsers(k)).items()} == expected
    for k in (2, 4):  # which of equal scores get into a shorter list Spark leaves open
        shorter, open_ = (lists_of(model.recommendForAllUsers(k)) for model in (ours, theirs))
        assert {user: ids for user, (ids, _) in shorter.items()} == {user: ids[:k] for user, ids in expected.items()}
        for user, (ids, scores) in open_.items():
            assert shorter[user][1].tolist() == scores.tolist()
            assert ids == sorted(ids, key=expected[user].index)


# ---- errors ----------------------------------------------------------------------------------------------

RATINGS = [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0)]
PANDAS = {
    "int": "Int32",
    "long": "Int64",
    "float": "float32",
    "double": "Float64",
    "string": "str",
    "boolean": "boolean",
}
#: Spark takes a while for the default of ten blocks a side
QUICK = {"rank": 1, "maxIter": 1, "numUserBlocks": 1, "numItemBlocks": 1}


class Theirs:
    """One vocabulary for both sides: Spark's half."""

    ALS, ALSModel = spark_recommendation.ALS, spark_recommendation.ALSModel
    RegressionEvaluator = spark_evaluation.RegressionEvaluator
    RankingEvaluator = spark_evaluation.RankingEvaluator

    def __init__(self, spark, path):
        self._spark, self.path = spark, f"{path}/theirs"
        self.model = self.ALS(**QUICK, seed=0).fit(self.frame(RATINGS))

    def frame(self, rows, user="int", item="int", rating="float"):
        types = user, item, rating
        rows = [tuple(_as(kind, value) for kind, value in zip(types, row, strict=True)) for row in rows]
        return self._spark.createDataFrame(rows, ", ".join(map(" ".join, zip(COLUMNS, types, strict=True))))

    def run(self, frame):
        return frame.collect()


def _as(kind, value):
    """Spark takes no int where it expects a double."""
    return float(value) if kind in ("float", "double") and isinstance(value, int) else value


class Ours:
    """And ours."""

    ALS, ALSModel = daskals.ALS, daskals.ALSModel
    RegressionEvaluator, RankingEvaluator = evaluation.RegressionEvaluator, evaluation.RankingEvaluator

    def __init__(self, path):
        self.path = f"{path}/ours"
        self.model = self.ALS(**QUICK, seed=0).fit(self.frame(RATINGS))

    def frame(self, rows, user="int", item="int", rating="float"):
        types = [each if each in PANDAS else "decimal" for each in (user, item, rating)]
        frame = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
        decimals = pd.ArrowDtype(pa.decimal128(10, 1))
        return frame.astype({name: PANDAS.get(each, decimals) for name, each in zip(COLUMNS, types, strict=True)})

    def run(self, frame):
        return frame


@pytest.fixture(scope="module")
def sides(spark, tmp_path_factory):
    path = tmp_path_factory.mktemp("errors")
    ours, theirs = Ours(path), Theirs(spark, path)
    for side in (ours, theirs):
        side.ALS(rank=2).save(f"{side.path}/als")
    return ours, theirs


def fit(**params):
    return lambda side: side.ALS(**{**QUICK, **params}).fit(side.frame(RATINGS))


def fit_rows(*rows, **types):
    return lambda side: side.ALS(**QUICK).fit(side.frame([*RATINGS, *rows], **types))


def fit_only(*rows, **types):
    return lambda side: side.ALS(**QUICK).fit(side.frame(list(rows), **types))


def transform(*rows, **types):
    return lambda side: side.run(side.model.transform(side.frame(list(rows), **types).drop("rating", **_axis(side))))


def _axis(side):
    return {"axis": "columns"} if isinstance(side, Ours) else {}


def rename(side, frame, old, new):
    return frame.rename(columns={old: new}) if isinstance(side, Ours) else frame.withColumnRenamed(old, new)


NAN, INF = float("nan"), float("inf")
REFUSED = {
    # types, as soon as a value is set
    "rank 2.5": lambda side: side.ALS(rank=2.5),
    "rank '3'": lambda side: side.ALS(rank="3"),
    "nonnegative 1": lambda side: side.ALS(nonnegative=1),
    "implicitPrefs 'true'": lambda side: side.ALS().setImplicitPrefs("true"),
    "regParam 'x'": lambda side: side.ALS().setRegParam("x"),
    "userCol 5": lambda side: side.ALS(userCol=5),
    "positional arguments": lambda side: side.ALS(10),
    "unknown keyword": lambda side: side.ALS(ranks=10),
    "params of a wrong type": lambda side: side.ALS().fit(side.frame(RATINGS), 5),
    "params of evaluate of a wrong type": lambda side: side.RegressionEvaluator().evaluate(side.frame(RATINGS), ""),
    # ranges, at fit
    "rank 0": fit(rank=0),
    "maxIter -1": fit(maxIter=-1),
    "regParam -0.1": fit(regParam=-0.1),
    "alpha -1": fit(alpha=-1),
    "numUserBlocks 0": fit(numUserBlocks=0),
    "numItemBlocks 0": fit(numItemBlocks=0),
    "blockSize 0": fit(blockSize=0),
    "checkpointInterval 0": fit(checkpointInterval=0),
    "coldStartStrategy foo": fit(coldStartStrategy="foo"),
    "intermediateStorageLevel foo": fit(intermediateStorageLevel="foo"),
    "intermediateStorageLevel NONE": fit(intermediateStorageLevel="NONE"),
    "finalStorageLevel foo": fit(finalStorageLevel="foo"),
    # columns and values
    "no such column": fit(userCol="nobody"),
    "no ratings column": fit(ratingCol="stars"),
    "prediction column is there": lambda side: side.ALS(**QUICK).setPredictionCol("rating").fit(side.frame(RATINGS)),
    "prediction column is there, in transform": lambda side: side.run(
        side.model.copy({side.model.predictionCol: "rating"}).transform(side.frame(RATINGS))
    ),
    "null user": fit_rows((None, 1, 1.0)),
    "null item, double": fit_rows((1, None, 1.0), item="double"),
    "user with a fraction": fit_rows((1.5, 1, 1.0), user="double"),
    "item beyond 64 bits": fit_rows((1, 1e19, 1.0), item="double"),
    "boolean users": fit_only((True, 1, 1.0), (False, 2, 1.0), user="boolean"),
    "null rating": fit_rows((1, 1, None), rating="double"),
    "NaN rating": fit_rows((1, 1, NAN)),
    "infinite rating": fit_rows((1, 1, INF)),
    "string ratings": fit_only((1, 1, "4"), (1, 2, "5"), rating="string"),
    # boolean ratings, which Spark refuses, are 0 and 1 here: tests/io/test_bad_input.py
    "no rows": fit_only(),
    "singular equations": fit(rank=4, regParam=0.0),
    "transform, null user": transform((None, 1, 1.0)),
    "transform, item with a fraction": transform((1, 1.5, 1.0), item="double"),
    "transform, no such column": lambda side: side.model.transform(rename(side, side.frame(RATINGS), "item", "thing")),
    # recommendations
    "0 recommendations": lambda side: side.run(side.model.recommendForAllUsers(0)),
    "-1 recommendations": lambda side: side.run(side.model.recommendForAllItems(-1)),
    "subset without the column": lambda side: side.run(
        side.model.recommendForUserSubset(rename(side, side.frame(RATINGS), "user", "who"), 2)
    ),
    # files
    "nothing to load": lambda side: side.ALSModel.load(f"{side.path}/nothing"),
    "another class": lambda side: side.ALSModel.load(f"{side.path}/als"),
    "something is there": lambda side: side.ALS().save(f"{side.path}/als"),
    # evaluators
    "metricName foo": lambda side: side.RegressionEvaluator(
        predictionCol="rating", labelCol="user", metricName="foo"
    ).evaluate(side.frame(RATINGS)),
    "metricName mrr": lambda side: side.RankingEvaluator(metricName="mrr").evaluate(side.frame(RATINGS)),
    "k 0": lambda side: side.RankingEvaluator(k=0).evaluate(side.frame(RATINGS)),
    "no label column": lambda side: side.RegressionEvaluator(predictionCol="rating").evaluate(side.frame(RATINGS)),
    "labels that are strings": lambda side: side.RegressionEvaluator(predictionCol="rating", labelCol="user").evaluate(
        side.frame([("a", 1, 1.0), ("b", 1, 2.0)], user="string")
    ),
    "nothing to evaluate": lambda side: side.RegressionEvaluator(predictionCol="rating", labelCol="user").evaluate(
        side.frame([])
    ),
    "numbers in place of lists": lambda side: side.RankingEvaluator(predictionCol="rating", labelCol="user").evaluate(
        side.frame(RATINGS)
    ),
}
#: What ours may be; OSError for files that are, or are not, there
PYTHON = (TypeError, ValueError, OSError)


@pytest.mark.parametrize("name", REFUSED)
def test_what_spark_refuses_we_refuse(sides, name):
    """With a TypeError where Spark's Python has one; with one of Python's own classes in any case."""
    ours, theirs = sides
    with pytest.raises(Exception) as expected:  # noqa: PT011 - Spark's may be of any class
        REFUSED[name](theirs)
    assert not isinstance(expected.value, AttributeError | AssertionError), expected.value
    allowed = type(expected.value) if isinstance(expected.value, TypeError) else PYTHON
    with pytest.raises(allowed) as found:
        REFUSED[name](ours)
    assert len(str(found.value)) > 15, "an error says what is wrong"


ACCEPTED = {
    "rank 2.0": fit(rank=2.0),
    "regParam 1": fit(regParam=1),
    "alpha 0": fit(implicitPrefs=True, alpha=0),
    "maxIter 0": fit(maxIter=0),
    "rank above the numbers of users and items": fit(rank=20),
    "blocks above the number of ratings": fit(numUserBlocks=10),
    "a value of None": fit(seed=None),
    "the ends of 32 bits": fit_rows((-(2**31), 2**31 - 1, 1.0)),
    "decimal users": fit_only((Decimal("1.0"), 1, 1.0), user="decimal(10, 1)"),
    "float items": fit_only((1, 7.0, 1.0), item="float"),
    "int ratings": fit_only((1, 1, 4), rating="int"),
    "nothing to transform": lambda side: side.run(side.model.transform(side.frame([]))),
    "an empty subset": lambda side: side.run(side.model.recommendForUserSubset(side.frame([]), 3)),
    "more recommendations than items": lambda side: side.run(side.model.recommendForAllUsers(1000)),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_spark_accepts_we_accept(sides, name):
    """With as many rows."""
    found = [ACCEPTED[name](side) for side in sides]
    if name.startswith(("nothing", "an empty", "more")):
        assert len(found[0]) == len(found[1])
    else:
        assert_same_ids(*found)


def assert_same_ids(ours, theirs):
    for side in ("userFactors", "itemFactors"):
        assert factors(getattr(ours, side))[0] == factors(getattr(theirs, side))[0]


def test_metadata_are_what_spark_writes(fits, tmp_path):
    """The same keys, types and, but for what belongs to one of them alone, values."""
    found = fits("explicit", "2 x 3 blocks")
    fields = []
    for name, model in (("ours", found.ours), ("theirs", found.theirs)):
        model.save(f"{tmp_path}/{name}")
        (file,) = (tmp_path / name / "metadata").glob("part-*")
        fields.append(json.loads(file.read_text(encoding="utf-8")))
    ours, theirs = fields
    assert ours.keys() - theirs.keys() == {"daskals"}
    assert theirs.keys() - ours.keys() == set()
    for key in ("class", "rank", "paramMap", "defaultParamMap"):
        assert ours[key] == theirs[key], key
    assert {key: type(ours[key]) for key in theirs} == {key: type(value) for key, value in theirs.items()}
