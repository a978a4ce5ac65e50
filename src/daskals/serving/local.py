"""`LocalModel`, a fitted model that answers single questions at once, in one process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from daskals.blocks.biases import BIAS_COLUMNS
from daskals.blocks.goal import Goal
from daskals.blocks.least_squares import gram_of
from daskals.kernels.types import Float64
from daskals.params.arguments import at_least_one
from daskals.serving.answers import Explanation, Scored, UnknownIdError
from daskals.serving.asking import ask, counts_of, inverse_norms, is_many, position, wishes_of
from daskals.serving.held import HoldsArrays
from daskals.serving.new_rows import KnownRatings, NewRow, read_ratings, shares_of, solved_row
from daskals.serving.objectives import goal_of
from daskals.serving.sides import Side, Wishes, most_rated, ranked
from daskals.serving.top import best, exact_scores

#: Ids for all queries, or by query.
Ids_ = Iterable[Any] | Mapping[Any, Iterable[Any]]
#: Ratings of one user: item to rating, or pairs of them.
Ratings = Mapping[Any, float] | Iterable[tuple[Any, float]]
#: Rows that are gathered, or of which a sum of products is made, at a time.
_ROWS = 1 << 16


class LocalModel(HoldsArrays):
    """The factors of a fitted model in this process, for a web service or a loop over single users.

    It comes from the files of a saved model (`load`), from ``ALSModel.toLocal()``, or from arrays (`fromArrays`).
    It brings neither Dask nor Numba, has no thread of its own, and all its methods may be called by many threads at
    once. It never changes: to serve another model, load that one and let go of this.

    An answer for one id is a list of `Scored`, pairs of an id (int, str or numpy.datetime64) and a float, best first,
    of equal scores the larger id first. Where a list of ids is asked for, the answer is a list of such lists in the
    same order. An id that is not in the model raises `UnknownIdError`, a ``KeyError``, where it is asked for alone,
    and has an empty list where it is one of several: `user in model` tells before. In `exclude`, `candidates` and
    ratings, unknown items are passed over. Ids of a wrong type, "7" for 7, are a ``TypeError``.

    Scores are float32, and exact but for one rounding where they are returned: they depend on the two rows alone, and
    are the same from every method. All are first computed roughly by BLAS, whose threads are set by
    ``OMP_NUM_THREADS``; in a service with threads of its own, 1 is best.

    Examples
    --------
    >>> import numpy as np
    >>> from daskals.serving import LocalModel
    >>> rows = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    >>> model = LocalModel.fromArrays((["ann", "bob"], rows[:2]), ([7, 8, 9], rows))
    >>> model.recommend("ann", 2)
    [Scored(id=9, score=1.0), Scored(id=7, score=1.0)]
    >>> model.recommend("ann", 2, exclude=[9])
    [Scored(id=7, score=1.0), Scored(id=8, score=0.0)]
    >>> "eve" in model, model.predict("eve", 7), model.predict("ann", [7, 8]).tolist()
    (False, nan, [1.0, 0.0])
    """

    # -- questions

    def recommend(
        self,
        user: Any,
        n: int,
        exclude: Ids_ = (),
        candidates: Ids_ | None = None,
        *,
        minSupport: int | None = None,
    ) -> Any:
        """The ``n`` best items for a user, or for each of a list of users; fewer where fewer remain.

        Parameters
        ----------
        user
            An id, or a list or array of them.
        exclude, candidates
            Items that must not, or that alone may, be recommended; for several users also a dict of user to items.
        minSupport
            The least number of ratings that an item must have had in the fit. ``ValueError`` where these numbers are
            not known, as of models that Spark saved.

        Returns
        -------
        list of `Scored`, or a list of such lists
        """
        return ask(self._users, user, "user", self._items, wishes_of(self._items, n, exclude, candidates, minSupport))

    def popular(self, n: int, exclude: Iterable[Any] = (), candidates: Iterable[Any] | None = None) -> list[Scored]:
        """The ``n`` items that had the most ratings in the fit, for strangers say; fewer where fewer remain.

        Scores are these numbers, as floats; of equal ones the larger id comes first. ``exclude`` and ``candidates`` are
        items, as for `recommend`. ``ValueError`` where the numbers are not known, as of models that Spark saved.

        >>> items = ([7, 8, 9], [[1.0], [2.0], [3.0]])
        >>> model = LocalModel.fromArrays((["ann"], [[1.0]]), items, itemCounts=[5, 20, 5])
        >>> model.popular(2)
        [Scored(id=8, score=20.0), Scored(id=9, score=5.0)]
        >>> model.popular(2, exclude=[8])
        [Scored(id=9, score=5.0), Scored(id=7, score=5.0)]
        """
        wishes, counts = wishes_of(self._items, n, exclude, candidates, None), counts_of(self._items, "popular")
        return most_rated(self._items, counts, self._once("popular", lambda: best(counts, len(counts))), wishes)

    def similarItems(
        self,
        item: Any,
        n: int,
        metric: Literal["cosine", "dot"] = "cosine",
        exclude: Ids_ = (),
        candidates: Ids_ | None = None,
        *,
        minSupport: int | None = None,
    ) -> Any:
        """The ``n`` items most like an item, or like each of a list of items, which is itself not among them.

        By the cosine of the angle between their rows, or by the dot product of these. A row of zeros has cosine 0 with
        any other. ``minSupport`` is the least number of ratings that a neighbour had. Returns as `recommend` does.
        """
        wishes = wishes_of(self._items, n, exclude, candidates, minSupport)
        return self._similar("items", item, metric, wishes)

    def similarUsers(
        self,
        user: Any,
        n: int,
        metric: Literal["cosine", "dot"] = "cosine",
        exclude: Ids_ = (),
        candidates: Ids_ | None = None,
        *,
        minSupport: int | None = None,
    ) -> Any:
        """The ``n`` users most like a user: `similarItems` of the other side."""
        wishes = wishes_of(self._users, n, exclude, candidates, minSupport)
        return self._similar("users", user, metric, wishes)

    def predict(self, user: Any, item: Any) -> Any:
        """The score of a user and an item: float, or a float32 array if one or both are lists, pair by pair.

        NaN where the user or the item is not in the model. ``ValueError`` for lists of different lengths.
        """
        if not is_many(user) and not is_many(item):
            row, column = self._users.ids.position(user), self._items.ids.position(item)
            if min(row, column) < 0:
                return float("nan")
            return float(exact_scores(self._users.rows[row : row + 1], self._items.rows[column])[0])
        rows = self._users.ids.positions(user if is_many(user) else [user])
        columns = self._items.ids.positions(item if is_many(item) else [item])
        if len(rows) != len(columns) and is_many(user) and is_many(item):
            raise ValueError(f"predict takes pairs, got {len(rows)} users and {len(columns)} items")
        rows, columns = np.broadcast_arrays(rows, columns)
        scores, known = np.full(len(rows), np.nan, np.float32), np.flatnonzero((rows >= 0) & (columns >= 0))
        for first in range(0, len(known), _ROWS):
            some = known[first : first + _ROWS]
            scores[some] = exact_scores(self._users.rows[rows[some]], self._items.rows[columns[some]])
        return scores

    def recommendForRatings(
        self,
        ratings: Ratings,
        n: int,
        exclude: Iterable[Any] = (),
        candidates: Iterable[Any] | None = None,
        *,
        includeRated: bool = False,
        minSupport: int | None = None,
        regParam: float | None = None,
        implicitPrefs: bool | None = None,
        alpha: float | None = None,
        nonnegative: bool | None = None,
    ) -> list[Scored]:
        """The ``n`` best items for somebody who is not in the model, by ratings alone.

        The row that a fit would give to such a user, the items being fixed, is computed exactly, in float64.

        Parameters
        ----------
        ratings : dict of item to rating, or pairs of them
            A pair that stands twice counts twice, as in a fit. Unknown items are passed over; if no item is known,
            `UnknownIdError`.
        exclude, candidates
            As for `recommend`. The rated items are excluded too, unless ``includeRated``.
        minSupport
            As for `recommend`.
        regParam, implicitPrefs, alpha, nonnegative
            Those of the fit, if they are not given. ``ValueError`` that says what to pass where the files do not
            tell them, and where the row is not determined (``regParam=0`` and few ratings).
        """
        wishes = wishes_of(self._items, n, exclude, candidates, minSupport)
        given = {"regParam": regParam, "implicitPrefs": implicitPrefs, "alpha": alpha, "nonnegative": nonnegative}
        goal = goal_of(self._stored.parent, given)
        known = self._known(ratings)
        row = solved_row(self._new_row(known, goal))
        if not includeRated:
            wishes = wishes._replace(exclude=[*wishes.exclude, *self._items.ids.at(known.positions)])
        return ranked([(None, row)], self._items, wishes)[0]

    def explain(
        self,
        user: Any,
        item: Any,
        n: int,
        ratings: Ratings,
        *,
        regParam: float | None = None,
        implicitPrefs: bool | None = None,
        alpha: float | None = None,
    ) -> Explanation:
        """Why an item has its score: the ``n`` of a user's ratings that add most to it.

        ``ratings`` are those of the user, as for `recommendForRatings`; ``user`` may be None, or somebody who is not in
        the model. An item that is not raises `UnknownIdError`. The shares of all ratings, with the mean and the item's
        bias in models that have biases, add up to the score that the user's row has when it is solved once more, which
        differs a little from the one in the model.
        Of equal shares the smaller id comes first, as in ``ALSModel.explain``. ``ValueError`` for nonnegative models,
        whose scores are no sums over ratings.

        >>> rows = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
        >>> model = LocalModel.fromArrays((["ann"], rows[2:]), ([7, 8, 9], rows))
        >>> found = model.explain("ann", 9, 2, {7: 4.0, 8: 2.0}, regParam=0.5, implicitPrefs=False)
        >>> found.score, found.shares          # A = I + 0.5 * 2 I, so each rating adds half of itself
        (3.0, [Scored(id=7, score=2.0), Scored(id=8, score=1.0)])
        """
        n = at_least_one("n", n)
        goal = goal_of(self._stored.parent, {"regParam": regParam, "implicitPrefs": implicitPrefs, "alpha": alpha})
        target = position(self._items, item, "item")
        known = self._known(ratings)
        shares, baseline = shares_of(self._new_row(known, goal), target)
        order = np.lexsort((known.values, known.positions, -shares))[:n]
        predicted = float("nan") if user is None else self.predict(user, item)
        best = map(Scored, self._items.ids.at(known.positions[order]), shares[order].tolist())
        return Explanation(baseline + float(shares.sum()), predicted, list(best))

    # -- what they share

    def _similar(self, name: str, id_: Any, metric: str, wishes: Wishes) -> Any:
        if metric not in ("cosine", "dot"):
            raise ValueError(f"metric={metric!r} is not allowed: it must be 'cosine' or 'dot'")
        side = self._once(f"{name} alone", lambda: self._without_biases(getattr(self._stored, name)))
        scale = self._once(name, lambda: inverse_norms(side.rows)) if metric == "cosine" else None
        return ask(side, id_, name[:-1], side, wishes._replace(itself=False), scale)

    def _without_biases(self, side: Side) -> Side:
        """Biases say how a row is rated, not what it is like."""
        parent = self._stored.parent
        if parent is None or not parent["biases"]:
            return side
        return side._replace(rows=np.ascontiguousarray(side.rows[:, :-BIAS_COLUMNS]))

    def _new_row(self, known: KnownRatings, goal: Goal) -> NewRow:
        gram = self._gram() if goal.objective.implicit else None
        return NewRow(known, self._items.rows, self._items.counts, goal, gram)

    def _known(self, ratings: Ratings) -> KnownRatings:
        known = read_ratings(ratings, self._items.ids)
        if not len(known.positions):
            raise UnknownIdError("None of the rated items is in this model: recommend what is popular instead.")
        return known

    def _gram(self) -> Float64:
        rows = self._items.rows
        pieces = [rows[first : first + _ROWS] for first in range(0, max(1, len(rows)), _ROWS)]
        gram: Float64 = self._once("gram", lambda: gram_of(pieces))
        return gram
