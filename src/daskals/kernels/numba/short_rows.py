"""The exact solution of a row of few ratings by its dual, compiled.

A faster version of `daskals.kernels.numpy.short_rows`, which has the formulas. For the system of a row its source rows
stand side by side, in a matrix of a row for each column of factors, which is made in pieces of `GATHERED_BYTES`
(`daskals.kernels.numba.columns.turn_columns`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daskals.kernels.numba.blockwise import solve_blockwise
from daskals.kernels.numba.columns import inverse_roots, turn_columns
from daskals.kernels.numba.compiling import inner
from daskals.kernels.numba.equations import add_gram
from daskals.kernels.numba.gathering import combine
from daskals.kernels.numba.tiles import BYTES

#: Bytes of columns gathered at a time.
GATHERED_BYTES = 16 << 10


@inner
def solve_short_row(
    first: int, stop: int, sources: Any, targets: Any, weights: Any, factors: Any, d: Any, rank: int, scales: Any,
    roots: Any, room_for_V: Any, room_for_K: Any, z: Any, apart: Any, x: Any,
) -> bool:  # fmt: skip
    """The exact x of a row of few ratings, by its dual (`daskals.kernels.numpy.short_rows.solve_short_row`).

    ``apart`` receives the part of x that comes of ratings of weight 0.
    """
    n = stop - first
    padded = (n + 7) // 8 * 8
    for t in range(padded * (padded + 8)):
        room_for_K[t] = 0
    K = room_for_K[: padded * (padded + 8)].reshape(padded, padded + 8)
    # V', some columns of factors at a time
    most = max(8, GATHERED_BYTES // (padded * K.itemsize) // 8 * 8)
    V = room_for_V[: most * padded].reshape(most, padded)
    whole = rank * x.itemsize // BYTES
    inverse_roots(scales, d, whole)
    for j in range(whole * BYTES // x.itemsize, rank):
        scales[j] = 1 / np.sqrt(d[j])
    for t in range(padded):
        roots[t] = 0 if t >= n else np.sqrt(weights[first + t]) if len(weights) else 1
    some_apart = _split_off(first, stop, sources, targets, weights, factors, d, rank, apart)
    for column in range(0, len(x), most):
        width = min(most, len(x) - column)
        turn_columns(V, padded, factors, len(x), sources, first, n, column, width, roots, scales)
        add_gram(K, V, V, width, n)
    for t in range(padded):
        K[t, t] += 1
    for t in range(n):
        right = targets[first + t] / roots[t] if roots[t] > 0 else 0 * roots[t]
        if some_apart:
            for j in range(rank):
                right -= roots[t] * factors[sources[first + t], j] * apart[j]
        K[t, padded] = right
    if not solve_blockwise(K, n, z):
        return False
    for t in range(n):
        z[t] *= roots[t]
    x[:] = 0
    combine(x, z, factors, sources, first, n, len(x) * x.itemsize // BYTES)
    for j in range(rank):
        x[j] = apart[j] + x[j] * scales[j] * scales[j]
    return True


@inner
def _split_off(
    first: int, stop: int, sources: Any, targets: Any, weights: Any, factors: Any, d: Any, rank: int, apart: Any
) -> bool:
    """apart = D^-1 sum t y over ratings of weight 0; whether there are any."""
    apart[:] = 0
    some = False
    if len(weights):
        for t in range(first, stop):
            if weights[t] == 0 and targets[t] != 0:
                some = True
                for j in range(rank):
                    apart[j] += targets[t] * factors[sources[t], j]
    if some:
        for j in range(rank):
            apart[j] /= d[j]
    return some


@inner
def set_diagonal(diagonal: Any, c: float, rank: int, d: Any) -> bool:
    """d = diagonal + c; whether it is positive everywhere."""
    positive = True
    for j in range(rank):
        d[j] = diagonal[j] + c
        positive = positive and d[j] > 0
    return positive
