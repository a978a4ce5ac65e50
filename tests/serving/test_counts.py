"""What a `LocalModel` knows of the numbers of ratings: popular items, and the least support of an answer."""

import pickle
import shutil
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.marks import a_few
from support.models import IDS, as_earlier_versions_wrote, edit_metadata, fit, ratings_with, write_spark_model

from daskals import ALS, ALSModel
from daskals.serving import LocalModel, Scored

NOT_KNOWN = "this model does not know how many ratings.*fit the model again"


def save(path, frame):
    model = fit(frame)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Spark cannot load this model")
        model.save(path)
    return model


def small(counts=(3, 1, 3, 0)):
    """Users ann and bob, who rated 5 and 2; items 1, 2, 3, 4."""
    rows = np.array([(1, 0), (0, 1), (1, 1), (0, 0)], np.float32)
    users, items = (["bob", "ann"], rows[1::-1]), ([1, 2, 3, 4], rows)
    return LocalModel.fromArrays(users, items, userCounts=[2, 5], itemCounts=counts)


# ---- where they come from --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", a_few(list(IDS), "int16", "strings"))
def test_they_are_those_of_the_frame(kind, tmp_path):
    """From memory, from Parquet, and from the copy; by ids, whichever order they come in."""
    frame = ratings_with(IDS[kind])
    model = save(tmp_path / "model", frame)
    locals_ = [model.toLocal(), LocalModel.load(tmp_path / "model")]
    LocalModel.writeArrays(tmp_path / "model")
    locals_.append(LocalModel.load(tmp_path / "model"))
    locals_.append(pickle.loads(pickle.dumps(locals_[-1])))
    users, items = (frame[name].astype(object).value_counts().sort_index() for name in ("user", "item"))
    for local in locals_:
        assert (local.userCounts.dtype, local.itemCounts.dtype) == (np.int64, np.int64)
        assert local.userCounts.tolist() == users.tolist()
        assert dict(zip(local.itemIds.tolist(), local.itemCounts, strict=True)) == items.to_dict()
        with pytest.raises(ValueError, match="read-only"):
            local.itemCounts[0] = 3
        best = sorted(items.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)
        assert local.popular(7) == best[:7]


def test_they_come_from_any_scheduler(scheduler, ratings):
    local = ALS(rank=2, maxIter=1, numUserBlocks=2).fit(ratings).toLocal()
    assert local.itemCounts.tolist() == ratings.groupby("item").size().tolist()
    assert local.userCounts.tolist() == ratings.groupby("user").size().tolist()


def test_rows_that_were_folded_in_are_counted(ratings):
    """By their own ratings; the others stay."""
    model = ALS(rank=2, maxIter=1).fit(ratings)
    more = pd.DataFrame({"user": [0, 1, 2], "item": [9, 9, 9], "rating": [1.0, 2.0, 3.0]})
    counts = ratings.groupby("item").size().to_dict()
    local = model.foldInItems(more).toLocal()
    assert dict(zip(local.itemIds.tolist(), local.itemCounts.tolist(), strict=True)) == {**counts, 9: 3}


@pytest.mark.parametrize("what", ["spark", "earlier", "arrays", "written from spark"])
def test_models_without_them_answer_all_else(what, tmp_path):
    """Spark's, earlier versions', and a caller's arrays: only what needs the numbers is refused, with what to do."""
    path = tmp_path / "model"
    if what == "earlier":
        save(path, ratings_with(IDS["int16"]))
        shutil.rmtree(path / "itemCounts")
        shutil.rmtree(path / "userCounts")
        as_earlier_versions_wrote(path)
    elif what != "arrays":
        write_spark_model(path)
    if what == "written from spark":
        LocalModel.writeArrays(path)
        assert not list((path / "arrays").glob("*counts*"))
    one = np.ones((3, 2))
    local = LocalModel.fromArrays((range(3), one), (range(3), one)) if what == "arrays" else LocalModel.load(path)
    user, item = int(local.userIds[0]), int(local.itemIds[0])
    assert (local.userCounts, local.itemCounts) == (None, None)
    assert local.recommend(user, 2) != []
    for call in (
        lambda: local.popular(2),
        lambda: local.recommend(user, 2, minSupport=1),
        lambda: local.recommendForRatings({item: 1.0}, 2, regParam=0.1, implicitPrefs=False, minSupport=1),
        lambda: local.similarItems(item, 2, minSupport=1),
        lambda: local.similarUsers(user, 2, minSupport=1),
    ):
        with pytest.raises(ValueError, match=NOT_KNOWN):
            call()


# ---- damaged files ---------------------------------------------------------------------------------------


def counts_file(path):
    (file,) = (path / "itemCounts").glob("*.parquet")
    return file


def other_numbers(path):
    table = pq.read_table(counts_file(path))
    pq.write_table(pa.table({"count": np.asarray(table["count"]) + 1}), counts_file(path))


