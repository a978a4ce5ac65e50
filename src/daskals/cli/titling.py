"""Titles of items from a second table, and what is told of those that find none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click
import pandas as pd

from daskals.cli.guessing import guess_titles, shown
from daskals.cli.heads import look_at
from daskals.cli.layouts import layout_of
from daskals.cli.options import TitleOptions
from daskals.cli.sources import WEB, files_of
from daskals.cli.talking import in_words, say
from daskals.io.tables import read_table


def check_titles(naming: TitleOptions) -> None:
    """What can be told of titles before anything is read: that the file is there, and two columns are named."""
    _chosen(naming)
    if naming.titles is not None and not naming.titles.startswith(WEB):
        files_of(naming.titles)


def _chosen(naming: TitleOptions) -> tuple[str, str] | None:
    if naming.titles_columns is None:
        return None
    parts = [part.strip() for part in naming.titles_columns.split(",")]
    if len(parts) != 2 or not all(parts):
        raise click.BadParameter("expected two columns, ID,TITLE", param_hint="--titles-columns")
    if naming.titles is None:
        raise click.UsageError("--titles-columns names the columns of a table: name that too, with --titles FILE")
    return parts[0], parts[1]


def read_titles(naming: TitleOptions, item: str) -> dict[str, str] | None:
    """Titles by the text of the id, from the second table; None where there is none."""
    if naming.titles is None:
        return None
    files = files_of(naming.titles)
    layout = layout_of(naming.titles, look_at(files[0]))
    id_, title = guess_titles(naming.titles, layout, item, _chosen(naming))
    frame = read_table(files, layout.form, {id_: "text", title: "text"}).dropna()
    say(f"Titles: {len(frame):,} in {naming.titles} (ids = {shown(layout, id_)}, titles = {shown(layout, title)})")
    return dict(zip((key_of(each) for each in frame[id_]), frame[title].astype(str), strict=True))


def tell_of_titles(items: Iterable[Any], titles: Mapping[str, str] | None, naming: TitleOptions) -> None:
    """Say how many of these items have a title, where not all have one, and what may be wrong where none has."""
    if titles is None:
        return
    keys = list(dict.fromkeys(key_of(each) for each in items))
    found = sum(key in titles for key in keys)
    if found == len(keys):
        return
    if found:
        say(f"{found:,} of {in_words(len(keys), 'item')} have a title in {naming.titles}")
        return
    none_of = f"None of the {len(keys):,} items has" if len(keys) > 1 else "The one item does not have"
    its = f"its ids look like {next(iter(titles))!r}" if titles else "it has no titles at all"
    say(
        f"{none_of} a title in {naming.titles}: {its}, those of the ratings like {keys[0]!r}; "
        "--titles-columns ID,TITLE names other columns"
    )


def key_of(id_: object) -> str:
    """The text of an id by which titles are found: 7, 007 and 7.0 are the same."""
    text = str(id_)
    plain = text.removesuffix(".0")
    return str(int(plain)) if plain.isdecimal() else text


def add_titles(table: pd.DataFrame, column: str, titles: Mapping[str, str] | None, name: str = "title") -> pd.DataFrame:
    """The same table with a column of titles behind that of ids; ids that have none are left empty."""
    if titles is None:
        return table
    place = list(table.columns).index(column) + 1
    known = pd.Series([titles.get(key_of(each), "") for each in table[column]], index=table.index, dtype="object")
    out = table.copy()
    out.insert(place, name, known)
    return out
