"""One vectorised building block for the compiled kernels: add a product of two thin matrices to a tile.

A faster version of ``C += sign * left.T @ right``; the plain forms are the matrix products of
`daskals.kernels.numpy.equations`. All the heavy arithmetic of ALS has this shape. With rows t = 0 .. n - 1 of two
matrices (both row-major)::

    C[i, j] += sign * sum over t of  left[t, i] * right[t, j]        i < ROWS,  j < VECTORS * width

    normal equations   A = sum w y y'       left = w Y, right = Y, t runs over the ratings of a row
    right-hand sides   b = sum t y          left = targets (one column), right = Y
    Cholesky, U'U = A  A[i, j] -= U'U       left = right = the rows of U that are done, sign = -1

`add_product` keeps a tile of C in registers while t runs, as BLAS does, but without the call: no packing, no
lock, no threads of its own. Numba cannot be brought to do this from loops (it must assume that C, left and right
overlap, and reads and writes C at each t), so the tile is given to LLVM as vectors, by Numba's extension
interface. LLVM splits or joins the vectors to what the processor has.

Useful GFLOP/s on one thread (upper triangle only), 64 gathered rows, rank 16 / 32 / 64 / 128, medians of three runs of
``benchmarks/micro.py --ratings 100000 --repeat 5`` on a core whose sgemm makes 109: 59 / 80 / 93 / 98, where
``np.dot(P.T, P)`` of the same rows makes 54 / 57 / 58 / 42.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Entries of a vector: 32 bytes, the registers of AVX2. Rows of matrices are padded to a multiple of 8 entries.
BYTES = 32


def vectors_of(number: Any) -> Any:
    """The LLVM type of a vector of entries of this Numba type, their number, and the bytes of one entry."""
    size = number.bitwidth // 8
    scalar = ir.FloatType() if size == 4 else ir.DoubleType()
    return ir.VectorType(scalar, BYTES // size), BYTES // size, size


def pointer(context: Any, builder: Any, array: Any, kind: Any, offset: Any) -> Any:
    """Where entry ``offset`` of an array is."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [offset])


def load(builder: Any, place: Any, size: int) -> Any:
    """The vector at a place that is a multiple of ``size`` bytes: rows start anywhere."""
    value = builder.load(place)
    value.align = size
    return value


def broadcast(builder: Any, value: Any, width: int) -> Any:
    """A vector of one value."""
    nothing = ir.Constant(ir.VectorType(value.type, width), ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width))


def multiply_add(builder: Any, a: Any, b: Any, to: Any) -> Any:
    """a * b + to, rounded once."""
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), to, flags=("contract",))


class _Operand:
    """A row-major matrix from some entry on, as LLVM values; offsets and strides count entries."""

    def __init__(self, context: Any, builder: Any, kind: Any, array: Any, offset: Any, stride: Any) -> None:
        self.builder, self.stride = builder, stride
        self.vector, self.width, self.size = vectors_of(kind.dtype)
        self.base = pointer(context, builder, array, kind, offset)

    def row(self, index: Any) -> Any:
        return self.builder.gep(self.base, [self.builder.mul(index, self.stride)])

    def place(self, row: Any, v: int) -> Any:
        entry = ir.Constant(ir.IntType(64), v * self.width)
        return self.builder.bitcast(self.builder.gep(row, [entry]), self.vector.as_pointer())


def _multiplied(builder: Any, left: _Operand, right: _Operand, n: Any, rows: int, vectors: int) -> list[list[Any]]:
    """The tile sum over t < n of left[t, i] * right[t, j], as vectors in registers."""
    zero = ir.Constant(left.vector, [0.0] * left.width)
    tile = [[cgutils.alloca_once_value(builder, zero) for _ in range(vectors)] for _ in range(rows)]
    # an alloca is set once, where the function begins; the tile must be zero each time
    for entry in (entry for row in tile for entry in row):
        builder.store(zero, entry)
    with cgutils.for_range(builder, n) as loop:
        left_row, right_row = left.row(loop.index), right.row(loop.index)
        across = [load(builder, right.place(right_row, v), right.size) for v in range(vectors)]
        for i in range(rows):
            entry = builder.load(builder.gep(left_row, [ir.Constant(ir.IntType(64), i)]))
            down = broadcast(builder, entry, left.width)
            for v in range(vectors):
                builder.store(multiply_add(builder, down, across[v], builder.load(tile[i][v])), tile[i][v])
    return [[builder.load(entry) for entry in row] for row in tile]


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
        integer = types.intp
        signature = types.void(c.dtype, c, integer, integer, left, integer, integer, right, integer, integer, integer)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = signature.args
            C, left, right = (_Operand(context, builder, kinds[i], *args[i : i + 3]) for i in (1, 4, 7))
            tile = _multiplied(builder, left, right, args[10], rows, vectors)
            signs = broadcast(builder, args[0], C.width)
            for i in range(rows):
                c_row = C.row(ir.Constant(ir.IntType(64), i))
                for v in range(vectors):
                    place = C.place(c_row, v)
                    total = multiply_add(builder, signs, tile[i][v], load(builder, place, C.size))
                    builder.store(total, place).align = C.size
            return context.get_dummy_value()

        return signature, codegen

    return add_product


# A tile of 8 x 3 vectors takes 24 of the 32 registers of AVX-512VL, and of the 16 of AVX2 it spills a few.
add_8x1, add_8x2, add_8x3 = (_make_add_product(8, vectors) for vectors in (1, 2, 3))
add_4x1, add_4x2, add_4x3 = (_make_add_product(4, vectors) for vectors in (1, 2, 3))
add_1x1, add_1x2, add_1x3 = (_make_add_product(1, vectors) for vectors in (1, 2, 3))


@intrinsic  # type: ignore[untyped-decorator]
def score_tile(
    typingctx: Any, tile: Any, least: Any, left: Any, left_offset: Any, right: Any, right_offset: Any, n: Any
) -> Any:
    """Scores of 8 queries and 3 vectors of candidates, kept only where one of them is good enough.

    True, and tile[i, j] = sum over t < n of left[t, i] * right[t, j], if that reaches least[i] anywhere (or is NaN);
    else False, and the scores were never in memory. ``left`` has rows of 8 entries, ``right`` of 3 vectors.
    """
    signature = types.boolean(tile, least, left, types.intp, right, types.intp, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        width = vectors_of(kinds[0].dtype)[1]
        zero, eight, across = (ir.Constant(ir.IntType(64), number) for number in (0, 8, 3 * width))
        out = _Operand(context, builder, kinds[0], args[0], zero, across)
        bounds = pointer(context, builder, args[1], kinds[1], zero)
        left = _Operand(context, builder, kinds[2], args[2], args[3], eight)
        right = _Operand(context, builder, kinds[4], args[4], args[5], across)
        scores = _multiplied(builder, left, right, args[6], 8, 3)
        reached = None
        for i, row in enumerate(scores):
            bound = broadcast(builder, builder.load(builder.gep(bounds, [ir.Constant(ir.IntType(64), i)])), width)
            for score in row:
                good = builder.fcmp_unordered(">=", score, bound)
                reached = good if reached is None else builder.or_(reached, good)
        bits = ir.IntType(width)
        some = builder.icmp_unsigned("!=", builder.bitcast(reached, bits), ir.Constant(bits, 0))
        with builder.if_then(some, likely=False):
            for i, row in enumerate(scores):
                start = out.row(ir.Constant(ir.IntType(64), i))
                for v, score in enumerate(row):
                    builder.store(score, out.place(start, v)).align = out.size
        return some

    return signature, codegen
