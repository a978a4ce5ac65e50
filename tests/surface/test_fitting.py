"""Fits beside their numbers: several that share ratings, the history, and warnings of numbers that are too large."""

import logging
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import dask
import numpy as np
import pandas as pd
import pytest

from daskals import ALS, ALSModel
from daskals.engine.factors import FactorMatrix
from daskals.engine.loop import Iteration
from daskals.execution.scheduler import current_scheduler
from daskals.execution.tasks import identity, task
from daskals.io.model_files import Factors
from daskals.recommendation import cautions, fitting
from daskals.recommendation.fit_iterator import FitIterator
from daskals.recommendation.history import History

# ---- several fits, and the ratings that they share -------------------------------------------------------


class Ratings:
    """What is prepared; weak references to it tell whether it was let go."""


class Fits(FitIterator):
    """Fits of estimators that are words, whose first letter says which ratings they need."""

    def __init__(self, *words, fit=lambda word, ratings: word, prepare=lambda word: Ratings()):
        self.made = []

        def noted(word):
            ratings = prepare(word)
            self.made.append((word[0], weakref.ref(ratings)))
            return ratings

        super().__init__(words, key=lambda word: word[0], prepare=noted, fit=fit)

    @property
    def alive(self):
        """Which ratings are still held."""
        return [letter for letter, ratings in self.made if ratings() is not None]


def test_a_thread_that_comes_too_late_clears_nothing():
    """Four threads for three fits: the ratings that three wait for are not let go when the fourth finds no fit."""
    too_late = threading.Event()

    def prepare(word):
        assert too_late.wait(20)
        return Ratings()

    fits = Fits("a1", "b1", "a2", prepare=prepare)

    def take():
        taken = list(fits)
        too_late.set()  # by the fourth, first: the others are in, or before, prepare
        return taken

    with ThreadPoolExecutor(4) as pool:
        found = [each.result() for each in [pool.submit(take) for _ in range(4)]]
    assert sorted(pair for taken in found for pair in taken) == [(0, "a1"), (1, "b1"), (2, "a2")]
    assert sorted(letter for letter, _ in fits.made) == ["a", "b"]
    assert fits.alive == []


def test_ratings_are_let_go_when_the_last_fit_that_needs_them_is_done():
    """And not before."""
    fits = Fits("a1", "b1", "a2", "c1")
    alive = []
    for _ in fits:
        alive.append("".join(fits.alive))
    assert alive == ["a", "a", "", ""]
    assert [letter for letter, _ in fits.made] == ["a", "b", "c"]


def test_ratings_are_let_go_when_a_fit_fails():
    """The iterator goes on with the next one."""

    def fit(word, ratings):
        if word == "a2":
            raise ValueError("singular")
        return word

    fits = Fits("a1", "a2", "b1", fit=fit)
    assert next(fits) == (0, "a1")
    assert fits.alive == ["a"]
    with pytest.raises(ValueError, match="singular") as caught:
        next(fits)
    del caught  # its traceback holds the ratings
    assert fits.alive == []
    assert list(fits) == [(2, "b1")]


def test_ratings_that_cannot_be_prepared_are_tried_again_for_the_next_fit():
    """An error, of a cluster for instance, may be gone by then."""
    errors = [OSError("away")]

    def prepare(word):
        if errors:
            raise errors.pop()
        return Ratings()

    fits = Fits("a1", "a2", prepare=prepare)
    with pytest.raises(OSError, match="away"):
        next(fits)
    assert next(fits) == (1, "a2")
    assert fits.alive == []


def test_fits_from_four_threads_shuffle_once_for_all_maps_of_one_key(ratings, monkeypatch):
    """Maps of user columns A, B, A: two shuffles, and models as from one thread."""
    shuffles, shuffle = [], fitting.shuffle
    monkeypatch.setattr(fitting, "shuffle", lambda *args: shuffles.append(1) or shuffle(*args))
    als = ALS(rank=2, maxIter=1)
    frame = ratings.assign(other=ratings["item"])
    maps = [{als.userCol: "user"}, {als.userCol: "other"}, {als.userCol: "user", als.rank: 1}]
    with dask.config.set(scheduler="synchronous"):
        expected = {place: model.userFactors for place, model in als.fitMultiple(frame, maps)}
        assert len(shuffles) == 2
        for _ in range(5):
            shuffles.clear()
            fits = als.fitMultiple(frame, maps)
            with ThreadPoolExecutor(4) as pool:
                taken = [pool.submit(list, fits) for _ in range(4)]
                found = dict(pair for each in taken for pair in each.result())
            assert len(shuffles) == 2
            assert found.keys() == expected.keys()
            for place, model in found.items():
                pd.testing.assert_frame_equal(model.userFactors, expected[place])
            assert not fits._prepared


# ---- history ---------------------------------------------------------------------------------------------

EXPLICIT, IMPLICIT = (["iteration", "objective", name, "seconds"] for name in ("rmse", "preferenceRmse"))


@pytest.mark.parametrize("iterations", [0, 2])
@pytest.mark.parametrize(("implicit", "columns"), [(False, EXPLICIT), (True, IMPLICIT)])
def test_the_error_of_preferences_has_a_name_of_its_own(ratings, tmp_path, iterations, implicit, columns):
    """It is no error of ratings; files and resumed fits keep the name."""
    als = ALS(rank=2, maxIter=iterations, implicitPrefs=implicit, checkpointDir=str(tmp_path / "c"))
    als.setCheckpointInterval(1)
    model = als.fit(ratings)
    model.save(tmp_path / "model")
    resumed = als.fit(ratings, {als.maxIter: iterations + 1}, resume=True)
    for each in (model, ALSModel.load(tmp_path / "model"), resumed):
        assert each.history.columns.tolist() == columns
    assert (len(model.history), len(resumed.history)) == (iterations, iterations + 1)


