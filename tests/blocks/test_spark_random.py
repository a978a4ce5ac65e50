"""Spark's numbers: its documented example, the data and limits of its ALSSuite, its start values."""

import math

import numpy as np
import pandas as pd
import pytest
from support.java_random import JavaRandom, explicit_data, implicit_data, signed
from support.reference import als as reference_als

from daskals import ALS
from daskals.blocks.spark_random import gaussians, side_seeds, start_values

# ---- the example of PySpark's documentation --------------------------------------------------------------

# measured on Spark 4.3
PREDICTIONS = {(0, 2): 0.69290996, (1, 0): 3.47356892, (2, 0): -0.89919865}


each_precision = pytest.mark.parametrize("precision", ["single", "double"])


def fit_documented(ratings, precision):
    return ALS(rank=10, maxIter=5, seed=0, precision=precision).fit(ratings)


# Spark solves in float64. In single precision the numbers are as far off as the notebook's may be.
@pytest.mark.parametrize(("precision", "tolerance"), [("double", 1e-6), ("single", 2e-5)])
def test_predictions_of_spark_s_documentation(ratings, precision, tolerance):
    """The three numbers that Spark prints."""
    pairs = pd.DataFrame(PREDICTIONS.keys(), columns=["user", "item"])
    found = fit_documented(ratings, precision).transform(pairs).prediction
    np.testing.assert_allclose(found, list(PREDICTIONS.values()), rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("method", "column", "query", "ids", "scores"),
    [
        ("recommendForAllUsers", "user", 0, [0, 1, 2], ["3.910", "1.997", "0.692"]),
        ("recommendForAllItems", "item", 2, [2, 1, 0], ["4.892", "3.991", "0.692"]),
    ],
)
@each_precision
def test_recommendations_of_spark_s_documentation(ratings, precision, method, column, query, ids, scores):
    """Ids in order, and the digits that the documentation shows: it cuts them off."""
    frame = getattr(fit_documented(ratings, precision), method)(3)
    (found,) = frame.recommendations[frame[column] == query]
    other = {"user": "item", "item": "user"}[column]
    assert [each[other] for each in found] == ids
    assert [f"{math.trunc(1000 * each['rating']) / 1000:.3f}" for each in found] == scores


# ---- ALSSuite: low-rank matrices are recovered -----------------------------------------------------------


def test_java_random():
    """The generator under the test data, against numbers that Java is known to print."""
    assert [JavaRandom(42).next_int(), JavaRandom(0).next_int()] == [-1170105035, -1155484576]
    assert JavaRandom(42).next_gaussian() == pytest.approx(1.1419053154730547, abs=1e-15)
    assert JavaRandom(42).next_double() == pytest.approx(0.7275636800328681, abs=1e-16)
    assert JavaRandom(0).next_long() == -4962768465676381896


def test_data_of_als_suite_are_as_described():
    """60 % and 30 % of the cells, values of the rank asked for, the same in every run."""
    training, test = explicit_data(20, 40, rank=2)
    assert 400 < len(training) < 560
    assert 180 < len(test) < 300
    cells = pd.concat([training, test]).pivot(index="user", columns="item", values="rating")
    assert cells.shape == (20, 40)
    assert not pd.concat([training, test]).duplicated(["user", "item"]).any()
    assert cells.index.min() < -(2**30)
    assert cells.index.max() > 2**30


def fit(training, precision, blocks, **params):
    # the suite never sets maxIter, so that it is 10
    als = ALS(seed=0, numUserBlocks=blocks[0], numItemBlocks=blocks[1], precision=precision, **params)
    return als.fit(training)


def errors(training, test, precision="double", blocks=(2, 3), **params):
    predicted = fit(training, precision, blocks, **params).transform(test)
    return predicted.prediction.astype(float) - test.rating


def rmse(*args, **params):
    return math.sqrt((errors(*args, **params) ** 2).mean())


@each_precision
@pytest.mark.parametrize("rank", [1, 2])
def test_exact_rank_one_matrix(rank, precision):
    """ALSSuite "exact rank-1 matrix": 20 x 40."""
    assert rmse(*explicit_data(20, 40, rank=1), precision, rank=rank, regParam=1e-5) < 0.001


@each_precision
@pytest.mark.parametrize("rank", [1, 2])
def test_approximate_rank_one_matrix(rank, precision):
    """ALSSuite "approximate rank-1 matrix": noise 0.01."""
    assert rmse(*explicit_data(20, 40, rank=1, noise=0.01), precision, rank=rank, regParam=0.01) < 0.02


