"""The arithmetic of ALS compiled by Numba: the functions of `daskals.kernels._numpy`, with the same signatures.

Everything releases Python's lock and is cached between processes. See `_numpy` for the formulas; this module
says only how they are made fast.

A row's equations are assembled from panels: `PANEL_BYTES` worth of its source rows are gathered into a contiguous
buffer, padded with zeros to a multiple of 8 entries, and added to A tile by tile (`daskals.kernels._tiles`). A
stays in cache. The matrix then becomes its own Cholesky factor U (A = U'U, upper triangle, row-major), eight rows
at a time with the same tiles; b stands as one more column beside A, so that the factorisation leaves U'^-1 b there.

Rows with fewer ratings than the rank go, in explicit mode, through the dual system

    (Y Y' + c I) z = r,   x = Y' z,   residuals r - Y x = c z

which has one equation for each rating instead of one for each factor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from daskals.blocks import Float, Float32, Float64, Int32, Int64, Losses
from daskals.kernels._numpy import Solution
from daskals.kernels._tiles import (
    BYTES, add_1x1, add_1x2, add_1x3, add_4x1, add_4x2, add_4x3, add_8x1, add_8x2, add_8x3, gather_rows,
)  # fmt: skip

name = "numba"

#: Bytes of source rows gathered at a time: half of a first-level cache.
PANEL_BYTES = 16 << 10
#: The dual system is used for rows with at most this share of the rank in ratings.
DUAL_SHARE = 0.75

# No "nnan": a NaN pivot must be seen.
compiled: Callable[..., Any] = njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"}
)


# ---- products of thin matrices ---------------------------------------------------------------------------


@compiled
def _add_rows(
    n_rows: int, sign: float, C: Any, c0: int, c_stride: int, left: Any, l0: int, l_stride: int,
    right: Any, r0: int, r_stride: int, columns: int, n: int,
) -> None:  # fmt: skip
    """C[i, j] += sign * sum_t left[t, i] * right[t, j] for n_rows = 1, 4 or 8 rows; columns a multiple of 8."""
    s = C.dtype.type(sign)
    width = BYTES // C.itemsize
    j = 0
    while j < columns:
        vectors = min((columns - j) // width, 3)
        if n_rows == 8:
            if vectors == 3:
                add_8x3(s, C, c0 + j, c_stride, left, l0, l_stride, right, r0 + j, r_stride, n)
            elif vectors == 2:
                add_8x2(s, C, c0 + j, c_stride, left, l0, l_stride, right, r0 + j, r_stride, n)
            else:
                add_8x1(s, C, c0 + j, c_stride, left, l0, l_stride, right, r0 + j, r_stride, n)
        elif n_rows == 4:
            if vectors == 3:
                add_4x3(s, C, c0 + j, c_stride, left, l0, l_stride, right, r0 + j, r_stride, n)
            elif vectors == 2:
                add_4x2(s, C, c0 + j, c_stride, left, l0, l_stride, right, r0 + j, r_stride, n)
            else:
                add_4x1(s, C, c0 + j, c_stride, left, l0, l_stride, right, r0 + j, r_stride, n)
        else:
            if vectors == 3:
                add_1x3(s, C, c0 + j, c_stride, left, l0, l_stride, right, r0 + j, r_stride, n)
            elif vectors == 2:
                add_1x2(s, C, c0 + j, c_stride, left, l0, l_stride, right, r0 + j, r_stride, n)
            else:
                add_1x1(s, C, c0 + j, c_stride, left, l0, l_stride, right, r0 + j, r_stride, n)
        j += vectors * width


@compiled
def _add_gram(A: Any, left: Any, right: Any, n: int, size: int) -> None:
    """Upper triangle of A += left' right, over n rows and the first ``size`` columns (rounded up to 8)."""
    stride, width = A.shape[1], right.shape[1]
    padded = (size + 7) // 8 * 8
    for i in range(0, size, 8):
        rows = 4 if size - i <= 4 else 8
        _add_rows(rows, 1.0, A, i * stride + i, stride, left, i, width, right, i, width, padded - i, n)


