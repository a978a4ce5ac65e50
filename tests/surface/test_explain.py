"""Reasons for a score: the ratings that carried it."""

import decimal

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from support import reference
from support.models import write_metadata, write_side

from daskals import ALS, ALSModel

KINDS = {"explicit": {}, "implicit": {"implicitPrefs": True, "alpha": 3.0}}
FIT = {"rank": 5, "maxIter": 3, "seed": 3, "regParam": 0.1}


@pytest.fixture(scope="module")
def frame():
    """2,000 ratings of 60 users and 40 items, some pairs twice, some not positive; ids are multiples of ten."""
    rng = np.random.default_rng(7)
    return pd.DataFrame({"user": rng.integers(0, 60, 2000) * 10, "item": rng.integers(0, 40, 2000) * 10,
                         "rating": rng.integers(-1, 11, 2000) / 2})  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def model(request, frame):
    return ALS(**FIT, **KINDS[request.param]).fit(frame)


def item_rows(model):
    factors = model.itemFactors
    return factors["id"].tolist(), np.stack(factors["features"]).astype(np.float64)


@pytest.mark.parametrize(
    ("kind", "given"), [pytest.param("explicit", "dask", marks=pytest.mark.slow), ("implicit", "pandas")]
)
def test_contributions_add_up_to_the_score_of_the_model(scheduler, frame, kind, given):
    ratings = frame if given == "pandas" else dd.from_pandas(frame, npartitions=3, sort=False)
    model = ALS(**FIT, **KINDS[kind], numUserBlocks=3, numItemBlocks=3).fit(frame)
    pairs = pd.DataFrame({"user": [20, 590], "item": [70, 0]})
    for user, item, score in model.transform(pairs).itertuples(index=False):
        reasons = model.explain(user, item, 1000, ratings)
        assert reasons.attrs["score"] == pytest.approx(score, abs=1e-5)
        assert reasons["contribution"].sum() == pytest.approx(score, abs=1e-5)
        assert sorted(reasons["item"]) == sorted(frame[frame.user == user].item)


def test_a_contribution_is_what_its_rating_does(model, frame):
    """By the closed form: the part of the right-hand side that belongs to it, solved by itself."""
    mine = frame[frame.user == 40].sort_values(["item", "rating"])
    ids, Y = item_rows(model)
    parent = model.parent
    alpha = parent.getAlpha() if parent.getImplicitPrefs() else None
    places = [ids.index(each) for each in mine.item]
    A, _ = reference.equations(Y, places, mine.rating.to_numpy(), parent.getRegParam(), alpha)
    r = mine.rating.to_numpy()
    weights = r if alpha is None else np.where(r > 0, 1 + alpha * r, 0)
    expected = weights * (Y[places] @ np.linalg.solve(A, Y[ids.index(110)]))
    order = np.argsort(-expected, kind="stable")
    found = model.explain(40, 110, len(r), frame)
    np.testing.assert_allclose(found["contribution"], expected[order], atol=1e-7)
    assert found["item"].tolist() == mine.item.to_numpy()[order].tolist()
    assert found["rating"].tolist() == r[order].tolist()
    few = model.explain(40, 110, 3, frame)
    assert few.equals(found.head(3))
    assert few.attrs["score"] == pytest.approx(expected.sum(), abs=1e-6)
    assert len(model.explain(40, 110, ratings=frame)) == 10


def test_its_columns_and_types(frame):
    named = frame.rename(columns={"user": "u", "item": "i", "rating": "r"}).astype({"i": np.int32})
    model = ALS(**FIT, userCol="u", itemCol="i", ratingCol="r").fit(named)
    found = model.explain(40, 110, 3, named.assign(title="t"))
    assert found.dtypes.astype(str).to_dict() == {"i": "int32", "r": "float32", "contribution": "float64"}
    assert found.index.tolist() == [0, 1, 2]


