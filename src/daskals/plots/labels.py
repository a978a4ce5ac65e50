"""Labels of points that do not lie over each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from daskals.kernels.types import Float64
from daskals.plots.drawing import as_it_is, background, before_drawing, colour, text_colour
from daskals.plots.fonts import Drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Where a label may be, seen from its point: right, left, above, below, and between those.
SIDES = [(1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1)]
#: Points from the middle of a mark to its label, and between two labels.
GAP, AIR = 4.0, 1.5
#: A box is (left, bottom, right, top), in pixels.
Box = tuple[float, float, float, float]


class Choice(NamedTuple):
    """Which points are marked, and how many have a label."""

    most: int  #: labels
    all_marked: bool  #: whether points without a label are marked too


def place_labels(ax: Axes, places: Float64, names: Sequence[Drawable], choice: Choice) -> None:
    """Label points, the first first, where there is room; a label that finds none is not drawn.

    This is decided whenever the axes are drawn, so it holds for any size of theirs.
    """
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2, foreground=background(ax))]
    texts = []
    for (x, y), name in zip(places, names, strict=True):
        text = as_it_is(ax.text(x, y, name.text, fontsize="x-small", color=text_colour(ax), clip_on=True, zorder=4))
        text.set(fontfamily=name.families, path_effects=halo)
        text.set_in_layout(False)
        texts.append(text)
    marks = ax.scatter(places[:, 0], places[:, 1], s=14, color=colour(1), linewidths=0, zorder=3, gid="marked")
    before_drawing(ax, lambda renderer: _arrange(ax, places, texts, choice, marks, renderer))


def _arrange(ax: Axes, places: Float64, texts: Sequence[Any], choice: Choice, marks: Any, renderer: Any) -> None:
    pixel = renderer.points_to_pixels(1.0)
    frame = ax.get_window_extent(renderer)
    inside = (frame.x0 + pixel, frame.y0 + pixel, frame.x1 - pixel, frame.y1 - pixel)
    points = ax.transData.transform(places) if len(places) else np.empty((0, 2))
    # labels keep off the marks of others: of all that are marked anyway, or of those that have a label so far
    kept_off = [_around(x, y, 2 * pixel) for x, y in points] if choice.all_marked else []
    taken: list[Box] = []
    labelled = []
    for number, (text, (x, y)) in enumerate(zip(texts, points, strict=True)):
        text.set_visible(len(taken) < choice.most)
        if not text.get_visible():
            continue
        size = text.get_window_extent(renderer)
        mark = _around(x, y, 2 * pixel)
        free = choice.all_marked or not any(_overlap(mark, each, 0) for each in taken)
        box = _first_free(
            [_beside(x, y, size.width, size.height, side, GAP * pixel) for side in SIDES if free],
            inside,
            [*taken, *(each for other, each in enumerate(kept_off) if other != number or not choice.all_marked)],
            AIR * pixel,
        )
        text.set_visible(box is not None)
        if box is not None:
            taken.append(box)
            labelled.append(number)
            text.set(ha="left", va="bottom", position=ax.transData.inverted().transform(box[:2]))
            if not choice.all_marked:
                kept_off.append(mark)
    marks.set_offsets(places if choice.all_marked else places[labelled])


def _first_free(boxes: Sequence[Box], inside: Box, taken: Sequence[Box], air: float) -> Box | None:
    for box in boxes:
        if _holds(inside, box) and not any(_overlap(box, each, air) for each in taken):
            return box
    return None


def _around(x: float, y: float, far: float) -> Box:
    return x - far, y - far, x + far, y + far


def _beside(x: float, y: float, width: float, height: float, side: tuple[int, int], gap: float) -> Box:
    across, up = side
    left = x + gap if across > 0 else x - gap - width if across < 0 else x - width / 2
    bottom = y + gap if up > 0 else y - gap - height if up < 0 else y - height / 2
    return left, bottom, left + width, bottom + height


def _holds(outer: Box, inner: Box) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


def _overlap(one: Box, other: Box, air: float) -> bool:
    return one[0] < other[2] + air and other[0] < one[2] + air and one[1] < other[3] + air and other[1] < one[3] + air
