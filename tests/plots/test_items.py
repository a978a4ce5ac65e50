"""Pictures of items and of users: `itemMap`, `userRecommendations`, and those by popularity."""

import itertools

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from support.drawn import boxes, outside, overlapping, saved

from daskals import ALS
from daskals.plots import coverageByPopularity, itemMap, residualsByPopularity, userRecommendations
from daskals.plots.maps import plane_of
from daskals.plots.residuals import weighted_quantiles

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"user": RNG.integers(0, 40, 900), "item": (25 * RNG.random(900) ** 2).astype(int)})
FRAME = FRAME.drop_duplicates().assign(rating=lambda frame: RNG.integers(1, 6, len(frame)) * 1.0)
#: What matplotlib takes for mathematics, what its font lacks, and what is long.
HOSTILE = {item: f"$x_{item}$ & {{y}} \\frac %d _Čeština_ 千と千尋\t\n" + "very long " * 8 for item in range(25)}


@pytest.fixture(scope="module")
def model():
    return ALS(rank=4, maxIter=3, seed=1).fit(FRAME)


@pytest.fixture(scope="module")
def implicit():
    return ALS(rank=4, maxIter=3, seed=1, implicitPrefs=True).fit(FRAME)


def visible(ax):
    return [text for text in ax.texts if text.get_visible()]


# ---- maps


def test_plane_is_that_of_the_singular_vectors():
    """Of unit rows, centred: up to signs what NumPy's SVD gives, with its shares."""
    rows = RNG.normal(size=(50, 6)).astype(np.float32)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    left, values, _ = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    found = plane_of(rows)
    np.testing.assert_allclose(np.abs(found.places), np.abs(left[:, :2] * values[:2]), atol=1e-6)
    np.testing.assert_allclose(found.shares, values[:2] ** 2 / (values**2).sum(), rtol=1e-5)


def test_plane_counts_ratings():
    """A row that counts three times is as three rows."""
    rows = RNG.normal(size=(9, 4)).astype(np.float32)
    counts = RNG.integers(1, 4, 9)
    repeated = plane_of(np.repeat(rows, counts, axis=0))
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    np.testing.assert_allclose(plane_of(rows, counts).places, repeated.places[first], atol=1e-6)


@pytest.mark.parametrize("rows", [np.zeros((3, 2)), np.ones((1, 5)), np.array([[1.0], [3.0]])])
def test_plane_of_little(rows):
    """No spread, one row, one column: places are numbers."""
    found = plane_of(rows.astype(np.float32))
    assert np.isfinite(found.places).all()
    assert np.isfinite(found.shares).all()


@pytest.mark.parametrize("size", [(4, 3), (12, 4)])
def test_labels_keep_off_each_other(model, size):
    """They are inside the axes, at any size, and the most rated item has one."""
    import matplotlib.pyplot as plt

    plt.rcParams["figure.figsize"] = size
    ax = itemMap(model, {item: f"{item}: {'long ' * 5}" for item in range(25)})
    saved(ax)
    found = visible(ax)
    assert len(found) > 3
    assert not overlapping(boxes(found))
    assert not outside(boxes(found), ax.get_window_extent())
    most = FRAME["item"].value_counts().index[0]
    assert any(text.get_text().startswith(f"{most}:") for text in found)
    (marks,) = [each for each in ax.collections if each.get_gid() == "marked"]
    assert len(marks.get_offsets()) == len(found)


def test_asked_items_are_marked(model):
    """All of them, labelled or not; others have no label."""
    ax = itemMap(model, items=[3, 7, 3], titles=pd.Series({3: "three", 7: "seven"}))
    saved(ax)
    assert {text.get_text() for text in visible(ax)} <= {"three", "seven"}
    (marks,) = [each for each in ax.collections if each.get_gid() == "marked"]
    assert len(marks.get_offsets()) == 2
    with pytest.raises(ValueError, match="1 of the 2 items are not in the model, the first of them 99"):
        itemMap(model, items=[3, 99])


