"""`LocalModel` of fits with biases beside `ALSModel`: the same answers, from the same files."""

import math

import numpy as np
import pandas as pd
import pytest

from daskals import ALS, ALSModel
from daskals.serving import LocalModel, UnknownIdError

#: None of these is a default, so that a parameter that is not read from the files changes the answers.
FITS = {
    "plain": {"regParam": 0.07},
    "regularised": {"regExponent": 0.5, "userRegParam": 0.6},
    "weights by counts": {"userCountExponent": 0.5, "itemCountExponent": 0.25},
    "conjugate gradients": {"solver": "cg"},
}


def ratings():
    """500 ratings of 30 users and 25 items."""
    rng = np.random.default_rng(6)
    users, items = rng.integers(0, 30, 500), rng.integers(0, 25, 500)
    likes = rng.normal(size=30)[users] + rng.normal(size=25)[items] + rng.normal(size=500) * 0.5
    frame = pd.DataFrame({"user": users, "item": items * 4, "rating": np.round(3.3 + likes, 1)})
    return frame.drop_duplicates(["user", "item"], ignore_index=True)


@pytest.fixture(scope="module", params=FITS)
def models(request, tmp_path_factory):
    """(ratings, `ALSModel`, `LocalModel` of its files, `LocalModel` of itself)"""
    frame, path = ratings(), str(tmp_path_factory.mktemp("biases") / "model")
    fitted = ALS(rank=3, maxIter=4, seed=2, biases=True, numUserBlocks=2, **FITS[request.param]).fit(frame)
    fitted.save(path)
    return frame, ALSModel.load(path, frames="pandas"), LocalModel.load(path), fitted.toLocal()


def lists(frame):
    """(ids, scores) of each list of a flat frame of recommendations."""
    name = "neighbour" if "neighbour" in frame else "item"
    score = "similarity" if "neighbour" in frame else "rating"
    groups = frame.groupby(frame.columns[0])
    return {key: (group[name].tolist(), group[score].to_numpy(float)) for key, group in groups}


def assert_list(found, ids, scores):
    assert [each.id for each in found] == ids
    np.testing.assert_allclose([each.score for each in found], scores, rtol=0, atol=1e-5)


def test_predictions_have_the_mean_and_both_biases(models):
    frame, model, *local = models
    expected = model.transform(frame)["prediction"]
    for each in local:
        found = each.predict(frame["user"], frame["item"])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
        assert each.predict(int(frame["user"][0]), int(frame["item"][0])) == found[0]
        assert math.isnan(each.predict(1000, 4))
    assert abs(expected.mean() - model.intercept) < 0.2


def test_recommendations_are_those_of_the_model(models):
    frame, model, *local = models
    everything = lists(model.recommendForAllUsers(7, flat=True))
    fresh = lists(model.recommendForAllUsers(7, exclude=frame, flat=True))
    for each in local:
        for user in (0, 11, 29):
            assert_list(each.recommend(user, 7), *everything[user])
            seen = frame["item"][frame["user"] == user].tolist()
            assert_list(each.recommend(user, 7, exclude=seen), *fresh[user])


def test_strangers_are_recommended_what_their_ratings_say(models):
    frame, model, *local = models
    mine = frame[frame["user"] == 11].assign(user=500)
    expected = lists(model.recommendForRatings(mine, 6, flat=True))[500]
    again = lists(model.recommendForRatings(mine, 6, regParam=1.5, flat=True))[500]
    assert np.abs(expected[1] - again[1]).max() > 1e-2
    for each in local:
        given = dict(zip(mine["item"], mine["rating"], strict=True))
        assert_list(each.recommendForRatings(given, 6), *expected)
        assert_list(each.recommendForRatings(given, 6, regParam=1.5), *again)


def test_one_who_rates_as_a_user_of_the_fit_gets_the_scores_of_that_user(models):
    """The last half-step of an exact fit gave these users their rows."""
    frame, model, *local = models
    if model.parent.getSolver() == "cg":
        pytest.skip("rows of conjugate gradients are not exact")
    mine = frame[frame["user"] == 11]
    for each in local:
        scored = each.recommendForRatings(zip(mine["item"], mine["rating"], strict=True), 25, includeRated=True)
        expected = each.predict(11, [one.id for one in scored])
        np.testing.assert_allclose([one.score for one in scored], expected, rtol=0, atol=1e-4)


def test_reasons_are_those_of_the_model(models):
    frame, model, *local = models
    mine = frame[frame["user"] == 11]
    biases = model.itemBiases.set_index("id")["bias"]
    for item in (0, 48):
        expected = model.explain(11, item, 5, frame)
        for each in local:
            found = each.explain(11, item, 5, zip(mine["item"], mine["rating"], strict=True))
            assert found.score == pytest.approx(expected.attrs["score"], abs=1e-5)
            assert [one.id for one in found.shares] == expected["item"].tolist()
            np.testing.assert_allclose([one.score for one in found.shares], expected["contribution"], atol=1e-5)
            whole = each.explain(None, item, 1000, zip(mine["item"], mine["rating"], strict=True))
            rest = whole.score - sum(one.score for one in whole.shares)
            assert rest == pytest.approx(model.intercept + biases[item], abs=1e-5)


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_neighbours_are_compared_without_their_biases(models, metric):
    _, model, *local = models
    items = lists(model.similarItems(None, 4, metric=metric, flat=True))
    users = lists(model.similarUsers(None, 4, metric=metric, flat=True))
    for each in local:
        assert_list(each.similarItems(48, 4, metric), *items[48])
        assert_list(each.similarUsers(11, 4, metric), *users[11])


def test_what_a_fit_with_biases_cannot_be_is_refused(models):
    frame, _, *local = models
    mine = dict(zip(frame["item"], frame["rating"], strict=True))
    for each in local:
        for wrong in ({"implicitPrefs": True}, {"nonnegative": True}):
            with pytest.raises(ValueError, match="This model has biases, with which neither"):
                each.recommendForRatings(mine, 3, **wrong)
        with pytest.raises(ValueError, match="This model has biases, with which neither"):
            each.explain(11, 0, 3, mine, implicitPrefs=True)
        with pytest.raises(UnknownIdError):
            each.recommendForRatings({1000: 3.0}, 3)
