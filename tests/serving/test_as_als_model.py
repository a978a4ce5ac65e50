"""`LocalModel` beside `ALSModel`, from the same files: the same answers, by the parameters of the fit in them."""

import warnings

import numpy as np
import pandas as pd
import pytest

from daskals import ALS, ALSModel
from daskals.serving import LocalModel

#: None of these is a default, so that a parameter that is not read from the files changes the answers.
FITS = {
    "explicit": {"regParam": 0.07},
    "implicit": {"regParam": 0.3, "implicitPrefs": True, "alpha": 3.0},
    "nonnegative": {"regParam": 0.05, "nonnegative": True},
}
CASES = [("explicit", int), ("explicit", str), ("implicit", int), ("implicit", str), ("nonnegative", int)]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1].__name__}")
def both(request, tmp_path_factory):
    """(ratings, `ALSModel`, `LocalModel`, kind of fit) of MovieLens 100K, with ids that are integers or strings."""
    name, kind = request.param
    frame = request.getfixturevalue("ml100k").base.astype({"rating": np.float32})
    if kind is str:
        frame = frame.assign(user="ü" + frame["user"].astype(str), item="film " + frame["item"].astype(str))
    path = tmp_path_factory.mktemp("both") / "model"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Spark cannot load this model")
        ALS(rank=8, maxIter=2, seed=1, numUserBlocks=2, numItemBlocks=3, **FITS[name]).fit(frame).save(path)
    return frame, ALSModel.load(path, frames="pandas"), LocalModel.load(path), name


def assert_same(ours, ids, scores):
    """The same scores to rounding; and the same ids, but that those of nearly equal scores may change places."""
    scores = np.asarray(scores, float)
    tolerance = 3e-5 * max(1.0, np.abs(scores).max(initial=0))
    assert len(ours) == len(scores)
    np.testing.assert_allclose([each.score for each in ours], scores, atol=tolerance)
    clear = np.ones(len(scores), bool)
    close = np.diff(scores) > -2 * tolerance
    clear[:-1] &= ~close
    clear[1:] &= ~close
    clear[-1:] = False  # the next one, which is not there, may be as good
    assert clear.any() or len(scores) < 3
    for each, id_, certain in zip(ours, ids, clear, strict=True):
        assert not certain or each.id == id_


def unknown_to(frame):
    return "nothing" if isinstance(frame["item"].iloc[0], str) else 99_999


def newcomers(frame):
    """All ratings of five people: what users of the fit rated, with one pair twice, one not positive, one unknown."""
    rated = frame[frame["user"].isin(frame["user"].unique()[[3, 70, 200, 500, 900]])]
    first = rated.iloc[[0, 0, 1]].assign(rating=np.float32([1.5, 0.0, -1.0]))
    stranger = rated.iloc[:1].assign(item=unknown_to(frame))
    return pd.concat([rated, first, stranger], ignore_index=True)