DAMAGES = {
    "missing": (lambda path: counts_file(path).unlink(), FileNotFoundError, "itemCounts/part-00000.* is missing"),
    "cut": (lambda path: counts_file(path).write_bytes(counts_file(path).read_bytes()[:-9]), ValueError, "be read as"),
    "other numbers": (other_numbers, ValueError, "itemCounts/part-00000.* is not as it was written"),
    "no checksum": (
        lambda path: edit_metadata(path, lambda fields: fields["daskals"]["item"].update(counts="x")),
        ValueError,
        "damaged in daskals.item",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_numbers_are_refused_as_by_the_model(damage, tmp_path):
    change, error, message = DAMAGES[damage]
    save(tmp_path / "model", ratings_with(IDS["int16"]))
    change(tmp_path / "model")
    for load in (LocalModel.load, ALSModel.load, LocalModel.writeArrays):
        with pytest.raises(error, match=message):
            load(tmp_path / "model")


@pytest.mark.parametrize("wrong", [np.arange(3), np.arange(12.0)], ids=["fewer", "floats"])
def test_a_copy_with_other_numbers_is_passed_over(wrong, tmp_path):
    path = tmp_path / "model"
    model = save(path, ratings_with(IDS["int16"]))
    LocalModel.writeArrays(path)
    np.save(path / "arrays" / "item-counts.npy", wrong)
    assert LocalModel.load(path).popular(3) == model.toLocal().popular(3)


# ---- popular ---------------------------------------------------------------------------------------------

some_items = st.lists(st.integers(-3, 15), max_size=12)


@given(st.lists(st.integers(0, 3), max_size=11), st.integers(1, 15), some_items, st.none() | some_items)
def test_popular_items_are_those_of_a_sort(counts, n, exclude, candidates):
    """Ties, doubled and unknown ids, more asked for than remain, no items at all."""
    items = (range(len(counts)), np.ones((len(counts), 1)))
    model = LocalModel.fromArrays(([1], np.ones((1, 1))), items, itemCounts=counts)
    left = [i for i in range(len(counts)) if i not in exclude and (candidates is None or i in candidates)]
    expected = sorted(((i, float(counts[i])) for i in left), key=lambda pair: (pair[1], pair[0]), reverse=True)[:n]
    assert model.popular(n, exclude, candidates) == expected
    assert model.popular(n, dict.fromkeys(exclude, 5.0), None if candidates is None else iter(candidates)) == expected


def test_of_equal_numbers_the_larger_id_comes_first():
    (first, *_) = found = small().popular(4)
    assert found == [(3, 3.0), (1, 3.0), (2, 1.0), (4, 0.0)]
    assert (type(first), type(first.id), type(first.score)) == (Scored, int, float)


def test_popular_refuses_what_recommend_refuses():
    with pytest.raises(TypeError, match="ids of items in this model are integers; '1' is of type str"):
        small().popular(1, ["1"])
    with pytest.raises(TypeError, match=r"exclude takes a list of ids, got 3: write \[3\]"):
        small().popular(1, 3)
    with pytest.raises(ValueError, match="n=0 is not allowed: it must be an integer >= 1"):
        small().popular(0)


# ---- the least support -----------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 4), min_size=9, max_size=9), st.integers(1, 6), st.integers(1, 10),
       st.none() | some_items, st.booleans(), st.integers(0, 2**32 - 1))  # fmt: skip
def test_the_least_support_is_as_good_as_candidates(counts, least, n, candidates, zeros, seed):
    """The same as to give those candidates that have so many ratings; for rows of zeros too."""
    rows = np.random.default_rng(seed).integers(-2, 3, (9, 2)).astype(np.float32) * (not zeros)
    model = LocalModel.fromArrays((range(9), rows), (range(9), rows), userCounts=counts, itemCounts=counts)
    left = [i for i in range(9) if counts[i] >= least and (candidates is None or i in candidates)]
    fit = {"regParam": 0.3, "implicitPrefs": False}
    for call in (
        lambda **wishes: model.recommend([3, 99, 4], n, [2], **wishes),
        lambda **wishes: model.recommendForRatings({1: 2.0, 5: 1.0}, n, [2], **fit, **wishes),
        lambda **wishes: model.similarItems(3, n, **wishes),
        lambda **wishes: model.similarUsers([3, 4], n, "dot", **wishes),
    ):
        assert call(candidates=candidates, minSupport=least) == call(candidates=left)
    by_user = {3: range(9), 4: [0, 1]}
    assert model.recommend([3, 4], n, candidates=by_user, minSupport=least) == model.recommend(
        [3, 4], n, candidates={user: [i for i in some if counts[i] >= least] for user, some in by_user.items()}
    )


@pytest.mark.parametrize(("least", "error"), [("two", TypeError), (1.5, TypeError), (0, ValueError), (-1, ValueError)])
def test_a_least_support_is_checked(least, error):
    with pytest.raises(error, match=r"minSupport=.* is not allowed: it must be an integer >= 1"):
        small().recommend("ann", 1, minSupport=least)


def test_numbers_follow_their_ids():
    """The ids are sorted, and the numbers with them; whole floats are numbers of ratings too."""
    assert small().userIds.tolist() == ["ann", "bob"]
    assert small().userCounts.tolist() == [5, 2]
    assert small([3.0, 1.0, 3.0, 0.0]).popular(1) == [(3, 3.0)]


@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        ([1, 2, 3], ValueError, r"items have 4 ids and numbers of ratings of shape \(3,\)"),
        ([1, 2, 3, -4], ValueError, "have -4 at position 3"),
        ([1, 2.5, 3, 4], ValueError, "have 2.5 at position 1"),
        ([np.nan, 2, 3, 4], ValueError, "have nan at position 0"),
        (["1", "2", "3", "4"], TypeError, "numbers of ratings of items are of type"),
        (np.array([1, 2, 3, 2**63], np.uint64), ValueError, "at position 3"),
    ],
)
def test_numbers_that_are_none(counts, error, message):
    with pytest.raises(error, match=message):
        small(counts)
