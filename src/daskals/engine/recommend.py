"""The best candidates for each row of a side."""

from __future__ import annotations

import numpy as np
from dask.delayed import Delayed

from daskals import kernels
from daskals.blocks.ids import positions
from daskals.engine.factors import FactorMatrix, ids_of_blocks
from daskals.engine.panels import blocks_of, gather
from daskals.execution.tasks import new_token, task
from daskals.kernels.types import Float32, Ids


def recommend(
    queries: FactorMatrix,
    candidates: FactorMatrix,
    k: int,
    block_size: int,
    n_panels: int,
    wanted: Delayed | None = None,
) -> list[Delayed]:
    """Tasks for the ``k`` best candidates of every query row, a task for each block of ``queries``.

    Where ``wanted`` is given, a task for the sorted ids of the rows that are asked for, only of those. The candidates'
    rows travel in at most ``n_panels`` tasks. On plain NumPy at most ``block_size`` rows are scored against each other
    at a time.

    Each gives (ids of the queries (m,), ids of their candidates (m, k), scores (m, k)), best first, of equal scores
    the larger id first. The score matrix is made and thrown away tile by tile.
    """
    token, panels = new_token(), candidates.panels(n_panels)
    what = (k, block_size, candidates.token)
    return [
        task(_recommend, what, ids, rows, wanted, candidates.ids, *panels, name=f"als-recommend-{token}-{n}")
        for n, (ids, rows) in enumerate(zip(ids_of_blocks(queries), queries.blocks, strict=True))
    ]


def _recommend(
    what: tuple[int, int, str],
    ids: Ids,
    rows: Float32,
    wanted: Ids | None,
    candidate_ids: Ids,
    *panels: tuple[Float32, ...],
) -> tuple[Ids, Ids, Float32]:
    k, block_size, token = what
    if wanted is not None:
        places = np.flatnonzero(positions(wanted, ids) >= 0)
        ids, rows = ids[places], rows[places]
    candidates = gather(token, blocks_of(panels), kernels.pack_candidates, "candidates")
    best, scores = kernels.top_k(np.require(rows, np.float32, ["C", "A"]), candidates, k, block_size)
    return ids, candidate_ids[best], scores
