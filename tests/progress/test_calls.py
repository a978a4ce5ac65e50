"""Progress of the public calls: what a person reads in files and terminals, and what it does not change."""

import sys
import textwrap
import threading

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.callbacks import Callback
from support.at_once import at_once
from support.terminal import run_in_terminal, screens

from daskals import ALS, ALSModel
from daskals.datasets import make_ratings
from daskals.evaluation import RegressionEvaluator
from daskals.execution import compilations, showing
from daskals.kernels import compilations as kernel_compilations
from daskals.progress import screens as screens_of_progress
from daskals.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit


@pytest.fixture(scope="module")
def some():
    return make_ratings(n_users=60, n_items=40, n_ratings=1200, seed=1)


@pytest.fixture
def said(capsys, monkeypatch):
    """The lines on standard error of this process since the last call, without the times in them.

    No line comes because a busy machine takes long.
    """
    monkeypatch.setattr(screens_of_progress, "LINE_SECONDS", float("inf"))

    def lines():
        return [line.partition(" (")[0] for line in capsys.readouterr().err.splitlines()]

    return lines


FIT = ["Reading the ratings", "Sorting the ratings", "Preparing the fit", "Fitting: 3 iterations"]


def test_a_fit_says_what_it_does_a_line_each(scheduler, some, said):
    model = ALS(rank=2, maxIter=3).fit(some, verbose=True)
    lines = [line for line in said() if "Compiling" not in line and "compiling" not in line]
    assert lines[:4] == FIT
    assert lines[-1] == "Keeping the model"
    assert len(lines) == 8
    for number, line in enumerate(lines[4:7]):
        name, told = line.split(": ")
        assert name == f"Fitting {number + 1}/3"
        assert told.endswith(f" s, RMSE {model.history.rmse[number]:#.4g}")


def test_with_held_out_rows_it_says_their_metric(some, said):
    model = ALS(rank=2, maxIter=2).fit(some[100:], validation=some[:100], verbose=True)
    assert next(line for line in said() if "Fitting 2/2" in line).endswith(
        f"RMSE {model.history.rmse[1]:#.4g}, validation {model.history.validationRmse[1]:#.4g}"
    )
    model = ALS(rank=2, maxIter=2, implicitPrefs=True).fit(some[100:], validation=some[:100], verbose=True)
    assert next(line for line in said() if "Fitting 2/2" in line).endswith(
        f" s, validation NDCG {model.history.validationNdcg[1]:#.4g}"
    )


@pytest.mark.parametrize("verbose", [None, False])
def test_nothing_is_said_where_there_is_no_terminal(scheduler, some, said, verbose, tmp_path):
    model = ALS(rank=2, maxIter=3).fit(some, verbose=verbose)
    model.recommendForAllUsers(2, verbose=verbose)
    model.save(str(tmp_path / "model"), verbose=verbose)
    assert not said()


def test_the_configuration_says_it_where_the_call_does_not(some, said):
    with dask.config.set({"daskals.progress": True}):
        ALS(rank=2, maxIter=3).fit(some)
        assert "Fitting: 3 iterations" in said()
        ALS(rank=2, maxIter=3).fit(some, verbose=False)
        assert not said()
        model = ALS(rank=2, maxIter=3).fit(some, verbose=True)
        assert "Fitting: 3 iterations" in said()
        for _, model in ALS(rank=2, maxIter=3).fitMultiple(some, [{}]):
            model.recommendForUserSubset(some, 2)
        assert {"Fitting: 3 iterations", "Recommending"} <= set(said())
    with dask.config.set({"daskals.progress": "false"}):
        ALS(rank=2, maxIter=3).fit(some, verbose=True)
        assert said()
    with (
        dask.config.set({"daskals.progress": "often"}),
        pytest.raises(ValueError, match=r"daskals\.progress is 'often'"),
    ):
        ALS(rank=2, maxIter=3).fit(some)


@pytest.mark.parametrize("verbose", [1, "yes", 2.0])
def test_verbose_is_true_false_or_none(some, verbose):
    with pytest.raises(TypeError, match=rf"verbose must be True, False or None, got {verbose!r}"):
        ALS(rank=2).fit(some, verbose=verbose)


def test_saving_recommending_and_folding_in_say_what_they_do(scheduler, some, said, tmp_path):
    model = ALS(rank=2, maxIter=3).fit(some)
    model.save(str(tmp_path / "model"), verbose=True)
    assert said() == ["Saving"]
    model.recommendForAllUsers(3, verbose=True)
    model.recommendForAllItems(3, verbose=True)
    model.recommendForUserSubset(some, 3, verbose=True)
    model.recommendForItemSubset(some, 3, verbose=True)
    assert said() == ["Recommending"] * 4
    model.recommendForRatings(some, 3, verbose=True)
    assert said()[0] == "Folding in"
    with dask.config.set({"daskals.progress": True}):
        ALSModel.load(str(tmp_path / "model"))
    assert said() == ["Reading the factors of users", "Reading the factors of items"]