def test_the_user_need_not_be_in_the_model(model, frame):
    stranger = frame[frame.user == 40].assign(user=41)
    assert model.explain(41, 110, 5, stranger).equals(model.explain(40, 110, 5, frame))
    folded = model.foldInUsers(stranger)
    score = folded.transform(pd.DataFrame({"user": [41], "item": [110]})).prediction[0]
    assert model.explain(41, 110, 5, stranger).attrs["score"] == pytest.approx(score, abs=1e-5)


def test_unknown_items_and_rows_of_others_are_passed_over(model, frame):
    """Whatever these rows hold."""
    strange = pd.DataFrame({"user": [40, 50, None], "item": [3, None, 10], "rating": [5.0, np.nan, 2.0]})
    found = model.explain(40, 110, 5, pd.concat([strange, frame]))
    assert found.equals(model.explain(40, 110, 5, frame))


def test_ids_of_other_kinds(frame):
    text = frame.assign(user="u" + frame.user.astype(str), item="i" + frame.item.astype(str))
    text = text.assign(user=text.user.astype("category"))
    strings = ALS(**FIT).fit(text)
    found = strings.explain("u40", "i110", 50, text)
    assert set(found["item"]) == set(text.item[text.user == "u40"])
    score = strings.transform(pd.DataFrame({"user": ["u40"], "item": ["i110"]})).prediction[0]
    assert found.attrs["score"] == pytest.approx(score, abs=1e-5)
    dates = frame.assign(user=pd.Timestamp("2020-01-01") + pd.to_timedelta(frame.user, unit="D"))
    day = pd.Timestamp("2020-01-01") + pd.Timedelta(40, unit="D")
    assert len(ALS(**FIT).fit(dates).explain(day, 110, 50, dates)) == (frame.user == 40).sum()
    numbers = ALS(**FIT).fit(frame)
    expected = numbers.explain(40, 110, 5, frame)
    for column in ("Int64", "float64", "uint64", "int64[pyarrow]"):
        assert numbers.explain(np.int32(40), 110.0, 5, frame.astype({"user": column})).equals(expected)
    decimals = frame.assign(user=frame.user.map(decimal.Decimal))
    assert numbers.explain(decimal.Decimal(40), 110, 5, decimals).equals(expected)


@pytest.mark.parametrize(
    ("args", "error", "says"),
    [
        ((40, 7, 5), ValueError, "Item 7 is not in the model"),
        ((41, 110, 5), ValueError, "User 41 has no ratings of items of the model in the 0 rows"),
        ((40, "x", 5), TypeError, "'item' has ids of kind str"),
        (("x", 110, 5), TypeError, "'user' has ids of kind str"),
        ((None, 110, 5), TypeError, "'user'"),
        (([40], 110, 5), TypeError, "'user'"),
        ((40, 1.5, 5), ValueError, "whole numbers"),
        ((40, 110, 0), ValueError, "n=0 is not allowed"),
        ((40, 110, "all"), TypeError, "n='all' is not allowed"),
    ],
)
def test_bad_arguments_are_answered(model, frame, args, error, says):
    with pytest.raises(error, match=says):
        model.explain(*args, frame)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda f: None, ValueError, "pass ratings="),
        (lambda f: f.to_numpy().tolist(), TypeError, "The dataset must be"),
        (lambda f: f.drop(columns="item"), ValueError, "No column 'item'"),
        (lambda f: f.assign(rating="good"), TypeError, "ratings must be numbers"),
        (lambda f: f.assign(rating=np.inf), ValueError, "not a finite float32"),
        (lambda f: f.assign(user="x"), TypeError, "ids of kind str"),
        (lambda f: f.iloc[:0], ValueError, "User 40 has no ratings"),
        (lambda f: f.assign(item=3), ValueError, r"User 40 has no ratings of items of the model in the \d\d rows"),
    ],
)
def test_bad_ratings_are_answered(model, frame, change, error, says):
    with pytest.raises(error, match=says):
        model.explain(40, 110, 5, change(frame))


