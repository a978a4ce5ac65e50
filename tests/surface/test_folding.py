"""New users and items without a new fit."""

import gc
import inspect
import warnings

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from support import reference
from support.at_once import at_once
from support.models import pandas, write_metadata, write_side

from daskals import ALS, ALSModel

KINDS = {
    "explicit": {},
    "implicit": {"implicitPrefs": True, "alpha": 3.0},
    "nonnegative": {"nonnegative": True},
    "implicit, double": {"implicitPrefs": True, "precision": "double"},
}
FIT = {"rank": 4, "maxIter": 2, "seed": 3, "regParam": 0.1}


@pytest.fixture(scope="module")
def frame():
    """2,000 ratings of 60 users and 40 items, some pairs twice; ids are multiples of ten."""
    rng = np.random.default_rng(7)
    return pd.DataFrame({"user": rng.integers(0, 60, 2000) * 10, "item": rng.integers(0, 40, 2000) * 10,
                         "rating": rng.integers(1, 11, 2000) / 2})  # fmt: skip


@pytest.fixture(scope="module")
def model(frame):
    return ALS(**FIT).fit(frame)


def rows(factors):
    factors = pandas(factors)
    return dict(zip(factors["id"].tolist(), map(np.array, factors["features"].tolist()), strict=True))


def assert_rows(found, expected, atol=1e-5):
    assert found.keys() == expected.keys()
    for each in expected:
        np.testing.assert_allclose(found[each], expected[each], atol=atol)


def both(frame, npartitions=3):
    return {"pandas": frame, "dask": dd.from_pandas(frame, npartitions=npartitions, sort=False)}


