"""Biases of users and items, carried as two more columns of the factors.

A fit with biases predicts  mean + b_u + b_i + f_u . f_i. With rows of two more columns

    user   x_u = [f_u, mean + b_u, 1]
    item   y_i = [f_i, 1,          b_i]

that is the dot product x_u . y_i, so whatever uses factors (predictions, recommendations, files, Spark) needs to know
nothing of biases. A half-step leaves out the column that is 1 in the rows that it solves, the *fixed* one: of users it
solves [f_u, b_u] with source rows [f_i, 1], and what the fixed column of the source holds, b_i, and the mean, are known
beforehand (`daskals.kernels.types.SourceRows.offsets`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from daskals.blocks.ratings import SideName
from daskals.kernels.types import Float32

#: How many columns biases add.
BIAS_COLUMNS = 2


class Biases(NamedTuple):
    """The columns of biases as a half-step sees them that solves the rows of one side."""

    #: the column that is 1 in the rows that are solved, and in which the source's rows have their bias
    fixed: int
    #: the other of the two: the bias of the rows that are solved
    own: int
    #: what their bias has been increased by: the mean for users, 0 for items
    shift: float

    def narrow_sources(self, blocks: Sequence[Float32]) -> tuple[list[Float32], Float32]:
        """Source rows without the fixed column, (n, columns - 1) in blocks; and the offset that each has, (n,)."""
        offsets = np.concatenate([rows[:, self.fixed] for rows in blocks])
        return [np.delete(rows, self.fixed, axis=1) for rows in blocks], offsets + np.float32(self.shift)

    def narrow(self, rows: Float32) -> Float32:
        """Rows as they are solved: without the fixed column and the shift."""
        narrow = rows.copy()
        narrow[:, self.own] -= np.float32(self.shift)
        return np.delete(narrow, self.fixed, axis=1)

    def widen(self, rows: Float32) -> Float32:
        """Solved rows with the fixed column and the shift."""
        wide = np.insert(rows, self.fixed, 1, axis=1)
        wide[:, self.own] += np.float32(self.shift)
        return wide

    def of_strangers(self, n_columns: int) -> Float32:
        """The row, (1, n_columns), of one of whom nothing is known: no factors, and a bias of 0."""
        return self.widen(np.zeros((1, n_columns - 1), np.float32))


def biases_of(side: SideName, n_columns: int, mean: float) -> Biases:
    """The columns seen from the side that is solved, of factors with ``n_columns`` columns in all.

    >>> biases_of("users", 10, 3.5), biases_of("items", 10, 3.5)
    (Biases(fixed=9, own=8, shift=3.5), Biases(fixed=8, own=9, shift=0.0))
    """
    of_users, of_items = n_columns - 2, n_columns - 1
    if side == "users":
        return Biases(of_items, of_users, mean)
    return Biases(of_users, of_items, 0.0)
