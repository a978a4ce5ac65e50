"""What holds of each picture: it leaves alone what is not its own."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from support.drawn import STYLES, boxes, outside, overlapping, saved, texts_of

from daskals import ALS
from daskals.evaluation import RegressionEvaluator
from daskals.plots import (
    coverageByPopularity,
    itemMap,
    residualsByPopularity,
    trainingCurve,
    tuningGrid,
    userRecommendations,
)
from daskals.tuning import TrainValidationSplitModel

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"user": RNG.integers(0, 30, 400), "item": RNG.integers(0, 20, 400)})
FRAME["rating"] = RNG.integers(1, 6, 400) * 1.0
ONE = pd.DataFrame({"user": [1], "item": [7], "rating": [4.0]})
PICTURES = {
    "trainingCurve": lambda model, frame, tuned, **more: trainingCurve(model, **more),
    "tuningGrid": lambda model, frame, tuned, **more: tuningGrid(tuned, **more),
    "itemMap": lambda model, frame, tuned, **more: itemMap(model, **more),
    "userRecommendations": lambda model, frame, tuned, **more: userRecommendations(model, 1, frame, **more),
    "residualsByPopularity": lambda model, frame, tuned, **more: residualsByPopularity(model, frame, **more),
    "coverageByPopularity": lambda model, frame, tuned, **more: coverageByPopularity(model, frame, 2, **more),
}
each_picture = pytest.mark.parametrize("name", PICTURES)


@pytest.fixture(scope="module")
def given():
    als = ALS(rank=3, maxIter=3, seed=1)
    model = als.fit(FRAME)
    maps = [{als.rank: rank, als.regParam: reg} for rank in (1, 2) for reg in (0.1, 1.0)]
    tuned = TrainValidationSplitModel(model, [0.4, 0.3, 0.2, 0.1])
    tuned._set(estimator=als, estimatorParamMaps=maps, evaluator=RegressionEvaluator(labelCol="rating"))
    return {"model": model, "frame": FRAME, "tuned": tuned}


@each_picture
def test_in_light_and_dark_and_small(given, name):
    """No warning, nothing cut off, no text over another, and none in the colour of what is behind it."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import to_rgb

    for style in STYLES:
        with plt.style.context(style):
            plt.rcParams["figure.figsize"] = (4, 3)
            ax = PICTURES[name](**given)
            saved(ax)
        found = texts_of(ax.figure)
        assert not overlapping(boxes(found))
        assert not outside(boxes(found), ax.figure.bbox)
        behind = to_rgb(ax.figure.get_facecolor())
        assert not [text for text in found if name != "tuningGrid" and to_rgb(text.get_color()) == behind]
        assert plt.get_fignums() == [ax.figure.number]
        plt.close(ax.figure)


@each_picture
def test_into_given_axes(given, name):
    """They are returned; pyplot gets no figure, the layout stays, and others stay where they are."""
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3))
    mine, other = figure.subplots(1, 2)
    before = other.get_position().bounds
    assert PICTURES[name](**given, ax=mine) is mine
    saved(mine)
    assert other.get_position().bounds == before
    assert not other.has_data()
    assert figure.get_layout_engine() is None
    assert plt.get_fignums() == []


@each_picture
def test_of_one_rating(given, name):
    """One user, one item, one iteration; where there is nothing to draw, an error and no figure."""
    import matplotlib.pyplot as plt

    tiny = {**given, "model": ALS(rank=2, maxIter=1).fit(ONE), "frame": ONE}
    if name == "coverageByPopularity":
        with pytest.raises(ValueError, match="Nothing is recommended"):
            PICTURES[name](**tiny)
        assert plt.get_fignums() == []
    else:
        saved(PICTURES[name](**tiny))


@each_picture
def test_wrong_axes_leave_no_figure(given, name):
    import matplotlib.pyplot as plt

    with pytest.raises(TypeError, match="ax must be a matplotlib Axes or None, got 'here'"):
        PICTURES[name](**given, ax="here")
    with pytest.raises(TypeError, match="got an object of type int"):
        PICTURES[name](model=3, frame=FRAME, tuned=3)
    assert plt.get_fignums() == []


def test_without_matplotlib():
    """The package can be imported, and a call says what to install."""
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import daskals.plots as plots\n"
        "for name in plots.__all__:\n"
        "    try: getattr(plots, name)(None, None, None)if name == 'userRecommendations' else "
        "getattr(plots, name)(None, None) if 'Popularity' in name else getattr(plots, name)(None)\n"
        "    except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    wanted = "needs matplotlib: pip install 'daskals[viz]'"
    assert sorted(lines) == sorted(f"daskals.plots.{name} {wanted}" for name in PICTURES)


def test_matplotlib_is_imported_when_it_is_needed():
    code = "import daskals.plots, sys; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
