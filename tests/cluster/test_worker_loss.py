"""Workers are lost in a certain step: fits and models go on, with the same numbers, and at a bounded cost.

At moments that a seed decides they are lost in ``test_fault_schedules.py``.
"""

import logging
import os
import re
import signal
from collections import Counter
from pathlib import Path

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
    kill,
    killer,
    lazy,
)
from support.marks import a_few

from daskals import ALSModel
from daskals.datasets import make_ratings
from daskals.engine import loop, sides
from daskals.evaluation import RankingEvaluator, rankingReport
from daskals.tuning import TrainValidationSplit

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes as POSIX does")


@pytest.fixture(scope="module")
def expected(shared):
    """The factors of a fit that nobody disturbs."""
    shared.heal()
    with shared.plugged(Course()) as course:
        model = als().fit(lazy())
        assert course.solves() == FIT["maxIter"] * SOLVES
        return factors(model)


# ---- while a fit runs --------------------------------------------------------------------------------------


KINDS = {
    "implicit": {"implicitPrefs": True, "alpha": 2.0},
    "conjugate gradients": {"solver": "cg"},
    "implicit, conjugate gradients": {"implicitPrefs": True, "solver": "cg"},
    "nonnegative": {"nonnegative": True},
    "in doubles": {"precision": "double"},
    "streamed": {},
    "reduced": {},
    "reduced, conjugate gradients": {"solver": "cg"},
}


@pytest.mark.parametrize("kind", a_few(KINDS, "implicit, conjugate gradients"))
def test_every_kind_of_fit_survives(killable, kind):
    """One worker dies while the items of the second iteration are solved, all at the users of the fourth."""
    share = 0 if kind == "streamed" else dask.config.get("daskals.factor-share")
    first, second = (r"als-(solve|add|reduce)-items-[0-9a-f]+-2-", r"als-(solve|add)-users-[0-9a-f]+-4-")
    form = "reduce" if kind.startswith("reduced") else "gather"
    with dask.config.set({"daskals.factor-share": share, "daskals.half-step": form}):
        with dask.config.set(scheduler="threads"):
            expected = factors(als(**KINDS[kind]).fit(lazy()))
        one, all_ = killer(killable, first), killer(killable, second, everybody=True)
        with killable.plugged(one), killable.plugged(all_):
            model = als(**KINDS[kind]).fit(lazy())
    assert one.keys
    assert all_.keys
    assert ("als-add" in one.keys[0]) == (kind == "streamed")
    assert ("als-reduce" in one.keys[0]) == (form == "reduce")
    assert_equal(factors(model), expected)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["reduce", "gather"])
def test_blocks_of_a_lost_worker_find_a_new_home(killable, monkeypatch, form):
    """Otherwise all of them would be brought together on one of those that have made them again."""
    found, at_home = [], sides.Ratings.at_home

    def watched(ratings, client):
        found.append(at_home(ratings, client))
        return found[-1]

    monkeypatch.setattr(sides.Ratings, "at_home", watched)
    with (
        dask.config.set({"daskals.half-step": form}),
        killable.plugged(killer(killable, r"als-solve-users-[0-9a-f]+-2-")) as plugin,
    ):
        als().fit(lazy())
    assert plugin.keys
    first, *_, last = ({*each.users.homes, *each.items.homes} for each in found)
    assert len(first) == 2
    assert not first <= killable.addresses()
    assert last <= killable.addresses()


STEPS = {
    "reading": "als-read-",
    "building": "als-build-items-",
    "start values": "als-start-users-",
    "solving": r"als-solve-items-[0-9a-f]+-3-",
    "losses": r"als-loss-items-[0-9a-f]+-3-",
    "pinning": r"als-pin-users-[0-9a-f]+-3-",
    "the model's rows": "als-model-users-",
    "pinning the model": r"als-pin-items-[0-9a-f]+-\d+$",
    "whose checkpoint": "als-fingerprint-",
    "a checkpoint": "als-write-",
}


@pytest.mark.parametrize("step", a_few(STEPS, "solving"))
def test_a_step_that_dask_gives_up_is_done_again(killable, expected, caplog, tmp_path, step):
    """Dask gives a task up after some deaths under it."""
    folder = tmp_path / "checkpoints"
    plugin = killer(killable, STEPS[step], give_up=True)
    with killable.plugged(plugin), caplog.at_level(logging.WARNING, "daskals"):
        model = als(checkpointDir=str(folder), checkpointInterval=3).fit(lazy())
    assert len(plugin.keys) == 1
    assert "trying again, 1 of 3" in caplog.text
    assert_equal(factors(model), expected)
    assert sorted(path.name for path in folder.glob("fit-*/*")) == ["iteration-000003", "iteration-000006"]


