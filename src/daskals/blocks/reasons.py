"""Why a row scores a target as it does: the share of each of its ratings in the score."""

from __future__ import annotations

import numpy as np

from daskals.kernels.objective import Objective
from daskals.kernels.types import Float, Float64


def shares(rated: Float, ratings: Float, target: Float, gram: Float64 | None, objective: Objective) -> Float64:
    """What each rating of a user adds to the score of an item; the sum is the score of the user's exact row.

    The user's row solves A x = b, where b is a sum over the ratings. The score of an item y is therefore a sum over the
    ratings as well:

        explicit    y.x = sum_j  r_j  y.(A^-1 y_j)        A = sum_j y_j y_j' + L n I
        implicit    y.x = sum_j  c_j p_j  y.(A^-1 y_j)    A = Y'Y + sum_j (c_j - 1) y_j y_j' + L n I

    with c and p as in `daskals.kernels.objective.Objective`. Of an item, say the same with the sides exchanged. Hu,
    Koren and Volinsky (2008), section 5, give the implicit form.

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

    Returns
    -------
    array of float64, shape (ratings,)
    """
    if objective.nonnegative:
        raise ValueError("The scores of a nonnegative model are no sums over ratings")
    rows, values = np.asarray(rated, np.float64), np.asarray(ratings, np.float64)
    if objective.implicit:
        assert gram is not None
        extra, positive = objective.alpha * np.abs(values), values > 0
        matrix, n = gram + (rows.T * extra) @ rows, int(np.count_nonzero(positive))
        weights = np.where(positive, 1 + extra, 0.0)
    else:
        matrix, n, weights = rows.T @ rows, len(values), values
    matrix = matrix + objective.reg * n * np.eye(rows.shape[1])
    found: Float64 = weights * (rows @ np.linalg.solve(matrix, np.asarray(target, np.float64)))
    return found
