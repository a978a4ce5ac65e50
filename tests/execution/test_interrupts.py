"""Interrupts that come while Python runs a finalizer, which ignores them."""

import signal
import sys
import threading

import pytest

from daskals import ALS
from daskals.execution import interrupts


class Interrupted:
    """As if Ctrl-C came while it is forgotten."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def hook(monkeypatch):
    """What Python tells of exceptions that it ignores."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_value))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield told
    signal.signal(signal.SIGINT, before)


def test_python_loses_it(hook):
    Interrupted()
    assert [type(each) for each in hook] == [KeyboardInterrupt]


def test_the_next_check_raises_it_and_the_one_after_does_not(hook):
    with interrupts.remembered():
        Interrupted()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        interrupts.check()
    assert hook == []


def test_the_end_of_a_context_raises_it(hook):
    with pytest.raises(KeyboardInterrupt), interrupts.remembered(), interrupts.remembered():
        Interrupted()


def test_another_thread_does_not_raise_it(hook):
    ended = []

    def check_elsewhere():
        other = threading.Thread(target=lambda: ended.append(interrupts.check()))
        other.start()
        other.join()

    with interrupts.remembered():
        Interrupted()
        check_elsewhere()
        assert ended == [None]
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()


def test_other_exceptions_are_told_as_before(hook):
    class Faulty:
        def __del__(self):
            raise ValueError

    with interrupts.remembered():
        Faulty()
    assert [type(each) for each in hook] == [ValueError]
    before = sys.unraisablehook
    with interrupts.remembered():
        assert sys.unraisablehook is not before
    assert sys.unraisablehook is before


def test_an_error_takes_its_place(hook):
    def fail():
        with interrupts.remembered():
            Interrupted()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    interrupts.check()


def test_what_somebody_has_caught_is_not_raised_again(hook):
    with interrupts.remembered():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        interrupts.check()


def test_a_fit_ends(hook, ratings):
    seen = []

    def lose(iteration):
        seen.append(iteration.number)
        Interrupted()

    with pytest.raises(KeyboardInterrupt):
        ALS(rank=2, maxIter=50, seed=1).fit(ratings, callbacks=[lose])
    assert seen == [1]
