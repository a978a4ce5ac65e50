"""Vectorised building blocks for the compiled kernels: passes over chosen rows of a table.

Each is a faster version of a line of NumPy; `daskals.kernels.numpy.cg` has the plain form of the last two::

    gather_rows   gathered[:n] = table[rows]
    dots          scores[:n] = table[rows] @ v
    combine       out += scores[:n] @ table[rows]

The last two are a product with A = Y'Y, Y being the chosen rows, without A: conjugate gradients need no more. They
go over short runs of rows, so that the second finds in cache what the first has read; four rows at a time, since a
dot product alone is a chain of additions that wait for each other. `dots` asks for rows `AHEAD` of time, because
no prefetcher can guess where the next one is.

As in `daskals.kernels.numba.tiles` the vectors are given to LLVM: from loops Numba makes tests of overlap at every row.
Tables have rows of ``vectors`` whole vectors and are row-major.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from daskals.kernels.numba.tiles import BYTES, broadcast, load, multiply_add, pointer, vectors_of

#: How many rows ahead `dots` asks for.
AHEAD = 16
#: Rows in a run: at rank 64 they are half of a first-level cache.
RUN = 64
_INT, _INT32 = ir.IntType(64), ir.IntType(32)
_BYTE_POINTER = ir.IntType(8).as_pointer()


class _Table:
    """A table, and indices of its rows, as LLVM values."""

    def __init__(self, context: Any, builder: Any, kinds: Any, table: Any, rows: Any, first: Any, vectors: Any) -> None:
        self.builder = builder
        self.vector, self.width, self.size = vectors_of(kinds[0].dtype)
        self.stride = builder.mul(vectors, ir.Constant(_INT, self.width))
        self.base = pointer(context, builder, table, kinds[0], ir.Constant(_INT, 0))
        self.rows = pointer(context, builder, rows, kinds[1], first)

    def row(self, t: Any) -> Any:
        """Where row ``rows[first + t]`` of the table begins."""
        row = self.builder.sext(self.builder.load(self.builder.gep(self.rows, [t])), _INT)
        return self.builder.bitcast(
            self.builder.gep(self.base, [self.builder.mul(row, self.stride)]), self.vector.as_pointer()
        )

    def vector_at(self, row: Any, number: Any) -> Any:
        return load(self.builder, self.builder.gep(row, [number]), self.size)


@intrinsic  # type: ignore[untyped-decorator]
def gather_rows(typingctx: Any, gathered: Any, table: Any, rows: Any, first: Any, n: Any, vectors: Any) -> Any:
    """gathered[t] = table[rows[first + t]] for t < n."""
    signature = types.void(gathered, table, rows, types.intp, types.intp, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        gathered, table, rows, first, n, vectors = args
        source = _Table(context, builder, signature.args[1:3], table, rows, first, vectors)
        to = pointer(context, builder, gathered, signature.args[0], ir.Constant(_INT, 0))
        with cgutils.for_range(builder, n) as loop:
            row = source.row(loop.index)
            target = builder.gep(to, [builder.mul(loop.index, source.stride)])
            target = builder.bitcast(target, source.vector.as_pointer())
            with cgutils.for_range(builder, vectors) as inner:
                value = source.vector_at(row, inner.index)
                builder.store(value, builder.gep(target, [inner.index])).align = source.size
        return context.get_dummy_value()

    return signature, codegen


@intrinsic  # type: ignore[untyped-decorator]
def dots(
    typingctx: Any, scores: Any, v: Any, table: Any, rows: Any, first: Any, n: Any, stop: Any, vectors: Any
) -> Any:
    """scores[t] = table[rows[first + t]] . v for t < n; ``stop`` is where ``rows`` that may be asked for end."""
    signature = types.void(scores, v, table, rows, types.intp, types.intp, types.intp, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        scores, v, table, rows, first, n, stop, vectors = args
        source = _Table(context, builder, signature.args[2:4], table, rows, first, vectors)
        scalar, width = source.vector.element, source.width
        zero = ir.Constant(_INT, 0)
        out = pointer(context, builder, scores, signature.args[0], zero)
        x = builder.bitcast(pointer(context, builder, v, signature.args[1], zero), source.vector.as_pointer())
        last = builder.sub(builder.sub(stop, first), ir.Constant(_INT, 1))
        sum_type = ir.FunctionType(scalar, [scalar, source.vector])
        sum_of = cgutils.get_or_insert_function(
            builder.module, sum_type, f"llvm.vector.reduce.fadd.v{width}f{8 * source.size}"
        )

        def some_rows(t: Any, count: int) -> None:
            places = [builder.add(t, ir.Constant(_INT, i)) for i in range(count)]
            chosen = [source.row(place) for place in places]
            for place in places:
                later = builder.add(place, ir.Constant(_INT, AHEAD))
                later = builder.select(builder.icmp_signed("<", later, last), later, last)
                _ask_for(builder, source.row(later), vectors)
            totals = [cgutils.alloca_once(builder, source.vector) for _ in chosen]
            for total in totals:
                builder.store(ir.Constant(source.vector, [0.0] * width), total)
            with cgutils.for_range(builder, vectors) as inner:
                along = load(builder, builder.gep(x, [inner.index]), source.size)
                for row, total in zip(chosen, totals, strict=True):
                    value = source.vector_at(row, inner.index)
                    builder.store(multiply_add(builder, value, along, builder.load(total)), total)
            for place, total in zip(places, totals, strict=True):
                parts = [ir.Constant(scalar, 0.0), builder.load(total)]
                score = builder.call(sum_of, parts, fastmath=("reassoc", "nsz"))
                builder.store(score, builder.gep(out, [place]))

        _by_fours(builder, n, some_rows)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic  # type: ignore[untyped-decorator]
def combine(typingctx: Any, out: Any, scores: Any, table: Any, rows: Any, first: Any, n: Any, vectors: Any) -> Any:
    """out += scores[t] * table[rows[first + t]], summed over t < n."""
    signature = types.void(out, scores, table, rows, types.intp, types.intp, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, scores, table, rows, first, n, vectors = args
        source = _Table(context, builder, signature.args[2:4], table, rows, first, vectors)
        zero = ir.Constant(_INT, 0)
        weights = pointer(context, builder, scores, signature.args[1], zero)
        sums = builder.bitcast(pointer(context, builder, out, signature.args[0], zero), source.vector.as_pointer())

        def some_rows(t: Any, count: int) -> None:
            places = [builder.add(t, ir.Constant(_INT, i)) for i in range(count)]
            chosen = [source.row(place) for place in places]
            down = [broadcast(builder, builder.load(builder.gep(weights, [place])), source.width) for place in places]
            with cgutils.for_range(builder, vectors) as inner:
                place = builder.gep(sums, [inner.index])
                total = load(builder, place, source.size)
                for row, weight in zip(chosen, down, strict=True):
                    total = multiply_add(builder, weight, source.vector_at(row, inner.index), total)
                builder.store(total, place).align = source.size

        _by_fours(builder, n, some_rows)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic  # type: ignore[untyped-decorator]
def ask_for_rows(typingctx: Any, table: Any, rows: Any, first: Any, n: Any, vectors: Any) -> Any:
    """Prefetch table[rows[first + t]] for t < n, for what comes after something else."""
    signature = types.void(table, rows, types.intp, types.intp, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        table, rows, first, n, vectors = args
        source = _Table(context, builder, signature.args[:2], table, rows, first, vectors)
        with cgutils.for_range(builder, n) as loop:
            _ask_for(builder, source.row(loop.index), vectors)
        return context.get_dummy_value()

    return signature, codegen


def _by_fours(builder: Any, n: Any, some_rows: Callable[[Any, int], None]) -> None:
    """Loops over t < n: four at a time, then the rest one by one."""
    four = ir.Constant(_INT, 4)
    fours = builder.udiv(n, four)
    with cgutils.for_range(builder, fours) as loop:
        some_rows(builder.mul(loop.index, four), 4)
    done = builder.mul(fours, four)
    with cgutils.for_range(builder, builder.sub(n, done)) as loop:
        some_rows(builder.add(done, loop.index), 1)


def _ask_for(builder: Any, row: Any, vectors: Any) -> None:
    """Prefetch a row of a table, line by line."""
    kind = ir.FunctionType(ir.VoidType(), [_BYTE_POINTER, _INT32, _INT32, _INT32])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    # for reading, to all caches, data
    how = [ir.Constant(_INT32, number) for number in (0, 3, 1)]
    per_line = ir.Constant(_INT, 64 // BYTES)
    lines = builder.udiv(builder.add(vectors, ir.Constant(_INT, 64 // BYTES - 1)), per_line)
    with cgutils.for_range(builder, lines) as loop:
        place = builder.gep(row, [builder.mul(loop.index, per_line)])
        builder.call(prefetch, [builder.bitcast(place, _BYTE_POINTER), *how])
