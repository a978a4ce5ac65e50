"""How the table in a file is laid out: separator, names of columns, and whether the first line has them."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow.parquet as pq

from daskals.cli.column_names import is_known_name
from daskals.cli.heads import Head
from daskals.io.tables import TableForm

#: Separators that are looked for. Where several fit, the one that makes the most columns of a line is taken, and of
#: those the first.
SEPARATORS = ("::", "\t", ",", ";", "|", " ")
IN_WORDS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "|", "::": "::", " ": "space"}
#: Lines that are looked at.
SAMPLE = 2000
#: The share of them that must have as many fields as most have.
ALIKE = 0.9


class Layout(NamedTuple):
    """A table before it is read."""

    form: TableForm
    #: the first rows as text, without the line of names; none of Parquet
    rows: list[list[str]]
    #: of Parquet: which columns are numbers; None where only the rows tell
    numbers: frozenset[str] | None = None

    def sample(self, name: str) -> list[str]:
        """The values of a column in the first rows; missing fields are left out."""
        place = self.form.names.index(name)
        return [row[place].strip() for row in self.rows if len(row) > place and row[place].strip()]

    def is_numeric(self, name: str) -> bool:
        """Whether the column holds numbers, as far as the first rows tell."""
        if self.numbers is not None:
            return name in self.numbers
        values = self.sample(name)
        return bool(values) and all(is_number(value, self.form.decimal) for value in values)


def layout_of(
    file: str, head: Head, separator: str | None = None, header: bool | None = None, encoding: str | None = None
) -> Layout:
    """Find out how a table lies in a file; what is given is not guessed. ``ValueError`` where it cannot be told."""
    if head.kind == "parquet":
        return _of_parquet(file)
    form = TableForm(head.kind, (), encoding=encoding or head.encoding, compression=head.compression)
    if head.kind == "json":
        return _of_json(file, form, head.lines)
    lines = head.lines[:SAMPLE]
    rows = split_lines(lines, separator) if separator else []
    if separator is None:
        separator = _separator_of(file, lines)
        rows = split_lines(lines, separator)
    elif max(map(len, rows)) == 1:
        raise ValueError(
            f"{file}: the separator {IN_WORDS.get(separator, separator)} makes one column of its lines; the first is "
            f"{_shortened(lines[0])!r}"
        )
    width = Counter(map(len, rows)).most_common(1)[0][0]
    _check_widths(file, rows, width)
    decimal = "," if separator == ";" and _has_decimal_commas(rows) else "."
    if header is None:
        header = _has_header(rows, width, decimal)
    names = _unique(rows[0]) if header else tuple(str(number) for number in range(1, width + 1))
    rows = rows[1:] if header else rows
    if header and not rows:
        raise ValueError(f"{file} has a line of names ({', '.join(names)}) and no rows")
    colons = separator == "::" and any(":" in field for row in rows for field in row)
    return Layout(form._replace(names=names, separator=separator, header=header, decimal=decimal, colons=colons), rows)


def is_number(text: str, decimal: str = ".") -> bool:
    """Whether a field is a number."""
    try:
        float(text.replace(decimal, ".") if decimal != "." else text)
    except ValueError:
        return False
    return True


def split_lines(lines: Sequence[str], separator: str) -> list[list[str]]:
    """The fields of lines, without quotes."""
    if separator == "::":
        return [line.split("::") for line in lines]
    if separator == " ":
        return [line.split() for line in lines]
    return [row for row in csv.reader(lines, delimiter=separator, skipinitialspace=separator != "\t") if row]


def _separator_of(file: str, lines: Sequence[str]) -> str:
    found: dict[str, int] = {}
    for separator in SEPARATORS:
        widths = Counter(map(len, split_lines(lines, separator)))
        width, times = widths.most_common(1)[0]
        if width > 1 and times >= ALIKE * sum(widths.values()):
            found[separator] = width
    if "::" in found:
        return "::"
    if not found:
        raise ValueError(
            f"{file}: no separator makes columns of its lines; the first is {_shortened(lines[0])!r}. Expected lines "
            "such as user,item,rating with commas, tabs, semicolons, | or :: between them. Name another one with --sep"
        )
    # a space is what titles have, too: only where there is nothing else
    return max((each for each in found if each != " "), key=lambda each: found[each], default=" ")


def _shortened(line: str) -> str:
    return line if len(line) <= 60 else f"{line[:60]}..."


def _check_widths(file: str, rows: Sequence[Sequence[str]], width: int) -> None:
    """A line of more fields than the others has a separator inside of one: all behind it would be read wrongly."""
    long = next((number for number, row in enumerate(rows, start=1) if len(row) > width), None)
    if long is not None:
        raise ValueError(
            f"{file}, line {long}: there are {len(rows[long - 1])} fields where the other lines have {width}; a field "
            "with the separator in it must be in quotes"
        )


def _has_header(rows: Sequence[Sequence[str]], width: int, decimal: str) -> bool:
    """Whether the first row has names: a word that names a column, or words above numbers."""
    first, others = rows[0], [row for row in rows[1:] if len(row) == width]
    if any(is_number(field, decimal) for field in first if field.strip()):
        return False
    if sum(map(is_known_name, first)) > 1:
        return True
    return any(
        others and all(is_number(row[place], decimal) for row in others if row[place].strip())
        for place in range(min(width, len(first)))
    )


def _has_decimal_commas(rows: Sequence[Sequence[str]]) -> bool:
    return any(re.fullmatch(r"\s*-?\d+,\d+\s*", field) for row in rows[1:] for field in row)


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Names without spaces around them; one that is there twice, or empty, gets its number."""
    plain = [name.strip() for name in names]
    times = Counter(plain)
    return tuple(
        name if name and times[name] == 1 else f"{name}_{number}".strip("_") for number, name in enumerate(plain, 1)
    )


def _of_parquet(file: str) -> Layout:
    import fsspec
    import pyarrow as pa

    fs, place = fsspec.url_to_fs(file)
    try:
        with fs.open(place, "rb") as opened:
            schema = pq.read_schema(opened)
    except pa.ArrowException as error:
        raise ValueError(f"{file} begins as a Parquet file does, and cannot be read as one: {error}") from None
    numbers = {
        field.name
        for field in schema
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)
    }
    return Layout(TableForm("parquet", tuple(schema.names)), [], frozenset(numbers))


def _of_json(file: str, form: TableForm, lines: Sequence[str]) -> Layout:
    objects = []
    for number, line in enumerate(lines[:SAMPLE], start=1):
        try:
            found = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{file}: line {number} is not JSON: {error}") from None
        if not isinstance(found, dict):
            raise ValueError(f'{file}: line {number} is no JSON object, such as {{"user": 1, "item": 2}}: {line[:60]}')
        objects.append(found)
    names = tuple(dict.fromkeys(str(name) for each in objects for name in each))
    rows = [["" if each.get(name) is None else str(each[name]) for name in names] for each in objects]
    numbers = {
        name
        for name in names
        if all(isinstance(each.get(name), int | float) and not isinstance(each.get(name), bool) for each in objects)
    }
    return Layout(form._replace(names=names), rows, frozenset(numbers))