@pytest.mark.parametrize("parallelism", [1, 2])
def test_tuning_says_a_line_for_each_fit_and_not_for_each_iteration(some, said, parallelism):
    als = ALS(maxIter=3, coldStartStrategy="drop")
    grid = ParamGridBuilder().addGrid(als.rank, [1, 2]).build()
    evaluator = RegressionEvaluator(labelCol="rating")
    both = {"estimator": als, "estimatorParamMaps": grid, "evaluator": evaluator, "parallelism": parallelism}
    found = CrossValidator(**both, numFolds=2).fit(some, verbose=True)
    lines = [line for line in said() if "ompiling" not in line]
    assert lines[0] == "Tuning: 5 fits"
    assert [line.partition(":")[0] for line in lines[1:]] == [f"Tuning {n}/5" for n in range(1, 5)]
    assert len(found.avgMetrics) == 2
    TrainValidationSplit(**both).fit(some, verbose=True)
    assert said()[0] == "Tuning: 3 fits"
    CrossValidator(**both, numFolds=2).fit(some, verbose=False)
    assert not said()


def test_two_fits_in_two_threads_have_a_display_each(some, said):
    model, other = at_once(
        [lambda rank=rank: ALS(rank=rank, maxIter=3).fit(some, verbose=True) for rank in (2, 3)],
    )
    lines = said()
    for iteration in range(3):
        told = {line.rpartition(" ")[2] for line in lines if f"Fitting {iteration + 1}/3: " in line}
        assert told == {f"{each.history.rmse[iteration]:#.4g}" for each in (model, other)}
    assert not [thread for thread in threading.enumerate() if thread.name == "daskals-progress"]


def test_an_error_comes_out_and_nothing_stays(scheduler, some, said):
    def fail(iteration):
        if iteration.number == 2:
            raise RuntimeError("enough")

    before = set(Callback.active)
    with pytest.raises(RuntimeError, match="enough"):
        ALS(rank=2, maxIter=3).fit(some, callbacks=[fail], verbose=True)
    lines = said()
    assert any("Fitting 2/3" in line for line in lines)
    assert not any("Fitting 3/3" in line or "Keeping" in line for line in lines)
    assert not [thread for thread in threading.enumerate() if thread.name == "daskals-progress"]
    assert Callback.active == before


def test_it_changes_no_bit_of_a_model(scheduler, some):
    silent, told = (ALS(rank=4, maxIter=3, seed=1).fit(some, verbose=verbose) for verbose in (False, True))
    for one, other in ((silent.userFactors, told.userFactors), (silent.itemFactors, told.itemFactors)):
        assert np.array_equal(np.vstack(one.features), np.vstack(other.features))
    pd.testing.assert_frame_equal(silent.history.drop(columns="seconds"), told.history.drop(columns="seconds"))


def test_callbacks_of_dask_are_called_as_well(some):
    """Those of a profiler, say, while tasks are counted."""
    reads = []
    with Callback(pretask=lambda key, *_: reads.append(key)):
        ALS(rank=2, maxIter=1).fit(dd.from_pandas(some, npartitions=3), verbose=True)
    assert len([key for key in reads if str(key).startswith("als-read-")]) == 3


@pytest.mark.parametrize("where", ["threads", "distributed"])
def test_partitions_are_counted_while_they_are_read(request, monkeypatch, some, where):
    """By the tasks that are done: of three, two wait for the third until the count has come to two."""
    if where == "distributed":
        request.getfixturevalue("cluster")
    counts = []
    count = showing.progress.Display.count

    def spy(self, work, done, total):
        counts.append((work.label, done, total))
        count(self, work, done, total)

    monkeypatch.setattr(showing.progress.Display, "count", spy)
    frame = dd.from_pandas(some, npartitions=3)
    if where == "threads":
        ALS(rank=2, maxIter=1).fit(frame, verbose=True)
    else:
        with request.getfixturevalue("cluster").as_current():
            ALS(rank=2, maxIter=1).fit(frame, verbose=True)
    of_reading = [each[1:] for each in counts if each[0] == "Reading the ratings"]
    assert of_reading[0] == (0, 3)
    assert of_reading[-1] == (3, 3)
    assert of_reading == sorted(of_reading)


# ---- compiling -------------------------------------------------------------------------------------------


def begin_and_end_compiling():
    """What Numba does when it finds no kept code of one of our functions."""
    from numba.core import event

    import daskals.execution.scheduler  # noqa: F401  (as every task of ours does)
    from daskals.kernels.numba import solving

    function = next(each for each in vars(solving).values() if hasattr(each, "py_func"))
    with event.trigger_event("numba:compile", data={"dispatcher": function}):
        pass
    return True


def test_a_compilation_is_told_when_it_begins_and_when_it_ends(monkeypatch):
    pytest.importorskip("numba")
    told = []
    monkeypatch.setattr(kernel_compilations, "listeners", [lambda *what: told.append(what)])
    begin_and_end_compiling()
    assert [change for change, _ in told] == [1, -1]


def test_other_people_s_functions_are_no_kernels(monkeypatch):
    event = pytest.importorskip("numba.core.event")
    numba = pytest.importorskip("numba")
    __import__("daskals.kernels.numba")
    told = []
    monkeypatch.setattr(kernel_compilations, "listeners", [lambda *what: told.append(what)])
    with event.trigger_event("numba:compile", data={"dispatcher": numba.njit(lambda x: x)}):
        pass
    assert not told


