"""Labels of points that do not lie over each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from daskals.kernels.types import Float64
from daskals.plots.drawing import as_it_is, background, before_drawing
from daskals.plots.fonts import Drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Where a label may be, seen from its point: right, left, above, below, and between those.
SIDES = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)]
#: Points from the middle of a mark to its label, and between two labels.
GAP, AIR = 4.0, 1.5
#: A box is (left, bottom, right, top), in pixels.
Box = tuple[float, float, float, float]


def place_labels(ax: Axes, places: Float64, names: Sequence[Drawable], tone: Any) -> None:
    """Label points, the first first, where there is room; where a label finds none it is not drawn.

    This is decided whenever the axes are drawn, so it holds for any size of theirs.
    """
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2, foreground=background(ax))]
    texts = []
    for (x, y), name in zip(places, names, strict=True):
        text = as_it_is(ax.text(x, y, name.text, fontsize="x-small", color=tone, clip_on=True, zorder=4))
        text.set(fontfamily=name.families, path_effects=halo)
        text.set_in_layout(False)
        texts.append(text)
    before_drawing(ax, lambda renderer: _arrange(ax, places, texts, renderer))


def _arrange(ax: Axes, places: Float64, texts: Sequence[Any], renderer: Any) -> None:
    pixel = renderer.points_to_pixels(1.0)
    frame = ax.get_window_extent(renderer)
    inside = (frame.x0 + pixel, frame.y0 + pixel, frame.x1 - pixel, frame.y1 - pixel)
    points = ax.transData.transform(places) if len(places) else np.empty((0, 2))
    marks = [_around(x, y, 2 * pixel) for x, y in points]
    taken: list[Box] = []
    for number, (text, (x, y)) in enumerate(zip(texts, points, strict=True)):
        text.set(visible=True, ha="left", va="bottom")
        size = text.get_window_extent(renderer)
        others = [mark for other, mark in enumerate(marks[: 2 * len(taken) + 20]) if other != number]
        for side in SIDES:
            box = _beside(x, y, size.width, size.height, side, GAP * pixel)
            if _holds(inside, box) and not any(_overlap(box, each, AIR * pixel) for each in [*taken, *others]):
                taken.append(box)
                text.set_position(ax.transData.inverted().transform((box[0], box[1])))
                break
        else:
            text.set_visible(False)


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
