"""Tuning by recommendations: which map wins, by which metric, and what comes of it."""

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from daskals import ALS
from daskals.evaluation import RankingEvaluator, RegressionEvaluator
from daskals.io.foreign import give_back
from daskals.params.declared import Params
from daskals.tuning import (
    CrossValidator,
    CrossValidatorModel,
    ParamGridBuilder,
    TrainValidationSplit,
    TrainValidationSplitModel,
)

K = 3


@pytest.fixture(scope="module")
def rows():
    """Users and items of three kinds, who meet their own kind mostly; in three folds."""
    rng = np.random.default_rng(3)
    users, items = rng.integers(0, 45, 1200), rng.integers(0, 30, 1200)
    meets = (users % 3 == items % 3) | (rng.random(1200) < 0.15)
    frame = pd.DataFrame({"who": users, "film": items})[meets].drop_duplicates().reset_index(drop=True)
    stars = 1.0 + (frame["who"] % 3 == frame["film"] % 3) * 3 + rng.integers(0, 2, len(frame))
    return frame.assign(stars=stars, fold=rng.integers(0, 3, len(frame)))


def als(**more):
    given = {"maxIter": 3, "seed": 1, "numUserBlocks": 2, "numItemBlocks": 2, **more}
    return ALS(userCol="who", itemCol="film", ratingCol="stars", **given)


def grid_of(estimator):
    return ParamGridBuilder().addGrid(estimator.rank, [1, 3]).addGrid(estimator.regParam, [5.0, 0.01]).build()


def slow_hit_rate(estimator, params, train, validation, least):
    """By the scores of all pairs: the share of users with a relevant item among their K best unseen ones."""
    model = estimator.fit(train, params)
    sides = [frame.sort_values("id") for frame in (model.userFactors, model.itemFactors)]
    users, items = (frame["id"].tolist() for frame in sides)
    scores = np.vstack(sides[0]["features"]) @ np.vstack(sides[1]["features"]).T
    had = set(map(tuple, train[["who", "film"]].to_numpy().tolist()))
    wanted = validation[validation["stars"] >= least].groupby("who")["film"].agg(set)
    hits = []
    for user, relevant in wanted.items():
        best = []
        if user in users:
            row = scores[users.index(user)]
            order = sorted(range(len(items)), key=lambda n: (-row[n], -items[n]))
            best = [items[n] for n in order if (user, items[n]) not in had][:K]
        hits.append(bool(relevant & set(best)))
    return np.mean(hits)


@pytest.mark.parametrize("implicit", [True, False], ids=["implicit", "explicit"])
@pytest.mark.parametrize("kind", [pytest.param("pandas", marks=pytest.mark.slow), "dask"])
def test_the_metric_is_that_of_unseen_items_on_the_validation_rows(rows, implicit, kind):
    least = 0.0 if implicit else 4.0
    estimator = als(implicitPrefs=implicit)
    evaluator = RankingEvaluator(metricName="hitRateAtK", k=K, **({} if implicit else {"relevantFrom": least}))
    grid = grid_of(estimator)
    expected = [
        np.mean(
            [
                slow_hit_rate(estimator, params, rows[rows["fold"] != n], rows[rows["fold"] == n], least)
                for n in range(3)
            ]
        )
        for params in grid
    ]
    validator = CrossValidator(estimator=estimator, estimatorParamMaps=grid, evaluator=evaluator, foldCol="fold")
    tuned = validator.fit(rows if kind == "pandas" else dd.from_pandas(rows, npartitions=2))
    # of scores that differ in their last bit only, either may come first
    assert tuned.avgMetrics == pytest.approx(expected, abs=0.02)
    best = grid[int(np.argmax(tuned.avgMetrics))]
    assert tuned.bestParams == {param.name: value for param, value in best.items()}
    assert tuned.bestModel.rank == tuned.bestParams["rank"]


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_other_libraries_are_tuned_on(rows, library):
    pytest.importorskip(library)
    estimator = als(implicitPrefs=True, regParam=0.01)
    maps = ParamGridBuilder().addGrid(estimator.rank, [1, 3]).build()
    evaluator = RankingEvaluator(metricName="ndcgAtK", k=K, relevantFrom=2)
    validator = CrossValidator(estimator=estimator, estimatorParamMaps=maps, evaluator=evaluator, foldCol="fold")
    assert validator.fit(give_back(rows, library)).avgMetrics == validator.fit(rows).avgMetrics