# ---- the half-step of a fit ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_users_with_all_their_ratings_get_the_rows_of_the_fit(frame, kind):
    """The last half-step of a fit solves users."""
    model = ALS(**FIT, **KINDS[kind]).fit(frame)
    folded = model.foldInUsers(frame)
    assert_rows(rows(folded.userFactors), rows(model.userFactors), 1e-6)
    assert_rows(rows(folded.itemFactors), rows(model.itemFactors), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_items_with_all_their_ratings_get_the_rows_of_the_next_iteration(frame, kind):
    """The first half-step of an iteration solves items from the users of the one before."""
    fits = [ALS(**{**FIT, "maxIter": n}, **KINDS[kind]).fit(frame) for n in (2, 3)]
    folded = fits[0].foldInItems(frame)
    assert_rows(rows(folded.itemFactors), rows(fits[1].itemFactors), 1e-5)
    assert_rows(rows(folded.userFactors), rows(fits[0].userFactors), 0)


@pytest.mark.parametrize("implicit", [False, True])
def test_on_real_data(ml100k, implicit):
    """Of every ninth user only the first half of the ratings; the others stay."""
    model = ALS(rank=8, maxIter=3, seed=1, implicitPrefs=implicit).fit(ml100k.base)
    some = ml100k.base[ml100k.base.user % 9 == 0]
    some = some[some.groupby("user").cumcount() < 5]
    folded = model.foldInUsers(some)
    Y, expected = rows(model.itemFactors), rows(model.userFactors)
    places = {each: n for n, each in enumerate(Y)}
    matrix = np.stack(list(Y.values())).astype(np.float64)
    for user, theirs in some.groupby("user"):
        rated = [places[each] for each in theirs.item]
        expected[user] = reference.solve(matrix, rated, theirs.rating.to_numpy(), 0.1, 1.0 if implicit else None)
    assert_rows(rows(folded.userFactors), expected, 1e-4)


def test_conjugate_gradients_are_solved_exactly(frame):
    model = ALS(**FIT, solver="cg", cgSteps=1).fit(frame)
    exact = rows(model.foldInUsers(frame).userFactors)
    Y = np.stack(list(rows(model.itemFactors).values())).astype(np.float64)
    mine = frame[frame.user == 20]
    np.testing.assert_allclose(exact[20], reference.solve(Y, mine.item // 10, mine.rating.to_numpy(), 0.1), atol=1e-5)


# ---- added, replaced, passed over ------------------------------------------------------------------------


@pytest.fixture
def newcomers(frame):
    """Users 5, -3 and 10,000 have the ratings of 20, 30 and 40; user 50 has those of 60."""
    given = frame[frame.user.isin([20, 30, 40, 60])]
    return given.assign(user=given.user.map({20: 5, 30: -3, 40: 10_000, 60: 50}))


@pytest.mark.parametrize(
    ("given", "fitted"), [pytest.param("pandas", "dask", marks=pytest.mark.slow), ("dask", "pandas")]
)
def test_rows_are_added_and_replaced_on_every_scheduler(scheduler, frame, newcomers, given, fitted):
    model = ALS(**FIT).fit(both(frame)[fitted])
    before = rows(model.userFactors)
    folded = model.foldInUsers(both(newcomers)[given])
    expected = {**before, 5: before[20], -3: before[30], 10_000: before[40], 50: before[60]}
    assert_rows(rows(folded.userFactors), dict(sorted(expected.items())))
    assert list(rows(folded.userFactors)) == sorted(expected)
    assert isinstance(folded.userFactors, type(both(frame)[fitted]))
    assert_rows(rows(model.userFactors), before, 0)
    scores = pandas(folded.transform(pd.DataFrame({"user": [5, 20, -3, 30], "item": [0, 0, 70, 70]}))).prediction
    np.testing.assert_allclose(scores[::2], scores[1::2], atol=1e-5)
    best = pandas(folded.recommendForUserSubset(pd.DataFrame({"user": [5, 20]}), 3)).recommendations
    assert [each["item"] for each in best[0]] == [each["item"] for each in best[1]]


def test_uid_parameters_history_and_parent_stay(model, newcomers):
    changed = model.copy().setPredictionCol("score")
    folded = changed.foldInUsers(newcomers)
    assert (folded.uid, folded.extractParamMap()) == (changed.uid, changed.extractParamMap())
    assert_frame_equal(folded.history, model.history)
    assert folded.parent.extractParamMap() == model.parent.extractParamMap()
    assert folded.rank == model.rank
    assert type(folded) is ALSModel


def test_unknown_items_are_passed_over(model, frame):
    mine = frame[frame.user == 20].assign(user=5)
    strange = pd.DataFrame({"user": [5, 7, 20], "item": [3, 4, 5], "rating": [5.0, 1.0, 1.0]})
    found = rows(model.foldInUsers(pd.concat([mine, strange])).userFactors)
    before = rows(model.userFactors)
    assert_rows(found, dict(sorted({**before, 5: before[20]}.items())))  # none for 7, and 20 keeps the old one


@pytest.mark.parametrize("given", ["pandas", "dask"])
def test_no_ratings_change_nothing(model, frame, given):
    empty = both(frame, 1)["dask"].partitions[:1] if given == "dask" else frame
    folded = model.foldInUsers(empty[empty.user < 0])
    assert_frame_equal(folded.userFactors, model.userFactors)


def test_a_pair_that_stands_twice_counts_twice(model, frame):
    once = frame[frame.user == 20].drop_duplicates("item").assign(user=5)
    extra = once.iloc[:1].assign(rating=0.5)
    found = rows(model.foldInUsers(pd.concat([once, extra])).userFactors)[5]
    Y = np.stack(list(rows(model.itemFactors).values())).astype(np.float64)
    both_ = pd.concat([once, extra])
    np.testing.assert_allclose(found, reference.solve(Y, both_.item // 10, both_.rating.to_numpy(), 0.1), atol=1e-5)
    assert np.abs(found - rows(model.foldInUsers(once).userFactors)[5]).max() > 1e-3


def test_items_and_users_one_after_the_other(model, frame):
    """An item that is new, rated by users who are new."""
    step = model.foldInUsers(frame[frame.user == 20].assign(user=5))
    step = step.foldInItems(pd.DataFrame({"user": [5, 30], "item": [7, 7], "rating": [5.0, 1.0]}))
    X = rows(step.userFactors)
    expected = reference.solve(np.stack([X[5], X[30]]).astype(np.float64), [0, 1], np.array([5.0, 1.0]), 0.1)
    np.testing.assert_allclose(rows(step.itemFactors)[7], expected, atol=1e-5)


def test_a_folded_model_is_saved_and_loaded_and_folded_again(model, newcomers, frame, tmp_path):
    folded = model.foldInUsers(newcomers)
    folded.save(str(tmp_path / "folded"))
    loaded = ALSModel.load(str(tmp_path / "folded"), frames="pandas")
    assert_frame_equal(loaded.userFactors, folded.userFactors)
    again = loaded.foldInUsers(frame[frame.user == 20].assign(user=6))  # of files that are read when they are needed
    assert_rows({6: rows(again.userFactors)[6]}, {6: rows(model.userFactors)[20]})
    again.save(str(tmp_path / "again"))
    assert_frame_equal(ALSModel.load(str(tmp_path / "again"), frames="pandas").userFactors, again.userFactors)


def test_numbers_of_ratings_go_along(model, frame, sparks, tmp_path):
    """Those of known items, for a matrix that has them."""
    mine = frame[frame.user == 20].head(7).assign(user=5)
    fewer = frame[frame.user == 30].head(2)
    strange = pd.DataFrame({"user": [5], "item": [3], "rating": [1.0]})
    folded = model.foldInUsers(pd.concat([mine, strange, fewer]))
    counts = frame.groupby("user").size()
    counts[5], counts[30] = 7, 2
    folded.save(str(tmp_path / "folded"))
    for each in (folded, ALSModel.load(str(tmp_path / "folded"))):
        assert dask.compute(each._factors.users.counts)[0].tolist() == counts.sort_index().tolist()
        assert each._factors.items.counts is not None
    found = folded.recommendForAllItems(100, minSupport=8, flat=True)["user"]
    assert set(found) == set(counts[counts >= 8].index)
    assert sparks.foldInUsers(NEW, regParam=0.3, implicitPrefs=False)._factors.users.counts is None


# ---- ids -------------------------------------------------------------------------------------------------


def widths():
    """Ids of the model, new ids, and how all are shown afterwards."""
    dates = pd.date_range("2020-01-01", periods=6, freq="D")
    return {
        "int32, small": (np.arange(6, dtype=np.int32), [9], "int32"),
        "int32, wide": (np.arange(6, dtype=np.int32), [2**40, -(2**40)], "int64"),
        "uint32, negative": (np.arange(6, dtype=np.uint32), [-1], "int64"),
        "int64": (np.arange(6) + 2**60, [2**62], "int64"),
        "uint64": (np.arange(6, dtype=np.uint64), np.array([2**63 + 5], np.uint64), "uint64"),
        "uint64 from int64": (np.arange(6, dtype=np.uint64), [7], "uint64"),
        "floats": (np.arange(6.0), [7.0], "int64"),
        "strings": (np.array(list("abcdef"), object), ["cc", "", "ü"], None),
        "categories": (pd.Categorical(list("abcdef")), pd.Categorical(["bb"]), None),
        "seconds": (dates.astype("datetime64[s]"), pd.to_datetime(["2019-05-05"]), "datetime64[s]"),
        "seconds, nanoseconds": (dates.astype("datetime64[s]"), pd.to_datetime(["2019-05-05 00:00:00.000000001"]),
                                 "datetime64[ns]"),
    }  # fmt: skip


@pytest.mark.parametrize("kind", widths())
def test_ids_of_every_kind(kind, tmp_path):
    ids, new, shown = widths()[kind]
    users = pd.Series(ids)
    frame = pd.DataFrame({"user": users, "item": [0, 1, 2] * 2, "rating": [1.0, 2, 3, 4, 5, 6]})
    model = ALS(rank=2, maxIter=1).fit(frame)
    given = pd.DataFrame({"user": pd.Series(new), "item": [1] * len(new), "rating": [3.0] * len(new)})
    folded = model.foldInUsers(given)
    ids = folded.userFactors["id"]
    assert str(ids.dtype) == (shown or str(model.userFactors["id"].dtype))
    assert ids.tolist() == sorted({*model.userFactors["id"].tolist(), *given.user.tolist()})
    assert folded.transform(given).prediction.notna().all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ids that Spark does not have
        folded.save(str(tmp_path / "model"))
    assert_frame_equal(ALSModel.load(str(tmp_path / "model"), frames="pandas").userFactors, folded.userFactors)


@pytest.mark.parametrize(
    ("ids", "new", "named"),
    [(np.arange(3), np.array([2**63], np.uint64), 2**63), (np.arange(3, dtype=np.uint64), np.array([1, -4]), -4)],
    ids=["too large", "negative"],
)
def test_an_id_that_the_kind_of_the_model_does_not_have_is_named(ids, new, named):
    frame = pd.DataFrame({"user": ids, "item": [0, 1, 2], "rating": [1.0, 2, 3]})
    model = ALS(rank=2, maxIter=1).fit(frame)
    with pytest.raises(ValueError, match=f"Column 'user' has the id {named}, but those of the model are u?int64"):
        model.foldInUsers(pd.DataFrame({"user": new, "item": 0, "rating": 1.0}))
    with pytest.raises(TypeError, match=r"kind str, but the model was trained on ids of kind u?int64"):
        model.foldInUsers(pd.DataFrame({"user": ["a"], "item": 0, "rating": 1.0}))


# ---- how ratings are taken -------------------------------------------------------------------------------


@pytest.fixture
def sparks(tmp_path):
    write_metadata(tmp_path / "model")
    for side in ("userFactors", "itemFactors"):
        write_side(tmp_path / "model" / side, [1, 2, 3], [[1.0, 2.0], [3.0, 4.0], [0.5, -1.0]], parts=2)
    return ALSModel.load(str(tmp_path / "model"), frames="pandas")


NEW = pd.DataFrame({"user": [9, 9], "item": [1, 3], "rating": [5.0, 2.0], "stars": [1.0, 4.0]})


def test_a_model_that_does_not_know_its_fit_is_told(sparks):
    Y = np.array([[1.0, 2.0], [3.0, 4.0], [0.5, -1.0]])
    found = rows(sparks.foldInUsers(NEW, regParam=0.3, implicitPrefs=False).userFactors)
    assert list(found) == [1, 2, 3, 9]
    np.testing.assert_allclose(found[9], reference.solve(Y, [0, 2], np.array([5.0, 2.0]), 0.3), atol=1e-5)
    how = {"regParam": 0.2, "implicitPrefs": True, "alpha": 4.0, "nonnegative": True, "ratingCol": "stars"}
    found = rows(sparks.foldInUsers(NEW, **how).userFactors)
    np.testing.assert_allclose(found[9], reference.solve(Y, [0, 2], np.array([1.0, 4.0]), 0.2, 4.0, True), atol=1e-5)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "pass regParam=, implicitPrefs= as in that fit"),
        ({"regParam": 0.1}, "pass implicitPrefs= as in that fit"),
        ({"regParam": 0.1, "implicitPrefs": True}, "pass alpha= as in that fit"),
    ],
)
def test_what_is_missing_is_named(sparks, given, missing):
    for call in (sparks.foldInUsers, sparks.foldInItems):
        with pytest.raises(ValueError, match=missing):
            call(NEW, **given)


def test_keywords_override_the_fit(model, frame):
    mine = frame[frame.user == 20].assign(user=5, stars=frame.rating).drop(columns="rating")
    Y = np.stack(list(rows(model.itemFactors).values())).astype(np.float64)
    found = rows(model.foldInUsers(mine, regParam=2.0, ratingCol="stars").userFactors)[5]
    np.testing.assert_allclose(found, reference.solve(Y, mine.item // 10, mine.stars.to_numpy(), 2.0), atol=1e-5)
    assert model.parent.getRegParam() == 0.1


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda f: f.drop(columns="rating"), ValueError, "No column 'rating' in the dataset"),
        (lambda f: f.rename(columns={"user": "who"}), ValueError, "No column 'user'"),
        (lambda f: f.assign(rating="good"), TypeError, "ratings must be numbers"),
        (lambda f: f.assign(rating=np.nan), ValueError, "null or NaN"),
        (lambda f: f.assign(rating=np.inf), ValueError, "not a finite float32"),
        (lambda f: f.assign(user=1.5), ValueError, "whole numbers"),
        (lambda f: f.assign(user=pd.array([None] * len(f), "Int64")), ValueError, "'user' is null"),
        (lambda f: f.assign(item="a"), TypeError, "ids of kind str, but the model was trained on ids of kind int64"),
        (lambda f: f.to_numpy().tolist(), TypeError, "The dataset must be"),
        (lambda f: None, TypeError, "The dataset must be"),
    ],
)
def test_bad_ratings_are_answered(model, frame, change, error, says):
    for call in (model.foldInUsers, lambda given: model.recommendForRatings(given, 3)):
        with pytest.raises(error, match=says):
            call(change(frame.head(9)))


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"regParam": -1.0}, ValueError, "regParam=-1.0 is not allowed"),
        ({"regParam": "much"}, TypeError, 'param "regParam"'),
        ({"implicitPrefs": 1}, TypeError, 'param "implicitPrefs"'),
        ({"lambda_": 1}, TypeError, "lambda_"),
        ({"regParam": 0.0}, ValueError, r"user with id 5 \(1 ratings, rank 4\) are singular"),
    ],
)
def test_bad_keywords_are_answered(model, given, error, says):
    with pytest.raises(error, match=says):
        model.foldInUsers(pd.DataFrame({"user": [5], "item": [20], "rating": [1.0]}), **given)


