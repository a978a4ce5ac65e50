"""The eigenbasis of a Gram matrix, in which the implicit equations of a row with few ratings have few unknowns.

The implicit equations of a row are (g Y'Y + c I + sum w y y') x = sum t y. With Y'Y = Q L Q' and the rows of the
source turned once, y^ = Q'y, they become (D + sum w y^ y^') x^ = sum t y^ with D = g L + c I diagonal, and x = Q x^. So
D costs nothing to invert, and a row with n ratings can be solved by n equations rather than by ``rank`` of them
(`daskals.kernels.numba.exact`). Turning costs rank^2 flops for each row of either side.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from daskals.kernels.objective import Objective
from daskals.kernels.types import Basis, Float32, Float64, SourceRows


def basis_of(gram: Float64) -> Basis:
    """The eigenvectors and eigenvalues of a Gram matrix; eigenvalues below zero are rounding, and become zero."""
    values, vectors = np.linalg.eigh(gram)
    return Basis(vectors, np.maximum(values, 0.0))


def turned(sources: SourceRows, gram: Float64) -> SourceRows:
    """Source rows in the eigenbasis of their Gram matrix, (rank, rank)."""
    basis = basis_of(gram)
    values = np.zeros_like(sources.values)
    np.matmul(sources.values[:, : sources.rank], basis.vectors.astype(values.dtype), out=values[:, : sources.rank])
    return replace(sources, values=values, basis=basis)


def into_basis(rows: Float32, basis: Basis) -> Float32:
    """Rows (n, rank) as they are in the basis."""
    return rows @ basis.vectors.astype(rows.dtype)


def out_of_basis(rows: Float32, basis: Basis) -> Float32:
    """Rows that are given in the basis as they are outside of it."""
    return rows @ basis.vectors.T.astype(rows.dtype)


def base_of(gram: Float64 | None, basis: Basis | None, objective: Objective) -> Float64 | None:
    """What is in the equations of every row: g Y'Y, in the basis of the source rows; None in the explicit objective.

    ``gram`` is not looked at where there is a basis, which knows it. ``TypeError`` where it is needed and None.
    """
    if not objective.implicit:
        return None
    if basis is not None:
        return np.diag(objective.gram_weight * basis.values)
    if gram is None:
        raise TypeError("gram is needed for the implicit objective, and was not given")
    return gram if objective.gram_weight == 1 else objective.gram_weight * gram
