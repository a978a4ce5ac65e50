"""One vectorised building block for the compiled kernels: add a product of two thin matrices to a tile.

All the heavy arithmetic of ALS has one shape. With rows t = 0 .. n - 1 of two matrices (both row-major)::

    C[i, j] += sign * sum over t of  left[t, i] * right[t, j]        i < ROWS,  j < VECTORS * width

    normal equations   A = sum w y y'       left = w Y, right = Y, t runs over the ratings of a row
    right-hand sides   b = sum t y          left = targets (one column), right = Y
    Cholesky, U'U = A  A[i, j] -= U'U       left = right = the rows of U that are done, sign = -1

`add_product` keeps a tile of C in registers while t runs, as BLAS does, but without the call: no packing, no
lock, no threads of its own. Numba cannot be brought to do this from loops (it must assume that C, left and right
overlap, and reads and writes C at each t), so the tile is given to LLVM as vectors, by Numba's extension
interface. LLVM splits or joins the vectors to what the processor has.

Useful GFLOP/s on one thread (upper triangle only), panels of 64 rows, rank 16 / 32 / 64 / 128, medians of three runs
of ``tests/benchmarks/micro.py --ratings 100000 --repeat 5`` on a core whose sgemm makes 109: 59 / 80 / 93 / 98, where
``np.dot(P.T, P)`` of the same panels makes 54 / 57 / 58 / 42.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Entries of a vector: 32 bytes, the registers of AVX2. Rows of matrices are padded to a multiple of 8 entries.
BYTES = 32


def _vectors_of(number: Any) -> Any:
    """The LLVM type of a vector of entries of this Numba type, their number, and the bytes of one entry."""
    size = number.bitwidth // 8
    scalar = ir.FloatType() if size == 4 else ir.DoubleType()
    return ir.VectorType(scalar, BYTES // size), BYTES // size, size


def _pointer(context: Any, builder: Any, array: Any, kind: Any, offset: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [offset])


@intrinsic  # type: ignore[untyped-decorator]
def gather_rows(typingctx: Any, panel: Any, table: Any, rows: Any, first: Any, n: Any, vectors: Any) -> Any:
    """panel[t] = table[rows[first + t]] for t < n; both have rows of ``vectors`` whole vectors.

    (The plain loop is right too, but tests at every row whether the arrays overlap, and copies the last entries
    of a row one by one.)
    """
    signature = types.void(panel, table, rows, types.intp, types.intp, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        panel, table, rows, first, n, vectors = args
        vector, width, size = _vectors_of(signature.args[0].dtype)
        zero = ir.Constant(ir.IntType(64), 0)
        stride = builder.mul(vectors, ir.Constant(ir.IntType(64), width))
        to = _pointer(context, builder, panel, signature.args[0], zero)
        base = _pointer(context, builder, table, signature.args[1], zero)
        which = _pointer(context, builder, rows, signature.args[2], first)
        with cgutils.for_range(builder, n) as loop:
            row = builder.sext(builder.load(builder.gep(which, [loop.index])), ir.IntType(64))
            source = builder.bitcast(builder.gep(base, [builder.mul(row, stride)]), vector.as_pointer())
            target = builder.bitcast(builder.gep(to, [builder.mul(loop.index, stride)]), vector.as_pointer())
            with cgutils.for_range(builder, vectors) as inner:
                value = builder.load(builder.gep(source, [inner.index]))
                value.align = size
                builder.store(value, builder.gep(target, [inner.index])).align = size
        return context.get_dummy_value()

    return signature, codegen


def _make_add_product(rows: int, vectors: int) -> Any:
    """The building block for a tile of this size. All offsets and strides count entries, not bytes."""

    @intrinsic  # type: ignore[untyped-decorator]
    def add_product(
        typingctx: Any,
        sign: Any,
        c: Any,
        c_offset: Any,
        c_stride: Any,
        left: Any,
        left_offset: Any,
        left_stride: Any,
        right: Any,
        right_offset: Any,
        right_stride: Any,
        n: Any,
    ) -> Any:
        number = c.dtype
        integer = types.intp
        signature = types.void(number, c, integer, integer, left, integer, integer, right, integer, integer, integer)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            sign, c, c_offset, c_stride, left, left_offset, left_stride, right, right_offset, right_stride, n = args
            vector, width, size = _vectors_of(number)
            index = ir.IntType(64)

            def load(base: Any, offset: Any) -> Any:
                place = builder.bitcast(builder.gep(base, [offset]), vector.as_pointer())
                value = builder.load(place)
                value.align = size  # rows start anywhere
                return value, place

            def broadcast(value: Any) -> Any:
                nothing = ir.Constant(vector, ir.Undefined)
                first = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
                zeros = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
                return builder.shuffle_vector(first, nothing, zeros)

            def multiply_add(a: Any, b: Any, to: Any) -> Any:
                fused = ("contract",)
                return builder.fadd(builder.fmul(a, b, flags=fused), to, flags=fused)

            c_base = _pointer(context, builder, c, signature.args[1], c_offset)
            left_base = _pointer(context, builder, left, signature.args[4], left_offset)
            right_base = _pointer(context, builder, right, signature.args[7], right_offset)
            zero = ir.Constant(vector, [0.0] * width)
            tile = [[cgutils.alloca_once_value(builder, zero) for _ in range(vectors)] for _ in range(rows)]
            with cgutils.for_range(builder, n) as loop:
                right_row = builder.gep(right_base, [builder.mul(loop.index, right_stride)])
                left_row = builder.gep(left_base, [builder.mul(loop.index, left_stride)])
                across = [load(right_row, ir.Constant(index, v * width))[0] for v in range(vectors)]
                for i in range(rows):
                    down = broadcast(builder.load(builder.gep(left_row, [ir.Constant(index, i)])))
                    for v in range(vectors):
                        builder.store(multiply_add(down, across[v], builder.load(tile[i][v])), tile[i][v])
            signs = broadcast(sign)
            for i in range(rows):
                c_row = builder.gep(c_base, [builder.mul(ir.Constant(index, i), c_stride)])
                for v in range(vectors):
                    before, place = load(c_row, ir.Constant(index, v * width))
                    done = builder.store(multiply_add(signs, builder.load(tile[i][v]), before), place)
                    done.align = size
            return context.get_dummy_value()

        return signature, codegen

    return add_product


# A tile of 8 x 3 vectors takes 24 of the 32 registers of AVX-512VL, and of the 16 of AVX2 it spills a few.
add_8x1, add_8x2, add_8x3 = (_make_add_product(8, vectors) for vectors in (1, 2, 3))
add_4x1, add_4x2, add_4x3 = (_make_add_product(4, vectors) for vectors in (1, 2, 3))
add_1x1, add_1x2, add_1x3 = (_make_add_product(1, vectors) for vectors in (1, 2, 3))
