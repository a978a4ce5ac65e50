"""Workers are lost at any moment: fits and models go on, with the same numbers, and at a bounded cost."""

import logging
import os
import re
import signal
import time
from pathlib import Path
from typing import NamedTuple

import dask
import numpy as np
import pytest
from distributed import KilledWorker
from support.killable_cluster import (
    BLOCKS,
    FIT,
    SHAPE,
    SOLVES,
    At,
    Course,
    als,
    assert_equal,
    factors,
    fragile_cluster,
    kill,
    killer,
    lazy,
)

from daskals import ALSModel
from daskals.datasets import make_ratings
from daskals.engine import loop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes as POSIX does"),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with fragile_cluster(tmp_path_factory.mktemp("workers")) as fragile:
        yield fragile


@pytest.fixture
def fragile(shared):
    """The cluster, whole."""
    shared.heal()
    return shared


@pytest.fixture(scope="module")
def undisturbed(shared):
    """The factors of a fit that nobody disturbs, and the keys of its tasks in the order in which they were done."""
    shared.heal()
    with shared.plugged(Course()) as course:
        model = als().fit(lazy())
        assert course.solves() == FIT["maxIter"] * SOLVES
        return factors(model), list(course.keys)


@pytest.fixture
def expected(undisturbed):
    return undisturbed[0]


# ---- at any moment ---------------------------------------------------------------------------------------


class Kill(NamedTuple):
    """After so many tasks and seconds, one worker or all."""

    after: int
    seconds: float
    everybody: bool


#: What was done last when a worker dies: in ingest, in a half-step, or all of a half-step.
MOMENTS = ["als-(read|index|summary|bounds|ids|split|piece|ratings)-", "als-solve-", "als-(losses|kept)-"]


class Killer(Course):
    """Kills by a schedule, which a seed decides: one to three kills, the first of each kind in turn."""

    def __init__(self, scheduler, keys, seed):
        super().__init__()
        self._scheduler, self._rng = scheduler, np.random.default_rng(seed)
        self._plan = sorted(self._kill(keys, seed, number) for number in range(self._rng.integers(1, 4)))
        self.killed = []

    def _kill(self, keys, seed, number):
        moment = MOMENTS[(seed + number) % len(MOMENTS)]
        places = [n for n, key in enumerate(keys[:-SOLVES], 1) if re.match(moment, key)]
        everybody = seed % 4 == 0 if number == 0 else self._rng.random() < 0.2
        return Kill(int(self._rng.choice(places)), self._rng.choice([0.0, self._rng.uniform(0, 0.1)]), everybody)

    def transition(self, *args, **kwargs):
        super().transition(*args, **kwargs)
        while self._plan and self._plan[0].after <= len(self.keys):
            kill = self._plan.pop(0)
            self._scheduler.loop.call_later(kill.seconds, self._strike, kill.everybody)

    def _strike(self, everybody):
        workers = sorted(self._scheduler.workers.values(), key=lambda worker: worker.address)
        if workers and not everybody:
            workers = [workers[self._rng.integers(len(workers))]]
        self.killed.append((re.sub("-[0-9a-f]{12}", "", self.keys[-1]), kill(workers)))


@pytest.mark.parametrize("seed", range(20))
def test_workers_may_die_at_any_moment_of_a_fit(fragile, undisturbed, seed):
    expected, keys = undisturbed
    start = time.monotonic()
    with fragile.plugged(Killer(fragile.scheduler, keys, seed)) as plugin:
        model = als().fit(lazy())
        killed = list(plugin.killed)
    print(f"schedule {seed}: {killed}, {time.monotonic() - start:.1f} s, {plugin.solves()} solves")
    assert sum(n for _, n in killed), "nobody died before the fit ended"
    assert_equal(factors(model), expected)


