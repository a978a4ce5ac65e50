"""Recommendations without what is known, among candidates, from a least score or support, flat: beside brute force."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy import sparse

from daskals import ALS, ALSModel

COLUMNS = ["user", "item", "rating"]


def ratings(seed=0, n_users=23, n_items=17, n=160):
    """Short rows of any length, one pair at most once; item 16 has one rating."""
    rng = np.random.default_rng(seed)
    pairs = rng.choice(n_users * (n_items - 1), n, replace=False)
    users, items = np.append(pairs // (n_items - 1), 3), np.append(pairs % (n_items - 1), n_items - 1)
    return pd.DataFrame({"user": users, "item": items, "rating": rng.integers(1, 6, len(users)).astype(np.float32)})


@pytest.fixture(scope="module", params=["explicit", "implicit"])
def model(request):
    return ALS(rank=3, maxIter=3, numUserBlocks=4, numItemBlocks=3, implicitPrefs=request.param == "implicit").fit(
        ratings()
    )


def as_lists(flat, query="user", candidate="item"):
    """{query: [(candidate, rating), ...]} of a flat frame, whose ranks are checked."""
    lists = {}
    for row in flat.itertuples():
        lists.setdefault(getattr(row, query), []).append((getattr(row, candidate), row.rating))
        assert row.rank == len(lists[getattr(row, query)])
    return lists


def brute(model, k, users_first=True, exclude=(), candidates=None, least=-np.inf):
    """The same from all scores, sorted in Python."""
    users, items = model.userFactors, model.itemFactors
    scores = {
        (u, i): float(np.float32(np.dot(x.astype(np.float64), y.astype(np.float64))))
        for u, x in zip(users["id"], map(np.asarray, users["features"]), strict=True)
        for i, y in zip(items["id"], map(np.asarray, items["features"]), strict=True)
    }
    lists = {}
    for pair, score in scores.items():
        query, candidate = pair if users_first else pair[::-1]
        fits = candidates is None or candidate in candidates or pair in candidates
        if pair not in exclude and fits and score >= least:
            lists.setdefault(query, []).append((candidate, score))
    return {query: sorted(each, key=lambda it: (-it[1], -it[0]))[:k] for query, each in lists.items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for query, best in expected.items():
        assert [each for each, _ in found[query]] == [each for each, _ in best], query
        np.testing.assert_allclose([s for _, s in found[query]], [s for _, s in best], rtol=1e-5, atol=1e-6)


def set_of(frame):
    return set(zip(frame["user"], frame["item"], strict=True))


# ---- beside brute force ----------------------------------------------------------------------------------

#: pairs with strangers among them, repeated ones, and none at all
PAIRS = st.lists(st.tuples(st.integers(-1, 24), st.integers(-1, 18)), max_size=60)


@given(pairs=PAIRS, k=st.integers(1, 20), users_first=st.booleans(), parts=st.integers(0, 3))
def test_excluded_pairs(model, pairs, k, users_first, parts):
    frame = pd.DataFrame(pairs, columns=["user", "item"], dtype=np.int64)
    excluded = dd.from_pandas(frame, npartitions=parts) if parts and len(frame) else frame
    found = (model.recommendForAllUsers if users_first else model.recommendForAllItems)(k, exclude=excluded, flat=True)
    names = ("user", "item") if users_first else ("item", "user")
    assert list(found.columns) == [*names, "rating", "rank"]
    assert_same(as_lists(found, *names), brute(model, k, users_first, exclude=set(pairs)))


@given(pairs=PAIRS, excluded=PAIRS, k=st.integers(1, 20), users_first=st.booleans())
def test_candidates_of_each(model, pairs, excluded, k, users_first):
    """And some of them excluded."""
    frame, exclude = (pd.DataFrame(each, columns=["user", "item"], dtype=np.int64) for each in (pairs, excluded))
    recommend = model.recommendForAllUsers if users_first else model.recommendForAllItems
    found = recommend(k, candidates=frame, exclude=exclude, flat=True)
    names = ("user", "item") if users_first else ("item", "user")
    assert_same(as_lists(found, *names), brute(model, k, users_first, set(excluded), set(pairs)))


@given(
    items=st.sets(st.integers(-1, 18)), excluded=PAIRS, k=st.integers(1, 20), least=st.sampled_from([None, 0.3, 2.0])
)
def test_candidates_of_all_and_a_least_score(model, items, excluded, k, least):
    exclude = pd.DataFrame(excluded, columns=["user", "item"], dtype=np.int64)
    candidates = pd.DataFrame({"item": np.array(sorted(items), np.int64)})
    found = model.recommendForAllUsers(k, candidates=candidates, exclude=exclude, minScore=least, flat=True)
    expected = brute(model, k, True, set(excluded), items, -np.inf if least is None else least)
    assert_same(as_lists(found), expected)


@given(users=st.lists(st.integers(-2, 25), max_size=8), excluded=PAIRS, k=st.integers(1, 18))
def test_some_users(model, users, excluded, k):
    exclude = pd.DataFrame(excluded, columns=["user", "item"], dtype=np.int64)
    found = model.recommendForUserSubset(pd.DataFrame({"user": users}, dtype=np.int64), k, exclude=exclude, flat=True)
    expected = brute(model, k, exclude=set(excluded))
    assert_same(as_lists(found), {user: best for user, best in expected.items() if user in users})


# ---- forms -----------------------------------------------------------------------------------------------


def test_nested_and_flat_say_the_same(model):
    """Also of a user for whom nothing is left, who has an empty list in the one and no row in the other."""
    everything = pd.DataFrame({"user": 5, "item": range(17)})
    known = pd.concat([ratings(), everything])
    nested = model.recommendForAllUsers(4, exclude=known)
    assert nested["recommendations"].iloc[5] == [] or len(nested["recommendations"].iloc[5]) == 0
    lists = {
        user: [(each["item"], each["rating"]) for each in best]
        for user, best in zip(nested["user"], nested["recommendations"], strict=True)
        if len(best)
    }
    assert as_lists(model.recommendForAllUsers(4, exclude=known, flat=True)) == lists
    assert 5 not in lists


def test_without_anything_new_nothing_is_new(model):
    plain = model.recommendForAllUsers(5)
    assert_frame_equal(model.recommendForAllUsers(5, exclude=ratings().head(0)), plain)
    assert_frame_equal(model.recommendForAllUsers(5, minSupport=1, minScore=-np.inf), plain)


@pytest.mark.parametrize("kind", ["pandas", "dask"])
def test_on_every_scheduler(scheduler, kind):
    frame = ratings()
    given = dd.from_pandas(frame, npartitions=3) if kind == "dask" else frame
    model = ALS(rank=3, maxIter=2, numUserBlocks=4, numItemBlocks=3).fit(given)
    found = model.recommendForAllUsers(3, exclude=given, flat=True)
    assert isinstance(found, pd.DataFrame) == (kind == "pandas")
    found = found.compute() if kind == "dask" else found
    assert found.dtypes.astype(str).to_dict() == {
        "user": "int64", "item": "int64", "rating": "float32", "rank": "int32",
    }  # fmt: skip
    assert_same(as_lists(found), brute_of(model, 3, set_of(frame)))
    subset = model.recommendForItemSubset(given, 2, candidates=given)
    subset = subset.compute() if kind == "dask" else subset
    assert len(subset) == frame["item"].nunique()


def brute_of(model, k, exclude):
    class Here:
        userFactors = (
            pd.DataFrame(model.userFactors)
            if isinstance(model.userFactors, pd.DataFrame)
            else model.userFactors.compute()
        )
        itemFactors = (
            pd.DataFrame(model.itemFactors)
            if isinstance(model.itemFactors, pd.DataFrame)
            else model.itemFactors.compute()
        )

    return brute(Here, k, exclude=exclude)


def test_strings_as_ids():
    frame = ratings().assign(item=lambda f: "film " + f["item"].astype(str))
    model = ALS(rank=2, maxIter=2).fit(frame)
    found = model.recommendForAllUsers(30, exclude=frame, flat=True)
    assert not set_of(found) & set_of(frame)
    assert len(found) == frame["user"].nunique() * frame["item"].nunique() - len(frame)


def test_a_flat_frame_joins_and_goes_to_csv(model, tmp_path):
    titles = pd.DataFrame({"item": range(17), "title": [f"film {n}" for n in range(17)]})
    flat = model.recommendForAllUsers(2, flat=True).merge(titles, on="item")
    flat.to_csv(tmp_path / "out.csv", index=False)
    assert pd.read_csv(tmp_path / "out.csv")[["user", "item", "rank"]].equals(
        flat[["user", "item", "rank"]].astype("int64")
    )


# ---- support ---------------------------------------------------------------------------------------------


def test_support_is_the_number_of_ratings(model, tmp_path):
    """As counted by pandas, in the model and in one that was saved and loaded."""
    counts = ratings().groupby("item").size()
    model.save(str(tmp_path / "model"))
    for each in (model, ALSModel.load(str(tmp_path / "model"), frames="pandas")):
        found = each.recommendForAllUsers(30, minSupport=10, flat=True)
        assert set(found["item"]) == set(counts[counts >= 10].index)
    users = ratings().groupby("user").size()
    found = model.recommendForAllItems(30, minSupport=8, flat=True)
    assert set(found["user"]) == set(users[users >= 8].index)


def test_support_is_not_known_of_every_model(model, tmp_path):
    import json

    model.save(str(tmp_path / "model"))
    file = tmp_path / "model/metadata/part-00000"
    fields = json.loads(file.read_text())
    del fields["daskals"]["item"]["counts"]
    file.write_text(json.dumps(fields) + "\n")
    loaded = ALSModel.load(str(tmp_path / "model"))
    with pytest.raises(ValueError, match=r"minSupport=2: this model does not know how many ratings"):
        loaded.recommendForAllUsers(3, minSupport=2)


def test_counts_that_are_missing_or_changed_are_answered(model, tmp_path):
    model.save(str(tmp_path / "model"))
    (file,) = (tmp_path / "model/itemCounts").iterdir()
    other = next((tmp_path / "model/userCounts").iterdir())
    file.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match=r"itemCounts/part-00000.* is not as it was written: it has 23 rows, of 17"):
        ALSModel.load(str(tmp_path / "model"))
    file.unlink()
    with pytest.raises(FileNotFoundError, match="itemCounts"):
        ALSModel.load(str(tmp_path / "model"))


# ---- what is refused, and what is passed over ------------------------------------------------------------


def test_nulls_and_strangers_are_passed_over(model):
    some = pd.DataFrame({"user": [0, None, 1, 2.5, 1e300], "item": [1, 2, None, 3, 4]})
    plain = brute(model, 17)
    found = as_lists(model.recommendForAllUsers(17, exclude=some, flat=True))
    assert {user: 17 - len(best) for user, best in found.items() if len(best) < 17} == {0: 1}
    assert_same({1: found[1]}, {1: plain[1]})


REFUSED = {
    "no frame": ({"exclude": [(1, 2)]}, TypeError, "exclude must be a pandas or a dask DataFrame"),
    "a column is missing": ({"exclude": pd.DataFrame({"user": [1]})}, ValueError, "No column 'item' in exclude"),
    "no column of items": ({"candidates": pd.DataFrame({"id": [1]})}, ValueError, "No column 'item' in candidates"),
    "other ids": ({"candidates": pd.DataFrame({"item": ["a"]})}, TypeError, "Column 'item' has ids of kind str"),
    "a score": ({"minScore": "high"}, TypeError, "minScore='high' is not allowed: it must be a number"),
    "NaN": ({"minScore": float("nan")}, ValueError, "no score reaches NaN"),
    "a word for flat": ({"flat": "yes"}, TypeError, "flat='yes' is not allowed: it must be True or False"),
    "support": ({"minSupport": 0}, ValueError, "minSupport=0 is not allowed"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(model, what):
    keywords, kind, words = REFUSED[what]
    with pytest.raises(kind, match=words):
        model.recommendForAllUsers(3, **keywords)


def test_names_that_would_be_there_twice():
    frame = ratings().rename(columns={"item": "rank"})
    model = ALS(rank=2, maxIter=1, itemCol="rank").fit(frame)
    assert len(model.recommendForAllUsers(2)) == 23
    with pytest.raises(ValueError, match="two have one name"):
        model.recommendForAllUsers(2, flat=True)


# ---- real ------------------------------------------------------------------------------------------------


def test_of_real_ratings_everybody_gets_as_many_as_are_left(ml100k):
    frame = ml100k.base
    model = ALS(rank=8, maxIter=3).fit(frame)
    found = model.recommendForAllUsers(10, exclude=frame, flat=True)
    assert (found.groupby("user").size() == 10).all()
    assert found["user"].nunique() == frame["user"].nunique()
    assert not set_of(found) & set_of(frame)
    # every item that is left and scores more than the tenth would have to be in the list
    pairs = found[found["rank"] == 10].merge(pd.DataFrame({"item": frame["item"].unique()}), how="cross")
    pairs = pairs.rename(columns={"item_x": "tenth", "item_y": "item"}).drop(columns=["rank", "tenth"])
    scored = model.transform(pairs)
    better = scored[scored["prediction"] > scored["rating"] + 1e-4]
    assert set_of(better) <= set_of(frame) | set_of(found)


# ---- frames of other libraries ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["polars", "pyarrow"])
def test_frames_of_other_libraries(model, kind):
    """As pairs that are excluded, as candidates and as those who are asked for; answers are of their kind."""
    frame = ratings()
    if kind == "polars":
        polars = pytest.importorskip("polars")
        made, type_ = polars.from_pandas, polars.DataFrame
    else:
        made, type_ = pa.Table.from_pandas, pa.Table
    items, some = frame[["item"]].head(30), frame[["user"]].head(9)
    expected = model.recommendForUserSubset(some, 5, exclude=frame, candidates=items, flat=True)
    found = model.recommendForUserSubset(made(some), 5, exclude=made(frame), candidates=made(items), flat=True)
    assert isinstance(found, type_)
    assert_frame_equal(found.to_pandas(), expected)
    listed = model.recommendForAllUsers(5, candidates=made(frame), flat=True)
    assert_frame_equal(listed, model.recommendForAllUsers(5, candidates=frame, flat=True))
    near = model.similarItems(made(items), 3, flat=True)
    assert isinstance(near, type_)
    assert_frame_equal(near.to_pandas(), model.similarItems(items, 3, flat=True))


def test_matrices_and_arrays(model):
    frame = ratings()
    matrix = sparse.csr_matrix((frame["rating"], (frame["user"], frame["item"])))
    expected = model.recommendForAllUsers(4, exclude=frame, candidates=pd.DataFrame({"item": [3, 5, 7]}), flat=True)
    found = model.recommendForAllUsers(4, exclude=matrix, candidates=np.array([7, 5, 3]), flat=True)
    assert_frame_equal(found, expected)
    some = model.recommendForUserSubset(np.array([4, 2]), 4, candidates=matrix, flat=True)
    assert_frame_equal(
        some, model.recommendForUserSubset(frame[frame["user"].isin([2, 4])], 4, candidates=frame, flat=True)
    )


# ---- a peer ----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # what implicit says of BLAS threads
def test_unseen_items_beside_implicit(ml100k):
    """The same factors in both, and what everybody has rated filtered by each."""
    als = pytest.importorskip("implicit.cpu.als")
    frame = ml100k.base
    model = ALS(rank=8, maxIter=3, implicitPrefs=True).fit(frame)
    users, items = model.userFactors, model.itemFactors
    peer = als.AlternatingLeastSquares(factors=8)
    peer.user_factors, peer.item_factors = (np.stack(side["features"]) for side in (users, items))
    row, column = (pd.Index(side["id"]).get_indexer(frame[name]) for side, name in ((users, "user"), (items, "item")))
    rated = sparse.csr_matrix((np.ones(len(frame), np.float32), (row, column)))
    ids, scores = peer.recommend(np.arange(len(users)), rated, N=10, filter_already_liked_items=True)
    found = model.recommendForAllUsers(10, exclude=frame, flat=True)
    np.testing.assert_array_equal(found["item"].to_numpy().reshape(-1, 10), items["id"].to_numpy()[ids])
    np.testing.assert_allclose(found["rating"].to_numpy().reshape(-1, 10), scores, rtol=1e-5, atol=1e-6)
