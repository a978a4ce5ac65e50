"""Where an id stands among the sorted ids of a side.

Numbers and dates are found by bisection. Strings are found by a hash: the CRC-32 of each one, sorted, beside the places
of the strings. All of it is flat arrays, which may lie in a file that is mapped into memory, so that nothing has to be
built when a process starts.
"""

from __future__ import annotations

import datetime
import numbers
import reprlib
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from daskals.kernels.types import AnyArray, Ids, Int64

_WHOLE = "integers"
_DATES = "dates: datetime64, or datetime without a time zone"


class NumberIds:
    """Ids that are integers, or dates as datetime64[ns]; ascending."""

    def __init__(self, ids: Ids, side: str) -> None:
        self.array, self._side = ids, side
        self._dates = ids.dtype.kind == "M"
        self._keys = ids.view(np.int64) if self._dates else ids
        limits = np.iinfo(self._keys.dtype)
        self._least, self._most = int(limits.min), int(limits.max)

    def __len__(self) -> int:
        return len(self.array)

    def position(self, id_: Any) -> int:
        """Where an id stands, -1 where it does not; ``TypeError`` for what cannot be an id of this side."""
        key = self._key(id_)
        if key is None or not self._least <= key <= self._most:
            return -1
        place = int(np.searchsorted(self._keys, self._keys.dtype.type(key)))
        return place if place < len(self._keys) and int(self._keys[place]) == key else -1

    def positions(self, ids: Iterable[Any]) -> Int64:
        """The same for many: int64, one for each."""
        given = ids.to_numpy() if hasattr(ids, "to_numpy") else ids  # a column of a frame
        given = given if isinstance(given, np.ndarray) else _as_integers(given)
        if not self._dates and isinstance(given, np.ndarray) and given.dtype.kind in "iu":
            inside = (given >= self._least) & (given <= self._most)
            return _find(self._keys, np.where(inside, given, 0).astype(self._keys.dtype), inside)
        if self._dates and isinstance(given, np.ndarray) and given.dtype == self.array.dtype:
            return _find(self._keys, given.view(np.int64), ~np.isnat(given))
        return np.fromiter(map(self.position, given), np.int64)

    def at(self, positions: Int64) -> list[Any]:
        """The ids at these positions: int, or np.datetime64."""
        chosen = self.array[positions]
        return list(chosen) if self._dates else chosen.tolist()

    def from_text(self, text: str) -> Any:
        """The id that a text means; ``ValueError`` if it means none."""
        try:
            return np.datetime64(text, "ns") if self._dates else int(text)
        except ValueError:
            what = "dates, such as 2026-01-31" if self._dates else "integers"
            raise ValueError(
                f"The ids of {self._side} in this model are {what}; {reprlib.repr(text)} is none"
            ) from None

    def _key(self, id_: Any) -> int | None:
        """The integer by which an id is found; None where no id can be equal to it."""
        if self._dates:
            return self._nanoseconds(id_)
        if isinstance(id_, int | np.integer) and not isinstance(id_, bool):
            return int(id_)
        if isinstance(id_, numbers.Real) and not isinstance(id_, bool | np.bool_):  # as in a frame, 7.0 is 7
            return int(float(id_)) if float(id_).is_integer() else None
        raise _no_id(self._side, _WHOLE, id_)

    def _nanoseconds(self, id_: Any) -> int | None:
        aware = isinstance(id_, datetime.datetime) and id_.tzinfo is not None
        if aware or not isinstance(id_, datetime.date | np.datetime64):
            raise _no_id(self._side, _DATES, id_)
        date = id_.to_datetime64() if hasattr(id_, "to_datetime64") else np.datetime64(id_)
        try:
            exact = date.astype("datetime64[ns]")
        except OverflowError:  # from NumPy 2.5 on
            return None
        # in older versions a date that nanoseconds cannot count becomes another one; NaT is not equal to itself
        return int(exact.astype(np.int64)) if exact.astype(date.dtype) == date else None