@pytest.mark.parametrize("retries", a_few([0, 2], 0))
@pytest.mark.slow
def test_retries_are_bounded_and_the_error_says_how_to_go_on(killable, expected, tmp_path, retries):
    careful = als(checkpointDir=str(tmp_path / "checkpoints"), checkpointInterval=2)
    plugin = killer(killable, r"als-solve-users-[0-9a-f]+-5-", times=100, give_up=True)
    with dask.config.set({"daskals.retries": retries}), killable.plugged(plugin):
        advice = advice_of(careful)
    assert len({key.split("-")[3] for key in plugin.keys}) == retries + 1, "trials"
    assert f"Iteration 5 failed {retries + 1} times" in advice
    assert f"daskals.retries is {retries}" in advice
    assert_goes_on(killable, careful, advice, expected)


@pytest.mark.parametrize(
    "lost", a_few(["als-build-users-", "als-split-users-", "als-read-", "als-pin-"], "als-split-users-")
)
def test_ratings_that_dask_gives_up_are_made_again(killable, expected, caplog, lost):
    """All workers die in an iteration, and one while ratings are made again: at the blocks, or at what they need."""
    second = killer(killable, lost, times=0, give_up=True)

    def strike(task):
        kill(killable.scheduler.workers.values())
        second._times = 1

    first = At(killable.scheduler, r"als-solve-users-[0-9a-f]+-5-", strike)
    with killable.plugged(first), killable.plugged(second), caplog.at_level(logging.WARNING, "daskals"):
        model = als().fit(lazy())
    assert len(second.keys) == 1
    assert re.search("Iteration 5 failed, since workers were lost.*trying again, 1 of 3", caplog.text)
    if lost != "als-pin-":  # those are sent again under new names, whatever has become of the old ones
        assert "of the results that this starts from were given up by Dask; they are made again" in caplog.text
    assert_equal(factors(model), expected)


@pytest.mark.slow
def test_ratings_that_dask_gives_up_again_and_again_end_a_fit(killable, expected, tmp_path):
    careful = als(checkpointDir=str(tmp_path / "checkpoints"), checkpointInterval=2)
    again = killer(killable, "als-build-users-", times=0, give_up=True)

    def strike(task):
        kill(killable.scheduler.workers.values())
        again._times = 100

    with (
        dask.config.set({"daskals.retries": 2}),
        killable.plugged(At(killable.scheduler, r"als-solve-users-[0-9a-f]+-5-", strike)),
        killable.plugged(again),
    ):
        advice = advice_of(careful)
    assert "Iteration 5 failed 3 times, since workers were lost; daskals.retries is 2" in advice
    assert_goes_on(killable, careful, advice, expected)


def advice_of(estimator):
    with pytest.raises(KilledWorker) as error:
        estimator.fit(lazy())
    return "\n".join(error.value.__notes__)


def assert_goes_on(killable, estimator, advice, expected):
    """The advice names the newest checkpoint and the way on, nothing of the fit stays, and the way is one."""
    (newest,) = Path(estimator.getCheckpointDir()).glob("fit-*/iteration-000004")
    assert f"The newest checkpoint is {newest}: fit(..., resume=True) goes on from it" in advice
    killable.heal()
    killable.assert_forgotten()
    assert_equal(factors(estimator.fit(lazy(), resume=True)), expected)


# ---- what a loss costs -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("durable", ["256MiB", 0])
def test_a_loss_between_iterations_costs_at_most_one_half_step(killable, expected, monkeypatch, durable):
    """All workers die before the fifth iteration, long enough after the fourth for copies of its results to be gone.

    With nothing pinned (durable-bytes: 0) all iterations are done again: the test would see the difference.
    """
    inner, waiting = loop.half_step, [True]

    def half_step(side, *args):
        if waiting and args[-1].endswith("-5"):
            waiting.clear()
            killable.drop_replicas()
            killable.kill_all()
        return inner(side, *args)

    monkeypatch.setattr(loop, "half_step", half_step)
    with dask.config.set({"daskals.durable-bytes": durable}), killable.plugged(Course()) as course:
        model = als().fit(lazy())
        more = course.solves() - FIT["maxIter"] * SOLVES
    assert not waiting
    assert_equal(factors(model), expected)
    assert more > max(BLOCKS.values()) if durable == 0 else more == 0, "what an iteration starts from is pinned"


