"""Fits that are watched: they stop when nothing is gained, keep their best iteration, and tell of each one."""

import gc
import logging
import math
import os
import time

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse

from daskals import ALS, ALSModel
from daskals.engine.loop import Iteration
from daskals.evaluation import RankingEvaluator, RegressionEvaluator
from daskals.io import checkpoints
from daskals.recommendation.history import History

RMSE = RegressionEvaluator(labelCol="rating")
K = 5


def pairs_of(chosen, values):
    users, items = np.nonzero(chosen)
    return pd.DataFrame({"user": users, "item": items, "rating": values[users, items]})


def held_out(frame, share):
    """(training rows, held-out rows)"""
    rows = frame.sample(frac=share, random_state=1)
    return frame.drop(rows.index), rows


def both_kinds():
    """For each kind of fit its parameters, training and held-out rows: the best iteration is neither first nor last."""
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(70, 3)) @ rng.normal(size=(3, 50))
    noisy = np.round(matrix + rng.normal(size=matrix.shape), 1)
    explicit = pairs_of(rng.random(matrix.shape) < 0.4, noisy)
    liked = rng.random(matrix.shape) < 1 / (1 + np.exp(1.5 - matrix))
    implicit = pairs_of(liked, rng.integers(1, 5, matrix.shape).astype(float))
    common = {"rank": 6, "numUserBlocks": 3, "numItemBlocks": 2}
    return {
        "explicit": ({**common, "seed": 3, "regParam": 0.03}, *held_out(explicit, 0.2)),
        "implicit": (
            {**common, "seed": 2, "regParam": 0.01, "implicitPrefs": True, "validationK": K},
            *held_out(implicit, 0.25),
        ),
    }


KINDS = both_kinds()
COLUMN = {"explicit": "validationRmse", "implicit": "validationNdcg"}
each_kind = pytest.mark.parametrize("kind", KINDS)


def als(kind, **more):
    return ALS(**{**KINDS[kind][0], **more})


def bits(model):
    """Ids and factors of both sides."""
    found = []
    for side in dask.compute(model.userFactors, model.itemFactors):
        found += [side["id"].to_numpy(), np.stack(side["features"].to_numpy())]
    return found


def assert_same_bits(model, expected):
    for mine, its in zip(bits(model), bits(expected), strict=True):
        np.testing.assert_array_equal(mine, its)


def assert_alike(model, expected, atol=1e-5):
    for mine, its in zip(bits(model), bits(expected), strict=True):
        np.testing.assert_allclose(mine.astype(float), its.astype(float), rtol=0, atol=atol)


def measured_afterwards(kind, model, train, test):
    """The metric of a model by the evaluators."""
    if kind == "explicit":
        return RMSE.evaluate(model.transform(test))
    lists = model.recommendForUserSubset(test, K, exclude=train)
    return RankingEvaluator(metricName="ndcgAtK", k=K).evaluate(lists, heldOut=test, exclude=train)


def best_of(kind, metrics):
    return int(np.argmin(metrics) if kind == "explicit" else np.argmax(metrics)) + 1


# ---- the metric ------------------------------------------------------------------------------------------


@each_kind
def test_the_metric_is_that_of_the_evaluators(kind, scheduler):
    """Of models that were fitted with maxIter 1, 2, 3 and 4, each for itself."""
    _, train, test = KINDS[kind]
    model = als(kind, maxIter=4).fit(train, validation=test)
    expected = [measured_afterwards(kind, als(kind, maxIter=n).fit(train), train, test) for n in (1, 2, 3, 4)]
    assert len(set(np.round(expected, 4))) > 2, "they differ"
    np.testing.assert_allclose(model.history[COLUMN[kind]], expected, rtol=1e-5)


@each_kind
def test_a_dask_frame_is_measured_alike(kind, scheduler):
    _, train, test = KINDS[kind]
    expected = als(kind, maxIter=3).fit(train, validation=test)
    lazy = [dd.from_pandas(frame, npartitions=n, sort=False) for frame, n in ((train, 3), (test, 4))]
    found = als(kind, maxIter=3).fit(lazy[0], validation=lazy[1])
    np.testing.assert_allclose(found.history[COLUMN[kind]], expected.history[COLUMN[kind]], rtol=1e-5)


