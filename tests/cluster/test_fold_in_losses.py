"""Workers are lost while rows are folded in, and afterwards."""

import signal

import dask
import numpy as np
import pytest
from support.killable_cluster import Course, als, assert_equal, factors, kill, killer, lazy
from support.marks import a_few

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes as POSIX does")


@pytest.fixture(scope="module")
def model(shared):
    shared.heal()
    return als(maxIter=2).fit(lazy())


def newcomers():
    """Every third user under another id, the others as they are."""
    frame = lazy()
    return frame.assign(user=frame.user.where(frame.user % 3 != 0, frame.user + 10_000))


@pytest.fixture(scope="module")
def undisturbed(shared, model):
    shared.heal()
    with shared.plugged(Course()) as course:
        folded = model.foldInUsers(newcomers())
        return factors(folded), list(course.keys)


#: Tasks that are begun when a worker dies: reading, shuffling, solving, laying out, pinning.
KINDS = ["als-read-", "als-known-", "als-split-", "als-build-", "als-solve-", "als-panel-items-", "als-layout-",
         "als-laid-", "als-pin-"]  # fmt: skip


@pytest.mark.parametrize("kind", a_few(KINDS, "als-solve-"))
def test_a_worker_may_die_in_any_step(killable, model, undisturbed, kind):
    with killable.plugged(killer(killable, kind, everybody=kind == "als-laid-")) as plugin:
        folded = model.foldInUsers(newcomers())
        assert plugin.keys, "nobody died"
    assert_equal(factors(folded), undisturbed[0])


@pytest.mark.slow
def test_work_that_dask_gives_up_is_done_again(killable, model, undisturbed):
    with killable.plugged(killer(killable, "als-solve-", give_up=True)) as plugin:
        folded = model.foldInUsers(newcomers())
        assert plugin.keys
    assert_equal(factors(folded), undisturbed[0])


@pytest.mark.slow
def test_afterwards_nothing_is_solved_again(killable, model, undisturbed):
    folded = model.foldInUsers(newcomers())
    killable.kill_all()
    with killable.plugged(Course()) as course:
        assert_equal(factors(folded), undisturbed[0])
    assert not course.solves()
    assert not [key for key in course.keys if key.startswith(("als-read", "als-laid"))]


@pytest.mark.slow
def test_rows_that_are_too_large_to_be_pinned_are_made_again(killable, undisturbed):
    with dask.config.set({"daskals.durable-bytes": 0}):
        folded = als(maxIter=2).fit(lazy()).foldInUsers(newcomers())
        assert_equal(factors(folded), undisturbed[0])
        kill_one(killable)
        assert_equal(factors(folded), undisturbed[0])


def kill_one(killable):
    killable.on_loop(lambda: kill([next(iter(killable.scheduler.workers.values()))]))


@pytest.mark.slow
@pytest.mark.parametrize("call", ["recommendForRatings", "explain"])
def test_workers_may_die_while_strangers_are_served(killable, model, call):
    frame = newcomers()
    people = frame[frame.user > 12_000]
    first = int(people.user.min().compute())

    def ask():
        if call == "explain":
            reasons = model.explain(first, 5, 1000, frame)
            return reasons["contribution"].to_numpy(), reasons["item"].tolist()
        found = model.recommendForRatings(people, 4, flat=True).compute().sort_values(["user", "rank"])
        return found["rating"].to_numpy(), found["item"].tolist()

    scores, items = ask()
    for kind in ("als-read-", "als-some-" if call == "explain" else "als-solve-"):
        killable.heal()
        with killable.plugged(killer(killable, kind, everybody=True)) as plugin:
            again, same = ask()
            assert plugin.keys
        np.testing.assert_allclose(again, scores, atol=1e-5)
        assert same == items
