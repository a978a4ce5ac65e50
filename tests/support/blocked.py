"""Ratings as the engine holds them, made without a frame."""

import numpy as np

from daskals.blocks.ratings import CodedChunk, CodedIds
from daskals.engine.shuffle import shuffle
from daskals.execution.tasks import identity, new_token, task


def blocked(scheduler, users, items, ratings, blocks=(None, None), **how):
    """The `Ratings` of ids ``users[n]``, ``items[n]`` in so many blocks of users and items, as tasks that are done.

    ``how`` are keywords of `shuffle`.
    """
    chunk = CodedChunk(coded(users), coded(items), np.asarray(ratings, np.float32))
    token = new_token()
    return shuffle(scheduler, [task(identity, chunk, name=f"als-chunk-{token}")], blocks, token, **how)


def coded(ids):
    """Ids as a chunk has them."""
    distinct, codes = np.unique(np.asarray(ids), return_inverse=True)
    return CodedIds(distinct, codes.astype(np.int32))
