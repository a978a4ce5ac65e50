"""What is said of work, with a clock that stands where the test puts it."""

from types import SimpleNamespace

import pytest

from daskals.progress import lines
from daskals.progress.lines import Work, clock, duration


@pytest.fixture
def at(monkeypatch):
    """Sets the clock to so many seconds."""

    def set_to(seconds):
        monkeypatch.setattr(lines, "time", SimpleNamespace(monotonic=lambda: 1000.0 + seconds))

    set_to(0)
    return set_to


def steps_at(at, work, *times, note="RMSE 0.9"):
    for seconds in times:
        at(seconds)
        work.step(note)


def test_a_stage_shows_its_name_and_how_long_it_has_taken(at):
    stage = Work("Reading the ratings")
    at(65)
    line = stage.line("")
    assert line.text == "Reading the ratings (1:05)"
    assert (line.done, line.total) == (0, None)


def test_steps_show_how_many_are_done_what_is_known_of_the_last_and_the_time_left(at):
    fitting = Work("Fitting", total=10)
    steps_at(at, fitting, 2, 4, 6)
    assert fitting.line("").text == "Fitting 3/10: RMSE 0.9 (0:06, 0:14 left)"
    assert fitting.line("").tail == "0:06, 0:14 left, RMSE 0.9"
    at(7)  # half of a step more
    assert fitting.line("").times == "0:07, 0:13 left"


def test_no_time_is_left_to_tell_before_the_first_step_and_after_the_last(at):
    fitting = Work("Fitting", total=2)
    at(9)
    assert fitting.line("").text == "Fitting 0/2 (0:09)"
    steps_at(at, fitting, 10, 11)
    assert fitting.line("").text == "Fitting 2/2: RMSE 0.9 (0:11)"


def test_steps_that_were_done_before_it_began_say_nothing_of_the_time_left(at):
    """As those of the fit from whose checkpoint it goes on."""
    fitting = Work("Fitting", total=10, done=6)
    assert fitting.line("").text == "Fitting 6/10 (0:00)"
    steps_at(at, fitting, 3)
    assert fitting.line("").times == "0:03, 0:09 left"


def test_time_left_follows_the_last_steps(at):
    """Ten slow ones, then five fast ones: the rest will be fast."""
    fitting = Work("Fitting", total=20)
    steps_at(at, fitting, *range(100, 1001, 100), *range(1001, 1006))
    assert fitting.seconds_left() == pytest.approx(5.0)


def test_seconds_of_compiling_say_nothing_of_the_time_left(at):
    tuning = Work("Tuning", total=2, is_outer=True)
    fitting = Work("Fitting", total=3)
    tuning.parts.append(fitting)
    tuning.forget_seconds(30)
    steps_at(at, fitting, 31)
    assert fitting.seconds_left() == pytest.approx(2.0)


def test_what_is_done_inside_stands_behind_the_name(at):
    fitting = Work("Fitting", total=10)
    steps_at(at, fitting, 1)
    fitting.parts.append(Work("Writing a checkpoint"))
    assert fitting.line("").lead == "Fitting 1/10: writing a checkpoint"
    assert fitting.line("compiling kernels").lead == "Fitting 1/10: compiling kernels"


def test_tasks_that_are_counted_inside_are_shown_where_nothing_else_is_counted(at):
    saving, writing = Work("Saving"), Work("Writing the factors of users", unit="files")
    saving.parts.append(writing)
    at(6)
    writing.done, writing.total = 3, 12
    line = saving.line("")
    assert line == ("Saving: writing the factors of users 3/12 files", "0:06, 0:18 left", "", 3, 12)


def test_what_has_lines_of_its_own_inside_is_not_repeated(at):
    tuning = Work("Tuning", total=4, is_outer=True)
    tuning.parts.append(Work("Fitting", total=10))
    assert tuning.line("").lead == "Tuning 0/4"


def test_times_in_words():
    assert [clock(s) for s in (0, 59.6, 3599, 3600, 90061)] == ["0:00", "1:00", "59:59", "1:00:00", "25:01:01"]
    assert [duration(s) for s in (0.004, 9.994, 12.34, 61)] == ["0.00 s", "9.99 s", "12.3 s", "1:01"]
