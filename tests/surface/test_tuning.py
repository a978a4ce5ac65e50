"""Tuning: which map wins, on which rows, how often the data are read, what is saved, and what is refused."""

import inspect
import json
import threading
import time
import uuid
import warnings
from itertools import chain, pairwise

import dask
import dask.dataframe as dd
import fsspec
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster, get_client
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from daskals import ALS
from daskals.evaluation import RankingEvaluator, RegressionEvaluator
from daskals.execution import watching
from daskals.params.converters import to_float
from daskals.params.declared import Params
from daskals.params.param import Param
from daskals.recommendation import fitting
from daskals.recommendation.fitting import Fit
from daskals.tuning import (
    CrossValidator,
    CrossValidatorModel,
    ParamGridBuilder,
    TrainValidationSplit,
    TrainValidationSplitModel,
)

RMSE = RegressionEvaluator(labelCol="rating")
VALIDATORS = [CrossValidator, TrainValidationSplit]


@pytest.fixture(scope="module")
def rank_two():
    """Two thirds of an exact matrix of rank 2, 40 x 30, in random order."""
    rng = np.random.default_rng(1)
    matrix = rng.uniform(-1, 1, size=(40, 2)) @ rng.uniform(-1, 1, size=(2, 30))
    users, items = np.nonzero(rng.random(matrix.shape) < 2 / 3)
    frame = pd.DataFrame({"user": users, "item": items, "rating": matrix[users, items]})
    return frame.sample(frac=1, random_state=2).reset_index(drop=True)


@pytest.fixture
def als():
    return ALS(rank=2, maxIter=5, regParam=0.001, seed=1, coldStartStrategy="drop", numUserBlocks=2, numItemBlocks=2)


def ranks(als):
    return ParamGridBuilder().addGrid(als.rank, [1, 2]).addGrid(als.regParam, [2.0, 0.001]).build()


def names(maps):
    return [{param.name: value for param, value in each.items()} for each in maps]


def cross(als, grid=None, **more):
    return CrossValidator(
        estimator=als, estimatorParamMaps=ranks(als) if grid is None else grid, evaluator=RMSE, **more
    )


def split(als, grid=None, **more):
    return TrainValidationSplit(
        estimator=als, estimatorParamMaps=ranks(als) if grid is None else grid, evaluator=RMSE, **more
    )


def in_dask(frame, npartitions=3):
    return dd.from_pandas(frame, npartitions=npartitions, sort=False)


def pandas(frame):
    return frame if isinstance(frame, pd.DataFrame) else frame.compute().reset_index(drop=True)


def whole(frame):
    """With its own index."""
    return frame if isinstance(frame, pd.DataFrame) else frame.compute()


def chained(lists):
    return list(chain.from_iterable(lists))


# ---- doubles: an estimator that learns nothing, whose metric is in the map -------------------------------


class Recorder(Params):
    """Remembers what it was fitted to and what its models were given."""

    quality = Param("quality", "metric of its models; below 0: NaN from the third fit on", to_float, 0.0)

    def __init__(self):
        super().__init__()
        self.trained, self.validated = [], []

    def fitMultiple(self, train, maps):
        self.trained.append(whole(train))
        return iter([(place, Recorded(self.copy(each))) for place, each in enumerate(maps)])

    def fit(self, dataset, params=None):
        self.refitted = dataset
        return Recorded(self.copy(params))


class Recorded:
    """A model that has its recorder's values."""

    def __init__(self, recorder):
        self.recorder, self.uid = recorder, recorder.uid

    def transform(self, validation):
        self.recorder.validated.append(whole(validation))
        quality = self.recorder.getQuality()
        return np.nan if quality < 0 and len(self.recorder.trained) >= 3 else quality


class Scripted(Params):
    """An evaluator of `Recorded` models."""

    def __init__(self, larger=False):
        super().__init__()
        self.larger = larger

    def evaluate(self, metric):
        return metric

    def isLargerBetter(self):
        return self.larger


def scripted(*qualities, larger=False, validator=CrossValidator, **more):
    """A validator of a `Recorder` with a map for each quality."""
    recorder = Recorder()
    grid = [{recorder.quality: each} for each in qualities]
    return validator(estimator=recorder, estimatorParamMaps=grid, evaluator=Scripted(larger), **more)


def numbered(n):
    return pd.DataFrame({"row": np.arange(n)}, index=np.arange(n)[::-1])


def folds_of(frame, **more):
    """Rows of (training, validation) of each fold, as the estimator and the evaluator saw them."""
    validator = scripted(1.0, **more)
    validator.fit(frame)
    recorder = validator.getEstimator()
    return [
        (train["row"].tolist(), test["row"].tolist())
        for train, test in zip(recorder.trained, recorder.validated, strict=True)
    ]


# ---- grids -----------------------------------------------------------------------------------------------


def test_a_grid_is_the_product_in_the_order_of_adding(als):
    grid = ParamGridBuilder().addGrid(als.rank, [1, 2]).baseOn({als.maxIter: 3}).addGrid(als.alpha, [0.5, 1]).build()
    assert names(grid) == [
        {"rank": 1, "maxIter": 3, "alpha": 0.5},
        {"rank": 1, "maxIter": 3, "alpha": 1.0},
        {"rank": 2, "maxIter": 3, "alpha": 0.5},
        {"rank": 2, "maxIter": 3, "alpha": 1.0},
    ]
    assert list(grid[0]) == [als.rank, als.maxIter, als.alpha]


def test_values_of_a_grid_are_converted(als):
    (each,) = ParamGridBuilder().addGrid(als.rank, [np.float32(4)]).addGrid(als.alpha, (1 for _ in "a")).build()
    assert [(type(value), value) for value in each.values()] == [(int, 4), (float, 1.0)]


def test_what_is_added_again_replaces_what_was_there(als):
    builder = ParamGridBuilder().addGrid(als.rank, [1, 2]).addGrid(als.alpha, [3.0])
    assert names(builder.baseOn((als.rank, 5)).build()) == [{"rank": 5, "alpha": 3.0}]


def test_base_on_takes_a_dict_or_pairs(als):
    by_dict = ParamGridBuilder().baseOn({als.rank: 2, als.alpha: 1.0}).build()
    assert by_dict == ParamGridBuilder().baseOn([als.rank, 2], (als.alpha, 1.0)).build()


