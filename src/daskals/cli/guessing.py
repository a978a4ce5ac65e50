"""Which columns of a table hold users, items, ratings and titles: by their names, or by their places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from daskals.cli.column_names import COUNTS, ITEMS, RATINGS, TIMES, TITLES, USERS, plain
from daskals.cli.layouts import Layout

#: Values beyond this are times, rather than ratings or counts: seconds since 1970 are of this size since 1973.
TIME = 1e8
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
    missing = [what for what, name in (("users", user), ("items", item)) if name is None]
    if user is None or item is None:
        raise ValueError(_not_obvious(file, layout, missing))
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
        raise ValueError(_not_obvious(file, layout, ["ratings"]))
    if not free:
        return pair
    values = layout.sample(free[0])
    if not layout.is_numeric(free[0]) or max(abs(_value(each)) for each in values) > TIME:
        raise ValueError(_not_obvious(file, layout, ["ratings"]))
    return pair._replace(rating=free[0], counts=max(abs(_value(each)) for each in values) > LARGEST_RATING)


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
    if layout.form.header:
        return f"the columns {', '.join(names)}"
    first = ", ".join(layout.rows[0][:6]) + (", ..." if len(names) > 6 else "")
    return f"{len(names)} columns without names, of which the first row is {first}"


def _not_obvious(file: str, layout: Layout, missing: Sequence[str]) -> str:
    options = {"users": "--user-col COL", "items": "--item-col COL", "ratings": "--rating-col COL"}
    how = " and ".join(options[each] for each in missing)
    none = ", or --rating-col none to count each row as 1" if "ratings" in missing else ""
    by = "by name or number, " if layout.form.header else "by number, "
    return (
        f"{file}: which column holds the {' and which the '.join(missing)} is not obvious; it has {described(layout)}. "
        f"Name it {by}with {how}{none}"
    )
