"""Where a `daskals.serving.LocalModel` comes from, and what it holds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from daskals.kernels.types import Float32, Ids, Int64
from daskals.params.shown import Picture, Row, Shown
from daskals.serving.arrays import open_copy, write_copy
from daskals.serving.asking import checked_side, read_only
from daskals.serving.objectives import decode_parent
from daskals.serving.sides import Stored

if TYPE_CHECKING:
    from typing import Self

T = TypeVar("T")


class HoldsArrays(Shown):
    """The factors of a model in this process. What is done with them is in `daskals.serving.LocalModel`."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._users, self._items = stored.users, stored.items
        self._kept: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> Stored:
        return self._stored

    def __setstate__(self, stored: Stored) -> None:
        self.__init__(stored)  # type: ignore[misc]

    def _picture(self) -> Picture:
        sizes = {"rank": self.rank, "users": len(self._users.ids), "items": len(self._items.ids)}
        rows = [Row("uid", self.uid), *(Row(name, str(size)) for name, size in sizes.items())]
        return Picture(type(self).__name__, rows)

    # -- where it comes from

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model that ``ALSModel.save``, or Spark, wrote.

        Where there is a copy in NumPy's format (`writeArrays`), that is mapped into memory, which takes milliseconds.
        Without one the Parquet files are read and checked, which takes 1.5 s for a million rows of rank 64.

        ``FileNotFoundError`` if there is no model at ``path`` (a folder, or any URL that fsspec knows), or a part of it
        is missing; ``ValueError`` that names the file and the fault if one is damaged. A model that is replaced while
        it is read is read again: factors of two models never mix.
        """
        place = os.fspath(path)
        stored = open_copy(place)
        if stored is None:
            from daskals.serving.files import read_model

            stored = read_model(place)
        return cls(stored)

    @staticmethod
    def writeArrays(path: str | os.PathLike[str]) -> None:
        """Write a copy in NumPy's format into the folder of a saved model, from which `load` starts at once.

        It is checked as `load` checks it, and takes as much space as the factors, uncompressed, in ``path``/arrays.
        When another model is saved to the same place, the copy is not used any more: write it again.
        ``ValueError`` if the model is damaged, or on no file system of this machine.
        """
        write_copy(os.fspath(path))

    @classmethod
    def fromArrays(
        cls,
        users: tuple[Sequence[Any] | Ids, Any],
        items: tuple[Sequence[Any] | Ids, Any],
        *,
        uid: str = "LocalModel",
        parent: Mapping[str, Any] | None = None,
        userCounts: Any = None,
        itemCounts: Any = None,
    ) -> Self:
        """A model from ids and rows of each side: integers, strings or datetime64, and numbers of shape (ids, rank).

        ``parent`` is what the metadata of a model say of the fit, ``{"paramMap": {"regParam": 0.1}}``; the counts are
        how many ratings each id had, in the order of the ids that are given. ``ValueError`` for shapes that do not fit
        each other, ids that occur twice, and numbers that are not finite, or no counts.
        """
        left, right = checked_side(*users, "users", userCounts), checked_side(*items, "items", itemCounts)
        if left.rows.shape[1] != right.rows.shape[1]:
            raise ValueError(f"users have {left.rows.shape[1]} factors, and items {right.rows.shape[1]}")
        return cls(Stored(left, right, uid, "", decode_parent(parent)))

    # -- what it holds

    @property
    def uid(self) -> str:
        """The uid of the saved model; another fit of the same estimator has the same."""
        return self._stored.uid

    @property
    def version(self) -> str:
        """A word of 16 letters that differs between any two saved models; empty for one that was never saved."""
        return self._stored.version

    @property
    def rank(self) -> int:
        """The number of factors."""
        return int(self._users.rows.shape[1])

    @property
    def userIds(self) -> Ids:
        """Ids of users, ascending: int64, uint64, datetime64[ns], or an object array of str that is made each time."""
        return read_only(self._users.ids.array)

    @property
    def itemIds(self) -> Ids:
        """Ids of items, as `userIds`."""
        return read_only(self._items.ids.array)

    @property
    def userFactors(self) -> Float32:
        """Float32, shape (users, rank), in the order of `userIds`; it cannot be written to."""
        return read_only(self._users.rows)

    @property
    def itemFactors(self) -> Float32:
        """Float32, shape (items, rank), in the order of `itemIds`; it cannot be written to."""
        return read_only(self._items.rows)

    @property
    def userCounts(self) -> Int64 | None:
        """How many ratings each user had in the fit, int64, in the order of `userIds`; None where it is not known."""
        return None if self._users.counts is None else read_only(self._users.counts)

    @property
    def itemCounts(self) -> Int64 | None:
        """How many ratings each item had in the fit, as `userCounts`."""
        return None if self._items.counts is None else read_only(self._items.counts)

    def userFromText(self, text: str) -> Any:
        """The id that a text means, of a URL or a table: an int, a str or a datetime64; it need not be in the model.

        ``ValueError`` if no id of this kind is written so.
        """
        return self._users.ids.from_text(text)

    def itemFromText(self, text: str) -> Any:
        """The id of an item that a text means: see `userFromText`."""
        return self._items.ids.from_text(text)

    def __contains__(self, user: object) -> bool:
        return self._users.ids.position(user) >= 0

    def hasItem(self, item: Any) -> bool:
        """Whether an item is in the model, as ``user in model`` tells of users."""
        return self._items.ids.position(item) >= 0

    def _once(self, name: str, make: Callable[[], T]) -> T:
        """What is made at its first use, by one thread, and kept."""
        if name not in self._kept:
            with self._lock:
                if name not in self._kept:
                    self._kept[name] = make()
        kept: T = self._kept[name]
        return kept
