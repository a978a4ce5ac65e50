"""`LocalModel`: its answers against loops over all pairs, against `ALSModel`, and against a fit's own half-step."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models import IDS, fit, ratings_with

from daskals import ALS
from daskals.serving import LocalModel, Scored, UnknownIdError
from daskals.serving.top import BLOCK, best, contenders

RNG = np.random.default_rng(5)


def with_parent(model, **params):
    """The same model, with the parameters of its fit."""
    sides = [(ids, rows) for ids, rows in ((model.userIds, model.userFactors), (model.itemIds, model.itemFactors))]
    return LocalModel.fromArrays(*sides, uid=model.uid, parent={"paramMap": params})


def small(rows=((1, 0), (0, 1), (1, 1), (0, 0))):
    """Users ann and bob; items 1, 2, 3, 4; whose scores are known by eye."""
    rows = np.array(rows, np.float32)
    return LocalModel.fromArrays((["ann", "bob"], rows[:2]), ([1, 2, 3, 4], rows))


@pytest.fixture(scope="module")
def movies(request):
    """(ratings, model, the same in this process) of MovieLens 100K."""
    base = request.getfixturevalue("ml100k").base
    model = ALS(rank=8, maxIter=2, seed=1).fit(base)
    return base, model, model.toLocal()


# ---- the best of many ------------------------------------------------------------------------------------


@given(st.integers(0, 3 * BLOCK), st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_the_best_are_those_of_a_sort(n, k, n_values, seed):
    """With many ties, which go to the later position; contenders are all that are near enough."""
    scores = np.random.default_rng(seed).integers(0, n_values, n).astype(np.float32)
    expected = sorted(range(n), key=lambda place: (scores[place], place), reverse=True)
    assert best(scores, k).tolist() == expected[:k]
    for margin in (0.0, 1.0):
        least = scores[expected[k - 1]] - margin if k <= n else -np.inf
        assert contenders(scores, k, margin).tolist() == np.flatnonzero(scores >= least).tolist()


def test_contenders_of_many_scores():
    """More than any block holds, in which all of the best lie in one block, or one in each; -inf is never one."""
    scores = RNG.random(50 * BLOCK + 17, np.float32)
    scores[7 * BLOCK : 7 * BLOCK + 20] += 5
    scores[8 * BLOCK :: 3] = -np.inf
    finite = np.count_nonzero(scores > -np.inf)
    for k in (1, 19, 20, 49, 50, 300, finite, len(scores)):
        expected = np.sort(np.argsort(scores, kind="stable")[::-1][: min(k, finite)])
        np.testing.assert_array_equal(contenders(scores, k, 0.0), expected)


@pytest.mark.parametrize("rank", [1, 7, 8, 10, 31, 64, 100])
def test_scores_depend_on_rows_alone(rank):
    """Of equal rows the later ids come first, wherever they stand, and whichever way the score was computed."""
    items = np.repeat(RNG.standard_normal((40, rank)), 50, axis=0)[RNG.permutation(2000)].astype(np.float32)
    model = LocalModel.fromArrays((range(9), RNG.standard_normal((9, rank))), (range(2000), items))
    together = model.recommend(range(9), 120)
    for user, found in enumerate(together):
        assert model.recommend(user, 120) == found
        assert model.recommend(user, 120, candidates=sorted(each.id for each in found)) == found
        assert [each.score for each in found] == model.predict(user, [each.id for each in found]).tolist()
        assert found[5].score == model.predict(user, found[5].id)
        exact = items.astype(np.float64) @ model.userFactors[user].astype(np.float64)
        assert [each.id for each in found] == np.lexsort((np.arange(2000), exact.round(12)))[::-1][:120].tolist()
    for metric in ("cosine", "dot"):
        found = model.similarItems(5, 120, metric)
        assert found == model.similarItems([5, 6], 120, metric)[0]
        assert sorted(found, key=lambda pair: (pair.score, pair.id), reverse=True) == found


# ---- recommending ----------------------------------------------------------------------------------------


def brute_force(model, user, n, exclude=(), candidates=None):
    """Pairs of item and score, by a loop."""
    row = model.userFactors[model.userIds.tolist().index(user)]
    scores = {
        item: float(row @ other)
        for item, other in zip(model.itemIds.tolist(), model.itemFactors, strict=True)
        if item not in exclude and (candidates is None or item in candidates)
    }
    return sorted(scores.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)[:n]


some_items = st.lists(st.integers(-3, 15), max_size=12)


@given(st.integers(1, 15), some_items, st.none() | some_items, st.integers(0, 2**32 - 1))
def test_recommendations_are_those_of_a_loop(n, exclude, candidates, seed):
    """Ties, doubled and unknown ids in exclude and candidates, more asked for than remain, nothing that remains."""
    rng = np.random.default_rng(seed)
    users, items = (rng.integers(-2, 3, (size, 2)).astype(np.float32) for size in (3, 11))
    model = LocalModel.fromArrays(([5, 6, 7], users), (range(11), items))
    expected = [brute_force(model, user, n, exclude, candidates) for user in (7, 5)]
    assert model.recommend(7, n, exclude, candidates) == expected[0]
    assert model.recommend([7, 99, 5], n, exclude, candidates) == [expected[0], [], expected[1]]
    assert (
        model.recommend(np.array([7, 5]), n, set(exclude), None if candidates is None else np.array(candidates, int))
        == expected
    )
    by_user = {7: exclude, 99: [1]}
    each = model.recommend([7, 5], n, by_user, None if candidates is None else {7: candidates, 5: range(4)})
    assert each == [expected[0], brute_force(model, 5, n, (), None if candidates is None else range(4))]


def test_of_equal_scores_the_larger_id_comes_first():
    assert small().recommend("ann", 4) == [(3, 1.0), (1, 1.0), (4, 0.0), (2, 0.0)]
    assert small().recommend("ann", 1, candidates=(each for each in (1, 3))) == [Scored(3, 1.0)]


def test_an_id_has_pythons_types():
    (first, *_) = small().recommend("ann", 2)
    assert (type(first.id), type(first.score)) == (int, float)


@pytest.mark.parametrize("call", [lambda m: m.recommend("eve", 1), lambda m: m.similarUsers("eve", 1)])
def test_a_stranger_alone_is_a_key_error_that_says_what_to_do(call):
    with pytest.raises(
        KeyError, match=r"There is no user 'eve' among the 2 of this model.*recommendForRatings"
    ) as error:
        call(small())
    assert isinstance(error.value, UnknownIdError)


def test_whether_an_id_is_there():
    model = small()
    assert "ann" in model
    assert "eve" not in model
    assert [model.hasItem(item) for item in (1, 4, 5, 1.0, 1.5, 2**70)] == [True, True, False, True, False, False]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.recommend(7, 1), "ids of users in this model are strings; 7 is of type int"),
        (lambda m: 7 in m, "ids of users in this model are strings"),
        (lambda m: m.hasItem("1"), "ids of items in this model are integers; '1' is of type str"),
        (lambda m: m.hasItem(True), "integers; True is of type bool"),
        (lambda m: m.recommend("ann", 1, exclude=["1"]), "ids of items in this model are integers"),
        (lambda m: m.recommend("ann", 1, exclude=3), r"exclude takes a list of ids, got 3: write \[3\]"),
        (lambda m: m.recommend("ann", 1, candidates="12"), "candidates takes a list of ids"),
        (lambda m: m.recommend("ann", "two"), "n='two' is not allowed"),
        (lambda m: m.recommendForRatings([1, 2], 1, regParam=1, implicitPrefs=False), "pairs of them; got list"),
        (
            lambda m: m.recommendForRatings({1: "x"}, 1, regParam=1, implicitPrefs=False),
            "item 1 is 'x', which is no num",
        ),
        (lambda m: m.recommendForRatings({1: 1}, 1, regParam="x", implicitPrefs=False), "regParam='x' is not allowed"),
    ],
)
def test_types_are_checked(call, message):
    with pytest.raises(TypeError, match=message):
        call(small())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.recommend("ann", 0), "n=0 is not allowed: it must be an integer >= 1"),
        (lambda m: m.similarItems(1, 1, "euclid"), "metric='euclid' is not allowed: it must be 'cosine' or 'dot'"),
        (lambda m: m.predict(["ann"], [1, 2]), "predict takes pairs, got 1 users and 2 items"),
        (lambda m: m.recommendForRatings({1: 1}, 1), "Pass those of the fit: regParam=, implicitPrefs="),
        (lambda m: m.recommendForRatings({1: 1}, 1, regParam=1), "Pass those of the fit: implicitPrefs="),
        (lambda m: m.explain("ann", 1, 1, {1: 1}, regParam=1, implicitPrefs=True), "Pass those of the fit: alpha="),
        (lambda m: m.recommendForRatings({1: 1}, 1, regParam=-1, implicitPrefs=False), "regParam=-1 is not allowed"),
        (lambda m: m.recommendForRatings({1: np.inf}, 1, regParam=1, implicitPrefs=False), "rating of item 1 is inf"),
        (lambda m: m.recommendForRatings({1: 1e39}, 1, regParam=1, implicitPrefs=False), "finite number of 32 bits"),
        (lambda m: m.recommendForRatings({1: 1}, 1, regParam=0, implicitPrefs=False), "singular, even in float64"),
        (lambda m: m.explain("ann", 1, 1, {4: 1}, regParam=0, implicitPrefs=False), "singular, even in float64"),
    ],
)
def test_values_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call(small())


# ---- against ALSModel ------------------------------------------------------------------------------------


def test_recommendations_are_the_models(movies):
    """All users of MovieLens 100K: the same scores, and the same items where scores differ by more than rounding."""
    _, model, local = movies
    frame = model.recommendForAllUsers(10)
    found = local.recommend(frame["user"].to_numpy(), 10)
    for theirs, ours in zip(frame["recommendations"], found, strict=True):
        scores = np.array([each["rating"] for each in theirs])
        np.testing.assert_allclose([each.score for each in ours], scores, rtol=2e-5)
        if len(scores) and np.abs(np.diff(scores)).min() > 1e-4:
            assert [each.id for each in ours] == [each["item"] for each in theirs]


def test_predictions_are_the_models(movies, ml100k):
    """And NaN in the same places."""
    _, model, local = movies
    test = ml100k.test
    scores = local.predict(test["user"], test["item"])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, model.transform(test)["prediction"], rtol=1e-4, atol=1e-5)
    assert np.isnan(scores).any()
    row = test.iloc[0]
    assert local.predict(int(row["user"]), int(row["item"])) == pytest.approx(scores[0], rel=1e-5)
    np.testing.assert_array_equal(local.predict(1, test["item"]), local.predict([1] * len(test), test["item"]))
    assert np.isnan(local.predict(1, -5))


def test_a_model_comes_here_from_any_scheduler(scheduler, ratings, monkeypatch):
    """With its ids, its factors and what is known of the fit."""
    model = ALS(rank=2, maxIter=1, numUserBlocks=2).fit(ratings)
    fields = model._metadata()
    fields["daskals"]["parent"] = {"uid": "ALS_1", "paramMap": {"regParam": 0.7}}
    monkeypatch.setattr(model, "_metadata", lambda: fields)
    local = model.toLocal()
    np.testing.assert_array_equal(local.userFactors, np.array(model.userFactors["features"].tolist(), np.float32))
    assert (local.userIds.tolist(), local.itemIds.tolist(), local.uid) == ([0, 1, 2], [0, 1, 2], model.uid)
    assert local.version == ""
    expected = local.recommendForRatings({0: 4.0}, 2, regParam=0.7, implicitPrefs=False)
    assert local.recommendForRatings({0: 4.0}, 2) == expected


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_all_kinds_are_found(kind):
    """Each id as the frame has it, and as it comes back."""
    model = fit(ratings_with(IDS[kind]))
    local, users = model.toLocal(), model.userFactors["id"].tolist()
    assert all(user in local for user in users)
    assert [local.recommend(user, 1)[0].score for user in users] == pytest.approx(
        [lists[0]["rating"] for lists in model.recommendForAllUsers(1)["recommendations"]], rel=1e-5
    )
    back = [each.id for each in local.similarUsers(users[0], 30, exclude=users[:1])]
    assert {pd.Timestamp(each) if kind == "dates" else each for each in back} == set(users[1:])
    np.testing.assert_array_equal(local.userIds.astype(object), np.array(users, object)) if kind != "dates" else None


def test_dates_are_of_their_nanosecond():
    """From Python, NumPy and pandas; what nanoseconds cannot count is not there, and a time zone is refused."""
    day = pd.Timestamp("2020-02-03 04:05:06.123456789")
    model = LocalModel.fromArrays(
        ([day.to_datetime64(), np.datetime64("1960-01-01")], np.eye(2)), ([1], np.ones((1, 2)))
    )
    assert day in model
    assert day.floor("s").to_pydatetime() not in model
    assert np.datetime64("1960-01-01") in model
    assert pd.Timestamp("1960-01-01").date() in model
    assert np.datetime64("0001-01-01") not in model
    assert np.datetime64("NaT", "s") not in model
    with pytest.raises(TypeError, match="datetime without a time zone"):
        assert day.tz_localize("UTC") in model


def test_dates_that_nanoseconds_cannot_count_are_refused_by_name():
    days = np.array(["2000-01-01", "1500-01-02"], "datetime64[D]")
    with pytest.raises(ValueError, match=r"items have 1500-01-02: .* between 1677 and 2262"):
        LocalModel.fromArrays(([1], np.ones((1, 2))), (days, np.eye(2)))


@given(st.sampled_from(["i1", "u1", "i4", "i8", "u8", "f8"]), st.booleans())
def test_integers_are_found_across_types(dtype, unsigned):
    """In arrays, columns and lists; what the type of the ids cannot hold is not there."""
    ids = np.array([0, 3, 127, 2**40, 2**63 - 1], np.uint64 if unsigned else np.int64)
    model = LocalModel.fromArrays((ids, np.ones((5, 1))), ([1], np.ones((1, 1))))
    queries = np.array([3, 4, 127], dtype)
    if dtype[0] == "i":
        queries[1] = -5
    expected = [True, False, True]
    for form in (queries, pd.Series(queries), queries.tolist(), [*queries], [2**70, *queries][1:]):
        assert [bool(each) for each in model.recommend(form, 1)] == expected
    assert [bool(each) for each in model.recommend(np.array([2**64 - 1, 3], np.uint64), 1)] == [False, True]
    assert [bool(each) for each in model.recommend([2**70, 2**63 - 1], 1)] == [False, True]


@given(st.sets(st.text(max_size=4), min_size=1), st.lists(st.text(max_size=4)))
def test_strings_are_found_where_they_are(ids, queries):
    """Any strings, the empty one too, whatever hashes they have; in the order of code points."""
    model = LocalModel.fromArrays((list(ids), np.ones((len(ids), 1))), ([1], np.ones((1, 1))))
    assert model.userIds.tolist() == sorted(ids)
    assert [query in model for query in queries] == [query in ids for query in queries]
    assert [len(each) for each in model.recommend([*queries, *ids], 1)] == [int(q in ids) for q in [*queries, *ids]]


# ---- from ratings alone ----------------------------------------------------------------------------------


def half_step(local, ratings, regParam, implicitPrefs=False, alpha=1.0):
    """The row that minimises the objective, by the obvious formula."""
    Y = local.itemFactors.astype(np.float64)
    places = np.searchsorted(local.itemIds, list(ratings))
    values, y = np.array(list(ratings.values())), Y[places]
    if not implicitPrefs:
        return np.linalg.solve(y.T @ y + regParam * len(values) * np.eye(len(Y.T)), y.T @ values)
    A = Y.T @ Y + (y.T * (alpha * np.abs(values))) @ y + regParam * (values > 0).sum() * np.eye(len(Y.T))
    return np.linalg.solve(A, y.T @ ((1 + alpha * np.abs(values)) * (values > 0)))


PARAMS = [{"regParam": 0.3}, {"regParam": 0.2, "implicitPrefs": True, "alpha": 3.0}]


@pytest.mark.parametrize("params", PARAMS, ids=["explicit", "implicit"])
def test_new_rows_are_those_of_a_half_step(movies, params):
    """By the parameters of the parent, and by keywords in their place."""
    local = movies[2]
    ratings = {50: 5.0, 172: 4.0, 1: 1.0, 288: -2.0}
    row = half_step(local, ratings, **params)
    expected = dict(zip(local.itemIds.tolist(), local.itemFactors @ row, strict=True))
    found = with_parent(local, **params).recommendForRatings(ratings, 10)
    assert not {each.id for each in found} & set(ratings)
    np.testing.assert_allclose([each.score for each in found], [expected[each.id] for each in found], rtol=1e-4)
    left = sorted((score for item, score in expected.items() if item not in ratings), reverse=True)
    np.testing.assert_allclose([each.score for each in found], left[:10], rtol=1e-4)
    given = {"implicitPrefs": False, **params}
    assert local.recommendForRatings(ratings.items(), 10, **given) == found
    # with others in between, keywords count
    assert with_parent(local, regParam=9.0).recommendForRatings(ratings, 10, **given) == found


@pytest.mark.parametrize("params", [*PARAMS, {"regParam": 0.1, "nonnegative": True}], ids=str)
def test_the_last_half_step_of_a_fit_is_met(movies, params):
    """Users are solved last: the ratings of a user of the fit give the user's own row."""
    base, local = movies[0], None
    model = ALS(rank=6, maxIter=1, seed=2, precision="double", **params).fit(base)
    local = with_parent(model.toLocal(), **params)
    for user in (1, 42, 943):
        rated = base[base["user"] == user].set_index("item")["rating"]
        found = local.recommendForRatings(rated.items(), 20, includeRated=True)
        expected = local.recommend(user, 20)
        np.testing.assert_allclose([each.score for each in found], [each.score for each in expected], rtol=1e-4)
        assert found[0].id == expected[0].id


