"""`trainingCurve`: its lines are the history, and its mark is the model's iteration."""

import json

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from support.drawn import boxes, outside, overlapping, saved, texts_of

from daskals import ALS, ALSModel
from daskals.plots import trainingCurve

RNG = np.random.default_rng(0)
RATINGS = pd.DataFrame(
    {"user": RNG.integers(0, 30, 400), "item": RNG.integers(0, 20, 400), "rating": RNG.integers(1, 6, 400) * 1.0}
)
TRAIN, HELD_OUT = RATINGS[:320], RATINGS[320:]


@pytest.fixture(scope="module")
def explicit():
    return ALS(rank=3, maxIter=6, seed=1).fit(TRAIN, validation=HELD_OUT)


@pytest.fixture(scope="module")
def implicit():
    return ALS(rank=3, maxIter=6, seed=1, implicitPrefs=True).fit(TRAIN, validation=HELD_OUT)


def marked(axes):
    """Iterations and values in circles, over some axes."""
    marks = [line for ax in axes for line in ax.lines if line.get_gid() == "best"]
    return [(*line.get_xdata(), *line.get_ydata()) for line in marks]


def names(ax):
    legends = [each.get_legend() for each in ax.figure.axes if each.get_legend()]
    return [text.get_text() for text in legends[0].get_texts()]


def test_lines_are_the_history(explicit):
    """Training and validation RMSE in the same axes, each with a point an iteration; the best by validation marked."""
    ax = trainingCurve(explicit)
    history = explicit.history
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), history[["iteration", "rmse"]])
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), history[["iteration", "validationRmse"]])
    best = int(history["validationRmse"].argmin())
    assert explicit.bestIteration == best + 1
    assert marked([ax]) == [(best + 1, history["validationRmse"][best])]
    assert names(ax) == ["training", "held out", f"best: iteration {best + 1}, {history['validationRmse'][best]:.4g}"]
    assert len(ax.figure.axes) == 1


def test_gain_has_a_scale_of_its_own(implicit):
    """The NDCG of an implicit fit is no RMSE: it is on the right, and the largest is marked there."""
    ax = trainingCurve(implicit)
    left, right = ax.figure.axes
    assert left is ax
    assert ax.get_ylabel() == "RMSE of preferences"
    np.testing.assert_array_equal(right.lines[0].get_ydata(), implicit.history["validationNdcg"])
    assert marked([left]) == []
    assert marked([right])[0][1] == implicit.history["validationNdcg"].max()


def test_without_validation_the_last_is_marked():
    """Nothing says that it is the best."""
    model = ALS(rank=2, maxIter=3, seed=1).fit(TRAIN)
    ax = trainingCurve(model)
    assert marked([ax]) == [(3, model.history["rmse"][2])]
    assert names(ax)[-1].startswith("last: iteration 3")


def test_objective(explicit):
    """What the fit minimises, when asked for."""
    ax = trainingCurve(explicit, curve="objective")
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), explicit.history["objective"])
    assert ax.get_ylabel() == "objective"
    assert len(ax.figure.axes) == 2  # an RMSE is no objective


def test_one_iteration_is_in_the_middle():
    """A point at 1, with a tick, and nothing beside it."""
    ax = trainingCurve(ALS(rank=2, maxIter=1).fit(TRAIN))
    saved(ax)
    assert ax.get_xlim() == (0.5, 1.5)
    assert [tick for tick in ax.get_xticks() if 0.5 <= tick <= 1.5] == [1]


def test_several_models_by_name(explicit):
    """Names are shown as they are, whatever matplotlib makes of $ and of a leading underscore."""
    short = ALS(rank=1, maxIter=2).fit(TRAIN)
    ax = trainingCurve({"$rank_3$ %": explicit, "_short": short, "n" * 80: short})
    saved(ax)
    assert names(ax)[:2] == ["$rank_3$ %", "_short"]
    assert len(names(ax)[2]) <= 32
    assert not any(text.get_parse_math() for text in ax.get_legend().get_texts())
    lines = [line for line in ax.lines if line.get_gid() != "best" and line.get_linestyle() == "-"]
    assert len({line.get_color() for line in lines}) == 3
    assert [len(line.get_xdata()) for line in lines] == [6, 2, 2]


