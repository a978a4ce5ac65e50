"""The one objective of daskals as its formula says it: float64, dense, every pair of a user and an item written out.

    sum over ratings  w (p - o - x_u . y_i)^2  +  g sum over ALL pairs  (x_u . y_i)^2
                                               +  sum c_u |x_u|^2  +  sum c_i |y_i|^2        c = L (n + B)^v

(`daskals.kernels.objective.Objective` says what the letters are.) Nothing here is solved: rows are right where no
other row is better (`gradient`).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Formula:
    """An objective, with the ratings; ``users`` and ``items`` are positions."""

    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    #: W; None: 1
    weights: np.ndarray | None = None
    #: None: explicit
    alpha: float | None = None
    #: g of iALS; None: Spark's implicit objective
    unobserved: float | None = None
    user_reg: float = 0.1
    item_reg: float = 0.1
    exponent: float = 1.0
    counts_all: bool = False
    #: of a fit with biases: rows are [factors, bias], and this is added to each prediction
    mean: float | None = None

    @property
    def W(self):
        return np.ones(len(self.ratings)) if self.weights is None else np.asarray(self.weights, np.float64)

    @property
    def g(self):
        if self.alpha is None:
            return 0.0
        return 1.0 if self.unobserved is None else self.unobserved

    def penalties(self, shape):
        """c of all users, and of all items."""
        counted = self.W if self.alpha is None else self.W * (self.ratings > 0)
        found = []
        for side, reg, own, n, others in (
            ("users", self.user_reg, self.users, *shape),
            ("items", self.item_reg, self.items, *shape[::-1]),
        ):
            weight = np.bincount(own, counted, n) + (self.g * others if self.counts_all else 0)
            assert len(weight) == n, side
            found.append(reg * weight**self.exponent)
        return found

    def scores(self, X, Y):
        """Predictions of all pairs, without what is known beforehand (of which there is the mean and the biases)."""
        if self.mean is None:
            return X @ Y.T
        return self.mean + X[:, :-1] @ Y[:, :-1].T + X[:, -1:] + Y[:, -1]

    def error(self, X, Y):
        """The first two sums."""
        S = self.scores(X, Y)
        s, r, W = S[self.users, self.items], self.ratings.astype(np.float64), self.W
        if self.alpha is None:
            return np.sum(W * (r - s) ** 2)
        p, w = (r > 0).astype(np.float64), self.alpha * np.abs(r)
        if self.unobserved is not None:
            return np.sum(W * w * (p - s) ** 2) + self.unobserved * np.sum(S**2)
        return np.sum(S**2) + np.sum(W * ((1 + w) * p - 2 * (1 + w) * p * s + w * s**2))

    def penalty(self, X, Y):
        """The last two sums."""
        user, item = self.penalties((len(X), len(Y)))
        return user @ np.sum(X**2, axis=1) + item @ np.sum(Y**2, axis=1)

    def value(self, X, Y):
        return self.error(X, Y) + self.penalty(X, Y)

    def weight(self, X, Y):
        """What all residuals weigh."""
        weights = self.W if self.alpha is None else self.W * self.alpha * np.abs(self.ratings)
        return weights.sum() + self.g * len(X) * len(Y)

    def mean_error(self, X, Y):
        """As in a history, which has the root of it: the mean squared error, by weight; 0 where that is below."""
        return max(self.error(X, Y), 0) / self.weight(X, Y)

    def slopes(self, X, Y, of_users):
        """Slopes of the value at X, or at Y, in some directions in which all entries change: 0 at a minimum."""
        function, at = (lambda Z: self.value(Z, Y), X) if of_users else (lambda Z: self.value(X, Z), Y)
        directions = np.random.default_rng(7).choice([-1.0, 1.0], (6, *at.shape))
        return np.array([function(at + step) - function(at - step) for step in directions / 2])

    def users_gradient(self, X, Y):
        """d value / d X by central differences, which are exact where a function is quadratic, as it is in X."""
        return _gradient(lambda Z: self.value(Z, Y), X)

    def items_gradient(self, X, Y):
        return _gradient(lambda Z: self.value(X, Z), Y)


def _gradient(function, X):
    found = np.zeros_like(X)
    for place in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[place] = 0.5
        found[place] = function(X + step) - function(X - step)
    return found


def best_row(Y, rated, r, *, reg, alpha=None, W=None, unobserved=None, exponent=1.0, base=0.0, known=0.0):
    """The row that is best for these ratings, by its equations A x = b; ``known`` is what is known of each rating.

    ``base`` is B.
    """
    Y, r = np.asarray(Y, np.float64), np.asarray(r, np.float64)
    W = np.ones(len(r)) if W is None else np.asarray(W, np.float64)
    y, A = Y[rated], np.zeros((Y.shape[1], Y.shape[1]))
    if alpha is None:
        w, t, n = W, W * (r - known), W.sum()
    else:
        w = W * alpha * np.abs(r)
        t = np.where(r > 0, w if unobserved is not None else W + w, 0)
        n = W[r > 0].sum()
        A += (1.0 if unobserved is None else unobserved) * Y.T @ Y
    A += (y.T * w) @ y + reg * (n + base) ** exponent * np.eye(len(A))
    b = y.T @ t
    return np.zeros(len(b)) if not b.any() else np.linalg.solve(A, b)
