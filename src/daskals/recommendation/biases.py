"""The mean and the biases of a model that was fitted with them."""

from __future__ import annotations

from daskals.blocks.biases import biases_of
from daskals.blocks.ratings import SideName
from daskals.engine.factors import rows_with_ids
from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import Frame
from daskals.io.frames_out import collect_column
from daskals.recommendation.parentage import KnowsItsFit

BIAS = "bias"


class HasBiases(KnowsItsFit):
    """What a model with biases tells of them. Its factors hold them (`daskals.blocks.biases`)."""

    @property
    def intercept(self) -> float | None:
        """The mean of the ratings of the fit, weighted where that was; None for a model without biases.

        >>> import pandas as pd
        >>> from daskals import ALS
        >>> ratings = pd.DataFrame({"user": [0, 0, 1], "item": [0, 1, 1], "rating": [4.0, 2.0, 3.0]})
        >>> model = ALS(rank=2, biases=True, maxIter=100).fit(ratings)
        >>> model.intercept, model.rank                       # two more columns for the biases
        (3.0, 4)
        >>> model.itemBiases["bias"].astype(float).round(2).tolist()  # item 0 was rated above the mean, item 1 below
        [0.96, -0.5]
        """
        return None if self._parent is None or not self._parent.getBiases() else self._learned.mean

    @property
    def userBiases(self) -> Frame:
        """A frame of ``id``, ascending, and ``bias`` (float32); ``ValueError`` for a model without biases."""
        return self._biases("users")

    @property
    def itemBiases(self) -> Frame:
        """The same of items."""
        return self._biases("items")

    def _biases(self, name: SideName) -> Frame:
        biases = biases_of(name, self.rank, self._mean())
        matrix, shown = getattr(self._factors, name), getattr(self._factors, f"{name[:-1]}_ids")
        self._check_alive()
        column = (biases.own, biases.shift)
        return collect_column(current_scheduler(), rows_with_ids(matrix), column, BIAS, shown, self._frame_kind)

    def _mean(self) -> float:
        mean = self.intercept
        if mean is None:
            raise ValueError(
                f"{self.uid} has no biases: it was not fitted with biases=True, or its files do not say so, as those "
                "that Spark wrote."
            )
        return mean

    def _mean_for_strangers(self) -> float:
        """What ``coldStartStrategy="bias"`` needs to know."""
        try:
            return self._mean()
        except ValueError as error:
            raise ValueError(f"coldStartStrategy='bias' needs biases. {error} Set 'nan' or 'drop'.") from None
