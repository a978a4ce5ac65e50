"""Items on a plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from daskals.kernels.types import Float32, Float64, Int64
from daskals.plots.drawing import as_it_is, axes_or_new, check_axes, colour, mixed, require_matplotlib
from daskals.plots.fonts import drawable
from daskals.plots.labels import Choice, place_labels
from daskals.plots.reading import Items, Titles, items_of, require_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from daskals.recommendation import ALSModel

#: From so many items on their density is drawn instead of points.
MANY_ITEMS = 10_000
#: So many labels there are at most,
MOST_LABELS = 40
#: of so many times as many items, which are tried in turn.
TRIES = 8
#: Characters of a title.
LONGEST_TITLE = 30


class _Plane(NamedTuple):
    places: Float64  #: (items, 2)
    shares: Float64  #: (2,): of the spread of all components


def itemMap(
    model: ALSModel, titles: Any = None, items: Any = None, *, labels: int = MOST_LABELS, ax: Axes | None = None
) -> Axes:
    """A map on which items lie close together that the same users like.

    The rows of item factors, without biases, are brought to length 1, so that they differ in direction alone, and laid
    onto the plane in which they differ most (their first two principal components), where each counts by its number of
    ratings: else the many items with few ratings, whose rows are mostly chance, would choose the plane.

    Parameters
    ----------
    model : ALSModel
        All its item factors come to this process: ``4 * rank`` bytes for each item.
    titles : dict or Series of id to title, or frame, optional
        What items are called; by their ids without it. Of a frame the column of items (or the first) has the ids, and
        the one called "title" or "name" (or the next) the titles.
    items : sequence of ids, optional
        Items to be marked and labelled. By default those with the most ratings in the fit are; where a model does not
        know these numbers, as one of Spark's, those with the longest rows.
    labels : int, default 40
        How many labels there are, at most. One that would lie over another, or reach beyond the axes, is not drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        With a point for each item, or from 10,000 items on with the density of points. The axes are the components,
        with their shares of the spread. Items with labels, and those in ``items``, have the style's second colour.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError
        ``model`` or ``titles`` is none, or ``ax`` no Axes.
    ValueError
        An item that the model does not have; a model without items; ``labels`` below 0.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")                                       # no window
    >>> import pandas as pd
    >>> from daskals import ALS
    >>> from daskals.plots import itemMap
    >>> rows = [(user, item, 5.0 if (user + item) % 2 else 1.0) for user in range(6) for item in range(4)]
    >>> model = ALS(rank=2, seed=0).fit(pd.DataFrame(rows, columns=["user", "item", "rating"]))
    >>> ax = itemMap(model, titles={0: "Alien", 1: "Amélie", 2: "Aliens"})
    >>> ax.figure.canvas.draw()
    >>> sorted(text.get_text() for text in ax.texts)
    ['3', 'Alien', 'Aliens', 'Amélie']
    >>> import matplotlib.pyplot as plt
    >>> plt.close(ax.figure)
    """
    require_matplotlib("itemMap")
    check_axes(ax)
    require_model(model)
    if labels < 0:
        raise ValueError(f"labels={labels} is not allowed: it must be 0 or more")
    found = items_of(model)
    if not len(found.ids):
        raise ValueError(f"The model {model.uid} has no items to draw.")
    chosen = _asked(found, items) if items is not None else _leading(found)[: TRIES * labels]
    names = Titles(titles, model.getItemCol()).of(found.ids.iloc[chosen].tolist())
    plane = plane_of(found.rows, found.counts)
    ax = axes_or_new(ax)
    _draw(ax, plane, chosen, names, Choice(labels, items is not None))
    return ax


def _asked(found: Items, items: Any) -> Int64:
    """The places of the items that are asked for, each once."""
    wanted = pd.Index([items] if isinstance(items, str) or np.ndim(items) == 0 else list(items)).unique()
    places = pd.Index(found.ids).get_indexer(wanted)
    if (places < 0).any():
        missing = wanted[places < 0].tolist()
        raise ValueError(
            f"{len(missing)} of the {len(wanted)} items are not in the model, the first of them {missing[0]!r}: leave "
            "them out."
        )
    return np.asarray(places, np.int64)


def _leading(found: Items) -> Int64:
    """Items by their numbers of ratings or, where these are not known, by the lengths of their rows; most first."""
    weight = found.counts if found.counts is not None else np.linalg.norm(found.rows, axis=1)
    order: Int64 = np.argsort(-weight, kind="stable")
    return order


def plane_of(rows: Float32, counts: Int64 | None = None) -> _Plane:
    """Rows of length 1 on their first two principal components, each counted ``counts`` times.

    Of rank 1 the rows as they are, on a line. The signs are such that the longer half of each axis points up.
    """
    unit = np.array(rows, np.float64)
    if unit.shape[1] > 1:
        lengths = np.linalg.norm(unit, axis=1, keepdims=True)
        unit = np.divide(unit, lengths, out=np.zeros_like(unit), where=lengths > 0)
    weights = np.ones(len(unit)) if counts is None or not counts.sum() else counts / counts.sum()
    centred = unit - np.average(unit, axis=0, weights=weights)
    # the right singular vectors of the weighted rows, from a matrix of (rank, rank)
    _, values, axes = np.linalg.svd((centred.T * weights) @ centred, hermitian=True)
    places = np.zeros((len(unit), 2))
    places[:, : min(2, unit.shape[1])] = centred @ axes[:2].T
    shares = np.zeros(2)
    total = values.sum()
    if total > 0:
        shares[: len(values[:2])] = values[:2] / total
    signs = np.where(-places.min(axis=0) > places.max(axis=0), -1.0, 1.0)
    return _Plane(places * signs, shares)


def _draw(ax: Axes, plane: _Plane, chosen: Int64, names: Sequence[str], choice: Choice) -> None:
    x, y = plane.places.T
    if len(x) >= MANY_ITEMS:
        _density(ax, x, y)
    else:
        size = float(np.clip(20_000 / len(x), 4, 30))
        ax.scatter(x, y, s=size, color=colour(0), alpha=0.35, linewidths=0, rasterized=len(x) > 500)
    ax.margins(0.06)
    ax.set_xticks([])
    ax.set_yticks([])
    for axis, number, share in zip((ax.xaxis, ax.yaxis), (1, 2), plane.shares, strict=True):
        as_it_is(axis.label).set_text(f"component {number} ({share:.0%})")
    place_labels(ax, plane.places[chosen], drawable([(name, LONGEST_TITLE) for name in names]), choice)


def _density(ax: Axes, x: Float64, y: Float64) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    tone = colour(0)
    shades = LinearSegmentedColormap.from_list("density", [mixed(ax, tone, 0.2), mixed(ax, tone, 1.0)])
    spots = ax.hexbin(x, y, gridsize=60, mincnt=1, bins="log", cmap=shades, linewidths=0.2)
    bar = ax.figure.colorbar(spots, ax=ax, pad=0.02)
    bar.set_label("items in a spot")