@compiled
def _factorise(A: Any, size: int) -> bool:
    """Turn the upper triangle of A into U with U'U = A, and the column at ``padded`` into U'^-1 of itself.

    A has shape (padded, padded + 8), padded being ``size`` rounded up to 8. False if a pivot is no larger than
    rounding errors make it; A is then rubbish.
    """
    stride = A.shape[1]
    least = size * np.finfo(A.dtype).eps
    for top in range(0, size, 8):
        bottom = min(top + 8, size)
        diagonal = np.empty(8, A.dtype)
        for i in range(top, bottom):
            diagonal[i - top] = A[i, i]
        if top:
            rows = 4 if size - top <= 4 else 8
            place = top * stride + top
            _add_rows(rows, -1.0, A, place, stride, A, top, stride, A, top, stride, stride - top, top)
        for i in range(top, bottom):
            start = i // 8 * 8
            if i > top:
                _add_rows(1, -1.0, A, i * stride + start, stride, A, top * stride + i, stride,
                          A, top * stride + start, stride, stride - start, i - top)  # fmt: skip
            pivot = A[i, i]
            if not pivot > least * diagonal[i - top]:
                return False
            scale = 1 / np.sqrt(pivot)
            for j in range(i, stride):
                A[i, j] *= scale
    return True


@compiled
def _back_substitute(A: Any, size: int, x: Any) -> None:
    """x = U^-1 of the column that `_factorise` left beside U."""
    padded = A.shape[0]
    for i in range(size - 1, -1, -1):
        total = A[i, padded]
        for j in range(i + 1, size):
            total -= A[i, j] * x[j]
        x[i] = total / A[i, i]


# ---- a row -----------------------------------------------------------------------------------------------