class TextIds:
    """Ids that are strings, ascending by code points: their bytes one after the other, and a table of hashes."""

    def __init__(self, text: AnyArray, ends: Int64, hashes: AnyArray, places: AnyArray, side: str) -> None:
        #: text: uint8, all strings in UTF-8; ends: int64 (n,), where each one ends; hashes: uint32 (n,), ascending;
        #: places: int32 (n,), of which string each hash is
        self.text, self.ends, self.hashes, self.places = text, ends, hashes, places
        self._side, self._bytes = side, memoryview(text.data)

    @classmethod
    def of(cls, ids: Iterable[str], side: str) -> TextIds:
        """From ascending strings."""
        coded = list(map(_encoded, ids))
        hashes = np.fromiter(map(zlib.crc32, coded), np.uint32, len(coded))
        places = np.argsort(hashes, kind="stable").astype(np.int32)
        ends = np.cumsum(np.fromiter(map(len, coded), np.int64, len(coded)))
        return cls(np.frombuffer(b"".join(coded), np.uint8), ends, hashes[places], places, side)

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return TextIds, (self.text, self.ends, self.hashes, self.places, self._side)

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def array(self) -> Ids:
        """All ids, as an object array of str, which is made anew each time."""
        ids = np.empty(len(self), object)
        ids[:] = self.at(np.arange(len(self)))
        return ids

    def position(self, id_: Any) -> int:
        """Where an id stands, -1 where it does not; ``TypeError`` for what is no string."""
        if not isinstance(id_, str):
            raise _no_id(self._side, "strings", id_)
        key = _encoded(id_)
        hash_ = np.uint32(zlib.crc32(key))
        return self._first_equal(key, hash_, int(np.searchsorted(self.hashes, hash_)))

    def positions(self, ids: Iterable[Any]) -> Int64:
        """The same for many: int64, one for each."""
        given = list(ids)
        if not all(isinstance(id_, str) for id_ in given):
            raise _no_id(self._side, "strings", next(id_ for id_ in given if not isinstance(id_, str)))
        keys = list(map(_encoded, given))
        hashes = np.fromiter(map(zlib.crc32, keys), np.uint32, len(keys))
        slots = np.searchsorted(self.hashes, hashes).tolist()
        return np.fromiter(map(self._first_equal, keys, hashes, slots), np.int64, len(keys))

    def from_text(self, text: str) -> str:
        """The text itself."""
        return text

    def _first_equal(self, key: bytes, hash_: np.uint32, slot: int) -> int:
        """The position of a string, from the first slot of its hash; others may have the same hash."""
        while slot < len(self.hashes) and self.hashes[slot] == hash_:
            place = int(self.places[slot])
            if self._bytes[self._start(place) : int(self.ends[place])] == key:
                return place
            slot += 1
        return -1

    def at(self, positions: Int64) -> list[Any]:
        """The ids at these positions."""
        cuts = ((self._start(place), int(self.ends[place])) for place in positions.tolist())
        return [str(self._bytes[start:end], "utf-8", "surrogatepass") for start, end in cuts]

    def _start(self, place: int) -> int:
        return int(self.ends[place - 1]) if place else 0


SideIds = NumberIds | TextIds


def _encoded(id_: str) -> bytes:
    return id_.encode("utf-8", "surrogatepass")


def _find(keys: AnyArray, wanted: AnyArray, can_be: AnyArray) -> Int64:
    if not len(keys):
        return np.full(len(wanted), -1, np.int64)
    found = np.searchsorted(keys, wanted)
    found[found == len(keys)] = 0
    return np.where(can_be & (keys[found] == wanted), found, -1)


def _as_integers(ids: Iterable[Any]) -> AnyArray | list[Any]:
    """An array where all ids are integers that one type holds, else a list of them."""
    given = list(ids)
    if given and all(type(id_) is int for id_ in given):
        array = np.array(given)
        return array if array.dtype.kind in "iu" else given
    return given


def _no_id(side: str, expected: str, id_: Any) -> TypeError:
    what = f"{reprlib.repr(id_)} is of type {type(id_).__name__}"
    return TypeError(f"The ids of {side} in this model are {expected}; {what}. Convert it first.")