def test_rated_items_are_left_out_unless_they_are_wanted():
    model, given = small(), {"regParam": 0.1, "implicitPrefs": False}
    assert {each.id for each in model.recommendForRatings({1: 4}, 9, **given)} == {2, 3, 4}
    assert {each.id for each in model.recommendForRatings({1: 4}, 9, **given, includeRated=True)} == {1, 2, 3, 4}
    assert {each.id for each in model.recommendForRatings({1: 4, 77: 5}, 9, [3], [1, 2, 3, 8], **given)} == {2}


def test_a_pair_that_stands_twice_counts_twice():
    given = {"regParam": 0.1, "implicitPrefs": False, "includeRated": True}
    # (1 + 1) x + 0.1 * 2 x = 4 + 2
    (first, *_) = small().recommendForRatings([(1, 4), (1, 2)], 1, candidates=[1], **given)
    assert first.score == pytest.approx(6 / 2.2)


@pytest.mark.parametrize("ratings", [{}, {77: 5.0}, []], ids=str)
def test_ratings_of_no_known_item(ratings):
    with pytest.raises(UnknownIdError, match="None of the rated items is in this model"):
        small().recommendForRatings(ratings, 3, regParam=0.1, implicitPrefs=False)


def test_a_damaged_parent_is_refused():
    for parent in ({"paramMap": {"regParam": "x"}}, {"paramMap": {"alpha": -1}}, [], {"paramMap": {"nonnegative": 1}}):
        with pytest.raises(ValueError, match=r"not allowed|no map"):
            LocalModel.fromArrays(([1], np.ones((1, 1))), ([1], np.ones((1, 1))), parent=parent)


