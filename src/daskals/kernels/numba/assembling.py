"""The normal equations of a row, compiled: A and b from its ratings, some at a time."""

from __future__ import annotations

from typing import Any

from daskals.kernels.numba.compiling import inner
from daskals.kernels.numba.equations import add_gram, add_row
from daskals.kernels.numba.gathering import gather_rows
from daskals.kernels.numba.tiles import BYTES

#: Bytes of source rows gathered at a time: half of a first-level cache.
GATHERED_BYTES = 16 << 10


@inner
def assemble(
    first: int, stop: int, sources: Any, targets: Any, weights: Any, factors: Any, rank: int,
    gathered: Any, weighted: Any, A: Any, b: Any,
) -> None:  # fmt: skip
    """Add ratings ``first`` to ``stop`` of a row to A (upper triangle) and b; targets are (ratings, 1).

    A faster version of, with the row's source rows Y, its weights w (none: all are 1) and its targets t,

        A += (w * Y).T @ Y;  b += t @ Y

    whose plain form is `daskals.kernels.numpy.equations.assemble_row_by_row`: as many source rows as `GATHERED_BYTES`
    hold are copied to ``gathered`` at a time, and are in cache while tiles of A are added up.
    """
    most, padded = gathered.shape
    vectors = padded * gathered.itemsize // BYTES
    for start in range(first, stop, most):
        n = min(most, stop - start)
        gather_rows(gathered, factors, sources, start, n, vectors)
        if len(weights):
            for t in range(n):
                w = weights[start + t]
                for j in range(padded):
                    weighted[t, j] = w * gathered[t, j]
        add_gram(A, weighted if len(weights) else gathered, gathered, n, rank)
        add_row(1.0, b, 0, targets, start, 1, gathered, 0, padded, padded, n)
