"""Displays, works and what threads see of them, on a screen that writes down what it is shown."""

import contextvars
import struct
import sys
import threading
from types import SimpleNamespace

import pytest

from daskals import progress
from daskals.progress import display, screens, works


class Recorder:
    """A screen, and a copy of all that it was told."""

    def __init__(self):
        self.said, self.pictures, self.closed, self.clears = [], [], 0, 0
        self.shown = threading.Condition()

    def say(self, text, *, is_due):
        self.said.append(text)

    def show(self, lines):
        with self.shown:
            self.pictures.append([line.lead for line in lines])
            self.shown.notify_all()

    def wait_for(self, lines):
        """Until a picture has these lines."""
        with self.shown:
            assert self.shown.wait_for(lambda: self.pictures and self.pictures[-1] == lines, 60), self.pictures

    def clear(self):
        self.clears += 1

    def close(self):
        self.closed += 1


@pytest.fixture
def screen(monkeypatch):
    """What `progress.showing` finds to show works on; pictures come at once and often."""
    recorder = Recorder()
    monkeypatch.setattr(works, "screen_for", lambda how: recorder if how else None)
    monkeypatch.setattr(display, "START_SECONDS", 0.001)
    monkeypatch.setattr(display, "PICTURE_SECONDS", 0.001)
    return recorder


def names_of_threads():
    return [thread.name for thread in threading.enumerate() if thread.name == "daskals-progress"]


def test_works_are_shown_while_they_last(screen):
    with progress.showing(True):
        with progress.stage("Reading"):
            screen.wait_for(["Reading"])
        with progress.steps("Fitting", 3, "iterations") as fitting:
            fitting.step("RMSE 1")
            screen.wait_for(["Fitting 1/3"])
            with progress.stage("Writing"):
                screen.wait_for(["Fitting 1/3: writing"])
        screen.wait_for([])
    assert [text.partition(" (")[0] for text in screen.said] == [
        "Reading",
        "Fitting: 3 iterations",
        "Fitting 1/3: RMSE 1",
    ]
    assert screen.closed == 1
    assert not names_of_threads()


def test_without_a_display_works_cost_next_to_nothing(screen):
    """They are one and the same object, that does nothing."""
    assert progress.stage("Reading") is progress.steps("Fitting", 3) is progress.stage("Writing", unit="files")
    with progress.steps("Fitting", 3) as fitting:
        fitting.step()
    assert progress.counter(5) is None
    assert not progress.is_decided()
    with progress.aside():
        pass
    assert not screen.said


def test_a_display_inside_another_is_the_same(screen):
    with progress.showing(True) as outer, progress.stage("Tuning"), progress.showing(True) as inner:
        assert outer is not None
        assert inner is None
        assert len(names_of_threads()) == 1
    assert screen.closed == 1


def test_nothing_is_shown_inside_where_it_is_not_wanted(screen):
    with progress.showing(True), progress.showing(False), progress.stage("Reading"):
        pass
    with progress.showing(False):
        assert progress.is_decided()
        with progress.stage("Reading"):
            pass
    assert not screen.said
    assert not progress.is_decided()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_ends_works_and_display(screen, error):
    with pytest.raises(error), progress.showing(True) as shown, progress.steps("Fitting", 3), progress.stage("Writing"):
        raise error
    assert screen.closed == 1
    assert not names_of_threads()
    assert not shown._works
    assert not progress.is_decided()


def test_threads_with_the_context_of_their_caller_show_their_works_below_its(screen):
    def fit(number, come, go):
        with progress.steps(f"Fit {number}", 2) as fitting:
            fitting.step()
            come.wait(60)
            go.wait(60)
        tuning.step()

    come, go = threading.Barrier(3), threading.Event()
    with progress.showing(True), progress.steps("Tuning", 2, is_outer=True) as tuning:
        contexts = [contextvars.copy_context() for _ in range(2)]
        threads = [threading.Thread(target=context.run, args=(fit, n, come, go)) for n, context in enumerate(contexts)]
        threads[0].start()
        screen.wait_for(["Tuning 0/2", "Fit 0 1/2"])
        threads[1].start()
        come.wait(60)
        screen.wait_for(["Tuning 0/2", "Fit 0 1/2", "Fit 1 1/2"])
        go.set()
        for thread in threads:
            thread.join()
        screen.wait_for(["Tuning 2/2"])


def test_a_thread_without_the_context_has_displays_of_its_own(screen):
    found = []
    with progress.showing(True):
        thread = threading.Thread(target=lambda: found.append(progress.is_decided()))
        thread.start()
        thread.join()
    assert found == [False]


def test_tasks_are_counted_by_the_stage_that_has_a_unit(screen):
    with progress.showing(True):
        with progress.stage("Sorting"):
            assert progress.counter(4) is None
        with progress.steps("Fitting", 2):
            assert progress.counter(4) is None
        with progress.stage("Reading", unit="parts"):
            assert progress.counter(1) is None  # not worth a word
            count = progress.counter(4)
            count(3)
            screen.wait_for(["Reading 3/4 parts"])