KINDS = {
    "implicit": {"implicitPrefs": True, "alpha": 2.0},
    "conjugate gradients": {"solver": "cg"},
    "implicit, conjugate gradients": {"implicitPrefs": True, "solver": "cg"},
    "nonnegative": {"nonnegative": True},
    "in doubles": {"precision": "double"},
    "streamed": {},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_fit_survives(fragile, kind):
    """One worker dies while the items of the second iteration are solved, all at the users of the fourth."""
    share = 0 if kind == "streamed" else dask.config.get("daskals.factor-share")
    first, second = (r"als-(solve|add)-items-[0-9a-f]+-2-", r"als-(solve|add)-users-[0-9a-f]+-4-")
    with dask.config.set({"daskals.factor-share": share}):
        with dask.config.set(scheduler="threads"):
            expected = factors(als(**KINDS[kind]).fit(lazy()))
        one, all_ = killer(fragile, first), killer(fragile, second, everybody=True)
        with fragile.plugged(one), fragile.plugged(all_):
            model = als(**KINDS[kind]).fit(lazy())
    assert one.keys
    assert all_.keys
    assert ("als-add" in one.keys[0]) == (kind == "streamed")
    assert_equal(factors(model), expected)


STEPS = {
    "reading": "als-read-",
    "building": "als-ratings-items-",
    "start values": "als-start-users-",
    "solving": r"als-solve-items-[0-9a-f]+-3-",
    "losses": r"als-losses-items-[0-9a-f]+-3-",
    "keeping": r"als-kept-users-[0-9a-f]+-3-",
    "the model's rows": "als-factors-users-",
    "keeping the model": r"als-kept-items-[0-9a-f]+-\d+$",
    "whose checkpoint": "als-print-",
    "a checkpoint": "als-write-",
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_dask_gives_up_is_done_again(fragile, expected, caplog, tmp_path, step):
    """Dask gives a task up after some deaths under it."""
    folder = tmp_path / "checkpoints"
    plugin = killer(fragile, STEPS[step], give_up=True)
    with fragile.plugged(plugin), caplog.at_level(logging.WARNING, "daskals"):
        model = als(checkpointDir=str(folder), checkpointInterval=3).fit(lazy())
    assert len(plugin.keys) == 1
    assert "trying again, 1 of 3" in caplog.text
    assert_equal(factors(model), expected)
    assert sorted(path.name for path in folder.glob("fit-*/*")) == ["iteration-000003", "iteration-000006"]


@pytest.mark.parametrize("retries", [0, 2])
def test_retries_are_bounded_and_the_error_says_how_to_go_on(fragile, expected, tmp_path, retries):
    careful = als(checkpointDir=str(tmp_path / "checkpoints"), checkpointInterval=2)
    plugin = killer(fragile, r"als-solve-users-[0-9a-f]+-5-", times=100, give_up=True)
    with dask.config.set({"daskals.retries": retries}), fragile.plugged(plugin):
        advice = advice_of(careful)
    assert len({key.split("-")[3] for key in plugin.keys}) == retries + 1, "trials"
    assert f"Iteration 5 failed {retries + 1} times" in advice
    assert f"daskals.retries is {retries}" in advice
    assert_goes_on(fragile, careful, advice, expected)


def test_ratings_that_dask_gives_up_end_a_fit_and_do_not_hang_it(fragile, expected, tmp_path):
    """A worker dies in an iteration, and another one while the ratings that the first one held are made again."""
    careful = als(checkpointDir=str(tmp_path / "checkpoints"), checkpointInterval=2)
    second = killer(fragile, "als-ratings-", give_up=True)

    def strike(task):
        kill(fragile.scheduler.workers.values())
        second._times = 1

    second._times = 0
    with fragile.plugged(At(fragile.scheduler, r"als-solve-users-[0-9a-f]+-5-", strike)), fragile.plugged(second):
        advice = advice_of(careful)
    assert "the cluster has given up what it starts from" in advice
    assert_goes_on(fragile, careful, advice, expected)


def advice_of(estimator):
    with pytest.raises(KilledWorker) as error:
        estimator.fit(lazy())
    return "\n".join(error.value.__notes__)


def assert_goes_on(fragile, estimator, advice, expected):
    """The advice names the newest checkpoint and the way on, nothing of the fit stays, and the way is one."""
    (newest,) = Path(estimator.getCheckpointDir()).glob("fit-*/iteration-000004")
    assert f"The newest checkpoint is {newest}: fit(..., resume=True) goes on from it" in advice
    fragile.heal()
    fragile.assert_forgotten()
    assert_equal(factors(estimator.fit(lazy(), resume=True)), expected)


# ---- what a loss costs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("durable", ["256MiB", 0])
def test_a_loss_between_iterations_costs_at_most_one_half_step(fragile, expected, monkeypatch, durable):
    """All workers die before the fifth iteration, long enough after the fourth for copies of its results to be gone.

    With nothing kept (durable-bytes: 0) all iterations are done again: the test would see the difference.
    """
    inner, waiting = loop.half_step, [True]

    def half_step(side, *args):
        if waiting and args[-1].endswith("-5"):
            waiting.clear()
            fragile.drop_replicas()
            fragile.kill_all()
        return inner(side, *args)

    monkeypatch.setattr(loop, "half_step", half_step)
    with dask.config.set({"daskals.durable-bytes": durable}), fragile.plugged(Course()) as course:
        model = als().fit(lazy())
        more = course.solves() - FIT["maxIter"] * SOLVES
    assert not waiting
    assert_equal(factors(model), expected)
    assert more > max(BLOCKS.values()) if durable == 0 else more == 0, "what an iteration starts from is kept"


def test_a_loss_between_half_steps_costs_one_half_step(fragile, expected):
    """All workers die when the first users of the fifth iteration are about to be solved."""
    strike = At(
        fragile.scheduler, r"als-solve-users-[0-9a-f]+-5-", lambda task: kill(fragile.scheduler.workers.values())
    )
    with fragile.plugged(strike), fragile.plugged(Course()) as course:
        model = als().fit(lazy())
        more = course.solves() - FIT["maxIter"] * SOLVES
    assert strike.keys
    assert_equal(factors(model), expected)
    assert more == BLOCKS["items"], "the items of this iteration; the users before it are kept"


# ---- after the fit ---------------------------------------------------------------------------------------


def predict(model, folder):
    return model.transform(lazy()).compute()["prediction"].to_numpy()


def recommend(model, folder):
    lists = model.recommendForAllUsers(3).compute()["recommendations"]
    return np.array([[each["rating"] for each in some] for some in lists])


def recommend_to_some(model, folder):
    lists = model.recommendForItemSubset(make_ratings(**SHAPE).head(50), 3)["recommendations"]
    return np.array([[each["rating"] for each in some] for some in lists])


def save(model, folder):
    model.write().overwrite().save(str(folder / "saved"))
    assert os.listdir(folder) == ["saved"], "no draft"
    return factors(ALSModel.load(str(folder / "saved")))[0]


def load(model, folder):
    return factors(ALSModel.load(str(folder / "saved")))[0]


@pytest.fixture(scope="module")
def model(shared):
    return als(maxIter=2).fit(lazy())


@pytest.mark.parametrize("everybody", [False, True])
@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (predict, "als-transform-"),
        (recommend, "als-recommend-"),
        (recommend_to_some, "als-recommend-"),
        (save, "als-write-"),
        (load, r"als-load-[0-9a-f]+-"),
    ],
)
def test_what_is_done_with_a_model_survives_a_loss(fragile, model, tmp_path, action, kind, everybody):
    if action is load:
        model.save(str(tmp_path / "saved"))
    expected = action(model, tmp_path)
    fragile.drop_replicas()
    with fragile.plugged(killer(fragile, kind, everybody=everybody)) as plugin, fragile.plugged(Course()) as course:
        found = action(model, tmp_path)
    assert plugin.keys, "nobody died meanwhile"
    assert course.solves() == 0, "its factors come from the scheduler"
    assert_equal([found], [expected])
