"""Using a fitted model: scores of given pairs, and the best candidates for each row of a side."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from dask.delayed import Delayed

from daskals import execution, kernels
from daskals.blocks import CodedIds, Float32, Ids, Int64
from daskals.factors import FactorMatrix, gather
from daskals.indexing import positions


def predict(pairs: Sequence[Delayed], users: FactorMatrix, items: FactorMatrix, token: str) -> list[Delayed]:
    """Tasks for the scores of pairs, a task for each task in ``pairs``.

    Each of those gives the users and the items of some pairs as two `CodedIds`; each of ours gives float32
    scores of the same length, NaN where the user or the item was not in the training data.
    """
    user_bundles, item_bundles = users.bundles(), items.bundles()
    return [
        execution.task(
            _predict,
            some,
            users.token,
            items.token,
            len(user_bundles),
            users.ids,
            items.ids,
            *user_bundles,
            *item_bundles,
            name=f"als-predict-{token}-{number}",
        )
        for number, some in enumerate(pairs)
    ]


def _predict(
    pairs: tuple[CodedIds, CodedIds],
    user_token: str,
    item_token: str,
    n_user_bundles: int,
    user_ids: Ids,
    item_ids: Ids,
    *bundles: tuple[Float32, ...],
) -> Float32:
    scores: Float32 = kernels.predict_pairs(
        _all_rows(user_token, bundles[:n_user_bundles]),
        _all_rows(item_token, bundles[n_user_bundles:]),
        _positions(pairs[0], user_ids),
        _positions(pairs[1], item_ids),
    )
    return scores


def _positions(column: CodedIds, ids: Ids) -> Int64:
    return positions(ids, column.distinct)[column.codes]


def _all_rows(token: str, bundles: Sequence[tuple[Float32, ...]]) -> Float32:
    return gather(token, [rows for bundle in bundles for rows in bundle])


def recommend(
    queries: FactorMatrix, candidates: FactorMatrix, k: int, block_size: int, token: str, wanted: Delayed | None = None
) -> list[Delayed]:
    """Tasks for the ``k`` best candidates of every query row, a task for each block of ``queries``.

    Where ``wanted`` is given, a task for the sorted ids of the rows that are asked for, only of those.

    Each gives (ids of the queries (m,), ids of their candidates (m, k), scores (m, k)), best first, of equal
    scores the larger id first. The score matrix is made and thrown away tile by tile.
    """
    bundles = candidates.bundles()
    return [
        execution.task(
            _recommend,
            k,
            block_size,
            int(queries.bounds[number]),
            queries.ids,
            block,
            wanted,
            candidates.token,
            candidates.ids,
            *bundles,
            name=f"als-recommend-{token}-{number}",
        )
        for number, block in enumerate(queries.blocks)
    ]


def _recommend(
    k: int,
    block_size: int,
    start: int,
    query_ids: Ids,
    rows: Float32,
    wanted: Ids | None,
    token: str,
    candidate_ids: Ids,
    *bundles: tuple[Float32, ...],
) -> tuple[Ids, Ids, Float32]:
    ids = query_ids[start : start + len(rows)]
    if wanted is not None:
        places = np.flatnonzero(positions(wanted, ids) >= 0)
        ids, rows = ids[places], rows[places]
    best, scores = kernels.top_k(np.require(rows, np.float32, ["C", "A"]), _all_rows(token, bundles), k, block_size)
    return ids, candidate_ids[best], scores


def rows_with_ids(matrix: FactorMatrix) -> list[Delayed]:
    """Tasks for (ids (m,), factors (m, rank)), one for each block."""
    return [
        execution.task(_with_ids, ids, block, name=f"als-rows-{matrix.token}-{number}")
        for number, (ids, block) in enumerate(zip(ids_of_blocks(matrix), matrix.blocks, strict=True))
    ]


def ids_of_blocks(matrix: FactorMatrix) -> list[Delayed]:
    """Tasks for the ids (m,) of each block.

    They are cut where all ids are: a worker is sent those of its own blocks, which are smaller than these, and not
    those of all rows, which may be larger and would draw the task away from the block.
    """
    return [
        execution.task(_cut, int(start), int(stop), matrix.ids, name=f"als-ids-{matrix.token}-{number}")
        for number, (start, stop) in enumerate(itertools.pairwise(matrix.bounds))
    ]


def _cut(start: int, stop: int, ids: Ids) -> Ids:
    return ids[start:stop]


def _with_ids(ids: Ids, rows: Float32) -> tuple[Ids, Float32]:
    return ids, rows