@pytest.mark.parametrize(("implicit", "words"), [(False, "training RMSE"), (True, "RMSE of preferences")])
def test_the_log_says_which_error_it_is(ratings, caplog, implicit, words):
    """A line for each iteration."""
    with caplog.at_level(logging.INFO, "daskals"):
        model = ALS(rank=2, maxIter=2, implicitPrefs=implicit).fit(ratings)
    lines = [each for each in caplog.messages if each.startswith("iteration ")]
    assert len(lines) == 2
    assert f"{words} {model.history.iloc[1, 2]:.6g}," in lines[1]


# ---- numbers that are too large --------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["cg", "subspace"])
def test_a_history_that_is_not_finite_is_warned_of_once(ratings, solver):
    """At the caller's line, with what to do; the model is there."""
    with pytest.warns(UserWarning, match=r"of iteration 1 is not a finite number.*divide the ratings") as caught:
        model = ALS(rank=3, maxIter=4, solver=solver).fit(ratings.assign(rating=ratings.rating * 6e37))
    assert [each.filename for each in caught] == [__file__]
    assert not np.isfinite(model.history.objective).any()


def test_infinite_predictions_are_warned_of(ratings):
    """Ratings near the largest number of single precision: the fit ends, predictions of other pairs are infinite."""
    large = ratings.assign(rating=ratings.rating * 6.7e37)
    with pytest.warns(UserWarning, match="predictions can be infinite") as caught:
        model = ALS(rank=1, maxIter=5, precision="double").fit(large)
    assert len(caught) == 1
    assert np.isinf(model.transform(pd.DataFrame({"user": [2], "item": [0]})).prediction).all()


def made(users, items):
    """Factors of these rows, each in a block of its own."""
    sides = []
    for name, rows in (("users", users), ("items", items)):
        blocks = tuple(
            task(identity, np.array([row], np.float32), name=f"made-{name}-{n}-{row}") for n, row in enumerate(rows)
        )
        bounds = np.arange(len(rows) + 1)
        sides.append(FactorMatrix(task(identity, bounds[:-1], name=f"ids-{name}"), bounds, blocks, len(rows[0]), name))
    return Factors(*sides, user_ids=None, item_ids=None)


def after(objective):
    """The history of a fit of one iteration."""
    history = History(implicit=False)
    history.append(Iteration(1, objective, 1.0, 0.1))
    return history


@pytest.mark.parametrize(
    ("objective", "reg", "users", "items", "warns"),
    [
        (1e39, 0.0, [[3e19, 0]], [[0, 1], [2e19, 0]], True),
        (1e39, 0.0, [[3e19, 0]], [[1, 0], [1e19, 0]], False),
        (1e39, 0.1, [[3e38, 0], [1, 0]], [[2, 0]], True),
        (1e38, 1.0, [[3e38, 0], [1, 0]], [[2, 0]], False),  # this cannot be: the penalty alone is larger than that
    ],
)
def test_factors_are_looked_at_where_the_objective_does_not_bound_them(objective, reg, users, items, warns):
    """The longest row of either side decides."""
    factors, scheduler = made(users, items), current_scheduler()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cautions.warn_of_overflow(scheduler, factors, after(objective), reg)
    assert [str(each.message).partition(":")[0] for each in caught] == warns * [
        "The factors are so large that predictions can be infinite"
    ]


def test_where_warnings_are_errors_the_model_is_not_lost(ratings, caplog):
    """The warning is logged instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ALS(rank=3, maxIter=2, solver="cg").fit(ratings.assign(rating=ratings.rating * 6e37))
    assert len(model.history) == 2
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "of iteration 1 is not a finite number" in record.message


def test_ordinary_fits_are_not_warned_of(ratings):
    """Nor those without an iteration or without regularisation."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for values in ({}, {"maxIter": 0}, {"regParam": 0.0, "rank": 1}, {"implicitPrefs": True}):
            ALS(**{"rank": 2, "maxIter": 3, **values}).fit(ratings)


def test_a_warning_of_a_list_of_maps_comes_once(ratings):
    """What has no effect is said once, however many maps there are."""
    als = ALS(rank=1, maxIter=0, finalStorageLevel="NONE")
    with pytest.warns(UserWarning, match="finalStorageLevel='.*' has no effect") as caught:
        als.fit(ratings, [{als.rank: 1}, {als.rank: 2}, {als.finalStorageLevel: "DISK_ONLY"}])
    assert [each.filename for each in caught] == [__file__] * 2


# ---- the wrong loader ------------------------------------------------------------------------------------


def test_the_class_that_loads_is_named(ratings, tmp_path):
    """A model is not an estimator, and the reverse."""
    als = ALS(rank=1, maxIter=0)
    als.save(tmp_path / "als")
    als.fit(ratings).save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"Load it with daskals\.recommendation\.ALSModel\.load"):
        ALS.load(tmp_path / "model")
    with pytest.raises(ValueError, match=r"Load it with daskals\.recommendation\.ALS\.load"):
        ALSModel.load(tmp_path / "als")


def test_a_saved_value_out_of_range_is_found_when_a_model_is_loaded(ratings, tmp_path):
    """With the path: a cold start strategy that is none would show only in the next transform."""
    ALS(rank=1, maxIter=0, coldStartStrategy="drop").fit(ratings).save(tmp_path / "model")
    (file,) = (tmp_path / "model" / "metadata").glob("part-*")
    file.write_text(file.read_text().replace('"coldStartStrategy":"drop"', '"coldStartStrategy":"fill"'))
    with pytest.raises(ValueError, match=r"metadata of .*model.*\n.*coldStartStrategy='fill' is not allowed"):
        ALSModel.load(tmp_path / "model")
