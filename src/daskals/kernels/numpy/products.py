"""Products with the A of destination rows, made from a part of their ratings, in plain NumPy.

Elsewhere a row is solved where all its ratings are, with all source rows. Here some source rows u are at hand, with
their ratings, and all destination rows i. They make the part of A x that is their own,

    A x_i = sum over u  w x_u (x_u . x_i)

and the whole is the sum of such parts (`daskals.blocks.reduced`). Parts of b - A x come from the same pass:

    b - A x_i = sum over u  (t - w (x_u . x_i)) x_u

with w and t of `daskals.kernels.objective.Objective`. Neither has Y'Y and c I.

With ratings in the order of destination rows (`products_of`) a pass reads a source row for each rating. In the order of
source rows (`add_products`) it reads a destination row for each, and adds to it: that is faster while all of these stay
in a cache, and slower when they do not.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import sparse

from daskals.kernels.numpy.terms import terms_of
from daskals.kernels.objective import Objective
from daskals.kernels.tallies import add_tallies, tallies_of
from daskals.kernels.types import Float, Products, Rows, SourceRows, Tallies


def products_of(
    rows: Rows, sources: SourceRows, x: Float, objective: Objective, *, residuals: bool
) -> tuple[Products, Tallies | None]:
    """The sums over some ratings of destination rows; of residuals, tallies too.

    Parameters
    ----------
    rows
        Ratings of all destination rows, ``len(x)``, by some of the sources.
    sources
        These sources: ``source_positions`` of the ratings count from the first of them.
    x : array of shape (rows, rank)
        Destination rows, of the dtype of the source rows.
    residuals
        Whether b - A x is made, with the squared errors, or A x alone.
    """
    n_rows, rank = x.shape
    row_of = np.repeat(np.arange(n_rows), np.diff(rows.indptr))
    factors = sources.values[:, :rank]
    weights, targets, q, _, _ = terms_of(rows, sources.offsets, objective, x.dtype)
    scores = np.einsum("ij,ij->i", factors[rows.source_positions], x[row_of])
    weighted = scores if weights is None else weights * scores
    scalars = targets - weighted if residuals else weighted
    values = sparse.csr_matrix((scalars, rows.source_positions, rows.indptr), (n_rows, len(factors))) @ factors
    if not residuals:
        return Products(values, np.zeros(0), np.zeros(0)), None
    gained = scores.astype(np.float64) * (weighted.astype(np.float64) - 2 * targets)
    return Products(values, q, q + np.bincount(row_of, gained, n_rows)), tallies_of(rows, objective)


def add_products(
    parts: Iterable[tuple[Rows, SourceRows]], start: int, x: Float, objective: Objective, *, residuals: bool
) -> tuple[Products, Tallies | None]:
    """The sums over ratings of destination rows ``start`` to ``start + len(x)`` - 1, which are in the order of sources.

    ``parts`` are some source rows, and their ratings: ``source_positions`` of the ratings are those of destination
    rows, ascending in each source row. Ratings of other rows are passed over. All else as in `products_of`.
    """
    products = Products(np.zeros_like(x), *np.zeros((2, len(x) if residuals else 0)))
    tallies = Tallies(np.zeros(len(x)), np.zeros(len(x), np.int64), 0.0) if residuals else None
    for rows, sources in parts:
        here = (rows.source_positions >= start) & (rows.source_positions < start + len(x))
        places = rows.source_positions[here] - start
        order = np.argsort(places, kind="stable")
        turned = Rows(
            np.concatenate([[0], np.cumsum(np.bincount(places, minlength=len(x)))]),
            np.repeat(np.arange(len(sources), dtype=np.int32), np.diff(rows.indptr))[here][order],
            rows.ratings[here][order],
            None if rows.weights is None else rows.weights[here][order],
        )
        more, others = products_of(turned, sources, x, objective, residuals=residuals)
        products = Products(*(each + added for each, added in zip(products, more, strict=True)))
        tallies = None if tallies is None or others is None else add_tallies(tallies, others)
    return products, tallies