def test_an_empty_grid_has_one_empty_map():
    assert ParamGridBuilder().build() == [{}]


@pytest.mark.parametrize("param", ["rank", None, 5])
def test_a_grid_takes_parameters_only(param):
    with pytest.raises(TypeError, match=r"param must be an instance of Param, such as als.rank"):
        ParamGridBuilder().addGrid(param, [1])


def test_a_grid_refuses_values_of_a_wrong_type(als):
    with pytest.raises(
        TypeError, match=r"""Invalid param value given for param "rank". Could not convert 'a' to int"""
    ):
        ParamGridBuilder().addGrid(als.rank, [1, "a"])
    with pytest.raises(TypeError, match="The values of 'rank' must be a list of values, got 5"):
        ParamGridBuilder().addGrid(als.rank, 5)
    with pytest.raises(TypeError, match="must be a list of values, got 'drop'"):
        ParamGridBuilder().addGrid(als.coldStartStrategy, "drop")
    with pytest.raises(ValueError, match="'rank' was given no values"):
        ParamGridBuilder().addGrid(als.rank, [])
    with pytest.raises(TypeError, match="baseOn takes one dict, or pairs"):
        ParamGridBuilder().baseOn(als.rank, 5)


# ---- the right map wins ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pandas", "dask"])
@pytest.mark.parametrize("make", [cross, split])
def test_the_map_that_fits_the_data_wins(als, rank_two, make, kind):
    """Rank 2 without much regularisation; the others cannot fit a matrix of rank 2."""
    data = rank_two if kind == "pandas" else in_dask(rank_two)
    model = make(als).fit(data)
    metrics = model.avgMetrics if make is cross else model.validationMetrics
    assert metrics[3] < 0.1
    assert min(metrics[:3]) > 0.2
    assert (model.bestModel.rank, len(metrics)) == (2, 4)
    predictions = model.transform(data)
    assert type(predictions) is type(data)
    assert RMSE.evaluate(predictions) < 0.03


def test_the_same_map_wins_on_every_scheduler(als, rank_two, scheduler):
    model = split(als, ranks(als)[2:]).fit(in_dask(rank_two))
    with dask.config.set(scheduler="threads"):
        here = split(als, ranks(als)[2:]).fit(in_dask(rank_two))
    np.testing.assert_allclose(model.validationMetrics, here.validationMetrics, rtol=1e-4)
    assert RMSE.evaluate(model.transform(rank_two)) < 0.03


def test_the_best_model_is_that_of_the_best_map_on_all_rows(als, rank_two):
    grid = ranks(als)
    model, direct = cross(als, grid).fit(rank_two), als.fit(rank_two, grid[3])
    assert model.bestModel.rank == 2
    assert_frame_equal(model.bestModel.userFactors, direct.userFactors)
    assert_frame_equal(model.transform(rank_two), direct.transform(rank_two))


def test_metrics_are_those_of_a_plain_loop(als, rank_two):
    """The oracle: fit and evaluate fold by fold, map by map."""
    data = rank_two.assign(fold=np.arange(len(rank_two)) % 4)
    grid = ranks(als)
    model = cross(als, grid, numFolds=4, foldCol="fold").fit(data)
    loop = [
        [RMSE.evaluate(als.fit(data[data.fold != fold], each).transform(data[data.fold == fold])) for each in grid]
        for fold in range(4)
    ]
    np.testing.assert_allclose(model.avgMetrics, np.mean(loop, axis=0), rtol=1e-6)
    np.testing.assert_allclose(model.stdMetrics, np.std(loop, axis=0), rtol=1e-5)


@pytest.mark.parametrize(("larger", "best"), [(False, 1.0), (True, 3.0)])
@pytest.mark.parametrize("validator", VALIDATORS)
def test_the_evaluator_says_what_is_better(validator, larger, best):
    model = scripted(2.0, 1.0, 3.0, larger=larger, validator=validator).fit(numbered(30))
    assert model.bestModel.recorder.getQuality() == best


def test_the_first_of_equals_wins():
    model = scripted(2.0, 1.0, 1.0).fit(numbered(30))
    assert model.avgMetrics == [2.0, 1.0, 1.0]
    assert model.stdMetrics == [0.0, 0.0, 0.0]
    assert model.bestModel.recorder.getQuality() == 1.0


# ---- folds -----------------------------------------------------------------------------------------------


@given(
    n=st.integers(40, 120),
    npartitions=st.sampled_from([0, 1, 3, 7]),
    n_folds=st.integers(2, 4),
    seed=st.integers(-(2**63), 2**63 - 1),
)
@settings(max_examples=40)
def test_folds_are_disjoint_and_cover_everything(n, npartitions, n_folds, seed):
    frame = in_dask(numbered(n), npartitions) if npartitions else numbered(n)
    with dask.config.set(scheduler="synchronous"):
        found = folds_of(frame, numFolds=n_folds, seed=seed)
        again = folds_of(frame, numFolds=n_folds, seed=seed)
    assert found == again
    assert len(found) == n_folds
    for train, test in found:
        assert sorted(train + test) == list(range(n))
    assert sorted(row for _, test in found for row in test) == list(range(n))


def test_rows_keep_their_order_and_index():
    validator = scripted(1.0)
    validator.fit(numbered(50))
    for train in validator.getEstimator().trained:
        assert train["row"].is_monotonic_increasing
        assert (train.index == 49 - train["row"]).all()


@pytest.mark.parametrize("n_folds", [2, 5])
def test_folds_are_of_about_one_size(n_folds):
    sizes = [len(test) for _, test in folds_of(numbered(10_000), numFolds=n_folds)]
    assert max(abs(size - 10_000 / n_folds) for size in sizes) < 4 * np.sqrt(10_000 / n_folds)


def test_another_seed_gives_other_folds():
    assert folds_of(numbered(60), seed=1) != folds_of(numbered(60), seed=2)
    assert folds_of(numbered(60)) == folds_of(numbered(60), seed=-1191137437)


def test_partitions_are_not_split_alike():
    """Equal partitions are drawn for by different generators."""
    (_, test), *_ = folds_of(in_dask(numbered(600), 2))
    assert sorted(row for row in test if row < 300) != sorted(row - 300 for row in test if row >= 300)


def test_a_pandas_frame_is_split_as_one_partition():
    assert folds_of(numbered(60)) == folds_of(in_dask(numbered(60), 1))


