"""What is wanted of recommendations, as the user says it."""

from __future__ import annotations

from typing import NamedTuple

from daskals.engine.factors import FactorMatrix
from daskals.io.frames import Frame
from daskals.params.arguments import at_least_one, least_score, true_or_false


class Given(NamedTuple):
    """Arguments of methods that recommend; what they mean stands in `Recommending.recommendForAllUsers`."""

    exclude: Frame | None
    candidates: Frame | None
    minScore: float | None
    minSupport: int | None
    flat: bool

    def checked(self, candidates: FactorMatrix) -> Given:
        """The same with values of the right types; ``TypeError`` or ``ValueError`` if one cannot be that.

        ``ValueError`` as well if the numbers of ratings of the candidates are asked for and not known.
        """
        least = None if self.minScore is None else least_score("minScore", self.minScore)
        support = None if self.minSupport is None else at_least_one("minSupport", self.minSupport)
        if support is not None and candidates.counts is None:
            raise ValueError(
                f"minSupport={support}: this model does not know how many ratings its rows had. Models that Spark, or "
                "an earlier version, saved do not say so; fit the model again, or pass candidates=."
            )
        return self._replace(minScore=least, minSupport=support, flat=true_or_false("flat", self.flat))