@each_kind
def test_rows_of_unknown_ids_are_left_out(kind):
    _, train, test = KINDS[kind]
    strangers = pd.DataFrame({"user": [10_000, 0, 10_001], "item": [0, 10_000, 10_001], "rating": [1.0, 2.0, 3.0]})
    expected = als(kind, maxIter=2).fit(train, validation=test).history[COLUMN[kind]]
    found = als(kind, maxIter=2).fit(train, validation=pd.concat([strangers, test])).history[COLUMN[kind]]
    assert found.tolist() == expected.tolist()


def test_what_is_relevant_to_nobody_is_not_counted():
    """Pairs that the training rows have, and rows that are not above 0."""
    _, train, test = KINDS["implicit"]
    idle = pd.concat([train.head(100), test.head(30).assign(rating=0.0), test.head(10).assign(rating=-1.0)])
    expected = als("implicit", maxIter=2).fit(train, validation=test.iloc[30:]).history
    found = als("implicit", maxIter=2).fit(train, validation=pd.concat([idle, test.iloc[30:]])).history
    assert found["validationNdcg"].tolist() == expected["validationNdcg"].tolist()


def test_pairs_that_occur_twice():
    """Explicit errors count twice; to be relevant, or rated, once is enough."""
    _, train, test = KINDS["explicit"]
    model = als("explicit", maxIter=1).fit(train, validation=pd.concat([test, test.head(50)]))
    expected = RMSE.evaluate(als("explicit", maxIter=1).fit(train).transform(pd.concat([test, test.head(50)])))
    assert model.history["validationRmse"][0] == pytest.approx(expected, rel=1e-6)
    _, train, test = KINDS["implicit"]
    train = pd.concat([train, train.head(200)])
    model = als("implicit", maxIter=1).fit(train, validation=pd.concat([test, test.head(50)]))
    expected = measured_afterwards("implicit", als("implicit", maxIter=1).fit(train), train, test)
    assert model.history["validationNdcg"][0] == pytest.approx(expected, rel=1e-6)


def test_ids_of_strings_and_a_k_beyond_all_items():
    _, train, test = KINDS["implicit"]
    train, test = (frame.assign(user="u" + frame.user.astype(str), item="i" + frame.item.astype(str))
                   for frame in (train, test))  # fmt: skip
    model = als("implicit", maxIter=1, validationK=1000).fit(train, validation=test)
    lists = model.recommendForUserSubset(test, 1000, exclude=train)
    evaluator = RankingEvaluator(metricName="ndcgAtK", k=1000)
    expected = evaluator.evaluate(lists, heldOut=test, exclude=train)
    assert model.history["validationNdcg"][0] == pytest.approx(expected, rel=1e-6)


def test_without_a_column_of_ratings_each_row_is_relevant():
    _, train, test = KINDS["implicit"]
    expected = als("implicit", maxIter=2).fit(train.assign(rating=1.0), validation=test)
    found = als("implicit", maxIter=2, ratingCol="").fit(train[["user", "item"]], validation=test[["user", "item"]])
    assert found.history["validationNdcg"].tolist() == expected.history["validationNdcg"].tolist()


def test_frames_of_other_libraries_matrices_and_arrays():
    _, train, test = KINDS["explicit"]
    expected = als("explicit", maxIter=2).fit(train, validation=test).history["validationRmse"].tolist()
    shape = (train.user.max() + 1, train.item.max() + 1)
    whole = [frame.to_numpy(np.float64) for frame in (train, test)]
    sparse = [scipy.sparse.coo_matrix((a[:, 2], a[:, :2].astype(int).T), shape) for a in whole]
    arrow = [pa.Table.from_pandas(frame, preserve_index=False) for frame in (train, test)]
    streams = [arrow[0], pa.RecordBatchReader.from_batches(arrow[1].schema, arrow[1].to_batches())]
    for rows, held in (whole, sparse, arrow, streams, (train, arrow[1])):
        model = als("explicit", maxIter=2).fit(rows, validation=held)
        assert model.history["validationRmse"].tolist() == pytest.approx(expected, rel=1e-6)
    estimator = als("explicit", maxIter=2)
    stream = pa.RecordBatchReader.from_batches(arrow[1].schema, arrow[1].to_batches())
    for model in estimator.fit(train, [{estimator.numUserBlocks: n} for n in (3, 4)], validation=stream):
        assert len(model.history["validationRmse"]) == 2