def test_folds_do_not_depend_on_the_scheduler(scheduler):
    with dask.config.set(scheduler="synchronous"):
        expected = folds_of(in_dask(numbered(100)), seed=4)
    assert folds_of(in_dask(numbered(100)), seed=4) == expected


def test_a_part_of_a_fold_is_the_same_part_of_it():
    """Dask may compute some partitions only, and must not number them anew."""
    validator = scripted(1.0, seed=4)
    estimator, kept = validator.getEstimator(), []
    estimator.fitMultiple = lambda train, maps: kept.append(train) or iter([(0, Recorded(estimator))])
    validator.fit(in_dask(numbered(100)))
    whole = kept[0].compute()
    last = kept[0].partitions[2].compute()
    assert_frame_equal(last, whole.tail(len(last)))


@pytest.mark.parametrize("kind", ["pandas", "dask"])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "Int32", "int16[pyarrow]"])
def test_a_column_may_say_the_fold(kind, dtype):
    frame = numbered(30).assign(fold=np.arange(30) % 3).astype({"fold": dtype})
    for fold, (train, test) in enumerate(folds_of(frame if kind == "pandas" else in_dask(frame), foldCol="fold")):
        assert sorted(test) == list(range(fold, 30, 3))
        assert sorted(train) == sorted(set(range(30)) - set(test))


@pytest.mark.parametrize("kind", ["pandas", "dask"])
@pytest.mark.parametrize(
    ("folds", "error", "words"),
    [
        ([0, 1, 3, 3], ValueError, r"foldCol 'fold' is 3 in row 'c' \(2 such\).*range 0 to 2, since numFolds=3"),
        ([0, -1, 2, 1], ValueError, r"foldCol 'fold' is -1 in row 'b' \(1 such\)"),
        (pd.array([0, 1, 2, None], "Int64"), ValueError, r"foldCol 'fold' is <NA> in row 'd'"),
        ([0, 1, 1, 0], ValueError, "leaves fold 2 without rows: each number from 0 to 2 must be there"),
        ([0, 0, 0, 0], ValueError, "leaves fold 1, 2 without rows"),
        ([0.0, 1.0, 2.0, 2.0], TypeError, "must be a column of integers, its dtype is float64; convert it with astype"),
        ([True, False, True, False], TypeError, "must be a column of integers, its dtype is bool"),
    ],
)
def test_a_wrong_fold_number_is_refused_before_any_fit(kind, folds, error, words):
    frame = pd.DataFrame({"row": range(4), "fold": folds}, index=list("abcd"))
    validator = scripted(1.0, foldCol="fold")
    with pytest.raises(error, match=words):
        validator.fit(frame if kind == "pandas" else in_dask(frame, 2))
    assert not validator.getEstimator().trained


def test_a_fold_column_must_be_there_once():
    with pytest.raises(ValueError, match=r"no columns 'fold' in the dataset, and foldCol needs one.*'row'"):
        scripted(1.0, foldCol="fold").fit(numbered(9))
    twice = pd.DataFrame([[0, 1]], columns=["fold", "fold"])
    with pytest.raises(ValueError, match="2 columns 'fold'"):
        scripted(1.0, foldCol="fold").fit(twice)


@pytest.mark.parametrize("kind", ["pandas", "dask"])
@pytest.mark.parametrize("validator", VALIDATORS)
def test_too_few_rows_are_refused(validator, kind):
    few = numbered(1) if kind == "pandas" else in_dask(numbered(1), 1)
    more = {"trainRatio": 0.999} if validator is TrainValidationSplit else {}
    with pytest.raises(ValueError, match=r"There are no (validation|training) rows in (fold|the split)"):
        scripted(1.0, validator=validator, **more).fit(few)


@pytest.mark.parametrize("validator", VALIDATORS)
def test_what_is_no_frame_is_refused(validator):
    with pytest.raises(TypeError, match=r"must be a pandas or a dask DataFrame, got numpy.ndarray"):
        scripted(1.0, validator=validator).fit(np.zeros((9, 3)))
    if validator is CrossValidator:
        with pytest.raises(TypeError, match="must be a pandas or a dask DataFrame"):
            scripted(1.0, foldCol="fold").fit([1])


@pytest.mark.parametrize("ratio", [0.2, 0.75, 0.9])
@pytest.mark.parametrize("kind", ["pandas", "dask"])
def test_a_split_has_the_share_that_was_asked_for(ratio, kind):
    frame = numbered(10_000)
    data = frame if kind == "pandas" else in_dask(frame)
    ((train, test),) = folds_of(data, validator=TrainValidationSplit, trainRatio=ratio, seed=3)
    assert sorted(train + test) == list(range(10_000))
    assert abs(len(train) / 10_000 - ratio) < 0.02
    assert folds_of(data, validator=TrainValidationSplit, trainRatio=ratio, seed=3) == [(train, test)]


# ---- NaN never wins --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("larger", "best"), [(False, 1.0), (True, 2.0)])
def test_a_metric_that_is_nan_on_one_fold_is_ranked_last(larger, best):
    with pytest.warns(UserWarning, match=r"metric of 1 of 3 .* NaN: \{quality: -1.0\} in fold 2\. .*last.*'drop'") as w:
        model = scripted(-1.0, 2.0, 1.0, larger=larger).fit(numbered(60))
    assert w[0].filename == __file__
    np.testing.assert_array_equal(model.avgMetrics, [np.nan, 2.0, 1.0])
    np.testing.assert_array_equal(model.stdMetrics, [np.nan, 0.0, 0.0])
    assert model.bestModel.recorder.getQuality() == best


