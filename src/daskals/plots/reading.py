"""What pictures read of models and frames, and bring to this process: no more than they draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from dask.delayed import Delayed

from daskals.blocks.biases import BIAS_COLUMNS
from daskals.engine.factors import first_columns
from daskals.execution.scheduler import Scheduler, current_scheduler
from daskals.execution.tasks import new_token, task, tree_reduce
from daskals.io.foreign import names_of, opened, read_frame
from daskals.io.frames import Frame, kind_of, partitions
from daskals.io.frames_in import Columns, read_columns
from daskals.io.id_types import IdType
from daskals.io.ids import id_column, id_type_to_look_up, read_ids
from daskals.io.values import nulls_of
from daskals.kernels.types import Float32, Ids, Int64
from daskals.recommendation import ALSModel


def require_model(model: Any, name: str = "model") -> None:
    """``TypeError`` that says what to pass instead for what is no `ALSModel`."""
    if isinstance(model, ALSModel):
        return
    what = f"{name} must be a fitted ALSModel, got {_called(model)}"
    if isinstance(getattr(model, "bestModel", None), ALSModel):
        raise TypeError(f"{what}: pass its bestModel.")
    if isinstance(model, type) or hasattr(model, "fit"):
        raise TypeError(f"{what}: call ALS(...).fit(ratings) first, and pass what that returns.")
    raise TypeError(f"{what}. ALS(...).fit(ratings) and ALSModel.load(path) give one.")


def _called(thing: Any) -> str:
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"an object of type {type(thing).__name__}"


class Items(NamedTuple):
    """The items of a model, ascending."""

    ids: pd.Series  #: as the model shows them
    rows: Float32  #: (items, rank), without the columns of biases
    counts: Int64 | None  #: numbers of ratings in the fit, where the model knows them


def items_of(model: ALSModel) -> Items:
    """All items of a model, here: ``4 * rank`` bytes each."""
    model._check_alive()
    matrix = model._factors.items
    if model.intercept is not None:
        matrix = first_columns(matrix, model.rank - BIAS_COLUMNS)
    known = [] if matrix.counts is None else [matrix.counts]
    ids, *arrays = current_scheduler().fetch(matrix.ids, *matrix.blocks, *known)
    counts = arrays.pop() if known else None
    rows = np.concatenate([np.empty((0, matrix.rank), np.float32), *arrays])
    return Items(pd.Series(id_column(ids, model._factors.item_ids)), rows, counts)


# ---- ratings ---------------------------------------------------------------------------------------------


def is_implicit(model: ALSModel) -> bool:
    """Whether a model was fitted to implicit feedback, as far as it knows."""
    parent = model.parent
    return bool(parent.getImplicitPrefs()) if parent is not None else "preferenceRmse" in model.history.columns


def columns_of(model: ALSModel, ratings: Frame, rating: str | None) -> tuple[Frame, Columns]:
    """The columns of ratings, as a pandas or a dask frame, and their names.

    ``rating`` is what the caller calls the column of ratings: None for that of the fit, or "rating" where a model does
    not know its fit; "" where each row counts 1.
    """
    if rating is None:
        rating = model.parent.getRatingCol() if model.parent is not None else "rating"
    columns = Columns(model.getUserCol(), model.getItemCol(), rating or None)
    frame, _ = read_columns(ratings, columns, frame="ratings")
    return frame[columns.named], columns


def item_type(model: ALSModel, frame: Frame, name: str) -> IdType:
    """How the items of a frame are to be read, so that those of the model are found."""
    return id_type_to_look_up(frame, name, model._factors.item_ids)


def count_items(scheduler: Scheduler, model: ALSModel, frame: Frame, name: str) -> Int64:
    """How many rows of a frame have each item of the model, in the model's order."""
    given, ids = item_type(model, frame, name), model._factors.items.ids
    counts: Int64 = merged(scheduler, _count_part, frame, name, given, ids, merge=_sum)
    return counts


