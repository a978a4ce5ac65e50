"""What a fit minimises, and how it solves the equations: the two values that tell every kernel what to do."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Objective(NamedTuple):
    """What is minimised. With x_u, y_i the factor rows, n_u, n_i the numbers of ratings and L = ``reg``:

    explicit
        sum over ratings (r - x_u . y_i)^2  +  L (sum n_u |x_u|^2 + sum n_i |y_i|^2)
    implicit
        sum over ALL pairs c (p - x_u . y_i)^2  +  the same, n counting the ratings > 0 only, where
        p = 1 if r > 0 else 0 and c = 1 + alpha |r|

    Zhou et al., "Large-scale parallel collaborative filtering for the Netflix prize" (2008), for the weights
    n_u, n_i; Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets" (2008).
    """

    reg: float
    #: which of the two; there is no other way to say it in the kernels
    implicit: bool = False
    #: without a meaning in the explicit objective
    alpha: float = 1.0
    #: factors must not be negative
    nonnegative: bool = False


class Solver(NamedTuple):
    """How the normal equations of a row are solved."""

    #: accumulate and solve them in float64, as Spark does, rather than in float32
    double: bool = False
    #: 0: solve exactly; else take so many steps of conjugate gradients from the row as it was
    #: (`daskals.kernels.numpy.cg`)
    cg_steps: int = 0

    @property
    def dtype(self) -> type[np.floating[Any]]:
        """The type in which equations are accumulated and solved."""
        return np.float64 if self.double else np.float32