def test_where_warnings_are_errors_the_winner_is_not_lost(caplog):
    """It has cost many fits: the warning is logged instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = scripted(-1.0, 1.0).fit(numbered(60))
    assert model.bestModel.recorder.getQuality() == 1.0
    assert "metric of 1 of 2 parameter maps is NaN" in caplog.text


def test_a_long_list_of_nans_is_cut():
    with pytest.warns(UserWarning, match=r"5 of 6 .*-1.0.*-2.0.*-3.0\} in fold 2; \.\.\.\. They are ranked last"):
        scripted(-1.0, -2.0, -3.0, -4.0, -5.0, 1.0).fit(numbered(60))


def test_if_no_metric_is_left_there_is_no_winner():
    with pytest.raises(ValueError, match=r"No map can be the best. The metric of 2 of 2 .*coldStartStrategy='drop'"):
        scripted(-1.0, -2.0).fit(numbered(60))
    validator = scripted(np.nan, validator=TrainValidationSplit)
    with pytest.raises(ValueError, match="No map can be the best"):
        validator.fit(numbered(60))


def test_it_is_said_after_the_first_fold_if_nothing_can_win():
    validator = scripted(np.nan, np.nan)
    with pytest.raises(ValueError, match=r"\{quality: nan\} in fold|\{quality: nan\}"):
        validator.fit(numbered(60))
    assert len(validator.getEstimator().trained) == 1


def test_cold_start_rows_are_the_cause(als, rank_two):
    """A user with one rating is in the validation rows of one fold only, and then not in the training rows."""
    lonely = pd.concat([rank_two, pd.DataFrame({"user": [99], "item": [0], "rating": [1.0]})], ignore_index=True)
    als.setColdStartStrategy("nan")
    with pytest.raises(ValueError, match="users or items that are only in the validation rows"):
        cross(als).fit(lonely)
    grid = ParamGridBuilder().addGrid(als.coldStartStrategy, ["nan", "drop"]).build()
    with pytest.warns(UserWarning, match="{coldStartStrategy: 'nan'}"):
        model = cross(als, grid).fit(lonely)
    assert model.bestModel.getColdStartStrategy() == "drop"
    assert np.isnan(model.avgMetrics).tolist() == [True, False]


# ---- threads, and how often data are read ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pandas", "dask"])
@pytest.mark.parametrize("make", [cross, split])
def test_parallelism_does_not_change_the_result(als, rank_two, make, kind):
    data = rank_two if kind == "pandas" else in_dask(rank_two)
    one, four = (make(als, parallelism=n, collectSubModels=True).fit(data) for n in (1, 4))
    names = ["avgMetrics", "stdMetrics"] if make is cross else ["validationMetrics"]
    for name in names:
        np.testing.assert_allclose(getattr(one, name), getattr(four, name), rtol=1e-6)
    assert_frame_equal(pandas(one.bestModel.userFactors), pandas(four.bestModel.userFactors))
    flat = chained if make is cross else list
    assert [model.rank for model in flat(one.subModels)] == [model.rank for model in flat(four.subModels)]


def test_as_many_models_as_asked_for_are_fitted_at_a_time():
    """Two evaluations wait for each other; with one thread they would wait in vain."""
    barrier = threading.Barrier(2, timeout=20)
    validator = scripted(1.0, 2.0, 3.0, 4.0, parallelism=2)
    validator.getEvaluator().evaluate = lambda metric: barrier.wait() * 0 + metric
    assert validator.fit(numbered(60)).avgMetrics == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.slow
def test_fits_run_at_once_on_a_cluster(als, rank_two, monkeypatch, cluster):
    """Two fits wait for each other when they have begun; one after the other they would wait in vain."""
    barrier, run_one = threading.Barrier(2, timeout=60), Fit.run

    def run(self, **how):
        if threading.current_thread() is not threading.main_thread():  # where the winner is fitted to all rows
            barrier.wait()
        return run_one(self, **how)

    with cluster.as_current():
        data = in_dask(rank_two)
        one = split(als, parallelism=1).fit(data)
        monkeypatch.setattr(Fit, "run", run)
        two = split(als, parallelism=2).fit(data)
        np.testing.assert_allclose(two.validationMetrics, one.validationMetrics, rtol=1e-6)


@pytest.mark.parametrize("parallelism", [1, 2])
def test_after_an_error_no_further_fit_is_begun(parallelism):
    validator = scripted(*map(float, range(20)), parallelism=parallelism)

    def fail(metric):
        raise RuntimeError("broken")

    validator.getEvaluator().evaluate = fail
    with pytest.raises(RuntimeError, match="broken") as caught:
        validator.fit(numbered(60))
    assert caught.value.__notes__ == [f"This happened in fold 0 of 0 to 2 of {validator.uid}."]
    assert len(validator.getEstimator().validated) < 20


@pytest.mark.parametrize("parallelism", [1, 3])
@pytest.mark.parametrize(("make", "expected"), [(cross, 4), (split, 2)])
def test_ratings_are_shuffled_once_a_fold(als, rank_two, make, expected, parallelism, monkeypatch):
    """And once for the fit to all rows, however large the grid."""
    calls = []
    shuffle = fitting.shuffle
    monkeypatch.setattr(fitting, "shuffle", lambda *args: calls.append(1) or shuffle(*args))
    make(als, parallelism=parallelism).fit(in_dask(rank_two))
    assert len(calls) == expected


@pytest.mark.parametrize("fold_col", ["", "fold"])
def test_partitions_are_computed_twice_a_fold_and_once_at_the_end(als, rank_two, fold_col):
    data, reads = rank_two.assign(fold=np.arange(len(rank_two)) % 3), []
    edges = [0, 200, 500, len(data)]

    def read(bounds):
        reads.append(bounds)
        return data[slice(*bounds)]

    frame = dd.from_map(read, list(pairwise(edges)), meta=data.head(0))
    with dask.config.set(scheduler="synchronous"):
        cross(als, foldCol=fold_col).fit(frame)
    assert len(reads) == 3 * (2 * 3 + 1 + bool(fold_col))


def test_validation_rows_stay_on_the_workers_and_are_made_once_a_fold(als, rank_two, tmp_path, cluster):
    """The same on a cluster; each reading leaves a file."""
    edges = [0, 200, 500, len(rank_two)]

    def read(bounds):
        (tmp_path / uuid.uuid4().hex).touch()
        return rank_two[slice(*bounds)]

    frame = dd.from_map(read, list(pairwise(edges)), meta=rank_two.head(0))
    with cluster.as_current():
        model = split(als, trainRatio=0.5).fit(frame)
    assert len(list(tmp_path.iterdir())) == 3 * (2 + 1)
    np.testing.assert_allclose(model.validationMetrics, split(als, trainRatio=0.5).fit(frame).validationMetrics, 1e-3)


def test_validation_rows_are_computed_by_our_scheduler_which_watches_workers(als, rank_two, monkeypatch, cluster):
    """A cluster without workers: the split gives up, as a fit does, rather than wait for ever."""

    class Watch(watching.WorkerWatch):
        def look(self, done=0):
            raise TimeoutError("The cluster has had no workers")

    def read(number):
        time.sleep(2)
        return rank_two

    monkeypatch.setattr(watching, "WorkerWatch", Watch)
    monkeypatch.setattr(fitting, "shuffle", lambda *_: pytest.fail("a fit began without validation rows"))
    with cluster.as_current(), pytest.raises(TimeoutError, match="no workers"):
        split(als).fit(dd.from_map(read, [0], meta=rank_two.head(0)))


def test_sub_models_are_kept_where_asked_for(als, rank_two):
    grid = ranks(als)
    model = cross(als, grid, numFolds=2, collectSubModels=True).fit(rank_two)
    assert [[each.rank for each in fold] for fold in model.subModels] == [[1, 1, 2, 2]] * 2
    assert cross(als, grid, numFolds=2).fit(rank_two).subModels is None
    model = split(als, grid, collectSubModels=True).fit(rank_two)
    assert [each.rank for each in model.subModels] == [1, 1, 2, 2]
    assert split(als, grid).fit(rank_two).subModels is None


class Where(RegressionEvaluator):
    """Remembers the thread and the client of each evaluation."""

    seen: list

    def evaluate(self, dataset, params=None):
        self.seen.append((threading.current_thread(), get_client()))
        return super().evaluate(dataset, params)


@pytest.mark.slow
@pytest.mark.parametrize("as_current", [False, True])
def test_threads_see_the_client(als, rank_two, as_current):
    """The default client, and one that is current in a with-block only."""
    evaluator = Where(labelCol="rating")
    evaluator.seen = []
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as workers,
        Client(workers, set_as_default=not as_current) as client,
    ):
        validator = cross(als, parallelism=2).setEvaluator(evaluator)
        data = in_dask(rank_two)
        if as_current:
            with client.as_current():
                model = validator.fit(data)
                assert RMSE.evaluate(model.transform(data)) < 0.03
        else:
            model = validator.fit(data)
        assert len(evaluator.seen) == 3 * 4
        assert {each for _, each in evaluator.seen} == {client}
        assert threading.main_thread() not in {thread for thread, _ in evaluator.seen}
        del model


# ---- parameters ------------------------------------------------------------------------------------------


def signature_of(cls):
    return [(each.name, each.default) for each in list(inspect.signature(cls.__init__).parameters.values())[1:]]


def test_keywords_and_defaults_are_those_of_spark():
    first = [("estimator", None), ("estimatorParamMaps", None), ("evaluator", None)]
    rest = [("numFolds", 3), ("seed", None), ("parallelism", 1), ("collectSubModels", False), ("foldCol", "")]
    ours = [("warmStart", False)]
    assert signature_of(CrossValidator) == first + rest + ours
    rest = [("trainRatio", 0.75), ("parallelism", 1), ("collectSubModels", False), ("seed", None)]
    assert signature_of(TrainValidationSplit) == first + rest + ours
    models = [("bestModel", inspect.Parameter.empty), ("avgMetrics", None), ("subModels", None), ("stdMetrics", None)]
    assert signature_of(CrossValidatorModel) == models
    assert signature_of(TrainValidationSplitModel) == [models[0], ("validationMetrics", None), ("subModels", None)]
    for cls in VALIDATORS:
        assert inspect.signature(cls.setParams).parameters == inspect.signature(cls.__init__).parameters


def java_hash(text):
    value = 0
    for char in text:
        value = (31 * value + ord(char)) % 2**32
    return value - 2**32 * (value >= 2**31)


@pytest.mark.parametrize("cls", VALIDATORS)
def test_default_seeds_are_those_of_scala(cls):
    assert cls().getSeed() == java_hash(f"org.apache.spark.ml.tuning.{cls.__name__}")


@pytest.mark.parametrize("cls", VALIDATORS)
def test_setters_getters_and_params(cls, als):
    values = {
        "estimator": als,
        "estimatorParamMaps": [{als.rank: 2}],
        "evaluator": RMSE,
        "parallelism": 3,
        "collectSubModels": True,
        "seed": 5,
        "warmStart": True,
        **({"numFolds": 4, "foldCol": "fold"} if cls is CrossValidator else {"trainRatio": 0.5}),
    }
    assert sorted(values) == [param.name for param in cls().params]
    for made in (cls(**values), cls().setParams(**values)):
        for name, value in values.items():
            assert getattr(made, f"get{name[0].upper()}{name[1:]}")() == value
    one_by_one = cls()
    for name, value in values.items():
        assert getattr(one_by_one, f"set{name[0].upper()}{name[1:]}")(value) is one_by_one
        assert one_by_one.getOrDefault(name) == value
    with pytest.raises(TypeError, match="forces keyword arguments"):
        cls(als)


def test_models_have_getters_and_no_setters(als, rank_two):
    model = cross(als, numFolds=2, seed=7).fit(rank_two)
    assert (model.getNumFolds(), model.getSeed(), model.getFoldCol()) == (2, 7, "")
    assert (model.getEstimator().uid, model.getEvaluator().uid) == (als.uid, RMSE.uid)
    assert model.getEstimatorParamMaps() == ranks(als)
    assert not hasattr(model, "setNumFolds")


@pytest.mark.parametrize("cls", VALIDATORS)
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("estimator", "als", "must be an estimator with fit and fitMultiple, such as ALS.*, got an object of type str"),
        ("estimator", ALS, "got the class ALS"),
        ("estimator", RMSE, "got an object of type RegressionEvaluator"),
        ("evaluator", ALS(), "must be an evaluator, such as RegressionEvaluator"),
        ("estimatorParamMaps", {}, "must be a list of maps from parameters to values"),
        ("estimatorParamMaps", [1], "must be a list of maps"),
        ("parallelism", "two", "Could not convert 'two' to int"),
        ("collectSubModels", 1, "requires value of type bool"),
    ],
)
def test_values_of_a_wrong_type_are_refused_at_once(cls, name, value, words):
    with pytest.raises(TypeError, match=f'param "{name}".*{words}'):
        cls(**{name: value})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"numFolds": 1}, "numFolds=1 is not allowed: it must be an integer >= 2"),
        ({"parallelism": 0}, "parallelism=0 is not allowed"),
        ({"seed": 2**63}, "seed=9223372036854775808 is not allowed"),
        ({"estimatorParamMaps": []}, "estimatorParamMaps=.* a list of one map or more"),
        ({"trainRatio": 0.0}, "trainRatio=0.0 is not allowed: it must be a number between 0 and 1, neither"),
        ({"trainRatio": 1}, "trainRatio=1.0 is not allowed"),
        ({"trainRatio": float("nan")}, "trainRatio=nan is not allowed"),
    ],
)
def test_values_out_of_range_are_refused_by_fit(als, rank_two, values, words):
    make = split if "trainRatio" in values else cross
    with pytest.raises(ValueError, match=words):
        make(als).setParams(**values).fit(rank_two)


@pytest.mark.parametrize("cls", VALIDATORS)
def test_what_is_not_set_is_named(cls, als, rank_two):
    with pytest.raises(ValueError, match="cannot fit: evaluator, estimatorParamMaps not set"):
        cls(estimator=als).fit(rank_two)


def test_maps_with_parameters_of_others_or_invalid_values_are_refused(als, rank_two):
    other = ALS()
    with pytest.raises(ValueError, match=f"{other.uid}__rank does not belong to {als.uid}"):
        cross(als, [{other.rank: 3}]).fit(rank_two)
    with pytest.raises(ValueError, match="rank=0 is not allowed"):
        cross(als, [{als.rank: 3}, {als.rank: 0}]).fit(rank_two)


def test_fit_takes_values_for_itself_and_its_parts(als, rank_two):
    validator = cross(als, [{als.regParam: 0.001}])
    model = validator.fit(rank_two, {validator.numFolds: 2, als.rank: 3, RMSE.metricName: "mae"})
    assert (model.getNumFolds(), model.bestModel.rank, model.getEvaluator().getMetricName()) == (2, 3, "mae")
    assert (validator.getNumFolds(), als.getRank(), RMSE.getMetricName()) == (3, 2, "rmse")
    models = validator.fit(rank_two, [{als.rank: 1}, {als.rank: 2}])
    assert [each.bestModel.rank for each in models] == [1, 2]
    with pytest.raises(ValueError, match="does not belong to"):
        validator.fit(rank_two, {ALS().rank: 3})
    with pytest.raises(TypeError, match="params must be a map"):
        validator.fit(rank_two, 5)


def test_copies_are_independent(als, rank_two):
    validator = cross(als)
    other = validator.copy({validator.numFolds: 2, als.rank: 1})
    assert (other.uid, other.getNumFolds(), other.getEstimator().getRank()) == (validator.uid, 2, 1)
    assert (validator.getNumFolds(), als.getRank()) == (3, 2)
    model = cross(als, collectSubModels=True).fit(rank_two)
    copied = model.copy({model.bestModel.predictionCol: "guess", als.maxIter: 1})
    assert copied.bestModel.getPredictionCol() == "guess"
    assert model.bestModel.getPredictionCol() == copied.subModels[0][0].getPredictionCol() == "prediction"
    assert copied.subModels[0][0] is not model.subModels[0][0]
    assert copied.avgMetrics == model.avgMetrics
    assert "guess" in model.transform(rank_two, {model.bestModel.predictionCol: "guess"})
    assert CrossValidatorModel(model.bestModel).copy().avgMetrics == []


# ---- files -----------------------------------------------------------------------------------------------


def metadata(path):
    (file,) = (path / "metadata").glob("part-*")
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def fitted(rank_two):
    """Both models, with sub-models, of a grid that has a parameter which Spark lacks."""
    als = ALS(rank=2, maxIter=2, seed=1, coldStartStrategy="drop")
    grid = ParamGridBuilder().addGrid(als.regParam, [0.5, 0.001]).addGrid(als.solver, ["cg", "cholesky"]).build()
    return [make(als, grid, collectSubModels=True, seed=2).fit(rank_two) for make in (cross, split)]


@pytest.mark.parametrize("cls", VALIDATORS)
@pytest.mark.parametrize("place", ["plain", "file", "memory"])
def test_validators_come_back_as_they_were(cls, als, tmp_path, place):
    path = {"plain": tmp_path / "v", "file": f"file://{tmp_path}/v", "memory": f"memory://tuning-{cls.__name__}"}[place]
    grid = ParamGridBuilder().addGrid(als.rank, [1, 2]).baseOn({als.coldStartStrategy: "drop", als.cgSteps: 5}).build()
    validator = cls(estimator=als, estimatorParamMaps=grid, evaluator=RankingEvaluator(k=3), parallelism=2, seed=-5)
    validator.write().overwrite().save(path)
    loaded = cls.load(path)
    assert type(loaded) is cls
    assert loaded.uid == validator.uid
    assert loaded.getEstimatorParamMaps() == grid
    for theirs, ours in (
        (loaded.getEstimator(), als),
        (loaded.getEvaluator(), validator.getEvaluator()),
    ):
        assert (type(theirs), theirs.uid) == (type(ours), ours.uid)
        assert theirs.extractParamMap() == ours.extractParamMap()
    for param in validator.params:
        if param.name not in ("estimator", "evaluator"):
            assert loaded.getOrDefault(param.name) == validator.getOrDefault(param.name)


@pytest.mark.parametrize("kind", ["pandas", "dask"])
def test_models_come_back_as_they_were(fitted, rank_two, tmp_path, kind):
    for number, model in enumerate(fitted):
        path = tmp_path / str(number)
        model.save(path)
        loaded = type(model).load(path, frames=kind)
        assert (loaded.uid, repr(loaded).split("factors=")[0]) == (model.uid, repr(model).split("factors=")[0])
        assert loaded.getEstimatorParamMaps() == model.getEstimatorParamMaps()
        assert_frame_equal(loaded.transform(rank_two), model.transform(rank_two))
        assert isinstance(loaded.bestModel.userFactors, pd.DataFrame) == (kind == "pandas")
        flat = chained(loaded.subModels) if number == 0 else loaded.subModels
        expected = chained(model.subModels) if number == 0 else model.subModels
        assert len(flat) == len(expected) == (12 if number == 0 else 4)
        for ours, theirs in zip(flat, expected, strict=True):
            assert_frame_equal(pandas(ours.itemFactors), pandas(theirs.itemFactors))
        for name in ("avgMetrics", "stdMetrics") if number == 0 else ("validationMetrics",):
            assert getattr(loaded, name) == getattr(model, name)


def test_a_loaded_validator_fits_as_the_saved_one(als, rank_two, tmp_path):
    validator = cross(als)
    validator.save(tmp_path / "cv")
    assert CrossValidator.load(tmp_path / "cv").fit(rank_two).avgMetrics == validator.fit(rank_two).avgMetrics


def test_the_layout_is_that_of_spark(fitted, tmp_path):
    cv, tvs = fitted
    cv.save(tmp_path / "cv")
    tvs.save(tmp_path / "tvs")
    assert sorted(each.name for each in (tmp_path / "cv").iterdir()) == [
        *("bestModel", "estimator", "evaluator", "metadata", "subModels"),
    ]
    assert {each.name for each in (tmp_path / "cv/subModels").iterdir()} == {"fold0", "fold1", "fold2"}
    assert (tmp_path / "cv/subModels/fold2/3/userFactors/_SUCCESS").exists()
    assert (tmp_path / "tvs/subModels/3/metadata/_SUCCESS").exists()
    fields = metadata(tmp_path / "cv")
    assert fields["class"] == "org.apache.spark.ml.tuning.CrossValidatorModel"
    assert {"avgMetrics", "stdMetrics", "timestamp", "sparkVersion", "uid"} < fields.keys()
    assert fields["persistSubModels"] is True
    als = cv.getEstimator().uid
    entry = {"parent": als, "name": "regParam", "isJson": "true"}
    assert fields["paramMap"] == {  # a parameter that Spark's class does not have would be an error there
        "foldCol": "",
        "numFolds": 3,
        "seed": 2,
        "estimatorParamMaps": [[{**entry, "value": value}] for value in ("0.5", "0.5", "0.001", "0.001")],
    }
    assert [[each["name"] for each in one] for one in fields["daskals"]["estimatorParamMaps"]] == [["solver"]] * 4
    fields = metadata(tmp_path / "tvs")
    assert sorted(fields["paramMap"]) == ["estimatorParamMaps", "seed", "trainRatio"]
    assert metadata(tmp_path / "tvs/estimator")["class"] == "org.apache.spark.ml.recommendation.ALS"
    assert metadata(tmp_path / "tvs/bestModel")["class"] == "org.apache.spark.ml.recommendation.ALSModel"


def test_ints_for_floats_are_saved_as_floats(als, tmp_path):
    """Spark's DoubleParam reads "1.0" and refuses "1"."""
    cross(als, [{als.regParam: 1, ALS.coldStartStrategy: "drop"}]).save(tmp_path / "cv")
    (entries,) = metadata(tmp_path / "cv")["paramMap"]["estimatorParamMaps"]
    assert [(each["parent"], each["value"]) for each in entries] == [(als.uid, "1.0"), (als.uid, '"drop"')]


