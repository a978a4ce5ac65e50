"""The measured figures in docs/benchmarks/*.json, and the tables that the pages show of them.

A file has what was measured (``title``, ``data``), by which ``command``, on which ``machine``, with which ``versions``
and in how many ``rounds``; ``columns`` and, for each of the ``rows``, ``what`` and its ``values`` (null: not measured,
or not reached). How numbers are written follows from ``units`` (one for each column) or from the ``unit`` of a row.
``multiples_of`` names for a column the one of which its multiple is shown in brackets.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "benchmarks"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))
README = FOLDER.parents[1] / "README.md"
#: The texts that have figures of the files.
PAGES = (README, *sorted(FOLDER.glob("*.md")), *sorted((FOLDER.parent / "explanation").glob("*.md")))
#: Where they have them: all figures of a file, or a table of only some rows.
PLACE = re.compile(r"(<!-- figures: ([\w-]+)(?:; only: (.+?))? -->\n)(.*?)(<!-- end of figures -->)", re.DOTALL)


def load(name: str) -> dict[str, Any]:
    """The content of one file."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return content


def value_of(name: str, what: str, column: str) -> float:
    """One figure."""
    content = load(name)
    (row,) = [row for row in content["rows"] if row["what"] == what]
    value: float = row["values"][content["columns"].index(column)]
    return value


def shown(value: float | None, unit: str, missing: str = "-") -> str:
    """A number as the tables have it: seconds with three digits, scores with so many decimals."""
    if value is None:
        return missing
    if unit in ("s", "ms"):
        return three_digits(value)
    if unit == "%":
        return f"{value:.1f} %"
    if unit.isdecimal():
        return f"{value:.{unit}f}".removeprefix("0")
    if unit in ("x", "x2"):
        return f"{value:.2f}x" if unit == "x2" or value < 1.5 else f"{value:.1f}x"
    if unit.startswith("plain"):
        return f"{value:.1f}" if unit == "plain1" else f"{value:g}"
    return f"{value:,}"


def three_digits(value: float) -> str:
    """A measured time, with trailing zeros: 0.0708, 7.30, 15.6, 129."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4
    return f"{value:.{decimals}f}"


def multiple(value: float, of: float) -> str:
    """How many times as much: to two digits, which is what one run is good for."""
    ratio = value / of
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.1f}x" if ratio >= 1.05 else f"{ratio:.2f}x"


def cells(content: dict[str, Any], row: dict[str, Any]) -> list[str]:
    """The cells of a row, but for the first."""
    columns, values, texts = content["columns"], row["values"], []
    units = content.get("units") or [row.get("unit", "")] * len(columns)
    for column, value, unit in zip(columns, values, units, strict=True):
        text = shown(value, unit, content.get("missing", "-"))
        star = "*" if column in row.get("starred", ()) else ""
        of = content.get("multiples_of", {}).get(column)
        base = None if of is None else values[columns.index(of)]
        is_time_or_memory = unit in ("s", "ms", "MB")
        ratio = f" ({multiple(value, base)})" if value is not None and base and is_time_or_memory else ""
        texts.append(text + star + ratio)
    return texts


def header(content: dict[str, Any]) -> list[str]:
    """The names of the columns, with units where a column has one."""
    units = content.get("units") or [""] * len(content["columns"])
    names = [
        f"{name} ({unit})" if unit in ("s", "MB") and name != "seconds" else name
        for name, unit in zip(content["columns"], units, strict=True)
    ]
    if any("measure" in row for row in content["rows"]):
        names = ["measure", *names]
    return [content.get("first", ""), *names]


def table(content: dict[str, Any]) -> str:
    """A Markdown table of all figures of a file."""
    names = header(content)
    left = 2 if "measure" in names else 1
    lines = [names, [":---"] * left + ["---:"] * (len(names) - left)]
    for row in content["rows"]:
        unit = row.get("unit", "").removeprefix("plain ")
        label = f"{row['what']} ({unit})" if unit else row["what"]
        lines.append([label, *([row["measure"]] if "measure" in row else []), *cells(content, row)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def conditions(content: dict[str, Any]) -> str:
    """A line that says on what the figures were measured, and with what."""
    rounds, threads = content["rounds"], content["threads"]
    parts = [content["data"][:1].upper() + content["data"][1:]]
    if content["machine"]:
        parts.append((f"{threads} threads on " if threads else "") + content["machine"])
    if rounds:
        parts.append("one round" if rounds == 1 else f"medians of {rounds} rounds")
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    return "; ".join(parts) + "." + (f" With {versions}." if versions else "")


def section(name: str, only: str | None = None) -> str:
    """What a page has of a file: the command, the conditions, the table and what its star means.

    Or, of the rows that ``only`` names between semicolons, the table alone.
    """
    content = load(name)
    if only:
        wanted = only.split("; ")
        content["rows"] = [row for row in content["rows"] if row["what"] in wanted]
        if len(content["rows"]) != len(wanted):
            raise ValueError(f"{name}.json has not all of the rows {wanted}")
        return f"\n{table(content)}\n\n"
    star = f"\n\\* {content['starred'][:1].upper()}{content['starred'][1:]}.\n" if "starred" in content else ""
    return f"\n```sh\n{content['command']}\n```\n\n{conditions(content)}\n\n{table(content)}\n{star}\n"


def filled(page: str) -> str:
    """The text of a page with the figures as they stand in the files."""
    return PLACE.sub(lambda found: found[1] + section(found[2], found[3]) + found[5], page)
