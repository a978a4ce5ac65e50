"""The eigenbasis of a Gram matrix, in which the implicit equations of a row with few ratings have few unknowns.

The implicit equations of a row are (g Y'Y + c I + sum w y y') x = sum t y. With Y'Y = Q L Q' and the rows of the
source turned once, y^ = Q'y, they become (D + sum w y^ y^') x^ = sum t y^ with D = g L + c I diagonal, and x = Q x^. So
D costs nothing to invert, and a row with n ratings can be solved by n equations rather than by ``rank`` of them
(`daskals.kernels.numba.exact`). Turning costs rank^2 flops for each row of either side.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from daskals.kernels.objective import Objective
from daskals.kernels.types import Basis, Float64, SourceRows

AnyFloat = TypeVar("AnyFloat", bound=np.floating[Any])
#: How many rows are turned in one product of matrices.
TURNED_ROWS = 64
#: Eigenvalues of at most this share of the largest one, times the rank, are zero but for rounding: that of the Gram
#: matrix in float64, and that of turned rows in float32, whose squares they are sums of.
ROUNDING = float(np.finfo(np.float32).eps) ** 2


def basis_of(gram: Float64) -> Basis:
    """The eigenvectors and eigenvalues of a Gram matrix; eigenvalues that are rounding become zero.

    Of a matrix that is not finite all are NaN: then no row has a solution.
    """
    if not np.isfinite(gram).all():
        return Basis(np.full_like(gram, np.nan), np.full(len(gram), np.nan))
    values, vectors = np.linalg.eigh(gram)
    return Basis(vectors, np.where(values <= ROUNDING * len(gram) * values.max(initial=0.0), 0.0, values))


def turned(sources: SourceRows, gram: Float64) -> SourceRows:
    """Source rows in the eigenbasis of their Gram matrix, (rank, rank).

    Along eigenvectors of eigenvalue zero no source row has anything but rounding. That is left out: a penalty near zero
    would make it large.
    """
    basis = basis_of(gram)
    values = np.zeros_like(sources.values)
    values[:, : sources.rank] = into_basis(sources.values[:, : sources.rank], basis)
    values[:, : sources.rank][:, basis.values == 0] = 0
    return replace(sources, values=values, basis=basis)


def into_basis(rows: npt.NDArray[AnyFloat], basis: Basis) -> npt.NDArray[AnyFloat]:
    """Rows (n, rank) as they are in the basis."""
    return _times(rows, basis.vectors)


def out_of_basis(rows: npt.NDArray[AnyFloat], basis: Basis) -> npt.NDArray[AnyFloat]:
    """Rows that are given in the basis as they are outside of it."""
    return _times(rows, basis.vectors.T)


def _times(rows: npt.NDArray[AnyFloat], matrix: Float64) -> npt.NDArray[AnyFloat]:
    """rows @ matrix, in which the bits of a row do not depend on which rows, and how many, are beside it.

    BLAS has other code for few rows than for many, so it is always given `TURNED_ROWS` of them.
    """
    n, rank = rows.shape
    whole = n // TURNED_ROWS * TURNED_ROWS
    matrix = np.ascontiguousarray(matrix, rows.dtype)
    product = np.empty(rows.shape, rows.dtype)
    np.matmul(rows[:whole].reshape(-1, TURNED_ROWS, rank), matrix, out=product[:whole].reshape(-1, TURNED_ROWS, rank))
    rest = np.zeros((TURNED_ROWS, rank), rows.dtype)
    rest[: n - whole] = rows[whole:]
    product[whole:] = (rest @ matrix)[: n - whole]
    return product


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