@pytest.mark.parametrize("name", ["meanAveragePrecision", "ndcgAtK", "catalogueCoverage", "novelty"])
def test_any_metric_can_be_tuned_by(rows, name):
    """The precision of all recommended items is that of the k that are recommended."""
    estimator = als(implicitPrefs=True, rank=3)
    maps = ParamGridBuilder().addGrid(estimator.regParam, [0.01]).build()
    evaluator = RankingEvaluator(metricName=name, k=K)
    given = {"estimator": estimator, "estimatorParamMaps": maps, "evaluator": evaluator, "foldCol": "fold"}
    tuned = CrossValidator(**given, collectSubModels=True).fit(rows)
    by_hand = []
    for n in range(3):
        train, validation = rows[rows["fold"] != n], rows[rows["fold"] == n]
        lists = tuned.subModels[n][0].recommendForAllUsers(K, exclude=train)
        by_hand.append(evaluator.evaluate(lists, heldOut=validation, exclude=train))
    assert tuned.avgMetrics == [pytest.approx(np.mean(by_hand))]


def test_a_split_and_threads_and_names_in_the_grid(rows):
    """Columns may be in the grid: each model is measured by its own."""
    estimator = als(implicitPrefs=True, rank=3, regParam=0.01)
    doubled = rows.assign(viewer=rows["who"])
    maps = [{}, {estimator.userCol: "viewer"}, {estimator.rank: 1}]
    evaluator = RankingEvaluator(metricName="ndcgAtK", k=K, relevantFrom=2)
    found = [
        TrainValidationSplit(
            estimator=estimator, estimatorParamMaps=maps, evaluator=evaluator, seed=2, parallelism=n
        ).fit(doubled)
        for n in (1, 3)
    ]
    assert found[0].validationMetrics == found[1].validationMetrics
    assert found[0].validationMetrics[0] == found[0].validationMetrics[1]
    assert 0 < found[0].validationMetrics[2] < found[0].validationMetrics[0]
    assert found[0].bestParams == {}


def test_no_recommendations_come_here(rows):
    """On Dask frames what a computation returns is small, or is held rows; never a frame of lists."""
    seen = []

    def spy(graph, keys, **options):
        results = dask.get(graph, keys, **options)
        stack = [results]
        while stack:
            each = stack.pop()
            stack.extend(each if isinstance(each, list | tuple) else [])
            seen.append(each)
        return results

    estimator = als(implicitPrefs=True)
    maps = ParamGridBuilder().addGrid(estimator.rank, [1, 2]).build()
    validator = TrainValidationSplit(
        estimator=estimator, estimatorParamMaps=maps, evaluator=RankingEvaluator(metricName="ndcgAtK", k=K)
    )
    with dask.config.set(scheduler=spy):
        validator.fit(dd.from_pandas(rows, npartitions=3))
    frames = [each for each in seen if isinstance(each, pd.DataFrame)]
    assert frames, "the held rows"
    assert not [frame for frame in frames if {"recommendations", "rank"} & set(frame.columns)]


def test_other_estimators_are_measured_by_their_predictions(rows):
    class Lists(Params):
        """Not an ALS: its models give each row a list."""

        def fitMultiple(self, train, maps):
            return iter([(place, self) for place, _ in enumerate(maps)])

        def fit(self, dataset, params=None):
            return self

        def transform(self, dataset):
            return pd.DataFrame({"prediction": [[1, 2]], "label": [[2]]})

    validator = CrossValidator(
        estimator=Lists(), estimatorParamMaps=[{}], evaluator=RankingEvaluator(metricName="hitRateAtK", k=2)
    )
    assert validator.fit(rows).avgMetrics == [1.0]


