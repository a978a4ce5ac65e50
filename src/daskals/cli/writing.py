"""Tables on stdout, and in files that are there whole or not at all."""

from __future__ import annotations

import gzip
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from daskals.cli.talking import say
from daskals.io.frames import Frame, kind_of

#: How names of files end that can be written; all but Parquet also with .gz.
ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq")
#: Rows of a table that a terminal shows.
SHOWN = 40
#: Letters of a field that a terminal shows.
WIDEST = 50


def check_target(path: str | None) -> None:
    """That a table can be written there: told before any work is done; `click.BadParameter` where it cannot."""
    if path is None:
        return
    if _kind_of(path) not in ENDINGS or path.endswith((".parquet.gz", ".pq.gz")):
        raise click.BadParameter(
            f"{path}: the name must end in {', '.join(ENDINGS)} (those of text also with .gz)", param_hint="--out"
        )
    _check_folder(path)


def check_new(path: str, *, overwrite: bool) -> None:
    """That a model can be saved there."""
    fs, place = fsspec.url_to_fs(path)
    if fs.exists(place):
        if not overwrite:
            raise FileExistsError(f"{path} is there already: --overwrite replaces it, --out NAME writes another one")
        if not fs.isdir(place) or not fs.exists(f"{place.rstrip('/')}/metadata"):
            raise FileExistsError(f"{path} is there already and is no model, so it is not replaced: give --out NAME")
    _check_folder(path)


def _check_folder(path: str) -> None:
    if "://" not in path and not Path(path).absolute().parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {Path(path).parent}")


def _kind_of(path: str) -> str:
    return Path(path.removesuffix(".gz")).suffix.lower()


# ---- files -----------------------------------------------------------------------------------------------


def write_table(table: Frame, path: str) -> int:
    """Write a pandas or Dask frame by the ending of the name; returns the number of rows.

    What was there is replaced when all is written. A Dask frame is written part by part.
    """
    rows = 0
    with _new_file(path) as draft, _writer(draft, path) as write:
        for part in _parts(table):
            write(part)
            rows += len(part)
    return rows


def _parts(table: Frame) -> Iterator[pd.DataFrame]:
    if kind_of(table) == "pandas":
        yield table
        return
    held = table.persist()
    for number in range(held.npartitions):
        yield held.partitions[number].compute()


@contextmanager
def _new_file(path: str) -> Iterator[Any]:
    """An open file that becomes ``path`` when the block ends well, and vanishes when it does not, Ctrl-C included."""
    if "://" in path:  # an object store shows a file when it is closed, and not before
        with fsspec.open(path, "wb") as file:
            yield file
        return
    target = Path(path)
    draft = target.with_name(f".{target.name}.draft-{uuid.uuid4().hex[:12]}")
    try:
        with draft.open("wb") as file:
            yield file
        os.replace(draft, target)
    except BaseException:
        with suppress(FileNotFoundError):
            draft.unlink()
        raise


@contextmanager
def _writer(file: Any, path: str) -> Iterator[Callable[[pd.DataFrame], None]]:
    """A function that writes another part of the table into the open file."""
    kind = _kind_of(path)
    if kind in (".parquet", ".pq"):
        writer: Any = None

        def write_parquet(part: pd.DataFrame) -> None:
            nonlocal writer
            table = pa.Table.from_pandas(part, preserve_index=False)
            writer = writer or pq.ParquetWriter(file, table.schema)
            writer.write_table(table)

        try:
            yield write_parquet
        finally:
            if writer is not None:
                writer.close()
        return
    packed = gzip.GzipFile(fileobj=file, mode="wb") if path.endswith(".gz") else None
    target, first = packed or file, True

    def write_text(part: pd.DataFrame) -> None:
        nonlocal first
        target.write(as_text(part, kind, header=first).encode())
        first = False

    yield write_text
    if packed is not None:
        packed.close()


def as_text(part: pd.DataFrame, kind: str, *, header: bool = True) -> str:
    """Rows as lines of CSV, TSV or JSON."""
    if kind in (".jsonl", ".ndjson"):
        return str(part.to_json(orient="records", lines=True, force_ascii=False))
    separator = "\t" if kind == ".tsv" else ","
    return str(part.to_csv(index=False, header=header, sep=separator, lineterminator="\n"))


# ---- stdout ----------------------------------------------------------------------------------------------


def show_table(table: Frame, *, whole: bool = False) -> None:
    """A table on stdout: in columns on a terminal, where no more than `SHOWN` rows are shown; CSV elsewhere."""
    terminal = sys.stdout.isatty()
    if terminal and kind_of(table) == "pandas":
        head = table if whole else table.head(SHOWN)
        click.echo(aligned(head))
        if len(head) < len(table):
            say(f"({len(head)} of {len(table):,} rows; --out FILE writes all of them)")
        return
    first = True
    for part in _parts(table):
        click.echo(as_text(part, ".csv", header=first), nl=False)
        first = False


def aligned(table: pd.DataFrame) -> str:
    """A table in columns: numbers to the right, text to the left, cut where it is long."""
    columns = []
    for name in table.columns:
        column = table[name]
        is_number = pd.api.types.is_numeric_dtype(column.dtype)
        cells = [str(name), *(_cell(value) for value in column)]
        width = max(map(len, cells))
        columns.append([cell.rjust(width) if is_number else cell.ljust(width) for cell in cells])
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))


def _cell(value: Any) -> str:
    if value is None or value is pd.NA:
        return "-"
    if isinstance(value, float | np.floating):
        number = float(value)
        return "-" if np.isnan(number) else f"{number:.4f}" if abs(number) < 1e6 else f"{number:.4g}"
    text = " ".join(str(value).split())
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."
