"""The normal equations of a row, compiled: A and b from its ratings, panel by panel."""

from __future__ import annotations

from typing import Any

from daskals.kernels.numba.equations import add_gram, add_rows, compiled
from daskals.kernels.numba.gathering import gather_rows
from daskals.kernels.numba.tiles import BYTES

#: Bytes of source rows gathered at a time: half of a first-level cache.
PANEL_BYTES = 16 << 10


@compiled
def assemble(
    first: int, stop: int, sources: Any, ratings: Any, factors: Any, rank: int, implicit: bool, alpha: float,
    panel: Any, weighted: Any, targets: Any, A: Any, b: Any,
) -> None:  # fmt: skip
    """Add a row's ratings to A (upper triangle) and b, panel by panel."""
    most, padded = panel.shape
    vectors = padded * panel.itemsize // BYTES
    for start in range(first, stop, most):
        n = min(most, stop - start)
        gather_rows(panel, factors, sources, start, n, vectors)
        if not implicit:
            for t in range(n):
                targets[t, 0] = ratings[start + t]
        else:
            for t in range(n):
                rating = ratings[start + t]
                w = panel.dtype.type(alpha * abs(rating))
                targets[t, 0] = 1 + w if rating > 0 else 0
                for j in range(padded):
                    weighted[t, j] = w * panel[t, j]
        add_gram(A, weighted if implicit else panel, panel, n, rank)
        add_rows(1, 1.0, b, 0, padded, targets, 0, 1, panel, 0, padded, padded, n)


@compiled
def sums(ratings: Any, first: int, stop: int, implicit: bool, alpha: float) -> tuple[float, int, float]:
    """q, the number of ratings that count for the regularisation, and the weight of a row."""
    q = 0.0
    if not implicit:
        for t in range(first, stop):
            q += float(ratings[t]) * float(ratings[t])
        return q, stop - first, float(stop - first)
    counted, weight = 0, 0.0
    for t in range(first, stop):
        w = alpha * abs(float(ratings[t]))
        weight += w
        if ratings[t] > 0:
            q += 1 + w
            counted += 1
    return q, counted, weight
