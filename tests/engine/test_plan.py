"""What is decided once a fit: the numbers that the plan gives, and that nobody changes them while a fit runs."""

import dataclasses
import logging
from contextlib import contextmanager
from threading import Thread

import dask
import numpy as np
import pandas as pd
import pytest
from support.blocked import blocked
from support.planned import planned

from daskals import ALS
from daskals.blocks.goal import Goal
from daskals.engine import loop
from daskals.engine.plan import cut_into_panels, make_plan
from daskals.execution.scheduler import current_scheduler
from daskals.kernels.objective import Objective, Solver

EXACT = Solver()


@pytest.fixture(scope="module")
def ratings():
    """Of 100 users and 40 items, in 10 and 3 blocks."""
    rng = np.random.default_rng(0)
    users, items = (np.concatenate([np.arange(n), rng.integers(0, n, 1000 - n)]) for n in (100, 40))
    with dask.config.set(scheduler="synchronous"):
        return blocked(current_scheduler(), users, items, rng.integers(1, 6, 1000), (10, 3))


# ---- numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_panels", [1, 3, 8, 100])
@pytest.mark.parametrize("n_blocks", [1, 2, 7, 8, 9, 256])
def test_panels_are_neighbours_and_as_many_as_allowed(n_blocks, n_panels):
    edges = cut_into_panels(n_blocks, n_panels)
    sizes = np.diff(edges)
    assert (edges[0], edges[-1], len(sizes)) == (0, n_blocks, min(n_blocks, n_panels))
    assert sizes.min() > 0
    assert sizes.max() - sizes.min() <= 1


def test_a_side_is_streamed_when_it_is_more_than_its_share_of_a_worker(ratings):
    """100 users of rank 10 are 4000 bytes, 40 items 1600; twice that in double precision."""

    def streamed(memory, solver=EXACT):
        plan = make_plan(planned(memory=memory, factor_share=0.5), ratings, 10, Goal(Objective(0.1)), solver)
        return plan.users.streamed, plan.items.streamed

    assert streamed(8000) == (False, False)
    assert streamed(7999) == (True, False)
    assert streamed(3199) == (True, True)
    assert streamed(15999, Solver(double=True)) == (True, False)


def test_what_an_iteration_starts_from_is_pinned_where_it_can_be_lost(ratings):
    def pinned(solver=EXACT, **how):
        plan = make_plan(planned(**how), ratings, 10, Goal(Objective(0.1)), solver)
        return plan.users.pinned, plan.items.pinned, plan.loses_history

    assert pinned(can_lose_results=False) == (False, False, False)
    assert pinned() == (True, False, False)
    assert pinned(Solver(cg_steps=3)) == (True, True, False), "conjugate gradients start from both sides"
    assert pinned(durable_bytes=4000) == (True, False, False)
    assert pinned(durable_bytes=3999) == (False, False, True), "users are 4000 bytes"
    assert pinned(Solver(cg_steps=3), durable_bytes=3999) == (False, True, True)


def test_a_plan_is_frozen_and_asks_for_memory_once(ratings):
    scheduler = planned()
    plan = make_plan(scheduler, ratings, 10, Goal(Objective(0.1)), Solver())
    assert scheduler.asked == 1
    assert (plan.of("users"), plan.of("items")) == (plan.users, plan.items)
    assert plan.users.panel_edges == cut_into_panels(10, 8)
    assert plan.items.panel_edges == (0, 1, 2, 3)
    for part, name in ((plan, "rank"), (plan.users, "streamed")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, name, None)


# ---- nobody changes it -----------------------------------------------------------------------------------

#: What another thread sets during a fit, one after the other.
CHANGES = [
    {"daskals.panels": 1},
    {"daskals.panels": 64, "daskals.factor-share": 0, "daskals.durable-bytes": 0},
    {"daskals.panels": 2, "daskals.retries": "none at all", "scheduler": "no such scheduler"},
]


class Meddler(logging.Handler):
    """Has another thread change Dask's configuration after each iteration, which a fit logs."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.changes = []

    def emit(self, record):
        if record.getMessage().startswith("iteration"):
            change = CHANGES[len(self.changes) % len(CHANGES)]
            other = Thread(target=dask.config.set, args=(change,))
            other.start()
            other.join()
            self.changes.append(change)


@contextmanager
def meddling():
    """Within this there is such a thread; the configuration is afterwards what it was."""
    logger, handler = logging.getLogger("daskals"), Meddler()
    before, level = {key: dask.config.get(key, None) for change in CHANGES for key in change}, logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with dask.config.set(before):
            yield handler
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


def of_both_sides(model):
    return [np.stack(side["features"]) for side in dask.compute(model.userFactors, model.itemFactors)]


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_what_another_thread_configures_does_not_reach_a_fit(scheduler, solver):
    """Not a bit changes, and nothing fails."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"user": rng.integers(0, 90, 2000), "item": rng.integers(0, 50, 2000)})
    frame = frame.assign(rating=rng.integers(1, 6, 2000))
    als = ALS(rank=3, maxIter=len(CHANGES) + 1, numUserBlocks=5, numItemBlocks=4, seed=1, solver=solver)
    expected = als.fit(frame)
    with meddling() as meddler:
        found = als.fit(frame)
    assert meddler.changes[: len(CHANGES)] == CHANGES
    for mine, its in zip(of_both_sides(found), of_both_sides(expected), strict=True):
        np.testing.assert_array_equal(mine, its)
    assert found.history["objective"].tolist() == expected.history["objective"].tolist()


def test_nothing_is_asked_of_the_cluster_or_the_configuration_in_an_iteration(ratings, monkeypatch):
    with dask.config.set(scheduler="synchronous"):
        scheduler = current_scheduler()
        plan = make_plan(scheduler, ratings, 3, Goal(Objective(0.1)), Solver())
        start = loop.StartValues(1, 10, 10, "3", nonnegative=False)
        iterations = loop.Iterations(ratings, start, plan)

        def forbidden(key, *args, **kwargs):
            assert not key.startswith("daskals."), key
            return read(key, *args, **kwargs)

        read = dask.config.get
        monkeypatch.setattr(dask.config, "get", forbidden)
        monkeypatch.setattr(type(scheduler), "worker_memory", lambda self: pytest.fail("asks for memory"))
        assert next(iterations).number == 1


def test_a_streamed_side_has_panels_of_at_most_a_quarter_of_the_share(ratings):
    """As far as there are blocks, of which there are 10. A row has 128 KB, so that a quarter is 16 rows, or 8."""
    goal, rank = Goal(Objective(0.1)), 1 << 15
    for memory, n_panels in ((64e6, 2), (32 << 20, 7), (16 << 20, 10)):
        plan = make_plan(planned(memory=memory, panels=2), ratings, rank, goal, EXACT)
        assert len(plan.users.panel_edges) - 1 == n_panels
        assert plan.users.streamed == (n_panels > 2)