# ---- neighbours and reasons ------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_neighbours_are_those_of_a_loop(movies, metric):
    local = movies[2]
    rows = local.itemFactors.astype(np.float64)
    if metric == "cosine":
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    place = local.itemIds.tolist().index(50)
    scores = (rows * rows[place]).sum(axis=1)  # not by BLAS, in which equal rows may have other last bits
    order = [item for item in np.lexsort((np.arange(len(scores)), scores))[::-1] if item != place][:10]
    found = local.similarItems(50, 10, metric)
    assert [each.id for each in found] == local.itemIds[order].tolist()
    np.testing.assert_allclose([each.score for each in found], scores[order], rtol=1e-4)
    assert local.similarItems([50, -1], 10, metric)[1] == []
    several = local.similarItems([50, 1], 10, metric)[0]
    assert [each.id for each in several] == [each.id for each in found]


def test_rows_of_zeros_are_like_nothing():
    model = small()
    assert model.similarItems(4, 3) == [(3, 0.0), (2, 0.0), (1, 0.0)]
    assert model.similarItems(1, 3) == [(3, pytest.approx(0.5**0.5)), (4, 0.0), (2, 0.0)]
    assert model.similarItems(1, 3, "dot", exclude=[3]) == [(4, 0.0), (2, 0.0)]
    assert model.similarUsers("ann", 3) == [("bob", 0.0)]


