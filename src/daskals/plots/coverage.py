"""Whether recommendations go to the items that are rated most anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import Frame
from daskals.kernels.types import Float64, Int64
from daskals.params.arguments import at_least_one
from daskals.plots.drawing import add_legend, axes_or_new, check_axes, colour, require_matplotlib
from daskals.plots.reading import columns_of, count_items, in_pandas, require_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from daskals.recommendation import ALSModel

#: Groups of items.
TENTHS = 10


def coverageByPopularity(model: ALSModel, ratings: Frame, k: int = 10, *, ax: Axes | None = None) -> Axes:
    """Which share of the recommendations goes to popular items, beside their share of the ratings.

    Parameters
    ----------
    model : ALSModel
        Its ``k`` best items for each of its users are counted, without those that the user has rated.
    ratings : frame of any kind that ``fit`` takes
        Those of the fit: they tell what is popular, and what users have already.
    k : int, default 10
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The items of the model, ordered by their number of ratings, in ten groups of equally many (of one each where
        there are fewer items); the most popular first. For each group two bars: its share of ``ratings``, and its share
        of all recommendations. The title says how many items are recommended to anybody.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError
        ``model`` or ``ratings`` is none, ``k`` no integer, ids of another kind than in the fit, or ``ax`` no Axes.
    ValueError
        ``ratings`` has no item of the model; nothing is left to recommend; a missing column; ``k`` below 1.

    Notes
    -----
    All users get their lists, which takes as long as ``model.recommendForAllUsers``. They stay where they are made; a
    number for each item comes here.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")                                       # no window
    >>> import pandas as pd
    >>> from daskals import ALS
    >>> from daskals.plots import coverageByPopularity
    >>> rows = [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0)]
    >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    >>> ax = coverageByPopularity(ALS(rank=2, seed=0).fit(ratings), ratings, k=1)
    >>> [round(float(bar.get_height()), 2) for bar in ax.containers[0]]           # of the six ratings item 1 has three
    [0.5, 0.33, 0.17]
    >>> ax.get_title()
    '2 of 3 items are recommended'
    >>> import matplotlib.pyplot as plt
    >>> plt.close(ax.figure)
    """
    require_matplotlib("coverageByPopularity")
    check_axes(ax)
    require_model(model)
    k = at_least_one("k", k)
    frame, columns = columns_of(model, ratings, "")
    scheduler, item = current_scheduler(), columns.item or ""
    rated = count_items(scheduler, model, frame, item)
    if not rated.sum():
        raise ValueError(
            "ratings has no item of the model: which items are popular is not known. Pass those of the fit."
        )
    lists = in_pandas(model.recommendForAllUsers(k, exclude=frame, flat=True))
    recommended = count_items(scheduler, model, lists[[item]], item)
    if not recommended.sum():
        raise ValueError("Nothing is recommended: every user has rated every item of the model.")
    _draw_coverage(ax := axes_or_new(ax), rated, recommended)
    return ax


def shares_by_popularity(rated: Int64, counts: Int64) -> Float64:
    """The share of ``counts`` in each tenth of the items, those with the most ratings first."""
    order = np.argsort(-rated, kind="stable")
    edges = np.linspace(0, len(rated), min(TENTHS, len(rated)) + 1).round().astype(int)
    sums = np.add.reduceat(counts[order], edges[:-1])
    shares: Float64 = sums / counts.sum()
    return shares


def _draw_coverage(ax: Axes, rated: Int64, recommended: Int64) -> None:
    from matplotlib.ticker import PercentFormatter

    series = [shares_by_popularity(rated, counts) for counts in (rated, recommended)]
    groups = len(series[0])
    at = np.arange(groups)
    bars = [
        ax.bar(at + shift, shares, width=0.4, color=colour(number), hatch=hatch, edgecolor=ax.get_facecolor())
        for number, (shift, shares, hatch) in enumerate(zip((-0.2, 0.2), series, ("", "///"), strict=True))
    ]
    of_tenths = groups == TENTHS
    ax.set_xticks(at, [str(10 * (group + 1) if of_tenths else group + 1) for group in range(groups)])
    ax.set_xlabel("% of the items, most rated first" if of_tenths else "items, most rated first")
    ax.set_ylabel("share")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    add_legend(ax, [bars[0][0], bars[1][0]], ["of the ratings", "of the recommendations"], fontsize="small")
    ax.set_title(f"{(recommended > 0).sum():,} of {len(rated):,} items are recommended", fontsize="medium")
