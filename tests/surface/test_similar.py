"""Neighbours beside brute force, and beside implicit on the same factors."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskals import ALS


def ratings(seed=1, n_users=19, n_items=23, n=150):
    rng = np.random.default_rng(seed)
    pairs = rng.choice(n_users * n_items, n, replace=False)
    return pd.DataFrame({"user": pairs // n_items, "item": pairs % n_items, "rating": rng.integers(1, 6, n) * 1.0})


@pytest.fixture(scope="module")
def model():
    return ALS(rank=3, maxIter=2, numUserBlocks=3, numItemBlocks=4).fit(ratings())


def brute(factors, n, metric, among):
    """{id: [(neighbour, similarity), ...]}, in float64, sorted in Python."""
    rows = dict(zip(factors["id"], np.stack(factors["features"]).astype(np.float64), strict=True))
    if metric == "cosine":
        rows = {id_: row / np.linalg.norm(row) for id_, row in rows.items()}
    return {
        id_: sorted(
            ((other, float(row @ rows[other])) for other in rows if other != id_ and other in among),
            key=lambda it: (-it[1], -it[0]),
        )[:n]
        for id_, row in rows.items()
    }


def assert_same(flat, expected, column):
    lists = {}
    for row in flat.itertuples():
        lists.setdefault(getattr(row, column), []).append((row.neighbour, row.similarity))
        assert row.rank == len(lists[getattr(row, column)])
    expected = {id_: best for id_, best in expected.items() if best}
    assert lists.keys() == expected.keys()
    for id_, best in expected.items():
        assert [each for each, _ in lists[id_]] == [each for each, _ in best]
        np.testing.assert_allclose([s for _, s in lists[id_]], [s for _, s in best], rtol=1e-5, atol=1e-6)


@given(
    ids=st.lists(st.integers(-2, 24), max_size=6),
    n=st.integers(1, 25),
    metric=st.sampled_from(["cosine", "dot"]),
    among=st.none() | st.sets(st.integers(-1, 24)),
    users=st.booleans(),
)
def test_neighbours(model, ids, n, metric, among, users):
    column, factors = ("user", model.userFactors) if users else ("item", model.itemFactors)
    candidates = None if among is None else pd.DataFrame({column: np.array(sorted(among), np.int64)})
    find = model.similarUsers if users else model.similarItems
    found = find(np.array(ids, np.int64), n, metric=metric, candidates=candidates, flat=True)
    expected = brute(factors, n, metric, set(factors["id"]) if among is None else among)
    assert_same(found, {id_: best for id_, best in expected.items() if id_ in ids}, column)


def test_all_of_them_and_each_form_of_asking(model):
    everything = model.similarItems(None, 3, flat=True)
    assert_same(everything, brute(model.itemFactors, 3, "cosine", set(model.itemFactors["id"])), "item")
    some = everything[everything["item"] == 4].reset_index(drop=True)
    for asked in (4, np.int64(4), [4], pd.Series([4]), pd.DataFrame({"item": [4, 4, None]})):
        pd.testing.assert_frame_equal(model.similarItems(asked, 3, flat=True), some)
    nested = model.similarItems([4], 3)
    assert [each["neighbour"] for each in nested["neighbours"][0]] == some["neighbour"].tolist()


def test_on_every_scheduler(scheduler):
    frame = dd.from_pandas(ratings(), npartitions=2)
    model = ALS(rank=3, maxIter=2, numUserBlocks=3, numItemBlocks=4).fit(frame)
    found = model.similarItems(frame, 4, flat=True)
    assert isinstance(found, dd.DataFrame)
    factors = model.itemFactors.compute()
    assert_same(found.compute(), brute(factors, 4, "cosine", set(factors["id"])), "item")


def test_a_least_similarity_and_support(model):
    found = model.similarItems(None, 22, minScore=0.9, minSupport=7, flat=True)
    counts = ratings().groupby("item").size()
    assert found["similarity"].min() >= 0.9
    assert set(found["neighbour"]) <= set(counts[counts >= 7].index)


def test_strings():
    frame = ratings().assign(item=lambda f: "film " + f["item"].astype(str))
    model = ALS(rank=2, maxIter=2).fit(frame)
    found = model.similarItems("film 3", 2, flat=True)
    assert len(found) == 2
    assert "film 3" not in set(found["neighbour"])


def test_rows_of_zeros_are_like_nothing():
    """All counts of item 9 are zero: so is its row in an implicit fit, and its cosine with any other."""
    frame = pd.concat([ratings(), pd.DataFrame({"user": [0, 1], "item": 99, "rating": 0.0})])
    model = ALS(rank=3, maxIter=2, implicitPrefs=True).fit(frame)
    found = model.similarItems(99, 3, flat=True)
    assert found["similarity"].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("keywords", "kind", "words"),
    [
        ({"n": 0}, ValueError, "n=0 is not allowed"),
        ({"n": 3, "metric": "euclid"}, ValueError, "must be 'cosine' or 'dot'"),
        ({"n": 3, "items": ["a"]}, TypeError, "ids of kind str"),
        ({"n": 3, "items": pd.DataFrame({"id": [1]})}, ValueError, "No column 'item'"),
        ({"n": 3, "candidates": pd.DataFrame({"id": [1]})}, ValueError, "No column 'item' in candidates"),
    ],
)
def test_what_is_refused(model, keywords, kind, words):
    with pytest.raises(kind, match=words):
        model.similarItems(**{"items": [1], **keywords})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # what implicit says of BLAS threads
def test_beside_implicit(model):
    als = pytest.importorskip("implicit.cpu.als")
    factors = model.itemFactors
    peer = als.AlternatingLeastSquares(factors=3)
    peer.item_factors = np.stack(factors["features"]).astype(np.float32)
    ids, similarities = peer.similar_items(np.arange(23), N=6)
    found = model.similarItems(None, 5, flat=True)
    for item in range(23):
        mine = found[found["item"] == factors["id"][item]]
        # implicit has the item itself among its neighbours
        others = [(n, s) for n, s in zip(ids[item], similarities[item], strict=True) if n != item]
        assert mine["neighbour"].tolist() == factors["id"].to_numpy()[[n for n, _ in others]].tolist()
        np.testing.assert_allclose(mine["similarity"], [s for _, s in others], rtol=1e-5, atol=1e-6)


def test_ids_in_two_dimensions_are_refused():
    model = ALS(rank=2, seed=0).fit(pd.DataFrame({"user": [0, 1], "item": [0, 1], "rating": [1.0, 2.0]}))
    with pytest.raises(TypeError, match=r"one dimension, got one of shape \(2, 1\): call \.ravel"):
        model.similarItems(np.array([[0], [1]]), 1)
