"""Compiled linear algebra on one small system: products of thin matrices, Cholesky, the nonnegative solution.

The plain forms are in `daskals.kernels.numpy.equations`, where each works on many systems.

A symmetric matrix is kept as its upper triangle in the rows of an array of shape (padded, padded + 8), where
padded is its size rounded up to a multiple of 8 and the columns from ``padded`` on have room for a right-hand side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daskals.kernels.numba.compiling import inner
from daskals.kernels.numba.tiles import (
    BYTES,
    add_1x1,
    add_1x2,
    add_1x3,
    add_4x1,
    add_4x2,
    add_4x3,
    add_8x1,
    add_8x2,
    add_8x3,
)
from daskals.kernels.numpy.equations import PIVOT_ERRORS


@inner
def add_rows(
    n_rows: int, sign: float, C: Any, c0: int, c_stride: int, left: Any, l0: int, l_stride: int,
    right: Any, r0: int, r_stride: int, columns: int, n: int,
) -> None:  # fmt: skip
    """C[i, j] += sign * sum_t left[t, i] * right[t, j] for n_rows = 4 or 8 rows; columns a multiple of 8.

    A faster version of ``C += sign * left.T @ right``, by the tiles of `daskals.kernels.numba.tiles`. Matrices are
    given as an array, the entry where they begin and the entries from row to row.
    """
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
        else:
            if vectors == 3:
                add_4x3(s, C, c0 + j, c_stride, left, l0, l_stride, right, r0 + j, r_stride, n)
            elif vectors == 2:
                add_4x2(s, C, c0 + j, c_stride, left, l0, l_stride, right, r0 + j, r_stride, n)
            else:
                add_4x1(s, C, c0 + j, c_stride, left, l0, l_stride, right, r0 + j, r_stride, n)
        j += vectors * width


@inner
def add_row(
    sign: float, C: Any, c0: int, left: Any, l0: int, l_stride: int, right: Any, r0: int, r_stride: int, columns: int,
    n: int,
) -> None:  # fmt: skip
    """`add_rows` for one row. It is a function of its own since each of them takes long to compile."""
    s = C.dtype.type(sign)
    width = BYTES // C.itemsize
    j = 0
    while j < columns:
        vectors = min((columns - j) // width, 3)
        if vectors == 3:
            add_1x3(s, C, c0 + j, 0, left, l0, l_stride, right, r0 + j, r_stride, n)
        elif vectors == 2:
            add_1x2(s, C, c0 + j, 0, left, l0, l_stride, right, r0 + j, r_stride, n)
        else:
            add_1x1(s, C, c0 + j, 0, left, l0, l_stride, right, r0 + j, r_stride, n)
        j += vectors * width


@inner
def add_gram(A: Any, left: Any, right: Any, n: int, size: int) -> None:
    """Upper triangle of A += left' right, over n rows and the first ``size`` columns (rounded up to 8).

    A faster version of ``A += left[:n].T @ right[:n]``, which computes both triangles.
    """
    stride, width = A.shape[1], right.shape[1]
    padded = (size + 7) // 8 * 8
    for i in range(0, size, 8):
        rows = 4 if size - i <= 4 else 8
        add_rows(rows, 1.0, A, i * stride + i, stride, left, i, width, right, i, width, padded - i, n)


@inner
def factorise(A: Any, size: int) -> bool:
    """Turn the upper triangle of A into U with U'U = A, and the column at ``padded``, b, into U'^-1 b.

    A faster version of ::

        U = scipy.linalg.cholesky(A);  column = scipy.linalg.solve_triangular(U, b, trans="T")

    (`daskals.kernels.numpy.equations.solve_side_by_side` has the loops.) Eight rows of U are made at a time: what the
    finished rows take from them is one product of thin matrices, by `add_rows`, and only the rest goes row by row.

    A has shape (padded, padded + 8), padded being ``size`` rounded up to 8. Returns False if a pivot is no larger than
    rounding errors make it; A then holds nothing of use.
    """
    stride = A.shape[1]
    least = PIVOT_ERRORS * size * np.finfo(A.dtype).eps
    for top in range(0, size, 8):
        bottom = min(top + 8, size)
        diagonal = np.empty(8, A.dtype)
        for i in range(top, bottom):
            diagonal[i - top] = A[i, i]
        if top:
            rows = 4 if size - top <= 4 else 8
            place = top * stride + top
            add_rows(rows, -1.0, A, place, stride, A, top, stride, A, top, stride, stride - top, top)
        for i in range(top, bottom):
            start = i // 8 * 8
            if i > top:
                add_row(-1.0, A, i * stride + start, A, top * stride + i, stride,
                        A, top * stride + start, stride, stride - start, i - top)  # fmt: skip
            pivot = A[i, i]
            if not pivot > least * diagonal[i - top]:
                return False
            scale = 1 / np.sqrt(pivot)
            for j in range(i, stride):
                A[i, j] *= scale
    return True


@inner
def back_substitute(A: Any, size: int, x: Any) -> None:
    """x = U^-1 times the column that `factorise` left beside U."""
    padded = A.shape[0]
    for i in range(size - 1, -1, -1):
        total = A[i, padded]
        for j in range(i + 1, size):
            total -= A[i, j] * x[j]
        x[i] = total / A[i, i]


@inner
def solve_nonnegative(A: Any, b: Any, c: float, rank: int, x: Any) -> bool:
    """Minimise x'(A + cI)x/2 - b.x over x >= 0, by block principal pivoting; False if a system is singular.

    `daskals.kernels.numpy.equations.solve_nonnegative` describes the method, and is its plain form.
    """
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
        count = 0
        for i in range(rank):
            count += wrong[i]
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
        n = np.int64(0)  # not the literal 0, for which Numba would compile all that n is given to once more
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
        if n and not factorise(M, n):
            return False
        back_substitute(M, n, solution)
        for i in range(n):
            x[places[i]] = solution[i]
        for i in range(rank):
            gradient[i] = -b[i]
            for j in range(rank):
                gradient[i] += A[i, j] * x[j]
            wrong[i] = x[i] * A[i, i] < -slack if free[i] else gradient[i] < -slack
    return False
