"""What a user rated beside what is recommended."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import Frame, of_each_partition
from daskals.io.frames_in import Columns
from daskals.params.arguments import at_least_one
from daskals.plots.drawing import (
    as_it_is,
    axes_or_new,
    before_drawing,
    check_axes,
    colour,
    default_size,
    number_format,
    require_matplotlib,
    text_colour,
)
from daskals.plots.fonts import Drawable, drawable
from daskals.plots.reading import Titles, columns_of, is_implicit, require_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from daskals.recommendation import ALSModel

#: Characters of a title that are tried; at drawing it is cut to its row.
LONGEST_TITLE = 100
SMALLEST_TEXT = 4.0
#: A part has room for at least so many bars, so that one alone does not fill it.
FEWEST_ROWS = 4


class _List(NamedTuple):
    heading: str
    names: list[str]
    values: list[float]
    label: str  #: of the values
    nothing: str  #: what to say where there are none


def userRecommendations(
    model: ALSModel,
    user: Any,
    ratings: Frame,
    titles: Any = None,
    k: int = 10,
    *,
    ratingCol: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """What a user rated highest, on the left, beside what is recommended, on the right: horizontal bars.

    Parameters
    ----------
    model : ALSModel
        Its ``k`` best items that the user has not rated are recommended.
    user
        An id of the model.
    ratings : frame of any kind that ``fit`` takes
        With the user's ratings, in the columns of the fit. Of a Dask frame only the rows of this user come here.
    titles : dict or Series of id to title, or frame, optional
        As for `itemMap`. A title that is too long for its row is cut when the figure is drawn.
    k : int, default 10
        How many bars there are on each side, at most.
    ratingCol : str, optional
        The column of ratings, if it is not that of the fit; "" where each row counts 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default, higher for many bars.

    Returns
    -------
    matplotlib.axes.Axes
        Empty itself; ``ax.child_axes`` are the left and the right part, whose bars are the ratings and the scores, best
        at the top. An item that was rated several times has the mean of its ratings, and their sum where the model is
        of implicit feedback. Of equal ratings the smaller id comes first. Ratings and scores of explicit models have
        one scale.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError
        ``model``, ``ratings`` or ``titles`` is none, ``k`` no integer, or ``ax`` no Axes.
    ValueError
        A user that the model does not have; a missing column; ``k`` below 1.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")                                       # no window
    >>> import pandas as pd
    >>> from daskals import ALS
    >>> from daskals.plots import userRecommendations
    >>> rows = [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0)]
    >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    >>> model = ALS(rank=2, seed=0).fit(ratings)
    >>> ax = userRecommendations(model, 0, ratings, titles={0: "Alien", 1: "Amélie", 2: "Aliens"}, k=5)
    >>> rated, recommended = ax.child_axes
    >>> [text.get_text() for text in rated.texts], [float(bar.get_width()) for bar in rated.patches]
    (['Alien', 'Amélie', '4', '2'], [4.0, 2.0])
    >>> [text.get_text() for text in recommended.texts][0]
    'Aliens'
    >>> import matplotlib.pyplot as plt
    >>> plt.close(ax.figure)
    """
    require_matplotlib("userRecommendations")
    check_axes(ax)
    require_model(model)
    k = at_least_one("k", k)
    frame, columns = columns_of(model, ratings, ratingCol)
    implicit = is_implicit(model)
    mine = _rows_of(user, frame, str(columns.user))
    found = _recommended(model, user, mine, k)
    rated = _rated(mine, columns, implicit)
    names = Titles(titles, model.getItemCol())
    called = names.of([*rated.index[:k], *found.index])
    n = min(k, len(rated))
    what = "rating" if columns.rating else "times"
    of_all = f"rated ({n} of {len(rated)})" if n < len(rated) else "rated"
    lists = [
        _List(of_all, called[:n], rated.tolist()[:n], what, "nothing in these ratings"),
        _List(
            "recommended", called[n:], found.tolist(), "score" if implicit else f"predicted {what}", "nothing is left"
        ),
    ]
    width, height = default_size()
    rows = max(n, len(found))
    ax = axes_or_new(ax, (1.4 * width, max(height, min(0.28 * rows + 1, 40))))
    _draw(ax, lists, rows, same_scale=not implicit)
    return ax


def _rows_of(user: Any, frame: Frame, column: str) -> pd.DataFrame:
    """The rows of one user, here."""
    parts = of_each_partition(current_scheduler(), partial(_of_user, user, column), frame, name="als-plot-user")
    filled = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(filled, ignore_index=True)


def _of_user(user: Any, column: str, part: pd.DataFrame) -> pd.DataFrame:
    rows: pd.DataFrame = part[(part[column] == user).to_numpy(bool, na_value=False)]
    return rows


def _recommended(model: ALSModel, user: Any, mine: pd.DataFrame, k: int) -> pd.Series:
    """Scores by item, best first."""
    asked = pd.DataFrame({model.getUserCol(): pd.Series([user])})
    flat = model.recommendForUserSubset(asked, k, exclude=mine, flat=True)
    if not len(flat) and not len(model.recommendForUserSubset(asked, 1, flat=True)):
        raise ValueError(
            f"User {user!r} is not in the model, so nothing is recommended: fold the user in first, "
            "model.foldInUsers(ratings), or fit again."
        )
    return pd.Series(flat["rating"].to_numpy(float), index=flat[model.getItemCol()].tolist())


def _rated(mine: pd.DataFrame, columns: Columns, implicit: bool) -> pd.Series:
    """Ratings by item, best first, of equal ones the smaller id."""
    mine = mine.dropna()
    values = mine[columns.rating].astype(float) if columns.rating else pd.Series(1.0, index=mine.index)
    by_item = values.groupby(mine[columns.item].to_numpy(), sort=True)
    rated = by_item.sum() if implicit or not columns.rating else by_item.mean()
    return rated.sort_values(ascending=False, kind="stable")


class _Part(NamedTuple):
    """One of the two parts of a picture."""

    axes: Axes
    titles: list[Any]
    names: list[Drawable]
    numbers: list[Any]
    low: float  #: the least and the largest value of the scale
    high: float


def _draw(ax: Axes, lists: Sequence[_List], rows: int, *, same_scale: bool) -> None:
    ax.set_axis_off()
    places = (0, 0, 0.485, 1), (0.515, 0, 0.485, 1)
    limits = [_limits(each.values) for each in lists]
    if same_scale:
        limits = [_limits([value for each in lists for value in each.values])] * 2
    parts = [
        _bars(ax.inset_axes(place), each, rows, colour(number), scale)
        for number, (place, each, scale) in enumerate(zip(places, lists, limits, strict=True))
    ]
    before_drawing(ax, lambda renderer: _fit(parts, renderer))


def _limits(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if np.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    return (low, high) if high > low else (0.0, 1.0)


def _bars(part: Axes, each: _List, rows: int, tone: str, scale: tuple[float, float]) -> _Part:
    from matplotlib.ticker import MaxNLocator

    part.barh(np.arange(len(each.values)), each.values, height=0.84, color=tone, alpha=0.4, linewidth=0)
    part.set_ylim(max(rows, FEWEST_ROWS) - 0.5, -0.5)
    part.set_yticks([])
    part.set_xticks(
        [tick for tick in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(*scale) if scale[0] <= tick <= scale[1]]
    )
    part.set_xlim(scale)
    as_it_is(part.xaxis.label).set_text(each.label)
    part.set_title(each.heading, fontsize="medium")
    for side in ("top", "right"):
        part.spines[side].set_visible(False)
    ink = text_colour(part)
    if not each.values:
        as_it_is(part.text(0.5, 0.5, each.nothing, transform=part.transAxes, ha="center", va="center", color=ink))
    write = number_format(each.values)
    names = drawable([(name, LONGEST_TITLE) for name in each.names])
    style: dict[str, Any] = {"transform": part.get_yaxis_transform(), "va": "center", "fontsize": "small", "color": ink}
    titles = [as_it_is(part.text(0.01, row, name.text, **style)) for row, name in enumerate(names)]
    numbers = [part.text(0.99, row, write(value), ha="right", **style) for row, value in enumerate(each.values)]
    for title, name in zip(titles, names, strict=True):
        title.set_fontfamily(name.families)
    for text in (*titles, *numbers):
        text.set_in_layout(False)
    return _Part(part, titles, names, numbers, *scale)


def _fit(parts: Sequence[_Part], renderer: Any) -> None:
    """Texts in a font that fits into the rows, numbers beside the bars, titles cut to the width that is left."""
    from matplotlib.font_manager import FontProperties

    usual = FontProperties(size="small").get_size_in_points()
    for part in parts:
        locate = part.axes.get_axes_locator()
        part.axes.apply_aspect(locate(part.axes, renderer) if locate is not None else None)
    frame = parts[0].axes.get_window_extent(renderer)
    bottom, top = parts[0].axes.transData.transform([(0, 1), (0, 0)])[:, 1]
    size = min(usual, 0.75 * abs(top - bottom) / renderer.points_to_pixels(1.0))
    shown = size >= SMALLEST_TEXT
    for text in (text for part in parts for text in (*part.titles, *part.numbers)):
        text.set(fontsize=max(size, SMALLEST_TEXT), visible=shown)
    widths = [text.get_window_extent(renderer).width for part in parts for text in part.numbers if shown]
    taken = min(0.4, max(widths, default=0) / frame.width + 0.03)
    for part in parts:
        part.axes.set_xlim(part.low, part.low + (part.high - part.low) / (1 - taken))
        for title, name in zip(part.titles, part.names, strict=True):
            title.set_text(name.text)
            if shown:
                _cut(title, name.text, (0.97 - taken) * frame.width, renderer)


def _cut(title: Any, text: str, room: float, renderer: Any) -> None:
    """The longest beginning of a text that has room, by bisection."""
    if title.get_window_extent(renderer).width <= room:
        return
    fits, fails = 0, len(text)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        title.set_text(text[:middle].rstrip() + "…")
        if title.get_window_extent(renderer).width <= room:
            fits = middle
        else:
            fails = middle
    title.set_text(text[:fits].rstrip() + "…" if fits else "")