def pairs_of(frame, user):
    return list(frame.loc[frame["user"] == user, ["item", "rating"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("wishes", [{}, {"minSupport": 40}], ids=str)
def test_recommendations_for_ratings(both, wishes):
    frame, model, local, _ = both
    new = newcomers(frame)
    for exclude, rated in (({}, {}), ({"exclude": None}, {"includeRated": True})):
        found = model.recommendForRatings(new, 12, flat=True, **exclude, **wishes)
        assert found["user"].nunique() == 5
        for user, theirs in found.groupby("user"):
            ours = local.recommendForRatings(pairs_of(new, user), 12, **rated, **wishes)
            assert_same(ours, theirs["item"], theirs["rating"])


def test_candidates_for_ratings(both):
    """Among other things the rated ones, and one that nobody knows."""
    frame, model, local, _ = both
    new = newcomers(frame)
    some = [*frame["item"].unique()[5:400:9].tolist(), unknown_to(frame)]
    found = model.recommendForRatings(new, 9, candidates=pd.DataFrame({"item": some}), flat=True)
    for user, theirs in found.groupby("user"):
        ours = local.recommendForRatings(pairs_of(new, user), 9, candidates=some)
        assert_same(ours, theirs["item"], theirs["rating"])


def test_reasons(both):
    """The same shares in the same order, and the same score; nonnegative models refuse both."""
    frame, model, local, name = both
    new = newcomers(frame)
    items = local.itemIds.tolist()
    for user in new["user"].unique():
        item = items[len(pairs_of(new, user))]
        if name == "nonnegative":
            for each, given in ((model, new), (local, pairs_of(new, user))):
                with pytest.raises(ValueError, match="nonnegative"):
                    each.explain(user, item, 3, given)
            continue
        theirs = model.explain(user, item, 1000, new)
        ours = local.explain(user, item, 1000, pairs_of(new, user))
        assert ours.score == pytest.approx(theirs.attrs["score"], rel=1e-9, abs=1e-12)
        assert [each.id for each in ours.shares] == theirs["item"].tolist()
        np.testing.assert_allclose([each.score for each in ours.shares], theirs["contribution"], rtol=1e-9, atol=1e-12)
        few = model.explain(user, item, 3, new)["item"].tolist()
        assert [each.id for each in local.explain(None, item, 3, pairs_of(new, user)).shares] == few


@pytest.mark.parametrize("wishes", [{}, {"minSupport": 100}], ids=str)
@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_neighbours(both, metric, wishes):
    _, model, local, _ = both
    asked = local.itemIds[::300].tolist()
    found = model.similarItems(asked, 10, metric=metric, flat=True, **wishes)
    assert found["item"].nunique() == len(asked)
    for item, ours in zip(asked, local.similarItems(asked, 10, metric, **wishes), strict=True):
        theirs = found[found["item"] == item]
        assert_same(ours, theirs["neighbour"], theirs["similarity"])
        assert ours == local.similarItems(item, 10, metric, **wishes)


def test_support_of_recommendations(both):
    frame, model, local, _ = both
    users = frame["user"].unique()[:40:7]
    found = model.recommendForUserSubset(pd.DataFrame({"user": users}), 10, minSupport=50, flat=True)
    counts = frame["item"].value_counts()
    for user, ours in zip(users, local.recommend(users.tolist(), 10, minSupport=50), strict=True):
        theirs = found[found["user"] == user]
        assert_same(ours, theirs["item"], theirs["rating"])
        assert min(counts[each.id] for each in ours) >= 50


def test_reasons_of_equal_shares_come_in_one_order(tmp_path):
    """Items that were rated alike have equal rows, and so equal shares: the smaller id first, by both."""
    rows = [(user, item, float(1 + user % 5)) for user in range(12) for item in (7, 3, 12, 5)]
    frame = pd.DataFrame([*rows, (0, 3, 1.0)], columns=["user", "item", "rating"])
    one = ALS(rank=1, maxIter=1, regParam=0.2).fit(pd.DataFrame({"user": [0, 1], "item": [3, 5], "rating": [1.0, 2.0]}))
    same = one.foldInItems(frame.assign(user=frame["user"] % 2).drop_duplicates(["user", "item"]))
    same.save(tmp_path / "model")
    local = LocalModel.load(tmp_path / "model")
    theirs = same.explain(0, 12, 10, frame)
    ours = local.explain(0, 12, 10, pairs_of(frame, 0)[::-1])
    assert len(set(local.itemFactors.ravel().tolist())) == 1
    assert [each.id for each in ours.shares] == theirs["item"].tolist() == [3, 3, 5, 7, 12]


def test_what_a_stranger_is_recommended(both):
    """The most popular items of the frame."""
    frame, _, local, _ = both
    counts = frame["item"].value_counts()
    expected = sorted(counts.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)[:30]
    assert local.popular(30) == expected


@pytest.mark.parametrize("own", [{"unobservedWeight": 0.2}, {"regCount": "all"}], ids=str)
def test_weights_of_pairs_without_a_rating_are_not_dropped_in_silence(own):
    """Explicit ratings have none: both kinds of model refuse to solve a row as if there were no such weights."""
    rows = [(user, item, 1.0) for user in range(12) for item in range(7) if (user + item) % 3]
    frame = pd.DataFrame(rows, columns=["user", "item", "rating"])
    model = ALS(rank=2, maxIter=1, implicitPrefs=True, **own).fit(frame)
    local = model.toLocal()
    mine = frame[frame["user"] == 5]
    for call in (
        lambda: model.foldInUsers(mine, implicitPrefs=False),
        lambda: local.recommendForRatings(pairs_of(frame, 5), 3, implicitPrefs=False),
        lambda: local.explain(5, 2, 3, pairs_of(frame, 5), implicitPrefs=False),
    ):
        with pytest.raises(ValueError, match="pairs without a rating, which explicit"):
            call()
    assert local.recommendForRatings(pairs_of(frame, 5), 3, implicitPrefs=True)