@each_precision
@pytest.mark.parametrize("rank", [2, 3])
def test_approximate_rank_two_matrix(rank, precision):
    """ALSSuite "approximate rank-2 matrix": noise 0.01."""
    assert rmse(*explicit_data(20, 40, rank=2, noise=0.01), precision, rank=rank, regParam=0.01) < 0.03


@each_precision
@pytest.mark.parametrize("blocks", [(1, 1), (1, 2), (2, 1), (2, 2)], ids=str)
def test_different_block_settings(blocks, precision):
    """ALSSuite "different block settings"."""
    data = explicit_data(20, 40, rank=2, noise=0.01)
    assert rmse(*data, precision, blocks, rank=3, regParam=0.01) < 0.03


@each_precision
def test_more_blocks_than_ratings(precision):
    """ALSSuite "more blocks than ratings": 4 x 4 in 5 x 5 blocks."""
    assert rmse(*explicit_data(4, 4, rank=1), precision, (5, 5), rank=1, regParam=1e-4) < 0.002


@each_precision
def test_implicit_feedback(precision):
    """ALSSuite "implicit feedback": error of the preferences, weighted by confidence."""
    training, test = implicit_data(20, 40, rank=2, noise=0.01)
    predicted = fit(training, precision, (2, 3), rank=2, regParam=0.01, implicitPrefs=True).transform(test)
    weight = 1 + test.rating.abs()
    wrong = predicted.prediction.clip(0, 1) - test.rating.clip(0, 1)
    assert math.sqrt((weight * wrong**2).sum() / weight.sum()) < 0.3


@each_precision
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_nonnegative_constraint(implicit, precision):
    """ALSSuite "nonnegative constraint": no factor is negative, and not all are zero."""
    training, _ = explicit_data(20, 40, rank=2, noise=0.01)
    model = fit(training, precision, (2, 3), rank=2, regParam=0.01, nonnegative=True, implicitPrefs=implicit)
    for frame in (model.userFactors, model.itemFactors):
        features = np.array(frame.features.tolist())
        assert (features >= 0).all()
        assert features.any()


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_many_iterations(implicit):
    """ALSSuite "als with large number of iterations": 50 of them end, with finite numbers."""
    training, test = explicit_data(4, 4, rank=1)
    assert np.isfinite(errors(training, test, rank=1, regParam=0.01, implicitPrefs=implicit, maxIter=50)).all()


# ---- duplicates, zeros, negative ratings -----------------------------------------------------------------


def reference_fit(frame, rank, iterations, seed, **objective):
    """(users x items) scores of `reference.als` from Spark's start values; ids must be 0, 1, ... on both sides."""
    user_seed, _ = side_seeds(seed)
    start = start_values(np.arange(frame.user.max() + 1), 10, rank, user_seed)
    if objective.get("nonnegative"):
        start = np.abs(start)
    found = reference_als(frame.user, frame.item, frame.rating, start, iterations, **objective)
    return found.users @ found.items.T


def scores(frame, rank, iterations, seed, precision="double", **params):
    model = ALS(rank=rank, maxIter=iterations, seed=seed, precision=precision, **params).fit(frame)
    users, items = (np.array(each.features.tolist()) for each in (model.userFactors, model.itemFactors))
    return users @ items.T


CASES = {
    "plain": [(0, 0, 4), (0, 1, 2), (1, 1, 3), (1, 2, 4), (2, 1, 1), (2, 2, 5)],
    "duplicates": [(0, 0, 4), (0, 0, 1), (0, 1, 2), (1, 1, 3), (1, 2, 4), (1, 2, 4), (2, 1, 1), (2, 2, 5)],
    "zeros": [(0, 0, 4), (0, 1, 0), (1, 1, 3), (1, 2, 4), (2, 1, 0), (2, 2, 5), (3, 0, 0)],
    "negatives": [(0, 0, 4), (0, 1, -2), (1, 1, 3), (1, 2, 4), (2, 1, -1), (2, 2, 5), (3, 2, -3)],
    "fractions": [(0, 0, 0.25), (0, 1, 2.5), (1, 1, 1e-3), (1, 2, 40.5), (2, 1, -0.125), (2, 2, 5)],
}


