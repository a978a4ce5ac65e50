"""One result for one set of ratings: however they arrive, however they are cut, wherever they are computed."""

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from daskals import ALS
from daskals.datasets import load_sample

TOLERANCE = {"single": 1e-4, "double": 2e-6}
OBJECTIVES = {
    "explicit": {},
    "implicit": {"implicitPrefs": True, "alpha": 0.5},
    "nonnegative": {"nonnegative": True},
    "implicit-nonnegative": {"implicitPrefs": True, "nonnegative": True},
}
BLOCKS = [(1, 1), (2, 3), (7, 5), (500, 400)]

each_precision = pytest.mark.parametrize("precision", TOLERANCE)
each_objective = pytest.mark.parametrize("objective", OBJECTIVES)


@pytest.fixture(scope="module")
def sample():
    return load_sample()[["user", "item", "rating"]]


def estimator(objective, precision):
    return ALS(rank=7, maxIter=5, regParam=0.05, seed=3, precision=precision, **OBJECTIVES[objective])


def all_pairs(ratings):
    """Each user with each item, and one user and one item that no one knows."""
    users, items = (np.append(ratings[side].unique(), -1) for side in ("user", "item"))
    return pd.DataFrame({"user": np.repeat(users, len(items)), "item": np.tile(items, len(users))})


def predictions(als, ratings, pairs):
    """Of a fit to ``ratings`` for ``pairs``, both either pandas or dask."""
    predicted = als.fit(ratings).transform(pairs)
    if isinstance(predicted, dd.DataFrame):
        predicted = predicted.compute()
    return predicted.set_index(["user", "item"]).prediction.sort_index()


@pytest.fixture(scope="module")
def plain(sample):
    """The predictions to compare with, of a pandas frame in its own order in one block a side, by objective."""
    known = {}

    def of(objective, precision):
        key = objective, precision
        if key not in known:
            with dask.config.set({"scheduler": "synchronous", "daskals.user-blocks": 1, "daskals.item-blocks": 1}):
                known[key] = predictions(estimator(*key), sample, all_pairs(sample))
            assert known[key].isna().sum() == sample.user.nunique() + sample.item.nunique() + 1
            assert known[key].std() > 0.05
        return known[key]

    return of


def shuffled(frame, partitions, seed=0):
    """A dask frame of the same rows in another order."""
    return dd.from_pandas(frame.sample(frac=1, random_state=seed), npartitions=partitions, sort=False)


def assert_same(found, expected, precision):
    assert found.index.equals(expected.index)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[precision])


@each_precision
@each_objective
def test_same_on_every_scheduler(sample, plain, scheduler, objective, precision):
    """Dask frames in and out, several blocks: synchronous, threads, two processes."""
    with dask.config.set({"daskals.user-blocks": 2, "daskals.item-blocks": 3}):
        found = predictions(estimator(objective, precision), shuffled(sample, 3), shuffled(all_pairs(sample), 2))
    assert_same(found, plain(objective, precision), precision)


@each_precision
@pytest.mark.parametrize("partitions", [1, 3, 40])
def test_same_from_any_partitions_in_any_order(sample, plain, partitions, precision):
    """Rows in three random orders, cut into few partitions and into many."""
    for seed, objective in enumerate(["explicit", "implicit", "nonnegative"]):
        ratings = shuffled(sample, partitions, seed)
        assert ratings.npartitions == partitions
        found = predictions(estimator(objective, precision), ratings, all_pairs(sample))
        assert_same(found, plain(objective, precision), precision)


@each_precision
@pytest.mark.parametrize("blocks", BLOCKS, ids=str)
def test_same_in_any_physical_blocks(sample, plain, blocks, precision):
    """One block a side, several, more than there are ids."""
    with dask.config.set({"daskals.user-blocks": blocks[0], "daskals.item-blocks": blocks[1]}):
        for objective in ("explicit", "implicit", "nonnegative")[: 1 if blocks == BLOCKS[-1] else 3]:
            found = predictions(estimator(objective, precision), sample, all_pairs(sample))
            assert_same(found, plain(objective, precision), precision)


