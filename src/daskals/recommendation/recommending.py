"""The best items for users, and the best users for items."""

from __future__ import annotations

from dask.delayed import Delayed

from daskals import progress
from daskals.engine.queries import Wishes
from daskals.engine.recommend import recommend
from daskals.execution.scheduler import Scheduler, current_scheduler
from daskals.execution.showing import showing
from daskals.io.foreign import rereadable
from daskals.io.frames import Frame
from daskals.io.frames_in import Columns
from daskals.io.frames_out import Labels, collect_recommendations
from daskals.io.looked_up import answer_kind, holds_pairs, pairs_to_look_up, wanted_ids
from daskals.params.arguments import at_least_one
from daskals.recommendation.held_factors import HoldsFactors
from daskals.recommendation.wishes import Given


class Recommending(HoldsFactors):
    """The methods of a model that recommend."""

    def recommendForAllUsers(
        self,
        numItems: int,
        *,
        exclude: Frame | None = None,
        candidates: Frame | None = None,
        minScore: float | None = None,
        minSupport: int | None = None,
        flat: bool = False,
        verbose: bool | None = None,
    ) -> Frame:
        """The ``numItems`` best items for every user; all of them where there are fewer.

        As Spark's method of this name where nothing but ``numItems`` is given: items that a user has rated are not left
        out then. The scores of all pairs are never in memory at once.

        Parameters
        ----------
        numItems : int
            How many, at least 1.
        exclude : frame with the columns of users and of items, optional
            Pairs that are not recommended: the ratings of the fit, as a rule. A user gets ``numItems`` others wherever
            so many are left.
        candidates : frame with the column of items, or of users and items, optional
            With items alone: nothing but these is recommended to anybody. With pairs: nothing but its own items to each
            user, and nothing to users who are not in it.
        minScore : float, optional
            The least rating that is recommended.
        minSupport : int, optional
            The least number of ratings that an item must have had in the fit. Items with two or three ratings lead many
            lists of explicit models, since little holds their factors back.
        flat : bool, default False
            Return a row for each recommendation, instead of one for each user.
        verbose : bool, optional
            Whether progress is shown, as in `ALS.fit`. (A dask frame is lazy: there is nothing to show here.)

        Returns
        -------
        frame of the kind that the model was trained on, users ascending; a dask frame is lazy
            The column of users and ``recommendations``, an Arrow ``list<struct<item, rating: float>>``, best first, of
            equal ratings the larger id first. The rating is the predicted one (with implicitPrefs: the predicted
            preference). With ``flat``: the columns of users and of items, ``rating`` (float32) and ``rank`` (int32,
            from 1).

            Rows of ``exclude`` and ``candidates`` with a null, or with an id that the model does not know, are passed
            over.

        Raises
        ------
        TypeError
            ``numItems`` or ``minSupport`` is no integer, ``minScore`` no number; what should be a frame is none; ids of
            another kind than the model was trained on.
        ValueError
            ``numItems`` is not positive; a column is missing; two columns of the result would have one name;
            ``minSupport`` where the numbers of ratings are not known, as of models that Spark saved.

        Examples
        --------
        >>> import pandas as pd
        >>> from daskals import ALS
        >>> rows = [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0)]
        >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
        >>> model = ALS(rank=2, seed=0).fit(ratings)
        >>> model.recommendForAllUsers(2, exclude=ratings, flat=True)[["user", "item", "rank"]].values.tolist()
        [[0, 2, 1], [1, 0, 1], [2, 0, 1]]
        """
        wishes = Given(exclude, candidates, minScore, minSupport, flat)
        with showing(verbose):
            return self._recommend(None, "numItems", numItems, wishes, users_first=True)

    def recommendForAllItems(
        self,
        numUsers: int,
        *,
        exclude: Frame | None = None,
        candidates: Frame | None = None,
        minScore: float | None = None,
        minSupport: int | None = None,
        flat: bool = False,
        verbose: bool | None = None,
    ) -> Frame:
        """The ``numUsers`` best users for every item: `recommendForAllUsers` with the sides exchanged.

        ``candidates`` has the column of users, or pairs; ``minSupport`` is the least number of ratings of a user.
        """
        wishes = Given(exclude, candidates, minScore, minSupport, flat)
        with showing(verbose):
            return self._recommend(None, "numUsers", numUsers, wishes, users_first=False)

    def recommendForUserSubset(
        self,
        dataset: Frame,
        numItems: int,
        *,
        exclude: Frame | None = None,
        candidates: Frame | None = None,
        minScore: float | None = None,
        minSupport: int | None = None,
        flat: bool = False,
        verbose: bool | None = None,
    ) -> Frame:
        """The ``numItems`` best items for the users of ``dataset``, as `recommendForAllUsers`.

        ``dataset`` is a frame with the column of users; the result is of the same kind. A user who occurs several times
        gets one row. Nulls, and users who were not in the training data, get none.
        """
        wishes = Given(exclude, candidates, minScore, minSupport, flat)
        with showing(verbose):
            return self._recommend(dataset, "numItems", numItems, wishes, users_first=True)

    def recommendForItemSubset(
        self,
        dataset: Frame,
        numUsers: int,
        *,
        exclude: Frame | None = None,
        candidates: Frame | None = None,
        minScore: float | None = None,
        minSupport: int | None = None,
        flat: bool = False,
        verbose: bool | None = None,
    ) -> Frame:
        """The ``numUsers`` best users for the items of ``dataset``: see `recommendForUserSubset`."""
        wishes = Given(exclude, candidates, minScore, minSupport, flat)
        with showing(verbose):
            return self._recommend(dataset, "numUsers", numUsers, wishes, users_first=False)

    def _recommend(self, subset: Frame | None, name: str, k: int, given: Given, *, users_first: bool) -> Frame:
        """Recommend to the queries in ``subset``, or to all. ``name`` is that of the argument ``k``."""
        k, kind = at_least_one(name, k), self._frame_kind if subset is None else answer_kind(subset)
        queries, candidates = self._sides(users_first)
        given = given.checked(candidates.matrix)
        labels = Labels(queries.column, candidates.column)
        labels.check(flat=given.flat)
        self._check_alive()
        scheduler = current_scheduler()
        asked = None if subset is None else wanted_ids(scheduler, subset, queries.column, queries.ids)
        wishes = self._wishes(scheduler, k, asked, given, users_first=users_first)
        found = recommend(scheduler, queries.matrix, candidates.matrix, wishes, self.getBlockSize())
        with progress.stage("Recommending", unit="blocks"):
            ids = queries.ids, candidates.ids
            return collect_recommendations(scheduler, found, labels, ids, kind, flat=given.flat)

    def _wishes(
        self, scheduler: Scheduler, k: int, asked: Delayed | None, given: Given, *, users_first: bool
    ) -> Wishes:
        queries, candidates = self._sides(users_first)

        def pairs(frame: Frame, name: str) -> list[Delayed]:
            columns = Columns(self.getUserCol(), self.getItemCol())
            ids = self._factors.user_ids, self._factors.item_ids
            return pairs_to_look_up(scheduler, frame, columns, *ids, name, users_first=users_first)

        for_all = listed = None
        if given.candidates is not None:
            frame = rereadable(given.candidates)
            if holds_pairs(frame, queries.column, "candidates"):
                listed = pairs(frame, "candidates")
            else:
                for_all = wanted_ids(scheduler, frame, candidates.column, candidates.ids, "candidates")
        unwanted = None if given.exclude is None else pairs(given.exclude, "exclude")
        return Wishes(k, asked, for_all, listed, unwanted, given.minScore, given.minSupport)
