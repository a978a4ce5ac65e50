"""Conjugate gradients on the normal equations of rows, compiled: one row after another.

A faster version of `daskals.kernels.numpy.cg`, which has the plain form (`conjugate_gradients`) and says when a row
stops; the rule here is the same. What is faster is the product with A = M + c I + sum w y y', of which a step needs
one, M being the other side's Gram matrix in implicit mode and zero otherwise. There are two ways to it, and a row takes
the cheaper one:

    without A    a pass over the row's ratings in each step (`daskals.kernels.numba.gathering`): 4 rank flops a rating
    with A       assembled once, as for the exact solution, rank^2 flops a rating at several times the rate; after
                 that no step looks at a rating

At small ranks the second is cheaper for all but the shortest rows. On AMD's Zen 4, with 3 steps, that ended between
ranks 24 and 32, also for rows of more ratings than a second-level cache holds: `dots` asks for them early enough.

The squared error is carried along: `_start` gives the value of E at the start, and a step of length a along a
direction whose residual has the squared length s lowers E + c |x|^2 by a s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daskals.kernels.numba.assembling import GATHERED_BYTES, assemble
from daskals.kernels.numba.compiling import compiled, inlined
from daskals.kernels.numba.gathering import RUN, combine, dots
from daskals.kernels.numba.losses import ERROR, PENALTY, Q
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
def _dot_in_float64(a: Any, b: Any) -> float:
    total = 0.0
    for j in range(len(a)):
        total += np.float64(a[j]) * np.float64(b[j])
    return total


@inlined
def _multiply(
    first: int, stop: int, sources: Any, weights: Any, factors: Any, d: Any, matrix: Any, all_rows: Any, scores: Any,
    v: Any, out: Any,
) -> None:  # fmt: skip
    """out = (matrix + diag(d) + sum w y y') v, the sum going over ratings ``first`` to ``stop``."""
    padded = len(v)
    vectors = padded * v.itemsize // BYTES
    for j in range(padded):
        out[j] = d[j] * v[j]
    if len(matrix):
        combine(out, v, matrix, all_rows, 0, padded, vectors)
    for start in range(first, stop, RUN):
        n = min(RUN, stop - start)
        dots(scores, v, factors, sources, start, n, stop, vectors)
        if len(weights):
            for t in range(n):
                scores[t] *= weights[start + t]
        combine(out, scores, factors, sources, start, n, vectors)


@inlined
def _start(
    first: int, stop: int, sources: Any, targets: Any, weights: Any, factors: Any, d: Any, matrix: Any, all_rows: Any,
    scores: Any, x: Any, residual: Any,
) -> float:  # fmt: skip
    """residual = b - A x and the return value x'Ax - 2 b.x, for the b of ratings ``first`` to ``stop``.

    Where there are no weights the squared targets are added, which makes it a sum of squared residuals.
    """
    padded = len(x)
    vectors = padded * x.itemsize // BYTES
    for j in range(padded):
        residual[j] = 0
    if len(matrix):
        combine(residual, x, matrix, all_rows, 0, padded, vectors)
    for j in range(padded):
        residual[j] = -residual[j] - d[j] * x[j]
    value: float = -_dot_in_float64(residual, x)
    for start in range(first, stop, RUN):
        n = min(RUN, stop - start)
        dots(scores, x, factors, sources, start, n, stop, vectors)
        if len(weights):
            for t in range(n):
                target, score = targets[start + t], scores[t]
                scores[t] = target - weights[start + t] * score
                value -= (np.float64(target) + np.float64(scores[t])) * np.float64(score)
        else:
            for t in range(n):
                scores[t] = targets[start + t] - scores[t]
                value += np.float64(scores[t]) * np.float64(scores[t])
        combine(residual, scores, factors, sources, start, n, vectors)
    return value


@inlined
def _improve(
    first: int, stop: int, sources: Any, targets: Any, weights: Any, factors: Any, d: Any, matrix: Any, all_rows: Any,
    scores: Any, b: Any, value: float, steps: int, x: Any, residual: Any, direction: Any, image: Any,
) -> float:  # fmt: skip
    """At most ``steps`` steps of conjugate gradients on x.

    The equations are (matrix + diag(d) + sum w y y') x = b + sum t y, with sums over ratings ``first`` to ``stop``.
    Returns E + c |x|^2 at the new x; ``value`` is that part of it at the old x which `_start` does not know.
    """
    padded, dtype = len(x), x.dtype
    value += _start(first, stop, sources, targets, weights, factors, d, matrix, all_rows, scores, x, residual)
    for j in range(padded):
        residual[j] += b[j]
        direction[j] = residual[j]
    square = _dot(residual, residual)
    if not np.isfinite(square):
        return np.nan  # too large for the type: no step can be taken, and nobody shall believe the row
    enough = float(np.finfo(dtype).eps) ** 2 * square
    for _ in range(steps):
        if not square > enough:
            break
        _multiply(first, stop, sources, weights, factors, d, matrix, all_rows, scores, direction, image)
        curvature = _dot(direction, image)
        if not curvature > 0:
            break
        length = square / curvature
        value -= np.float64(length) * np.float64(square)
        for j in range(padded):
            x[j] += dtype.type(length) * direction[j]
            residual[j] -= dtype.type(length) * image[j]
        before, square = square, _dot(residual, residual)
        ratio = dtype.type(square / before)
        for j in range(padded):
            direction[j] = residual[j] + ratio * direction[j]
    return value


@inlined
def _write_row(row: int, q: float, value: float, c: float, x: Any, solution: Any, table: Any) -> None:
    """Write down x, and the losses of the row."""
    norm = 0.0
    for j in range(solution.shape[1]):
        solution[row, j] = x[j]
        norm += np.float64(x[j]) * np.float64(x[j])
    table[row, Q] = q
    table[row, ERROR] = value - c * norm
    table[row, PENALTY] = c * norm


@compiled
def _mirror(A: Any) -> None:
    """Copy the upper triangle of A to the lower one."""
    for i in range(len(A)):
        for j in range(i):
            A[i, j] = A[j, i]


@compiled
def cg_rows(
    indptr: Any, sources: Any, targets: Any, weights: Any, q: Any, c: Any, factors: Any, rank: int, base: Any,
    diagonal: Any, previous: Any, steps: int, solution: Any, table: Any,
) -> None:  # fmt: skip
    """``steps`` steps from ``previous`` for every row of a CSR block, its source rows being at hand.

    ``base`` is what is in A of every row, or ``diagonal``, where that is a diagonal matrix; of both there may be none.
    """
    padded, dtype = factors.shape[1], factors.dtype
    most = max(8, GATHERED_BYTES // (padded * factors.itemsize))
    gathered, weighted = np.zeros((most, padded), dtype), np.zeros((most if len(weights) else 0, padded), dtype)
    b, A, columns = np.zeros((1, padded), dtype), np.zeros((padded, padded), dtype), targets.reshape(-1, 1)
    x, residual, direction, image, d = np.zeros((5, padded), dtype)
    scores, all_rows = np.zeros(RUN, dtype), np.arange(padded).astype(np.int32)
    for row in range(len(indptr) - 1):
        first, stop = indptr[row], indptr[row + 1]
        for j in range(rank):
            x[j] = previous[row, j]
        for j in range(padded):
            d[j] = c[row]
            if len(diagonal):
                d[j] += diagonal[j]
        if rank <= (steps + 1) * RANK_A_PASS and FEWEST * (stop - first) >= rank:
            for i in range(padded):
                for j in range(padded):
                    A[i, j] = base[i, j] if len(base) else 0
                b[0, i] = 0
            assemble(first, stop, sources, columns, weights, factors, rank, gathered, weighted, A, b)
            _mirror(A)
            matrix, stop = A, first
            value = q[row] - 2 * _dot_in_float64(b[0], x)
        else:
            matrix = base
            b[:] = 0
            value = q[row] if len(weights) else 0.0
        value = _improve(
            first, stop, sources, targets, weights, factors, d, matrix, all_rows, scores, b[0], value, steps,
            x, residual, direction, image,
        )  # fmt: skip
        _write_row(row, q[row], value, c[row], x, solution, table)


@compiled
def cg_equations(
    A_rows: Any, b_rows: Any, q: Any, c: Any, rank: int, base: Any, previous: Any, steps: int, solution: Any,
    table: Any,
) -> None:  # fmt: skip
    """``steps`` steps from ``previous`` for every row, of which A (upper triangle) and b are given."""
    padded, dtype = b_rows.shape[1], b_rows.dtype
    A = np.zeros((padded, padded), dtype)
    x, residual, direction, image, d = np.zeros((5, padded), dtype)
    scores, all_rows, no_factors = np.zeros(RUN, dtype), np.arange(padded).astype(np.int32), A[:0]
    no_ratings = np.zeros(0, dtype)
    for row in range(len(b_rows)):
        for j in range(rank):
            x[j] = previous[row, j]
        for i in range(padded):
            for j in range(i, padded):
                A[i, j] = A_rows[row, i, j] + (base[i, j] if len(base) else 0)
        _mirror(A)
        b, d[:] = b_rows[row], c[row]
        value = _improve(
            0, 0, all_rows, no_ratings, no_ratings, no_factors, d, A, all_rows, scores, b,
            q[row] - 2 * _dot_in_float64(b, x), steps, x, residual, direction, image,
        )  # fmt: skip
        _write_row(row, q[row], value, c[row], x, solution, table)
