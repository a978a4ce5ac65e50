"""Block coordinate descent on rows of large rank, compiled: one row after another.

A faster version of `daskals.kernels.numpy.subspace`, which has the formulas and says which rows are short. A row's
source rows are read whole once, for its scores, and by that come to the second-level cache. For each run of columns
they are then copied to a narrow matrix, some ratings at a time (`GATHERED_BYTES`), which is in the first-level cache
while it is multiplied with itself (`add_gram`). As much of that matrix as `KEPT_BYTES` hold is kept until the step is
known and the scores change by it; of longer rows the rest is copied a second time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daskals.kernels.numba.columns import gather_columns
from daskals.kernels.numba.compiling import compiled, inlined, inner
from daskals.kernels.numba.equations import add_gram, add_row, back_substitute, factorise
from daskals.kernels.numba.gathering import dots
from daskals.kernels.numba.losses import ERROR, PENALTY, Q
from daskals.kernels.numba.short_rows import GATHERED_BYTES, set_diagonal, solve_short_row
from daskals.kernels.numba.tiles import BYTES
from daskals.kernels.numpy.short_rows import DUAL_SHARE
from daskals.kernels.numpy.subspace import SHORT_SHARE

#: Bytes of columns kept until the scores have changed by them: half of a second-level cache.
KEPT_BYTES = 1 << 20


@inlined
def _assemble_run(
    first: int, stop: int, sources: Any, targets: Any, weights: Any, factors: Any, column: int, width: int,
    scores: Any, columns: Any, weighted: Any, slopes: Any, H: Any, gradient: Any,
) -> None:  # fmt: skip
    """H += sum w y y', gradient += sum (w s - t) y, y being the run of columns of the source rows.

    ``columns`` keeps them: the first ratings one below the other, the others, as many at a time as ``weighted`` has
    rows, at its end.
    """
    most, padded = weighted.shape
    for begin in range(first, stop, most):
        n, place = min(most, stop - begin), min(begin - first, len(columns) - most)
        piece = columns[place : place + n]
        gather_columns(piece, factors, sources, begin, n, column, width)
        if len(weights):
            for t in range(n):
                w = weights[begin + t]
                slopes[t, 0] = w * scores[begin - first + t] - targets[begin + t]
                for j in range(padded):
                    weighted[t, j] = w * piece[t, j]
        else:
            for t in range(n):
                slopes[t, 0] = scores[begin - first + t] - targets[begin + t]
        add_gram(H, weighted if len(weights) else piece, piece, n, width)
        add_row(1.0, gradient, 0, slopes, 0, 1, piece, 0, padded, padded, n)


@inlined
def _change_scores(
    first: int, stop: int, sources: Any, factors: Any, column: int, width: int, step: Any, columns: Any, most: int,
    in_order: Any, differences: Any, scores: Any,
) -> None:  # fmt: skip
    """scores -= y . step, y being the run of columns of the source rows; ``columns`` is as `_assemble_run` left it."""
    vectors = columns.shape[1] * columns.itemsize // BYTES
    for begin in range(first, stop, most):
        n, place = min(most, stop - begin), min(begin - first, len(columns) - most)
        piece = columns[place : place + n]
        if begin - first >= len(columns) - most:
            gather_columns(piece, factors, sources, begin, n, column, width)
        dots(differences, step, piece, in_order, 0, n, n, vectors)
        for t in range(n):
            scores[begin - first + t] -= differences[t]


@inner
def _count(values: Any, first: int, stop: int) -> int:
    """How many of these are not zero."""
    count = 0
    for t in range(first, stop):
        count += values[t] != 0
    return count


@inner
def _sweep_row(
    first: int, stop: int, sources: Any, targets: Any, weights: Any, factors: Any, d: Any, rank: int, size: int,
    room: Any, room_for_weighted: Any, room_for_H: Any, slopes: Any, in_order: Any, scores: Any, x: Any,
) -> None:  # fmt: skip
    """Move each run of columns of x in turn to where the objective is least, with the scores."""
    dtype, itemsize = factors.dtype, factors.itemsize
    gradient, step = np.zeros((1, (size + 7) // 8 * 8), dtype), np.zeros((size + 7) // 8 * 8, dtype)
    differences = np.zeros(len(in_order), dtype)
    equations = _count(weights, first, stop) if len(weights) else stop - first
    for column in range(0, rank, size):
        width = min(size, rank - column)
        if width - _count(d, column, column + width) > equations:
            continue  # no H^-1, which rounding can hide from the pivots
        padded = (width + 7) // 8 * 8
        most = max(8, GATHERED_BYTES // (padded * itemsize))
        # all that can be kept, and a place for those that cannot
        rows = KEPT_BYTES // (padded * itemsize) // most * most + most
        columns = room[: rows * padded].reshape(rows, padded)
        weighted = room_for_weighted[: most * padded].reshape(most, padded)
        H = room_for_H[: padded * (padded + 8)].reshape(padded, padded + 8)
        H[:] = 0
        gradient[:] = 0
        _assemble_run(
            first, stop, sources, targets, weights, factors, column, width, scores, columns, weighted, slopes, H,
            gradient,
        )  # fmt: skip
        # the gradient in place of b: what comes out is how far the run is too far
        for j in range(width):
            H[j, j] += d[column + j]
            H[j, padded] = gradient[0, j] + d[column + j] * x[column + j]
        if not factorise(H, width):
            continue
        step[:] = 0
        back_substitute(H, width, step)
        for j in range(width):
            x[column + j] -= step[j]
        _change_scores(first, stop, sources, factors, column, width, step, columns, most, in_order, differences, scores)


@inner
def _write_row(
    row: int, first: int, stop: int, targets: Any, weights: Any, diagonal: Any, q: float, c: float, scores: Any, x: Any,
    solution: Any, table: Any,
) -> None:  # fmt: skip
    """Write down x, and the losses of the row."""
    error, norm = 0.0, 0.0
    for j in range(solution.shape[1]):
        square = np.float64(x[j]) * np.float64(x[j])
        solution[row, j] = x[j]
        norm += square
        error += np.float64(diagonal[j]) * square
    for t in range(stop - first):
        score = np.float64(scores[t])
        w = np.float64(weights[first + t]) if len(weights) else 1.0
        error += (w * score - 2 * np.float64(targets[first + t])) * score
    table[row, Q] = q
    table[row, ERROR] = q + error
    table[row, PENALTY] = c * norm


@inner
def _longest(indptr: Any) -> int:
    longest = 0
    for row in range(len(indptr) - 1):
        longest = max(longest, indptr[row + 1] - indptr[row])
    return longest


@compiled
def subspace_rows(
    indptr: Any, sources: Any, targets: Any, weights: Any, q: Any, c: Any, factors: Any, rank: int, diagonal: Any,
    previous: Any, size: int, solution: Any, table: Any,
) -> None:  # fmt: skip
    """One sweep from ``previous`` over every row of a CSR block (`daskals.kernels.numpy.subspace.subspace_sweep`).

    ``weights`` without entries are all 1. ``diagonal`` has entries to the padded rank; ``q`` is the squared error at
    x = 0 of each row. Writes ``solution`` and the columns `Q`, `ERROR` and `PENALTY` of ``table``.
    """
    padded, dtype, itemsize = factors.shape[1], factors.dtype, factors.itemsize
    size = min(size, rank)
    widest, most_short = (size + 7) // 8 * 8, int(min(SHORT_SHARE * size, DUAL_SHARE * rank))
    short_padded = (most_short + 7) // 8 * 8
    # for both kinds of rows: a matrix, and columns gathered (the last run may be narrow, and more ratings of it fit)
    room_for_H = np.zeros(max(widest * (widest + 8), short_padded * (short_padded + 8)), dtype)
    room_for_weighted = np.zeros(max(GATHERED_BYTES // itemsize, 8 * widest, 8 * short_padded), dtype)
    room = np.zeros(KEPT_BYTES // itemsize + len(room_for_weighted), dtype)
    most = max(8, GATHERED_BYTES // (8 * itemsize))
    slopes, in_order = np.zeros((most, 1), dtype), np.arange(most).astype(np.int32)
    roots, z = np.zeros((2, short_padded), dtype)
    d, scales, apart, x = np.zeros((4, padded), dtype)
    scores = np.zeros(_longest(indptr), dtype)
    vectors = padded * itemsize // BYTES
    for row in range(len(indptr) - 1):
        first, stop = indptr[row], indptr[row + 1]
        positive = set_diagonal(diagonal, c[row], rank, d)
        x[:] = 0
        exact = _count(targets, first, stop) == 0
        if not exact and positive and stop - first <= most_short:
            exact = solve_short_row(
                first, stop, sources, targets, weights, factors, d, rank, scales, roots, room_for_weighted, room_for_H,
                z, apart, x,
            )  # fmt: skip
        if not exact:
            for j in range(rank):
                x[j] = previous[row, j]
        dots(scores, x, factors, sources, first, stop - first, stop, vectors)
        if not exact:
            _sweep_row(
                first, stop, sources, targets, weights, factors, d, rank, size, room, room_for_weighted, room_for_H,
                slopes, in_order, scores, x,
            )  # fmt: skip
        _write_row(row, first, stop, targets, weights, diagonal, q[row], c[row], scores, x, solution, table)