@compiled
def _assemble(
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
        _add_gram(A, weighted if implicit else panel, panel, n, rank)
        _add_rows(1, 1.0, b, 0, padded, targets, 0, 1, panel, 0, padded, padded, n)


@compiled
def _solve_primal(A: Any, b: Any, c: float, rank: int, x: Any) -> bool:
    """x = (A + c I)^-1 b; A is overwritten. b = 0 has the solution 0 whatever A is."""
    zero = True
    for j in range(rank):
        zero = zero and b[j] == 0
        x[j] = 0
    if zero:
        return True
    padded = A.shape[0]
    for i in range(rank):
        A[i, i] += A.dtype.type(c)
        A[i, padded] = b[i]
        for j in range(padded + 1, padded + 8):
            A[i, j] = 0
    if not _factorise(A, rank):
        return False
    _back_substitute(A, rank, x)
    return True


@compiled
def _solve_dual(
    first: int, stop: int, sources: Any, ratings: Any, factors: Any, c: float, columns: Any, K: Any, z: Any, x: Any
) -> bool:
    """x = Y'(YY' + cI)^-1 r for a row with few ratings; z receives (YY' + cI)^-1 r. Ratings must not be all zero.

    ``columns`` (rank, padded) receives Y', ratings side by side.
    """
    rank, n = columns.shape[0], stop - first
    padded = (n + 7) // 8 * 8
    M = K[: padded * (padded + 8)].reshape(padded, padded + 8)
    for t in range(n):
        source = sources[first + t]
        for j in range(rank):
            columns[j, t] = factors[source, j]
    for t in range(n, padded):
        for j in range(rank):
            columns[j, t] = 0
    M[:] = 0
    _add_gram(M, columns, columns, rank, n)
    for t in range(n):
        M[t, t] += K.dtype.type(c)
        M[t, padded] = ratings[first + t]
    if not _factorise(M, n):
        return False
    _back_substitute(M, n, z)
    for j in range(rank):
        total = K.dtype.type(0)
        for t in range(n):
            total += columns[j, t] * z[t]
        x[j] = total
    return True


@compiled
def _sums(ratings: Any, first: int, stop: int, implicit: bool, alpha: float) -> tuple[float, int, float]:
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


@compiled
def _solve_rows(
    indptr: Any, sources: Any, ratings: Any, factors: Any, rank: int, gram: Any, implicit: bool, reg: float, alpha: float,
    nonnegative: bool, rows: Any, failed: Any, losses: Any,
) -> None:  # fmt: skip
    padded, dtype = factors.shape[1], factors.dtype
    most = max(8, PANEL_BYTES // (padded * factors.itemsize))
    panel, weighted = np.zeros((most, padded), dtype), np.zeros((most if implicit else 0, padded), dtype)
    # matrices of one column and of one row, so that every product is between arrays of one type: one compilation
    targets, b, x = np.zeros((most, 1), dtype), np.zeros((1, padded), dtype), np.zeros(padded, dtype)
    A = np.zeros((padded, padded + 8), dtype)
    dual_most = 0 if implicit or nonnegative or reg == 0 else int(DUAL_SHARE * rank)
    dual_padded = (dual_most + 7) // 8 * 8
    columns = np.zeros((rank, dual_padded), dtype)
    K, z = np.zeros(dual_padded * (dual_padded + 8), dtype), np.zeros(dual_padded, dtype)
    for row in range(len(indptr) - 1):
        first, stop = indptr[row], indptr[row + 1]
        q, counted, weight = _sums(ratings, first, stop, implicit, alpha)
        losses[2] += weight
        c = reg * counted
        dual = stop - first <= dual_most and q > 0
        if dual:
            ok = _solve_dual(first, stop, sources, ratings, factors, c, columns, K, z, x)
        else:
            for i in range(padded):
                for j in range(i // 8 * 8, padded):
                    A[i, j] = gram[i, j] if implicit else 0
                b[0, i] = 0
            _assemble(first, stop, sources, ratings, factors, rank, implicit, alpha, panel, weighted, targets, A, b)
            if nonnegative:
                ok = _solve_nonnegative(A, b[0], c, rank, x)
            else:
                ok = _solve_primal(A, b[0], c, rank, x)
        if not ok:
            failed[row] = True
            continue
        norm, explained, residual = 0.0, 0.0, 0.0
        for j in range(rank):
            rows[row, j] = x[j]
            norm += float(x[j]) * float(x[j])
            explained += float(b[0, j]) * float(x[j])
        if dual:
            for t in range(stop - first):
                residual += float(z[t]) * float(z[t])
            losses[0] += c * c * residual
        else:
            losses[0] += q - explained - c * norm
        losses[1] += c * norm


@compiled
def _solve_nonnegative(A: Any, b: Any, c: float, rank: int, x: Any) -> bool:
    """Minimise x'(A + cI)x/2 - b.x over x >= 0: block principal pivoting, see `_numpy.solve_nonnegative`."""
    free, wrong = np.zeros(rank, np.bool_), np.zeros(rank, np.bool_)
    places = np.zeros(rank, np.int64)
    gradient = np.zeros(rank, A.dtype)
    solution = np.zeros(rank, A.dtype)
    largest = 0.0
    for i in range(rank):
        A[i, i] += A.dtype.type(c)
        for j in range(i):
            A[i, j] = A[j, i]
        x[i] = 0
        wrong[i] = b[i] > 0
        largest = max(largest, abs(b[i]))
    slack = 16 * np.finfo(A.dtype).eps * rank * largest
    fewest, patience = rank + 1, 3
    for _ in range(100 * rank):
        count = wrong.sum()
        if count == 0:
            return True
        if count < fewest:
            fewest, patience = count, 3
        else:
            patience -= 1
        for i in range(rank - 1, -1, -1):
            if wrong[i]:
                free[i] = not free[i]
                if patience < 0:
                    break
        n = 0
        for i in range(rank):
            x[i] = 0
            if free[i]:
                places[n] = i
                n += 1
        padded = (n + 7) // 8 * 8
        M = np.zeros((padded, padded + 8), A.dtype)
        for i in range(n):
            for j in range(i, n):
                M[i, j] = A[places[i], places[j]]
            M[i, padded] = b[places[i]]
        if n and not _factorise(M, n):
            return False
        _back_substitute(M, n, solution)
        for i in range(n):
            x[places[i]] = solution[i]
        for i in range(rank):
            gradient[i] = -b[i]
            for j in range(rank):
                gradient[i] += A[i, j] * x[j]
            wrong[i] = x[i] * A[i, i] < -slack if free[i] else gradient[i] < -slack
    return False


def solve_rows(
    indptr: Int64,
    sources: Int32,
    ratings: Float32,
    factors: Float,
    gram: Float64 | None,
    *,
    reg: float,
    alpha: float = 1.0,
    nonnegative: bool = False,
) -> Solution:
    """Solve the normal equations of every row of a CSR block; see `daskals.kernels._numpy.solve_rows`."""
    n_rows, rank = len(indptr) - 1, factors.shape[1]
    padded = -(-rank // 8) * 8
    padded_gram = np.zeros((padded, padded), factors.dtype)
    if gram is not None:
        padded_gram[:rank, :rank] = gram
    if padded > rank:
        factors = np.pad(factors, ((0, 0), (0, padded - rank)))
    rows = np.zeros((n_rows, rank), np.float32)
    failed = np.zeros(n_rows, np.bool_)
    losses = np.zeros(3)
    _solve_rows(
        _plain(indptr, np.int64), _plain(sources, np.int32), _plain(ratings, np.float32),
        _plain(factors, factors.dtype), rank, padded_gram, gram is not None, float(reg), float(alpha), nonnegative,
        rows, failed, losses,
    )  # fmt: skip
    if nonnegative:
        np.maximum(rows, 0, out=rows)
    return Solution(rows, np.flatnonzero(failed), Losses(*losses.tolist()))


def _plain(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Contiguous, aligned, writeable as to type: else each kind of array would compile a signature of its own."""
    array = np.require(array, dtype, ["C", "A"])
    if not array.flags.writeable:
        array = array.view()
        try:
            array.flags.writeable = True
        except ValueError:
            array = array.copy()
    return array


# ---- sorting by counting ---------------------------------------------------------------------------------


@compiled
def _stable_order(keys: Any, starts: Any, order: Any) -> None:
    for n in range(len(keys)):
        starts[keys[n] + 1] += 1
    for key in range(1, len(starts)):
        starts[key] += starts[key - 1]
    nexts = starts[:-1].copy()
    for n in range(len(keys)):
        order[nexts[keys[n]]] = n
        nexts[keys[n]] += 1


def stable_order(keys: Int32, n_keys: int) -> tuple[Int64, Int64]:
    """The order that sorts integer keys, and where runs begin; see `daskals.kernels._numpy.stable_order`."""
    starts, order = np.zeros(n_keys + 1, np.int64), np.empty(len(keys), np.int64)
    _stable_order(_plain(keys, np.int32), starts, order)
    return order, starts


# ---- using the factors -----------------------------------------------------------------------------------


@compiled
def _predict_pairs(left: Any, right: Any, left_rows: Any, right_rows: Any, out: Any) -> None:
    for n in range(len(out)):
        i, j = left_rows[n], right_rows[n]
        if i < 0 or j < 0:
            out[n] = np.nan
        else:
            total = np.float32(0)
            for f in range(left.shape[1]):
                total += left[i, f] * right[j, f]
            out[n] = total


def predict_pairs(left: Float32, right: Float32, left_rows: Int64, right_rows: Int64) -> Float32:
    """Dot products pair by pair; see `daskals.kernels._numpy.predict_pairs`."""
    out = np.empty(len(left_rows), np.float32)
    _predict_pairs(
        _plain(left, np.float32), _plain(right, np.float32), _plain(left_rows, np.int64), _plain(right_rows, np.int64),
        out,
    )  # fmt: skip
    return out


@compiled
def _scan(tile: Any, left: int, k: int, found: Any, values: Any, counts: Any) -> None:
    """Merge a tile of scores, of candidates ``left``, ``left + 1``, ..., into the ordered k best so far."""
    n = tile.shape[1]
    for row in range(tile.shape[0]):
        count = counts[row]
        threshold = values[row, k - 1] if count == k else np.float32(-np.inf)
        start = 0
        while start < n:
            stop = min(start + 64, n)
            if count == k:
                # most stretches hold nothing good enough: one vectorised look tells
                largest = tile[row, start]
                for j in range(start, stop):
                    largest = max(largest, tile[row, j])
                if largest < threshold:
                    start = stop
                    continue
            for j in range(start, stop):
                score = tile[row, j]
                if count < k:
                    count += 1
                elif not score >= threshold:
                    continue
                place = count - 1
                # of equal scores the later candidate goes first
                while place > 0 and score >= values[row, place - 1]:
                    values[row, place] = values[row, place - 1]
                    found[row, place] = found[row, place - 1]
                    place -= 1
                values[row, place] = score
                found[row, place] = left + j
                if count == k:
                    threshold = values[row, k - 1]
            start = stop
        counts[row] = count


#: Queries and candidates scored at a time: a tile of scores fits in a second-level cache.
TILE_ROWS, TILE_COLUMNS = 64, 2048


def top_k(queries: Float32, candidates: Float32, k: int, block_size: int = 4096) -> tuple[Int64, Float32]:
    """The k best candidates of each query; see `daskals.kernels._numpy.top_k`."""
    m, n = len(queries), len(candidates)
    k = min(k, n)
    found, values = np.empty((m, k), np.int64), np.empty((m, k), np.float32)
    height, width = min(TILE_ROWS, block_size), min(TILE_COLUMNS, block_size)
    counts = np.zeros(m, np.int64)
    transposed = [np.ascontiguousarray(candidates[left : left + width].T) for left in range(0, n, width)]
    for top in range(0, m, height):
        rows = slice(top, top + height)
        for number, columns in enumerate(transposed):
            tile = queries[rows] @ columns
            _scan(tile, number * width, k, found[rows], values[rows], counts[rows])
    return found, values
