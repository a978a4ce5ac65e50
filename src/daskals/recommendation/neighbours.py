"""Items that are like an item, and users that are like a user."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from daskals.blocks.biases import BIAS_COLUMNS
from daskals.engine.factors import FactorMatrix, first_columns, unit_rows
from daskals.engine.queries import Wishes
from daskals.engine.recommend import recommend
from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import Frame, FrameKind, kind_of
from daskals.io.frames_out import Labels, collect_recommendations
from daskals.io.looked_up import wanted_ids
from daskals.params.arguments import at_least_one
from daskals.recommendation.biases import HasBiases
from daskals.recommendation.held_factors import Side
from daskals.recommendation.wishes import Given

Metric = Literal["cosine", "dot"]


class FindsNeighbours(HasBiases):
    """The methods of a model that compare rows of one side."""

    def similarItems(
        self,
        items: Any,
        n: int,
        *,
        metric: Metric = "cosine",
        candidates: Frame | None = None,
        minScore: float | None = None,
        minSupport: int | None = None,
        flat: bool = False,
    ) -> Frame:
        """The ``n`` items most like each of ``items``, which is not among them itself.

        Parameters
        ----------
        items : frame with the column of items, an id, a sequence of ids, or None
            Which items; all of them for None. Nulls and items that the model does not know are passed over.
        n : int
            How many, at least 1.
        metric : "cosine" (default) or "dot"
            The cosine of two rows of factors, or their dot product, which favours items with many ratings. The columns
            of biases are left out.
        candidates : frame with the column of items, optional
            Only these can be neighbours.
        minScore : float, optional
            The least similarity.
        minSupport : int, optional
            The least number of ratings that a neighbour had in the fit.
        flat : bool, default False
            Return a row for each neighbour, instead of one for each item.

        Returns
        -------
        frame, items ascending: of the kind of ``items``, pandas for ids, of the kind of the fit for None
            The column of items and ``neighbours``, an Arrow ``list<struct<neighbour, similarity: float>>``, most
            similar first, of equal ones the larger id first. With ``flat``: the column of items, ``neighbour``,
            ``similarity`` (float32) and ``rank`` (int32, from 1).

        Raises
        ------
        TypeError, ValueError
            As `daskals.recommendation.recommending.Recommending.recommendForAllUsers`; another ``metric``.

        Notes
        -----
        Through the kernels that recommend: the similarities of all pairs are never in memory at once.

        Examples
        --------
        >>> import pandas as pd
        >>> from daskals import ALS
        >>> rows = [(user, item, 5.0 if (user + item) % 2 else 1.0) for user in range(6) for item in range(4)]
        >>> model = ALS(rank=2, seed=0).fit(pd.DataFrame(rows, columns=["user", "item", "rating"]))
        >>> model.similarItems([0, 1], 1, flat=True)[["item", "neighbour", "rank"]].values.tolist()
        [[0, 2, 1], [1, 3, 1]]
        """
        _, side = self._sides(users_first=True)
        return self._similar(side, items, n, metric, Given(None, candidates, minScore, minSupport, flat))

    def similarUsers(
        self,
        users: Any,
        n: int,
        *,
        metric: Metric = "cosine",
        candidates: Frame | None = None,
        minScore: float | None = None,
        minSupport: int | None = None,
        flat: bool = False,
    ) -> Frame:
        """The ``n`` users most like each of ``users``: `similarItems` with the sides exchanged."""
        side, _ = self._sides(users_first=True)
        return self._similar(side, users, n, metric, Given(None, candidates, minScore, minSupport, flat))

    def _similar(self, side: Side, asked: Any, n: int, metric: Metric, given: Given) -> Frame:
        n, given = at_least_one("n", n), given.checked(side.matrix)
        matrix = _compared(self._without_biases(side.matrix), metric)
        labels = Labels(side.column, "neighbour", "similarity", "neighbours")
        labels.check(flat=given.flat)
        frame, kind = self._asked(asked, side.column)
        self._check_alive()
        scheduler = current_scheduler()

        def ids_in(dataset: Frame | None, name: str) -> Any:
            return None if dataset is None else wanted_ids(scheduler, dataset, side.column, side.ids, name)

        wishes = Wishes(
            n,
            queries=ids_in(frame, "the dataset"),
            candidates=ids_in(given.candidates, "candidates"),
            least_score=given.minScore,
            least_support=given.minSupport,
            itself=False,
        )
        found = recommend(scheduler, matrix, matrix, wishes, self.getBlockSize())
        return collect_recommendations(scheduler, found, labels, (side.ids, side.ids), kind, flat=given.flat)

    def _without_biases(self, matrix: FactorMatrix) -> FactorMatrix:
        """Biases say how a row is rated, not what it is like."""
        return matrix if self.intercept is None else first_columns(matrix, self.rank - BIAS_COLUMNS)

    def _asked(self, asked: Any, column: str) -> tuple[Frame | None, FrameKind]:
        """What is asked for as a frame, None for all, and the kind of the result."""
        if asked is None:
            return None, self._frame_kind
        if not isinstance(asked, str) and hasattr(asked, "__len__") and not hasattr(asked, "columns"):
            if isinstance(asked, np.ndarray) and asked.ndim > 1:
                raise TypeError(f"Ids are an array of one dimension, got one of shape {asked.shape}: call .ravel().")
            ids = asked if isinstance(asked, np.ndarray | pd.Series) else list(asked)
            return pd.DataFrame({column: pd.Series(ids)}), "pandas"
        if isinstance(asked, str) or np.ndim(asked) == 0:
            return pd.DataFrame({column: pd.Series([asked])}), "pandas"
        return asked, kind_of(asked)


def _compared(matrix: FactorMatrix, metric: Metric) -> FactorMatrix:
    if metric not in ("cosine", "dot"):
        raise ValueError(f"metric={metric!r} is not allowed: it must be 'cosine' or 'dot'")
    return unit_rows(matrix) if metric == "cosine" else matrix
