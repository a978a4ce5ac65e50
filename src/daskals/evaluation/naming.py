"""Which columns a frame of recommendations has: those of ``recommendForAllUsers``, nested or flat.

::

    user   recommendations                         user   item   rating   rank
    1      [{item: 5, rating: 4.5}, ...]           1      5      4.5      1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from daskals.evaluation.checks import require_columns, require_lists, require_numbers
from daskals.io.foreign import names_of as column_names
from daskals.io.foreign import opened, read_frame
from daskals.io.frames import Frame, kind_of

#: The column of lists, and that of places in the flat form.
RECOMMENDATIONS, RANK = "recommendations", "rank"
MADE_BY = "made by recommendForAllUsers"


class Names(NamedTuple):
    """The columns of a comparison: users and items, in all of its frames."""

    user: str
    item: str
    is_flat: bool  #: whether recommendations come in rows rather than in lists

    @property
    def recommended(self) -> list[str]:
        """The columns that are read of the recommendations."""
        return [self.user, self.item, RANK] if self.is_flat else [self.user, RECOMMENDATIONS]


def in_pandas(frame: Any, name: str) -> Frame:
    """The frame; one of another library as a pandas frame. ``TypeError`` for what is no frame."""
    kind, frame = kind_of(frame, name), opened(frame)
    return frame if kind in ("pandas", "dask") else read_frame(frame, column_names(frame))


def names_of(recommended: Frame, user: str | None, item: str | None) -> Names:
    """The names in a frame of recommendations; ``user`` and ``item`` are those that the caller gave, and win.

    Raises ``TypeError`` for recommendations that are no lists, ``ValueError`` for columns that are absent or there
    twice, and where the names cannot be told.
    """
    columns = list(recommended.columns)
    if RECOMMENDATIONS not in columns and RANK in columns:
        first, second = (user, item) if user and item else _first_two(columns)
        names = Names(user or first, item or second, is_flat=True)
        require_columns(recommended, {"userCol": names.user, "itemCol": names.item, MADE_BY: RANK})
        require_numbers(recommended.dtypes[RANK], f"column {RANK!r}")
        return names
    require_columns(recommended, {**({"userCol": user} if user else {}), MADE_BY: RECOMMENDATIONS})
    dtype = recommended.dtypes[RECOMMENDATIONS]
    require_lists(dtype, f"column {RECOMMENDATIONS!r}")
    names = Names(user or _beside_lists(columns), item or _first_field(dtype), is_flat=False)
    require_columns(recommended, {"userCol": names.user})
    return names


def require_pairs(frame: Any, names: Names, name: str, more: Mapping[str, str]) -> Frame:
    """A frame of pairs, if it has the columns; ``more`` are others that it needs."""
    return require_columns(frame, {"userCol": names.user, "itemCol": names.item, **more}, name)


def _first_two(columns: list[Any]) -> tuple[Any, Any]:
    """The columns of users and of items in the flat form: those beside rating and rank, in this order."""
    if "user" in columns and "item" in columns:
        return "user", "item"
    ids = [each for each in columns if each not in ("rating", RANK)]
    if len(ids) != 2:
        raise ValueError(
            f"dataset has columns {', '.join(map(repr, columns))}: pass userCol= and itemCol=, which say "
            "which two of them are meant"
        )
    return ids[0], ids[1]


def _beside_lists(columns: list[Any]) -> Any:
    """The column of users: the one beside the lists."""
    others = [each for each in columns if each != RECOMMENDATIONS]
    if len(others) == 1:
        return others[0]
    if not others or "user" in others:
        return "user"
    raise ValueError(
        f"dataset has columns {', '.join(map(repr, others))} beside {RECOMMENDATIONS!r}: pass userCol=, which says "
        "which one has the users"
    )


def _first_field(dtype: Any) -> str:
    """The field of items: the first one that is no rating. Of what no dtype describes, Spark's name."""
    if isinstance(dtype, pd.ArrowDtype):
        inner = getattr(dtype.pyarrow_dtype, "value_type", None)
        if inner is not None and pa.types.is_struct(inner):
            return next((field.name for field in inner if field.name != "rating"), "item")
    return "item"
