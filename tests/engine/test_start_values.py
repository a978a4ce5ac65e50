"""Rows that a fit begins with: Spark's numbers, wherever they lie, and at a cost that follows from the ids alone."""

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.blocked import blocked

from daskals import ALS
from daskals.blocks import spark_random
from daskals.blocks.spark_random import block_start_values, side_seeds
from daskals.engine.start_values import StartValues, start_rows
from daskals.execution.scheduler import current_scheduler
from daskals.execution.tasks import new_token

RANK = 3


def by_visiting_every_block(ids, n_spark_blocks, side_seed, version):
    """The oracle: Spark's blocks one after the other, those without ids too; the rows of each, ids ascending."""
    rows = np.full((len(ids), RANK), np.nan, np.float32)
    for block in range(n_spark_blocks):
        members = [n for n, each in enumerate(ids) if each % n_spark_blocks == block]
        if members:
            rows[members] = block_start_values(len(members), RANK, block, side_seed, version)
    return rows


def drawn(users, items, start, blocks=(None, None)):
    """The sorted ids of both sides and their rows, as the engine begins with them."""
    with dask.config.set(scheduler="synchronous"):
        ratings = blocked(current_scheduler(), users, items, np.ones(len(users)), blocks)
        found = []
        for side in (ratings.users, ratings.items):
            solved = dask.compute(*start_rows(side, RANK, start, new_token()))
            found += [*dask.compute(side.ids), np.concatenate([each.rows for each in solved])]
            assert [len(each.rows) for each in solved] == np.diff(side.bounds).tolist()
        return found


@given(
    st.lists(st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(0, 50)), min_size=1, max_size=30),
    st.integers(1, 40),
    st.integers(1, 4),
    st.sampled_from(["2", "3"]),
)
def test_rows_are_those_of_visiting_every_spark_block(pairs, n_spark_blocks, n_blocks, version):
    """In whatever blocks of ours they lie."""
    users, items = (np.array(side) for side in zip(*pairs, strict=True))
    start = StartValues(7, n_spark_blocks, n_spark_blocks + 1, version, nonnegative=False)
    user_ids, user_rows, item_ids, item_rows = drawn(users, items, start, (n_blocks, n_blocks))
    user_seed, item_seed = side_seeds(7, version)
    np.testing.assert_array_equal(user_rows, by_visiting_every_block(user_ids, n_spark_blocks, user_seed, version))
    np.testing.assert_array_equal(item_rows, by_visiting_every_block(item_ids, n_spark_blocks + 1, item_seed, version))


def test_a_nonnegative_fit_starts_from_absolute_values():
    users, items = np.arange(20), np.arange(20)
    signed, absolute = (drawn(users, items, StartValues(1, 10, 10, "3", nonnegative=each)) for each in (False, True))
    for mine, its in zip(absolute, signed, strict=True):
        np.testing.assert_array_equal(mine, np.abs(its))
    assert (signed[1] < 0).any()


@pytest.fixture
def visited(monkeypatch):
    """The Spark blocks that are visited; too many of them are an error rather than a day."""
    blocks = []

    def watched(n_rows, rank, block, *more):
        blocks.append(block)
        assert len(blocks) <= 100
        return block_start_values(n_rows, rank, block, *more)

    monkeypatch.setattr(spark_random, "block_start_values", watched)
    return blocks


FIVE = pd.DataFrame({"user": [4, 1, 77, 100_003, 1], "item": [0, 5, 5, 9, 8], "rating": [1.0, 2.0, 3.0, 4.0, 5.0]})


@pytest.mark.parametrize("n_spark_blocks", [100_000, 2**31 - 1])
def test_spark_blocks_without_ids_cost_nothing(visited, n_spark_blocks):
    """Blocks are visited that have ids, once for a side that is drawn."""
    with dask.config.set(scheduler="synchronous"):
        model = ALS(rank=RANK, maxIter=1, numUserBlocks=n_spark_blocks, numItemBlocks=n_spark_blocks).fit(FIVE)
    expected = {1, 4, 77, 3 if n_spark_blocks == 100_000 else 100_003} | {0, 5, 8, 9}
    assert set(visited) <= expected
    assert set(visited) >= expected - {0, 5, 8, 9}, "items are made from users"
    assert len(visited) <= 8
    assert np.isfinite(model.transform(FIVE)["prediction"]).all()


def test_a_hundred_thousand_spark_blocks_give_the_numbers_of_visiting_each():
    users, items = FIVE["user"].to_numpy(), FIVE["item"].to_numpy()
    ids, rows, _, _ = drawn(users, items, StartValues(3, 100_000, 10, "3", nonnegative=False))
    np.testing.assert_array_equal(rows, by_visiting_every_block(ids, 100_000, side_seeds(3)[0], "3"))