def test_blocks_do_not_matter():
    for kind, (_, train, test) in KINDS.items():
        metrics = []
        for blocks in ((1, 1), (70, 50), (7, 5)):
            with dask.config.set({"daskals.user-blocks": blocks[0], "daskals.item-blocks": blocks[1]}):
                metrics.append(als(kind, maxIter=2).fit(train, validation=test).history[COLUMN[kind]].tolist())
        np.testing.assert_allclose(metrics[1:], [metrics[0]] * 2, rtol=1e-5)


# ---- the best iteration ----------------------------------------------------------------------------------


@each_kind
def test_the_best_iteration_is_kept_to_the_bit(kind, scheduler):
    _, train, test = KINDS[kind]
    model = als(kind, maxIter=9).fit(train, validation=test)
    assert len(model.history) == 9
    best = best_of(kind, model.history[COLUMN[kind]])
    assert 1 < best < 9
    assert model.bestIteration == best
    plain = als(kind, maxIter=best).fit(train)
    assert_same_bits(model, plain) if scheduler != "distributed" or kind == "explicit" else assert_alike(model, plain)
    assert np.abs(bits(model)[1] - bits(als(kind, maxIter=9).fit(train))[1]).max() > 1e-2, "the last one differs"


@each_kind
def test_patience_stops_and_keeps_the_best(kind):
    _, train, test = KINDS[kind]
    full = als(kind, maxIter=12).fit(train, validation=test)
    for patience in (1, 2, 3):
        metrics = full.history[COLUMN[kind]].tolist()
        stop = next((n for n in range(1, 13) if n - best_of(kind, metrics[:n]) >= patience), 12)
        model = als(kind, maxIter=12, patience=patience).fit(train, validation=test)
        assert model.history[COLUMN[kind]].tolist() == metrics[:stop]
        assert stop < 12
        assert model.bestIteration == stop - patience
        assert_same_bits(model, als(kind, maxIter=stop - patience).fit(train))


def test_of_equal_metrics_the_first_is_the_best():
    """A user with one item that is left: it is found by any factors."""
    train = pd.DataFrame({"user": [0, 0, 1, 1, 1], "item": [0, 1, 0, 1, 2], "rating": 1.0})
    test = pd.DataFrame({"user": [0], "item": [2], "rating": 1.0})
    model = ALS(rank=2, maxIter=5, implicitPrefs=True, patience=3).fit(train, validation=test)
    assert model.history["validationNdcg"].tolist() == [1.0] * 4
    assert model.bestIteration == 1


@pytest.mark.parametrize("implicit", [False, True])
def test_a_metric_that_is_no_number_is_never_the_best(implicit):
    """Where none is a number, the model is the last one."""
    cases = {(3.0, 1.0, 2.0): (2, 1), (np.nan, 4.0, 4.0): (2, 2), (np.nan, np.inf): (2, 2), (np.nan, np.nan): (2, 2)}
    for metrics, expected in cases.items():
        history = History(implicit=implicit, validated=True)
        for number, metric in enumerate(metrics, 1):
            history.append(Iteration(number, 1.0, 1.0, 1.0), metric)
        assert history.best == expected[implicit], metrics


def test_without_validation_nothing_is_new():
    _, train, _ = KINDS["explicit"]
    model = als("explicit", maxIter=3).fit(train)
    assert model.history.columns.tolist() == ["iteration", "objective", "rmse", "seconds"]
    assert model.bestIteration == 3
    assert als("explicit", maxIter=0).fit(train).bestIteration is None


@each_kind
def test_the_metric_is_saved_with_the_model(kind, tmp_path):
    _, train, test = KINDS[kind]
    model = als(kind, maxIter=9).fit(train, validation=test)
    model.save(str(tmp_path / "model"))
    loaded = ALSModel.load(str(tmp_path / "model"))
    pd.testing.assert_frame_equal(loaded.history, model.history)
    assert loaded.bestIteration == model.bestIteration < 9
    assert loaded.parent.getPatience() == 0


def test_several_fits_share_the_validation_rows():
    _, train, test = KINDS["explicit"]
    estimator = als("explicit", maxIter=3)
    models = estimator.fit(train, [{estimator.regParam: 0.1}, {estimator.regParam: 1.0}], validation=test)
    for model, reg in zip(models, (0.1, 1.0), strict=True):
        expected = als("explicit", maxIter=3, regParam=reg).fit(train, validation=test)
        assert model.history["validationRmse"].tolist() == expected.history["validationRmse"].tolist()


