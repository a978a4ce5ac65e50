"""Arrays as the compiled kernels want them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from daskals.kernels.types import AnyArray, LookedUp, Runs


def as_kernel_array(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Contiguous, aligned, writeable as to type: else each kind of array would compile a signature of its own."""
    array = np.require(array, dtype, ["C", "A"])
    if not array.flags.writeable:
        array = array.view()
        try:
            array.flags.writeable = True
        except ValueError:
            array = array.copy()
    return array


def written_out(column: AnyArray | LookedUp | Runs) -> AnyArray:
    """The values of a column as one array."""
    if isinstance(column, LookedUp):
        return np.asarray(column.table[column.codes])
    if isinstance(column, Runs):
        last = column.first + len(column.starts) - 1
        return np.repeat(np.arange(column.first, last, dtype=np.int32), np.diff(column.starts))
    return column
