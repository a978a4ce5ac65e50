"""Using the factors, in plain NumPy: scores of given pairs, and the best candidates of each query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskals.kernels.types import Float32, Int32, Int64

#: Candidates of each query that are not wanted: indptr and sorted positions.
Seen = tuple[Int64, Int32]
#: Bytes of scores in hand at a time when ranking.
SCORE_BYTES = 16 << 20


@dataclass(frozen=True, eq=False)
class Candidates:
    """Rows that queries are scored against, as `top_k` wants them."""

    #: (n, rank)
    rows: Float32

    def __len__(self) -> int:
        return len(self.rows)


def pack_candidates(blocks: Sequence[Float32]) -> Candidates:
    """Join the rows of all blocks, each (rows of the block, rank); position n is that of the n-th row of all."""
    return Candidates(blocks[0] if len(blocks) == 1 else np.concatenate(blocks))


def predict_pairs(left: Float32, right: Float32, left_rows: Int64, right_rows: Int64) -> Float32:
    """left[left_rows] . right[right_rows] pair by pair; NaN where either position is negative.

    Shapes (m, rank), (n, rank), (pairs,), (pairs,); returns float32 (pairs,).
    """
    out = np.full(len(left_rows), np.nan, np.float32)
    known = np.flatnonzero((left_rows >= 0) & (right_rows >= 0))
    step = max(1, SCORE_BYTES // (left.shape[1] * left.itemsize))
    for first in range(0, len(known), step):
        some = known[first : first + step]
        out[some] = np.einsum("ij,ij->i", left[left_rows[some]], right[right_rows[some]])
    return out


def top_k(
    queries: Float32, candidates: Candidates, k: int, block_size: int = 4096, seen: Seen | None = None
) -> tuple[Int64, Float32]:
    """For each query row the k candidates of largest dot product, best first, of equal ones the later first.

    Queries have the shape (m, rank); n candidates come from `pack_candidates`. Returns positions of candidates, int64
    (m, k), and scores, float32 (m, k), with k cut to n. Scores are made tile by tile, at most ``block_size`` wide and
    high: never the whole m x n matrix.

    ``seen`` are candidates that are not wanted, as a CSR matrix without values: ``(indptr, positions)``, int64
    (m + 1,) and int32, the positions of a query in ascending order. A query that has fewer than k others ends with
    positions -1 and scores -inf.
    """
    m, n = len(queries), len(candidates)
    k = min(k, n)
    best = np.empty((m, k), np.int64)
    scores = np.empty((m, k), np.float32)
    width = max(1, min(n, block_size))
    height = max(1, min(block_size, SCORE_BYTES // (4 * width)))
    for top in range(0, m, height):
        rows = slice(top, min(top + height, m))
        found = np.empty((rows.stop - top, 0), np.int64)
        values = np.empty((rows.stop - top, 0), np.float32)
        for left in range(0, n, width):
            tile = queries[rows] @ candidates.rows[left : left + width].T
            if seen is not None:
                _cross_out(tile, top, left, *seen)
            values, found = _keep_best(values, found, tile, left, k)
        best[rows], scores[rows] = found, values
    if seen is not None:
        best[scores == -np.inf] = -1
    return best, scores


def _cross_out(tile: Float32, top: int, left: int, indptr: Int64, positions: Int32) -> None:
    """Set the scores of candidates that are not wanted to -inf, in a tile of queries ``top``, ... and ``left``, ..."""
    height, width = tile.shape
    some = slice(indptr[top], indptr[top + height])
    columns = positions[some].astype(np.int64) - left
    rows = np.repeat(np.arange(height), np.diff(indptr[top : top + height + 1]))
    here = (columns >= 0) & (columns < width)
    tile[rows[here], columns[here]] = -np.inf


def _keep_best(values: Float32, found: Int64, tile: Float32, left: int, k: int) -> tuple[Float32, Int64]:
    """Merge the k best so far (ordered) with a tile of scores of candidates ``left``, ``left + 1``, ..."""
    chosen = _largest(tile, min(k, tile.shape[1]))
    values = np.concatenate([values, np.take_along_axis(tile, chosen, 1)], axis=1)
    found = np.concatenate([found, chosen + left], axis=1)
    order = np.lexsort((-found, -values), axis=1)[:, :k]
    return np.take_along_axis(values, order, 1), np.take_along_axis(found, order, 1)


def _largest(tile: Float32, k: int) -> Int64:
    """Columns of the k largest entries of each row, in any order; of entries that tie for a place, the later."""
    n = tile.shape[1]
    chosen = np.argpartition(tile, n - k, axis=1)[:, n - k :]
    least = np.take_along_axis(tile, chosen, 1).min(axis=1)
    # argpartition takes any of those that equal the least: settle such rows one by one, they are rare
    tied = np.flatnonzero(np.count_nonzero(tile >= least[:, None], axis=1) > k)
    for row in tied:
        above = np.flatnonzero(tile[row] > least[row])
        equal = np.flatnonzero(tile[row] == least[row])
        chosen[row] = np.concatenate([above, equal[len(equal) - (k - len(above)) :]])
    return chosen