def test_many_models_have_a_legend_that_ends():
    """Twelve lines of it, the last of which says how many more there are."""
    model = ALS(rank=1, maxIter=2).fit(TRAIN)
    ax = trainingCurve({f"model {number}": model for number in range(40)})
    assert names(ax)[11:] == ["and 29 more", "factors of the model"]


def with_history(model, **columns):
    """A copy of a model with a history of our own."""
    other = model.copy()
    n = len(next(iter(columns.values())))
    other._history = pd.DataFrame({"iteration": range(1, n + 1), "objective": 1.0, **columns, "seconds": 0.1})
    return other


def test_a_first_iteration_that_is_far_off_does_not_flatten_the_others(explicit):
    """The scale is of the others, and says so; where the first is near, all are seen."""
    far = trainingCurve(with_history(explicit, rmse=[9.0, 1.0, 0.9, 0.85, 0.84]))
    low, high = far.get_ylim()
    assert 0.5 < low < 0.84
    assert 1.0 < high < 1.5
    assert far.get_xlabel() == "iteration (the first is off the scale)"
    near = trainingCurve(with_history(explicit, rmse=[1.2, 1.0, 0.9, 0.85, 0.84]))
    assert near.get_ylim()[1] > 1.2
    assert near.get_xlabel() == "iteration"


def test_values_that_are_no_numbers_are_gaps(explicit):
    """A fit that went astray is drawn as far as it went."""
    ax = trainingCurve(with_history(explicit, rmse=[1.0, np.inf, np.nan, 0.9]))
    saved(ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1.0, np.nan, np.nan, 0.9])


@pytest.mark.parametrize("size", [(4, 3), (12, 4)])
def test_no_text_lies_over_another(implicit, size):
    """Legend, labels and ticks."""
    import matplotlib.pyplot as plt

    plt.rcParams["figure.figsize"] = size
    ax = trainingCurve(implicit)
    saved(ax)
    found = boxes(texts_of(ax.figure))
    assert len(found) > 10
    assert not overlapping(found)
    assert not outside(found, ax.figure.bbox)


def test_a_model_of_spark_has_no_history(explicit, tmp_path):
    """Its files do not hold one, and the error says so."""
    path = tmp_path / "model"
    explicit.save(str(path))
    (file,) = (path / "metadata").glob("part-*")
    fields = json.loads(file.read_text())
    del fields["daskals"]
    file.write_text(json.dumps(fields))
    for crc in (path / "metadata").glob(".*.crc"):
        crc.unlink()
    loaded = ALSModel.load(str(path))
    with pytest.raises(ValueError, match="has no history to draw: it was loaded from files of Spark"):
        trainingCurve(loaded)
    with pytest.raises(ValueError, match=r"The model 'theirs' has no history .* or fitted with maxIter=0"):
        trainingCurve({"ours": explicit, "theirs": loaded})


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        (lambda e, i: {}, ValueError, "There are no models to draw"),
        (lambda e, i: {"e": e, "i": i}, ValueError, "of the model 'e'.*of 'i', which is implicit"),
        (lambda e, i: ALS(), TypeError, r"model must be a fitted ALSModel.*call ALS\(...\).fit"),
        (lambda e, i: {"x": 3}, TypeError, r"model\['x'\] must be a fitted ALSModel, got an object of type int"),
        (lambda e, i: e.toLocal(), TypeError, "got an object of type LocalModel"),
    ],
)
def test_what_cannot_be_drawn(explicit, implicit, what, error, message):
    """It is said what was wrong, and what to pass."""
    with pytest.raises(error, match=message):
        trainingCurve(what(explicit, implicit))


def test_unknown_curve(explicit):
    with pytest.raises(ValueError, match="curve='loss' is not allowed"):
        trainingCurve(explicit, curve="loss")