def test_the_log_tells_the_metric(caplog):
    _, train, test = KINDS["explicit"]
    with caplog.at_level(logging.INFO, "daskals"):
        model = als("explicit", maxIter=1).fit(train, validation=test)
    assert f"validation RMSE {model.history['validationRmse'][0]:.6g}" in caplog.text


# ---- tol -------------------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("tol", [0.2, 0.03])
def test_tol_stops_where_the_objective_hardly_changes(kind, tol):
    _, train, _ = KINDS[kind]
    objective = als(kind, maxIter=20).fit(train).history["objective"].to_numpy()
    small = np.flatnonzero(np.abs(np.diff(objective)) <= tol * np.abs(objective[:-1]))
    stop = int(small[0]) + 2  # the first iteration has nothing before it
    assert 2 < stop < 20
    model = als(kind, maxIter=20, tol=tol).fit(train)
    assert model.history["objective"].tolist() == objective[:stop].tolist()
    assert_same_bits(model, als(kind, maxIter=stop).fit(train))


def test_a_tol_of_nothing_never_stops():
    frame = pd.DataFrame({"user": [0, 0, 1], "item": [0, 1, 1], "rating": [1.0, 2.0, 3.0]})
    model = ALS(rank=1, maxIter=200).fit(frame)
    assert model.history["objective"].iloc[-1] == model.history["objective"].iloc[-2], "it has converged"
    assert len(model.history) == 200


# ---- callbacks -------------------------------------------------------------------------------------------


@each_kind
def test_callbacks_are_told_what_the_history_says(kind, scheduler):
    _, train, test = KINDS[kind]
    seen = []
    model = als(kind, maxIter=9).fit(train, validation=test, callbacks=[seen.append])
    told = pd.DataFrame([(i.number, i.objective, i.rmse, i.seconds, i.validation) for i in seen])
    assert told.to_numpy().tolist() == model.history.to_numpy().tolist()
    metrics = model.history[COLUMN[kind]].tolist()
    assert [each.best for each in seen] == [best_of(kind, metrics[:n]) for n in range(1, 10)]


def test_without_validation_a_callback_is_told_of_none():
    _, train, _ = KINDS["explicit"]
    seen = []
    als("explicit", maxIter=2).fit(train, callbacks=[seen.append])
    assert [(each.validation, each.best) for each in seen] == [(None, 1), (None, 2)]


@pytest.mark.parametrize("true", [True, np.True_])
def test_a_callback_can_stop_a_fit_and_all_are_called(true):
    _, train, _ = KINDS["explicit"]
    seen = []
    model = als("explicit", maxIter=9).fit(
        train, callbacks=[lambda each: true if each.number == 3 else None, lambda each: seen.append(each.number)]
    )
    assert seen == model.history["iteration"].tolist() == [1, 2, 3]
    assert_same_bits(model, als("explicit", maxIter=3).fit(train))


def test_what_a_callback_must_not_return():
    _, train, _ = KINDS["explicit"]
    with pytest.raises(TypeError, match="returned 1: it must return True to stop the fit, and None or False"):
        als("explicit").fit(train, callbacks=[lambda each: each.number])


@pytest.mark.parametrize("callbacks", [print, [print, 3], "print", None])
def test_what_are_no_callbacks(callbacks):
    _, train, _ = KINDS["explicit"]
    with pytest.raises(TypeError, match="callbacks must be a list of functions of one argument"):
        als("explicit").fit(train, callbacks=callbacks)


class Unhappy(Exception):
    """Raised by a callback."""


def test_what_a_callback_raises_comes_out_and_leaves_nothing(cluster):
    def unhappy(iteration):
        if iteration.number == 2:
            raise Unhappy("of iteration 2")

    def tasks():
        return set(cluster.run_on_scheduler(lambda dask_scheduler: [str(key) for key in dask_scheduler.tasks]))

    _, train, test = KINDS["explicit"]
    with cluster.as_current():
        gc.collect()
        before, text = tasks(), ""
        try:
            als("explicit").fit(train, validation=test, callbacks=[unhappy])
        except Unhappy as error:
            text = str(error)
        assert text == "of iteration 2"
        deadline = time.monotonic() + 5
        while (left := tasks() - before) and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.05)
        assert not left


