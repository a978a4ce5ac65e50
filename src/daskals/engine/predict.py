"""The scores of given pairs of a user and an item.

Where a task may hold the rows of both sides, there is a task for each chunk of pairs. Where it may not, the pairs of a
chunk go to the rows: they are split by the portions that their users and items are in (`daskals.engine.portions`)::

    chunk of pairs  --split-->  piece: portion 0 of users, portion 0 of items  --score-->  places, scores  --+
                                piece: portion 1 of users, portion 0 of items  --score-->  places, scores  --+--> scores
                                ...                                                                          |
                                pairs of strangers  ---------------------------------------------------------+
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from operator import getitem
from typing import NamedTuple

import numpy as np
from dask.delayed import Delayed

from daskals import kernels
from daskals.blocks.biases import biases_of
from daskals.blocks.ids import positions
from daskals.blocks.ratings import CodedIds, SideName
from daskals.engine.factors import FactorMatrix
from daskals.engine.panels import blocks_of, gather, join_rows
from daskals.engine.portions import Portion, Span, blocks_in, fit_into, portions, starts_of
from daskals.engine.share import Share
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import task
from daskals.kernels.types import Float32, Ids, Int32, Int64


def predict(
    scheduler: Scheduler,
    pairs: Sequence[Delayed],
    users: FactorMatrix,
    items: FactorMatrix,
    token: str,
    mean: float | None = None,
) -> list[Delayed]:
    """Tasks for the scores of pairs, a task for each task in ``pairs``.

    Each of those gives the users and the items of some pairs as two `CodedIds`; each of ours gives float32 scores of
    the same length, NaN where the user or the item was not in the training data; or, where ``mean`` is given, that of
    ratings in a fit with biases, what the mean and the known bias give.
    """
    share = Share(scheduler)
    if not fit_into(share, users, items):
        both = portions(scheduler, share, users), portions(scheduler, share, items)
        return _predict_in_portions(pairs, (users, items), both, token, mean)
    user_panels, item_panels = (side.panels(scheduler.settings.panels) for side in (users, items))
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
    user_positions, item_positions = _places(pairs, user_ids, item_ids)
    users = _rows("users", user_token, blocks_of(panels[:n_user_panels]), mean)
    items = _rows("items", item_token, blocks_of(panels[n_user_panels:]), mean)
    return _scores(users, items, user_positions, item_positions, mean)


def _places(pairs: tuple[CodedIds, CodedIds], *ids: Ids) -> list[Int64]:
    """The positions of users and of items; -1 for strangers."""
    return [positions(known, column.uniques)[column.codes] for known, column in zip(ids, pairs, strict=True)]


def _rows(side: SideName, token: str, blocks: Sequence[Float32], mean: float | None) -> Float32:
    """The rows of a side; with a last one for strangers, where there is a mean."""
    if mean is None:
        return gather(token, blocks, join_rows, "rows")
    strangers = biases_of(side, blocks[0].shape[1], mean).of_strangers(blocks[0].shape[1])
    return gather(token, [*blocks, strangers], join_rows, f"rows and strangers of {mean}")


def _scores(
    users: Float32, items: Float32, user_positions: Int64, item_positions: Int64, mean: float | None
) -> Float32:
    if mean is not None:
        user_positions = np.where(user_positions < 0, len(users) - 1, user_positions)
        item_positions = np.where(item_positions < 0, len(items) - 1, item_positions)
    scores: Float32 = kernels.predict_pairs(users, items, user_positions, item_positions)
    return scores


# ---- in portions -----------------------------------------------------------------------------------------


class _Piece(NamedTuple):
    """Pairs of a chunk whose rows are in one portion of each side."""

    #: where they are in the chunk
    places: Int32
    #: positions in their portions; -1 for strangers
    users: Int32
    items: Int32


class _Found(NamedTuple):
    """The scores of some pairs of a chunk."""

    places: Int32
    scores: Float32


class _What(NamedTuple):
    """What the task of a piece is told."""

    #: name the rows of the portions
    tokens: tuple[str, str]
    spans: tuple[Span, Span]
    #: how many tasks give rows of users; all others give rows of items
    n_user_tasks: int
    mean: float | None


def _predict_in_portions(
    pairs: Sequence[Delayed],
    sides: tuple[FactorMatrix, FactorMatrix],
    portions_of_sides: tuple[list[Portion], list[Portion]],
    token: str,
    mean: float | None,
) -> list[Delayed]:
    starts = starts_of(portions_of_sides[0]), starts_of(portions_of_sides[1])
    both = list(itertools.product(*portions_of_sides))
    done = []
    for n, chunk in enumerate(pairs):
        split = task(
            _split, chunk, sides[0].ids, sides[1].ids, starts, mean is not None, name=f"als-split-pairs-{token}-{n}"
        )
        found = []
        for number, (users, items) in enumerate(both):
            tokens = tuple(f"{side.token}-{at.span.start}" for side, at in zip(sides, (users, items), strict=True))
            what = _What(tokens, (users.span, items.span), len(users.tasks), mean)  # type: ignore[arg-type]
            piece = task(getitem, split, number, name=f"als-piece-pairs-{token}-{n}-{number}")
            name = f"als-score-pairs-{token}-{n}-{number}"
            found.append(task(_predict_piece, what, piece, *users.tasks, *items.tasks, name=name))
        strangers = task(getitem, split, len(both), name=f"als-piece-pairs-{token}-{n}-strangers")
        done.append(task(_in_order, strangers, *found, name=f"als-predict-{token}-{n}"))
    return done


def _split(
    pairs: tuple[CodedIds, CodedIds], user_ids: Ids, item_ids: Ids, starts: tuple[Int64, Int64], with_strangers: bool
) -> tuple[_Piece, ...]:
    """A piece for each pair of portions, and a last one of pairs that have no score.

    ``with_strangers`` says that strangers have rows. Then they are in the first portion, and the last piece is empty.
    """
    found = _places(pairs, user_ids, item_ids)
    of_side = [np.searchsorted(each, places, "right") - 1 for each, places in zip(starts, found, strict=True)]
    if with_strangers:
        of_side = [np.maximum(each, 0) for each in of_side]
    n_pieces = len(starts[0]) * len(starts[1])
    of_piece = np.where(np.minimum(*of_side) < 0, n_pieces, of_side[0] * len(starts[1]) + of_side[1])
    order = np.argsort(of_piece, kind="stable").astype(np.int32)
    cuts = np.searchsorted(of_piece[order], np.arange(n_pieces + 2))
    local = [
        np.where(places < 0, -1, places - each[np.maximum(portion, 0)]).astype(np.int32)[order]
        for each, places, portion in zip(starts, found, of_side, strict=True)
    ]
    return tuple(
        _Piece(order[first:stop], local[0][first:stop], local[1][first:stop])
        for first, stop in itertools.pairwise(cuts.tolist())
    )


def _predict_piece(what: _What, piece: _Piece, *held: Float32 | tuple[Float32, ...]) -> _Found:
    if not len(piece.places):
        return _Found(piece.places, np.empty(0, np.float32))
    user_blocks = blocks_in(what.spans[0], held[: what.n_user_tasks])
    item_blocks = blocks_in(what.spans[1], held[what.n_user_tasks :])
    users = _rows("users", what.tokens[0], user_blocks, what.mean)
    items = _rows("items", what.tokens[1], item_blocks, what.mean)
    places = piece.users.astype(np.int64), piece.items.astype(np.int64)
    return _Found(piece.places, _scores(users, items, *places, what.mean))


def _in_order(strangers: _Piece, *found: _Found) -> Float32:
    """The scores in the order of the chunk; NaN for pairs without one."""
    scores = np.full(len(strangers.places) + sum(len(some.places) for some in found), np.nan, np.float32)
    for some in found:
        scores[some.places] = some.scores
    return scores
