"""The exact solution of a row of few ratings by a system of one equation for each rating (Woodbury).

A row x solves (D + sum w y y') x = sum t y with D diagonal and positive: so it is in explicit mode, where D = c I, and
in implicit mode in the eigenbasis of the source's Gram matrix (`daskals.kernels.eigenbasis`). With V = W^1/2 Y D^-1/2,

    (I + V V') z = W^-1/2 t,   x = D^-1 Y' W^1/2 z

which takes n^2 rank + n^3 / 3 multiplications for n ratings instead of n rank^2 + rank^3 / 3. Ratings of weight 0 are
not in that system; what their targets add to b gives x a part of its own, and takes its share from the right-hand side.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from daskals.kernels.numpy.equations import least_pivot
from daskals.kernels.types import Float

#: Rows of at most this share of the rank in ratings are short: beyond it the system for ratings is no smaller.
DUAL_SHARE = 0.75


def solve_short_row(Y: Float, w: Float, t: Float, d: Float) -> Float | None:
    """The exact x of a row of few ratings, by its dual; None if that is singular to working precision.

    Y has shape (ratings, rank), w and t (ratings,), and d, which must be positive, (rank,).
    """
    root = np.sqrt(w)
    apart = np.where(w == 0, t, 0) @ Y / d
    V = root[:, None] * Y / np.sqrt(d)
    b = np.divide(t, root, out=np.zeros_like(t), where=w > 0) - root * (Y @ apart)
    K = V @ V.T
    K[np.arange(len(t)), np.arange(len(t))] += 1
    posv = lapack.sposv if Y.dtype == np.float32 else lapack.dposv
    factor, z, info = posv(K, b, lower=1)
    if info or not (factor.diagonal() ** 2 / K.diagonal()).min() > least_pivot(K):
        return None
    x: Float = apart + (root * z) @ Y / d
    return x