def test_kernels_that_are_compiled_take_the_place_of_what_is_done(screen):
    with progress.showing(True), progress.steps("Fitting", 2):
        progress.compiling("", 1, is_kept=True)
        progress.compiling("", 1, is_kept=True)  # another one, that the first one calls
        progress.compiling("", -1, is_kept=True)
        screen.wait_for(["Fitting 0/2: compiling kernels, once on this machine"])
        progress.compiling("", -1, is_kept=True)
        screen.wait_for(["Fitting 0/2"])
        progress.compiling("tcp://worker", 1, is_kept=True)
        screen.wait_for(["Fitting 0/2: compiling kernels, once on each machine"])
        progress.compiling("tcp://worker", -1, is_kept=True)
        progress.compiling("", 1, is_kept=False)
        screen.wait_for(["Fitting 0/2: compiling kernels"])
        progress.compiling("", -1, is_kept=False)
    assert screen.said.count("Compiling kernels, once on this machine") == 1


def test_others_may_write_while_bars_are_aside(screen):
    with progress.showing(True), progress.stage("Fitting"):
        screen.wait_for(["Fitting"])
        with progress.aside():
            assert screen.clears == 1
            before = len(screen.pictures)
            threading.Event().wait(0.05)  # many pictures would come in this time
            assert len(screen.pictures) == before
        screen.wait_for(["Fitting"])


def test_work_goes_on_when_its_progress_cannot_be_shown(screen):
    def fail(lines):
        raise OSError("no terminal any more")

    screen.show = fail
    with progress.showing(True) as shown, progress.steps("Fitting", 2) as fitting:
        while shown._screen is not None:
            threading.Event().wait(0.001)
        fitting.step()
    assert not names_of_threads()


# ---- which screen ----------------------------------------------------------------------------------------


class Stderr:
    def __init__(self, *, is_terminal, closed=False):
        self.is_terminal, self.closed, self.written = is_terminal, closed, []
        self.encoding = "utf-8"

    def isatty(self):
        return self.is_terminal

    def write(self, text):
        self.written.append(text)

    def flush(self):
        pass


@pytest.mark.parametrize(
    ("how", "is_terminal", "term", "found"),
    [
        ("auto", True, "xterm", screens.Bars),
        (True, True, "xterm", screens.Bars),
        (False, True, "xterm", type(None)),
        ("auto", False, "xterm", type(None)),
        (True, False, "xterm", screens.PlainLines),
        ("auto", True, "dumb", screens.PlainLines),
    ],
)
def test_bars_in_a_terminal_lines_where_asked_and_else_nothing(monkeypatch, how, is_terminal, term, found):
    pytest.importorskip("tqdm")
    monkeypatch.setattr("sys.stderr", Stderr(is_terminal=is_terminal))
    monkeypatch.setenv("TERM", term)
    assert type(screens.screen_for(how)) is found


@pytest.mark.parametrize(("columns", "found"), [(0, screens.PlainLines), (80, screens.Bars)])
def test_lines_in_a_terminal_without_a_width(monkeypatch, columns, found):
    """As the program ``script`` makes one where it has none itself."""
    pytest.importorskip("tqdm")
    pty, fcntl, termios = (pytest.importorskip(name) for name in ("pty", "fcntl", "termios"))
    monkeypatch.setenv("TERM", "xterm")
    master, slave = pty.openpty()
    with open(master, "rb"), open(slave, "w") as terminal:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        monkeypatch.setattr("sys.stderr", terminal)
        assert type(screens.screen_for("auto")) is found


@pytest.mark.parametrize("how", ["auto", True])
def test_lines_in_a_terminal_without_tqdm(monkeypatch, how):
    monkeypatch.setattr("sys.stderr", Stderr(is_terminal=True))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert type(screens.screen_for(how)) is screens.PlainLines


@pytest.mark.parametrize("stderr", [None, Stderr(is_terminal=True, closed=True)], ids=["none", "closed"])
def test_nothing_where_there_is_no_standard_error(monkeypatch, stderr):
    monkeypatch.setattr("sys.stderr", stderr)
    assert screens.screen_for("auto") is None


def test_lines_that_nobody_asked_for_are_held_back_until_work_has_taken_a_while():
    file = Stderr(is_terminal=True)
    lines = screens.PlainLines(file, at_once=False)
    lines.say("Reading", is_due=False)
    lines.say("Fitting", is_due=False)
    assert not file.written
    lines.say("Fitting 1/2", is_due=True)
    assert "".join(file.written) == "Reading\nFitting\nFitting 1/2\n"


def test_long_work_without_steps_gets_a_line_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(screens, "time", SimpleNamespace(monotonic=lambda: now[0]))
    file = Stderr(is_terminal=False)
    lines = screens.PlainLines(file, at_once=True)
    for seconds in range(0, 25):
        now[0] = float(seconds)
        lines.show([screens.Line(f"Reading {seconds}/99 parts", "0:01", "", seconds, 99)])
    assert "".join(file.written) == "Reading 10/99 parts (0:01)\nReading 20/99 parts (0:01)\n"
