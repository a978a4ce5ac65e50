"""The iterations of a fit: a plain iterable, with the numbers of the papers, that goes on from any point."""

import gc
import itertools
import re
from collections.abc import Generator, Iterator

import dask
import numpy as np
import pytest
from support import reference
from support.blocked import blocked
from support.killable_cluster import until

from daskals.blocks.goal import Goal
from daskals.blocks.least_squares import SolvedBlock
from daskals.engine.factors import rebased, rows_with_ids
from daskals.engine.loop import Iterations, ResumePoint
from daskals.engine.plan import make_plan
from daskals.engine.start_values import StartValues, start_rows
from daskals.execution.scheduler import current_scheduler
from daskals.execution.tasks import new_token, task
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.types import Losses

RANK, START = 3, StartValues(5, 10, 10, "3", nonnegative=False)
KINDS = {
    "explicit": (Objective(0.1), Solver()),
    "implicit": (Objective(0.1, implicit=True, alpha=2.0), Solver()),
    "cg": (Objective(0.1), Solver(cg_steps=2)),
    "double": (Objective(0.1), Solver(double=True)),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def triples(n_users=30, n_items=20, n=400, seed=2):
    """Distinct pairs in which every user and every item is, and ratings from 1 to 5."""
    rng = np.random.default_rng(seed)
    cells = np.concatenate([rng.permutation(n_users * n_items)[:n], np.arange(n_users) * n_items, np.arange(n_items)])
    users, items = np.divmod(np.unique(cells), n_items)
    return users, items, rng.integers(1, 6, len(users)).astype(np.float32)


@pytest.fixture
def make_loop():
    """A function that makes the loop of a kind of fit to the same ratings, on the scheduler in force."""

    def make(kind="explicit", point=None, **settings):
        objective, solver = KINDS[kind]
        with dask.config.set(settings):
            scheduler = current_scheduler()
            ratings = blocked(scheduler, *triples(), (4, 3))
            plan = make_plan(scheduler, ratings, RANK, Goal(objective), solver)
            return Iterations(ratings, START, plan, point(ratings) if callable(point) else point)

    with dask.config.set(scheduler="synchronous"):
        yield make


def rows_of(loop):
    """The rows of users and items as they are now."""
    found = [dask.compute(*rows_with_ids(matrix)) for matrix in loop.factors()]
    return [np.concatenate([rows for _, rows in blocks]) for blocks in found]


def assert_same_rows(one, other):
    for mine, its in zip(rows_of(one), rows_of(other), strict=True):
        np.testing.assert_array_equal(mine, its)


def point_of(loop):
    """Where another loop over the same ratings can go on from this one."""
    users, items = loop.factors()
    return ResumePoint(loop.number, rebased(users, users.bounds), rebased(items, items.bounds))


# ---- a plain iterable ------------------------------------------------------------------------------------


def test_the_caller_decides_when_to_stop(make_loop):
    """No generator, nothing to send to or to close; each `next` is one iteration, and nothing runs between."""
    loop = make_loop()
    assert isinstance(loop, Iterator)
    assert not isinstance(loop, Generator)
    assert iter(loop) is loop
    assert loop.number == 0
    numbers = [iteration.number for iteration in itertools.islice(loop, 2)]
    for iteration in loop:
        numbers.append(iteration.number)
        if iteration.number == 4:
            break
    numbers.append(next(loop).number)
    assert numbers == [1, 2, 3, 4, 5]
    assert loop.number == 5


@each_kind
def test_stops_between_change_nothing(make_loop, kind):
    """Nor does looking at the factors between."""
    one, other = make_loop(kind), make_loop(kind)
    objectives = [iteration.objective for iteration in itertools.islice(one, 4)]
    found = []
    for _ in range(4):
        rows_of(other)
        found.append(next(other).objective)
    assert found == objectives
    assert_same_rows(one, other)


def test_before_the_first_iteration_factors_are_the_start_values(make_loop):
    loop = make_loop()
    ratings = blocked(current_scheduler(), *triples(), (1, 1))
    for side, rows in zip((ratings.users, ratings.items), rows_of(loop), strict=True):
        (expected,) = dask.compute(*start_rows(side, RANK, START, new_token()))
        np.testing.assert_array_equal(rows, expected.rows)


# ---- numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", ["explicit", "implicit"])
def test_iterations_are_those_of_the_papers(make_loop, kind, streamed):
    """Rows, objective and training error, against a dense float64 fit from the same start."""
    loop = make_loop(kind, **{"daskals.factor-share": 0.0 if streamed else 1.0, "daskals.panels": 2})
    start, _ = rows_of(loop)
    users, items, ratings = triples()
    objective = KINDS[kind][0]
    alpha = objective.alpha if objective.implicit else None
    for n, iteration in enumerate(itertools.islice(loop, 3), 1):
        fit = reference.als(users, items, ratings, start, n, reg=objective.reg, alpha=alpha)
        weight = 30 * 20 + alpha * ratings.sum() if alpha else len(ratings)
        assert iteration.objective == pytest.approx(fit.objective, rel=1e-4)
        assert iteration.rmse == pytest.approx(np.sqrt(fit.squared_error / weight), rel=1e-4)
    mine = rows_of(loop)
    np.testing.assert_allclose(mine[0] @ mine[1].T, fit.users @ fit.items.T, atol=1e-3)


# ---- going on from a point -------------------------------------------------------------------------------


@each_kind
def test_a_new_loop_goes_on_from_a_point(make_loop, kind):
    whole, first = make_loop(kind), make_loop(kind)
    list(itertools.islice(whole, 4))
    list(itertools.islice(first, 2))
    second = make_loop(kind, point_of(first))
    assert second.number == 2
    assert_same_rows(first, second)
    assert [iteration.number for iteration in itertools.islice(second, 2)] == [3, 4]
    assert_same_rows(whole, second)


@each_kind
def test_a_loop_is_restarted_from_an_earlier_point(make_loop, kind):
    """It does the same iterations again, to the bit; the point stays usable."""
    loop = make_loop(kind)
    list(itertools.islice(loop, 2))
    point = point_of(loop)
    expected = [iteration.objective for iteration in itertools.islice(loop, 2)]
    for _ in range(2):
        loop.restart_from(point)
        assert loop.number == 2
        again = list(itertools.islice(loop, 2))
        assert [iteration.number for iteration in again] == [3, 4]
        assert [iteration.objective for iteration in again] == expected


def test_a_loop_is_restarted_from_where_it_is(make_loop):
    """As after a checkpoint: the iterations that follow are those that would have followed."""
    one, other = make_loop(), make_loop()
    for loop in (one, other):
        list(itertools.islice(loop, 2))
    other.restart_from(point_of(other))
    assert next(one).objective == next(other).objective
    assert_same_rows(one, other)


def remembered(client):
    """Of which iterations the scheduler could compute solves again."""
    keys = client.run_on_scheduler(lambda dask_scheduler: [str(key) for key in dask_scheduler.tasks])
    return {int(found[1]) for key in keys if (found := re.match(r"als-solve-(?:users|items)-[0-9a-f]+-(\d+)-", key))}


def test_a_restart_frees_a_cluster_of_the_iterations_before(cluster, make_loop):
    """Where nothing is pinned the scheduler could do them all again, until the loop starts from other tasks."""
    with cluster.as_current(), dask.config.set(scheduler=None):
        loop = make_loop(**{"daskals.durable-bytes": 0})
        list(itertools.islice(loop, 2))
        assert remembered(cluster) == {1, 2}
        users, items = (
            [task(SolvedBlock, rows, Losses(), name=f"as-read-{new_token()}") for rows in dask.compute(*matrix.blocks)]
            for matrix in loop.factors()
        )
        loop.restart_from(ResumePoint(2, users, items))
        assert next(loop).number == 3
        until(lambda: gc.collect() is not None and remembered(cluster) == {3}, "iterations stay")
