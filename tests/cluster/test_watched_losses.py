"""Workers are lost while a fit is measured, or after its best iteration: the metrics and the model are the same."""

import signal

import dask
import numpy as np
import pytest
from support.killable_cluster import FIT, SOLVES, Course, als, assert_equal, factors, killer, lazy
from support.marks import a_few

from daskals.datasets import make_ratings

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes as POSIX does")

KINDS = {"explicit": {}, "implicit": {"implicitPrefs": True}}
COLUMN = {"explicit": "validationRmse", "implicit": "validationNdcg"}
#: Who dies: the worker that is given a task of this kind.
MOMENTS = {
    "explicit": ["als-split-held-", "als-held-error-"],
    "implicit": ["als-relevant-", "als-ndcg-"],
}


def held_out():
    """Other ratings of the same users and items, with noise: another seed."""
    return make_ratings(n_users=3000, n_items=800, n_ratings=5000, npartitions=3, seed=9)


def fit(kind, **more):
    return als(**KINDS[kind], **more).fit(lazy(), validation=held_out())


@pytest.fixture(scope="module")
def expected(shared):
    """Factors and history of fits that nobody disturbs, and no model, which would stay on the cluster."""
    shared.heal()
    models = {kind: fit(kind) for kind in KINDS}
    return {kind: (factors(model), model.history) for kind, model in models.items()}


@pytest.mark.parametrize("everybody", a_few([False, True], True))
@pytest.mark.parametrize(
    ("kind", "moment"),
    [
        pytest.param(kind, each, marks=[] if each == "als-ndcg-" else pytest.mark.slow)
        for kind, some in MOMENTS.items()
        for each in some
    ],
)
def test_validation_survives_a_loss(killable, expected, kind, moment, everybody):
    with killable.plugged(killer(killable, moment, everybody=everybody)) as plugin:
        model = fit(kind)
    assert plugin.keys, "nobody died meanwhile"
    rows, history = expected[kind]
    assert_equal(factors(model), rows)
    np.testing.assert_allclose(model.history[COLUMN[kind]], history[COLUMN[kind]], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("durable", ["256MiB", 0])
def test_the_best_iteration_survives_the_loss_of_all_workers(killable, monkeypatch, durable):
    """All die long after it: when no copy of its results is left anywhere but where they were made."""
    best = als(maxIter=2).fit(lazy())
    metrics = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    monkeypatch.setattr("daskals.engine.held_out.Measure.of", lambda measure, snapshot: next(metrics))

    def kill_all(iteration):
        if iteration.number == 5:
            killable.drop_replicas()
            killable.kill_all()

    with dask.config.set({"daskals.durable-bytes": durable}), killable.plugged(Course()) as course:
        model = als().fit(lazy(), validation=held_out(), callbacks=[kill_all])
        more = course.solves() - FIT["maxIter"] * SOLVES
    assert model.bestIteration == 2
    assert_equal(factors(model), factors(best))
    if durable:
        assert more <= 2 * SOLVES, "the items of two iterations, whose users are pinned"


@pytest.mark.slow
def test_afterwards_nothing_stays(killable):
    """Of a fit that lost a worker."""
    with killable.plugged(killer(killable, "als-ndcg-")) as plugin:
        model = fit("implicit", patience=1)
    assert plugin.keys, "nobody died meanwhile"
    del model
    killable.heal()
    killable.assert_forgotten()
