"""Alternating least squares as it stands in the papers: float64, dense, no blocks, one row after another.

With x_u, y_i the rows of factors, n the number of ratings of a row (implicit: of those > 0) and L = ``reg``, minimise

    explicit   sum over ratings (r - x_u . y_i)^2                      + L (sum n_u |x_u|^2 + sum n_i |y_i|^2)
    implicit   sum over all pairs (x_u . y_i)^2                        + the same
               + sum over ratings  c (p - x_u . y_i)^2 - (x_u . y_i)^2

where p = 1 if r > 0 else 0, and c = 1 + alpha |r|: a pair without a rating has p = 0 and c = 1.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls


class Fit(NamedTuple):
    users: np.ndarray
    items: np.ndarray
    objective: float
    squared_error: float  # the objective without the penalty


def als(users, items, ratings, start, iterations, *, reg, alpha=None, nonnegative=False):
    """Fit to ratings of ``users[n]`` of ``items[n]`` (positions 0, 1, ...); ``alpha`` None is the explicit objective.

    ``start`` holds the rows of the users, before the first iteration; an iteration is items, then users.
    """
    users, items, ratings = np.asarray(users), np.asarray(items), np.asarray(ratings, np.float64)
    X = np.array(start, np.float64)
    Y = np.zeros((items.max() + 1, X.shape[1]))
    for _ in range(iterations):
        for i in range(len(Y)):
            Y[i] = solve(X, users[items == i], ratings[items == i], reg, alpha, nonnegative)
        for u in range(len(X)):
            X[u] = solve(Y, items[users == u], ratings[users == u], reg, alpha, nonnegative)
    error = squared_error(X, Y, users, items, ratings, alpha)
    return Fit(X, Y, error + penalty(X, users, ratings, reg, alpha) + penalty(Y, items, ratings, reg, alpha), error)


def equations(Y, rated, r, reg, alpha):
    """A and b of one row's normal equations A x = b; its ratings r[n] are of the rows ``rated[n]`` of Y."""
    k = Y.shape[1]
    if alpha is None:
        A = sum((np.outer(y, y) for y in Y[rated]), np.zeros((k, k))) + reg * len(r) * np.eye(k)
        return A, sum((value * y for value, y in zip(r, Y[rated], strict=True)), np.zeros(k))
    A, b = Y.T @ Y + reg * np.sum(r > 0) * np.eye(k), np.zeros(k)
    for value, y in zip(r, Y[rated], strict=True):
        A += alpha * abs(value) * np.outer(y, y)
        b += (1 + alpha * abs(value)) * y if value > 0 else 0 * y
    return A, b


def solve(Y, rated, r, reg, alpha=None, nonnegative=False):
    """The row x that minimises the objective, with all rows of the other side given."""
    A, b = equations(Y, rated, r, reg, alpha)
    if not b.any():
        return np.zeros(len(b))
    if not nonnegative:
        return np.linalg.solve(A, b)
    L = np.linalg.cholesky(A)  # x'Ax/2 - b.x  =  |L'x - L^-1 b|^2 / 2 + constant
    return nnls(L.T, np.linalg.solve(L, b))[0]


def squared_error(X, Y, users, items, ratings, alpha=None):
    """The first sum of the objective."""
    scores = X @ Y.T
    of_ratings = scores[users, items]
    if alpha is None:
        return float(np.sum((ratings - of_ratings) ** 2))
    c, p = 1 + alpha * np.abs(ratings), ratings > 0
    return float(np.sum(scores**2) + np.sum(c * (p - of_ratings) ** 2 - of_ratings**2))


def penalty(X, rows, ratings, reg, alpha=None):
    """One side's part of the second sum."""
    counted = np.ones(len(ratings)) if alpha is None else ratings > 0
    return float(reg * np.bincount(rows, counted, len(X)) @ np.sum(X**2, axis=1))