def test_a_user_of_zeros_has_the_largest_ids():
    """All scores are 0; such are the rows of users without a positive rating in implicit fits."""
    model = with_parent(small([(0, 0), (0, 1), (1, 1), (2, 0)]), implicitPrefs=True)
    assert model.recommend("ann", 2) == [(4, 0.0), (3, 0.0)]
    assert model.recommend("ann", 2, exclude=[4]) == [(3, 0.0), (2, 0.0)]
    assert model.recommendForRatings({4: -1.0}, 2) == [(3, 0.0), (2, 0.0)]


@pytest.mark.parametrize("params", PARAMS, ids=["explicit", "implicit"])
def test_the_shares_of_all_ratings_add_up(movies, params):
    """To the score of the row that is solved from them; the largest come first."""
    base, _, local = movies
    local = with_parent(local, **params)
    ratings = dict(base[base["user"] == 3][["item", "rating"]].itertuples(index=False, name=None))
    found = local.explain(3, 50, 1000, ratings)
    expected = local.itemFactors[local.itemIds.tolist().index(50)] @ half_step(local, ratings, **params)
    assert found.score == pytest.approx(expected, rel=1e-5)
    assert sum(each.score for each in found.shares) == pytest.approx(found.score)
    assert {each.id for each in found.shares} == set(ratings)
    assert found.predicted == local.predict(3, 50)
    few = local.explain(None, 50, 3, ratings)
    assert few.shares == found.shares[:3]
    assert [each.score for each in found.shares] == sorted((each.score for each in found.shares), reverse=True)
    assert np.isnan(few.predicted)


