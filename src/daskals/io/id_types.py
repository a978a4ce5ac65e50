"""Of which kinds ids are: what a file tells of them, known here without pandas and without Dask."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

IdKind = Literal["int64", "uint64", "datetime64[ns]", "str"]


class IdType(NamedTuple):
    """How the ids of a side are read, and how they are returned."""

    kind: IdKind
    #: pandas dtype of ids in frames that we return
    dtype: Any
