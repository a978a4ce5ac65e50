"""What the tasks of a fit receive, no more than they need; and the shuffle of one side alone."""

import dask
import numpy as np
import pandas as pd
import pytest
from dask.callbacks import Callback
from support.blocked import blocked

from daskals import ALS
from daskals.datasets import make_ratings
from daskals.engine import shuffle_plan
from daskals.engine.forms import Halves
from daskals.engine.plan import is_small_enough_to_pin
from daskals.execution.scheduler import current_scheduler


class Inputs(Callback):
    """Notes for each task that ran which tasks it took results of."""

    def __init__(self):
        self.of = {}

    def _start_state(self, dsk, state):
        for key, inputs in state["dependencies"].items():
            self.of[str(key)] = {str(each) for each in inputs}


def keys_into(found, kind):
    """The tasks whose results tasks of a kind took."""
    taken = [inputs for key, inputs in found.of.items() if key.startswith(kind)]
    assert taken, f"no task is called {kind}..."
    return set().union(*taken)


@pytest.fixture
def ratings():
    return make_ratings(60, 40, 900)


def test_blocks_are_built_without_the_ids_of_the_other_side(ratings):
    """Only their number is needed, and all ids may be as much as the ratings of a block."""
    with dask.config.set(scheduler="synchronous"), Inputs() as found:
        ALS(rank=2, maxIter=1).fit(ratings)
    assert not [key for key in keys_into(found, "als-build-") if key.startswith("als-ids-")]


def test_recommending_takes_the_ids_of_a_block_and_not_those_of_all_queries(ratings):
    """Of the candidates all ids are needed: any of them may be recommended."""
    with dask.config.set(scheduler="synchronous"):
        model = ALS(rank=2, maxIter=1, numUserBlocks=3).fit(ratings)
        with Inputs() as found:
            model.recommendForAllUsers(2)
    all_users = str(model._factors.users.ids.key)
    assert all_users not in keys_into(found, "als-recommend-")
    assert str(model._factors.items.ids.key) in keys_into(found, "als-recommend-")


def test_the_size_that_is_pinned_counts_the_ids():
    """A million ids of 60 characters are more than their rows of rank 2."""
    with dask.config.set({"daskals.durable-bytes": "10MB"}):
        scheduler = current_scheduler()
        assert is_small_enough_to_pin(scheduler, 1_000_000, 2)
        assert not is_small_enough_to_pin(scheduler, 1_000_000, 2, id_bytes=60_000_000)


def test_a_model_with_long_ids_is_not_pinned(ratings, cluster):
    """On a cluster, where rows alone would be small enough."""
    texts = ratings.assign(user=ratings["user"].map(lambda n: f"{n:0500d}"))
    with cluster.as_current(), dask.config.set({"daskals.durable-bytes": "20kB"}):
        model = ALS(rank=2, maxIter=1).fit(texts)
        assert not any(block.key.startswith("als-pin-") for block in model._factors.users.blocks)
        assert all(block.key.startswith("als-pin-") for block in model._factors.items.blocks)


def test_the_name_of_one_id_is_fetched_and_not_all():
    """The user whose equations are singular is named by a task that picks the id."""
    rng = np.random.default_rng(0)
    rows = [(user, item, rng.uniform(1, 5)) for user in range(6) for item in range(5)]
    frame = pd.DataFrame([*rows, (777, 1, 2.0)], columns=["user", "item", "rating"])
    fetched = []

    class Results(Callback):
        def _posttask(self, key, result, dsk, state, worker_id):
            if str(key).startswith("als-id-at-"):
                fetched.append(result)

    with (
        dask.config.set(scheduler="synchronous"),
        Results(),
        pytest.raises(ValueError, match="user with id 777"),
    ):
        ALS(rank=3, maxIter=1, regParam=0.0).fit(frame)
    assert fetched == [777]


def assert_same_blocks(found, expected):
    """Of two sides, to the bit."""
    blocks = dask.compute(*found.in_blocks), dask.compute(*expected.in_blocks)
    assert blocks[0]
    for mine, its in zip(*blocks, strict=True):
        assert mine.start == its.start
        for one, other in zip(mine[1:4], its[1:4], strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("name", ["users", "items"])
def test_one_side_alone_is_the_same_to_the_bit(name):
    """Also where pairs are rated twice: items that are made of users get them in order, items alone do not."""
    rng = np.random.default_rng(0)
    columns = rng.integers(0, 30, 900), rng.integers(0, 20, 900), rng.integers(1, 6, 900)
    with dask.config.set(scheduler="synchronous"):
        scheduler = current_scheduler()
        both = blocked(scheduler, *columns, (4, 3))
        alone = blocked(scheduler, *columns, (4, 3), choose=lambda *_, name=name: Halves((name,), (4, 3)))
        assert_same_blocks(alone.of(name), both.of(name))
    (without,) = (side for side in (alone.users, alone.items) if side.name != name)
    assert without.in_blocks == ()
    assert without.bounds.tolist() == both.of(without.name).bounds.tolist()
    assert without.n_rows == both.of(without.name).n_rows
    assert len(alone.tasks) == 4 + alone.of(name).n_blocks


def test_blocks_built_in_bundles_are_the_same_to_the_bit(monkeypatch):
    """Where few pieces are allowed, of three groups too, and pairs are rated several times."""
    rng = np.random.default_rng(1)
    columns = rng.integers(0, 30, 900), rng.integers(0, 20, 900), rng.integers(1, 6, 900)
    with dask.config.set(scheduler="synchronous"):
        expected = blocked(current_scheduler(), *columns, (7, 5))
        monkeypatch.setattr(shuffle_plan, "MAX_PIECES", 9)
        with Inputs() as found:
            bundled = blocked(current_scheduler(), *columns, (7, 5))
        assert any(key.startswith("als-join-") for key in keys_into(found, "als-build-items"))
        for side in ("users", "items"):
            assert_same_blocks(bundled.of(side), expected.of(side))
