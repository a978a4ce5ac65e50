"""Ids of any type to positions 0 .. n - 1, the same on every machine.

Ids are of one of the four kinds of `daskals.io.ids`: int64, uint64, datetime64[ns], or object arrays of str. All of
them sort in one defined order (strings by code point), so the position of an id depends on the set of ids alone: not
on the order or the partitioning in which they arrive, not on a hash seed.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from daskals.blocks.ratings import CodedIds, Index
from daskals.kernels.types import Ids, Int64

#: Counting beats hashing and sorting while the table of counts is no longer than this many times the ids.
TABLE_SHARE = 4
#: ... and a table this short is always cheap.
SMALL_TABLE = 1 << 16
#: Ids of several indexes are merged in one go up to this number.
MERGED_AT_ONCE = 1 << 24
#: Arrays of string ids whose hash tables are kept: two sides of two models.
KEPT_TABLES = 4
#: pandas before version 3 hashes a string up to its first NUL only.
ENDS_AT_NUL = int(pd.__version__.split(".")[0]) < 3
#: How many strings are looked through for a NUL at a time.
SEARCHED_AT_ONCE = 1 << 16


def encode(ids: Ids) -> CodedIds:
    """Distinct ids, ascending, and for each given id its place among them.

    >>> import numpy as np
    >>> encode(np.array([7, 3, 7]))
    CodedIds(uniques=array([3, 7]), codes=array([1, 0, 1], dtype=int32))
    """
    if ids.dtype.kind in "iu" and len(ids):
        low, high = int(ids.min()), int(ids.max())
        if _table_is_cheap(high - low + 1, len(ids)):
            return _encode_by_counting(ids, low, high)
    return sort_distinct(*factorize(ids)[::-1])


def factorize(values: Any) -> tuple[Any, Any]:
    """What `pandas.factorize` gives, codes and distinct values in their first order, for strings with NULs too.

    Of an array or a Series without nulls. pandas before version 3 takes ``"a"`` and ``"a\\0b"`` for the same string.
    ``TypeError`` at a value that has no hash.
    """
    if ENDS_AT_NUL and not pd.api.types.is_numeric_dtype(values.dtype) and _has_nul(values):
        places: dict[str, int] = {}
        codes = np.fromiter((places.setdefault(each, len(places)) for each in values), np.int64, len(values))
        return codes, np.array(list(places), dtype=object)
    codes, distinct = pd.factorize(values, sort=False)
    return codes, distinct


def _has_nul(values: Any) -> bool:
    """Whether all values are strings and some have a NUL. Other values make pandas compare objects, which is right."""
    strings = np.asarray(values, dtype=object)
    try:
        return any(
            "\0" in "".join(strings[first : first + SEARCHED_AT_ONCE])
            for first in range(0, len(strings), SEARCHED_AT_ONCE)
        )
    except TypeError:
        return False


def sort_distinct(distinct: Ids, codes: Int64) -> CodedIds:
    """The same coding with the distinct ids in ascending order."""
    order = _order(distinct)
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return CodedIds(distinct[order], place[codes])


def _order(distinct: Ids) -> Int64:
    """Where each of the distinct ids stands in ascending order.

    Arrow sorts strings by their UTF-8 bytes, which is the order of code points, five times as fast as NumPy compares
    Python's strings.
    """
    if distinct.dtype.kind == "O":
        try:
            return np.asarray(pc.array_sort_indices(pa.array(distinct, pa.large_string()))).astype(np.int64)
        except UnicodeEncodeError:  # half of a surrogate pair, which UTF-8 does not have
            pass
    return np.argsort(distinct, kind="stable")


def _encode_by_counting(ids: Ids, low: int, high: int) -> CodedIds:
    wide = _wide(ids)
    offsets = wide - wide.dtype.type(low)
    seen = np.zeros(high - low + 1, np.bool_)
    seen[offsets] = True
    place = np.cumsum(seen, dtype=np.int32)
    place -= 1
    return CodedIds(np.flatnonzero(seen).astype(wide.dtype) + wide.dtype.type(low), place[offsets])


def _wide(ids: Ids) -> Ids:
    """Narrow types overflow in a subtraction; a cheap table cannot be so long that 32 bits do."""
    return ids.astype(np.int64) if ids.dtype.itemsize < 4 else ids


def merge(indexes: Sequence[Index]) -> Index:
    """The union of several indexes; the counts of an id that stands in more than one are added.

    It takes some 40 bytes for each id that is given. Many ids are therefore merged by halves, which have most of
    them in common.
    """
    if len(indexes) > 2 and sum(len(index.ids) for index in indexes) > MERGED_AT_ONCE:
        half = len(indexes) // 2
        return merge([merge(indexes[:half]), merge(indexes[half:])])
    ids = np.concatenate([index.ids for index in indexes])
    counts = np.concatenate([index.counts for index in indexes])
    distinct, codes = encode(ids)
    if len(distinct) > np.iinfo(np.int32).max:
        raise ValueError(f"{len(distinct)} distinct ids on one side; at most 2^31 - 1 are supported")
    # float64 sums of counts are exact up to 2^53 ratings
    return Index(distinct, np.bincount(codes, counts, len(distinct)).astype(np.int64))


def positions(ids: Ids, queries: Ids) -> Int64:
    """Where each query stands in ``ids`` (ascending, distinct); -1 where it does not.

    >>> import numpy as np
    >>> positions(np.array([3, 7, 9]), np.array([9, 4, 3])).tolist()
    [2, -1, 0]
    """
    if not len(ids) or not len(queries):
        return np.full(len(queries), -1, np.int64)
    if ids.dtype != queries.dtype and ids.dtype.kind in "iu":
        return _positions_across_types(ids, queries)
    if ids.dtype.kind == "O":
        found = _hash_table(ids).get_indexer(pd.Index(queries, dtype=object, copy=False))
        return np.asarray(found, np.int64)
    if ids.dtype.kind in "iu" and _table_is_cheap(int(ids[-1]) - int(ids[0]) + 1, len(queries) + len(ids)):
        return _positions_by_table(ids, queries)
    found = np.searchsorted(ids, queries)
    found[found == len(ids)] = 0
    return np.where(ids[found] == queries, found, -1)


_tables: OrderedDict[int, tuple[weakref.ref[Ids], pd.Index]] = OrderedDict()
_tables_lock = threading.Lock()


def _hash_table(ids: Ids) -> pd.Index:
    """The hash table of an array of strings, which is made once, and goes when the array goes.

    All chunks of a fit look up their ids in one array, and the table of a million ids takes a second to make. It takes
    about 50 bytes an id, in each process; only the `KEPT_TABLES` newest are kept.
    """
    key = id(ids)
    with _tables_lock:
        kept = _tables.pop(key, None)
        if kept is None or kept[0]() is not ids:
            table = pd.Index(ids, dtype=object, copy=True)  # a view would keep the array alive
            table.get_indexer(table[:1])  # pandas fills the table at its first use, which no two threads should do
            kept = weakref.ref(ids, lambda _: _tables.pop(key, None)), table
        _tables[key] = kept  # the newest is the last
        while len(_tables) > KEPT_TABLES:
            _tables.popitem(last=False)
        return kept[1]


def _positions_across_types(ids: Ids, queries: Ids) -> Int64:
    """Integers of another width or signedness: those that the type of ``ids`` cannot hold are not there."""
    limits = np.iinfo(ids.dtype)
    inside = (queries >= limits.min) & (queries <= limits.max)
    return np.where(inside, positions(ids, np.where(inside, queries, 0).astype(ids.dtype)), -1)


def _positions_by_table(ids: Ids, queries: Ids) -> Int64:
    low, high = ids[0], ids[-1]
    ids, queries = _wide(ids), _wide(queries)
    table = np.full(int(high) - int(low) + 1, -1, np.int64)
    table[ids - low] = np.arange(len(ids))
    inside = (queries >= low) & (queries <= high)
    # outside of the table any entry will do: it is thrown away
    return np.where(inside, table[np.where(inside, queries - low, 0)], -1)


def _table_is_cheap(length: int, uses: int) -> bool:
    return length <= max(SMALL_TABLE, TABLE_SHARE * uses)


def spark_ids(ids: Ids) -> Int64 | Ids:
    """The integers that Spark's rules see: integer ids themselves, for other ids their rank in sorted order."""
    return ids if ids.dtype.kind in "iu" else np.arange(len(ids))
