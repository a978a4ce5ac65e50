"""Faults in files of ratings, told in one line with the place and the value."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd

from daskals.cli.guessing import Roles
from daskals.io.tables import ColumnKind, TableForm, rows_as_text


@contextmanager
def told_in_a_line(source: str, form: TableForm) -> Iterator[None]:
    """What pandas says of a file that it cannot read, in words that name the file and what to do."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{source} is not all {form.encoding}: byte {error.object[error.start : error.start + 1].hex()} is in it. "
            "Name its encoding with --encoding, such as latin-1"
        ) from None
    except (EOFError, zlib.error) as error:
        raise ValueError(f"{source} is packed by {form.compression}, and damaged or cut short: {error}") from None
    except pd.errors.ParserError as error:
        found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if found is None:
            raise ValueError(f"{source} cannot be read: {error}") from None
        expected, line, saw = found.groups()
        if form.separator == "::" and not form.colons:  # counted with the empty ones between two colons
            expected, saw = str((int(expected) + 1) // 2), str((int(saw) + 1) // 2)
        raise ValueError(f"{source}: line {line} has {saw} fields where {expected} were expected") from None


def checked(frame: pd.DataFrame, source: str, roles: Roles, *, header: bool) -> pd.DataFrame:
    """The frame, with numbers for ratings. ``ValueError`` with line and value at what is missing or no number."""
    if frame.empty:
        raise ValueError(f"{source} has no rows")
    first = 2 if header else 1
    for name in (roles.user, roles.item):
        _require_all(frame[name], source, first, "there is no id")
    if roles.rating is None:
        return frame
    column = frame[roles.rating]
    if pd.api.types.is_bool_dtype(column.dtype) or not pd.api.types.is_numeric_dtype(column.dtype):
        numbers = pd.to_numeric(column, errors="coerce")
        bad = (numbers.isna() & column.notna()).to_numpy()
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(_no_number(source, row + first, _shown(roles.rating), column.iloc[row], int(bad.sum())))
        frame = frame.assign(**{roles.rating: numbers})
    _require_all(frame[roles.rating], source, first, "there is no rating")
    values = frame[roles.rating].to_numpy(np.float64)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise ValueError(_no_number(source, row + first, _shown(roles.rating), float(values[row]), None))
    return frame


def _require_all(column: pd.Series, source: str, first: int, what: str) -> None:
    missing = column.isna().to_numpy()
    if missing.any():
        row = int(np.argmax(missing))
        raise ValueError(
            f"{source}, line {row + first}: {what} in {_shown(str(column.name))} ({int(missing.sum()):,} such); "
            "drop or repair those lines"
        )


def _shown(name: str) -> str:
    return f"column {name}"


def _no_number(source: str, line: int, column: str, value: object, times: int | None) -> str:
    more = "" if times is None else f" ({times:,} such)"
    return f"{source}, line {line}: {column} holds {value!r}, where a finite number is expected{more}"


@contextmanager
def naming_faults(search: Callable[[], str | None]) -> Iterator[None]:
    """Where a fit of files that are read lazily fails, look for the line that is to blame, and name it."""
    try:
        yield
    except (ValueError, TypeError) as error:
        found = search()
        if found is None:
            raise
        raise ValueError(found) from error


def first_fault(
    files: Sequence[str], form: TableForm, columns: Mapping[str, ColumnKind], rating: str | None
) -> str | None:
    """The first line of files of text that cannot be what its column is to hold, in words; None if there is none."""
    if form.kind != "text":
        return None
    for file in files:
        line = 2 if form.header else 1
        with told_in_a_line(file, form):
            for rows in rows_as_text(file, form, list(columns)):
                for name, kind in columns.items():
                    fault = _fault_in(rows[name], kind, form.decimal, "rating" if name == rating else "id")
                    if fault is not None:
                        row, words = fault
                        return f"{file}, line {line + row}: {_shown(name)} {words}"
                line += len(rows)
    return None


def _fault_in(column: pd.Series, kind: ColumnKind, decimal: str, what: str) -> tuple[int, str] | None:
    """The row of the first fault, and what is wrong with it."""
    missing = (column == "").to_numpy(bool)
    if missing.any():
        return int(np.argmax(missing)), f"has no {what}; drop or repair such lines"
    if kind not in ("integer", "number"):
        return None
    numbers = pd.to_numeric(column.str.replace(decimal, ".") if decimal != "." else column, errors="coerce")
    bad = ~np.isfinite(numbers.to_numpy(np.float64, na_value=np.nan))
    if not bad.any():
        return None
    row = int(np.argmax(bad))
    how = (
        "a finite number is expected"
        if kind == "number"
        else "the ids before are whole numbers; --text-ids takes all as text"
    )
    return row, f"holds {column.iloc[row]!r}, where {how}"
