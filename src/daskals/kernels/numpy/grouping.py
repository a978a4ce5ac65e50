"""Sorting rows by integer keys, in plain NumPy and SciPy: how ratings are grouped by block and by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from daskals.kernels.arrays import written_out
from daskals.kernels.types import AnyArray, Int32, LookedUp, Runs


def counting_sort(
    keys: Sequence[Int32 | LookedUp], n_keys: int, *columns: Sequence[AnyArray | LookedUp | Runs], first: int = 0
) -> tuple[AnyArray, ...]:
    """Columns sorted by integer keys in [first, first + n_keys), and where each key's run begins in them.

    Keys and columns come in parts, which are read one after the other; equal keys stay in the order given. Returns
    starts, int64 (n_keys + 1,), and the columns, each in one array. Linear in the number of keys: the transposition
    of a sparse matrix with one entry a row is such a sort, and SciPy has it compiled.
    """
    joined = np.concatenate([written_out(part) for part in keys]) - np.int32(first)
    n = len(joined)
    entries = sparse.csr_matrix((np.arange(n), joined, np.arange(n + 1)), (n, n_keys)).tocsc()
    whole = (np.concatenate([written_out(part) for part in column]) for column in columns)
    return entries.indptr.astype(np.int64), *(column[entries.data] for column in whole)
