"""Factors that no task may hold all rows of: the same answers, from a portion at a time."""

from itertools import pairwise

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.delayed import delayed
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from support.models import write_metadata, write_side
from support.rows_at_hand import RowsAtHand, small_shares

from daskals import ALS, ALSModel
from daskals.engine.factors import FactorMatrix
from daskals.engine.portions import blocks_in, portions_of, starts_of
from daskals.engine.share import LEAST_MEMORY, Share
from daskals.execution.scheduler import Scheduler, current_scheduler
from daskals.execution.tasks import identity

RANK = 4
N_USERS, N_ITEMS = 120, 30


def ratings(n_users=N_USERS, n_items=N_ITEMS, n=900, seed=0):
    rng = np.random.default_rng(seed)
    pairs = rng.choice(n_users * n_items, n, replace=False)
    frame = pd.DataFrame({"user": pairs // n_items * 3, "item": pairs % n_items - 7})
    return frame.assign(rating=rng.integers(1, 6, n).astype(np.float32))


@pytest.fixture(autouse=True)
def _synchronous():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module", params=[(6, 5), (1, 1), (7, 1)], ids=str)
def model(request):
    users, items = request.param
    with dask.config.set(scheduler="synchronous"):
        return ALS(rank=RANK, maxIter=2, seed=1, numUserBlocks=users, numItemBlocks=items).fit(ratings())


# ---- portions --------------------------------------------------------------------------------------------


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=8), grouped=st.integers(0, 20), more=st.integers(0, 9))
def test_portions_are_parts_of_one_block_or_whole_blocks(sizes, grouped, more):
    """They have each row once, in order, and no more of them than they may."""
    most = max(1, grouped + more)
    bounds = np.cumsum([0, *sizes])
    rows = np.random.default_rng(0).standard_normal((bounds[-1], 2), dtype=np.float32)
    blocks = [rows[a:b] for a, b in pairwise(bounds)]
    tasks = tuple(delayed(identity)(block) for block in blocks)
    keys = [each.key for each in tasks]
    portions = portions_of(FactorMatrix(delayed(identity)(0), bounds, tasks, 2, "users-0"), grouped, most)
    found = []
    for portion in portions:
        given = [blocks[keys.index(each.key)] for each in portion.tasks]
        found.append(np.concatenate(blocks_in(portion.span, given)))
        assert portion.span.stop - portion.span.start == len(found[-1]) <= most
        assert len(portion.tasks) == 1 or len(found[-1]) <= grouped
    np.testing.assert_array_equal(np.concatenate(found), rows)
    assert starts_of(portions).tolist() == [0, *np.cumsum([len(each) for each in found])[:-1]]


def test_a_cluster_is_asked_only_if_it_matters(monkeypatch):
    """Once for what is used together; never for factors that any worker has room for."""
    asked = []
    monkeypatch.setattr(Scheduler, "worker_memory", lambda _: asked.append(1) or 1e9)
    share = Share(current_scheduler())
    small = int(LEAST_MEMORY * 0.25 / 4 / 10)
    assert share.holds(small, 10)
    assert not asked
    assert share.holds(small * 2, 10)
    assert not share.holds(10**9, 10)
    assert asked == [1]


# ---- predictions -----------------------------------------------------------------------------------------