def test_same_from_partitions_without_rows(sample, plain):
    """A filter can leave partitions empty, the first as well."""
    ratings = dd.concat([shuffled(sample[:0], 1), shuffled(sample, 3), shuffled(sample[:0], 1)])
    assert_same(
        predictions(estimator("explicit", "double"), ratings, all_pairs(sample)), plain("explicit", "double"), "double"
    )


def test_twice_the_same_fit_gives_the_same_bits(sample):
    """Nothing depends on the clock or on the order in which threads finish."""
    with dask.config.set({"daskals.user-blocks": 4, "daskals.item-blocks": 4}):
        first, second = (predictions(estimator("implicit", "single"), sample, all_pairs(sample)) for _ in range(2))
    pd.testing.assert_series_equal(first, second, check_exact=True)


@pytest.mark.parametrize("objective", ["explicit", "implicit"])
def test_the_order_of_ratings_changes_no_bit(sample, scheduler, objective):
    """Nor do their partitions; a third of the pairs is rated two or three times. On every scheduler."""
    again = [sample.sample(frac=0.3, random_state=n).assign(rating=lambda f: f["rating"] / 3 + 0.1) for n in (1, 2)]
    ratings = pd.concat([sample, *again])
    with dask.config.set({"daskals.user-blocks": 3, "daskals.item-blocks": 2}):
        first, *others = (
            predictions(estimator(objective, "single"), given, all_pairs(sample))
            for given in (ratings, shuffled(ratings, 1, seed=1), shuffled(ratings, 5, seed=2))
        )
    for other in others:
        pd.testing.assert_series_equal(first, other, check_exact=True)


def test_block_parameters_change_the_start_values_and_so_the_result(sample, plain):
    """numUserBlocks is part of the model, as in Spark; otherwise the tests above would compare nothing."""
    als = estimator("explicit", "double")
    other = predictions(als.copy({als.numUserBlocks: 4}), sample, all_pairs(sample))
    assert np.nanmax(np.abs(other - plain("explicit", "double"))) > 1e-3


@pytest.mark.parametrize("blocks", [(7, 5), (2, 3)], ids=str)
@each_precision
def test_recommendations_are_the_same_in_blocks_on_a_cluster(sample, cluster, blocks, precision):
    """The best three of every user and of every item."""

    def best(ratings):
        model = estimator("explicit", precision).fit(ratings)
        return [
            frame if isinstance(frame, pd.DataFrame) else frame.compute()
            for frame in (model.recommendForAllUsers(3), model.recommendForAllItems(3))
        ]

    expected = best(sample)
    with (
        cluster.as_current(),
        dask.config.set({"daskals.user-blocks": blocks[0], "daskals.item-blocks": blocks[1]}),
    ):
        found = best(shuffled(sample, 3))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.iloc[:, 0].tolist() == theirs.iloc[:, 0].tolist()
        for one, other in zip(mine.recommendations, theirs.recommendations, strict=True):
            np.testing.assert_allclose(
                [each["rating"] for each in one],
                [each["rating"] for each in other],
                rtol=0,
                atol=TOLERANCE[precision],
            )


@each_precision
def test_same_on_movielens(ml100k, cluster, precision):
    """90,570 ratings: a pandas frame on threads, and 40 shuffled partitions in blocks on a cluster."""
    als = ALS(rank=10, maxIter=5, seed=5757, precision=precision, coldStartStrategy="drop")
    expected = predictions(als, ml100k.base, ml100k.test)
    with cluster.as_current(), dask.config.set({"daskals.user-blocks": 7, "daskals.item-blocks": 5}):
        found = predictions(als, shuffled(ml100k.base, 40), shuffled(ml100k.test, 3))
    assert_same(found, expected, precision)
