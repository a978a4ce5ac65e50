"""Compiled solution of a small positive definite system, eight unknowns at a time in registers.

A system of a few dozen equations takes little arithmetic. What takes time in loops over its rows is that each pivot
waits for the one before it, by way of memory. Here the block of eight rows and columns around the diagonal is
eliminated in vectors, without square roots (A = M' P M, M with ones on its diagonal, P the pivots), and so is the
identity beside it, which becomes M'^-1. The rows of the block are then divided by the roots of their pivots, so that
those of all blocks make U with U'U = A; but in place of its diagonal block that inverse is kept, by which the block's
unknowns follow at once from those after them::

    x[block] = U[block, block]^-1 (y[block] - U[block, after] x[after])

`solve_blockwise` solves the same system as `factorise` and `back_substitute` of `daskals.kernels.numba.equations`, with
other roundings. As in `daskals.kernels.numba.tiles` the vectors are given to LLVM.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from daskals.kernels.numba.compiling import inner
from daskals.kernels.numba.tiles import BYTES, add_8x1, add_8x2, load, multiply_add, pointer
from daskals.kernels.numpy.equations import PIVOT_ERRORS

_INT, _INT32 = ir.IntType(64), ir.IntType(32)


@inner
def solve_blockwise(A: Any, size: int, x: Any) -> bool:
    """x[:padded] = A^-1 times the column at ``padded``; False if a pivot is no larger than rounding errors make it.

    A has shape (padded, padded + 8), padded being ``size`` rounded up to 8; of A its upper triangle counts and is
    overwritten. From ``size`` on it must be the identity. The columns after the one at ``padded`` must be zero.
    """
    padded, stride, minus, width = A.shape[0], A.shape[1], A.dtype.type(-1), BYTES // A.itemsize
    least = A.dtype.type(PIVOT_ERRORS * size * np.finfo(A.dtype).eps)
    for i in range(padded):
        x[i] = least * A[i, i]  # until it is known, there is room in it for the bounds of pivots
    for top in range(0, padded, 8):
        # what the rows of U that are done take from these; `add_rows` has more tiles, and takes longer to compile
        for j in range(top, stride - width, 2 * width):
            add_8x2(minus, A, top * stride + j, stride, A, top, stride, A, j, stride, top)
        if (stride - top) // width % 2:
            j = stride - width
            add_8x1(minus, A, top * stride + j, stride, A, top, stride, A, j, stride, top)
        if not _factorise_block(A, top * stride + top, stride, stride - top - 8, x, top):
            return False
    for top in range(padded - 8, -1, -8):
        _back_substitute_block(A, top, stride, padded, x)
    return True


class _Block:
    """Eight rows of an array from some entry on, as LLVM values: vectors of eight entries of each row."""

    def __init__(self, context: Any, builder: Any, kind: Any, array: Any, offset: Any, stride: Any) -> None:
        self.builder, self.size = builder, kind.dtype.bitwidth // 8
        self.scalar = ir.FloatType() if self.size == 4 else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, 8)
        start = pointer(context, builder, array, kind, offset)
        self.rows = [builder.gep(start, [builder.mul(stride, ir.Constant(_INT, i))]) for i in range(8)]

    def place(self, row: Any, entry: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(row, [entry]), self.vector.as_pointer())

    def load(self, entry: Any) -> list[Any]:
        return [load(self.builder, self.place(row, entry), self.size) for row in self.rows]

    def store(self, entry: Any, values: list[Any]) -> None:
        for row, value in zip(self.rows, values, strict=True):
            self.builder.store(value, self.place(row, entry)).align = self.size


def _spread(builder: Any, vector: Any, entry: int) -> Any:
    """A vector of one entry of another."""
    return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_INT32, 8), [entry] * 8))


@intrinsic  # type: ignore[untyped-decorator]
def _factorise_block(typingctx: Any, a: Any, place: Any, stride: Any, columns: Any, bounds: Any, first: Any) -> Any:
    """Eliminate eight rows, of which ``place`` is the entry on the diagonal, and ``columns`` columns after the block.

    The block on the diagonal becomes U'^-1 and what is beside it U. False if a pivot is not above its entry in
    ``bounds``, which has those of these rows from ``first`` on.
    """
    signature = types.boolean(a, types.intp, types.intp, types.intp, bounds, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        block = _Block(context, builder, signature.args[0], *args[:3])
        zero, eight = ir.Constant(_INT, 0), ir.Constant(_INT, 8)
        ones = ir.Constant(block.vector, [1.0] * 8)
        rows = block.load(zero)
        inverse = [ir.Constant(block.vector, [float(i == j) for j in range(8)]) for i in range(8)]
        pivots = ir.Constant(block.vector, [1.0] * 8)
        negative: list[Any] = []
        for i in range(8):
            pivot = _spread(builder, rows[i], i)
            keep = ir.Constant(ir.VectorType(_INT32, 8), [8 + j if i == j else j for j in range(8)])
            pivots = builder.shuffle_vector(pivots, rows[i], keep)
            # what the rows below take: an entry for each of them
            shares = builder.fneg(builder.fmul(rows[i], builder.fdiv(ones, pivot)))
            negative.append(shares)
            for k in range(i + 1, 8):
                share = _spread(builder, shares, k)
                rows[k] = multiply_add(builder, share, rows[i], rows[k])
                inverse[k] = multiply_add(builder, share, inverse[i], inverse[k])
        root = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(block.vector, [block.vector]), f"llvm.sqrt.v8f{8 * block.size}"
        )
        scales = builder.fdiv(ones, builder.call(root, [pivots]))
        down = [_spread(builder, scales, i) for i in range(8)]
        block.store(zero, [builder.fmul(row, scale) for row, scale in zip(inverse, down, strict=True)])
        with cgutils.for_range(builder, builder.udiv(args[3], eight)) as loop:
            entry = builder.mul(builder.add(loop.index, ir.Constant(_INT, 1)), eight)
            rows = block.load(entry)
            for i in range(8):
                for k in range(i + 1, 8):
                    rows[k] = multiply_add(builder, _spread(builder, negative[i], k), rows[i], rows[k])
            block.store(entry, [builder.fmul(row, scale) for row, scale in zip(rows, down, strict=True)])
        bound = pointer(context, builder, args[4], signature.args[4], args[5])
        bound = load(builder, builder.bitcast(bound, block.vector.as_pointer()), block.size)
        above = builder.bitcast(builder.fcmp_ordered(">", pivots, bound), ir.IntType(8))
        return builder.icmp_unsigned("==", above, ir.Constant(ir.IntType(8), 255))

    return signature, codegen


@intrinsic  # type: ignore[untyped-decorator]
def _back_substitute_block(typingctx: Any, a: Any, top: Any, stride: Any, padded: Any, x: Any) -> Any:
    """x[top : top + 8], those after them being known, from what `_factorise_block` left."""
    signature = types.void(a, types.intp, types.intp, types.intp, x)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, top, stride, padded, x = args
        eight = ir.Constant(_INT, 8)
        block = _Block(context, builder, signature.args[0], a, builder.mul(top, stride), stride)
        known = pointer(context, builder, x, signature.args[4], ir.Constant(_INT, 0))
        sums = [cgutils.alloca_once(builder, block.vector) for _ in range(8)]
        for place, value in zip(sums, block.load(padded), strict=True):
            builder.store(value, place)
        after = builder.add(top, eight)
        with cgutils.for_range(builder, builder.udiv(builder.sub(padded, after), eight)) as loop:
            entry = builder.add(after, builder.mul(loop.index, eight))
            across = builder.fneg(load(builder, block.place(known, entry), block.size))
            for place, value in zip(sums, block.load(entry), strict=True):
                builder.store(multiply_add(builder, value, across, builder.load(place)), place)
        rest = _sums_of(builder, [builder.load(place) for place in sums])
        products = [builder.fmul(row, _spread(builder, rest, i)) for i, row in enumerate(block.load(top))]
        while len(products) > 1:
            half = len(products) // 2
            products = [builder.fadd(a, b) for a, b in zip(products[:half], products[half:], strict=True)]
        builder.store(products[0], block.place(known, top)).align = block.size
        return context.get_dummy_value()

    return signature, codegen


def _sums_of(builder: Any, vectors: list[Any]) -> Any:
    """A vector of the sums of eight vectors' entries."""
    even, odd = (ir.Constant(ir.VectorType(_INT32, 8), [2 * i + first for i in range(8)]) for first in (0, 1))
    while len(vectors) > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [builder.fadd(*(builder.shuffle_vector(a, b, which) for which in (even, odd))) for a, b in pairs]
    return vectors[0]
