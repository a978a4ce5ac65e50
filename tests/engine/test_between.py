"""Panels between two iterations: on a cluster they are in this process, and travel with the next graph."""

import gc
import itertools
import re
from collections import Counter

import dask
import numpy as np
import pytest
from distributed import futures_of
from support.blocked import blocked
from support.killable_cluster import until

from daskals.blocks.goal import Goal
from daskals.engine.between import HeldPanels
from daskals.engine.half_step import half_step
from daskals.engine.loop import Iterations
from daskals.engine.panels import Panel
from daskals.engine.plan import make_plan
from daskals.engine.start_values import StartValues
from daskals.execution.scheduler import current_scheduler
from daskals.execution.tasks import identity, new_token, task
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.types import Losses


@pytest.fixture
def on_cluster(cluster):
    with cluster.as_current(), dask.config.set(scheduler=None):
        yield current_scheduler()


def panels():
    return [Panel((np.full((2, 3), n, np.float32),), None, Losses()) for n in range(2)]


def keys(tasks):
    return [each.key for each in tasks]


def first_numbers(scheduler, tasks):
    return [panel.blocks[0][0, 0] for panel in scheduler.fetch(*tasks)]


def pins_of(client):
    """The pins that the scheduler knows: of each iteration that started from them, and None for those of a snapshot."""
    found = client.run_on_scheduler(lambda dask_scheduler: [str(key) for key in dask_scheduler.tasks])
    pins = [re.match(r"als-pin-(?:users|items)-[0-9a-f]+(-\d+)?-\d+$", key) for key in found]
    return Counter(pin[1] for pin in pins if pin)


def test_values_travel_under_new_names_until_they_are_persisted_once(on_cluster):
    held = HeldPanels(on_cluster, (), panels(), "users")
    assert held.irreplaceable == ()
    one, other = held.tasks("one"), held.tasks("other")
    assert not futures_of(list(one)), "nothing was sent yet"
    assert not set(keys(one)) & set(keys(other))
    assert first_numbers(on_cluster, one) == first_numbers(on_cluster, other) == [0, 1]
    there = held.persisted()
    assert keys(held.persisted()) == keys(held.tasks("third")) == keys(there)


def test_values_that_the_cluster_has_dropped_are_sent_again(on_cluster):
    held = HeldPanels(on_cluster, (), panels(), "users")
    first = held.persisted()
    on_cluster.client.cancel(futures_of(list(first)))
    until(lambda: all(future.status == "cancelled" for future in futures_of(list(first))), "they stay")
    assert not set(keys(held.tasks(new_token()))) & set(keys(first))
    again = held.persisted()
    assert not set(keys(again)) & set(keys(first))
    assert first_numbers(on_cluster, again) == [0, 1]


def test_tasks_without_values_stay_as_they_are(on_cluster):
    (computed,) = on_cluster.persist([task(identity, panel, name=f"panel-{new_token()}") for panel in panels()])
    held = HeldPanels(on_cluster, computed)
    assert held.tasks("any") == held.persisted() == held.irreplaceable == computed


@pytest.mark.parametrize("solver", [Solver(), Solver(cg_steps=2)], ids=["exact", "cg"])
def test_between_iterations_nothing_is_sent_that_may_not_be_needed(on_cluster, solver):
    """A snapshot sends it, once."""
    rng = np.random.default_rng(1)
    users, items = np.divmod(np.arange(600), 20)
    ratings = blocked(on_cluster, users, items, rng.normal(size=600).astype(np.float32), (4, 3))
    plan = make_plan(on_cluster, ratings, 3, Goal(Objective(0.1)), solver)
    loop = Iterations(ratings, StartValues(5, 10, 10, "3", nonnegative=False), plan)
    assert [each.number for each in itertools.islice(loop, 2)] == [1, 2]
    until(lambda: gc.collect() is not None and set(pins_of(on_cluster.client)) <= {"-2"}, "earlier pins stay")
    one, other = loop.snapshot(), loop.snapshot()
    assert keys(one.users) == keys(other.users)
    assert keys(one.items) == keys(other.items)
    assert pins_of(on_cluster.client)[None] == 4 + (0 if solver.is_exact else 3)
    assert next(loop).number == 3
    assert "-3" not in pins_of(on_cluster.client), "the iteration started from the snapshot"


def test_blocks_are_solved_where_they_lie(on_cluster):
    """Dask would send ratings to a worker that seems less busy."""
    users, items = np.divmod(np.arange(600), 20)
    ratings = blocked(on_cluster, users, items, np.ones(600, np.float32), (4, 3))
    plan = make_plan(on_cluster, ratings, 3, Goal(Objective(0.1)), Solver())
    side = ratings.users.at_home(on_cluster.client)
    held_by = on_cluster.client.who_has(futures_of(list(side.in_blocks)))
    panels_of_items = HeldPanels(on_cluster, (), panels(), "items").tasks(new_token())
    solves = half_step(side, ratings.items, panels_of_items, (), plan, new_token())
    for n, (block, solve) in enumerate(zip(side.in_blocks, solves, strict=True)):
        assert side.home(n) in held_by[futures_of(block)[0].key]
        wish = solve.dask.layers[solve.key].annotations
        assert wish == {"workers": [side.home(n)], "allow_other_workers": True}
    assert ratings.users.home(0) is None
