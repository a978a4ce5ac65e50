"""Products with the A of destination rows, made from the source rows of a part of their ratings, in plain NumPy.

Elsewhere a row's ratings are at hand as the destination has them, and the source rows are gathered. Here it is the
reverse: ratings are in the order of their *source* rows u, which are at hand, and so are all destination rows x. Of the
row i they make the part of A x that is their own,

    A x_i = sum over u  w x_u (x_u . x_i)

and the whole is the sum of such parts (`daskals.blocks.reduced`). Parts of b - A x come from the same pass:

    b - A x_i = sum over u  (t - w (x_u . x_i)) x_u

with w and t of `daskals.kernels.objective.Objective`. Neither has Y'Y and c I.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import sparse

from daskals.kernels.numpy.terms import terms_of
from daskals.kernels.objective import Objective
from daskals.kernels.tallies import add_tallies, tallies_by_row
from daskals.kernels.types import Float, Products, Rows, SourceRows, Tallies


def add_products(
    parts: Iterable[tuple[Rows, SourceRows]], start: int, x: Float, objective: Objective, *, residuals: bool
) -> tuple[Products, Tallies | None]:
    """The sums over all ratings of destination rows ``start`` to ``start + len(x)`` - 1; of residuals, tallies too.

    Parameters
    ----------
    parts
        Some source rows, and their ratings: ``source_positions`` of the ratings are those of destination rows.
    start
        The position of the first row of ``x``. Ratings of other rows are passed over.
    x : array of shape (rows, rank)
        Destination rows, of the dtype of the source rows.
    residuals
        Whether b - A x is made, with the squared errors, or A x alone.
    """
    n_rows, rank = x.shape
    values, q, error = np.zeros_like(x), np.zeros(n_rows), np.zeros(n_rows)
    tallies = Tallies(np.zeros(n_rows), np.zeros(n_rows, np.int64), 0.0)
    for rows, sources in parts:
        here = (rows.source_positions >= start) & (rows.source_positions < start + n_rows)
        places, own = (
            rows.source_positions[here] - start,
            np.repeat(np.arange(len(sources)), np.diff(rows.indptr))[here],
        )
        factors = sources.values[:, :rank]
        # terms of single ratings: a row of its own for each, whose source is one that has the offset
        counts = None if rows.weights is None else rows.weights[here]
        single = Rows(np.arange(len(own) + 1), own.astype(np.int32), rows.ratings[here], counts)
        weights, targets, squares, _, _ = terms_of(single, sources.offsets, objective, x.dtype)
        scores = np.einsum("ij,ij->i", factors[own], x[places])
        weighted = scores if weights is None else weights * scores
        scalars = targets - weighted if residuals else weighted
        values += sparse.csr_matrix((scalars, (places, own)), (n_rows, len(sources))) @ factors
        if residuals:
            q += np.bincount(places, squares, n_rows)
            gained = scores.astype(np.float64) * (weighted.astype(np.float64) - 2 * targets)
            error += np.bincount(places, squares + gained, n_rows)
            tallies = add_tallies(tallies, tallies_by_row(places, rows.ratings[here], counts, n_rows, objective))
    if residuals:
        return Products(values, q, error), tallies
    return Products(values, q[:0], error[:0]), None
