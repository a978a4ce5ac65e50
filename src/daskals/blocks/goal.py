"""What a fit minimises, for both sides of its ratings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from daskals.blocks.ratings import SideName
from daskals.kernels.objective import Objective
from daskals.kernels.types import Float64, Int32, Int64


class Learned(NamedTuple):
    """What a fit has found out about its ratings, and what is needed to solve rows for other ratings as it did."""

    #: the mean of the ratings, in a fit with biases
    mean: float | None = None
    #: one over the mean of n_u^-a n_i^-b, in a fit with count exponents
    count_scale: float | None = None

    def missing(self, values: Mapping[str, Any]) -> str | None:
        """What a fit with these values of parameters has learned and this does not have, in words; None where nothing.

        Without it rows for other ratings would be other than those of the fit.
        """
        if values.get("biases") and self.mean is None:
            return "biases, and nothing tells the mean that they are added to"
        if self.count_scale is None and any(values.get(name) for name in ("userCountExponent", "itemCountExponent")):
            return "weights by numbers of ratings, and nothing tells their scale"
        return None


@dataclass(frozen=True)
class CountWeights:
    """How ratings are weighed by the numbers of ratings of their user and item: by scale n_u^-a n_i^-b."""

    user_exponent: float
    item_exponent: float
    scale: float = 1.0

    def exponents(self, side: SideName) -> tuple[float, float]:
        """The exponents of the rows of a side, and of their sources."""
        exponents = self.user_exponent, self.item_exponent
        return exponents if side == "users" else exponents[::-1]

    def of(
        self, side: SideName, indptr: Int64, source_positions: Int32 | Int64, source_counts: Int64 | None
    ) -> Float64:
        """The weight of each rating of some rows of a side; without ``source_counts`` sources count alike."""
        lengths, (own, of_source) = np.diff(indptr), self.exponents(side)
        weights = np.repeat(np.maximum(lengths, 1) ** -float(own), lengths)
        if source_counts is not None:
            weights = weights * np.maximum(source_counts, 1)[source_positions] ** -float(of_source)
        return self.scale * weights


@dataclass(frozen=True)
class Goal:
    """An objective, in what the two sides of it differ, and what is known of the ratings."""

    #: its ``reg`` is that of both sides unless they have their own, its ``reg_base`` is not looked at
    objective: Objective
    user_reg: float | None = None
    item_reg: float | None = None
    #: whether the penalty of a row grows with the weight of all its pairs, rated or not
    counts_all: bool = False
    #: the mean in a fit with biases; None in one without
    mean: float | None = None
    #: None where ratings are not weighed by counts
    weights: CountWeights | None = None

    def of(self, side: SideName, n_sources: int) -> Objective:
        """The objective as the rows of a side see it, the other side having so many rows."""
        reg = self.user_reg if side == "users" else self.item_reg
        base = self.objective.gram_weight * n_sources if self.counts_all else 0.0
        return self.objective._replace(reg=self.objective.reg if reg is None else reg, reg_base=base)
