"""The best items for users, and the best users for items."""

from __future__ import annotations

from daskals.engine.recommend import recommend
from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import Frame, FrameKind, kind_of
from daskals.io.frames_in import wanted_ids
from daskals.io.frames_out import collect_recommendations
from daskals.params.converters import to_int
from daskals.recommendation.held_factors import HoldsFactors


class Recommending(HoldsFactors):
    """The methods of a model that recommend."""

    def recommendForUserSubset(self, dataset: Frame, numItems: int) -> Frame:
        """The ``numItems`` best items for the users of ``dataset``, as `recommendForAllUsers`.

        ``dataset`` is a pandas or dask frame with the column of users; the result is of the same kind. A user who
        occurs several times gets one row. Nulls, and users who were not in the training data, get none.
        """
        return self._recommend_subset(dataset, "numItems", numItems, users_first=True)

    def recommendForItemSubset(self, dataset: Frame, numUsers: int) -> Frame:
        """The ``numUsers`` best users for the items of ``dataset``: see `recommendForUserSubset`."""
        return self._recommend_subset(dataset, "numUsers", numUsers, users_first=False)

    def recommendForAllUsers(self, numItems: int) -> Frame:
        """The ``numItems`` best items for every user; all of them where there are fewer.

        Returns a frame, users ascending, with the column of users and ``recommendations``, an Arrow
        ``list<struct<item, rating: float>>``, best first, of equal ratings the larger id first. The rating is the
        predicted one (with implicitPrefs: the predicted preference). Items that a user has rated are not left
        out, as in Spark. The scores of all pairs are never in memory at once.

        Raises ``TypeError`` if ``numItems`` is no integer, ``ValueError`` if it is not positive.
        """
        return self._recommend("numItems", numItems, users_first=True)

    def recommendForAllItems(self, numUsers: int) -> Frame:
        """The ``numUsers`` best users for every item: `recommendForAllUsers` with the sides exchanged."""
        return self._recommend("numUsers", numUsers, users_first=False)

    def _recommend_subset(self, dataset: Frame, name: str, k: int, *, users_first: bool) -> Frame:
        k, kind = _positive(name, k), kind_of(dataset)
        return self._recommend(name, k, users_first=users_first, subset=dataset, kind=kind)

    def _recommend(
        self, name: str, k: int, *, users_first: bool, subset: Frame = None, kind: FrameKind | None = None
    ) -> Frame:
        k = _positive(name, k)
        queries, candidates = self._sides(users_first)
        self._check_alive()
        scheduler = current_scheduler()
        wanted = None if subset is None else wanted_ids(scheduler, subset, queries.column, queries.ids)
        found = recommend(queries.matrix, candidates.matrix, k, self.getBlockSize(), scheduler.settings.panels, wanted)
        return collect_recommendations(
            scheduler,
            found,
            (queries.column, candidates.column),
            (queries.ids, candidates.ids),
            kind or self._frame_kind,
        )


def _positive(name: str, k: int) -> int:
    try:
        k = to_int(k)
    except TypeError:
        raise TypeError(f"{name}={k!r} is not allowed: it must be an integer >= 1") from None
    if k < 1:
        raise ValueError(f"{name}={k} is not allowed: it must be an integer >= 1")
    return k
