"""Conjugate gradients on the normal equations of many rows at once, in plain NumPy and SciPy.

A step needs one product with A = sum w y y' (+ Y'Y) + c I for each row, and A need not be formed for that
(`product_without_A`). After Takács, Pilászy and Tikk, "Applications of the conjugate gradient method for implicit
feedback collaborative filtering" (2011).

When a row stops, in both sets of kernels. A row takes a step while

* its residual b - A x is not zero, and has a squared length above eps^2 times that before the first step (eps being
  that of the dtype): what is left after that is rounding errors, and steps on them could divide zero by zero;
* the direction d of the step has a curvature d'A d above zero, as it has in exact arithmetic.

Once a row has stopped it takes none of the steps that remain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import sparse

from daskals.kernels.types import Bools, Float, Float64, Int32, Int64

#: Rows x of shape (rows, rank) in, the product of each row's A with its x out.
Product = Callable[[Float], Float]


def right_hand_sides(indptr: Int64, sources: Int32, targets: Float, factors: Float) -> Float:
    """b = sum t y of every row, shape (rows, rank)."""
    b: Float = sparse.csr_matrix((targets, sources, indptr), (len(indptr) - 1, len(factors))) @ factors
    return b


def product_without_A(
    indptr: Int64,
    sources: Int32,
    weights: Float | None,
    factors: Float,
    gram: Float | None,
    c: Float64,
) -> Product:
    """The product with A = sum w y y' + gram + c I of each row, none of which is ever formed.

    ``weights`` None are all 1, ``gram`` None is all 0.
    """
    shape = (len(indptr) - 1, len(factors))
    Y = factors[sources]
    row_of = np.repeat(np.arange(shape[0]), np.diff(indptr))

    def apply(x: Float) -> Float:
        scores = np.einsum("ij,ij->i", Y, x[row_of])
        product: Float = (
            sparse.csr_matrix((scores if weights is None else weights * scores, sources, indptr), shape) @ factors
        )
        product += c[:, None].astype(x.dtype) * x
        return product if gram is None else product + x @ gram.astype(x.dtype)

    return apply


def conjugate_gradients(apply: Product, b: Float, x: Float, steps: int) -> tuple[Float, Float]:
    """At most ``steps`` steps on A x = b for every row, from ``x``; see the head of the module for when a row stops.

    ``apply`` is the product with A. Returns x and the residuals b - A x, each (rows, rank), as new arrays.
    """
    state = Descent.begin(x, b - apply(x))
    too_large = ~np.isfinite(state.square)
    for _ in range(steps):
        state = state.step(apply(state.direction))
    # too large for the type: no step could be taken, and nobody shall believe the row
    residual = state.residual
    residual[too_large] = np.nan
    return state.x, residual


class Descent(NamedTuple):
    """Where conjugate gradients are between two steps: every row of A x = b by itself."""

    #: (rows, rank)
    x: Float
    #: b - A x, (rows, rank)
    residual: Float
    #: of the next step, (rows, rank)
    direction: Float
    #: the squared lengths of residuals, (rows,), and those below which a row stops
    square: Float
    enough: Float
    #: (rows,): which rows have not stopped
    going: Bools
    #: by how much the last step has lowered x'A x - 2 b.x, (rows,)
    gained: Float64

    @classmethod
    def begin(cls, x: Float, residual: Float) -> Descent:
        """Before the first step from ``x``."""
        square = np.einsum("ij,ij->i", residual, residual)
        enough = np.finfo(x.dtype).eps ** 2 * square
        return cls(x, residual, residual, square, enough, np.ones(len(x), np.bool_), np.zeros(len(x)))

    def step(self, image: Float) -> Descent:
        """After one more step; ``image`` is A times the direction, (rows, rank)."""
        curvature = np.einsum("ij,ij->i", self.direction, image)
        going = self.going & (curvature > 0) & (self.square > self.enough)
        length = np.divide(self.square, curvature, out=np.zeros_like(self.square), where=going)
        x = self.x + length[:, None] * self.direction
        residual = self.residual - length[:, None] * image
        square = np.einsum("ij,ij->i", residual, residual)
        ratio = np.divide(square, self.square, out=np.zeros_like(square), where=going)[:, None]
        gained = length.astype(np.float64) * np.where(going, self.square, 0)
        return Descent(x, residual, residual + ratio * self.direction, square, self.enough, going, gained)