def test_what_cannot_be_explained():
    model = small()
    with pytest.raises(UnknownIdError, match="There is no item 9 among the 4"):
        model.explain("ann", 9, 1, {1: 1.0}, regParam=0.1, implicitPrefs=False)
    model = with_parent(model, nonnegative=True)
    with pytest.raises(ValueError, match="nonnegative"):
        model.explain("ann", 1, 1, {1: 1.0})


# ---- as a value ------------------------------------------------------------------------------------------


def test_nobody_can_change_its_arrays():
    rows = np.ones((2, 1), np.float32)
    model = LocalModel.fromArrays(([1, 2], rows), ([1, 2], rows))
    rows[:] = 7
    assert model.predict(1, 1) == 1.0
    for array in (model.userIds, model.itemIds, model.userFactors, model.itemFactors):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 3


def test_it_can_be_pickled():
    model = small()
    assert pickle.loads(pickle.dumps(model)).recommend("ann", 4) == model.recommend("ann", 4)
    assert repr(model) == "LocalModel: uid=LocalModel, rank=2, users=2, items=4"


@pytest.mark.parametrize(
    ("users", "message"),
    [
        (([1, 1], np.ones((2, 2))), "ids of users have 1 twice"),
        (([1], np.ones((2, 2))), r"ids of shape \(1,\) and factors of shape \(2, 2\)"),
        (([1], np.ones((1, 3))), "users have 3 factors, and items 2"),
        (([1], [[1, np.nan]]), "not all finite"),
    ],
)
def test_arrays_that_do_not_fit(users, message):
    with pytest.raises(ValueError, match=message):
        LocalModel.fromArrays(users, ([1], np.ones((1, 2))))


