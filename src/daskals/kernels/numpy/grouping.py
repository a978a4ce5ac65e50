"""The arithmetic of ALS in plain NumPy and SciPy: correct everywhere, and the oracle of the compiled kernels.

Every function is pure: arrays in, new arrays out. Letters are those of the papers: a row x of the destination
solves

    A x = b,   A = sum w y y' (+ Y'Y) + c I,   b = sum t y

over the row's ratings, with source rows y and, for a rating r (`_numpy_equations.weights_and_targets`),

    explicit   w = 1            t = r                                 c = reg * number of ratings
    implicit   w = alpha |r|    t = 1 + alpha |r| if r > 0 else 0     c = reg * number of ratings > 0

The squared error of the row comes with the solution. It is E(x) = q - 2 b.x + x'(A - cI)x with q = sum of
(weight * target value squared), and since A x = b that is q - b.x - c |x|^2. (With x >= 0 enforced the same holds:
x'(Ax - b) = 0 is one of the optimality conditions.)
"""

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