def test_of_a_measured_fit_nothing_but_the_factors_stays(cluster):
    """Neither held-out rows nor the factors of other iterations."""
    _, train, test = KINDS["implicit"]

    def in_memory():
        found = cluster.run_on_scheduler(
            lambda dask_scheduler: [str(key) for key, task in dask_scheduler.tasks.items() if task.state == "memory"]
        )
        return set(found)

    with cluster.as_current():
        gc.collect()
        before = in_memory()
        model = als("implicit", maxIter=9).fit(train, validation=test)
        deadline = time.monotonic() + 5
        while kinds := {key for key in in_memory() - before if not key.startswith("als-pin-")}:
            assert time.monotonic() < deadline, kinds
            gc.collect()
            time.sleep(0.05)
        assert model.bestIteration < 9


# ---- what is refused -------------------------------------------------------------------------------------


def test_validation_of_which_nothing_counts():
    _, train, test = KINDS["explicit"]
    with pytest.raises(ValueError, match="None of the 0 rows of validation has a user and an item"):
        als("explicit").fit(train, validation=test.head(0))
    with pytest.raises(ValueError, match="None of the 5 rows of validation has a user and an item"):
        als("explicit").fit(train, validation=test.head(5).assign(user=10_000))
    _, train, test = KINDS["implicit"]
    with pytest.raises(
        ValueError, match="None of the 7 rows of validation that have a known user and item is relevant"
    ):
        als("implicit").fit(train, validation=train.head(7))