def frame_of(rows):
    return pd.DataFrame(rows, columns=["user", "item", "rating"])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("params", "objective"),
    [
        ({}, {}),
        ({"implicitPrefs": True, "alpha": 1.0}, {"alpha": 1.0}),
        ({"implicitPrefs": True, "alpha": 20.0}, {"alpha": 20.0}),
        ({"nonnegative": True}, {"nonnegative": True}),
        ({"nonnegative": True, "implicitPrefs": True, "alpha": 1.0}, {"nonnegative": True, "alpha": 1.0}),
    ],
    ids=["explicit", "implicit", "implicit-20", "nonnegative", "implicit-nonnegative"],
)
def test_agrees_with_the_reference(case, params, objective):
    """Duplicates stand as observations of their own; zero counts for nothing; a negative rating is a sure no."""
    frame = frame_of(CASES[case])
    found = scores(frame, 3, 5, 1, regParam=0.1, **params)
    np.testing.assert_allclose(found, reference_fit(frame, 3, 5, 1, reg=0.1, **objective), rtol=0, atol=1e-5)


@pytest.mark.parametrize("params", [{}, {"implicitPrefs": True}], ids=["explicit", "implicit"])
def test_duplicates_are_neither_summed_nor_dropped(params):
    """Two observations of a pair differ from their sum, and from one of them."""
    twice = scores(frame_of(CASES["duplicates"]), 3, 5, 1, **params)
    unique = frame_of(CASES["duplicates"]).drop_duplicates(["user", "item"])
    summed = frame_of(CASES["duplicates"]).groupby(["user", "item"], as_index=False).rating.sum()
    for other in (unique, summed):
        assert np.abs(scores(other, 3, 5, 1, **params) - twice).max() > 1e-2


def test_a_negative_rating_is_not_a_missing_one():
    """ALSSuite "implicit feedback regression" (SPARK-20790): with 0 in its place no factor is the same."""
    rows = [(0, 0, 1), (1, 1, 1), (0, 1, -3)]
    with_negative, with_zero = (
        ALS(rank=2, maxIter=10, seed=0, implicitPrefs=True).fit(frame_of([*rows[:2], last]))
        for last in (rows[2], (0, 1, 0))
    )
    for side in ("userFactors", "itemFactors"):
        one, other = (np.array(getattr(model, side).features.tolist()) for model in (with_negative, with_zero))
        assert (one != other).any(axis=1).all()
        assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("rating", [0.0, -2.0])
def test_rows_without_positive_ratings_exist_and_are_zero(rating):
    """An id whose ratings are all <= 0 has a row of zeros, not none, in implicit mode."""
    frame = frame_of([(0, 0, 1.0), (1, 1, 2.0), (2, 0, rating), (0, 5, rating)])
    model = ALS(rank=4, maxIter=3, seed=0, implicitPrefs=True).fit(frame)
    users, items = model.userFactors.set_index("id").features, model.itemFactors.set_index("id").features
    assert users.index.tolist() == [0, 1, 2]
    assert items.index.tolist() == [0, 1, 5]
    assert list(users[2]) == list(items[5]) == [0, 0, 0, 0]


# ---- start values ----------------------------------------------------------------------------------------
#
# The chain of Spark, number by number and loop by loop: `XORShiftRandom` is java.util.Random with another `next`.


def murmur3(data, seed):
    """MurmurHash3 of 32 bits, as scala.util.hashing.MurmurHash3.bytesHash."""

    def rotate(x, r):
        return ((x << r) | (x >> (32 - r))) & 0xFFFFFFFF

    h = seed & 0xFFFFFFFF
    for i in range(0, len(data), 4):
        k = data[i] | data[i + 1] << 8 | data[i + 2] << 16 | data[i + 3] << 24
        k = (k * 0xCC9E2D51) & 0xFFFFFFFF
        k = rotate(k, 15)
        k = (k * 0x1B873593) & 0xFFFFFFFF
        h = rotate(h ^ k, 13)
        h = (h * 5 + 0xE6546B64) & 0xFFFFFFFF
    h ^= len(data)
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return h ^ (h >> 16)


class XORShiftRandom(JavaRandom):
    def __init__(self, seed, version):
        super().__init__(0)
        data = (seed % 2**64).to_bytes(8, "big")
        if version == "2":
            data = data.ljust(64, b"\0")
        low = murmur3(data, 0x3C074A61)
        self.state = murmur3(data, low) << 32 | low

    def next(self, bits):
        s = self.state
        s ^= (s << 21) & (2**64 - 1)
        s ^= s >> 35
        s ^= (s << 4) & (2**64 - 1)
        self.state = s
        return signed(s & (2**bits - 1), 32)


