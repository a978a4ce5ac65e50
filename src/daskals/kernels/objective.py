"""What a fit minimises, and how it solves the equations: the two values that tell every kernel what to do."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daskals.kernels.types import Float64


class Objective(NamedTuple):
    """What is minimised, as the rows of one side see it (the two sides may have another ``reg`` and ``reg_base``).

    With x_u, y_i the factor rows, every objective of daskals is a case of one formula::

        sum over ratings  w (p - o - x_u . y_i)^2  +  g sum over ALL pairs  (x_u . y_i)^2
                                                   +  sum c_u |x_u|^2  +  sum c_i |y_i|^2

    where p is what a rating r says, w how much it counts, o what is known beforehand, and g how much each
    pair without a rating counts. With W the weight of a rating's row (1 unless the fit has weights),

    explicit
        ``p = r``, ``w = W``, ``g = 0``
    implicit, ``unobserved_weight`` = g
        ``p = 1 if r > 0 else 0``, ``w = W alpha |r|``, ``o = 0``
    implicit, ``unobserved_weight`` None: Spark's
        The sum over ALL pairs of ``c (p - x_u . y_i)^2`` with ``c = 1 + alpha |r|``. That is the formula with
        ``g = 1``, in which a rating's terms are
        ``(1 + alpha |r|) p - 2 (1 + alpha |r|) p (x_u . y_i) + alpha |r| (x_u . y_i)^2``. A weight W takes them W
        times, as a row that stands W times would.

    The penalty of a row is ``c = L (n + B)^v``: L is ``reg``, v ``reg_exponent``, n the sum of W over the row's ratings
    (in the implicit objectives: over those > 0), and B ``reg_base``, which is 0, or g times the number of rows of the
    other side: then n + B is the weight of everything in the row. Spark has v = 1 and B = 0.

    **Offsets.** A fit with biases predicts mean + b_u + b_i + x_u . y_i. The rows that are solved are then [x_u, b_u],
    those of the other side [y_i, 1], and o = mean + b_i (`daskals.blocks.biases`).

    Zhou et al., "Large-scale parallel collaborative filtering for the Netflix prize" (2008), for Spark's explicit
    objective; Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets" (2008), for its implicit
    one; Rendle, Krichene, Zhang and Koren, "Revisiting the performance of iALS on item recommendation benchmarks"
    (2021), for ``unobserved_weight``, the exponent and ``reg_base``.
    """

    reg: float
    #: which of the two kinds
    implicit: bool = False
    #: without a meaning in the explicit objective
    alpha: float = 1.0
    #: factors must not be negative
    nonnegative: bool = False
    reg_exponent: float = 1.0
    #: None: Spark's implicit objective
    unobserved_weight: float | None = None
    reg_base: float = 0.0

    @property
    def gram_weight(self) -> float:
        """How much the Gram matrix of the other side counts in the equations of a row: g of the formula."""
        if not self.implicit:
            return 0.0
        return 1.0 if self.unobserved_weight is None else self.unobserved_weight

    @property
    def least_error(self) -> float:
        """What the squared error of a row is at least: below that is rounding.

        In Spark's implicit objective it can be below zero, where a pair stands several times or has a weight above 1:
        only once has it a residual to the pair's 1.
        """
        return -np.inf if self.implicit and self.unobserved_weight is None else 0.0

    def penalties(self, n: Float64) -> Float64:
        """c of rows whose ratings weigh ``n`` in all."""
        weight = n + self.reg_base
        return self.reg * (weight if self.reg_exponent == 1 else weight**self.reg_exponent)


class Solver(NamedTuple):
    """How the normal equations of a row are solved."""

    #: accumulate and solve them in float64, as Spark does, rather than in float32
    double: bool = False
    #: 0: solve exactly; else take so many steps of conjugate gradients from the row as it was
    #: (`daskals.kernels.numpy.cg`)
    cg_steps: int = 0
    #: 0: solve exactly; else solve so many entries of a row at a time, the others staying as they were
    #: (`daskals.kernels.numpy.subspace`)
    subspace: int = 0

    @property
    def dtype(self) -> type[np.floating[Any]]:
        """The type in which equations are accumulated and solved."""
        return np.float64 if self.double else np.float32

    @property
    def is_exact(self) -> bool:
        """Whether new rows do not depend on what the rows were before."""
        return not (self.cg_steps or self.subspace)

    def uses_eigenbasis(self, objective: Objective) -> bool:
        """Whether source rows are turned into the eigenbasis of their Gram matrix (`daskals.kernels.eigenbasis`).

        That changes a solution by rounding, and double precision is for Spark's numbers. Nonnegative rows are so in
        one basis alone. Without a penalty rows may be undetermined, which is seen in the equations as they come.
        `subspace` needs a Gram matrix that is diagonal in any case.
        """
        if not objective.implicit or objective.nonnegative:
            return False
        return self.subspace > 0 or not (self.double or objective.reg == 0)
