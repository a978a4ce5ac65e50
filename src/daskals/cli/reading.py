"""From files of ratings to a frame: what is not said is guessed, and the guess is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import fsspec

from daskals.cli.faults import checked, first_fault, naming_faults, told_in_a_line
from daskals.cli.guessing import Roles, described, guess_roles, shown
from daskals.cli.heads import look_at
from daskals.cli.layouts import IN_WORDS, Layout, layout_of
from daskals.cli.sources import files_of, reachable
from daskals.cli.talking import say
from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import Frame
from daskals.io.tables import ColumnKind, TableForm, read_table, scan_table

#: Bytes of files beyond which a table is read in parts, lazily. In memory it takes up to three times as much.
LARGE = 256 << 20
#: How much packed text grows, about.
UNPACKED = 4
#: What columns without names are called from here on.
NAMES = ("user", "item", "rating")


@dataclass(frozen=True)
class Reading:
    """What somebody said of a file; None where it is to be guessed."""

    user: str | None = None
    item: str | None = None
    #: "none": each row counts 1
    rating: str | None = None
    sep: str | None = None
    header: bool | None = None
    encoding: str | None = None
    #: of which ids are read as text even where all of them are whole numbers: "user", "item"
    text_ids: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Ratings:
    """A frame of ratings, and how it came here."""

    frame: Frame
    user: str
    item: str
    #: None where each row counts 1
    rating: str | None
    #: whether the ratings look like counts of what users did
    counts: bool | None
    #: the column of ratings as messages call it: column plays, or column 3 where the file has no names
    shown: str | None = None
    #: what finds the first fault of the files, where they are read lazily
    search: Callable[[], str | None] | None = None

    @property
    def columns(self) -> list[str]:
        """The columns of the frame."""
        return [name for name in (self.user, self.item, self.rating) if name is not None]

    def called(self, user: str, item: str) -> Ratings:
        """The same with other names for the columns of users and items."""
        frame = self.frame.rename(columns={self.user: user, self.item: item})
        return replace(self, frame=frame, user=user, item=item)

    def naming_faults(self) -> AbstractContextManager[None]:
        """Inside, the frame is computed; if that fails, the line that is to blame is named."""
        return nullcontext() if self.search is None else naming_faults(self.search)


def read_ratings(
    source: str, reading: Reading, *, prefer: Sequence[str] = (), rated: bool = True, quiet: bool = False
) -> Ratings:
    """The ratings in a file, a folder, the files of a pattern, or at a URL.

    In memory or as a Dask frame, which the size of the files decides. ``prefer`` are the names that a model has for
    users and items. Without ``rated`` pairs of users and items are enough, and a column of ratings is not looked for.
    What is read, and what was guessed, is told unless ``quiet``.

    ``ValueError`` or ``OSError`` with one line that says what was found, and what was expected.
    """
    files = files_of(source)
    layout = _layout(files, source, reading)
    rating = reading.rating if rated else reading.rating or "none"
    roles = guess_roles(source, layout, reading.user, reading.item, rating, prefer)
    if not quiet:
        _tell(source, len(files), layout, roles, rated=rated)
    lazy = _is_large(files, layout.form)
    columns = _kinds(layout, roles, reading.text_ids, lazy=lazy)
    search = None
    if lazy:
        frame = scan_table([reachable(file) for file in files], layout.form, columns)
        search = partial(first_fault, files, layout.form, columns, roles.rating)
    else:
        with told_in_a_line(source, layout.form):
            frame = read_table(files, layout.form, columns)
        frame = checked(frame, source, roles, header=layout.form.header)
    names = names_of(roles)
    if not layout.form.header and layout.form.kind == "text":
        user, item = prefer or NAMES[:2]
        names = (user, item, roles.rating and NAMES[2])
        frame = frame.rename(columns=dict(zip(names_of(roles), names, strict=True)))
    called = None if roles.rating is None else shown(layout, roles.rating)
    if called is not None and called == roles.rating:
        called = f"column {called}"
    return Ratings(frame, *names, roles.counts, called, search)


def names_of(roles: Roles) -> tuple[str, str, str | None]:
    """The columns of users, items and ratings."""
    return roles.user, roles.item, roles.rating


def _layout(files: Sequence[str], source: str, reading: Reading) -> Layout:
    """How the first file is laid out; the others must be laid out alike."""
    first, *others = (layout_of(file, look_at(file), reading.sep, reading.header, reading.encoding) for file in files)
    for file, other in zip(files[1:], others, strict=True):
        if other.form._replace(colons=False) != first.form._replace(colons=False):
            raise ValueError(
                f"The files of {source} are not alike: {files[0]} has {described(first)}, but {file} has "
                f"{described(other)}"
            )
    colons = any(each.form.colons for each in (first, *others))
    return first._replace(form=first.form._replace(colons=colons))


def _kinds(layout: Layout, roles: Roles, text_ids: frozenset[str], *, lazy: bool) -> dict[str, ColumnKind]:
    """As what each column is to be read."""
    kinds: dict[str, ColumnKind] = {}
    for side, name in (("user", roles.user), ("item", roles.item)):
        sample = layout.sample(name)
        if side in text_ids or (layout.form.kind == "text" and any(_has_leading_zero(value) for value in sample)):
            kinds[name] = "text"
        elif layout.form.kind == "parquet" or not lazy:
            kinds[name] = "id"
        else:
            whole = all(_is_integer(value) for value in sample)
            kinds[name] = "integer" if whole and layout.is_numeric(name) else "text"
    if roles.rating is not None:
        # in memory a text among the numbers is to be seen, and told with its line
        kinds[roles.rating] = "number" if lazy and layout.form.kind == "text" else "id"
    return kinds


def _has_leading_zero(value: str) -> bool:
    return len(value) > 1 and value[0] == "0" and value.isdecimal()


def _is_integer(value: str) -> bool:
    return value.removeprefix("-").isdecimal() and len(value) < 19


def _is_large(files: Sequence[str], form: TableForm) -> bool:
    """Whether files are to be read in parts: they are several, or large, or there is a cluster."""
    if current_scheduler().client is not None or len(files) > 1:
        return True
    sizes = []
    for file in files:
        fs, place = fsspec.url_to_fs(file)
        sizes.append(fs.size(place) or 0)
    return sum(sizes) * (UNPACKED if form.compression else 1) > LARGE


def _tell(source: str, files: int, layout: Layout, roles: Roles, *, rated: bool) -> None:
    """Say what is read, and what was guessed."""
    form, names = layout.form, layout.form.names
    how = {"parquet": "Parquet", "json": "JSON lines"}.get(form.kind)
    if how is None:
        how = f"separator {IN_WORDS.get(form.separator, form.separator)}, {'a' if form.header else 'no'} header"
        how += "" if form.encoding in ("utf-8", "utf-8-sig") else f", {form.encoding}"
    how += f", {files:,} files" if files > 1 else ""
    called: Mapping[str | None, Any] = {name: shown(layout, name) for name in names}
    parts = [f"users = {called[roles.user]}", f"items = {called[roles.item]}"]
    if rated:
        parts.append(f"ratings = {called[roles.rating]}" if roles.rating else "each row counts 1")
    rest = [str(called[name]) for name in names if name not in (roles.user, roles.item, roles.rating)]
    unused = f"; not used: {', '.join(rest[:4])}{', ...' if len(rest) > 4 else ''}" if rest else ""
    say(f"Reading {source} ({how}): {', '.join(parts)}{unused}")