def byteswap64(value):
    value = (value * 0x9E3775CD9E3775CD) % 2**64
    value = int.from_bytes(value.to_bytes(8, "big"), "little")
    return signed(value * 0x9E3775CD9E3775CD, 64)


def plain_seeds(seed, version):
    random = XORShiftRandom(seed, version)
    return random.next_long(), random.next_long()


def plain_start_values(ids, n_blocks, rank, side_seed, version):
    rows = {}
    for block in range(n_blocks):
        random = XORShiftRandom(byteswap64(side_seed ^ block), version)
        for each in sorted(ids):
            if each % n_blocks == block:
                row = np.array([random.next_gaussian() for _ in range(rank)], np.float32)
                rows[each] = row * (np.float32(1) / np.float32(np.linalg.norm(row.astype(float))))
    return np.array([rows[each] for each in ids])


SEEDS = [0, 1, -1, 5757, 2**63 - 1, -(2**63), 0x123456789ABCDEF]
each_version = pytest.mark.parametrize("version", ["3", "2"])


@each_version
@pytest.mark.parametrize("seed", SEEDS)
def test_seeds_of_the_sides(seed, version):
    """nextLong twice: the user side's, then the item side's."""
    assert side_seeds(seed, version) == plain_seeds(seed, version)


@each_version
@pytest.mark.parametrize("seed", [0, 5757, -(2**63)])
def test_gaussians_are_java_s(seed, version):
    """nextGaussian, two at a time, over more than one chunk of raw states; any count is the head of a longer one."""
    random = XORShiftRandom(seed, version)
    expected = [random.next_gaussian() for _ in range(60_001)]
    np.testing.assert_allclose(gaussians(60_001, seed, version), expected, rtol=1e-14, atol=0)
    for count in (0, 1, 2, 7):
        assert gaussians(count, seed, version).tolist() == gaussians(8, seed, version)[:count].tolist()


@each_version
@pytest.mark.parametrize("rank", [1, 3, 10])
@pytest.mark.parametrize("n_blocks", [1, 2, 10])
def test_start_values_are_spark_s(n_blocks, rank, version):
    """Negative ids and odd ranks as well: a spare gaussian goes to the next row of its block."""
    ids = np.array([-(2**31), -37, -10, -1, 0, 1, 2, 3, 5, 8, 12, 13, 20, 21, 30, 31, 2**31 - 1])
    for side_seed in plain_seeds(5757, version):
        found = start_values(ids, n_blocks, rank, side_seed, version)
        assert found.dtype == np.float32
        expected = plain_start_values(ids.tolist(), n_blocks, rank, side_seed, version)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1.3e-7)


def test_start_values_of_unsigned_ids_are_those_of_the_same_numbers():
    """uint64 beyond int64 as well."""
    ids = np.array([0, 5, 7, 2**63 + 9, 2**64 - 1], np.uint64)
    expected = plain_start_values(ids.tolist(), 10, 4, 77, "3")
    np.testing.assert_allclose(start_values(ids, 10, 4, 77), expected, rtol=0, atol=1.3e-7)


def test_unknown_version_is_refused():
    """And the error names those there are."""
    with pytest.raises(ValueError, match=r"sparkRandom='4'.*'3', '2'"):
        start_values(np.arange(3), 10, 4, 77, "4")


@pytest.mark.parametrize(("nonnegative", "sparkRandom"), [(False, "3"), (True, "3"), (False, "2")])
def test_a_fit_without_iterations_returns_the_start_values(nonnegative, sparkRandom):
    """maxIter 0: Spark's rows for both sides, from the right seed and number of blocks each; else their |values|."""
    frame = frame_of([(user, item, 1.0) for user in (-5, 3, 11, 12) for item in (7, 2, 900)])
    als = ALS(rank=5, maxIter=0, seed=99, numUserBlocks=3, numItemBlocks=2, sparkRandom=sparkRandom)
    model = als.fit(frame, {als.nonnegative: nonnegative})
    users, items = plain_seeds(99, sparkRandom)
    for side, ids, n_blocks, seed in (
        (model.userFactors, [-5, 3, 11, 12], 3, users),
        (model.itemFactors, [2, 7, 900], 2, items),
    ):
        assert side.id.tolist() == ids
        expected = plain_start_values(ids, n_blocks, 5, seed, sparkRandom)
        if nonnegative:
            expected = np.abs(expected)
        np.testing.assert_allclose(np.array(side.features.tolist()), expected, rtol=0, atol=1.3e-7)
    assert len(model.history) == 0
