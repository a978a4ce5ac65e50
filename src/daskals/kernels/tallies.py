"""What the ratings of rows add up to by themselves: their penalty, their number, their weight."""

from __future__ import annotations

import numpy as np

from daskals.kernels.objective import Objective
from daskals.kernels.types import Float64, Rows, Tallies, Terms


def tallies_of(rows: Rows, objective: Objective) -> Tallies:
    """The tallies of rows in CSR form."""
    n_rows = len(rows.indptr) - 1
    row_of = np.repeat(np.arange(n_rows), np.diff(rows.indptr))
    counts = np.ones(len(rows.ratings)) if rows.weights is None else rows.weights.astype(np.float64)
    heavy = counts
    if objective.implicit:
        heavy = counts * (objective.alpha * np.abs(rows.ratings.astype(np.float64)))
        counts = counts * (rows.ratings > 0)
    n = np.bincount(row_of, counts, n_rows).astype(np.float64)
    n_ratings = np.bincount(row_of[heavy != 0], minlength=n_rows)
    return Tallies(n, n_ratings.astype(np.int64), float(heavy.sum()))


def add_tallies(first: Tallies, second: Tallies) -> Tallies:
    """The tallies of the same rows over the ratings of both."""
    return Tallies(first.n + second.n, first.n_ratings + second.n_ratings, first.weight + second.weight)


def known_terms(q: Float64, tallies: Tallies, objective: Objective) -> Terms:
    """The terms of rows whose ratings are not at hand: there are no weights and targets of single ratings in them.

    Only whether all weights are 1, and so None, is known of them (`daskals.kernels.numpy.terms.start_of` asks).
    """
    nothing = np.zeros(0)
    are_ones = not objective.implicit and np.array_equal(tallies.n, tallies.n_ratings)
    return Terms(None if are_ones else nothing, nothing, q, objective.penalties(tallies.n), tallies.weight)
