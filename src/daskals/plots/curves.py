"""The error after each iteration of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from daskals.io.history import PREFERENCE_ERROR, RATING_ERROR, VALIDATION_ERROR, VALIDATION_GAIN
from daskals.plots.drawing import (
    add_legend,
    axes_or_new,
    check_axes,
    colour,
    require_matplotlib,
    shortened,
    text_colour,
)
from daskals.plots.reading import require_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from daskals.recommendation import ALSModel

#: What the columns of a history are called in a picture.
LABELS = {
    "objective": "objective",
    RATING_ERROR: "RMSE",
    PREFERENCE_ERROR: "RMSE of preferences",
    VALIDATION_ERROR: "RMSE",
    VALIDATION_GAIN: "NDCG",
}
#: With more points than these, a line has no mark for each.
MANY_POINTS = 40
#: A legend has no more names than these.
MANY_MODELS = 12
LONGEST_NAME = 32
#: Where there are so many iterations, and the first is so many times as far off as the others differ among themselves,
#: the scale is made for the others.
MANY_ENOUGH, FAR = 4, 2.0


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
        (``model.bestIteration``): the best by validation, or the last. Where the first iteration is so far off that
        the others would look alike, the scale is made for the others, and the label below the axes says so.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError
        ``model`` is none, or ``ax`` no Axes.
    ValueError
        A model without a history, such as one that Spark wrote; no models; fits of both kinds; another ``curve``.

    Examples
    --------
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
        beside.tick_params(axis="y", colors=text_colour(ax))
    lines = []
    for number, each in enumerate(curves):
        lines.append(_line(ax, each, column, colour(number), "-"))
        tone, chosen_by, on = colour(number), column, ax
        if validation is not None and validation in each.history:
            # the two lines of one model differ in colour too
            tone, chosen_by, on = colour(number + (len(curves) == 1)), validation, beside
            _line(beside, each, validation, tone, "--")
        _mark(on, each, chosen_by, tone)
    off = _leave_out_the_first(ax, curves, {column} if beside is not ax or validation is None else {column, validation})
    if beside is not ax and validation is not None:
        off = _leave_out_the_first(beside, curves, {validation}) or off
    if off:
        ax.set_xlabel("iteration (the first is off the scale)")
    _name(curves, column, validation, lines, beside, apart=beside is not ax)


def _line(ax: Axes, curve: _Curve, column: str, tone: str, style: str) -> Any:
    few = len(curve.history) <= MANY_POINTS
    values = curve.history[column].to_numpy(float)
    (line,) = ax.plot(
        curve.history["iteration"],
        np.where(np.isfinite(values), values, np.nan),
        style,
        color=tone,
        marker=("o" if style == "-" else "s") if few else None,
        markersize=3.5,
    )
    return line


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


def _leave_out_the_first(ax: Axes, curves: list[_Curve], columns: set[str]) -> bool:
    """Let the scale be that of all iterations but the first, where that is so far off that the others look alike.

    Returns whether it is so now.
    """
    values = [each.history[name].to_numpy(float) for each in curves for name in columns if name in each.history]
    if max(map(len, values)) < MANY_ENOUGH:
        return False
    first = np.array([each[0] for each in values])
    rest = np.concatenate([each[1:] for each in values])
    rest = rest[np.isfinite(rest)]
    # a mark of the first iteration must be seen
    if any(each.best == 1 for each in curves) or not len(rest) or not np.isfinite(first).any():
        return False
    low, high = rest.min(), rest.max()
    if np.nanmax(np.abs(first - np.clip(first, low, high))) < FAR * (high - low):
        return False
    margin = 0.08 * (high - low) or 0.01 * abs(high)
    ax.set_ylim(low - margin, high + margin)
    return True


def _name(
    curves: list[_Curve], column: str, validation: str | None, lines: list[Any], on: Axes, *, apart: bool
) -> None:
    from matplotlib.lines import Line2D

    names, handles = [shortened(each.name, LONGEST_NAME) for each in curves], list(lines)
    if len(curves) == 1:
        names = ["training"]
    elif len(names) > MANY_MODELS:
        left = len(names) - MANY_MODELS + 1
        names = [*names[: MANY_MODELS - 1], f"and {left} more"]
        handles = [*handles[: MANY_MODELS - 1], Line2D([], [], linestyle="none")]
    tone = text_colour(on)
    if validation is not None:
        if len(curves) > 1:
            names.append("training")
            handles.append(Line2D([], [], color=tone, marker="o", markersize=3.5))
        names.append(f"held out, {LABELS[validation]} (right)" if apart else "held out")
        drawn = colour(1) if len(curves) == 1 else tone
        handles.append(Line2D([], [], color=drawn, linestyle="--", marker="s", markersize=3.5))
    names.append(_best_name(curves, column, validation))
    handles.append(
        Line2D([], [], linestyle="none", marker="o", markersize=9, markerfacecolor="none", markeredgecolor=tone)
    )
    # the lines of the axes behind are not seen by "best"; one falls, one rises, and both are flat on the right
    add_legend(on, handles, names, fontsize="small", loc="center right" if apart else "best", handlelength=1.6)


def _best_name(curves: list[_Curve], column: str, validation: str | None) -> str:
    if len(curves) > 1:
        return "factors of the model"
    (curve,) = curves
    chosen = validation if validation is not None else column
    values = curve.history[chosen]
    value = f"{values[curve.history['iteration'] == curve.best].iloc[0]:.4g}"
    which = "best" if validation is not None else "last"
    return f"{which}: iteration {curve.best}, {value}"