def test_workers_tell_of_their_compilations_while_there_is_a_display(cluster, monkeypatch):
    pytest.importorskip("numba")
    heard, both = [], threading.Event()

    def hear(where, change, *, is_kept):
        heard.append((where, change))
        if change < 0:
            both.set()

    monkeypatch.setattr(compilations.progress, "compiling", hear)
    address = sorted(cluster.scheduler_info()["workers"])[0]
    with cluster.as_current():
        with showing.showing(True):
            assert cluster.submit(begin_and_end_compiling, workers=[address], pure=False).result()
            assert both.wait(60)
        assert heard == [(address, 1), (address, -1)]
        assert cluster.submit(begin_and_end_compiling, workers=[address], pure=False).result()
        cluster.run_on_scheduler(lambda: None)
    assert len(heard) == 2


@pytest.mark.slow
def test_a_newcomer_reads_why_the_first_fit_takes_long(tmp_path):
    """The first process compiles, and says so before the first iteration is done; the next one does not."""
    pytest.importorskip("numba")
    command = program(before="pass", verbose=True)
    for is_first in (True, False):
        code, written = run_in_terminal(command, TERM="dumb", NUMBA_CACHE_DIR=str(tmp_path))
        assert code == 0, written
        before, _, _ = written.partition("Fitting 1/4")
        assert ("Compiling kernels, once on this machine" in before) == is_first


# ---- terminals -------------------------------------------------------------------------------------------

PROGRAM = textwrap.dedent("""
    import threading, time
    from daskals import ALS
    from daskals.datasets import make_ratings
    from daskals.engine.loop import Iterations
    from daskals.progress.screens import Bars
    pictures, iterate, show = threading.Semaphore(0), Iterations.__next__, Bars.show
    def slowly(loop):
        {before}
        return iterate(loop)
    def shown(bars, lines):
        show(bars, lines)
        pictures.release()
    def wait_for_pictures():
        while pictures.acquire(blocking=False):
            pass
        assert pictures.acquire(timeout=60) and pictures.acquire(timeout=60)
    Bars.show = shown
    Iterations.__next__ = slowly
    def tell(iteration):
        if iteration.number == 3:
            {at_3}
    ratings = make_ratings(n_users=60, n_items=40, n_ratings=1200, seed=1)
    print("before")
    ALS(rank=2, maxIter=4).fit(ratings, callbacks=[tell], verbose={verbose})
    print("after")
""")


def program(*, before="wait_for_pictures()", at_3="pass", verbose=None, first=""):
    """The command of a fit that does something before each iteration, and when the third one is done."""
    return [sys.executable, "-c", first + PROGRAM.format(before=before, at_3=at_3, verbose=verbose)]


@pytest.mark.parametrize("columns", [80, pytest.param(40, marks=pytest.mark.slow)])
def test_a_bar_comes_and_goes_in_a_terminal(columns):
    """It never wraps, it grows, and in the end only what was printed is left, in lines of its own."""
    pytest.importorskip("tqdm")
    code, written = run_in_terminal(program(at_3="print('said by a callback')"), columns=columns)
    assert code == 0, written
    seen = screens(written, columns)
    bars = [line for screen in seen for line in screen if line.startswith("Fitting ")]
    assert {bar[: len("Fitting 1/4")] for bar in bars} >= {"Fitting 1/4", "Fitting 2/4", "Fitting 3/4"}
    assert any("left" in bar and "|" in bar for bar in bars)
    if columns == 80:
        assert any("RMSE" in bar and "█" in bar for bar in bars)
    assert [line for line in seen[-1] if line] == ["before", "said by a callback", "after"]


def test_an_error_takes_the_bar_away():
    pytest.importorskip("tqdm")
    code, written = run_in_terminal(program(at_3="raise SystemExit('no more')"))
    assert code == 1
    assert "Fitting 2/4" in written
    assert [line for line in screens(written)[-1] if line] == ["before", "no more"]


@pytest.mark.slow
def test_small_work_does_not_flicker():
    """What takes less than START_SECONDS, which are so many here that it does for sure, shows no bar at all."""
    first = "from daskals.progress import display\ndisplay.START_SECONDS = 1e3\n"
    code, written = run_in_terminal(program(before="pass", first=first))
    assert (code, written.split()) == (0, ["before", "after"])


@pytest.mark.parametrize(("verbose", "is_told"), [(None, True), pytest.param(False, False, marks=pytest.mark.slow)])
def test_without_tqdm_there_are_lines(verbose, is_told):
    blocked = "import sys\nsys.modules['tqdm'] = sys.modules['tqdm.auto'] = None\n"
    code, written = run_in_terminal(program(before="time.sleep(0.6)", verbose=verbose, first=blocked))
    assert code == 0, written
    written = written.replace("\r\n", "\n")
    assert "\r" not in written
    assert ("Reading the ratings" in written.splitlines()) == is_told
    assert any(line.startswith("Fitting 4/4: ") for line in written.splitlines()) == is_told
