"""Ratings to in-blocks: the steps of the shuffle, as array functions.

`split` cuts ratings into a piece for each destination block; `build` joins the pieces that a block receives. With
the ratings of the picture in `daskals.blocks.ratings` in two chunks and user blocks [0, 4) and [4, 8)::

    chunk 0: 7.6 3.4 0.3 5.0 3.1   -- split -->   3.4 0.3 3.1 | 7.6 5.0
    chunk 1: 1.5 6.5 1.1 2.4 2.0   -- split -->   1.5 1.1 2.4 2.0 | 6.5
                                   -- build -->   0.3, 1.1 1.5, 2.0 2.4, 3.1 3.4 | 5.0, 6.5, 7.6

For the first side, chunks are split (`decode` makes ratings of a chunk). The second side is the transpose of the first:
its pieces come from the blocks of the first side (`transpose`), so that the chunks can leave memory before.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from daskals import kernels
from daskals.blocks.ids import positions
from daskals.blocks.ratings import CodedChunk, CodedIds, InBlock, Index, RatingBlock, SideName, other
from daskals.kernels.types import Ids, Int64, LookedUp, Runs


def index_of(chunk: CodedChunk, side: SideName) -> Index:
    """The ids of one side of a chunk, with their numbers of ratings."""
    column: CodedIds = getattr(chunk, side)
    counts = np.bincount(column.codes, minlength=len(column.uniques))
    return Index(column.uniques, counts)


def decode(chunk: CodedChunk, side: SideName, ids: Ids, source_ids: Ids) -> RatingBlock:
    """The ratings of a chunk with ``side`` as destination; ``ids`` are its ids, ``source_ids`` those of the other."""
    rows, sources = _positions(getattr(chunk, side), ids), _positions(getattr(chunk, other(side)), source_ids)
    return RatingBlock(rows, sources, chunk.ratings, chunk.weights)


def _positions(column: CodedIds, ids: Ids) -> LookedUp:
    return LookedUp(positions(ids, column.uniques).astype(np.int32), column.codes)


def transpose(block: InBlock) -> RatingBlock:
    """The ratings of an in-block with the other side as destination, in the order of their sources."""
    return RatingBlock(block.source_positions, Runs(block.start, block.indptr), block.ratings, block.weights)


def split(parts: Sequence[RatingBlock], bounds: Int64) -> tuple[RatingBlock, ...]:
    """Cut ratings by destination: a piece for each block; ``bounds`` are the ends of blocks.

    Within a piece ratings keep their order. The pieces are views of one set of arrays.
    """
    n_blocks = len(bounds) - 1
    block_of_row = np.repeat(np.arange(n_blocks, dtype=np.int32), np.diff(bounds))
    keys = [
        part.rows._replace(table=block_of_row[part.rows.table])
        if isinstance(part.rows, LookedUp)
        else LookedUp(block_of_row, part.rows)
        for part in parts
    ]
    cuts, *columns = kernels.counting_sort(keys, n_blocks, *_columns(parts))
    return tuple(
        RatingBlock(*(column[first:stop] for column in columns)) for first, stop in itertools.pairwise(cuts.tolist())
    )


def _columns(parts: Sequence[RatingBlock]) -> list[tuple[Any, ...]]:
    """The columns of parts, each in parts; without that of weights where there are none."""
    rows, sources, ratings, weights = zip(*parts, strict=True)
    has_weights = any(part is not None for part in weights)
    return [rows, sources, ratings, weights] if has_weights else [rows, sources, ratings]


def build(start: int, n_rows: int, n_sources: int, pieces: Sequence[RatingBlock], ordered: bool = False) -> InBlock:
    """Join the pieces of a block whose first row has position ``start``.

    Ratings are ordered by row, within a row by source, and those of a pair that was rated more than once by value:
    the block does not depend on the order in which ratings arrived. ``ordered`` says that the pieces, one after the
    other, have their sources (and the values of a pair) in order already.
    """
    rows, sources, *values = _columns(pieces)
    if not ordered:
        # a stable sort by the lesser key, then by the greater
        runs, *sorted_columns = kernels.counting_sort(sources, n_sources, rows, *values)
        rows, *values = ((column,) for column in sorted_columns)
        sources = (Runs(0, runs),)
    block = InBlock(start, *kernels.counting_sort(rows, n_rows, sources, *values, first=start))
    if not ordered:
        _order_duplicates(block)
    return block


def cut(block: InBlock, start: int, n_rows: int) -> InBlock:
    """Some neighbouring rows of an in-block, the first of which has position ``start``, as an in-block of their own.

    Its arrays are copies: those of the whole block can leave memory, whatever becomes of the others' parts.
    """
    first = start - block.start
    runs = block.indptr[first : first + n_rows + 1]
    own = slice(runs[0], runs[-1])
    weights = None if block.weights is None else block.weights[own].copy()
    return InBlock(start, runs - runs[0], block.source_positions[own].copy(), block.ratings[own].copy(), weights)


def _order_duplicates(block: InBlock) -> None:
    """Sort, in place, the ratings of pairs that were rated more than once, those of one value by weight."""
    _, indptr, sources, ratings, weights = block
    goes_on = sources[1:] == sources[:-1]
    row_starts = indptr[(indptr > 0) & (indptr < len(sources))]
    goes_on[row_starts - 1] = False
    if not goes_on.any():
        return
    repeated = np.zeros(len(sources), np.bool_)
    repeated[1:] = goes_on
    pairs = np.cumsum(~repeated)
    repeated[:-1] |= goes_on
    places = np.flatnonzero(repeated)
    keys = (ratings[places], pairs[places])
    order = places[np.lexsort(keys if weights is None else (weights[places], *keys))]
    ratings[places] = ratings[order]
    if weights is not None:
        weights[places] = weights[order]


def block_bounds(counts: Int64, n_blocks: int, row_cost: float = 16.0) -> Int64:
    """Cut positions into ``n_blocks`` runs of about equal work; returns the ``n_blocks + 1`` ends of runs.

    Work is the number of ratings, plus ``row_cost`` for each row. Every run has at least one row, so there must
    be at least as many rows as blocks.

    >>> import numpy as np
    >>> block_bounds(np.array([90, 1, 1, 1, 1]), 2, row_cost=0).tolist()
    [0, 1, 5]
    """
    work = np.cumsum(counts + row_cost)
    cuts = np.searchsorted(work, work[-1] / n_blocks * np.arange(1, n_blocks)) + 1
    # no empty run: push cuts up from the left, then down from the right
    steps = np.arange(n_blocks - 1)
    cuts = np.maximum.accumulate(np.maximum(cuts, 1) - steps) + steps
    cuts = np.minimum(cuts, len(counts) - (n_blocks - 1) + steps)
    return np.concatenate([[0], cuts, [len(counts)]]).astype(np.int64)
