"""The metric of each map of a tuning run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from daskals.kernels.types import Float64
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
from daskals.tuning.models import CrossValidatorModel, TrainValidationSplitModel, best_place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Numbers smaller than these points are not written: nobody could read them.
SMALLEST_NUMBER = 4.5
LONGEST_VALUE = 16


class _Run(NamedTuple):
    """What a tuning run found."""

    maps: list[dict[str, Any]]  #: a value for each parameter that any map has, by name
    metrics: Float64
    spread: Float64 | None  #: the standard deviation over folds
    best: int
    metric: str
    is_larger_better: bool

    def varied(self) -> list[str]:
        """The parameters of several values, in the order of the maps."""
        return [name for name in self.maps[0] if len(values_of(name, self.maps)) > 1]


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
    run = _run_of(tuned)
    chosen = _chosen(run, _name_of(x, "x"), _name_of(y, "y"))
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


def _run_of(tuned: Any) -> _Run:
    if not isinstance(tuned, CrossValidatorModel | TrainValidationSplitModel):
        raise TypeError(
            "tuned must be a CrossValidatorModel or a TrainValidationSplitModel, which fit of a CrossValidator or a "
            f"TrainValidationSplit returns, got an object of type {type(tuned).__name__}"
        )
    estimator, evaluator = tuned.getEstimator(), tuned.getEvaluator()
    named = [
        {param if isinstance(param, str) else param.name: value for param, value in each.items()}
        for each in tuned.getEstimatorParamMaps()
    ]
    names = list(dict.fromkeys(name for each in named for name in each))
    metrics = np.array(tuned._metrics(), float)
    tuned.bestParams  # noqa: B018  raises where it is not known which is best
    if not names:
        raise ValueError("The grid has one map without parameters: there is nothing to draw a metric over.")
    maps = [{name: each[name] if name in each else _default(estimator, name) for name in names} for each in named]
    spread = None
    if isinstance(tuned, CrossValidatorModel) and len(tuned.stdMetrics) == len(metrics):
        spread = np.array(tuned.stdMetrics, float)
    return _Run(
        maps, metrics, spread, best_place(list(metrics), evaluator), _metric_name(evaluator), evaluator.isLargerBetter()
    )


def _default(estimator: Any, name: str) -> Any:
    """What a fit by a map without this parameter takes."""
    return estimator.getOrDefault(name) if estimator.isDefined(name) else None


def _metric_name(evaluator: Any) -> str:
    name = str(evaluator.getMetricName())
    return f"{name} at {evaluator.getK()}" if hasattr(evaluator, "getK") else name


def _name_of(param: Any, role: str) -> str | None:
    if param is None or isinstance(param, str):
        return param
    if isinstance(param, Param):
        return param.name
    raise TypeError(f"{role} must be a parameter, such as als.rank, or its name, got {param!r}")


def _chosen(run: _Run, x: str | None, y: str | None) -> list[str]:
    """One parameter or two."""
    names, varied = list(run.maps[0]), run.varied()
    for role, name in (("x", x), ("y", y)):
        if name is not None and name not in names:
            raise ValueError(f"{role}={name!r} is not in the grid, whose parameters are {', '.join(names)}")
    if x is not None and x == y:
        raise ValueError(f"x and y are both {x!r}: name two parameters, or x alone for a line")
    if x is not None:
        return [x] if y is None else [x, y]
    if y is not None:
        others = [name for name in varied if name != y]
        if not others:
            raise ValueError(f"y={y!r} alone: no other parameter of the grid varies. Pass it as x for a line.")
        return [others[0], y]
    return varied[:2] or names[:1]


def values_of(name: str, maps: Sequence[dict[str, Any]]) -> list[Any]:
    """The distinct values of a parameter, numbers ascending, others in their order."""
    distinct: list[Any] = []
    for each in maps:
        if each[name] not in distinct:
            distinct.append(each[name])
    try:
        return sorted(distinct) if all(_is_number(value) for value in distinct) else distinct
    except TypeError:
        return distinct


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _written(value: Any) -> str:
    return f"{value:g}" if _is_number(value) else shortened(str(value), LONGEST_VALUE)


def _title(run: _Run, held: Sequence[str]) -> str:
    best = run.maps[run.best]
    number = number_format(run.metrics)(float(run.metrics[run.best]))
    lines = [f"best {run.metric}: {number}"]
    if held:
        lines.append("held at the best: " + ", ".join(f"{name} = {_written(best[name])}" for name in held))
    return "\n".join(lines)


# ---- two parameters --------------------------------------------------------------------------------------


def _heat_map(run: _Run, here: Sequence[int], names: tuple[str, str], ax: Axes | None) -> Axes:
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
    frame = readable_on(colours(image.norm(table[marked])))
    ax.add_patch(
        Rectangle(
            (marked[1] - 0.5, marked[0] - 0.5),
            1,
            1,
            fill=False,
            edgecolor=frame,
            linewidth=2.5,
            gid="best",
            zorder=3,
            clip_on=False,
        )
    )
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


def _line(run: _Run, here: Sequence[int], name: str, ax: Axes | None) -> Axes:
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