def test_a_bad_partition_is_named(model, frame):
    good = both(frame)["dask"]
    bad = good.map_partitions(lambda part: part.drop(columns="rating"), meta=good._meta, enforce_metadata=False)
    with pytest.raises(ValueError, match=r"Partition \d has no columns 'rating'"):
        model.foldInUsers(bad)


def test_frames_of_other_libraries(model, frame):
    pa = pytest.importorskip("pyarrow")
    mine = frame[frame.user == 20].assign(user=5)
    expected = model.foldInUsers(mine).userFactors
    best = model.recommendForRatings(mine, 4, flat=True)
    table = pa.Table.from_pandas(mine, preserve_index=False)
    for given in (table, table.to_reader(), mine.to_numpy()):
        assert_frame_equal(model.foldInUsers(given).userFactors, expected)
    for given in (table, table.to_reader()):
        found = model.recommendForRatings(given, 4, flat=True)
        assert isinstance(found, pa.Table)
        assert found["item"].to_pylist() == best["item"].tolist()
    reasons = model.explain(5, 110, 4, mine)
    assert model.explain(5, 110, 4, table).equals(reasons)
    assert model.explain(5, 110, 4, mine.to_numpy()).equals(reasons)


def test_without_a_column_of_ratings_each_counts_one(frame):
    model = ALS(**FIT, implicitPrefs=True, ratingCol="").fit(frame[["user", "item"]])
    folded = model.foldInUsers(frame[["user", "item"]])
    assert_rows(rows(folded.userFactors), rows(model.userFactors), 1e-6)
    reasons = model.explain(20, 110, 5, frame[["user", "item"]])
    assert list(reasons.columns) == ["item", "contribution"]
    score = model.transform(pd.DataFrame({"user": [20], "item": [110]})).prediction[0]
    assert reasons.attrs["score"] == pytest.approx(score, abs=1e-5)


