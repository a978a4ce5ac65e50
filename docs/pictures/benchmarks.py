"""Draws the plots of measured figures, and writes the tables into the pages, both from docs/benchmarks/*.json.

    python docs/pictures/benchmarks.py

Run it after a change in a JSON file. ``tests/project/test_docs_figures.py`` fails where that was forgotten.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import _figures
import _style
from _figures import load, multiple, three_digits
from _style import COLOURS

HERE = Path(__file__)
#: The names of columns in pictures.
SHOWN = {"daskals-numpy": "daskals, NumPy"}


def sources(*names: str) -> tuple[Path, ...]:
    """What a picture is drawn from."""
    return HERE, Path(_figures.__file__), *(_figures.FOLDER / f"{name}.json" for name in names)


def bars(axes: Any, title: str, entries: list[tuple[str, float]], unit: str) -> None:
    """Bars from the top, ours in colour, each with its value and with the multiple of the first, ours, that it is."""
    axes.set_title(title, pad=6)
    ours = entries[0][1]
    for place, (name, value) in enumerate(entries):
        axes.barh(place, value, color=COLOURS["ours" if name.startswith("daskals") else "other"], height=0.72)
        figure = three_digits(value) + " s" if unit == "s" else f"{value:,.0f} MB"
        text = figure if place == 0 else f"{figure}  ({multiple(value, ours)})"
        axes.annotate(text, (value, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=12)
    axes.set_yticks(range(len(entries)), [name for name, _ in entries])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def scale(axes: Any, most: float, unit: str) -> None:
    """The scale under bars: powers of ten for seconds, from zero for memory."""
    if unit == "s":
        axes.set_xscale("log")
        axes.set_xlim(0.1, most * 14)
        axes.set_xticks([0.1, 1, 10, 100] if most > 50 else [0.1, 1, 10])
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
        axes.set_xlabel("seconds, on a logarithmic scale")
    else:
        axes.set_xlim(0, most * 1.45)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f} MB")
        axes.locator_params(axis="x", nbins=4)


def entries_of(name: str, what: str) -> list[tuple[str, float]]:
    """What was measured of each library, in the order of the columns; our own first."""
    content = load(name)
    (row,) = [row for row in content["rows"] if row["what"] == what]
    pairs = zip(content["columns"], row["values"], strict=True)
    return [(SHOWN.get(column, column), value) for column, value in pairs if value is not None]


def panels(name: str, file: str, parts: list[tuple[str, str]], title: str, *, unit: str = "s") -> None:
    """A picture with a panel of bars for each row that is named: ``parts`` are what was measured, and its title."""
    found = [(heading, entries_of(file, what)) for what, heading in parts]
    sizes = [len(entries) for _, entries in found]
    height = 0.34 * sum(sizes) + 0.46 * len(parts) + 0.6
    drawn, axes = _style.figure(
        height, len(parts), 1, gridspec_kw={"height_ratios": sizes}, squeeze=False, sharex=True
    )  # fmt: skip
    for one, (heading, entries) in zip(axes[:, 0], found, strict=True):
        bars(one, heading, entries, unit)
    scale(axes[-1, 0], max(value for _, entries in found for _, value in entries), unit)
    _style.write(name, drawn, title, *sources(file))


def scaling() -> None:
    """Seconds of a whole fit by the number of ratings, each way of fitting a line."""
    content = load("scaling")
    sizes = [int(row["what"].replace(",", "")) for row in content["rows"]]
    drawn, axes = _style.figure(3.4)
    ways = {
        "1 thread": ("other", "1 thread"),
        "from Parquet: 2 processes": ("warm", "2 processes"),
        "2 threads": ("ours", "2 threads"),
    }
    for column, (role, label) in ways.items():
        place = content["columns"].index(column)
        seconds = [row["values"][place] for row in content["rows"]]
        axes.plot(sizes, seconds, marker="o", color=COLOURS[role])
        end = f"{label}, {three_digits(seconds[-1])} s"
        axes.annotate(end, (sizes[-1], seconds[-1]), xytext=(10, 0), textcoords="offset points", va="center")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(sizes[0] / 1.15, sizes[-1] * 3.4)
    axes.set_xticks(sizes, [f"{size / 1e6:g} M" for size in sizes])
    axes.set_yticks([2, 5, 10, 20], ["2 s", "5 s", "10 s", "20 s"])
    axes.minorticks_off()
    axes.set_xlabel("ratings")
    axes.set_title("A whole fit: exact, rank 64, 10 iterations")
    _style.write("scaling", drawn, "Seconds of a fit against the number of ratings", *sources("scaling"))


def short_rows() -> None:
    """Seconds of an iteration by rank, on short rows."""
    content = load("short-rows")
    ranks = [int(row["what"]) for row in content["rows"]]
    drawn, axes = _style.figure(3.4)
    styles = {"exact": "-", "cg": "--"}
    for place, column in enumerate(content["columns"]):
        library, solver = column.split(", ")
        colour = COLOURS["ours" if library == "daskals" else "other"]
        seconds = [row["values"][place] for row in content["rows"]]
        axes.plot(ranks, seconds, marker="o", color=colour, linestyle=styles[solver])
        nudge = {"daskals, exact": 9, "daskals, cg": -3, "implicit, cg": -15}.get(column, 0)
        end = f"{column}, {three_digits(seconds[-1])} s"
        axes.annotate(end, (ranks[-1], seconds[-1]), xytext=(10, nudge), textcoords="offset points", va="center")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(ranks[0] / 1.1, ranks[-1] * 3.0)
    axes.set_xticks(ranks, [f"rank {rank}" for rank in ranks])
    axes.set_yticks([0.1, 1, 10], ["0.1 s", "1 s", "10 s"])
    axes.minorticks_off()
    axes.set_title("An iteration on Gowalla, whose rows are short")
    _style.write("short-rows", drawn, "Seconds of an iteration on short rows against the rank", *sources("short-rows"))


def main() -> None:
    """Draw everything and fill in the pages."""
    panels(
        "seconds", "ml20m-rank64",
        [
            ("iteration, exact", "One iteration, rank 64"),
            ("whole fit, exact, 4 iterations", "A whole fit of four iterations"),
            ("ten items for all users", "Ten items for each of 138,493 users"),
        ],
        "Seconds on 20 million ratings: daskals, Spark, implicit and cmfrec",
    )  # fmt: skip
    panels(
        "seconds-rank10", "ml20m-rank10",
        [
            ("iteration, exact", "One iteration, rank 10"),
            ("whole fit, exact, 10 iterations", "A whole fit of ten iterations"),
            ("ten items for all users", "Ten items for each of 138,493 users"),
        ],
        "Seconds on 20 million ratings, rank 10: daskals, Spark and cmfrec",
    )  # fmt: skip
    panels(
        "seconds-implicit", "ml20m-rank64-implicit",
        [
            ("iteration, exact", "One iteration, exact, rank 64"),
            ("iteration, cg", "One iteration, conjugate gradients"),
            ("ten items for all users", "Ten items for each of 138,493 users"),
        ],
        "Seconds on 20 million implicit ratings: daskals and implicit",
    )  # fmt: skip
    panels(
        "memory", "ml20m-rank64",
        [("peak memory, first fit", "Most memory during a fit, rank 64")],
        "Memory of a fit to 20 million ratings: daskals, Spark, implicit and cmfrec", unit="MB",
    )  # fmt: skip
    scaling()
    short_rows()
    for page in _figures.PAGES:
        page.write_text(_figures.filled(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