def test_sub_models_are_saved_if_there_are_any_or_as_told(fitted, als, rank_two, tmp_path):
    model = fitted[0]
    model.write().option("persistSubModels", "false").save(tmp_path / "without")
    assert not (tmp_path / "without/subModels").exists()
    assert metadata(tmp_path / "without")["persistSubModels"] is False
    assert CrossValidatorModel.load(tmp_path / "without").subModels is None
    model.write().option("PERSISTsubmodels", "True").save(tmp_path / "with")
    assert (tmp_path / "with/subModels").exists()
    without = split(als).fit(rank_two)
    with pytest.raises(ValueError, match="no sub-models to save: fit again with collectSubModels=True"):
        without.write().option("persistSubModels", "true")
    with pytest.raises(ValueError, match="persistSubModels='maybe' is not allowed"):
        model.write().option("persistSubModels", "maybe")
    with pytest.raises(
        ValueError, match="not written with an option 'compression'; the only one is 'persistSubModels'"
    ):
        model.write().option("compression", "gzip")


def test_nan_and_infinite_metrics_are_valid_json(fitted, tmp_path):
    """Spark writes and reads them as strings."""
    model = fitted[0].copy()
    model.avgMetrics, model.stdMetrics = [float("nan"), float("inf"), -float("inf"), 1.5], []
    model.write().option("persistSubModels", False).save(tmp_path / "cv")
    assert metadata(tmp_path / "cv")["avgMetrics"] == ["NaN", "Infinity", "-Infinity", 1.5]
    loaded = CrossValidatorModel.load(tmp_path / "cv")
    np.testing.assert_array_equal(loaded.avgMetrics, model.avgMetrics)


