"""Why a row scores a target as it does: the share of each of its ratings in the score."""

from __future__ import annotations

import numpy as np

from daskals.kernels.eigenbasis import base_of
from daskals.kernels.objective import Objective
from daskals.kernels.types import Float, Float64, Rows


def shares(
    rated: Float,
    ratings: Float,
    target: Float,
    gram: Float64 | None,
    objective: Objective,
    *,
    weights: Float | None = None,
    offsets: Float | None = None,
) -> Float64:
    """What each rating of a user adds to the score of an item; the sum is the score of the user's exact row.

    The user's row solves A x = b, where b is a sum over the ratings. The score of an item y is therefore a sum over the
    ratings as well (`daskals.kernels.numpy.terms` says what w and t are)::

        y.x = sum_j  t_j  y.(A^-1 y_j)        A = sum_j w_j y_j y_j' (+ g Y'Y) + c I

    Of an item, say the same with the sides exchanged. Hu, Koren and Volinsky (2008), section 5, give the implicit form.

    Parameters
    ----------
    rated : array, shape (ratings, rank)
        The rows of the items that the user has rated.
    ratings : array, shape (ratings,)
    target : array, shape (rank,)
        The row of the item whose score is explained.
    gram : array of float64, shape (rank, rank)
        Y'Y of all items, which only the implicit objective needs.
    objective
        What the fit minimised. Nonnegative rows are no linear function of the ratings: ``ValueError``.
    weights, offsets : array, shape (ratings,)
        How much each rating counts, and what is known of it beforehand; 1 and 0 where they are None.

    Returns
    -------
    array of float64, shape (ratings,)
    """
    from daskals.kernels.numpy.terms import terms_of  # brings SciPy

    if objective.nonnegative:
        raise ValueError("The scores of a nonnegative model are no sums over ratings")
    n, rows = len(ratings), np.asarray(rated, np.float64)
    given = Rows(
        np.array([0, n]),
        np.arange(n, dtype=np.int32),
        np.asarray(ratings, np.float32),
        None if weights is None else np.asarray(weights, np.float32),
    )
    terms = terms_of(given, None if offsets is None else np.asarray(offsets, np.float64), objective, np.float64)
    weighted = rows.T * (1.0 if terms.weights is None else terms.weights)
    matrix = weighted @ rows + terms.c * np.eye(rows.shape[1])
    base = base_of(gram, None, objective)
    if base is not None:
        matrix += base
    found: Float64 = terms.targets.astype(np.float64) * (rows @ np.linalg.solve(matrix, np.asarray(target, np.float64)))
    return found
