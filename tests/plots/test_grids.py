"""`tuningGrid`: each cell has its metric, and the marked one is the best."""

import itertools

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from support.drawn import STYLES, boxes, contrast, outside, overlapping, saved, texts_of

from daskals import ALS
from daskals.evaluation import RankingEvaluator, RegressionEvaluator
from daskals.plots import tuningGrid
from daskals.tuning import CrossValidatorModel, TrainValidationSplit, TrainValidationSplitModel

als = ALS()
RMSE = RegressionEvaluator(labelCol="rating")
RANKS, REGS = [4, 8, 16], [0.01, 0.1]


@pytest.fixture(scope="module")
def best_model():
    return ALS(rank=1, maxIter=1).fit(pd.DataFrame({"user": [0, 1], "item": [0, 1], "rating": [1.0, 2.0]}))


def run(model, maps, metrics, evaluator=RMSE, spread=None):
    """A tuning run that found these metrics."""
    if spread is None:
        tuned = TrainValidationSplitModel(model, metrics)
    else:
        tuned = CrossValidatorModel(model, metrics, None, spread)
    return tuned._set(estimator=als, estimatorParamMaps=maps, evaluator=evaluator)


def product(**values):
    """All combinations."""
    return [
        dict(zip([als.getParam(name) for name in values], each, strict=True))
        for each in itertools.product(*values.values())
    ]


def cells(ax):
    """What is written where, by the labels of the ticks."""
    across, up = ([label.get_text() for label in labels] for labels in (ax.get_xticklabels(), ax.get_yticklabels()))
    places = {text.get_position(): text.get_text() for text in ax.texts}
    return {(across[round(x)], up[round(y)]): text for (x, y), text in places.items()}


def framed(ax):
    """The cell in the frame, by the labels of the ticks."""
    (frame,) = [patch for patch in ax.patches if patch.get_gid() == "best"]
    x, y = frame.get_center()
    return ax.get_xticklabels()[round(x)].get_text(), ax.get_yticklabels()[round(y)].get_text()


def test_each_cell_has_its_metric(best_model):
    """The first parameter of the grid goes across, the second up; the smallest RMSE is framed and bold."""
    metrics = [0.95, 0.94, 0.93, 0.9, 0.91, 0.92]
    ax = tuningGrid(run(best_model, product(rank=RANKS, regParam=REGS), metrics))
    expected = {
        (str(r), f"{g:g}"): f"{m:.4f}" for (r, g), m in zip(itertools.product(RANKS, REGS), metrics, strict=True)
    }
    assert cells(ax) == expected
    assert framed(ax) == ("8", "0.1")
    assert [text.get_text() for text in ax.texts if text.get_fontweight() == "bold"] == ["0.9000"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("rank", "regParam", "best rmse: 0.9000")


def test_the_largest_is_the_best_where_larger_is_better(best_model):
    """By the evaluator; colours turn round, so that bright is good."""
    metrics = [0.1, 0.2, 0.3, 0.25]
    maps = product(rank=[4, 8], regParam=REGS)
    gain = tuningGrid(run(best_model, maps, metrics, RankingEvaluator(metricName="ndcgAtK", k=5)))
    assert framed(gain) == ("8", "0.01")
    assert gain.get_title() == "best ndcgAtK at 5: 0.300"
    loss = tuningGrid(run(best_model, maps, metrics))
    assert framed(loss) == ("4", "0.01")
    for ax, best in ((gain, 0.3), (loss, 0.1)):
        image = ax.collections[0]
        brightness = [sum(image.cmap(image.norm(value))[:3]) for value in (best, 0.2)]
        assert brightness[0] > brightness[1]


def test_more_parameters_are_held_at_the_best(best_model):
    """The plane goes through the best map, and the title says at which values."""
    maps = product(rank=[4, 8], regParam=REGS, alpha=[1.0, 40.0])
    metrics = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
    ax = tuningGrid(run(best_model, maps, metrics))
    assert cells(ax) == {("4", "0.01"): "0.800", ("4", "0.1"): "0.600", ("8", "0.01"): "0.400", ("8", "0.1"): "0.200"}
    assert ax.get_title() == "best rmse: 0.200\nheld at the best: alpha = 40"
    other = tuningGrid(run(best_model, maps, metrics), als.alpha, "rank")
    assert cells(other) == {("1", "4"): "0.700", ("40", "4"): "0.600", ("1", "8"): "0.300", ("40", "8"): "0.200"}
    line = tuningGrid(run(best_model, maps, metrics), "alpha")
    np.testing.assert_array_equal(line.lines[0].get_ydata(), [0.3, 0.2])
    assert line.get_title().endswith("held at the best: rank = 8, regParam = 0.1")
    only_y = tuningGrid(run(best_model, maps, metrics), y="alpha")
    assert (only_y.get_xlabel(), only_y.get_ylabel()) == ("rank", "alpha")


def test_one_parameter_is_a_line(best_model):
    """Values ascending, with bars of a standard deviation; a circle around the best."""
    ax = tuningGrid(run(best_model, product(regParam=[1.0, 0.01, 0.1]), [1.2, 1.0, 0.9], spread=[0.1, 0.2, 0.05]))
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1.0, 0.9, 1.2])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.01", "0.1", "1"]
    (bars,) = [each for each in ax.collections if hasattr(each, "get_segments")]
    np.testing.assert_allclose([s[1][1] - s[0][1] for s in bars.get_segments()], [0.4, 0.1, 0.2])
    (mark,) = [line for line in ax.lines if line.get_gid() == "best"]
    assert (*mark.get_xdata(), *mark.get_ydata()) == (1, 0.9)
    assert ax.get_ylabel() == "rmse"


