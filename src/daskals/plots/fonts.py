"""Characters that the font of a style does not have.

matplotlib warns of each and draws a box. Here another font of this machine is looked for that has them, which
matplotlib then takes for these characters alone; what no font has becomes a question mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from daskals.plots.drawing import shortened

#: A font that has a box for every character there is.
BOXES = "Last Resort"


class Drawable(NamedTuple):
    """A text of characters that one of some fonts has."""

    text: str
    families: list[str]  #: of fonts, the style's own first


def drawable(texts: Iterable[tuple[str, int]]) -> list[Drawable]:
    """Texts, each shortened to so many characters, as they can be drawn."""
    return [_drawable(shortened(text, longest)) for text, longest in texts]


def _drawable(text: str) -> Drawable:
    from matplotlib import rcParams

    own = tuple(rcParams["font.family"])
    lacking = _lacking(text, own)
    if not lacking:
        return Drawable(text, list(own))
    more, left = _fonts_for(lacking)
    for character in left:
        text = text.replace(character, "..." if character == "…" else "?")
    return Drawable(text, [*own, *more])


def _lacking(text: str, families: Sequence[str]) -> frozenset[str]:
    """The characters of a text that none of the fonts has which matplotlib finds for the families."""
    from matplotlib.font_manager import FontProperties, fontManager, get_font

    fonts = []
    for family in families:
        try:
            fonts.append(get_font(fontManager.findfont(FontProperties(family=family), fallback_to_default=False)))
        except ValueError:  # no such font
            continue
    if not fonts:
        fonts = [get_font(fontManager.findfont(FontProperties()))]
    return frozenset(character for character in set(text) if not any(_has(font, character) for font in fonts))


def _has(font: Any, character: str) -> bool:
    return bool(font.get_char_index(ord(character)))


@lru_cache(maxsize=256)
def _fonts_for(characters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Families that have these characters, as few as there are, and the characters that none has."""
    from matplotlib.font_manager import fontManager, get_font

    chosen: list[str] = []
    left = set(characters)
    for entry in sorted(fontManager.ttflist, key=lambda entry: (entry.style != "normal", str(entry.weight) != "400")):
        if not left:
            break
        if entry.name in chosen or entry.name.startswith(BOXES):
            continue
        try:
            font = get_font(entry.fname)
        except (OSError, RuntimeError):  # a file that is gone, or cannot be read
            continue
        has = {character for character in left if _has(font, character)}
        if has:
            chosen.append(entry.name)
            left -= has
    return tuple(chosen), frozenset(left)
