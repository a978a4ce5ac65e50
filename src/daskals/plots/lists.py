"""What a user rated beside what is recommended."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import Frame, kind_of, of_each_partition
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
    >>> [(text.get_text(), bar.get_width()) for text, bar in zip(rated.texts, rated.patches)]
    [('Alien', 4.0), ('Amélie', 2.0)]
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
    found = _recommended(model, user, frame, columns, k)
    rated = _rated(model, user, frame, columns, implicit)
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
    ax = axes_or_new(ax, (max(width, 9.0), max(height, min(0.3 * rows + 1, 40))))
    _draw(ax, lists, rows, same_scale=not implicit)
    return ax


def _recommended(model: ALSModel, user: Any, frame: Frame, columns: Columns, k: int) -> pd.Series:
    """Scores by item, best first."""
    asked = pd.DataFrame({model.getUserCol(): pd.Series([user])})
    mine = _rows_of(user, frame, columns)
    flat = model.recommendForUserSubset(asked, k, exclude=mine, flat=True)
    if not len(flat) and not _knows(model, asked):
        raise ValueError(
            f"User {user!r} is not in the model, so nothing is recommended: fold the user in first, "
            "model.foldInUsers(ratings), or fit again."
        )
    return pd.Series(flat["rating"].to_numpy(float), index=flat[columns.item].tolist())


def _knows(model: ALSModel, asked: pd.DataFrame) -> bool:
    return len(model.recommendForUserSubset(asked, 1, flat=True)) > 0


def _rows_of(user: Any, frame: Frame, columns: Columns) -> pd.DataFrame:
    """The rows of one user, here."""
    parts = of_each_partition(current_scheduler(), partial(_of_user, user, columns.user), frame, name="als-plot-user")
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]


def _of_user(user: Any, column: str, part: pd.DataFrame) -> pd.DataFrame:
    return part[(part[column] == user).to_numpy(bool, na_value=False)]


def _rated(model: ALSModel, user: Any, frame: Frame, columns: Columns, implicit: bool) -> pd.Series:
    """Ratings by item, best first, of equal ones the smaller id."""
    mine = _rows_of(user, frame, columns).dropna()
    values = mine[columns.rating].astype(float) if columns.rating else pd.Series(1.0, index=mine.index)
    by_item = values.groupby(mine[columns.item].to_numpy(), sort=True)
    rated = by_item.sum() if implicit or not columns.rating else by_item.mean()
    return rated.sort_values(ascending=False, kind="stable")


def _draw(ax: Axes, lists: Sequence[_List], rows: int, *, same_scale: bool) -> None:
    ax.set_axis_off()
    parts = [ax.inset_axes((0, 0, 0.485, 1)), ax.inset_axes((0.515, 0, 0.485, 1))]
    largest = max([abs(value) for each in lists for value in each.values if np.isfinite(value)], default=1.0) or 1.0
    for number, (part, each) in enumerate(zip(parts, lists, strict=True)):
        _bars(part, each, rows, colour(number))
        own = max([abs(value) for value in each.values], default=largest) or 1.0
        low = min([0.0, *each.values])
        part.set_xlim(1.02 * low, 1.02 * (largest if same_scale else own))


def _bars(part: Axes, each: _List, rows: int, tone: str) -> None:
    at = np.arange(len(each.values))
    part.barh(at, each.values, height=0.84, color=tone, alpha=0.4, linewidth=0)
    part.set_ylim(max(rows, 1) - 0.5, -0.5)
    part.set_yticks([])
    part.set_xlabel(each.label)
    part.set_title(each.heading, fontsize="medium")
    for side in ("top", "right"):
        part.spines[side].set_visible(False)
    tone = text_colour(part)
    if not each.values:
        as_it_is(part.text(0.5, 0.5, each.nothing, transform=part.transAxes, ha="center", va="center", color=tone))
        return
    write = number_format(each.values)
    names = drawable([(name, LONGEST_TITLE) for name in each.names])
    titles, numbers = [], []
    for row, (name, value) in enumerate(zip(names, each.values, strict=True)):
        across = part.get_yaxis_transform()
        text = as_it_is(part.text(0.01, row, name.text, transform=across, va="center", color=tone, clip_on=True))
        text.set(fontfamily=name.families, fontsize="small")
        titles.append(text)
        numbers.append(
            part.text(0.99, row, write(value), transform=across, ha="right", va="center", color=tone, fontsize="small")
        )
    for text in (*titles, *numbers):
        text.set_in_layout(False)
    before_drawing(part, lambda renderer: _fit(part, titles, names, numbers, renderer))


def _fit(part: Axes, titles: Sequence[Any], names: Sequence[Drawable], numbers: Sequence[Any], renderer: Any) -> None:
    """Cut titles to the width that numbers leave, in a font that fits into the rows."""
    from matplotlib.font_manager import FontProperties

    usual = FontProperties(size="small").get_size_in_points()
    bottom, top = part.transData.transform([(0, 1), (0, 0)])[:, 1]
    height = abs(top - bottom)
    size = min(usual, 0.75 * height / renderer.points_to_pixels(1.0))
    frame = part.get_window_extent(renderer)
    for number in numbers:
        number.set(fontsize=max(size, SMALLEST_TEXT), visible=size >= SMALLEST_TEXT)
    widest = max(number.get_window_extent(renderer).width for number in numbers) if size >= SMALLEST_TEXT else 0
    room = 0.97 * frame.width - widest
    for title, name in zip(titles, names, strict=True):
        title.set(text=name.text, fontsize=max(size, SMALLEST_TEXT), visible=size >= SMALLEST_TEXT)
        if size >= SMALLEST_TEXT:
            _cut(title, name.text, room, renderer)


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
