"""Ratings to in-blocks: the two halves of the shuffle, as array functions.

`split` cuts the ratings of a chunk into a piece for each destination block; `build` joins the pieces that a block
receives from all chunks. Both sides of ALS use both functions, with destination and source swapped. With the
ratings of the picture in `daskals.blocks` in two chunks and user blocks [0, 4) and [4, 8)::

    chunk 0: 7.6 3.4 0.3 5.0 3.1   -- split -->   3.4 0.3 3.1 | 7.6 5.0
    chunk 1: 1.5 6.5 1.1 2.4 2.0   -- split -->   1.5 1.1 2.4 2.0 | 6.5
                                   -- build -->   0.3, 1.1 1.5, 2.0 2.4, 3.1 3.4 | 5.0, 6.5, 7.6
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

from daskals import kernels
from daskals.blocks import CodedChunk, CodedIds, Ids, InBlock, Index, Int32, Int64, Piece
from daskals.indexing import positions

#: A side of the ratings, by the name of its field in `CodedChunk`.
SideName = Literal["users", "items"]


def index_of(chunk: CodedChunk, side: SideName) -> Index:
    """The ids of one side of a chunk, with their numbers of ratings."""
    column: CodedIds = getattr(chunk, side)
    counts = np.bincount(column.codes, minlength=len(column.distinct))
    return Index(column.distinct, counts)


def split(chunks: Sequence[CodedChunk], side: SideName, ids: Ids, source_ids: Ids, bounds: Int64) -> tuple[Piece, ...]:
    """Cut chunks by destination: one piece for each block of ``side``.

    ``ids`` are all ids of the side, ``source_ids`` all ids of the other, ``bounds`` the ends of the blocks.
    """
    source: SideName = "items" if side == "users" else "users"
    rows = np.concatenate([_global_codes(getattr(chunk, side), ids) for chunk in chunks])
    sources = np.concatenate([_global_codes(getattr(chunk, source), source_ids) for chunk in chunks])
    ratings = np.concatenate([chunk.ratings for chunk in chunks])
    block_of_row = np.repeat(np.arange(len(bounds) - 1, dtype=np.int32), np.diff(bounds))
    order, cuts = kernels.stable_order(block_of_row[rows], len(bounds) - 1)
    pieces = []
    for block in range(len(bounds) - 1):
        some = order[cuts[block] : cuts[block + 1]]
        pieces.append(Piece(rows[some] - np.int32(bounds[block]), sources[some], ratings[some]))
    return tuple(pieces)


def _global_codes(column: CodedIds, ids: Ids) -> Int32:
    return positions(ids, column.distinct).astype(np.int32)[column.codes]


def build(start: int, n_rows: int, n_sources: int, pieces: Sequence[Piece]) -> InBlock:
    """Join the pieces of a block whose first row has position ``start``.

    Ratings are ordered by row and within a row by source, so the block does not depend on the order in which
    ratings arrived (but for the order of a pair's duplicates).
    """
    rows = np.concatenate([piece.rows for piece in pieces])
    sources = np.concatenate([piece.sources for piece in pieces])
    ratings = np.concatenate([piece.ratings for piece in pieces])
    # a stable sort by the lesser key, then by the greater
    order, _ = kernels.stable_order(sources, n_sources)
    by_row, indptr = kernels.stable_order(rows[order], n_rows)
    order = order[by_row]
    return InBlock(start, indptr, sources[order], ratings[order])


def fingerprint(block: InBlock) -> int:
    """A number that tells these ratings from others; those of all blocks of a side, summed, do not depend on blocks.

    A 64-bit mix (the finaliser of splitmix64) of each rating's position and value, summed modulo 2^64.
    """
    rows = block.start + np.repeat(np.arange(len(block.indptr) - 1, dtype=np.uint64), np.diff(block.indptr))
    mixed = (rows.astype(np.uint64) << np.uint64(32)) ^ block.sources.astype(np.uint64)
    for values in (np.zeros(1, np.uint64), np.ascontiguousarray(block.ratings).view(np.uint32).astype(np.uint64)):
        mixed = mixed + values * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return int(mixed.sum(dtype=np.uint64))


def fingerprint_of_ids(ids: Ids) -> int:
    """A number that tells these sorted ids from others."""
    data = "\0".join(ids).encode() if ids.dtype.kind == "O" else np.ascontiguousarray(ids).tobytes()
    return zlib.crc32(data)
