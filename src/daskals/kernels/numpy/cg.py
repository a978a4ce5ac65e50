"""The normal equations of many rows in plain NumPy and SciPy: made, solved, improved on. `_numpy` has the formulas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from daskals.kernels.types import Float, Float32, Float64, Int32, Int64


def cg_steps_on_rows(
    indptr: Int64,
    sources: Int32,
    weights: Float | None,
    targets: Float,
    factors: Float,
    gram: Float64 | None,
    c: Float64,
    previous: Float32,
    steps: int,
) -> tuple[Float, Float, Float]:
    """``steps`` steps of conjugate gradients on A x = b for all rows, from ``previous``, A never being formed.

    Returns x, b and the residuals b - A x, each of shape (rows, rank). All rows take their steps together; a row
    whose residual is zero stays. With an inexact x the squared error is q - (b + residual).x - c |x|^2. After
    Takács, Pilászy and Tikk, "Applications of the conjugate gradient method for implicit feedback collaborative
    filtering" (2011).
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

    b = sparse.csr_matrix((targets, sources, indptr), shape) @ factors
    x, residual = conjugate_gradients(apply, b, previous.astype(factors.dtype), steps)
    return x, b, residual


def conjugate_gradients(apply: Callable[[Float], Float], b: Float, x: Float, steps: int) -> tuple[Float, Float]:
    """``steps`` steps on A x = b for all rows, ``apply`` being the product with A; returns x and b - A x."""
    residual = b - apply(x)
    direction = residual
    square = np.einsum("ij,ij->i", residual, residual)
    # residuals this small are rounding errors; steps on them would divide zero by zero
    enough = np.finfo(x.dtype).eps ** 2 * np.maximum(square, np.einsum("ij,ij->i", b, b))
    for _ in range(steps):
        image = apply(direction)
        curvature = np.einsum("ij,ij->i", direction, image)
        useful = (curvature > 0) & (square > enough)
        length = np.divide(square, curvature, out=np.zeros_like(square), where=useful)[:, None]
        x = x + length * direction
        residual = residual - length * image
        before, square = square, np.einsum("ij,ij->i", residual, residual)
        ratio = np.divide(square, before, out=np.zeros_like(square), where=useful)[:, None]
        direction = residual + ratio * direction
    return x, residual