def test_what_an_evaluator_cannot_use_is_said(rows):
    estimator = als(implicitPrefs=True)
    given = {"estimator": estimator, "estimatorParamMaps": [{}], "foldCol": "fold"}
    with pytest.raises(ValueError, match="k=0 is not allowed"):
        CrossValidator(**given, evaluator=RankingEvaluator(k=0)).fit(rows)
    with pytest.raises(ValueError, match=r"heldOut, of stars 9.0 and more, has no rows"):
        CrossValidator(**given, evaluator=RankingEvaluator(relevantFrom=9)).fit(rows)
    with pytest.raises(ValueError, match="film"):
        CrossValidator(**given, evaluator=RankingEvaluator()).fit(rows.drop(columns="film"))


@pytest.mark.parametrize("cls", [CrossValidator, TrainValidationSplit])
@pytest.mark.parametrize("metric", ["rmse", pytest.param("r2", marks=pytest.mark.slow), "hitRateAtK"])
def test_best_params_are_known_after_loading_too(rows, cls, metric, tmp_path):
    estimator = als(implicitPrefs=metric == "hitRateAtK", coldStartStrategy="drop")
    maps = grid_of(estimator)
    evaluator = (
        RankingEvaluator(metricName=metric, k=K)
        if metric == "hitRateAtK"
        else RegressionEvaluator(labelCol="stars", metricName=metric)
    )
    tuned = cls(estimator=estimator, estimatorParamMaps=maps, evaluator=evaluator, seed=4).fit(rows)
    assert set(tuned.bestParams) == {"rank", "regParam"}
    assert tuned.bestModel.rank == tuned.bestParams["rank"]
    refit = estimator.copy({estimator.getParam(name): value for name, value in tuned.bestParams.items()}).fit(rows)
    np.testing.assert_array_equal(*(np.vstack(m.itemFactors["features"]) for m in (refit, tuned.bestModel)))
    if metric == "hitRateAtK":
        with pytest.warns(UserWarning, match="Spark cannot load RankingEvaluator_.*no metric 'hitRateAtK'"):
            tuned.save(tmp_path / "tuned")
    else:
        tuned.save(tmp_path / "tuned")
    loaded = type(tuned).load(tmp_path / "tuned")
    assert loaded.bestParams == tuned.bestParams == tuned.copy().bestParams


@pytest.mark.parametrize("cls", [CrossValidatorModel, TrainValidationSplitModel])
def test_a_model_made_by_hand_does_not_know_its_best_map(rows, cls):
    estimator = als()
    model = cls(estimator.fit(rows))
    model._set(estimator=estimator, estimatorParamMaps=[{}], evaluator=RegressionEvaluator())
    with pytest.raises(ValueError, match="0 metrics for 1 maps: which is best is not known"):
        _ = model.bestParams


@pytest.mark.slow
def test_implicit_models_of_real_data_are_tuned_by_what_they_recommend(ml100k):
    """Chosen on validation rows alone, the better of two maps is the better one on the test rows too."""
    estimator = ALS(implicitPrefs=True, rank=20, maxIter=10)
    maps = ParamGridBuilder().addGrid(estimator.alpha, [1.0, 40.0]).build()
    evaluator = RankingEvaluator(metricName="ndcgAtK", k=10)
    tuned = TrainValidationSplit(estimator=estimator, estimatorParamMaps=maps, evaluator=evaluator, trainRatio=0.8).fit(
        ml100k.base
    )
    assert tuned.bestParams == {"alpha": 1.0}
    on_test = [
        evaluator.evaluate(
            estimator.fit(ml100k.base, params).recommendForAllUsers(10, exclude=ml100k.base),
            heldOut=ml100k.test,
            exclude=ml100k.base,
        )
        for params in maps
    ]
    assert on_test[0] > 2 * on_test[1]
