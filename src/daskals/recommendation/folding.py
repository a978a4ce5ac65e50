"""New users and items in a model, without a new fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dask.delayed import Delayed

from daskals import progress
from daskals.blocks.ratings import CodedChunk, SideName, other
from daskals.engine.factors import FactorMatrix
from daskals.engine.fold_in import FoldIn, with_rows
from daskals.execution.scheduler import Scheduler, current_scheduler
from daskals.execution.showing import showing
from daskals.execution.tasks import new_token, task
from daskals.io.frames import Frame, FrameKind
from daskals.io.frames_in import Columns, rating_chunks, read_columns
from daskals.io.id_types import IdType
from daskals.io.ids import id_type_to_look_up, no_ids, of_kind, widened
from daskals.io.model_files import Factors
from daskals.io.partition_faults import naming_bad_partitions
from daskals.recommendation.meanings import columns_to_read, solver_of
from daskals.recommendation.parameters import ALSParams
from daskals.recommendation.parentage import FIT_KEYWORDS, KnowsItsFit
from daskals.recommendation.recommending import Recommending

if TYPE_CHECKING:
    from typing import Self


class FoldingIn(KnowsItsFit, Recommending):
    """The methods of a model that solve rows for ratings that no fit has seen."""

    def foldInUsers(
        self,
        ratings: Frame,
        *,
        regParam: float | None = None,
        implicitPrefs: bool | None = None,
        alpha: float | None = None,
        nonnegative: bool | None = None,
        ratingCol: str | None = None,
    ) -> Self:
        """A new model that has rows for the users of ``ratings`` as well, from their ratings alone; this one stays.

        A user gets the row that minimises the objective of the fit while all items stay as they are: what the last
        half-step of a fit would give. A user whom the model knows gets that row in place of the old one, so
        ``ratings`` must have all of this user's ratings, old and new. All other rows stay.

        Parameters
        ----------
        ratings : frame of any kind that ``fit`` takes, or array
            With the columns of users, items and ratings, as in a fit: a pair that stands twice counts twice. It is read
            once, by this call, on the workers, and is not held afterwards. Ratings of items that the model does not
            have are passed over; a user with no others gets no row, or keeps the old one. Without rows nothing changes.
        regParam, implicitPrefs, alpha, nonnegative, ratingCol
            As in the fit, if they are not given. A model whose ``parent`` is None, as one of Spark's, does not know
            them: it needs ``regParam``, ``implicitPrefs`` and, where that is true, ``alpha``.

        Returns
        -------
        ALSModel
            With the uid, parameters, ``history`` and ``parent`` of this one. Ids are shown in their dtype of before. If
            a new one does not fit into it (2**40 into int32), all are shown in int64, or uint64 if they were that.

        Raises
        ------
        TypeError
            No frame; ids of another kind than the model was trained on; a keyword of a wrong type.
        ValueError
            A missing column; a null or fractional id; a null, NaN or infinite rating; a keyword out of range, or one
            that is needed and missing; a user whose row the ratings do not determine (regParam 0); an id that the
            model's kind of integers does not have.

        Notes
        -----
        The solution is exact also where the fit used conjugate gradients. Of the matrix only the blocks are written
        anew in which new rows are. Many new ratings change what items should be: fit again now and then.

        Examples
        --------
        >>> import pandas as pd
        >>> from daskals import ALS
        >>> rows = [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0)]
        >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
        >>> model = ALS(rank=2, seed=0).fit(ratings)
        >>> newcomer = pd.DataFrame({"user": [7, 7], "item": [0, 2], "rating": [5.0, 1.0]})
        >>> model.foldInUsers(newcomer).userFactors["id"].tolist()
        [0, 1, 2, 7]
        """
        given = dict(zip(FIT_KEYWORDS, (regParam, implicitPrefs, alpha, nonnegative, ratingCol), strict=True))
        return self._fold_in(ratings, "users", given)

    def foldInItems(
        self,
        ratings: Frame,
        *,
        regParam: float | None = None,
        implicitPrefs: bool | None = None,
        alpha: float | None = None,
        nonnegative: bool | None = None,
        ratingCol: str | None = None,
    ) -> Self:
        """A new model that has rows for the items of ``ratings`` as well: `foldInUsers` with the sides exchanged."""
        given = dict(zip(FIT_KEYWORDS, (regParam, implicitPrefs, alpha, nonnegative, ratingCol), strict=True))
        return self._fold_in(ratings, "items", given)

    def recommendForRatings(self, ratings: Frame, numItems: int, **wishes: Any) -> Frame:
        """The ``numItems`` best items for people who need not be in the model, from their ratings alone.

        Parameters
        ----------
        ratings : frame of any kind that ``fit`` takes, or array
            All ratings of these people, as for `foldInUsers`. Ids of users that the model knows get no special part:
            what counts is their ratings here.
        numItems : int
            How many items for each.
        **wishes
            Those of ``recommendForAllUsers``, such as ``candidates`` and ``flat``, and the keywords of `foldInUsers`.
            ``exclude`` is ``ratings`` if it is not given, so that nobody is recommended what they have rated;
            ``exclude=None`` leaves these items in, and another frame is taken instead.

        Returns
        -------
        frame of the kind of ``ratings``
            As that of ``recommendForAllUsers``. A user with no rating of an item of the model is not in it.

        Raises
        ------
        TypeError, ValueError
            Those of `foldInUsers` and of ``recommendForAllUsers``.

        Examples
        --------
        >>> import pandas as pd
        >>> from daskals import ALS
        >>> rows = [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0)]
        >>> model = ALS(rank=2, seed=0).fit(pd.DataFrame(rows, columns=["user", "item", "rating"]))
        >>> newcomer = pd.DataFrame({"user": [7, 7], "item": [0, 2], "rating": [5.0, 1.0]})
        >>> model.recommendForRatings(newcomer, 10, flat=True)["item"].tolist()
        [1]
        """
        given = {name: wishes.pop(name, None) for name in FIT_KEYWORDS}
        params = self._fit_params(given)
        dataset, kind = read_columns(ratings, self._rating_columns(params))
        with showing(wishes.pop("verbose", None)):
            with progress.stage("Folding in"):
                alone = self._having(self._only_rows_of(dataset, params), kind)
            return alone.recommendForAllUsers(numItems, **{"exclude": dataset, **wishes})

    def _only_rows_of(self, ratings: Frame, params: ALSParams) -> Factors:
        """The users of ``ratings`` alone, and all items."""
        self._check_alive()
        scheduler = current_scheduler()

        def alone() -> Factors:
            matrix = self._solved(scheduler, ratings, "users", params)
            return self._with(scheduler, "users", matrix.persist(scheduler), matrix)

        return scheduler.retry(alone, "Folding in", self._factor_tasks())

    def _fold_in(self, ratings: Frame, name: SideName, given: Mapping[str, Any]) -> Self:
        params = self._fit_params(given)
        dataset, _ = read_columns(ratings, self._rating_columns(params))
        self._check_alive()
        scheduler = current_scheduler()

        def folded() -> Factors:
            new = self._solved(scheduler, dataset, name, params)
            if not new.n_rows:
                return self._factors
            return self._with(scheduler, name, with_rows(scheduler, getattr(self._factors, name), new), new)

        return self._having(scheduler.retry(folded, "Folding in", self._factor_tasks()), self._frame_kind)

    def _rating_columns(self, params: ALSParams) -> Columns:
        return columns_to_read(params)._replace(user=self.getUserCol(), item=self.getItemCol())

    def _solved(self, scheduler: Scheduler, ratings: Frame, name: SideName, params: ALSParams) -> FactorMatrix:
        """The rows that the ratings give, which may be none."""
        columns = self._rating_columns(params)
        source = self._factors.items if name == "users" else self._factors.users
        solver = solver_of(params)._replace(cg_steps=0, subspace=0)
        goal = self._goal(params)
        if goal.weights is not None and goal.weights.exponents(name)[1]:
            self._counts_of(other(name))
        work = FoldIn(scheduler, name, source, goal, solver)
        with naming_bad_partitions(scheduler, ratings, columns.named):
            found = work.solve(self._chunks(scheduler, ratings, columns, name))
        ids = self._factors.user_ids if name == "users" else self._factors.item_ids
        return work.nothing(no_ids(ids.kind)) if found is None else found

    def _chunks(self, scheduler: Scheduler, ratings: Frame, columns: Columns, name: SideName) -> Sequence[Delayed]:
        """Tasks that read the ratings; the ids of the side that gets rows are of the kind of the model's."""
        users = id_type_to_look_up(ratings, self.getUserCol(), self._factors.user_ids)
        items = id_type_to_look_up(ratings, self.getItemCol(), self._factors.item_ids)
        token = new_token()
        chunks = rating_chunks(scheduler, ratings, columns, users, items, token)
        first, given = (0, users) if name == "users" else (1, items)
        trained = self._factors.user_ids if name == "users" else self._factors.item_ids
        if given.kind == trained.kind:
            return chunks
        column = columns[first]
        return [
            task(_of_model, chunk, name, trained, column, name=f"als-of-kind-{token}-{number}")
            for number, chunk in enumerate(chunks)
        ]

    def _with(self, scheduler: Scheduler, name: SideName, matrix: FactorMatrix, new: FactorMatrix) -> Factors:
        """The factors with this matrix on one side, to whose ids those of ``new`` have come."""
        shown = "user_ids" if name == "users" else "item_ids"
        before = getattr(self._factors, shown)
        (ids,) = scheduler.fetch(task(widened, new.ids, before, name=f"als-shown-ids-{new_token()}"))
        return replace(self._factors, **{name: matrix, shown: ids})

    def _having(self, factors: Factors, kind: FrameKind) -> Self:
        """A copy with other factors."""
        model = self.copy()
        model._factors, model._frame_kind = factors, kind
        return model


def _of_model(chunk: CodedChunk, name: SideName, trained: IdType, column: str) -> CodedChunk:
    ids = of_kind(getattr(chunk, name), trained.kind, column)
    return chunk._replace(users=ids) if name == "users" else chunk._replace(items=ids)
