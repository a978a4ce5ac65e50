"""Questions about items and users that are named, which `daskals.serving.LocalModel` answers without Dask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import pandas as pd

from daskals.cli.models import saved_at
from daskals.cli.options import TitleOptions
from daskals.cli.recommending import known_ids, usual_support
from daskals.cli.talking import show_json
from daskals.cli.titling import add_titles, key_of, read_titles, tell_of_titles
from daskals.cli.writing import show_table
from daskals.serving import LocalModel

#: Titles that are named where several are meant.
SOME = 5


def similar(
    path: str,
    texts: tuple[str, ...],
    number: int,
    metric: str,
    min_support: int | None,
    naming: TitleOptions,
    *,
    users: bool,
    as_json: bool,
) -> None:
    """Show the items most like some items, or users like some users."""
    saved = saved_at(path)
    local = LocalModel.load(path)
    titles = None if users else read_titles(naming, saved.item)
    tell_of_titles(local.itemIds, titles, naming)
    if titles is not None:
        texts = tuple(_id_of(text, local, titles) for text in texts)
    ids = known_ids(local, texts, path, users=users)
    if min_support is None and saved.implicit is False:
        min_support = usual_support(local.userCounts if users else local.itemCounts, "user" if users else "item")
    ask = local.similarUsers if users else local.similarItems
    lists = ask(ids, number, cast(Literal["cosine", "dot"], metric), minSupport=min_support)
    column = saved.user if users else saved.item
    rows = [
        (id_, rank, scored.id, scored.score)
        for id_, scores in zip(ids, lists, strict=True)
        for rank, scored in enumerate(scores, start=1)
    ]
    table = pd.DataFrame(rows, columns=[column, "rank", "neighbour", "similarity"]).astype({"similarity": "float32"})
    table = add_titles(add_titles(table, "neighbour", titles), column, titles, f"{column}_title")
    if as_json:
        show_json(_by_id(table, column))
    else:
        show_table(table, whole=True)


def _by_id(table: pd.DataFrame, column: str) -> list[dict[str, Any]]:
    names = [name for name in ("rank", "neighbour", "title", "similarity") if name in table]
    return [
        {column: id_, "neighbours": rows[names].to_dict(orient="records")}
        for id_, rows in table.groupby(column, sort=False)
    ]


def _id_of(text: str, local: LocalModel, titles: Mapping[str, str]) -> str:
    """The id that a text is, or whose title it is; ``ValueError`` where several titles have it in them."""
    try:
        if local.hasItem(local.itemFromText(text)):
            return text
    except ValueError:
        pass
    exact = [id_ for id_, title in titles.items() if title.lower() == text.lower()]
    found = exact or [id_ for id_, title in titles.items() if text.lower() in title.lower()]
    known = {key_of(id_): str(id_) for id_ in local.itemIds}
    found = [known[id_] for id_ in found if id_ in known]
    if not found:
        raise ValueError(f"No item of the model has the id {text}, nor a title with {text!r} in it")
    if len(found) > 1:
        some = "; ".join(f"{id_} {titles[key_of(id_)]}" for id_ in found[:SOME])
        more = f"; and {len(found) - SOME} more" if len(found) > SOME else ""
        raise ValueError(f"Several titles have {text!r} in them: {some}{more}. Name one of the ids")
    return found[0]
