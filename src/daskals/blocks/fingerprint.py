"""Ratings to in-blocks: the steps of the shuffle, as array functions.

`split` cuts ratings into a piece for each destination block; `build` joins the pieces that a block receives. With
the ratings of the picture in `daskals.blocks` in two chunks and user blocks [0, 4) and [4, 8)::

    chunk 0: 7.6 3.4 0.3 5.0 3.1   -- split -->   3.4 0.3 3.1 | 7.6 5.0
    chunk 1: 1.5 6.5 1.1 2.4 2.0   -- split -->   1.5 1.1 2.4 2.0 | 6.5
                                   -- build -->   0.3, 1.1 1.5, 2.0 2.4, 3.1 3.4 | 5.0, 6.5, 7.6

What is split are chunks (`decode`) for the first side. The second side is the transpose of the first: its pieces
come from the blocks of the first (`transpose`), when the chunks have gone from memory already.
"""

from __future__ import annotations

import zlib

import numpy as np

from daskals.blocks.ratings import InBlock
from daskals.kernels.types import Ids


def fingerprint(block: InBlock) -> int:
    """A number that tells these ratings from others; those of all blocks of a side, summed, do not depend on blocks.

    A 64-bit mix (the finaliser of splitmix64) of each rating's position and value, summed modulo 2^64.
    """
    rows = block.start + np.repeat(np.arange(len(block.indptr) - 1, dtype=np.uint64), np.diff(block.indptr))
    mixed = (rows.astype(np.uint64) << np.uint64(32)) ^ block.source_positions.astype(np.uint64)
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