def test_a_write_is_whole_or_absent(fitted, tmp_path, monkeypatch):
    model = fitted[1]
    model.save(tmp_path / "old")

    def fail(directory):
        raise OSError("disk full")

    monkeypatch.setattr(model.subModels[3], "_save", fail)
    with pytest.raises(OSError, match="disk full"):
        model.save(tmp_path / "new")
    with pytest.raises(OSError, match="disk full"):
        model.write().overwrite().save(tmp_path / "old")
    assert [each.name for each in tmp_path.iterdir()] == ["old"]
    assert TrainValidationSplitModel.load(tmp_path / "old").validationMetrics == model.validationMetrics
    with pytest.raises(FileExistsError, match="overwrite"):
        model.save(tmp_path / "old")


def test_what_cannot_be_saved_is_refused(als, fitted, tmp_path):
    with pytest.raises(ValueError, match="cannot be saved: estimator, evaluator, estimatorParamMaps not set"):
        CrossValidator().save(tmp_path / "a")
    with pytest.raises(TypeError, match="its estimator is of type Recorder, and only ALS could be loaded again"):
        scripted(1.0).save(tmp_path / "b")
    with pytest.raises(TypeError, match=r"evaluator is of type Scripted.*RegressionEvaluator or RankingEvaluator"):
        cross(als).setEvaluator(Scripted()).save(tmp_path / "c")
    with pytest.raises(ValueError, match="does not belong to"):
        cross(als, [{ALS().rank: 3}]).save(tmp_path / "d")
    with pytest.raises(ValueError, match="cannot be saved: estimator"):
        CrossValidatorModel(fitted[0].bestModel).save(tmp_path / "e")
    assert not list(tmp_path.iterdir())


