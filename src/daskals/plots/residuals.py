"""How wrong predictions are of items with few ratings, and with many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from daskals.execution.scheduler import Scheduler, current_scheduler
from daskals.io.frames import Frame
from daskals.io.frames_in import Columns
from daskals.io.id_types import IdType
from daskals.kernels.types import Float64, Ids, Int64
from daskals.plots.drawing import add_legend, as_it_is, axes_or_new, check_axes, colour, require_matplotlib, text_colour
from daskals.plots.reading import (
    columns_of,
    count_items,
    is_implicit,
    item_type,
    merged,
    places_in,
    require_model,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from daskals.recommendation import ALSModel

#: Of more residuals than these in a bin of a partition, so many quantiles stand for all.
MOST_RESIDUALS = 10_001


class _Residuals(NamedTuple):
    """Of the ratings of items of one bin."""

    n: int
    squares: float
    values: Float64
    weights: Float64


def residualsByPopularity(
    model: ALSModel, ratings: Frame, *, ratingCol: str | None = None, ax: Axes | None = None
) -> Axes:
    """How wrong predictions are, by how many ratings an item has.

    Parameters
    ----------
    model : ALSModel
    ratings : frame of any kind that ``fit`` takes
        Held-out ratings, which tell how good predictions are; those of the fit tell how closely it followed them. A
        Dask frame is predicted where it is; of each partition only quantiles and sums come here.
    ratingCol : str, optional
        The column of ratings, if it is not that of the fit; "" where each row counts 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Bins of 1, 2 to 3, 4 to 7, ... ratings of the item: in the fit or, where a model does not know these numbers, in
        ``ratings``. A bar reaches from the lower to the upper quartile of the residuals of a bin, rating less
        prediction; a line across it is the median; points are the RMSE. At
        the foot stands how many ratings a bin has. For implicit models the residual is that of the
        preference, 1 where the rating is positive, and else 0.

        Ratings of users and items that the model does not have are left out. Quartiles are exact for pandas frames,
        and to 0.01 % of ranks where a partition has more than 10,001 ratings in a bin.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError
        ``model`` or ``ratings`` is none, ids of another kind than those of the fit, or ``ax`` no Axes.
    ValueError
        No rating of a user and an item that the model has; a missing column.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")                                       # no window
    >>> import pandas as pd
    >>> from daskals import ALS
    >>> from daskals.plots import residualsByPopularity
    >>> rows = [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0)]
    >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    >>> ax = residualsByPopularity(ALS(rank=2, seed=0).fit(ratings), ratings)
    >>> [(float(bar.get_x()), float(bar.get_width())) for bar in ax.patches]  # items with 1 rating, and with 2 or 3
    [(1.0, 1.0), (2.0, 2.0)]
    >>> import matplotlib.pyplot as plt
    >>> plt.close(ax.figure)
    """
    require_matplotlib("residualsByPopularity")
    check_axes(ax)
    require_model(model)
    frame, columns = columns_of(model, ratings, ratingCol)
    implicit = is_implicit(model)
    bins = _residuals(current_scheduler(), model, frame, columns, implicit)
    if not bins:
        raise ValueError(
            "ratings has no rating of a user and an item that are both in the model: nothing can be predicted. Pass "
            "ratings with ids of the fit."
        )
    where = "the fit" if model._factors.items.counts is not None else "these ratings"
    _draw_residuals(
        ax := axes_or_new(ax),
        bins,
        f"ratings of the item in {where}",
        "preference - prediction" if implicit else f"{columns.rating or 'rating'} - prediction",
    )
    return ax


def _residuals(
    scheduler: Scheduler, model: ALSModel, frame: Frame, columns: Columns, implicit: bool
) -> dict[int, _Residuals]:
    """What is known of the residuals, by the number of the bin, ascending."""
    predicted = model.transform(frame, {model.coldStartStrategy: "nan"})
    items = model._factors.items
    counts: Any = items.counts if items.counts is not None else count_items(scheduler, model, frame, columns.item or "")
    given = item_type(model, frame, columns.item or "")
    names = (columns, model.getPredictionCol(), given, implicit)
    found = merged(scheduler, _residuals_of_part, predicted, names, items.ids, counts, merge=_merge)
    return {number: found[number] for number in sorted(found)}


def _residuals_of_part(
    part: pd.DataFrame, names: tuple[Columns, str, IdType, bool], ids: Ids, counts: Int64
) -> dict[int, _Residuals]:
    columns, prediction, given, implicit = names
    part = part[part[prediction].notna().to_numpy()]
    rating = part[columns.rating].to_numpy(float, na_value=np.nan) if columns.rating else np.ones(len(part))
    known = np.isfinite(rating)
    part, rating = part[known], rating[known]
    wanted = (rating > 0).astype(float) if implicit else rating
    residuals = wanted - part[prediction].to_numpy(float)
    of_item = counts[places_in(part[columns.item], given, ids)]
    number = np.where(of_item > 0, np.frexp(of_item)[1] - 1, 0)
    return {int(each): _summary(residuals[number == each]) for each in np.unique(number)}


def _summary(residuals: Float64) -> _Residuals:
    n = len(residuals)
    values = np.sort(residuals) if n <= MOST_RESIDUALS else np.quantile(residuals, np.linspace(0, 1, MOST_RESIDUALS))
    return _Residuals(n, float(residuals @ residuals), values, np.full(len(values), n / len(values)))


def _merge(*parts: dict[int, _Residuals]) -> dict[int, _Residuals]:
    together = {}
    for number in {number for part in parts for number in part}:
        some = [part[number] for part in parts if number in part]
        together[number] = _Residuals(
            sum(each.n for each in some),
            sum(each.squares for each in some),
            np.concatenate([each.values for each in some]),
            np.concatenate([each.weights for each in some]),
        )
    return together


def weighted_quantiles(values: Float64, weights: Float64, shares: list[float]) -> Float64:
    """Quantiles of values that count ``weights`` times; those of ``numpy.quantile`` where all weights are alike."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    below = np.cumsum(weights) - weights
    return np.interp(shares, below / below[-1], values) if below[-1] > 0 else np.repeat(values[:1], len(shares))


