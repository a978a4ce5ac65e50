"""How the pictures of the documentation look, and how they are written: as SVG that follows light and dark.

A picture is drawn by matplotlib with the colours below, which stand for what they are used for. In the file each of
them becomes a CSS variable, whose value follows the theme of the page. The background belongs to the picture, so text
is readable even where a page and its reader's system do not agree on the theme. Text stays text: it can be found, read
aloud, and takes the reader's font.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
#: What a colour is for: its value in light pages, and in dark ones.
THEME = {
    "paper": ("#ffffff", "#14181e"),
    "ink": ("#1f2328", "#e6edf3"),
    "faint": ("#59636e", "#9aa4af"),
    "grid": ("#d8dee4", "#343b44"),
    "ours": ("#0a66c2", "#58a6ff"),
    "ours-pale": ("#b9d7f5", "#1c4470"),
    "other": ("#8c959f", "#7d8794"),
    "warm": ("#bc4c00", "#f0883e"),
    "warm-pale": ("#fbd8bf", "#5c3113"),
    "box": ("#f3f5f8", "#1f252d"),
    "gone": ("#cf222e", "#ff7b72"),
}
#: Role -> the colour that matplotlib is given for it; no picture has another use for these.
COLOURS = {role: f"#0a0b{n:02x}" for n, role in enumerate(THEME, 16)}
FONTS = "system-ui, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', Helvetica, Arial, sans-serif"
#: The width of a picture in inches of 72 points: that of a line of text at a desk. A telephone shows it at two thirds.
WIDTH = 6.4


def settings() -> dict[str, Any]:
    """The rcParams of all pictures."""
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "daskals",
        "font.family": "DejaVu Sans",
        "font.size": 12.5,
        "figure.facecolor": COLOURS["paper"],
        "axes.facecolor": COLOURS["paper"],
        "axes.edgecolor": COLOURS["grid"],
        "axes.labelcolor": COLOURS["faint"],
        "axes.titlecolor": COLOURS["ink"],
        "axes.titlesize": 13,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": COLOURS["grid"],
        "xtick.color": COLOURS["faint"],
        "ytick.color": COLOURS["ink"],
        "text.color": COLOURS["ink"],
        "lines.linewidth": 2,
        "figure.constrained_layout.w_pad": 0.12,
        "figure.constrained_layout.h_pad": 0.12,
    }


def figure(height: float, *axes: int, **options: Any) -> Any:
    """A figure, as wide as all are, and its Axes; ``axes`` are rows and columns of a grid, where there are several."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update(settings())
    from matplotlib import pyplot

    return pyplot.subplots(*axes, figsize=(WIDTH, height), layout="constrained", **options)


def digest(*sources: Path) -> str:
    """What tells whether a picture is older than what it was drawn from: a hash of these files and of this one."""
    found = hashlib.sha256()
    for path in (Path(__file__), *sources):
        found.update(path.read_text(encoding="utf-8").encode())
    return found.hexdigest()[:16]


def to_svg(drawn: Any, title: str, sources: tuple[Path, ...]) -> str:
    """The text of an SVG file of a figure, which is closed."""
    from matplotlib import pyplot

    file = io.StringIO()
    drawn.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    pyplot.close(drawn)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", file.getvalue(), flags=re.DOTALL)
    text = text[text.index("<svg") :]
    for role, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{role})")
    text = re.sub(r"'DejaVu Sans'(, [^;\"]*)?", FONTS, text)
    light, dark = ("".join(f"--{role}:{pair[n]};" for role, pair in THEME.items()) for n in (0, 1))
    style = f"<style>:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    start, rest = text.split(">", 1)
    note = f"<!-- sources {digest(*sources)} -->"
    lines = f'{start} role="img">\n{note}\n<title>{title}</title>\n{style}{rest}'.splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def write(name: str, drawn: Any, title: str, *sources: Path) -> None:
    """Write a figure to ``NAME.svg`` in this folder; ``sources`` are the script and the data that it was drawn from."""
    (HERE / f"{name}.svg").write_text(to_svg(drawn, title, sources), encoding="utf-8")
