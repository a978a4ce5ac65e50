"""Using the factors, compiled: scores of given pairs, and the best candidates of each query."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskals.blocks import Float32, Int64
from daskals.kernels._arrays import plain
from daskals.kernels._equations import compiled


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
        plain(left, np.float32), plain(right, np.float32), plain(left_rows, np.int64), plain(right_rows, np.int64),
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