ALS_UID, EVALUATOR_UID = "ALS_ffc299289dd5", "RegressionEvaluator_8c60084c07b1"


def write_as_spark_4(path, name, **more):
    """Metadata as Spark 4 writes them, with its checksum file beside."""
    folder = path / "metadata"
    folder.mkdir(parents=True)
    fields = {"class": f"org.apache.spark.ml.{name}", "timestamp": 1795492504679, "sparkVersion": "4.3.0"}
    file = "part-00000-2cfd81df-f164-4b66-981c-33184d1ee16e-c000.txt"
    (folder / file).write_text(json.dumps({**fields, **more}) + "\n")
    (folder / f".{file}.crc").write_bytes(b"crc\0")
    (folder / "_SUCCESS").touch()


def a_tuner_of_spark(path, *, maps=None, evaluator="evaluation.RegressionEvaluator", **more):
    """What Spark 4.3.0 was seen to write for a CrossValidator."""
    if maps is None:
        strategy = {"parent": ALS_UID, "name": "coldStartStrategy", "value": '"drop"', "isJson": "true"}
        iterations = {"parent": ALS_UID, "name": "maxIter", "value": "1"}  # Spark before 2.3 has no isJson
        maps = [[strategy, iterations], [{"parent": ALS_UID, "name": "regParam", "value": "1.0E-4", "isJson": "true"}]]
    values = {"numFolds": 2, "foldCol": "", "parallelism": 1, "collectSubModels": True, "seed": 5}
    defaults = {"collectSubModels": False, "foldCol": "", "numFolds": 3, "parallelism": 1, "seed": -1191137437}
    write_as_spark_4(
        path,
        "tuning.CrossValidator",
        uid="CrossValidator_87466db306a9",
        paramMap={**values, "estimatorParamMaps": maps, **more},
        defaultParamMap=defaults,
    )
    write_as_spark_4(path / "estimator", "recommendation.ALS", uid=ALS_UID, paramMap={"rank": 2}, defaultParamMap={})
    write_as_spark_4(
        path / "evaluator", evaluator, uid=EVALUATOR_UID, paramMap={"labelCol": "rating"}, defaultParamMap={}
    )


