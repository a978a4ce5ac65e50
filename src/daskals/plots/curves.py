"""The error after each iteration of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from daskals.io.history import PREFERENCE_ERROR, RATING_ERROR, VALIDATION_ERROR, VALIDATION_GAIN
from daskals.plots.drawing import (
    add_legend,
    as_it_is,
    axes_or_new,
    check_axes,
    colour,
    number_format,
    require_matplotlib,
    shortened,
    text_colour,
)
from daskals.plots.reading import require_model

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from daskals.recommendation import ALSModel

#: What the columns of a history are called in a picture.
LABELS = {
    "objective": "objective",
    RATING_ERROR: "RMSE",
    PREFERENCE_ERROR: "RMSE of preferences",
    VALIDATION_ERROR: "RMSE",
    VALIDATION_GAIN: "NDCG of held-out ratings",
}
#: With more points than these, a line has no mark for each.
MANY_POINTS = 40
#: A legend has no more names than these.
MANY_MODELS = 12
LONGEST_NAME = 32


class _Curve(NamedTuple):
    name: str
    history: pd.DataFrame
    best: int | None


def trainingCurve(
    model: ALSModel | Mapping[str, ALSModel],
    *,
    curve: Literal["error", "objective"] = "error",
    ax: Axes | None = None,
) -> Axes:
    """The error after each iteration, of one model or of several, beside the metric of held-out ratings.

    Parameters
    ----------
    model : ALSModel, or dict of name to ALSModel
        With a history: made by ``fit``, or loaded from files of daskals. Several are drawn in one picture, all of them
        fits to ratings or all of them to implicit feedback.
    curve : "error" (default) or "objective"
        "error" draws the training error, ``rmse`` or ``preferenceRmse`` of ``model.history``; "objective" what the fit
        minimises, which can be compared only between fits of the same parameters.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        With a line of a point for each iteration. Where the fit had ``validation``, there is a dashed one of its
        metric: in the same axes if that is an RMSE beside an RMSE; else in axes with a scale on the right, which are
        the last of ``ax.figure.axes``. A circle marks the iteration whose factors the model has
        (``model.bestIteration``): the best by validation, or the last.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError
        ``model`` is none, or ``ax`` no Axes.
    ValueError
        A model without a history, such as one that Spark wrote; no models; fits of both kinds; another ``curve``.

    >>> import matplotlib
    >>> matplotlib.use("Agg")                                       # no window
    >>> import pandas as pd
    >>> from daskals import ALS
    >>> from daskals.plots import trainingCurve
    >>> ratings = pd.DataFrame({"user": [0, 0, 1], "item": [0, 1, 1], "rating": [4.0, 2.0, 3.0]})
    >>> models = {f"rank {rank}": ALS(rank=rank, maxIter=5).fit(ratings) for rank in (1, 2)}
    >>> ax = trainingCurve(models)
    >>> [text.get_text() for text in ax.get_legend().get_texts()][:2]
    ['rank 1', 'rank 2']
    >>> bool((ax.lines[0].get_ydata() == models["rank 1"].history["rmse"]).all())
    True
    >>> import matplotlib.pyplot as plt
    >>> plt.close(ax.figure)
    """
    require_matplotlib("trainingCurve")
    if curve not in ("error", "objective"):
        raise ValueError(f"curve={curve!r} is not allowed: it must be 'error' or 'objective'")
    check_axes(ax)
    curves = _curves(model)
    error, validation = _columns(curves)
    _draw(curves, error if curve == "error" else "objective", validation, ax := axes_or_new(ax))
    return ax


def _curves(model: Any) -> list[_Curve]:
    several = isinstance(model, Mapping)
    models = dict(model) if several else {"": model}
    if not models:
        raise ValueError("There are no models to draw: the dict is empty.")
    curves = []
    for name, each in models.items():
        require_model(each, f"model[{name!r}]" if several else "model")
        if not len(each.history):
            whose = f"The model {name!r}" if several else f"The model {each.uid}"
            raise ValueError(
                f"{whose} has no history to draw: it was loaded from files of Spark, which have none, or fitted with "
                "maxIter=0."
            )
        curves.append(_Curve(str(name), each.history, each.bestIteration))
    return curves


def _columns(curves: list[_Curve]) -> tuple[str, str | None]:
    """The columns of the training error and of the validation metric, if one has it, that the curves share."""
    explicit = [each.name for each in curves if RATING_ERROR in each.history]
    implicit = [each.name for each in curves if RATING_ERROR not in each.history]
    if explicit and implicit:
        raise ValueError(
            f"Errors of ratings (of the model {explicit[0]!r}) and of preferences (of {implicit[0]!r}, which is "
            "implicit) cannot be compared: draw those in one picture and these in another."
        )
    error, validation = (RATING_ERROR, VALIDATION_ERROR) if explicit else (PREFERENCE_ERROR, VALIDATION_GAIN)
    return error, validation if any(validation in each.history for each in curves) else None


def _draw(curves: list[_Curve], column: str, validation: str | None, ax: Axes) -> None:
    ax.set_xlabel("iteration")
    ax.set_ylabel(LABELS[column])
    _whole_ticks(ax, max(int(each.history["iteration"].max()) for each in curves))
    beside = ax
    if validation is not None and LABELS[validation] != LABELS[column]:
        beside = ax.twinx()
        _label_right(ax, beside, "NDCG of held-out ratings" if validation == VALIDATION_GAIN else "RMSE, held out")
    handles: list[Artist] = []
    for number, each in enumerate(curves):
        tone = colour(number)
        apart = len(curves) == 1  # one model: its two lines differ in colour too
        (line,) = _line(ax, each, column, tone, "-")
        handles.append(line)
        chosen_by = column
        on = ax
        if validation is not None and validation in each.history:
            tone = colour(number + 1) if apart else tone
            _line(beside, each, validation, tone, "--")
            chosen_by, on = validation, beside
        _mark(on, each, chosen_by, tone)
    _name(ax, curves, column, validation, handles, beside)


def _line(ax: Axes, curve: _Curve, column: str, tone: str, style: str) -> Any:
    few = len(curve.history) <= MANY_POINTS
    values = curve.history[column].to_numpy(float)
    return ax.plot(
        curve.history["iteration"],
        np.where(np.isfinite(values), values, np.nan),
        style,
        color=tone,
        marker=("o" if style == "-" else "s") if few else None,
        markersize=3.5,
    )


def _mark(ax: Axes, curve: _Curve, column: str, tone: str) -> None:
    """A circle around the iteration whose factors the model has."""
    best = curve.history[curve.history["iteration"] == curve.best]
    ax.plot(
        best["iteration"], best[column], linestyle="none", marker="o", markersize=11, markerfacecolor="none",
        markeredgecolor=tone, markeredgewidth=1.8, gid="best",
    )  # fmt: skip


def _whole_ticks(ax: Axes, last: int) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if last == 1:
        ax.set_xlim(0.5, 1.5)


def _label_right(ax: Axes, beside: Axes, label: str) -> None:
    """A scale on the right, in the colours of the axes."""
    beside.set_ylabel(label, color=text_colour(ax))
    beside.set_zorder(ax.get_zorder() + 1)
    beside.patch.set_visible(False)


def _name(
    ax: Axes, curves: list[_Curve], column: str, validation: str | None, handles: list[Artist], beside: Axes
) -> None:
    from matplotlib.lines import Line2D

    names = [shortened(each.name, LONGEST_NAME) for each in curves]
    if len(curves) == 1:
        names = ["training"]
    elif len(names) > MANY_MODELS:
        left = len(names) - MANY_MODELS + 1
        names, handles = [*names[: MANY_MODELS - 1], f"and {left} more"], handles[: MANY_MODELS - 1]
        handles.append(Line2D([], [], linestyle="none"))
    tone = text_colour(ax)
    if validation is not None:
        line = beside.lines[0] if len(curves) == 1 else None
        drawn = line.get_color() if line is not None else tone
        if len(curves) > 1:
            names.append("training")
            handles.append(Line2D([], [], color=tone, marker="o", markersize=3.5))
        names.append("held out")
        handles.append(Line2D([], [], color=drawn, linestyle="--", marker="s", markersize=3.5))
    names.append(_best_name(curves, column, validation))
    handles.append(
        Line2D([], [], linestyle="none", marker="o", markersize=9, markerfacecolor="none", markeredgecolor=tone)
    )
    add_legend(beside if beside is not ax else ax, handles, names, fontsize="small")
    as_it_is(ax.xaxis.label)


def _best_name(curves: list[_Curve], column: str, validation: str | None) -> str:
    if len(curves) > 1:
        return "the model's factors"
    (curve,) = curves
    chosen = validation if validation is not None else column
    values = curve.history[chosen]
    value = number_format(values)(float(values[curve.history["iteration"] == curve.best].iloc[0]))
    which = "best" if validation is not None else "last"
    return f"{which}: iteration {curve.best}, {value}"