def test_ten_thousand_items_are_a_density():
    """Each item is in one spot."""
    n = 10_000
    frame = pd.DataFrame({"user": np.arange(n) % 50, "item": np.arange(n), "rating": RNG.integers(1, 6, n) * 1.0})
    ax = itemMap(ALS(rank=3, maxIter=1, seed=0).fit(frame), labels=5)
    saved(ax)
    assert ax.collections[0].get_array().sum() == n
    assert len(visible(ax)) <= 5


# ---- lists


@pytest.mark.parametrize("kind", ["pandas", "dask"])
def test_bars_are_ratings_and_scores(model, kind):
    """The user's highest ratings, of equal ones the smaller id, beside the model's best items without these."""
    ratings = FRAME if kind == "pandas" else dd.from_pandas(FRAME, npartitions=3)
    ax = userRecommendations(model, 5, ratings, k=4)
    rated, recommended = ax.child_axes
    mine = FRAME[FRAME["user"] == 5].sort_values(["rating", "item"], ascending=[False, True])[:4]
    assert [bar.get_width() for bar in rated.patches] == mine["rating"].tolist()
    assert [text.get_text() for text in rated.texts][:4] == mine["item"].astype(str).tolist()
    asked = pd.DataFrame({"user": [5]})
    best = model.recommendForUserSubset(asked, 4, exclude=FRAME, flat=True)
    assert [bar.get_width() for bar in recommended.patches] == pytest.approx(best["rating"].tolist())
    assert [text.get_text() for text in recommended.texts][: len(best)] == best["item"].astype(str).tolist()


@pytest.mark.parametrize("k", [3, 24])
def test_hostile_titles(model, k):
    """They are cut to their rows, are no mathematics, and what no font has makes no warning."""
    ax = userRecommendations(model, 5, FRAME, HOSTILE, k)
    saved(ax)
    for part in ax.child_axes:
        found = visible(part)
        assert not any(text.get_parse_math() for text in found if "x_" in text.get_text())
        assert not overlapping(boxes(found))
        assert not outside(boxes(found), part.get_window_extent())
    saved(itemMap(model, HOSTILE))


def test_repeated_ratings(model, implicit):
    """A mean of ratings, a sum of what is implicit."""
    twice = pd.DataFrame({"user": [5, 5], "item": [1, 1], "rating": [2.0, 4.0]})
    assert [bar.get_width() for bar in userRecommendations(model, 5, twice).child_axes[0].patches] == [3.0]
    assert [bar.get_width() for bar in userRecommendations(implicit, 5, twice).child_axes[0].patches] == [6.0]


def test_nobody_and_nothing(model):
    """A stranger is an error; a user without ratings in the frame has an empty half."""
    with pytest.raises(ValueError, match=r"User 999 is not in the model.*foldInUsers"):
        userRecommendations(model, 999, FRAME)
    ax = userRecommendations(model, 5, FRAME[FRAME["user"] != 5])
    saved(ax)
    assert [text.get_text() for text in ax.child_axes[0].texts] == ["nothing in these ratings"]


@pytest.mark.parametrize(
    "titles",
    [
        {1: "one"},
        pd.Series({1: "one"}),
        pd.DataFrame({"item": [1], "year": [1999], "title": ["one"]}),
        pd.DataFrame({"id": [1], "what": ["  one\n"]}),
        dd.from_pandas(pd.DataFrame({"id": [1], "what": ["one"]}), npartitions=1),
    ],
)
def test_titles_of_any_kind(model, titles):
    """By the column of items or the first, and that of titles or the next."""
    one = pd.DataFrame({"user": [5], "item": [1], "rating": [2.0]})
    ax = userRecommendations(model, 5, one, titles, 2)
    assert ax.child_axes[0].texts[0].get_text() == "one"


def test_titles_that_are_none(model):
    with pytest.raises(TypeError, match=r"titles has none of these items: it has ids such as '1' \(str\)"):
        itemMap(model, {"1": "one"})
    with pytest.raises(TypeError, match="titles must be a dict or a Series"):
        itemMap(model, 3)
    with pytest.raises(ValueError, match="a column of ids and one of titles, got columns 'item'"):
        itemMap(model, pd.DataFrame({"item": [1]}))


# ---- by popularity


