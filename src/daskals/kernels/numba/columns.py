"""Vectorised building blocks for the compiled kernels: some columns of chosen rows of a table, copied or turned.

Faster versions of ::

    gather_columns    gathered[:n] = table[rows, column : column + width]
    turn_columns      turned = (roots[:, None] * table[rows] * scales)[:, column : column + width].T

What follows reads them many times, so they are put side by side once. A narrow piece of a row is a few lines of cache
that no prefetcher can guess: both ask for rows `AHEAD` of time. The second loads square blocks, as many rows as a
vector has entries, and turns them in registers; written as a loop it is one scalar load and one store for each entry.

As in `daskals.kernels.numba.tiles` the vectors are given to LLVM.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from daskals.kernels.numba.compiling import inlined
from daskals.kernels.numba.gathering import AHEAD
from daskals.kernels.numba.tiles import BYTES, broadcast, load, pointer, vectors_of

_INT, _INT32 = ir.IntType(64), ir.IntType(32)
_BYTE_POINTER = ir.IntType(8).as_pointer()


@inlined
def gather_columns(gathered: Any, table: Any, rows: Any, first: int, n: int, column: int, width: int) -> None:
    """gathered[t] = table[rows[first + t], column : column + width] for t < n, and zeros beside it."""
    padded, lanes = gathered.shape[1], BYTES // gathered.itemsize
    whole = width // lanes
    _gather_vectors(gathered, padded, table, table.shape[1], rows, first, n, column, whole)
    if whole * lanes < padded:
        for t in range(n):
            for j in range(whole * lanes, width):
                gathered[t, j] = table[rows[first + t], column + j]
            for j in range(width, padded):
                gathered[t, j] = 0


def _ask_for(builder: Any, start: Any, vectors: Any) -> None:
    """Prefetch so many vectors, line by line."""
    kind = ir.FunctionType(ir.VoidType(), [_BYTE_POINTER, _INT32, _INT32, _INT32])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    # for reading, to all caches, data
    how = [ir.Constant(_INT32, number) for number in (0, 3, 1)]
    per_line = ir.Constant(_INT, 64 // BYTES)
    lines = builder.udiv(builder.add(vectors, ir.Constant(_INT, 64 // BYTES - 1)), per_line)
    with cgutils.for_range(builder, lines) as loop:
        place = builder.gep(start, [builder.mul(loop.index, per_line)])
        builder.call(prefetch, [builder.bitcast(place, _BYTE_POINTER), *how])


@intrinsic  # type: ignore[untyped-decorator]
def _gather_vectors(
    typingctx: Any, gathered: Any, g_stride: Any, table: Any, stride: Any, rows: Any, first: Any, n: Any, column: Any,
    vectors: Any,
) -> Any:  # fmt: skip
    """gathered[t] = table[rows[first + t], column:] for t < n, so many whole vectors of it; strides count entries."""
    integer = types.intp
    signature = types.void(gathered, integer, table, integer, rows, integer, integer, integer, integer)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        gathered, g_stride, table, stride, rows, first, n, column, vectors = args
        vector, _, size = vectors_of(signature.args[0].dtype)
        to = pointer(context, builder, gathered, signature.args[0], ir.Constant(_INT, 0))
        base = pointer(context, builder, table, signature.args[2], column)
        places = pointer(context, builder, rows, signature.args[4], first)
        last = builder.sub(n, ir.Constant(_INT, 1))

        def start_of(t: Any) -> Any:
            row = builder.sext(builder.load(builder.gep(places, [t])), _INT)
            return builder.bitcast(builder.gep(base, [builder.mul(row, stride)]), vector.as_pointer())

        with cgutils.for_range(builder, n) as loop:
            later = builder.add(loop.index, ir.Constant(_INT, AHEAD))
            _ask_for(builder, start_of(builder.select(builder.icmp_signed("<", later, last), later, last)), vectors)
            source = start_of(loop.index)
            target = builder.gep(to, [builder.mul(loop.index, g_stride)])
            target = builder.bitcast(target, vector.as_pointer())
            with cgutils.for_range(builder, vectors) as inner:
                value = load(builder, builder.gep(source, [inner.index]), size)
                builder.store(value, builder.gep(target, [inner.index])).align = size
        return context.get_dummy_value()

    return signature, codegen


@intrinsic  # type: ignore[untyped-decorator]
def turn_columns(
    typingctx: Any, turned: Any, t_stride: Any, table: Any, stride: Any, rows: Any, first: Any, n: Any, column: Any,
    width: Any, roots: Any, scales: Any,
) -> Any:  # fmt: skip
    """turned[j, t] = roots[t] * table[rows[first + t], column + j] * scales[column + j] for j < width.

    ``width`` is a multiple of 8. t goes to n rounded up to a multiple of 8, where ``roots`` must be zero and so is what
    is written. Strides count entries.
    """
    integer = types.intp
    signature = types.void(
        turned, integer, table, integer, rows, integer, integer, integer, integer, roots, scales
    )  # fmt: skip

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        turned, t_stride, table, stride, rows, first, n, column, width, roots, scales = args
        kinds = signature.args
        vector, lanes, size = vectors_of(kinds[0].dtype)
        zero, many = ir.Constant(_INT, 0), ir.Constant(_INT, lanes)
        to = pointer(context, builder, turned, kinds[0], zero)
        base = pointer(context, builder, table, kinds[2], column)
        places = pointer(context, builder, rows, kinds[4], first)
        down = pointer(context, builder, roots, kinds[9], zero)
        across = pointer(context, builder, scales, kinds[10], column)
        last = builder.sub(n, ir.Constant(_INT, 1))
        eights = builder.udiv(builder.add(n, ir.Constant(_INT, 7)), ir.Constant(_INT, 8))
        groups = builder.mul(eights, ir.Constant(_INT, 8 // lanes))
        with cgutils.for_range(builder, groups) as loop:
            t = builder.mul(loop.index, many)
            sources, factors = [], []
            for i in range(lanes):
                place = builder.add(t, ir.Constant(_INT, i))
                factors.append(broadcast(builder, builder.load(builder.gep(down, [place])), lanes))
                place = builder.select(builder.icmp_signed("<", place, last), place, last)
                row = builder.sext(builder.load(builder.gep(places, [place])), _INT)
                sources.append(builder.gep(base, [builder.mul(row, stride)]))
            with cgutils.for_range(builder, builder.udiv(width, many)) as inner:
                j = builder.mul(inner.index, many)
                scale = load(builder, _vector_at(builder, across, j, vector), size)
                block = []
                for source, factor in zip(sources, factors, strict=True):
                    value = load(builder, _vector_at(builder, source, j, vector), size)
                    block.append(builder.fmul(builder.fmul(value, scale), factor))
                for i, value in enumerate(_turn(builder, block)):
                    line = builder.mul(builder.add(j, ir.Constant(_INT, i)), t_stride)
                    place = _vector_at(builder, to, builder.add(line, t), vector)
                    builder.store(value, place).align = size
        return context.get_dummy_value()

    return signature, codegen


@intrinsic  # type: ignore[untyped-decorator]
def inverse_roots(typingctx: Any, out: Any, d: Any, vectors: Any) -> Any:
    """out = 1 / sqrt(d), so many whole vectors of it, written as vectors since they are read as such at once."""
    signature = types.void(out, d, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, d, vectors = args
        vector, lanes, size = vectors_of(signature.args[0].dtype)
        zero = ir.Constant(_INT, 0)
        target = builder.bitcast(pointer(context, builder, out, signature.args[0], zero), vector.as_pointer())
        source = builder.bitcast(pointer(context, builder, d, signature.args[1], zero), vector.as_pointer())
        kind = ir.FunctionType(vector, [vector])
        root = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{lanes}f{8 * size}")
        with cgutils.for_range(builder, vectors) as loop:
            value = builder.call(root, [load(builder, builder.gep(source, [loop.index]), size)])
            value = builder.fdiv(ir.Constant(vector, [1.0] * lanes), value)
            builder.store(value, builder.gep(target, [loop.index])).align = size
        return context.get_dummy_value()

    return signature, codegen


def _vector_at(builder: Any, base: Any, entry: Any, vector: Any) -> Any:
    return builder.bitcast(builder.gep(base, [entry]), vector.as_pointer())


def _turn(builder: Any, block: list[Any]) -> list[Any]:
    """The transpose of a square block of vectors.

    Each step merges the first half of the vectors with the second, entry by entry, as two halves of a pack of cards:
    that turns the bits of (vector, entry) by one place. After as many steps as either has bits, the two have changed
    places.
    """
    lanes = len(block)
    low = ir.Constant(ir.VectorType(_INT32, lanes), [i // 2 + (i % 2) * lanes for i in range(lanes)])
    high = ir.Constant(ir.VectorType(_INT32, lanes), [lanes // 2 + i // 2 + (i % 2) * lanes for i in range(lanes)])
    for _ in range(lanes.bit_length() - 1):
        pairs = zip(block[: lanes // 2], block[lanes // 2 :], strict=True)
        block = [builder.shuffle_vector(a, b, order) for a, b in pairs for order in (low, high)]
    return block