def test_one_map_is_a_point(best_model):
    ax = tuningGrid(run(best_model, product(regParam=[0.1]), [0.9]))
    saved(ax)
    assert (ax.get_xlabel(), ax.get_xlim()) == ("regParam", (-0.5, 0.5))


def test_maps_that_are_missing_and_metrics_that_are_none(best_model):
    """A combination that was not tried is empty, a metric that is NaN is written; a default counts as a value."""
    maps = [{als.rank: 4, als.regParam: 0.01}, {als.rank: 8, als.regParam: 0.01}, {als.rank: 8}]
    ax = tuningGrid(run(best_model, maps, [0.9, np.nan, 0.8]))
    saved(ax)
    assert cells(ax) == {("4", "0.01"): "0.900", ("8", "0.01"): "nan", ("8", "0.1"): "0.800"}
    assert framed(ax) == ("8", "0.1")


def test_values_that_are_words(best_model):
    """In the order of the grid, and as they are."""
    maps = [{"solver": "cholesky", "rank": 2}, {"solver": "cg", "rank": 2}, {"solver": "cg", "rank": 3}]
    ax = tuningGrid(run(best_model, maps, [0.9, 0.8, 0.7]))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cholesky", "cg"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("metrics", [np.linspace(0.9, 1.1, 25), np.full(25, 0.5), np.geomspace(1, 1e7, 25)])
def test_numbers_can_be_read(best_model, style, metrics):
    """They stand out from their cells by a contrast of 4.5 (WCAG AA), and lie in them."""
    import matplotlib.pyplot as plt

    with plt.style.context(style):
        plt.rcParams["figure.figsize"] = (4, 3)
        ax = tuningGrid(run(best_model, product(rank=[1, 2, 3, 4, 5], regParam=[1, 2, 3, 4, 5]), list(metrics)))
        saved(ax)
    image = ax.collections[0]
    table = image.get_array().reshape(5, 5)
    for text in ax.texts:
        column, row = text.get_position()
        assert contrast(text.get_color(), image.cmap(image.norm(table[round(row), round(column)]))) >= 4.5
    assert not overlapping(boxes(ax.texts))
    assert not outside(boxes(ax.texts), ax.get_window_extent())


def test_a_large_grid_in_a_small_place(best_model):
    """Numbers that would be too small are left out; labels turn, rather than lie over each other."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(1, 2, figsize=(5, 2), layout="constrained")
    maps = product(rank=list(range(100, 116)), regParam=[0.001 * n for n in range(1, 17)])
    ax = tuningGrid(run(best_model, maps, list(np.linspace(1, 2, 256))), ax=axes[0])
    saved(ax)
    assert not any(text.get_visible() for text in ax.texts)
    alone = tuningGrid(run(best_model, maps, list(np.linspace(1, 2, 256))))
    saved(alone)
    assert alone.figure.get_figwidth() > 13
    assert all(text.get_visible() for text in alone.texts)
    assert not overlapping(boxes(texts_of(alone.figure)))


def test_of_a_real_run():
    """The metrics are those of the model that fit returns."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": rng.integers(0, 20, 300), "item": rng.integers(0, 15, 300)})
    frame["rating"] = rng.integers(1, 6, 300) * 1.0
    one = ALS(maxIter=2, coldStartStrategy="drop")
    maps = [{one.rank: rank, one.regParam: reg} for rank in (1, 2) for reg in (0.1, 1.0)]
    tuned = TrainValidationSplit(estimator=one, estimatorParamMaps=maps, evaluator=RMSE).fit(frame)
    ax = tuningGrid(tuned)
    table = ax.collections[0].get_array().reshape(2, 2)
    np.testing.assert_allclose(table.T.ravel(), tuned.validationMetrics)
    best = tuned.bestParams
    assert framed(ax) == (str(best["rank"]), f"{best['regParam']:g}")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x": "rang"}, ValueError, "x='rang' is not in the grid, whose parameters are rank, regParam"),
        ({"x": "rank", "y": als.rank}, ValueError, "x and y are both 'rank'"),
        ({"x": 3}, TypeError, "x must be a parameter, such as als.rank, or its name, got 3"),
        ({"ax": np.empty((2, 2), object)}, TypeError, r"an array of them of shape \(2, 2\): pass one, such as ax.flat"),
        ({"ax": 3}, TypeError, "ax must be a matplotlib Axes or None, got 3"),
    ],
)
def test_wrong_arguments(best_model, arguments, error, message):
    with pytest.raises(error, match=message):
        tuningGrid(run(best_model, product(rank=RANKS, regParam=REGS), [1.0] * 6), **arguments)


def test_what_is_no_run(best_model):
    """A model, a grid of nothing, a run without metrics."""
    with pytest.raises(TypeError, match=r"tuned must be a CrossValidatorModel or .* got an object of type ALSModel"):
        tuningGrid(best_model)
    with pytest.raises(ValueError, match="The grid has one map without parameters"):
        tuningGrid(run(best_model, [{}], [1.0]))
    with pytest.raises(ValueError, match="0 metrics for 3 maps"):
        tuningGrid(run(best_model, product(rank=RANKS), []))
    with pytest.raises(ValueError, match="y='rank' alone: no other parameter of the grid varies"):
        tuningGrid(run(best_model, product(rank=RANKS), [1.0, 2.0, 3.0]), y="rank")
