"""How an object shows itself: one line in a terminal, a small table in a notebook, both of the same rows.

To show an object never computes anything, asks no cluster, and never fails: whoever looks at it may be looking for the
reason why it does not work. Values are cut where they are long.
"""

from __future__ import annotations

import html
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80
_short.maxlist = _short.maxtuple = _short.maxdict = 8

#: No colours: they are those of the notebook, dark or light.
_TABLE = "border-collapse: collapse; margin: 0.2em 0 0.4em 0"
_CELL = "text-align: left; vertical-align: baseline; padding: 0.1em 1.2em 0.1em 0"
_VALUE = f"{_CELL}; font-family: monospace; overflow-wrap: break-word"
_NOTE = f"{_CELL}; opacity: 0.7"


class Row(NamedTuple):
    """One thing that is shown."""

    name: str
    value: str
    #: what it means, for which a table has room and a line has not
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """What is shown of an object."""

    title: str
    rows: Sequence[Row]
    #: whether the text is a call, ``ALS(rank=5)``; otherwise it is ``ALSModel: rank=5``
    is_call: bool = False
    #: an object that belongs to this one, with its name
    part: tuple[str, Picture] | None = None
    #: rows that a notebook shows when they are asked for, with their heading
    folded: tuple[str, Sequence[Row]] = ("", ())

    def text(self) -> str:
        """One line; one more for the part."""
        values = ", ".join(f"{row.name}={row.value}" for row in self.rows)
        line = f"{self.title}({values})" if self.is_call else f"{self.title}: {values}"
        return line if self.part is None else f"{line}\n  {self.part[0]}={self.part[1].text()}"

    def html(self) -> str:
        """A table, all of whose text is escaped."""
        heading, rows = self.folded
        inner = [f"<div><strong>{html.escape(self.title)}</strong></div>", _table(self.rows)]
        summary = f"<summary>{html.escape(heading)}</summary>"
        if self.part is not None:
            name, part = self.part
            inner.append(f"<div>{html.escape(name)}</div><div style='margin: 0.2em 0 0 1.5em'>{part.html()}</div>")
        if rows:
            inner.append(f"<details style='margin-bottom: 0.4em'>{summary}{_table(rows)}</details>")
        return f"<div>{''.join(inner)}</div>"


class Shown:
    """An object that shows itself by `_picture`."""

    def _picture(self) -> Picture:
        raise NotImplementedError

    def __repr__(self) -> str:
        try:
            return self._picture().text()
        except Exception:  # one that is not complete, say, since its constructor raised
            return object.__repr__(self)

    def _repr_html_(self) -> str | None:
        """What notebooks show; None makes them show the text."""
        try:
            return self._picture().html()
        except Exception:
            return None


def short(value: object) -> str:
    """A value as text of at most some 80 letters, or 8 values; objects that show themselves by their own text.

    >>> short(0.05), short([5, 10]), short([{"rank": 5}, {"rank": 10, "alpha": 1.0}])
    ('0.05', '[5, 10]', '[2 maps of rank, alpha]')
    """
    if isinstance(value, Shown):
        return repr(value)
    if isinstance(value, list | tuple) and value and all(isinstance(each, Mapping) for each in value):
        names = dict.fromkeys(str(getattr(key, "name", key)) for each in value for key in each)
        return f"[{count(len(value), 'map')} of {', '.join(names)}]" if names else f"[{count(len(value), 'map')}]"
    return " ".join(_short.repr(value).split("\n"))


def count(n: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "map"), count(2, "map")
    ('1 map', '2 maps')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def rounded(value: float) -> str:
    """A metric with four digits."""
    return f"{value:.4g}"


def _table(rows: Iterable[Row]) -> str:
    lines = "".join(
        f"<tr><td style='{_CELL}'>{html.escape(row.name)}</td><td style='{_VALUE}'>{html.escape(row.value)}</td>"
        f"<td style='{_NOTE}'>{html.escape(row.note)}</td></tr>"
        for row in rows
    )
    return f"<table style='{_TABLE}'><tbody>{lines}</tbody></table>" if lines else ""
