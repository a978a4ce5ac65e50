"""What is seen of a figure: where its texts are, and whether they can be read."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

STYLES = ("default", "dark_background")
SIZES = ((4, 3), (6.4, 4.8), (16, 4))


def saved(ax):
    """The figure of the axes as PNG, in bytes: it was drawn, and warnings were errors."""
    file = io.BytesIO()
    ax.figure.savefig(file, format="png")
    return file.getvalue()


def boxes(texts):
    """Where the visible texts of a drawn figure are, in pixels: (left, bottom, right, top)."""
    return [text.get_window_extent().extents for text in texts if text.get_visible() and text.get_text()]


def overlapping(some):
    """The pairs of boxes that lie over each other by more than half a pixel."""
    return [
        (one, other)
        for number, one in enumerate(some)
        for other in some[:number]
        if min(one[2], other[2]) - max(one[0], other[0]) > 0.5 and min(one[3], other[3]) - max(one[1], other[1]) > 0.5
    ]


def outside(some, frame):
    """The boxes that reach beyond a frame, by more than a pixel."""
    left, bottom, right, top = frame.extents
    return [box for box in some if box[0] < left - 1 or box[1] < bottom - 1 or box[2] > right + 1 or box[3] > top + 1]


def texts_of(figure):
    """All texts of a drawn figure that are seen: of the ticks those within the limits."""
    found = []
    for ax in figure.findobj(Axes):
        found += ax.texts
        found += ax.get_legend().get_texts() if ax.get_legend() else []
        if ax.axison:
            found += [ax.title, ax.xaxis.label, ax.yaxis.label, *tick_labels(ax.xaxis), *tick_labels(ax.yaxis)]
    return found


def tick_labels(axis):
    """The labels of the ticks that are seen."""
    return [label for tick in axis._update_ticks() for label in (tick.label1, tick.label2) if axis.get_visible()]


def contrast(one, other):
    """The contrast of two colours, from 1 to 21 (WCAG 2)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(tone):
    channels = np.array(to_rgb(tone))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4) @ [
        0.2126,
        0.7152,
        0.0722,
    ]