def _draw_residuals(ax: Axes, bins: dict[int, _Residuals], across: str, up: str) -> None:
    left = np.array([2.0**number for number in bins])
    quartiles = np.array([weighted_quantiles(each.values, each.weights, [0.25, 0.5, 0.75]) for each in bins.values()])
    rmse = np.sqrt([each.squares / each.n for each in bins.values()])
    tone = text_colour(ax)
    zero = ax.axhline(0, color=tone, linewidth=0.8, alpha=0.6)
    zero.set_zorder(0.5)
    ax.set_xscale("log", base=2)
    bars = ax.bar(
        left, quartiles[:, 2] - quartiles[:, 0], width=left, bottom=quartiles[:, 0], align="edge", color=colour(0),
        alpha=0.45, edgecolor=colour(0),
    )  # fmt: skip
    medians = ax.hlines(quartiles[:, 1], left, 2 * left, color=tone, linewidth=2)
    (points,) = ax.plot(left * np.sqrt(2), rmse, color=colour(1), marker="D", markersize=5, linewidth=1.5)
    ax.set_xlim(left[0] / 1.1, left[-1] * 2.2)
    low, high = min(0.0, quartiles.min()), max(rmse.max(), quartiles.max())
    span = (high - low) or 1.0
    ax.set_ylim(low - 0.42 * span, high + 0.06 * span)
    for x, each in zip(left * np.sqrt(2), bins.values(), strict=True):
        foot = ax.text(x, low - 0.39 * span, f"n = {each.n:,}", rotation=90, ha="center", va="bottom", color=tone)
        foot.set(fontsize="x-small", clip_on=True)
    _plain_ticks(ax)
    ax.set_xlabel(across)
    as_it_is(ax.yaxis.label).set_text(up)
    add_legend(
        ax, [points, medians, bars[0]], ["RMSE", "median", "middle half"], fontsize="small", ncols=3, frameon=False,
        loc="lower center", bbox_to_anchor=(0.5, 1.0), borderaxespad=0.2, columnspacing=1.2,
    )  # fmt: skip


def _plain_ticks(ax: Axes) -> None:
    """Numbers of ratings as numbers: 1, 4, 16, 64, ..."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    ax.xaxis.set_major_locator(LogLocator(base=2, numticks=9))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else ""))