# ---- what it costs ---------------------------------------------------------------------------------------


def test_several_threads_may_fold_in_at_once(model, frame):
    before = rows(model.userFactors)
    calls = [lambda n=n: model.foldInUsers(frame[frame.user == n * 10].assign(user=5)) for n in range(4)]
    for number, folded in enumerate(at_once(calls)):
        np.testing.assert_allclose(rows(folded.userFactors)[5], before[number * 10], atol=1e-5)


def test_the_cluster_holds_no_ratings_afterwards(cluster, frame, newcomers):
    def held():
        gc.collect()
        return {str(key) for key in cluster.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))}

    with cluster.as_current():
        model = ALS(**FIT).fit(both(frame)["dask"])
        folded = model.foldInUsers(both(newcomers)["dask"])
        deadline = 50
        while deadline and any(not key.startswith("als-pin") for key in held()):
            deadline -= 1
            cluster.sync(lambda: __import__("asyncio").sleep(0.1))
        assert {key[: len("als-pin-")] for key in held()} == {"als-pin-"}
        assert len(pandas(folded.userFactors)) == 63


# ---- people who are not in the model ---------------------------------------------------------------------

WITH_WISHES = pytest.mark.skipif(
    "exclude" not in inspect.signature(ALSModel.recommendForAllUsers).parameters, reason="without exclude="
)


