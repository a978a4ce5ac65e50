"""The scores of given pairs of a user and an item."""

from __future__ import annotations

from collections.abc import Sequence

from dask.delayed import Delayed

from daskals import kernels
from daskals.blocks.ids import positions
from daskals.blocks.ratings import CodedIds
from daskals.engine.factors import FactorMatrix
from daskals.engine.panels import blocks_of, gather, join_rows
from daskals.execution.tasks import task
from daskals.kernels.types import Float32, Ids, Int64


def predict(
    pairs: Sequence[Delayed], users: FactorMatrix, items: FactorMatrix, n_panels: int, token: str
) -> list[Delayed]:
    """Tasks for the scores of pairs, a task for each task in ``pairs``.

    Each of those gives the users and the items of some pairs as two `CodedIds`; each of ours gives float32 scores of
    the same length, NaN where the user or the item was not in the training data. The rows of a side travel in at most
    ``n_panels`` tasks.
    """
    user_panels, item_panels = users.panels(n_panels), items.panels(n_panels)
    what = (users.token, items.token, len(user_panels))
    return [
        task(_predict, what, some, users.ids, items.ids, *user_panels, *item_panels, name=f"als-predict-{token}-{n}")
        for n, some in enumerate(pairs)
    ]


def _predict(
    what: tuple[str, str, int],
    pairs: tuple[CodedIds, CodedIds],
    user_ids: Ids,
    item_ids: Ids,
    *panels: tuple[Float32, ...],
) -> Float32:
    user_token, item_token, n_user_panels = what
    scores: Float32 = kernels.predict_pairs(
        gather(user_token, blocks_of(panels[:n_user_panels]), join_rows, "rows"),
        gather(item_token, blocks_of(panels[n_user_panels:]), join_rows, "rows"),
        _positions(pairs[0], user_ids),
        _positions(pairs[1], item_ids),
    )
    return scores


def _positions(column: CodedIds, ids: Ids) -> Int64:
    return positions(ids, column.uniques)[column.codes]