FAULTS = {
    "a column": (lambda test: test.drop(columns="item"), ValueError, "No column 'item' in validation"),
    "ids": (lambda test: test.assign(user=test.user.astype(str)), TypeError, "ids of kind str"),
    "a rating": (lambda test: test.assign(rating=np.nan), ValueError, "null or NaN"),
    "no frame": (lambda test: 3, TypeError, "must be a pandas or a dask DataFrame"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_validation_rows(fault):
    spoil, kind, words = FAULTS[fault]
    _, train, test = KINDS["explicit"]
    with pytest.raises(kind, match=words) as error:
        als("explicit").fit(train, validation=spoil(test))
    assert "validation" in "\n".join([str(error.value), *getattr(error.value, "__notes__", [])])


def test_what_has_no_effect_is_said():
    _, train, _ = KINDS["explicit"]
    with pytest.warns(UserWarning, match=r"patience=3 has no effect in daskals without fit\(..., validation=frame\)"):
        als("explicit", maxIter=1, patience=3).fit(train)


@pytest.mark.parametrize(("name", "value"), [("tol", -0.1), ("tol", math.inf), ("patience", -1), ("validationK", 0)])
def test_values_out_of_range(name, value):
    _, train, _ = KINDS["explicit"]
    with pytest.raises(ValueError, match=name):
        als("explicit", **{name: value}).fit(train)


# ---- going on from a checkpoint --------------------------------------------------------------------------


class Interruption(Exception):
    """Ends a fit after some iteration."""


def interrupt_after(number):
    def callback(iteration):
        if iteration.number == number:
            raise Interruption

    return callback


def assert_undisturbed(model, expected):
    assert_alike(model, expected)
    assert model.bestIteration == expected.bestIteration
    columns = [name for name in expected.history if name != "seconds"]
    assert model.history.columns.tolist() == expected.history.columns.tolist()
    np.testing.assert_allclose(model.history[columns], expected.history[columns], rtol=1e-4)


@each_kind
@pytest.mark.parametrize("interval", [1, 3])
def test_a_fit_that_goes_on_is_undisturbed(kind, interval, tmp_path):
    """Wherever it was interrupted: before the best iteration, and after it."""
    _, train, test = KINDS[kind]
    more = {"maxIter": 12, "patience": 2}
    expected = als(kind, **more).fit(train, validation=test)
    last = len(expected.history)
    assert last < 12
    for number in range(1, last + 1):
        place = {"checkpointDir": str(tmp_path / str(number)), "checkpointInterval": interval}
        with pytest.raises(Interruption):
            als(kind, **more, **place).fit(train, validation=test, callbacks=[interrupt_after(number)])
        seen = []
        model = als(kind, **more, **place).fit(
            train, validation=test, resume=True, callbacks=[lambda each, seen=seen: seen.append(each.number)]
        )
        assert seen == list(range(number // interval * interval + 1, last + 1)), "no iteration is done again"
        assert_undisturbed(model, expected)


def test_the_best_iteration_stays_on_disk(tmp_path):
    """Beside the newest two, and no longer than it is the best."""
    _, train, test = KINDS["explicit"]
    place = {"checkpointDir": str(tmp_path), "checkpointInterval": 4}
    model = als("explicit", maxIter=16, **place).fit(train, validation=test)
    best = best_of("explicit", model.history["validationRmse"])
    assert best in (5, 6, 7), "between two checkpoints"
    (folder,) = tmp_path.glob("fit-*")
    assert sorted(os.listdir(folder)) == [f"iteration-{number:06d}" for number in (best, 12, 16)]
    kept = ALSModel.load(str(folder / f"iteration-{best:06d}"))
    assert (len(kept.history), kept.bestIteration) == (best, best)
    assert_same_bits(kept, als("explicit", maxIter=best).fit(train))


@each_kind
@pytest.mark.parametrize("rule", [{"tol": 0.03}, {"patience": 2}])
def test_a_fit_goes_on_from_where_it_would_have_come_itself(kind, rule, tmp_path):
    """Checkpoints of one that did not stop are of no use from where it would have stopped."""
    _, train, test = KINDS[kind]
    expected = als(kind, maxIter=12, **rule).fit(train, validation=test)
    stop = len(expected.history)
    assert 2 < stop < 12
    for last in (stop - 1, stop, stop + 1, 12):
        place = {"checkpointDir": str(tmp_path / str(last)), "checkpointInterval": 1}
        als(kind, maxIter=last, **place).fit(train, validation=test)
        model = als(kind, maxIter=12, **rule, **place).fit(train, validation=test, resume=True)
        assert_undisturbed(model, expected)


def test_a_checkpoint_whose_best_iteration_is_gone_is_passed_over(tmp_path, caplog):
    _, train, test = KINDS["explicit"]
    place = {"checkpointDir": str(tmp_path), "checkpointInterval": 4}
    best = als("explicit", maxIter=10, **place).fit(train, validation=test).bestIteration
    (folder,) = tmp_path.glob("fit-*")
    (folder / f"iteration-{best:06d}").rename(tmp_path / "elsewhere")
    model = als("explicit", maxIter=10, **place).fit(train, validation=test, resume=True)
    assert f"its best iteration, {best}, is gone" in caplog.text
    assert_undisturbed(model, als("explicit", maxIter=10).fit(train, validation=test))


def test_checkpoints_of_other_validation_rows_are_refused(tmp_path):
    _, train, test = KINDS["implicit"]
    place = {"checkpointDir": str(tmp_path), "checkpointInterval": 1}
    als("implicit", maxIter=2, **place).fit(train, validation=test)
    again = als("implicit", maxIter=3, **place)
    for other in ({"validation": test.iloc[1:]}, {"validation": test, "params": {again.validationK: K + 1}}):
        with pytest.raises(ValueError, match=r"measured by NDCG at 5 of .*Pass the same validation= and validationK"):
            again.fit(train, resume=True, **other)
    assert len(again.fit(train, validation=test.sample(frac=1), resume=True).history) == 3
    plain = again.fit(train, resume=True)
    assert_undisturbed(plain, als("implicit", maxIter=3).fit(train))


def test_checkpoints_without_a_metric_are_refused_where_one_is_needed(tmp_path):
    _, train, test = KINDS["explicit"]
    place = {"checkpointDir": str(tmp_path), "checkpointInterval": 1}
    als("explicit", maxIter=2, **place).fit(train)
    with pytest.raises(ValueError, match="measured by no validation rows after each iteration"):
        als("explicit", maxIter=3, **place).fit(train, validation=test, resume=True)


def test_a_fit_too_large_to_pin_reads_its_best_from_the_checkpoint(tmp_path, cluster, monkeypatch):
    """It begins anew from each checkpoint, and what was the best before must not hang on what that let go."""
    _, train, test = KINDS["explicit"]
    expected = als("explicit", maxIter=12).fit(train, validation=test)
    read, inner = [], checkpoints.Checkpoints.read
    monkeypatch.setattr(
        checkpoints.Checkpoints,
        "read",
        lambda self, number, ratings: read.append(number) or inner(self, number, ratings),
    )
    with dask.config.set({"daskals.durable-bytes": 0}), cluster.as_current():
        place = {"checkpointDir": str(tmp_path), "checkpointInterval": 4}
        model = als("explicit", maxIter=12, **place).fit(train, validation=test)
        assert_undisturbed(model, expected)
    assert expected.bestIteration % 4
    assert read == [4, 8, 12, expected.bestIteration]
