"""Tables in files, text, JSON lines or Parquet, as pandas frames or as lazy Dask frames.

How a table lies in its files is a `TableForm`, which somebody has found out before. Only the columns that are asked for
are read, each as what it is said to be (`ColumnKind`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import dask.dataframe as dd
import pandas as pd

from daskals.io.frames import Frame

#: What a column holds: whole numbers or text (the reader finds out which), text even where it looks like numbers, whole
#: numbers, or any numbers.
ColumnKind = Literal["id", "text", "integer", "number"]

#: Bytes of text in a partition. Dask's own choice differs between machines.
BLOCK = "64MB"
#: Lines that are looked at together when a fault is looked for.
LINES = 100_000


class TableForm(NamedTuple):
    """How a table lies in its files."""

    kind: Literal["text", "json", "parquet"]
    #: of all columns, in their order
    names: tuple[str, ...]
    #: of text, this and all that follows
    separator: str = ","
    #: whether the first line has the names
    header: bool = True
    encoding: str = "utf-8"
    #: as pandas calls it; None for none
    compression: str | None = None
    #: the sign before the fraction of a number
    decimal: str = "."
    #: whether fields of a table with the separator :: have single colons in them
    colons: bool = False

    @property
    def can_be_split(self) -> bool:
        """Whether a part of a file can be read without what is before it."""
        return self.compression is None and not self.encoding.startswith("utf-16")


def read_table(files: Sequence[str], form: TableForm, columns: Mapping[str, ColumnKind]) -> pd.DataFrame:
    """Some columns of a table that lies in one or several files, in memory; what pandas raises comes out of here."""
    parts = [_read_file(file, form, columns) for file in files]
    whole: pd.DataFrame = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
    return whole


def _read_file(file: str, form: TableForm, columns: Mapping[str, ColumnKind]) -> pd.DataFrame:
    names = list(columns)
    if form.kind == "parquet":
        read: pd.DataFrame = _as_wanted(pd.read_parquet(file, columns=names), columns)
    elif form.kind == "json":
        read = _as_wanted(pd.read_json(file, **_json_options(form)).reindex(columns=names), columns)
    else:
        read = pd.read_csv(file, **_text_options(form, columns))
    return read[names]


def scan_table(files: Sequence[str], form: TableForm, columns: Mapping[str, ColumnKind]) -> Frame:
    """The same as a lazy Dask frame, which reads the files in parts, on the workers. Ids are "integer" or "text"."""
    names = list(columns)
    if form.kind == "parquet":
        return _as_wanted(dd.read_parquet(list(files), columns=names), columns)
    if form.kind == "json":
        blocksize = BLOCK if form.can_be_split else None
        meta = pd.DataFrame({name: pd.Series(dtype=_DTYPES[kind]) for name, kind in columns.items()})
        parts = dd.read_json(list(files), blocksize=blocksize, **_json_options(form))
        return parts.map_partitions(_json_part, dict(columns), meta=meta)
    blocksize = BLOCK if form.can_be_split else None
    return dd.read_csv(list(files), blocksize=blocksize, **_text_options(form, columns))[names]


def rows_as_text(file: str, form: TableForm, names: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Some columns of a file of text, nothing converted, some lines at a time; missing fields are empty strings."""
    columns: dict[str, ColumnKind] = dict.fromkeys(names, "text")
    options = {**_text_options(form, columns), "na_filter": False, "chunksize": LINES}
    with pd.read_csv(file, **options) as chunks:
        yield from chunks


# ---- what pandas is told ---------------------------------------------------------------------------------

_DTYPES: dict[ColumnKind, str] = {"id": "int64", "integer": "int64", "text": "string", "number": "float64"}


def _text_options(form: TableForm, columns: Mapping[str, ColumnKind]) -> dict[str, Any]:
    """Arguments for ``read_csv``. An empty field is missing, and nothing else: somebody may be called NA or None."""
    names, separator, engine = list(form.names), form.separator, "c"
    if separator == "::" and not form.colons:
        # The parser in C knows separators of one character. Between two colons it finds a field that is always empty.
        separator = ":"
        names = [each for name in names for each in (name, f"{name} and nothing")][:-1]
    elif len(separator) > 1:
        engine = "python"
    places = [names.index(name) for name in columns]
    options: dict[str, Any] = {
        "sep": r"\s+" if separator == " " else separator,
        "engine": engine,
        "header": 0 if form.header else None,
        "names": names,
        "usecols": sorted(places),
        "dtype": {name: _DTYPES[kind] for name, kind in columns.items() if kind != "id"},
        "encoding": form.encoding,
        "compression": form.compression,
        "decimal": form.decimal,
        "keep_default_na": False,
        "na_values": [""],
        "skipinitialspace": separator != "\t",
    }
    return options if engine == "python" else {**options, "low_memory": False}


def _json_options(form: TableForm) -> dict[str, Any]:
    # pandas would otherwise make a number of "007"
    return {
        "lines": True,
        "dtype": False,
        "encoding": form.encoding,
        "compression": form.compression or "infer",
    }


def _json_part(part: pd.DataFrame, columns: dict[str, ColumnKind]) -> pd.DataFrame:
    return pd.DataFrame(_as_wanted(part.reindex(columns=list(columns)), columns))


def _as_wanted(frame: Frame, columns: Mapping[str, ColumnKind]) -> Frame:
    """Columns that have types of their own already: text where ids are to be text."""
    return frame.astype({name: "string" for name, kind in columns.items() if kind == "text"})