def test_what_spark_writes_is_loaded(tmp_path):
    a_tuner_of_spark(tmp_path)
    loaded = CrossValidator.load(tmp_path)
    als = loaded.getEstimator()
    assert (als.uid, als.getRank(), loaded.getNumFolds(), loaded.getSeed()) == (ALS_UID, 2, 2, 5)
    assert loaded.getEstimatorParamMaps() == [{als.coldStartStrategy: "drop", als.maxIter: 1}, {als.regParam: 1e-4}]
    assert loaded.getEvaluator().getLabelCol() == "rating"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"maps": [[{"parent": "LR_1", "name": "rank", "value": "1"}]]}, "'rank' is a parameter of LR_1"),
        ({"maps": [[{"parent": ALS_UID, "name": "foo", "value": "1"}]]}, "has no parameter 'foo'"),
        ({"maps": [[{"parent": ALS_UID, "name": "rank", "value": "{"}]]}, "estimatorParamMaps: Expecting property"),
        ({"maps": [[{"parent": ALS_UID, "name": "rank", "value": '"a"'}]]}, "Could not convert 'a' to int"),
        ({"maps": [[{"parent": ALS_UID, "value": "1"}]]}, "estimatorParamMaps: 'name'"),
        ({"maps": [5]}, "not iterable"),
        (
            {"maps": [[{"parent": ALS_UID, "name": "rank", "value": '"epm_rank0"', "isJson": "false"}]]},
            "not JSON but saved in",
        ),
        ({"maps": []}, None),
        ({"foo": 1}, "unknown parameter.*'foo'"),
        (
            {"evaluator": "evaluation.BinaryClassificationEvaluator"},
            "describes a .*BinaryClassificationEvaluator.* Here daskals loads RegressionEvaluator or RankingEvaluator",
        ),
    ],
)
def test_damaged_or_foreign_tuners_are_refused(tmp_path, how, words):
    a_tuner_of_spark(tmp_path / "cv", **how)
    if words is None:
        assert CrossValidator.load(tmp_path / "cv").getEstimatorParamMaps() == []
        return
    with pytest.raises(ValueError, match=words) as caught:
        CrossValidator.load(tmp_path / "cv")
    assert str(tmp_path / "cv") in str(caught.value)


def test_a_missing_part_is_named(fitted, tmp_path):
    a_tuner_of_spark(tmp_path / "cv")
    with pytest.raises(ValueError, match=r"describes a .*CrossValidator, expected class name .*TrainValidationSplit"):
        TrainValidationSplit.load(tmp_path / "cv")
    (tmp_path / "cv/estimator").rename(tmp_path / "cv/elsewhere")
    with pytest.raises(FileNotFoundError, match="cv/estimator holds no model"):
        CrossValidator.load(tmp_path / "cv")
    with pytest.raises(FileNotFoundError):
        CrossValidator.load(tmp_path / "nothing")
    fitted[1].save(tmp_path / "tvs")
    (tmp_path / "tvs/subModels/2").rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match="subModels/2 holds no model"):
        TrainValidationSplitModel.load(tmp_path / "tvs")


def test_metrics_that_are_no_numbers_are_refused(fitted, tmp_path):
    fitted[0].write().option("persistSubModels", "false").save(tmp_path / "cv")
    (file,) = (tmp_path / "cv/metadata").glob("part-*")
    file.write_text(json.dumps({**json.loads(file.read_text()), "avgMetrics": ["best"]}))
    with pytest.raises(ValueError, match="hold no numbers in avgMetrics"):
        CrossValidatorModel.load(tmp_path / "cv")


def test_ids_that_spark_cannot_load_are_warned_of(rank_two, als, tmp_path):
    model = split(als).fit(rank_two.assign(user="u" + rank_two["user"].astype(str)))
    with pytest.warns(UserWarning, match="Spark cannot load this model"):
        model.save(tmp_path / "tvs")
    with warnings.catch_warnings():
        loaded = TrainValidationSplitModel.load(tmp_path / "tvs", frames="pandas")
    assert_frame_equal(loaded.bestModel.userFactors, model.bestModel.userFactors)


def test_the_metadata_of_the_whole_come_last(fitted, monkeypatch):
    """Where files are moved one by one: a directory that has its own metadata has all its parts."""
    fs, moved = fsspec.filesystem("memory"), []
    copy = fs.copy
    monkeypatch.setattr(fs, "copy", lambda source, target, **more: moved.append(target) or copy(source, target, **more))
    fitted[1].write().overwrite().save("memory://tuning-order/model")
    own = [target.partition("/model/")[2].startswith("metadata/") for target in moved]
    assert own == sorted(own)
    assert sum(own) == 2