def merged(
    scheduler: Scheduler, function: Callable[..., Any], frame: Frame, *args: Any, merge: Callable[..., Any]
) -> Any:
    """``function(part, *args)`` of each part of a frame, merged by ``merge(*results)`` in a tree.

    One result comes here. Arguments may be tasks.
    """
    token = new_token()
    parts: list[Delayed] = [
        task(function, part, *args, name=f"als-plot-{token}-{number}")
        for number, part in enumerate(partitions(frame, scheduler))
    ]
    (result,) = scheduler.fetch(tree_reduce(merge, parts, f"als-plot-tree-{token}"))
    return result


def _sum(*counts: Int64) -> Int64:
    total: Int64 = np.sum(counts, axis=0)
    return total


def _count_part(part: pd.DataFrame, name: str, given: IdType, ids: Ids) -> Int64:
    places = places_in(part[name][~nulls_of(part[name])], given, ids)
    return np.bincount(places[places >= 0], minlength=len(ids))


def places_in(column: pd.Series, given: IdType, ids: Ids) -> Int64:
    """Where the ids of a column, none of them null, stand among those of a model; -1 for strangers."""
    coded = read_ids(column, given.kind)
    places = np.searchsorted(ids, coded.uniques)
    found = places < len(ids)
    found[found] = ids[places[found]] == coded.uniques[found]
    return np.where(found, places, -1)[coded.codes].astype(np.int64)


def in_pandas(frame: Any) -> Frame:
    """A pandas or a dask frame as it is, one of another library as a pandas frame."""
    kind, frame = kind_of(frame), opened(frame)
    return frame if kind in ("pandas", "dask") else read_frame(frame, names_of(frame))


def brought(frame: Frame) -> pd.DataFrame:
    """A pandas frame as it is, a dask frame computed."""
    parts = [frame] if kind_of(frame) == "pandas" else current_scheduler().fetch(*frame.to_delayed())
    together: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return together


# ---- titles ----------------------------------------------------------------------------------------------


class Titles:
    """What items are called. Those without a title are called by their ids."""

    def __init__(self, titles: Any, item: str) -> None:
        self._of = {} if titles is None else _read_titles(titles, item)

    def of(self, ids: Any) -> list[str]:
        """The titles of ids.

        ``TypeError`` where there are titles, but not one of any of the ids, and these are of another type than those.
        """
        ids = list(ids)
        found = [self._of.get(id_) for id_ in ids]
        if ids and self._of and not any(title is not None for title in found):
            known = next(iter(self._of))
            if isinstance(known, str) != isinstance(ids[0], str):
                raise TypeError(
                    f"titles has none of these items: it has ids such as {known!r} ({type(known).__name__}), the model "
                    f"{ids[0]!r} ({type(ids[0]).__name__}). Convert those of titles."
                )
        return [str(id_) if title is None else title for id_, title in zip(ids, found, strict=True)]


def _read_titles(titles: Any, item: str) -> dict[Any, str]:
    if isinstance(titles, Mapping | pd.Series):
        pairs = titles.items()
    elif hasattr(titles, "columns") or hasattr(titles, "__arrow_c_stream__"):
        pairs = _pairs_of_frame(in_pandas(titles), item)
    else:
        raise TypeError(
            "titles must be a dict or a Series from ids to titles, or a frame with a column of ids and one of titles, "
            f"got {_called(titles)}"
        )
    return {id_: " ".join(str(title).split()) for id_, title in pairs if not _is_missing(title)}


def _is_missing(title: Any) -> bool:
    return title is None or title is pd.NA or title is pd.NaT or title != title or not str(title).strip()


def _pairs_of_frame(frame: Frame, item: str) -> Any:
    """Ids and titles: the column of items, or the first, and that called title or name, or the next."""
    names = list(frame.columns)
    if len(names) < 2:
        raise ValueError(
            f"titles must have a column of ids and one of titles, got columns {', '.join(map(repr, names))}"
        )
    ids = item if item in names else names[0]
    others = [name for name in names if name != ids]
    title = next((name for name in others if str(name).lower() in ("title", "name")), others[0])
    some = brought(frame[[ids, title]])
    return zip(some[ids].tolist(), some[title].tolist(), strict=True)
