"""Why an item is recommended to a user."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from daskals.blocks.biases import biases_of
from daskals.blocks.goal import Goal
from daskals.blocks.reasons import shares
from daskals.engine.some_rows import gram, places_of, rows_at
from daskals.execution.scheduler import Scheduler, current_scheduler
from daskals.execution.tasks import new_token
from daskals.io.frames import Frame, keep_rows
from daskals.io.frames_in import Columns, rating_chunks, read_columns
from daskals.io.id_types import IdType
from daskals.io.ids import id_column, id_type_to_look_up, read_ids
from daskals.io.partition_faults import fault_of, naming_bad_partitions
from daskals.kernels.types import Bools, Float, Float32, Float64, Ids, Int64
from daskals.params.arguments import at_least_one
from daskals.recommendation.meanings import columns_to_read
from daskals.recommendation.parameters import ALSParams
from daskals.recommendation.parentage import FIT_KEYWORDS, KnowsItsFit

CONTRIBUTION = "contribution"


class _Rated(NamedTuple):
    """The ratings of one user."""

    items: Ids
    ratings: Float32
    weights: Float32 | None

    def at(self, some: Bools | Int64) -> _Rated:
        """Some of them."""
        return _Rated(self.items[some], self.ratings[some], None if self.weights is None else self.weights[some])


class Explaining(KnowsItsFit):
    """The method of a model that gives reasons."""

    def explain(
        self,
        user: Any,
        item: Any,
        n: int = 10,
        ratings: Frame = None,
        *,
        regParam: float | None = None,
        implicitPrefs: bool | None = None,
        alpha: float | None = None,
        nonnegative: bool | None = None,
        ratingCol: str | None = None,
    ) -> pd.DataFrame:
        """The ``n`` ratings of a user that carry the score of an item most.

        The row of a user solves linear equations, in which each rating is a term. So a score is a sum over the user's
        ratings, and the terms are the contributions (Hu, Koren and Volinsky, 2008, section 5).

        Parameters
        ----------
        user, item
            Ids. The item must be in the model; the user need not be.
        n : int
            How many ratings, at most.
        ratings : frame of any kind that ``fit`` takes, or array
            With all ratings of the user, in the columns of the fit; a model does not hold them. Rows of other users,
            and of items that the model does not have, are passed over.
        regParam, implicitPrefs, alpha, nonnegative, ratingCol
            As in `ALSModel.foldInUsers`.

        Returns
        -------
        pandas.DataFrame
            With the column of items, that of ratings (float32), if there is one, and ``contribution`` (float64),
            largest first, of equal ones the smaller id first; negative ones speak against the item.
            ``attrs["score"]`` is the sum over all ratings, also those left out, and ``attrs["baseline"]``, which is 0
            but in models with biases: there it is the mean and the bias of the item, with which no rating of the user
            has to do. It is the score of the user's exact row (`ALSModel.foldInUsers`): that of `transform`, to
            float32 rounding, where the model was fitted with ``solver="cholesky"`` to these ratings.

        Raises
        ------
        TypeError
            Ids of another kind than the model was trained on; ``n`` no integer.
        ValueError
            No ``ratings``, or none of this user of an item of the model; an item that the model does not have; a
            nonnegative model, whose scores are no sums; ``n`` below 1; and as `ALSModel.foldInUsers`.

        Examples
        --------
        >>> import pandas as pd
        >>> from daskals import ALS
        >>> rows = [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0)]
        >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
        >>> model = ALS(rank=2, seed=0).fit(ratings)
        >>> reasons = model.explain(0, 2, ratings=ratings)
        >>> sorted(reasons["item"].tolist())
        [0, 1]
        >>> print(abs(reasons["contribution"].sum() - reasons.attrs["score"]) < 1e-9)
        True
        """
        n = at_least_one("n", n)
        given = dict(zip(FIT_KEYWORDS, (regParam, implicitPrefs, alpha, nonnegative, ratingCol), strict=True))
        params = self._fit_params(given)
        columns = columns_to_read(params)._replace(user=self.getUserCol(), item=self.getItemCol())
        self._check(ratings, params, columns)
        dataset, _ = read_columns(ratings, columns)
        scheduler = current_scheduler()
        target = _one_id(item, self.getItemCol(), self._factors.item_ids)
        _one_id(user, self.getUserCol(), self._factors.user_ids)

        def contributions() -> pd.DataFrame:
            mine = self._ratings_of(user, scheduler, dataset, columns)
            found = places_of(scheduler, self._factors.items, np.concatenate([target, mine.items]))
            known = found[1:] >= 0
            self._check_found(user, item, bool(found[0] >= 0), known)
            mine = mine.at(known)
            return self._reasons(columns, mine, *self._shares(scheduler, found[0], found[1:][known], mine, params), n)

        return scheduler.retry(contributions, "Explaining", self._factor_tasks())

    def _check(self, ratings: Frame, params: ALSParams, columns: Columns) -> None:
        if ratings is None:
            raise ValueError("A model does not hold ratings: pass ratings=, a frame with those of the user")
        if params.getNonnegative():
            raise ValueError(
                "The scores of a nonnegative model are no sums over ratings, so there are no contributions. Fit with "
                "nonnegative=False to have reasons."
            )
        if CONTRIBUTION in (columns.item, columns.rating):
            raise ValueError(f"The result has a column {CONTRIBUTION!r}: give the column of that name another one")
        self._check_alive()

    def _check_found(self, user: Any, item: Any, has_item: bool, known: Bools) -> None:
        if not has_item:
            raise ValueError(
                f"Item {item!r} is not in the model, so it has no score to explain: fold it in first (foldInItems), or "
                "fit again."
            )
        if not known.any():
            raise ValueError(
                f"User {user!r} has no ratings of items of the model in the {len(known)} rows of theirs that ratings "
                f"has: pass a frame with all ratings of this user in {self.getUserCol()!r}."
            )

    def _ratings_of(self, user: Any, scheduler: Scheduler, ratings: Frame, columns: Columns) -> _Rated:
        """The ratings of one user, in the order of items, those of one item by value."""
        users = id_type_to_look_up(ratings, self.getUserCol(), self._factors.user_ids)
        items = id_type_to_look_up(ratings, self.getItemCol(), self._factors.item_ids)
        with naming_bad_partitions(scheduler, ratings, columns.named):
            mine = keep_rows(ratings, partial(_is_of, user, columns))
            chunks = scheduler.fetch(*rating_chunks(scheduler, mine, columns, users, items, new_token()))
        with_rows = [chunk for chunk in chunks if len(chunk.ratings)] or chunks[:1]
        ids = np.concatenate([chunk.items.uniques[chunk.items.codes] for chunk in with_rows])
        values = np.concatenate([chunk.ratings for chunk in with_rows])
        weights = [chunk.weights for chunk in with_rows if chunk.weights is not None]
        order = np.lexsort((values, pd.factorize(ids, sort=True)[0]))
        return _Rated(ids, values, np.concatenate(weights) if weights else None).at(order)

    def _shares(
        self, scheduler: Scheduler, target: int, places: Int64, mine: _Rated, params: ALSParams
    ) -> tuple[Float64, float]:
        """The share of each rating, and the part of the score with which no rating has to do."""
        matrix, goal = self._factors.items, self._goal(params)
        rows, offsets = rows_at(scheduler, matrix, np.append(places, target)), None
        if goal.mean is not None:
            (rows,), offsets = biases_of("users", matrix.rank, goal.mean).narrow_sources([rows])
        objective = goal.of("users", matrix.n_rows)
        total = gram(scheduler, matrix) if objective.implicit else None
        weights = self._weights_of(scheduler, places, mine, goal)
        known = None if offsets is None else offsets[:-1]
        try:
            found = shares(rows[:-1], mine.ratings, rows[-1], total, objective, weights=weights, offsets=known)
        except np.linalg.LinAlgError:
            raise ValueError(
                f"The equations of this user ({len(places)} ratings, rank {matrix.rank}) are singular: nothing says "
                "which rating contributes what. Pass a regParam above 0."
            ) from None
        return found, 0.0 if offsets is None else float(offsets[-1])

    def _weights_of(self, scheduler: Scheduler, places: Int64, mine: _Rated, goal: Goal) -> Float | None:
        """How much each rating of the user counts; None where all count 1."""
        if goal.weights is None:
            return mine.weights
        counts = None
        if goal.weights.item_exponent:
            (counts,) = scheduler.fetch(self._counts_of("items"))
        by_count = goal.weights.of("users", np.array([0, len(places)]), places, counts)
        return by_count if mine.weights is None else by_count * mine.weights

    def _reasons(self, columns: Columns, mine: _Rated, contributions: Float64, baseline: float, n: int) -> pd.DataFrame:
        best = np.argsort(-contributions, kind="stable")[:n]
        found = {columns.item: id_column(mine.items[best], self._factors.item_ids)}
        if columns.rating is not None:
            found[columns.rating] = pd.Series(mine.ratings[best])
        reasons = pd.DataFrame({**found, CONTRIBUTION: contributions[best]})
        reasons.attrs.update(score=baseline + float(contributions.sum()), baseline=baseline)
        return reasons


def _one_id(value: Any, name: str, trained: IdType) -> Ids:
    """One id as an array; errors are those of a column of this name, and ``TypeError`` for a null."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        raise TypeError(f"{name!r} is {value!r}: pass the id of one whose score is to be explained")
    frame = pd.DataFrame({name: [value]})
    return read_ids(frame[name], id_type_to_look_up(frame, name, trained).kind).uniques


def _is_of(user: Any, columns: Columns, part: pd.DataFrame, number: int) -> Bools:
    """Which rows of a partition are of a user. Where it is not what it should be, the error is that of reading it."""
    if (fault := fault_of(part, number, columns.named)) is not None:
        raise fault
    same = part[columns.user] == user
    found: Bools = same.to_numpy(np.bool_, na_value=False)
    return found