def test_a_model_without_users_or_items():
    nothing = ([], np.empty((0, 2)))
    model = LocalModel.fromArrays(nothing, nothing)
    assert 5 not in model
    assert model.recommend([5], 3) == [[]]
    assert np.isnan(model.predict(5, 5))
    assert LocalModel.fromArrays(([1], np.ones((1, 2))), nothing).recommend(1, 3) == []


def test_many_threads_get_the_answers_of_one(movies):
    """What is made at the first use is made once, whoever comes first."""
    base, _, local = movies
    ratings = dict(base[base["user"] == 3][["item", "rating"]].itertuples(index=False, name=None))

    def ask(model, number):
        user = 1 + number % 40
        return (
            model.recommend(user, 5, exclude=range(number)),
            model.similarItems(1 + number % 7, 5),
            model.recommendForRatings(ratings, 5, exclude=range(number)),
            model.explain(user, 50, 2, ratings),
        )

    params = {"regParam": 0.2, "implicitPrefs": True}
    expected = [ask(with_parent(local, **params), number) for number in range(40)]
    model, start = with_parent(local, **params), threading.Barrier(8)

    def work(first):
        start.wait()
        return [ask(model, number) for number in range(first, 40, 8)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert [found[number % 8][number // 8] for number in range(40)] == expected
