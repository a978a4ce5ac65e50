"""What all pictures share: axes to draw into, colours of the style in force, texts that say what they are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.text import Text


def require_matplotlib(what: str) -> None:
    """``ImportError`` that says what to install where there is no matplotlib; ``what`` needs it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(f"daskals.plots.{what} needs matplotlib: pip install 'daskals[viz]'") from error


def check_axes(ax: Any) -> None:
    """``TypeError`` for what is neither None nor Axes."""
    from matplotlib.axes import Axes

    if ax is None or isinstance(ax, Axes):
        return
    if isinstance(ax, np.ndarray):
        raise TypeError(f"ax must be one Axes, got an array of them of shape {ax.shape}: pass one, such as ax.flat[0].")
    raise TypeError(f"ax must be a matplotlib Axes or None, got {ax!r}: plt.subplots() gives a figure and its Axes.")


def axes_or_new(ax: Axes | None, size: tuple[float, float] | None = None) -> Axes:
    """The Axes that were given, or those of a new figure of pyplot, of so many inches or as the style says."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    made: Axes = plt.figure(figsize=size, layout="constrained").add_subplot()
    return made


def default_size() -> tuple[float, float]:
    """Width and height of a new figure, in inches."""
    from matplotlib import rcParams

    width, height = rcParams["figure.figsize"]
    return float(width), float(height)


# ---- colours ---------------------------------------------------------------------------------------------


def colour(number: int) -> str:
    """A colour of the cycle of the style in force."""
    from matplotlib import rcParams
    from matplotlib.colors import to_hex

    known = rcParams["axes.prop_cycle"].by_key().get("color") or ["C0"]
    return to_hex(known[number % len(known)])


def text_colour(ax: Axes) -> Any:
    """The colour of texts of the style that the axes were made in."""
    return ax.xaxis.label.get_color()


def mixed(ax: Axes, tone: Any, share: float) -> tuple[float, ...]:
    """A colour laid over the background of the axes, with an opacity of ``share``."""
    from matplotlib.colors import to_rgb

    over, under = np.array(to_rgb(tone)), np.array(background(ax))
    return tuple((share * over + (1 - share) * under).tolist())


def background(ax: Axes) -> tuple[float, float, float]:
    """What is behind what is drawn: the colour of the axes, or of the figure where that is transparent."""
    from matplotlib.colors import to_rgb, to_rgba

    behind = ax.get_facecolor()
    if to_rgba(behind)[3] == 0:
        behind = ax.figure.get_facecolor()
    return to_rgb(behind)


def readable_on(tone: Any) -> str:
    """Black or white, whichever differs more in luminance from a colour."""
    from matplotlib.colors import to_rgb

    channels = np.array(to_rgb(tone))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return "white" if (1.05 / (luminance + 0.05)) > ((luminance + 0.05) / 0.05) else "black"


# ---- texts -----------------------------------------------------------------------------------------------


def as_it_is(text: Text) -> Text:
    """The text, which is shown as it is: $ and _ of titles are no mathematics."""
    text.set_parse_math(False)
    text.set_usetex(False)
    return text


def shortened(words: str, longest: int) -> str:
    """The words in one line of at most so many characters."""
    line = " ".join(words.split())
    return line if len(line) <= longest else line[: max(1, longest - 1)].rstrip() + "…"


def number_format(values: Any) -> Callable[[float], str]:
    """How to write numbers so that those that differ look different, with no more digits than that takes."""
    finite = np.asarray(values, float)
    finite = np.unique(finite[np.isfinite(finite)])
    largest = float(np.abs(finite).max(initial=0))
    if largest and not 1e-3 <= largest < 1e6:
        return lambda value: f"{value:.3g}"
    if (finite == np.round(finite)).all():
        return lambda value: f"{value:.0f}"
    gap = float(finite[-1] - finite[0]) if len(finite) > 1 else largest
    digits = int(np.clip(2 - np.floor(np.log10(gap)), 0, 6)) if gap > 0 else 2
    return lambda value: f"{value:.{digits}f}"


def before_drawing(ax: Axes, arrange: Callable[[Any], None]) -> None:
    """Have ``arrange(renderer)`` called each time the axes are drawn, before what is in them is.

    Then places are known for good: after layouts, in a window of another size, at another resolution.
    """
    from matplotlib.artist import Artist

    class Arranging(Artist):
        """Draws nothing."""

        def draw(self, renderer: Any) -> None:
            """Arrange the others."""
            arrange(renderer)

    artist = Arranging()
    artist.set_zorder(-1e9)
    artist.set_in_layout(False)
    ax.add_artist(artist)


def add_legend(ax: Axes, handles: Sequence[Artist], names: Sequence[str], **more: Any) -> Any:
    """A legend with these names, whatever characters they have."""
    legend = ax.legend(handles, [str(number) for number in range(len(names))], **more)
    for text, name in zip(legend.get_texts(), names, strict=True):
        as_it_is(text).set_text(name)
    return legend
