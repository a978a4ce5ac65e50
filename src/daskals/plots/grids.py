"""The metric of each map of a tuning run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from daskals.params.param import Param
from daskals.plots.drawing import (
    as_it_is,
    axes_or_new,
    before_drawing,
    check_axes,
    colour,
    default_size,
    number_format,
    readable_on,
    require_matplotlib,
    shortened,
)
from daskals.plots.runs import Run, chosen_of, is_number, name_of, run_of, values_of
from daskals.tuning.models import CrossValidatorModel, TrainValidationSplitModel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Numbers smaller than these points are not written: nobody could read them.
SMALLEST_NUMBER = 4.5
LONGEST_VALUE = 16


def tuningGrid(
    tuned: CrossValidatorModel | TrainValidationSplitModel,
    x: Param | str | None = None,
    y: Param | str | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """The metric of a tuning run over two parameters, a heat map with the best one marked, or over one, a line.

    Parameters
    ----------
    tuned : CrossValidatorModel or TrainValidationSplitModel
        What ``fit`` of a validator returned, or what was loaded of it.
    x, y : Param or str, optional
        The parameters, ``als.rank`` or ``"rank"``. By default the first two of the grid that take several values. With
        ``x`` alone there is a line over it.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default, larger for a large grid.

    Returns
    -------
    matplotlib.axes.Axes
        Where the grid varies in more parameters than are drawn, **the others are held at their best values**, which
        stand in the title: the picture shows the plane, or the line, through the best map. To see another plane, name
        its parameters.

        Bright cells are good ones. A frame is around the best, each cell has its metric, and cells whose combination
        the grid does not have are empty. Numbers that would be too small to read are left out. The line of a
        cross-validation has bars of one standard deviation over the folds.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError
        ``tuned`` is no model of a validator, ``x`` or ``y`` no parameter, or ``ax`` no Axes.
    ValueError
        A parameter that the grid does not have; ``x`` and ``y`` the same; no metrics; a grid of one empty map.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")                                       # no window
    >>> import pandas as pd
    >>> from daskals import ALS
    >>> from daskals.evaluation import RegressionEvaluator
    >>> from daskals.plots import tuningGrid
    >>> from daskals.tuning import CrossValidator, ParamGridBuilder
    >>> pairs = [(user, item) for user in range(12) for item in range(10)]
    >>> ratings = pd.DataFrame([(u, i, (u + 1) * (i + 1) / 12) for u, i in pairs], columns=["user", "item", "rating"])
    >>> als = ALS(maxIter=5, coldStartStrategy="drop")
    >>> grid = ParamGridBuilder().addGrid(als.rank, [1, 2]).addGrid(als.regParam, [0.001, 0.1, 10.0]).build()
    >>> evaluator = RegressionEvaluator(labelCol="rating")
    >>> tuned = CrossValidator(estimator=als, estimatorParamMaps=grid, evaluator=evaluator).fit(ratings)
    >>> ax = tuningGrid(tuned)
    >>> ax.get_xlabel(), [tick.get_text() for tick in ax.get_xticklabels()]
    ('rank', ['1', '2'])
    >>> import matplotlib.pyplot as plt
    >>> plt.close(ax.figure)
    """
    require_matplotlib("tuningGrid")
    check_axes(ax)
    run = run_of(tuned)
    chosen = chosen_of(run, name_of(x, "x"), name_of(y, "y"))
    held = [name for name in run.varied() if name not in chosen]
    best = run.maps[run.best]
    here = [place for place, each in enumerate(run.maps) if all(each[name] == best[name] for name in held)]
    if len(chosen) == 2:
        ax = _heat_map(run, here, (chosen[0], chosen[1]), ax)
    else:
        ax = _line(run, here, chosen[0], ax)
    title = as_it_is(ax.set_title(_title(run, held)))
    title.set_fontsize("medium")
    return ax


def _written(value: Any) -> str:
    return f"{value:g}" if is_number(value) else shortened(str(value), LONGEST_VALUE)


def _title(run: Run, held: Sequence[str]) -> str:
    best = run.maps[run.best]
    number = number_format(run.metrics)(float(run.metrics[run.best]))
    lines = [f"best {run.metric}: {number}"]
    if held:
        lines.append("held at the best: " + ", ".join(f"{name} = {_written(best[name])}" for name in held))
    return "\n".join(lines)


# ---- two parameters --------------------------------------------------------------------------------------


def _heat_map(run: Run, here: Sequence[int], names: tuple[str, str], ax: Axes | None) -> Axes:
    across, up = (values_of(name, [run.maps[place] for place in here]) for name in names)
    table = np.full((len(up), len(across)), np.nan)
    tried = np.zeros(table.shape, bool)
    for place in here:
        cell = up.index(run.maps[place][names[1]]), across.index(run.maps[place][names[0]])
        tried[cell] = True
        if np.isnan(table[cell]) or place == run.best:
            table[cell] = run.metrics[place]
    best = run.maps[run.best]
    marked = up.index(best[names[1]]), across.index(best[names[0]])
    width, height = default_size()
    ax = axes_or_new(ax, (max(width, min(0.75 * len(across) + 2, 20)), max(height, min(0.4 * len(up) + 1.5, 20))))
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    colours = colormaps["viridis" if run.is_larger_better else "viridis_r"]
    finite = table[np.isfinite(table)]
    low, high = float(finite.min()), float(finite.max())
    image = ax.pcolormesh(
        np.arange(len(across) + 1) - 0.5, np.arange(len(up) + 1) - 0.5, np.ma.masked_invalid(table), cmap=colours,
        vmin=low, vmax=high if high > low else low + max(abs(low), 1) * 1e-6,
    )  # fmt: skip
    write = number_format(finite)
    texts = []
    for row, column in np.argwhere(tried):
        value = table[row, column]
        tone = readable_on(colours(image.norm(value))) if np.isfinite(value) else ax.xaxis.label.get_color()
        text = ax.text(column, row, write(value) if np.isfinite(value) else str(value), ha="center", va="center")
        text.set(color=tone, clip_on=True, fontweight="bold" if (row, column) == marked else "normal")
        text.set_in_layout(False)
        texts.append(text)
    frame = Rectangle((marked[1] - 0.5, marked[0] - 0.5), 1, 1, fill=False, linewidth=2.5, gid="best", zorder=3)
    frame.set(edgecolor=readable_on(colours(image.norm(table[marked]))), clip_on=False)
    ax.add_patch(frame)
    before_drawing(ax, lambda renderer: _fit_into_cells(ax, texts, renderer))
    _ticks(ax, "x", names[0], across)
    _ticks(ax, "y", names[1], up)
    ax.set_xlim(-0.5, len(across) - 0.5)
    ax.set_ylim(-0.5, len(up) - 0.5)
    return ax


def _ticks(ax: Axes, side: str, name: str, values: Sequence[Any]) -> None:
    axis = ax.xaxis if side == "x" else ax.yaxis
    labels = [_written(value) for value in values]
    axis.set_ticks(range(len(values)), labels)
    for label in axis.get_ticklabels():
        as_it_is(label)
    axis.set_tick_params(length=0)
    axis.set_label_text(name)
    if side == "x":
        room = float(ax.get_window_extent().width) * 72 / ax.figure.dpi
        size = float(axis.get_ticklabels()[0].get_fontsize())
        if sum((len(label) + 2) * 0.62 * size for label in labels) > room:
            axis.set_tick_params(rotation=90)


def _fit_into_cells(ax: Axes, texts: Sequence[Any], renderer: Any) -> None:
    """The largest font, up to the usual one, in which all numbers fit into their cells."""
    from matplotlib import rcParams

    if not texts:
        return
    corners = ax.transData.transform([(0, 0), (1, 1)])
    width, height = np.abs(corners[1] - corners[0])
    usual = float(rcParams["font.size"])
    for text in texts:
        text.set(fontsize=usual, visible=True)
    boxes = [text.get_window_extent(renderer) for text in texts]
    share = min(0.86 * width / max(box.width for box in boxes), 0.8 * height / max(box.height for box in boxes))
    size = usual * min(1.0, share)
    for text in texts:
        text.set(fontsize=size, visible=size >= SMALLEST_NUMBER)


# ---- one parameter ---------------------------------------------------------------------------------------


def _line(run: Run, here: Sequence[int], name: str, ax: Axes | None) -> Axes:
    values = values_of(name, [run.maps[place] for place in here])
    at = np.array([values.index(run.maps[place][name]) for place in here])
    order = np.argsort(at, kind="stable")
    places, at = np.array(here)[order], at[order]
    ax = axes_or_new(ax)
    metrics = np.where(np.isfinite(run.metrics), run.metrics, np.nan)
    bars = run.spread[places] if run.spread is not None else None
    ax.errorbar(at, metrics[places], yerr=bars, color=colour(0), marker="o", capsize=3)
    best = values.index(run.maps[run.best][name])
    ax.plot(
        best, run.metrics[run.best], linestyle="none", marker="o", markersize=12, markerfacecolor="none",
        markeredgecolor=colour(1), markeredgewidth=2, gid="best",
    )  # fmt: skip
    _ticks(ax, "x", name, values)
    ax.set_xlim(-0.5, len(values) - 0.5)
    ax.set_ylabel(run.metric)
    return ax