def test_how_the_model_was_fitted(frame, tmp_path):
    nonnegative = ALS(**FIT, nonnegative=True).fit(frame)
    with pytest.raises(ValueError, match="nonnegative model are no sums"):
        nonnegative.explain(40, 110, 5, frame)
    write_metadata(tmp_path / "model")
    for side in ("userFactors", "itemFactors"):
        write_side(tmp_path / "model" / side, [1, 2, 3], [[1.0, 2.0], [3.0, 4.0], [0.5, -1.0]], parts=2)
    sparks = ALSModel.load(str(tmp_path / "model"))
    mine = pd.DataFrame({"user": [9, 9], "item": [1, 3], "rating": [5.0, 2.0]})
    with pytest.raises(ValueError, match="pass regParam=, implicitPrefs="):
        sparks.explain(9, 2, 5, mine)
    Y = np.array([[1.0, 2.0], [3.0, 4.0], [0.5, -1.0]])
    x = reference.solve(Y, [0, 2], np.array([5.0, 2.0]), 0.3)
    found = sparks.explain(9, 2, 5, mine, regParam=0.3, implicitPrefs=False)
    assert found.attrs["score"] == pytest.approx(Y[1] @ x)
    with pytest.raises(ValueError, match=r"singular.*Pass a regParam above 0"):
        sparks.explain(9, 2, 5, mine.head(1), regParam=0.0, implicitPrefs=False)


def test_real_data(ml100k):
    """The whole of ml-100k: every score of a user is the sum of its reasons."""
    model = ALS(rank=8, maxIter=3, seed=1).fit(ml100k.base)
    items = ml100k.base.item.unique()[:25]
    scores = model.transform(pd.DataFrame({"user": 13, "item": items})).prediction
    found = [model.explain(13, item, 3, ml100k.base).attrs["score"] for item in items]
    np.testing.assert_allclose(found, scores, atol=1e-5)


# ---- a peer ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def peer():
    """``implicit``, with which the factors are shared. It multiplies no regularisation by numbers of ratings: so one
    user is looked at, with that of daskals for this user."""
    pytest.importorskip("implicit")
    from implicit.als import AlternatingLeastSquares

    return AlternatingLeastSquares


def shared(peer, model, mine, reg, alpha):
    """implicit's model with our items, and the ratings of one user, as confidences."""
    from scipy import sparse

    ids, Y = item_rows(model)
    places = [ids.index(each) for each in mine.item]
    row = sparse.csr_matrix((1 + alpha * mine.rating.to_numpy(), (np.zeros(len(mine)), places)), (1, len(ids)))
    theirs = peer(factors=Y.shape[1], regularization=reg * len(mine), use_cg=False, use_native=True, num_threads=1)
    theirs.item_factors, theirs.user_factors = Y.astype(np.float32), np.zeros((1, Y.shape[1]), np.float32)
    return theirs, row.astype(np.float32), ids


@pytest.mark.filterwarnings("ignore")
def test_implicit_gives_the_same_row_and_the_same_reasons(peer, frame):
    positive = frame[frame.rating > 0].drop_duplicates(["user", "item"])
    model = ALS(**FIT, implicitPrefs=True, alpha=3.0).fit(positive)
    mine = positive[positive.user == 40].assign(user=5)
    theirs, row, ids = shared(peer, model, mine, 0.1, 3.0)
    factors = model.foldInUsers(mine).userFactors
    ours = factors["features"][factors["id"] == 5].iloc[0]
    np.testing.assert_allclose(ours, theirs.recalculate_user(0, row).reshape(-1), atol=1e-5)
    score, contributions, _ = theirs.explain(0, row, ids.index(110), N=6)
    reasons = model.explain(5, 110, 6, mine)
    assert reasons["item"].tolist() == [ids[place] for place, _ in contributions]
    np.testing.assert_allclose(reasons["contribution"], [each for _, each in contributions], atol=1e-5)
    assert reasons.attrs["score"] == pytest.approx(score, abs=1e-5)
