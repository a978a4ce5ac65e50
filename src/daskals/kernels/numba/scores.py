"""Using the factors, compiled: scores of given pairs, and the best candidates of each query.

`top_k` is a faster version of a sort of all scores,

    scores = queries @ candidates.T;  best = argsort(-scores)[:, :k]

whose plain form is `daskals.kernels.numpy.scores.top_k`. Here there is never a matrix of scores. Queries are packed
eight by eight and candidates `WIDTH` by `WIDTH`, entry by entry, so that their scores are one tile in registers
(`daskals.kernels.numba.tiles.score_tile`); a tile is written, and looked at score by score, only where one of them
reaches the k-th best so far of its query. Candidates come in the order of their norms, the largest first. Good ones are
then found early, which leaves few tiles to look at; and since q.c <= |q| |c|, eight queries are done with all that
follows as soon as |q| |c| is below the k-th best of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskals.kernels.arrays import as_kernel_array
from daskals.kernels.numba.compiling import compiled, inner
from daskals.kernels.numba.tiles import BYTES, score_tile
from daskals.kernels.numpy.scores import Seen
from daskals.kernels.types import Float32, Float64, Int64

#: Candidates in a tile.
WIDTH = 3 * BYTES // 4
#: Groups of eight queries that go over a tile of candidates while it is in a first-level cache.
GROUPS = 8
#: What rounding can add to the product of two norms, and more.
SLACK = 1 + 1e-4


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
    """Dot products pair by pair; see `daskals.kernels.numpy.scores.predict_pairs`."""
    out = np.empty(len(left_rows), np.float32)
    _predict_pairs(
        as_kernel_array(left, np.float32), as_kernel_array(right, np.float32),
        as_kernel_array(left_rows, np.int64), as_kernel_array(right_rows, np.int64),
        out,
    )  # fmt: skip
    return out


@inner
def _holds(values: Any, first: int, stop: int, wanted: int) -> bool:
    """Whether sorted values[first:stop] hold a value."""
    end = stop
    while first < stop:
        middle = (first + stop) // 2
        if values[middle] < wanted:
            first = middle + 1
        else:
            stop = middle
    # what stands at ``end`` is another query's
    return first < end and values[first] == wanted


@inner
def _insert(score: float, candidate: int, found: Any, values: Any) -> None:
    """Put a candidate among the best of a query if it belongs there; the last goes."""
    place = len(values) - 1
    if score < values[place] or (score == values[place] and candidate < found[place]):
        return
    # of equal scores the larger position goes first
    while place > 0 and (
        score > values[place - 1] or (score == values[place - 1] and candidate > found[place - 1])
    ):  # fmt: skip
        values[place] = values[place - 1]
        found[place] = found[place - 1]
        place -= 1
    values[place] = score
    found[place] = candidate


@compiled
def _top_k(
    queries: Any, query_norms: Any, candidates: Any, norms: Any, order: Any, seen_starts: Any, seen: Any,
    found: Any, values: Any,
) -> None:  # fmt: skip
    n_groups, rank = queries.shape[0], queries.shape[1]
    m, n = len(found), len(order)
    tile = np.empty((8, WIDTH), np.float32)
    least = np.empty((GROUPS, 8), np.float32)
    active = np.empty(GROUPS, np.bool_)
    for first in range(0, n_groups, GROUPS):
        groups = min(GROUPS, n_groups - first)
        for g in range(groups):
            active[g] = True
            for i in range(8):
                # rows beyond the last query never reach this
                least[g, i] = -np.inf if (first + g) * 8 + i < m else np.inf
        for t in range(len(candidates)):
            start = t * WIDTH
            width = min(WIDTH, n - start)
            none = True
            for g in range(groups):
                if not active[g]:
                    continue
                if t % 16 == 0:
                    open_rows = False
                    for i in range(8):
                        highest = query_norms[(first + g) * 8 + i] * norms[start]
                        open_rows |= not highest < least[g, i]
                    active[g] = open_rows
                    if not open_rows:
                        continue
                none = False
                if not score_tile(tile, least[g], queries, (first + g) * 8 * rank, candidates, start * rank, rank):
                    continue
                for i in range(min(8, m - (first + g) * 8)):
                    row = (first + g) * 8 + i
                    for j in range(width):
                        score = tile[i, j]
                        if score < values[row, -1]:  # the k-th best of now, not that before this tile
                            continue
                        candidate = order[start + j]
                        if len(seen) and _holds(seen, seen_starts[row], seen_starts[row + 1], candidate):
                            continue
                        _insert(-np.inf if np.isnan(score) else score, candidate, found[row], values[row])
                    least[g, i] = values[row, -1]
            if none:
                break


@dataclass(frozen=True, eq=False)
class Candidates:
    """Rows that queries are scored against, in the order of their norms, the largest first."""

    #: (tiles, rank, `WIDTH`): entry by entry, with zeros after the last row
    tiles: Float32
    #: (n,)
    norms: Float64
    #: (n,): the position of each row as it was given
    order: Int64

    def __len__(self) -> int:
        return len(self.order)


def pack_candidates(blocks: Sequence[Float32]) -> Candidates:
    """Sort the rows of all blocks by their norms and pack them in tiles; see `daskals.kernels.numpy.scores`."""
    rows = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    order = np.argsort(-norms, kind="stable")
    return Candidates(_packed(rows[order], WIDTH), norms[order], order)


def top_k(
    queries: Float32,
    candidates: Candidates,
    k: int,
    block_size: int = 4096,  # noqa: ARG001
    seen: Seen | None = None,
) -> tuple[Int64, Float32]:
    """The k best candidates of each query; see `daskals.kernels.numpy.scores.top_k`. ``block_size`` has no effect."""
    m, k = len(queries), min(k, len(candidates))
    found, values = np.full((m, k), -1, np.int64), np.full((m, k), -np.inf, np.float32)
    if not m or not k:
        return found, values
    query_norms = np.zeros(-(-m // 8) * 8)
    query_norms[:m] = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64)) * SLACK
    nothing = np.zeros(1, np.int64), np.zeros(0, np.int32)
    starts, positions = nothing if seen is None else seen
    _top_k(
        _packed(queries, 8), query_norms, candidates.tiles, candidates.norms, candidates.order,
        as_kernel_array(starts, np.int64), as_kernel_array(positions, np.int32), found, values,
    )  # fmt: skip
    return found, values


def _packed(rows: Float32, width: int) -> Float32:
    """Rows in groups of ``width``, entry by entry: shape (groups, rank, width), with rows of zeros at the end."""
    n, rank = rows.shape
    groups = -(-n // width)
    out = np.zeros((groups * width, rank), np.float32)
    out[:n] = rows
    return np.ascontiguousarray(out.reshape(groups, width, rank).transpose(0, 2, 1))
