"""Rows that are gathered in a process: laid out once for all tasks that run there, and then forgotten."""

import gc
import threading

import numpy as np
import pandas as pd
import pytest

from daskals import ALS, kernels
from daskals.engine import panels
from daskals.engine.panels import gather, join_rows


def blocks(n=3):
    return [np.full((2, 4), number, np.float32) for number in range(n)]


def test_what_was_gathered_is_shared_until_nobody_holds_it():
    """By the name of the rows and of their form; other rows and forms are apart."""
    first = gather("a", blocks(), kernels.pack_candidates, "candidates")
    assert gather("a", blocks(), kernels.pack_candidates, "candidates") is first
    assert gather("b", blocks(), kernels.pack_candidates, "candidates") is not first
    rows = gather("a", blocks(), join_rows, "rows")
    np.testing.assert_array_equal(rows, np.concatenate(blocks()))
    del first, rows
    gc.collect()
    assert not [key for key in panels._gathered if key[0] in ("a", "b")]


def test_threads_that_come_at_once_make_one():
    """The others wait for the first."""
    made, barrier, found = [], threading.Barrier(4), []

    def join(some):
        made.append(1)
        return kernels.pack_sources(some, np.float32)

    def work():
        barrier.wait()
        found.append(gather("c", blocks(), join, "sources"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(made) == 1
    assert len({id(each) for each in found}) == 1


@pytest.mark.parametrize("rank", [6, 8])
def test_tasks_that_run_together_share_sources_and_candidates(rank, monkeypatch):
    """While somebody holds a half-step's sources they are not packed again, whether the rank needs padding or not."""
    held, times = [], {"pack_sources": 0, "pack_candidates": 0}

    def watched(name, pack):
        def counted(*args):
            times[name] += 1
            held.append(pack(*args))
            return held[-1]

        return counted

    for name in times:
        monkeypatch.setattr(kernels, name, watched(name, getattr(kernels, name)))
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": rng.integers(0, 90, 2000), "item": rng.integers(0, 60, 2000), "rating": 1.0})
    model = ALS(rank=rank, maxIter=3, numUserBlocks=5, numItemBlocks=4).fit(frame)
    assert times == {"pack_sources": 6, "pack_candidates": 0}
    model.recommendForAllUsers(3)
    assert times == {"pack_sources": 6, "pack_candidates": 1}
