"""Recommendations to all users, by Dask, or to some that are named, by `daskals.serving.LocalModel`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import numpy as np
import numpy.typing as npt
import pandas as pd

from daskals.cli import fitting
from daskals.cli.models import item_counts, ratings_of, remember, saved_at
from daskals.cli.options import ModelOptions, ReadingOptions, TitleOptions
from daskals.cli.reading import Ratings, read_ratings
from daskals.cli.sources import is_model, reachable
from daskals.cli.steps import described, estimator_for, parameters_of
from daskals.cli.talking import in_words, say, show_json
from daskals.cli.titling import add_titles, read_titles, tell_of_titles
from daskals.cli.writing import show_table, write_table
from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import Frame, FrameKind, kind_of
from daskals.recommendation import ALSModel
from daskals.serving import LocalModel

if TYPE_CHECKING:
    from daskals.cli.recommend_command import Wish

#: See `usual_support`.
SUPPORT, STAYING = 10, 100
WHY = "Give --ratings FILE, so that items a user has already can be left out; or --include-seen"


class Basis(NamedTuple):
    """What recommendations are made from."""

    #: one that answers for all users; None where only some are asked for
    model: ALSModel | None
    #: one that answers for some
    local: LocalModel | None
    user: str
    item: str
    #: pairs to leave out; None for none
    seen: Ratings | None
    #: the least number of ratings of an item that is recommended; None for any
    support: int | None
    #: titles by the text of the id; None for none
    titles: dict[str, str] | None


def recommend(
    source: str, wish: Wish, naming: TitleOptions, options: ReadingOptions, choices: ModelOptions, *, as_json: bool
) -> None:
    """Recommend, and show or write what was recommended."""
    if is_model(source):
        basis = _from_model(source, wish, naming, options)
    else:
        basis = _from_ratings(source, wish, naming, options, choices)
    table: Frame
    if basis.local is not None:
        table = _to_some(source, basis.local, basis, wish)
    else:
        assert basis.model is not None
        seen = None if basis.seen is None else basis.seen.frame[[basis.user, basis.item]]
        flat = basis.model.recommendForAllUsers(wish.number, exclude=seen, minSupport=basis.support, flat=True)
        table = flat.rename(columns={"rating": "score"})[[basis.user, "rank", basis.item, "score"]]
    if basis.titles is not None:
        table = in_memory(table)
        tell_of_titles(table[basis.item], basis.titles, naming)
        table = add_titles(table, basis.item, basis.titles)
    if kind_of(table) == "pandas" and table.empty:
        say("There is nothing to recommend: these users have all items already (--include-seen takes them in too)")
    if wish.out is not None:
        rows = write_table(table, wish.out)
        _report(rows, table, basis, wish.out, as_json=as_json)
    elif as_json:
        show_json(_by_user(in_memory(table), basis))
    else:
        show_table(in_memory(table))


def in_memory(table: Frame) -> pd.DataFrame:
    """The same table as a pandas frame."""
    held: pd.DataFrame = table if kind_of(table) == "pandas" else table.compute().reset_index(drop=True)
    return held


def _report(rows: int, table: Frame, basis: Basis, out: str, *, as_json: bool) -> None:
    if as_json:
        show_json({"recommendations": rows, "out": out})
        return
    users = table[basis.user].nunique()
    users = int(users if isinstance(users, int) else users.compute())
    click.echo(f"{in_words(rows, 'recommendation')} to {in_words(users, 'user')} in {out}")


def _by_user(table: pd.DataFrame, basis: Basis) -> list[dict[str, Any]]:
    names = [name for name in table.columns if name != basis.user]
    return [
        {basis.user: user, "recommendations": rows[names].to_dict(orient="records")}
        for user, rows in table.groupby(basis.user, sort=False)
    ]


# ---- what they are made from -----------------------------------------------------------------------------


def _from_model(path: str, wish: Wish, naming: TitleOptions, options: ReadingOptions) -> Basis:
    if wish.save is not None:
        raise click.UsageError(f"--save is for ratings: {path} is a saved model already")
    saved = saved_at(path)
    titles = read_titles(naming, saved.item)
    seen = ratings_of(saved, wish.ratings, options.reading(), why=WHY) if wish.exclude_seen else None
    support = wish.min_support or (usual_support(item_counts(saved)) if saved.implicit is False else None)
    if wish.user:
        return Basis(None, LocalModel.load(path), saved.user, saved.item, seen, support, titles)
    kind: FrameKind = "dask" if current_scheduler().client is not None else "pandas"
    model = ALSModel.load(reachable(path), frames=kind)
    return Basis(model, None, saved.user, saved.item, seen, support, titles)


def _from_ratings(
    source: str, wish: Wish, naming: TitleOptions, options: ReadingOptions, choices: ModelOptions
) -> Basis:
    reading = options.reading()
    ratings = read_ratings(source, reading)
    titles = read_titles(naming, ratings.item)
    _check_users(source, ratings, wish.user)
    als = estimator_for(ratings, choices)
    say(f"Fitting {described(als)}")
    model, _ = fitting.run(fitting.Order(als, wish.save), ratings)
    if wish.save is not None:
        remember(wish.save, source, reading)
        say(f"Model: {wish.save}")
    if choices.implicit is None and not als.getImplicitPrefs() and "implicitPrefs" not in parameters_of(choices.sets):
        say(
            "Lists made from stars are often better with --implicit, which takes a rating as a sign of interest: "
            f"'daskals evaluate {shlex.quote(source)} --ranking' measures them, with --implicit and without"
        )
    seen = ratings
    if wish.ratings is not None:
        seen = read_ratings(wish.ratings, reading, prefer=(ratings.user, ratings.item), rated=False)
        seen = seen.called(ratings.user, ratings.item)
    left_out, support = seen if wish.exclude_seen else None, wish.min_support
    if support is None and not als.getImplicitPrefs():
        counts = ratings.frame[ratings.item].value_counts()
        support = usual_support((counts if kind_of(ratings.frame) == "pandas" else counts.compute()).to_numpy())
    if wish.user:
        return Basis(None, model.toLocal(), ratings.user, ratings.item, left_out, support, titles)
    return Basis(model, None, ratings.user, ratings.item, left_out, support, titles)


def _check_users(source: str, ratings: Ratings, texts: tuple[str, ...]) -> None:
    """That the ratings have these users, before a model is fitted to them; ``ValueError`` in one line otherwise."""
    dtype = ratings.frame[ratings.user].dtype
    if not texts or pd.api.types.is_datetime64_any_dtype(dtype):
        return
    with ratings.naming_faults():
        users = ratings.frame[ratings.user].unique()
        held = pd.Series(users if kind_of(ratings.frame) == "pandas" else users.compute())
    are_numbers = pd.api.types.is_numeric_dtype(dtype)
    known = set(held.tolist() if are_numbers else held.astype(str))
    for text in texts:
        wanted = _whole(text) if are_numbers else text
        if wanted not in known:
            raise ValueError(stranger("user", text, source, len(known), held))


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def stranger(what: str, text: str, where: str, number: int, ids: Sequence[Any] | npt.NDArray[Any] | pd.Series) -> str:
    """That there is no such user or item, and which there are."""
    some = ", ".join(str(each) for each in ids[:3])
    more = ", ..." if number > 3 else ""
    return f"There is no {what} {text} in {where}; it has {in_words(number, what)}: {some}{more}"


def usual_support(counts: npt.NDArray[Any] | None, what: str = "item") -> int | None:
    """The least number of ratings of an item that is recommended where nobody says, and the ratings are opinions.

    A film that two people gave five stars would lead most lists, since nothing else is known of it. But as many items
    as `STAYING` stay in any case.
    """
    if counts is None or not len(counts):
        return None
    least = min(SUPPORT, int(np.sort(counts)[-min(STAYING, len(counts))]))
    if least > counts.min():
        fewer = int((counts < least).sum())
        say(f"Leaving out {in_words(fewer, what)} with fewer than {least} ratings (--min-support 1 takes them in)")
    return least


# ---- to some users ---------------------------------------------------------------------------------------


def known_ids(local: LocalModel, texts: tuple[str, ...], where: str, *, users: bool) -> list[Any]:
    """The ids that texts mean; ``ValueError`` in one line for one that the model does not have."""
    read, has, ids = (
        (local.userFromText, local.__contains__, local.userIds)
        if users
        else (local.itemFromText, local.hasItem, local.itemIds)
    )
    what, found = "user" if users else "item", []
    for text in texts:
        try:
            id_ = read(text)
        except ValueError:
            id_ = None
        if id_ is None or not has(id_):
            raise ValueError(stranger(what, text, where, len(ids), ids))
        found.append(id_)
    return found


def _to_some(source: str, local: LocalModel, basis: Basis, wish: Wish) -> pd.DataFrame:
    users = known_ids(local, wish.user, source, users=True)
    exclude = {} if basis.seen is None else _seen_by(basis.seen, users)
    lists = local.recommend(users, wish.number, exclude, minSupport=basis.support)
    rows = [
        (user, rank, scored.id, scored.score)
        for user, scores in zip(users, lists, strict=True)
        for rank, scored in enumerate(scores, start=1)
    ]
    return pd.DataFrame(rows, columns=[basis.user, "rank", basis.item, "score"]).astype({"score": "float32"})


def _seen_by(seen: Ratings, users: list[Any]) -> dict[Any, list[Any]]:
    """The items that each of some users has in the ratings."""
    with seen.naming_faults():
        theirs = in_memory(seen.frame[seen.frame[seen.user].isin(users)])
    found = {user: rows[seen.item].tolist() for user, rows in theirs.groupby(seen.user)}
    return {user: found.get(user, []) for user in users}