def brute_force(model, ratings, n, candidates=None, seen=True):
    """(user, item) of the best of all scores, one user after another."""
    Y, reg = rows(model.itemFactors), model.parent.getRegParam()
    items, matrix = list(Y), np.stack(list(Y.values())).astype(np.float64)
    alpha = model.parent.getAlpha() if model.parent.getImplicitPrefs() else None
    found = []
    for user, mine in ratings[ratings.item.isin(items)].groupby("user"):
        x = reference.solve(matrix, [items.index(each) for each in mine.item], mine.rating.to_numpy(), reg, alpha)
        scores = dict(zip(items, matrix @ x, strict=True))
        left = [each for each in items if not (seen and each in set(mine.item))]
        left = [each for each in left if candidates is None or each in candidates]
        found += [(user, each) for each in sorted(left, key=lambda each: -scores[each])[:n]]
    return found


@WITH_WISHES
@pytest.mark.parametrize(
    ("kind", "given"), [pytest.param("explicit", "pandas", marks=pytest.mark.slow), ("implicit", "dask")]
)
def test_strangers_get_items_that_they_have_not_rated(scheduler, frame, given, kind):
    model = ALS(**FIT, **KINDS[kind]).fit(frame)
    # 20 is in the model, with other ratings; 7 has rated nothing that the model knows
    people = pd.concat([frame[frame.user.isin([30, 40])].head(12).replace({"user": {30: 20, 40: 10_001}}),
                        pd.DataFrame({"user": [7, 20], "item": [3, 3], "rating": [5.0, 1.0]})])  # fmt: skip
    found = model.recommendForRatings(both(people)[given], 5, flat=True)
    assert isinstance(found, type(both(people)[given]))
    found = pandas(found)
    assert list(zip(found["user"], found["item"], strict=True)) == brute_force(model, people, 5)
    assert len(model.userFactors) == 60
    some = list(range(0, 400, 50))
    found = model.recommendForRatings(both(people)[given], 3, flat=True, exclude=None,
                                      candidates=pd.DataFrame({"item": some}))  # fmt: skip
    pairs = list(zip(pandas(found)["user"], pandas(found)["item"], strict=True))
    assert pairs == brute_force(model, people, 3, some, seen=False)


@WITH_WISHES
def test_nobody_known_gets_an_empty_frame(model, frame):
    people = pd.DataFrame({"user": [7], "item": [3], "rating": [5.0]})
    for empty in (people, people.iloc[:0]):
        for given in both(empty, 1).values():
            found = pandas(model.recommendForRatings(given, 5))
            assert list(found.columns) == ["user", "recommendations"]
            assert not len(found)
            assert not len(pandas(model.recommendForRatings(given, 5, flat=True)))


@WITH_WISHES
def test_keywords_of_the_fit_and_wishes_are_told_apart(sparks, model, frame):
    with pytest.raises(ValueError, match="pass regParam=, implicitPrefs="):
        sparks.recommendForRatings(NEW, 2)
    found = sparks.recommendForRatings(NEW, 2, regParam=0.3, implicitPrefs=False, flat=True)
    assert found["item"].tolist() == [2]
    with pytest.raises(TypeError, match="numItems=None"):
        model.recommendForRatings(frame, None)
    with pytest.raises(TypeError, match="lmit"):
        model.recommendForRatings(frame, 2, lmit=3)
