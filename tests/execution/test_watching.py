"""A wait for a cluster whose workers do not work: what is said, what is done, and when it ends."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest

from daskals.execution import watching
from daskals.execution.health import Health, Restarts, SilentWorker, WorkerMemory, restart_workers
from daskals.execution.settings import read_settings
from daskals.execution.watching import POLL_SECONDS, WorkerWatch

FULL = WorkerMemory("tcp://full", 300 << 20, 60 << 20, 330 << 20)
WELL = Health(2, (), (), Restarts(), 0)
PAUSED = Health(2, (FULL, FULL._replace(address="tcp://other")), (), Restarts(), 0)


class Cluster:
    """A client whose scheduler tells what a test puts here."""

    def __init__(self):
        self.health, self.asked, self.restarted = WELL, [], []
        self.status = "running"

    def run_on_scheduler(self, function, *args):
        if function is restart_workers:
            self.restarted += args[0]
            return None
        self.asked.append(args)
        return self.health


class Watched:
    """A watch, and a clock that goes on by a look each time."""

    def __init__(self, monkeypatch, **changed):
        self.now, self.cluster = 0.0, Cluster()
        monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.watch = WorkerWatch(self.cluster, replace(read_settings(), **changed))

    def look(self, health, done=0):
        self.now += POLL_SECONDS
        self.cluster.health = health
        self.watch.look(done)


@pytest.fixture
def watched(monkeypatch, caplog):
    caplog.set_level(logging.WARNING, "daskals")
    return lambda **changed: Watched(monkeypatch, **changed)


def test_a_cluster_that_is_well_is_asked_now_and_then_and_nothing_is_said(watched, caplog):
    seen = watched(hung_worker_timeout=60.0)
    seen.watch.look()
    assert not seen.cluster.asked, "too early"
    for _ in range(3):
        seen.look(WELL)
        seen.watch.look()
    assert seen.cluster.asked == [(60.0, POLL_SECONDS), (60.0, 2 * POLL_SECONDS), (60.0, 3 * POLL_SECONDS)]
    assert not caplog.records


def test_workers_that_are_all_paused_are_told_with_the_memory_that_they_need(watched, caplog):
    seen = watched(paused_timeout=3 * POLL_SECONDS)
    for _ in range(3):
        seen.look(PAUSED)
    assert "All 2 workers have been paused for 5 s" in caplog.text
    assert "tcp://full uses 300.00 MiB of 330.00 MiB, tcp://other uses" in caplog.text
    assert len(caplog.records) == 1, "not at every look"
    with pytest.raises(MemoryError, match=r"give each worker at least 600.00 MiB .*paused-timeout is 15 s"):
        seen.look(PAUSED)  # (300 + 60 spilled) / 0.6


@pytest.mark.parametrize("better", [WELL, Health(3, (FULL, FULL), (), Restarts(), 0)], ids=["go on", "a new one"])
def test_workers_that_are_paused_for_a_while_end_nothing(watched, better):
    seen = watched(paused_timeout=3 * POLL_SECONDS)
    for _ in range(5):
        for _ in range(3):
            seen.look(PAUSED)
        seen.look(better)


def test_without_a_limit_paused_workers_are_waited_for(watched, caplog):
    seen = watched(paused_timeout=None)
    for _ in range(int(180 / POLL_SECONDS)):
        seen.look(PAUSED)
    assert len(caplog.records) == 3, "a warning a minute"


def test_one_paused_worker_among_others_is_told_of(watched, caplog):
    watched().look(Health(2, (FULL,), (), Restarts(), 0))
    assert "1 of 2 workers are paused because of their memory" in caplog.text


def test_a_worker_that_does_not_answer_is_restarted_if_it_was_silent_before(watched, caplog):
    seen = watched(hung_worker_timeout=60.0)
    silent = Health(2, (), (SilentWorker("tcp://hung", 61.0, 1000.0),), Restarts(), 0)
    seen.look(silent)
    assert not seen.cluster.restarted, "perhaps the scheduler was busy"
    seen.look(silent)
    assert seen.cluster.restarted == ["tcp://hung"]
    assert "tcp://hung has not answered for 61 s (daskals.hung-worker-timeout is 60 s)" in caplog.text


def test_a_worker_that_was_heard_of_in_between_stays(watched):
    seen = watched()
    seen.look(Health(2, (), (SilentWorker("tcp://slow", 61.0, 1000.0),), Restarts(), 0))
    seen.look(Health(2, (), (SilentWorker("tcp://slow", 61.0, 1005.0),), Restarts(), 0))
    assert not seen.cluster.restarted


def test_restarts_for_memory_without_end_end_a_wait_that_achieves_nothing(watched):
    seen = watched()
    for number in range(8):
        seen.look(Health(2 if number < 4 else 1, (), (), Restarts(number, 320 << 20), 0))
    with pytest.raises(MemoryError, match=r"restarted 8 times .*up to 320.00 MiB.*at least 533.33 MiB"):
        seen.look(Health(1, (), (), Restarts(8, 320 << 20), 0))


def test_one_paused_worker_ends_a_wait_in_which_nothing_is_achieved(watched):
    """It may hold, or have been given, what all others wait for."""
    seen, one = watched(paused_timeout=3 * POLL_SECONDS), Health(2, (FULL,), (), Restarts(), 0)
    for done in range(8):
        seen.look(one, done)
    for _ in range(2):
        seen.look(one, 7)
    with pytest.raises(MemoryError, match=r"1 of 2 workers are paused .*Nothing was achieved for 15 s.*at least"):
        seen.look(one, 7)


def test_many_restarts_in_a_moment_end_nothing(watched):
    seen = watched()
    seen.look(WELL, 1)
    seen.look(Health(2, (), (), Restarts(14, 320 << 20), 0), 1)


def test_restarts_are_counted_from_the_last_result(watched):
    seen = watched()
    for done in (0, 1, 1, 2):
        seen.look(WELL, done)
    assert [seconds for _, seconds in seen.cluster.asked] == [POLL_SECONDS, 0, POLL_SECONDS, 0]
