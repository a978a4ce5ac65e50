"""Which columns of a table hold users, items, ratings and titles: by their names, or by their places."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from daskals.cli.column_names import COUNTS, ITEMS, RATINGS, TIMES, TITLES, USERS, plain
from daskals.cli.layouts import Layout
from daskals.cli.talking import typed

#: Values beyond this are times, rather than ratings or counts: seconds since 1970 are of this size since 1973.
TIME = 1e8
#: Columns that a message names; a table of more may be one with a column for each item.
SHOWN = 10
#: Values beyond this are counts, rather than ratings, where a column has no name.
LARGEST_RATING = 100


class Roles(NamedTuple):
    """Which columns hold what."""

    user: str
    item: str
    #: None where each row counts 1
    rating: str | None
    #: whether the ratings look like counts of what users did; None where somebody named the column himself
    counts: bool | None


def column(file: str, layout: Layout, wanted: str, option: str) -> str:
    """The column that somebody named, by its name or its number from 1; ``ValueError`` where there is none."""
    names = layout.form.names
    if wanted in names:
        return wanted
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    alike = [name for name in names if plain(name) == plain(wanted)]
    if len(alike) == 1:
        return alike[0]
    raise ValueError(f"{file} has no column {wanted!r} ({option}); it has {described(layout)}")


def guess_roles(
    file: str, layout: Layout, user: str | None, item: str | None, rating: str | None, prefer: Sequence[str] = ()
) -> Roles:
    """Which columns hold users, items and ratings. What is given, a name or a number from 1, is taken.

    ``rating`` "none" means that each row counts 1; ``prefer`` are names that a model has for its users and items. Where
    it is not obvious, a ``ValueError`` in one line says which columns there are and which options to give.
    """
    if user is None and item is None and _is_wide(layout):
        raise ValueError(
            f"{file} looks like a matrix with a row for each user and a column for each item ({described(layout)}); "
            "one row for each rating is expected, such as user,item,rating: pandas.melt makes it. If it has such rows, "
            "name the columns with --user-col, --item-col and --rating-col"
        )
    if user is not None and user == item:
        raise ValueError(f"--user-col and --item-col name the same column, {user!r}")
    user = None if user is None else column(file, layout, user, "--user-col")
    item = None if item is None else column(file, layout, item, "--item-col")
    named = None if rating in (None, "none") else column(file, layout, str(rating), "--rating-col")
    taken = {name for name in (user, item, named) if name is not None}
    by_name = layout.form.header
    free = [name for name in layout.form.names if name not in taken]
    if by_name:
        preferred = [plain(name) for name in prefer]
        user = user or _by_name(free, (*preferred[:1], *USERS))
        item = item or _by_name([name for name in free if name != user], (*preferred[1:2], *ITEMS))
    else:
        places = iter(name for name in free)
        user = user or next(places, None)
        item = item or next(places, None)
    if user is None or item is None:
        raise ValueError(_not_obvious(file, layout, {"users": user, "items": item, "ratings": named or rating}))
    if named is not None:
        return Roles(user, item, named, plain(named) in COUNTS)
    if rating == "none":
        return Roles(user, item, None, True)
    free = [name for name in layout.form.names if name not in (user, item)]
    return _with_ratings(file, layout, Roles(user, item, None, True), free)


def _with_ratings(file: str, layout: Layout, pair: Roles, free: list[str]) -> Roles:
    """The same with the column of ratings, if there is one."""
    if layout.form.header:
        found, counted = _by_name(free, RATINGS), _by_name(free, COUNTS)
        if found or counted:
            return pair._replace(rating=found or counted, counts=not found)
        others = [name for name in free if plain(name) not in TIMES]
        if not others:
            return pair
        raise ValueError(_not_obvious(file, layout, {"users": pair.user, "items": pair.item, "ratings": None}))
    if not free:
        return pair
    values = layout.sample(free[0])
    if not layout.is_numeric(free[0]) or _has_times(layout, free[0]):
        raise ValueError(_not_obvious(file, layout, {"users": pair.user, "items": pair.item, "ratings": None}))
    return pair._replace(rating=free[0], counts=max(abs(_value(each)) for each in values) > LARGEST_RATING)


def _has_times(layout: Layout, name: str) -> bool:
    """Whether numbers are too large for ratings and counts."""
    return max((abs(_value(each)) for each in layout.sample(name)), default=0) > TIME


def _value(text: str) -> float:
    return float(text.replace(",", "."))


def guess_titles(file: str, layout: Layout, id_column: str, chosen: tuple[str, str] | None) -> tuple[str, str]:
    """The columns of ids and of titles of a second table; ``id_column`` is what the first one calls its items."""
    if chosen is not None:
        id_, title = (column(file, layout, each, "--titles-columns") for each in chosen)
        return id_, title
    names = list(layout.form.names)
    if layout.form.header:
        id_name = _by_name(names, (plain(id_column), *ITEMS, "id"))
        title_name = _by_name([name for name in names if name != id_name], TITLES)
        if id_name and title_name:
            return id_name, title_name
    elif len(names) > 1 and not layout.is_numeric(names[1]):
        return names[0], names[1]
    raise ValueError(
        f"{file}: which columns hold ids and titles is not obvious; it has {described(layout)}. Name them, by names or "
        "numbers, with --titles-columns ID,TITLE"
    )


def _by_name(names: Sequence[str], known: Iterable[str]) -> str | None:
    by_plain = {plain(name): name for name in reversed(names)}
    return next((by_plain[each] for each in known if each in by_plain), None)


def described(layout: Layout) -> str:
    """The columns of a table, for messages: their names, or the fields of the first row."""
    names = layout.form.names
    if not layout.form.header:
        first = ", ".join(layout.rows[0][:6]) + (", ..." if len(names) > 6 else "")
        return f"{len(names)} columns without names, of which the first row is {first}"
    known = [shown(layout, name) for name in names[:SHOWN]]
    return (
        f"the columns {', '.join(known)}" if len(names) <= SHOWN else f"{len(names):,} columns, {', '.join(known)}, ..."
    )


def shown(layout: Layout, name: str) -> str:
    """What a column is called in messages: by its number where the file has no name for it."""
    number = layout.form.names.index(name) + 1
    if layout.form.kind != "text" or (layout.form.header and name != str(number)):
        return name
    return f"column {number} (no name)" if layout.form.header else f"column {number}"


def _is_wide(layout: Layout) -> bool:
    """Whether the table may have a column for each item: many, of which all but the first hold numbers or nothing."""
    first, *others = layout.form.names
    if len(others) < SHOWN or layout.form.kind != "text":
        return False
    if layout.form.header and any(plain(name) in {*ITEMS, *RATINGS, *COUNTS, *TIMES} for name in (first, *others)):
        return False
    return all(layout.is_numeric(name) or not layout.sample(name) for name in others)


def _not_obvious(file: str, layout: Layout, roles: Mapping[str, str | None]) -> str:
    """All that is not obvious, in one message, with a command that would name it."""
    free = [name for name in layout.form.names if name not in roles.values()]
    if layout.form.header:
        nameless = [name for name in free if shown(layout, name) != name]
        free = [name for name in free if name not in nameless and plain(name) not in TIMES]
    missing = [what for what in ("users", "items") if roles[what] is None]
    if roles["ratings"] is None and len(free) > len(missing) and not _by_name(free, (*RATINGS, *COUNTS)):
        missing.append("ratings")
    places = iter([name for name in free if not layout.form.header or plain(name) not in {*RATINGS, *COUNTS}])
    found = {what: next(places, None) for what in missing if what != "ratings"}
    if "ratings" in missing:
        numeric = (name for name in places if layout.is_numeric(name) and not _has_times(layout, name))
        found["ratings"] = next(numeric, "none")
    if not layout.form.header:
        numbers = {name: str(number) for number, name in enumerate(layout.form.names, start=1)}
        found = {what: numbers.get(str(name), name) for what, name in found.items()}
    pairs = [(_OPTIONS[what], shlex.quote(name or "COL")) for what, name in found.items()]
    command = " ".join([*typed(), *(part for pair in pairs for part in pair)])
    none = ""
    if "ratings" in missing:
        none = (
            "; none counts each row as 1" if found["ratings"] == "none" else "; --rating-col none counts each row as 1"
        )
    *most, last = [f"which{' column holds' if what == missing[0] else ''} the {what}" for what in missing]
    which = f"{', '.join(most)} and {last}" if most else last
    by = "name or number" if layout.form.header else "number"
    return (
        f"{file}: {which} is not obvious; it has {described(layout)}. Name {'them' if most else 'it'}, by {by}, "
        f"{'if they come in this order' if most else 'as in'}: {command}{none}"
    )


_OPTIONS = {"users": "--user-col", "items": "--item-col", "ratings": "--rating-col"}