def pairs(n=500, seed=1):
    """Strangers among them, and rows that stand twice."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"user": rng.integers(-5, 3 * N_USERS + 5, n), "item": rng.integers(-9, N_ITEMS, n)})
    return pd.concat([frame, frame[:20], ratings()[["user", "item"]]], ignore_index=True)


@pytest.mark.parametrize("rows", [5, 13, 10**6])
@pytest.mark.parametrize("strategy", ["nan", "drop"])
def test_predictions_are_the_same_to_the_bit(model, rows, strategy):
    model.setColdStartStrategy(strategy)
    for some in (pairs(), pairs()[:0], pd.DataFrame({"user": [-1], "item": [-1]})):
        expected = model.transform(some)
        with small_shares(rows):
            assert_frame_equal(model.transform(some), expected)
            if len(some):
                lazy = model.transform(dd.from_pandas(some, npartitions=3))
                assert_frame_equal(lazy.compute(), expected)
    model.setColdStartStrategy("nan")
    assert expected.prediction.isna().all()


@pytest.mark.parametrize("rows", [5, 13, 10**6])
def test_strangers_have_the_bias_of_the_one_who_is_known(rows):
    model = ALS(rank=RANK, maxIter=2, seed=1, biases=True, numUserBlocks=4, numItemBlocks=3).fit(ratings())
    model.setColdStartStrategy("bias")
    expected = model.transform(pairs())
    assert expected.prediction.notna().all()
    with small_shares(rows):
        assert_frame_equal(model.transform(pairs()), expected)


def fit_of(n_items):
    """Of `N_USERS` users in 6 blocks, and so many items in 3."""
    als = ALS(rank=RANK, maxIter=1, seed=1, numUserBlocks=6, numItemBlocks=3)
    return als.fit(ratings(n_items=n_items, n=500))


@pytest.mark.parametrize(("all_of", "n_items", "most"), [(5, 5, 20 + 5), (0, 30, 20 + 10)])
def test_no_task_of_a_prediction_has_all_rows(all_of, n_items, most):
    """Of a side that is too large. The other side is at hand where it is small enough."""
    model = fit_of(n_items)
    with small_shares(100, all_of=all_of), RowsAtHand(RANK) as found:
        model.transform(pairs())
    assert most / 2 <= found.most <= most * 1.5, found.by_whom
    with RowsAtHand(RANK) as found:
        model.transform(pairs())
    assert found.most >= N_USERS, "where there is room for all, they are at hand"


# ---- recommendations -------------------------------------------------------------------------------------


def some_of(column, seed=2):
    return pd.DataFrame({column: np.random.default_rng(seed).integers(-9, N_USERS, 60)})


WISHES = {
    "all": {},
    "excluded": {"exclude": ratings()},
    "some": {"candidates": "own column"},
    "some, and excluded": {"candidates": "own column", "exclude": pairs()},
    "listed": {"candidates": ratings()},
    "listed, and excluded": {"candidates": ratings(), "exclude": ratings()[::2]},
    "nothing": {"candidates": ratings(), "exclude": ratings()},
    "least": {"minScore": 3.0, "minSupport": 8},
    "flat": {"flat": True, "exclude": ratings()},
}


def assert_same_lists(found, expected):
    """Candidates in the same order; scores to rounding."""
    assert_frame_equal(found.iloc[:, :1], expected.iloc[:, :1])
    assert len(found.columns) == len(expected.columns)
    if len(found.columns) == 4:
        return assert_frame_equal(found, expected, rtol=1e-6)
    for mine, its in zip(found.iloc[:, 1], expected.iloc[:, 1], strict=True):
        (names, scores), (other_names, other_scores) = (
            zip(*map(dict.values, each), strict=True) if len(each) else ((), ()) for each in (mine, its)
        )
        assert names == other_names
        np.testing.assert_allclose(scores, other_scores, rtol=1e-6, atol=1e-6)
    return None


@pytest.mark.parametrize("k", [1, 4, 1000])
@pytest.mark.parametrize("users_first", [True, False])
@pytest.mark.parametrize("wish", WISHES)
def test_recommendations_are_the_same(model, wish, users_first, k):
    given = dict(WISHES[wish])
    if isinstance(given.get("candidates"), str):
        given["candidates"] = some_of("item" if users_first else "user")
    recommend = model.recommendForAllUsers if users_first else model.recommendForAllItems
    expected = recommend(k, **given)
    with small_shares(3):
        assert_same_lists(recommend(k, **given), expected)


@pytest.mark.parametrize("n_queries", [1, 7])
def test_queries_in_shares(model, n_queries, monkeypatch):
    """So that what is found in all portions is not too much for a task."""
    expected = model.recommendForAllItems(5, exclude=ratings())
    asked = pd.concat([some_of("item"), some_of("item")])
    some = model.recommendForItemSubset(asked, 5, exclude=ratings())
    monkeypatch.setattr("daskals.engine.recommend._most_queries", lambda *_: n_queries)
    with small_shares(20):
        assert_same_lists(model.recommendForAllItems(5, exclude=ratings()), expected)
        assert_same_lists(model.recommendForItemSubset(asked, 5, exclude=ratings()), some)


@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("users", [True, False])
def test_neighbours_are_the_same(model, metric, users):
    find = model.similarUsers if users else model.similarItems
    expected = find(None, 4, metric=metric)
    with small_shares(7):
        assert_same_lists(find(None, 4, metric=metric), expected)


def test_no_task_of_recommendations_has_all_candidates():
    model = fit_of(N_ITEMS)
    with small_shares(100), RowsAtHand(RANK) as found:
        model.recommendForAllItems(3, exclude=ratings())
    assert found.most <= 35, found.by_whom
    with RowsAtHand(RANK) as found:
        model.recommendForAllItems(3, exclude=ratings())
    assert found.most >= N_USERS


# ---- files of Spark --------------------------------------------------------------------------------------


@pytest.fixture
def of_spark(tmp_path):
    """A model of whole numbers, so that most scores are there several times; in files that overlap."""
    rng = np.random.default_rng(3)
    users, items = rng.integers(-2, 3, (50, 2)), rng.integers(-2, 3, (14, 2))
    write_metadata(tmp_path / "model")
    write_side(tmp_path / "model/userFactors", list(range(50)), users.astype(np.float32), parts=7)
    write_side(tmp_path / "model/itemFactors", list(range(14)), items.astype(np.float32), parts=3)
    return str(tmp_path / "model"), users, items


def test_of_equal_scores_the_larger_id_is_first(of_spark):
    """Whichever portions they are in: beside a sort of all scores."""
    path, users, items = of_spark
    with small_shares(4, rank=2):
        found = ALSModel.load(path, frames="pandas").recommendForAllItems(9, flat=True)
    for item, scores in enumerate(items @ users.T):
        best = sorted(range(50), key=lambda user: (-scores[user], -user))[:9]
        mine = found[found["item"] == item]
        assert mine.iloc[:, 1].tolist() == best
        assert mine["rating"].tolist() == scores[best].tolist()


def test_no_task_of_loading_has_all_rows(of_spark):
    """Files that overlap become blocks, each from its pieces of the files."""
    path, users, _ = of_spark
    expected = ALSModel.load(path, frames="pandas").userFactors
    with small_shares(4, rank=2), RowsAtHand(2) as found:
        model = ALSModel.load(path, frames="pandas")
        assert_frame_equal(model.userFactors, expected)
    assert found.most <= 16, found.by_whom
    np.testing.assert_array_equal(np.stack(expected["features"]), users)
    with RowsAtHand(2) as found:
        ALSModel.load(path, frames="pandas").userFactors
    assert found.most == 50


# ---- fits ------------------------------------------------------------------------------------------------


def rows_of(model):
    return [np.stack(side["features"]) for side in (model.userFactors, model.itemFactors)]


@pytest.mark.parametrize("settings", [{}, {"nonnegative": True}, {"biases": True}, {"seed": 3}], ids=str)
def test_no_task_of_a_start_has_all_rows(settings):
    """And the rows are the same to the bit."""
    als = ALS(**{"rank": RANK, "maxIter": 0, "seed": 1, "numUserBlocks": 7, "numItemBlocks": 3, **settings})
    expected = rows_of(als.fit(ratings()))
    with dask.config.set({"daskals.factor-share": 0}), RowsAtHand(als.getRank()) as found:
        for mine, its in zip(rows_of(als.fit(ratings())), expected, strict=True):
            np.testing.assert_array_equal(mine, its)
    assert found.most <= 50, found.by_whom
    with RowsAtHand(als.getRank()) as found:
        als.fit(ratings())
    assert found.most == N_USERS


@pytest.mark.parametrize("n_blocks", [1, 2, 7])
def test_no_task_of_a_warm_start_has_all_known_rows(n_blocks):
    """Few users, of whom a block of the fit has the first and the last."""
    model, few = fit_of(N_ITEMS), ratings()
    few = few[few["user"].isin([0, 3, 177, 354, 357])]
    als = ALS(rank=RANK, maxIter=0, seed=9, numUserBlocks=n_blocks, numItemBlocks=2)
    known = dict(zip(model.userFactors["id"], map(tuple, model.userFactors["features"]), strict=True))
    with RowsAtHand(RANK) as found:
        warm = als.fit(few, initialModel=model)
    assert {id_: known[id_] for id_ in few["user"]} == dict(
        zip(warm.userFactors["id"], map(tuple, warm.userFactors["features"]), strict=True)
    )
    assert found.most <= 30, found.by_whom


@pytest.mark.parametrize("settings", [{}, {"implicitPrefs": True}], ids=str)
@pytest.mark.parametrize("of_users", [True, False])
def test_no_task_of_folding_in_has_all_rows(settings, of_users):
    """Neither of the side that is read nor of that to which rows come."""
    als = ALS(rank=RANK, maxIter=2, seed=1, numUserBlocks=6, numItemBlocks=6, **settings)
    model, new = als.fit(ratings(n_items=90)), ratings(n_items=90, n=90, seed=5)
    fold, column = (model.foldInUsers, "user") if of_users else (model.foldInItems, "item")
    new[column] = new[column] % 17 * 2 + 1
    expected = rows_of(fold(new))
    with dask.config.set({"daskals.factor-share": 0}), RowsAtHand(RANK) as found:
        folded = fold(new)
    assert found.most <= 60, found.by_whom
    for mine, its in zip(rows_of(folded), expected, strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-4)


def test_no_task_of_an_explanation_has_all_rows():
    model = fit_of(90)
    with dask.config.set({"daskals.factor-share": 0}), RowsAtHand(RANK) as found:
        model.explain(3, 5, ratings=ratings(n_items=90, n=500))
    assert 0 < found.most <= 40, found.by_whom


def test_no_task_of_saving_has_all_rows(tmp_path):
    model = fit_of(90)
    with RowsAtHand(RANK) as found:
        model.save(str(tmp_path / "model"))
        loaded = ALSModel.load(str(tmp_path / "model"), frames="pandas")
        assert_frame_equal(loaded.userFactors, model.userFactors)
    assert 0 < found.most <= 30, found.by_whom


@pytest.mark.parametrize("settings", [{}, {"implicitPrefs": True}], ids=str)
def test_no_task_of_validation_has_all_items(settings):
    """Neither for the error of held-out ratings, nor for the best items of each user."""
    frame = ratings(n_items=90, n=1500)
    als = ALS(rank=RANK, maxIter=2, seed=1, numUserBlocks=6, numItemBlocks=6, **settings)
    expected = als.fit(frame[150:], validation=frame[:150])
    with dask.config.set({"daskals.factor-share": 0}), RowsAtHand(RANK) as found:
        model = als.fit(frame[150:], validation=frame[:150])
    assert found.most <= 60, found.by_whom
    assert_frame_equal(model.history.drop(columns="seconds"), expected.history.drop(columns="seconds"), rtol=1e-3)
