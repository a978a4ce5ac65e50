"""What is set for the whole process while somebody needs it is afterwards what it was."""

from contextlib import contextmanager
from functools import partial
from threading import Barrier, Event, get_ident

import dask
import pytest
from distributed import Client
from support.at_once import at_once

from daskals import ALS
from daskals.datasets import make_ratings
from daskals.execution import waiting
from daskals.execution.shared_context import SharedContext

THRESHOLD = "distributed.admin.large-graph-warning-threshold"


def test_the_first_enters_and_the_last_leaves():
    """In whatever order they go; afterwards it can be entered again."""
    entered = []

    @contextmanager
    def make():
        entered.append("in")
        yield
        entered.append("out")

    shared = SharedContext(make)
    for _ in range(2):
        entered.clear()
        one, other = shared, shared
        one.__enter__()
        other.__enter__()
        one.__exit__(None, None, None)
        assert entered == ["in"]
        other.__exit__(None, None, None)
        assert entered == ["in", "out"]


def test_an_error_leaves_too():
    shared = SharedContext(lambda: dask.config.set({THRESHOLD: "1TB"}))
    before = dask.config.get(THRESHOLD)
    with pytest.raises(RuntimeError, match="inside"), shared:
        raise RuntimeError("inside")
    assert dask.config.get(THRESHOLD) == before


def test_the_threshold_of_large_graphs_is_back_after_fits_at_once(cluster, monkeypatch):
    """Two fits send graphs at the same time, and the first that came goes first: the second must not put back "1TB"."""
    before, both_are_inside, first_has_gone = dask.config.get(THRESHOLD), Barrier(2), Event()
    came, persist, wait_for = [], Client.persist, waiting.wait_for

    def watched_wait(*given):
        if came[0] == get_ident():
            first_has_gone.set()
        return wait_for(*given)

    def watched_persist(self, *given):
        if get_ident() not in came:
            came.append(get_ident())
            both_are_inside.wait(60)
            assert dask.config.get(THRESHOLD) == "1TB"
            assert came[0] == get_ident() or first_has_gone.wait(60)
        return persist(self, *given)

    monkeypatch.setattr(waiting, "wait_for", watched_wait)
    monkeypatch.setattr(Client, "persist", watched_persist)
    with cluster.as_current():
        fits = [ALS(rank=2, maxIter=2, seed=seed).fit for seed in (1, 2)]
        at_once([partial(fit, make_ratings(60, 30, 600)) for fit in fits])
    assert len(came) == 2
    assert dask.config.get(THRESHOLD) == before
