"""Factors that are too many for one worker: portions of them that a task may hold at a time.

Where the rows of a side fit into a worker's share (`daskals.factor-share`), a task that uses factors has all of them at
hand. Where they do not, it has one portion, and another task puts together what was found in all portions::

    blocks     | 0         | 1         | 2   | 3   |        as they lie on workers
    portions   | 0   | 1   | 2   | 3   | 4         |        neighbouring blocks, or a part of one block

A portion is a part of one block or several whole blocks, so that most portions can be used where their block is.

What a task needs whatever the portions are is the array of all sorted ids of a side: 8 bytes a row (more for strings),
a 32nd part of the factors at rank 64.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from dask.delayed import Delayed

from daskals.engine.factors import FactorMatrix
from daskals.engine.share import PART_OF_SHARE, Share
from daskals.execution.scheduler import Scheduler
from daskals.kernels.types import Float32, Int64


class Span(NamedTuple):
    """The rows at positions ``start`` to ``stop`` - 1, in blocks of which the first one begins at ``first``."""

    start: int
    stop: int
    first: int

    def cut(self, blocks: Sequence[Float32]) -> list[Float32]:
        """These rows of the blocks, without a copy."""
        if len(blocks) > 1:  # whole blocks
            return list(blocks)
        return [blocks[0][self.start - self.first : self.stop - self.first]]


@dataclass(frozen=True)
class Portion:
    """A span of the rows of a side, and the tasks that a task needs to have them."""

    span: Span
    #: each gives a block, or a tuple of blocks
    tasks: tuple[Delayed, ...]


def fit_into(share: Share, *matrices: FactorMatrix) -> bool:
    """Whether a task may hold all rows of each of these."""
    return all(share.holds(matrix.n_rows, matrix.rank) for matrix in matrices)


def portions(scheduler: Scheduler, share: Share, matrix: FactorMatrix) -> list[Portion]:
    """The rows in portions that a task may hold: one of all rows where it may hold them all."""
    if share.holds(matrix.n_rows, matrix.rank):
        return [Portion(Span(0, matrix.n_rows, 0), tuple(matrix.panels(scheduler.settings.panels)))]
    grouped = int(share.size / PART_OF_SHARE / (4 * matrix.rank))
    return portions_of(matrix, grouped, share.rows_of_portion(matrix.rank))


def portions_of(matrix: FactorMatrix, grouped: int, most: int) -> list[Portion]:
    """Runs of neighbouring blocks of at most ``grouped`` rows in all; parts of blocks that have more than ``most``."""
    done: list[Portion] = []
    held: list[int] = []  # the numbers of the blocks of the next portion

    def close() -> None:
        if held:
            start, stop = int(matrix.bounds[held[0]]), int(matrix.bounds[held[-1] + 1])
            done.append(Portion(Span(start, stop, start), tuple(matrix.blocks[block] for block in held)))
            held.clear()

    for block, (start, stop) in enumerate(itertools.pairwise(matrix.bounds.tolist())):
        if held and stop - matrix.bounds[held[0]] > grouped:
            close()
        if stop - start <= most:
            held.append(block)
            continue
        edges = np.linspace(start, stop, -(-(stop - start) // most) + 1).astype(np.int64).tolist()
        done += [
            Portion(Span(first, last, start), (matrix.blocks[block],)) for first, last in itertools.pairwise(edges)
        ]
    close()
    return done


def starts_of(portions: Sequence[Portion]) -> Int64:
    """The position of the first row of each portion."""
    return np.array([portion.span.start for portion in portions], np.int64)


def blocks_in(span: Span, held: Sequence[Float32 | tuple[Float32, ...]]) -> list[Float32]:
    """The rows of a portion, a block each, from what its tasks gave."""
    return span.cut([rows for each in held for rows in (each if isinstance(each, tuple) else (each,))])