def test_a_loss_between_half_steps_costs_one_half_step(killable, expected):
    """All workers die when the first users of the fifth iteration are about to be solved."""
    strike = At(
        killable.scheduler, r"als-solve-users-[0-9a-f]+-5-", lambda task: kill(killable.scheduler.workers.values())
    )
    with killable.plugged(strike), killable.plugged(Course()) as course:
        model = als().fit(lazy())
        more = course.solves() - FIT["maxIter"] * SOLVES
    assert strike.keys
    assert_equal(factors(model), expected)
    assert more == BLOCKS["items"], "the items of this iteration; the users before it are pinned"


@pytest.mark.parametrize("everybody", a_few([False, True], False))
def test_a_loss_reads_each_partition_once_more(killable, expected, everybody):
    """Each block has ratings from all partitions, so all are read again; but none more than once for a death."""
    strike = killer(killable, r"als-solve-users-[0-9a-f]+-4-", everybody=everybody)
    with killable.plugged(strike), killable.plugged(Course()) as course:
        model = als().fit(lazy())
    reads = Counter(key for key in course.keys if re.match("als-(read|index-ids|split-users)-", key))
    assert strike.keys
    assert_equal(factors(model), expected)
    assert set(reads.values()) <= {1, 2}
    assert sum(times == 2 for key, times in reads.items() if key.startswith("als-read-")) == 6


# ---- after the fit ---------------------------------------------------------------------------------------


def predict(model, folder):
    return model.transform(lazy()).compute()["prediction"].to_numpy()


def recommend(model, folder):
    lists = model.recommendForAllUsers(3).compute()["recommendations"]
    return np.array([[each["rating"] for each in some] for some in lists])


def recommend_unseen(model, folder):
    return model.recommendForAllUsers(3, exclude=lazy(), flat=True).compute()["rating"].to_numpy()


def neighbours(model, folder):
    return model.similarItems(None, 3, flat=True).compute()["similarity"].to_numpy()


def report(model, folder):
    return rankingReport(model, lazy(), make_ratings(**SHAPE, npartitions=2, seed=5), k=3).to_numpy()


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


#: What is done, and a task of it.
ACTIONS = {
    predict: "als-transform-",
    recommend: "als-recommend-",
    recommend_to_some: "als-recommend-",
    recommend_unseen: "als-lists-seen-",
    neighbours: "als-recommend-",
    report: "als-report-",
    save: "als-write-",
    load: "als-load-file-",
}


@pytest.mark.parametrize("everybody", a_few([False, True], True))
@pytest.mark.parametrize("action", a_few(ACTIONS, predict))
def test_what_is_done_with_a_model_survives_a_loss(killable, model, tmp_path, action, everybody):
    kind = ACTIONS[action]
    if action is load:
        model.save(str(tmp_path / "saved"))
    expected = action(model, tmp_path)
    killable.drop_replicas()
    with killable.plugged(killer(killable, kind, everybody=everybody)) as plugin, killable.plugged(Course()) as course:
        found = action(model, tmp_path)
    assert plugin.keys, "nobody died meanwhile"
    assert course.solves() == 0, "its factors come from the scheduler"
    assert_equal([found], [expected])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["als-recommend-", "als-compare-"])
def test_tuning_by_recommendations_survives_a_loss(killable, kind):
    """All workers die while the lists of a model are made, or compared with the validation rows."""
    estimator = als(maxIter=2, implicitPrefs=True)
    maps = [{estimator.regParam: 0.1}, {estimator.regParam: 3.0}]
    ranking = RankingEvaluator(metricName="ndcgAtK", k=5)
    tuning = TrainValidationSplit(estimator=estimator, estimatorParamMaps=maps, evaluator=ranking)
    expected = tuning.fit(lazy()).validationMetrics
    killable.drop_replicas()
    with killable.plugged(killer(killable, kind, everybody=True)) as plugin:
        found = tuning.fit(lazy()).validationMetrics
    assert plugin.keys, "nobody died meanwhile"
    assert found == pytest.approx(expected, abs=1e-6)