@pytest.mark.parametrize("kind", ["pandas", "dask"])
def test_residuals_are_those_of_a_loop(model, kind):
    """Quartiles, median and RMSE of each bin; a rating that cannot be predicted is left out."""
    strange = pd.DataFrame({"user": [999], "item": [1], "rating": [5.0]})
    ratings = pd.concat([FRAME, strange], ignore_index=True)
    ax = residualsByPopularity(model, ratings if kind == "pandas" else dd.from_pandas(ratings, npartitions=3))
    known = model.transform(FRAME)
    residual = (known["rating"] - known["prediction"].astype(float)).to_numpy()
    counts = FRAME["item"].map(FRAME["item"].value_counts()).to_numpy()
    bins = np.floor(np.log2(counts))
    for number, each in enumerate(np.unique(bins)):
        some = residual[bins == each]
        bar = ax.patches[number]
        assert (bar.get_x(), bar.get_width()) == (2**each, 2**each)
        ends = [bar.get_y(), bar.get_y() + bar.get_height()]
        np.testing.assert_allclose(ends, np.quantile(some, [0.25, 0.75]), atol=1e-6)
        (line,) = [each for each in ax.lines if each.get_marker() == "D"]
        assert line.get_ydata()[number] == pytest.approx(np.sqrt((some**2).mean()))
    assert len(ax.patches) == len(np.unique(bins))
    saved(ax)
    assert not overlapping(boxes(ax.texts))


def test_quantiles_of_parts():
    """Those of NumPy where all count alike."""
    values = RNG.normal(size=101)
    shares = [0.0, 0.25, 0.5, 0.9, 1.0]
    np.testing.assert_allclose(weighted_quantiles(values, np.full(101, 3.0), shares), np.quantile(values, shares))
    assert weighted_quantiles(np.array([7.0]), np.array([1.0]), [0.5]).tolist() == [7.0]


def test_residuals_of_strangers(model):
    with pytest.raises(ValueError, match="no rating of a user and an item that are both in the model"):
        residualsByPopularity(model, pd.DataFrame({"user": [999], "item": [1], "rating": [5.0]}))


def test_residuals_of_preferences(implicit):
    """1 less the prediction, where the rating is positive."""
    ax = residualsByPopularity(implicit, FRAME)
    (line,) = [each for each in ax.lines if each.get_marker() == "D"]
    errors = 1 - implicit.transform(FRAME)["prediction"].astype(float)
    assert line.get_ydata().min() - 1e-6 <= np.sqrt((errors**2).mean()) <= line.get_ydata().max() + 1e-6
    assert ax.get_ylabel() == "preference - prediction"


@pytest.mark.parametrize("kind", ["pandas", "dask"])
def test_coverage_is_that_of_a_loop(model, kind):
    """Tenths of the items, the most rated first; shares that add up to 1."""
    ax = coverageByPopularity(model, FRAME if kind == "pandas" else dd.from_pandas(FRAME, npartitions=3), 3)
    ids = np.sort(FRAME["item"].unique())
    rated = FRAME["item"].value_counts().reindex(ids, fill_value=0).to_numpy()
    lists = model.recommendForAllUsers(3, exclude=FRAME, flat=True)
    recommended = lists["item"].value_counts().reindex(ids, fill_value=0).to_numpy()
    order = np.argsort(-rated, kind="stable")
    edges = np.linspace(0, len(ids), 11).round().astype(int)
    for bars, counts in zip(ax.containers, (rated, recommended), strict=True):
        expected = [counts[order[a:b]].sum() / counts.sum() for a, b in itertools.pairwise(edges)]
        assert [bar.get_height() for bar in bars] == pytest.approx(expected)
        assert sum(bar.get_height() for bar in bars) == pytest.approx(1)
    assert ax.get_title() == f"{(recommended > 0).sum()} of {len(ids)} items are recommended"


def test_coverage_of_nothing(model):
    with pytest.raises(ValueError, match="ratings has no item of the model"):
        coverageByPopularity(model, pd.DataFrame({"user": [1], "item": [999]}))
    all_pairs = pd.MultiIndex.from_product([range(40), range(25)], names=["user", "item"]).to_frame(index=False)
    with pytest.raises(ValueError, match="every user has rated every item"):
        coverageByPopularity(model, all_pairs)
