"""The scores of given pairs of a user and an item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from dask.delayed import Delayed

from daskals import kernels
from daskals.blocks.biases import biases_of
from daskals.blocks.ids import positions
from daskals.blocks.ratings import CodedIds, SideName
from daskals.engine.factors import FactorMatrix
from daskals.engine.panels import blocks_of, gather, join_rows
from daskals.execution.tasks import task
from daskals.kernels.types import Float32, Ids, Int64


def predict(
    pairs: Sequence[Delayed],
    users: FactorMatrix,
    items: FactorMatrix,
    n_panels: int,
    token: str,
    mean: float | None = None,
) -> list[Delayed]:
    """Tasks for the scores of pairs, a task for each task in ``pairs``.

    Each of those gives the users and the items of some pairs as two `CodedIds`; each of ours gives float32 scores of
    the same length, NaN where the user or the item was not in the training data; or, where ``mean`` is given, that of
    ratings in a fit with biases, what the mean and the known bias give. The rows of a side travel in at most
    ``n_panels`` tasks.
    """
    user_panels, item_panels = users.panels(n_panels), items.panels(n_panels)
    what = (users.token, items.token, len(user_panels), mean)
    return [
        task(_predict, what, some, users.ids, items.ids, *user_panels, *item_panels, name=f"als-predict-{token}-{n}")
        for n, some in enumerate(pairs)
    ]


def _predict(
    what: tuple[str, str, int, float | None],
    pairs: tuple[CodedIds, CodedIds],
    user_ids: Ids,
    item_ids: Ids,
    *panels: tuple[Float32, ...],
) -> Float32:
    user_token, item_token, n_user_panels, mean = what
    users, user_positions = _looked_up("users", user_token, pairs[0], user_ids, panels[:n_user_panels], mean)
    items, item_positions = _looked_up("items", item_token, pairs[1], item_ids, panels[n_user_panels:], mean)
    scores: Float32 = kernels.predict_pairs(users, items, user_positions, item_positions)
    return scores


def _looked_up(
    side: SideName,
    token: str,
    column: CodedIds,
    ids: Ids,
    panels: Sequence[tuple[Float32, ...]],
    mean: float | None,
) -> tuple[Float32, Int64]:
    """The rows of a side, and the position of each id of a column: -1, or that of a stranger's row at the end."""
    found, blocks = positions(ids, column.uniques)[column.codes], blocks_of(panels)
    if mean is None:
        return gather(token, blocks, join_rows, "rows"), found
    strangers = biases_of(side, blocks[0].shape[1], mean).of_strangers(blocks[0].shape[1])
    rows = gather(token, [*blocks, strangers], join_rows, f"rows and strangers of {mean}")
    return rows, np.where(found < 0, len(rows) - 1, found)
