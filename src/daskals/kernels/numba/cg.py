"""Conjugate gradients on the normal equations of every row, compiled; `daskals.kernels._numpy` has the formulas.

A step needs one product with A = M + c I + sum w y y', M being the other side's Gram matrix in implicit mode. There
are two ways to it, and a row takes the cheaper one:

    without A    a pass over the row's ratings in each step (`daskals.kernels._gathered`): 4 rank flops a rating
    with A       assembled once, as for the exact solution, rank^2 flops a rating at several times the rate; after
                 that no step looks at a rating

At small ranks the second is cheaper for all but the shortest rows. On AMD's Zen 4, with 3 steps, that ended between
ranks 24 and 32, also for rows of more ratings than a second-level cache holds: `dots` asks for them early enough.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daskals.kernels.numba.assembling import PANEL_BYTES, assemble, sums
from daskals.kernels.numba.equations import compiled
from daskals.kernels.numba.gathering import RUN, combine, dots
from daskals.kernels.numba.tiles import BYTES

#: Rows of fewer ratings than the rank divided by this never get an A, which has to be made symmetric: not measured.
FEWEST = 4
#: A is assembled up to this rank for each pass that it saves.
RANK_A_PASS = 6


@compiled
def _dot(a: Any, b: Any) -> float:
    total = a.dtype.type(0)
    for j in range(len(a)):
        total += a[j] * b[j]
    return float(total)


@compiled
def _multiply(
    first: int, stop: int, sources: Any, ratings: Any, factors: Any, implicit: bool, alpha: float, c: float,
    matrix: Any, all_rows: Any, scores: Any, v: Any, out: Any,
) -> None:  # fmt: skip
    """out = (matrix + c I + sum w y y') v, the sum going over ratings ``first`` to ``stop``."""
    padded = len(v)
    vectors = padded * v.itemsize // BYTES
    for j in range(padded):
        out[j] = v.dtype.type(c) * v[j]
    if len(matrix):
        combine(out, v, matrix, all_rows, 0, padded, vectors)
    for start in range(first, stop, RUN):
        n = min(RUN, stop - start)
        dots(scores, v, factors, sources, start, n, stop, vectors)
        if implicit:
            for t in range(n):
                scores[t] *= v.dtype.type(alpha * abs(ratings[start + t]))
        combine(out, scores, factors, sources, start, n, vectors)


@compiled
def _start(
    first: int, stop: int, sources: Any, ratings: Any, factors: Any, implicit: bool, alpha: float, c: float,
    matrix: Any, all_rows: Any, scores: Any, x: Any, residual: Any,
) -> float:  # fmt: skip
    """residual = b - A x; returns x'Ax - 2 b.x, with the squared ratings added in explicit mode."""
    padded = len(x)
    vectors = padded * x.itemsize // BYTES
    for j in range(padded):
        residual[j] = 0
    if len(matrix):
        combine(residual, x, matrix, all_rows, 0, padded, vectors)
    for j in range(padded):
        residual[j] = -residual[j] - x.dtype.type(c) * x[j]
    value: float = -_dot(residual, x)
    for start in range(first, stop, RUN):
        n = min(RUN, stop - start)
        dots(scores, x, factors, sources, start, n, stop, vectors)
        if implicit:
            for t in range(n):
                rating, score = ratings[start + t], scores[t]
                w = x.dtype.type(alpha * abs(rating))
                target = 1 + w if rating > 0 else x.dtype.type(0)
                scores[t] = target - w * score
                value -= (float(target) + float(scores[t])) * float(score)
        else:
            for t in range(n):
                scores[t] = x.dtype.type(ratings[start + t]) - scores[t]
                value += float(scores[t]) * float(scores[t])
        combine(residual, scores, factors, sources, start, n, vectors)
    return value


@compiled
def cg_rows(
    indptr: Any, sources: Any, ratings: Any, factors: Any, rank: int, gram: Any, implicit: bool, reg: float,
    alpha: float, previous: Any, steps: int, rows: Any, losses: Any,
) -> None:  # fmt: skip
    """``steps`` steps from ``previous`` for every row of a CSR block."""
    padded, dtype = factors.shape[1], factors.dtype
    most = max(8, PANEL_BYTES // (padded * factors.itemsize))
    panel, weighted = np.zeros((most, padded), dtype), np.zeros((most if implicit else 0, padded), dtype)
    targets, b, A = np.zeros((most, 1), dtype), np.zeros((1, padded), dtype), np.zeros((padded, padded), dtype)
    x, residual, direction, image = np.zeros((4, padded), dtype)
    scores, all_rows, nothing = np.zeros(RUN, dtype), np.arange(padded).astype(np.int32), np.zeros((0, padded), dtype)
    for row in range(len(indptr) - 1):
        first, stop = indptr[row], indptr[row + 1]
        q, counted, weight = sums(ratings, first, stop, implicit, alpha)
        c = reg * counted
        for j in range(rank):
            x[j] = previous[row, j]
        if rank <= (steps + 1) * RANK_A_PASS and FEWEST * (stop - first) >= rank:
            for i in range(padded):
                for j in range(padded):
                    A[i, j] = gram[i, j] if implicit else 0
                b[0, i] = 0
            assemble(first, stop, sources, ratings, factors, rank, implicit, alpha, panel, weighted, targets, A, b)
            for i in range(padded):
                for j in range(i):
                    A[i, j] = A[j, i]
            matrix, stop = A, first
            value = q - 2 * _dot(b[0], x)
        else:
            matrix = gram if implicit else nothing
            b[:] = 0
            value = q if implicit else 0.0
        value += _start(
            first, stop, sources, ratings, factors, implicit, alpha, c, matrix, all_rows, scores, x, residual
        )
        for j in range(padded):
            residual[j] += b[0, j]
            direction[j] = residual[j]
        square = _dot(residual, residual)
        # what is left of a residual is then rounding errors; further steps could divide zero by zero
        enough = float(np.finfo(dtype).eps) ** 2 * square
        for _ in range(steps):
            if not square > enough:
                break
            _multiply(
                first, stop, sources, ratings, factors, implicit, alpha, c, matrix, all_rows, scores,
                direction, image,
            )  # fmt: skip
            curvature = _dot(direction, image)
            if not curvature > 0:
                break
            length = square / curvature
            value -= length * square
            for j in range(padded):
                x[j] += dtype.type(length) * direction[j]
                residual[j] -= dtype.type(length) * image[j]
            before, square = square, _dot(residual, residual)
            ratio = dtype.type(square / before)
            for j in range(padded):
                direction[j] = residual[j] + ratio * direction[j]
        norm = 0.0
        for j in range(rank):
            rows[row, j] = x[j]
            norm += float(x[j]) * float(x[j])
        losses[0] += value - c * norm
        losses[1] += c * norm
        losses[2] += weight
