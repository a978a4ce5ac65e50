"""Sorting by counting, compiled: two passes over the keys, the second of which writes every value to its place.

Values that can be looked up, or stand in runs, are not written out before: that would take as much memory again, and
fresh memory is what costs most here. (Dask's workers have the C library return what they free at once.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from daskals.kernels.arrays import as_kernel_array
from daskals.kernels.numba.compiling import compiled
from daskals.kernels.numpy import grouping as plain
from daskals.kernels.types import AnyArray, Int32, LookedUp, Runs

#: Up to so many keys the plain form, which gives the same arrays, takes 0.1 ms longer at most; and on a new machine the
#: first fit need not wait half a second for these functions to be compiled.
FEW = 20_000
_NO_TABLE = np.zeros(0, np.int32)


@compiled
def _count(table: Any, keys: Any, first: int, starts: Any) -> None:
    for n in range(len(keys)):
        key = table[keys[n]] if len(table) else keys[n]
        starts[key - first + 1] += 1


@compiled
def _scatter(table: Any, keys: Any, first: int, column: Any, places: Any, out: Any) -> None:
    for n in range(len(keys)):
        key = (table[keys[n]] if len(table) else keys[n]) - first
        place = places[key]
        out[place] = column[n]
        places[key] = place + 1


@compiled
def _scatter_looked_up(table: Any, keys: Any, first: int, values: Any, codes: Any, places: Any, out: Any) -> None:
    for n in range(len(keys)):
        key = (table[keys[n]] if len(table) else keys[n]) - first
        place = places[key]
        out[place] = values[codes[n]]
        places[key] = place + 1


@compiled
def _scatter_runs(table: Any, keys: Any, first: int, value: int, starts: Any, places: Any, out: Any) -> None:
    for run in range(len(starts) - 1):
        for n in range(starts[run], starts[run + 1]):
            key = (table[keys[n]] if len(table) else keys[n]) - first
            place = places[key]
            out[place] = value + run
            places[key] = place + 1


def counting_sort(
    keys: Sequence[Int32 | LookedUp], n_keys: int, *columns: Sequence[AnyArray | LookedUp | Runs], first: int = 0
) -> tuple[AnyArray, ...]:
    """Columns sorted by integer keys, and where runs begin; see `daskals.kernels.numpy.grouping.counting_sort`."""
    tabled = [_tabled(part) for part in keys]
    if sum(len(codes) for _, codes in tabled) <= FEW:
        return plain.counting_sort(keys, n_keys, *columns, first=first)
    starts = np.zeros(n_keys + 1, np.int64)
    for table, codes in tabled:
        _count(table, codes, first, starts)
    np.cumsum(starts, out=starts)
    sorted_columns = []
    for column in columns:
        places, out = starts.copy(), np.empty(starts[-1], _dtype_of(column[0]))
        for (table, codes), part in zip(tabled, column, strict=True):
            if isinstance(part, LookedUp):
                values = as_kernel_array(part.table, np.int32), as_kernel_array(part.codes, np.int32)
                _scatter_looked_up(table, codes, first, *values, places, out)
            elif isinstance(part, Runs):
                _scatter_runs(table, codes, first, part.first, as_kernel_array(part.starts, np.int64), places, out)
            else:
                _scatter(table, codes, first, as_kernel_array(part, part.dtype), places, out)
        sorted_columns.append(out)
    return starts, *sorted_columns


def _tabled(keys: Int32 | LookedUp) -> LookedUp:
    if isinstance(keys, LookedUp):
        return LookedUp(as_kernel_array(keys.table, np.int32), as_kernel_array(keys.codes, np.int32))
    return LookedUp(_NO_TABLE, as_kernel_array(keys, np.int32))


def _dtype_of(column: AnyArray | LookedUp | Runs) -> np.dtype[Any]:
    return column.dtype if isinstance(column, np.ndarray) else np.dtype(np.int32)
