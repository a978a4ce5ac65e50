"""The arrays that kernels take and give, and their types.

A half-step computes the rows of one side, the *destination*, from the rows of the other, the *source*. The ratings of
some destination rows are `Rows`, a matrix in CSR form (a picture is in `daskals.blocks.ratings`); the factors of the
source are `SourceRows`. `Equations` are the normal equations of rows, `Solution` is what comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[Any]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Float = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[Any]


class LookedUp(NamedTuple):
    """The integers ``table[codes]``, not written out: [7, 9, 7] is table [7, 9] and codes [0, 1, 0]."""

    table: Int32
    codes: Int32


class Runs(NamedTuple):
    """The integers first, first + 1, ..., the r-th of them at places ``starts[r]`` to ``starts[r + 1]``.

    Not written out: [5, 5, 7] is first 5 and starts [0, 2, 2, 3].
    """

    first: int
    starts: Int64


class Losses(NamedTuple):
    """Parts of the objective that come with the solution of some rows, for nothing; float64 sums over the rows."""

    #: sum of weighted squared residuals
    squared_error: float = 0.0
    #: L n |x|^2
    penalty: float = 0.0
    #: sum of the weights of the residuals, without the 1 that each pair has in implicit mode
    weight: float = 0.0

    def plus(self, other: Losses) -> Losses:
        """Both together."""
        return Losses(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Rows(NamedTuple):
    """The ratings of some destination rows: row j has those at ``indptr[j]`` to ``indptr[j + 1]``."""

    #: (rows + 1,)
    indptr: Int64
    #: (ratings,): which source row each rating is of
    source_positions: Int32
    #: (ratings,)
    ratings: Float32
    #: (ratings,): how much each rating counts; None: 1
    weights: Float32 | None = None


class Terms(NamedTuple):
    """What the ratings of some rows contribute to their equations (`daskals.kernels.numpy.solving`) and losses."""

    #: w of A = sum w y y', (ratings,), of the solver's dtype; None: all are 1
    weights: Float | None
    #: t of b = sum t y, (ratings,), of the solver's dtype
    targets: Float
    #: (rows,): the squared error where x = 0
    q: Float64
    #: (rows,): c, the penalty of |x|^2
    c: Float64
    #: sum of the weights of the residuals, without what each pair has in implicit mode
    weight: float


class Basis(NamedTuple):
    """The eigenvectors of a Gram matrix G = Q L Q', and its eigenvalues."""

    #: Q, (rank, rank)
    vectors: Float64
    #: the diagonal of L, (rank,), none negative
    values: Float64


@dataclass(frozen=True, eq=False)
class SourceRows:
    """The factors of the source, laid out for one set of kernels (`pack_sources` makes it).

    They are packed once in a process and shared by the tasks there (`daskals.engine.panels.gather`, which needs
    something that can be referenced weakly, as a NamedTuple cannot).
    """

    #: (n, at least rank), of the solver's dtype; columns from ``rank`` on are zero
    values: Float
    rank: int
    #: (n,), of the solver's dtype: what each source adds to a prediction by itself; None: nothing
    offsets: Float | None = None
    #: the basis in which ``values`` are given, with their Gram matrix in it; None: as they come
    basis: Basis | None = None

    def __len__(self) -> int:
        return len(self.values)


class Tallies(NamedTuple):
    """What the ratings of some rows add up to by themselves, whatever the source rows are."""

    #: (rows,): what the penalty of a row grows with (`daskals.kernels.objective.Objective.penalties`)
    n: Float64
    #: (rows,): how many ratings count
    n_ratings: Int64
    #: sum of the weights of the residuals, without what each pair has in implicit mode
    weight: float


class Products(NamedTuple):
    """Sums over the ratings of some rows, made from a part of the source rows: A x of each row, or b - A x."""

    #: (rows, rank), of the solver's dtype
    values: Float
    #: (rows,): the squared error at x = 0; of no rows where products alone were asked for
    q: Float64
    #: (rows,): the squared error at x, so too
    error: Float64


class Equations(NamedTuple):
    """A, b and q of some rows, summed over some of their ratings, without Y'Y and c I.

    Only the set of kernels that made them knows how A and b are laid out: the compiled ones pad them with zeros, and
    fill the upper triangle of A alone.
    """

    #: (rows, at least rank, at least rank)
    A: Float
    #: (rows, at least rank)
    b: Float
    #: (rows,): the squared error at x = 0
    q: Float64
    rank: int


class Solution(NamedTuple):
    """The solved rows of a block."""

    #: (rows, rank) float32; rows that failed hold zeros
    rows: Float32
    #: positions in ``rows`` of those whose equations are singular to working precision
    failed: Int64
    #: sums over the rows that were solved; weights are those of all rows
    losses: Losses
