"""`ALSModel`, the counterpart of ``pyspark.ml.recommendation.ALSModel``."""

from __future__ import annotations

from collections.abc import Mapping
from pickle import PicklingError
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pandas as pd
from dask.delayed import Delayed
from distributed import futures_of

from daskals.engine.factors import FactorMatrix, rows_with_ids
from daskals.engine.predict import predict
from daskals.engine.recommend import recommend
from daskals.execution.scheduler import check_holders, current_scheduler
from daskals.execution.tasks import new_token
from daskals.io.directories import read_metadata, write_metadata
from daskals.io.frames import Frame, FrameKind, kind_of, partitions
from daskals.io.frames_in import Columns, check_columns, pair_chunks, wanted_ids
from daskals.io.frames_out import collect_factors, collect_predictions, collect_recommendations
from daskals.io.ids import IdType, id_type_to_look_up
from daskals.io.model_files import Factors, read_history, read_sides, write_sides
from daskals.io.notes import encode_numbers
from daskals.io.readwrite import Savable
from daskals.params.converters import to_int
from daskals.params.param import Param, ParamMap
from daskals.recommendation.history import History
from daskals.recommendation.parameters import ModelParams

if TYPE_CHECKING:
    from typing import Self


class ALSModel(ModelParams, Savable):
    """A fitted model, the counterpart of ``pyspark.ml.recommendation.ALSModel``; made by `ALS.fit`.

    Its factors stay where they were made: on the workers of a cluster, which must stay up while the model is in
    use, or in this process. What it returns is of the kind of frame it was trained on or is given.
    """

    _setters = ("userCol", "itemCol", "predictionCol", "coldStartStrategy", "blockSize")
    _java_class = "org.apache.spark.ml.recommendation.ALSModel"

    def __init__(self, factors: Factors, frame_kind: FrameKind, history: pd.DataFrame) -> None:
        super().__init__()
        self._factors = factors
        self._frame_kind = frame_kind
        self._history = history

    def _convert(self, values: Mapping[str, Any]) -> dict[Param, Any]:
        """Check the range as well: unlike an estimator, a model can be used at once."""
        converted = super()._convert(values)
        self._require_range(converted)
        return converted

    def __repr__(self) -> str:
        return f"ALSModel: uid={self.uid}, rank={self.rank}"

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled; ``PicklingError`` if the factors are on a cluster, for a pickle would not hold them."""
        if futures_of(self._factor_tasks()):
            raise PicklingError(
                f"{self!r} cannot be pickled: its factors are on the workers of a cluster, and the pickle would hold "
                "their names alone. Call model.save(path), and ALSModel.load(path) where the model is needed."
            )
        return dict(vars(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """As `copy`: factors and history are never changed, so copies may share them."""
        return self.copy()

    @classmethod
    def load(cls, path: str, *, frames: Literal["dask", "pandas"] = "dask") -> Self:
        """Read a model that ``save``, or Spark, wrote.

        Parameters
        ----------
        path : str
            A folder or any URL that fsspec knows, which workers must reach too.
        frames : "dask" (default) or "pandas"
            The kind of frame of ``userFactors`` and ``recommendForAllUsers``.

        All files are read once, to check them; rows are read again when they are needed. ``FileNotFoundError`` if
        there is nothing, or a side is missing; ``ValueError`` naming the file and the fault if something is
        damaged (not JSON, another class, cut Parquet, a row of another length than rank, not a finite number).
        """
        return cls._load(str(path), frames)

    @property
    def rank(self) -> int:
        """The number of factors."""
        return self._factors.users.rank

    @property
    def history(self) -> pd.DataFrame:
        """A row for each iteration, with the state after it. It costs the fit no pass over the data.

        ``iteration``
            Its number, from 1.
        ``objective``
            The value that the fit minimises (`daskals.kernels.objective.Objective`).
        ``rmse`` (explicit fits)
            The root of the mean squared error on the training ratings.
        ``preferenceRmse`` (implicit fits, in place of ``rmse``)
            The root of the mean squared error of the preferences (0 or 1) of ALL pairs of a user and an item, weighted
            by their confidence. It cannot be compared with an RMSE of ratings.
        ``seconds``
            How long the iteration took.
        """
        return self._history.copy()

    @property
    def userFactors(self) -> Frame:
        """A frame of columns ``id`` and ``features`` (Arrow ``list<float>`` of length rank), ids ascending."""
        return self._factor_frame(self._factors.users, self._factors.user_ids)

    @property
    def itemFactors(self) -> Frame:
        """A frame of columns ``id`` and ``features`` (Arrow ``list<float>`` of length rank), ids ascending."""
        return self._factor_frame(self._factors.items, self._factors.item_ids)

    def _factor_frame(self, matrix: FactorMatrix, shown: IdType) -> Frame:
        self._check_alive()
        return collect_factors(current_scheduler(), rows_with_ids(matrix), matrix.rank, shown, self._frame_kind)

    def transform(self, dataset: Frame, params: ParamMap | None = None) -> Frame:
        """Predict: the dataset with one more column, the dot product of its user's and its item's factors.

        Parameters
        ----------
        dataset : pandas.DataFrame or dask.dataframe.DataFrame
            With the columns of users and items; ratings are not needed. Other columns are kept.
        params : dict, optional
            Values that override those of this model, for this call.

        Returns
        -------
        frame of the same kind, rows in the same order
            With a float32 column ``prediction``. Where the user or the item was not in the training data it is
            NaN, or the row is left out with ``coldStartStrategy="drop"``. A dask frame is lazy.

        Raises
        ------
        TypeError
            Ids of another kind than the model was trained on.
        ValueError
            A missing column, one named like the prediction column, a null or a fractional id.
        """
        model = self.copy(params)
        model.validate()
        columns = Columns(model.getUserCol(), model.getItemCol())
        new = model.getPredictionCol()
        check_columns(dataset, columns, new)
        users = id_type_to_look_up(dataset, model.getUserCol(), self._factors.user_ids)
        items = id_type_to_look_up(dataset, model.getItemCol(), self._factors.item_ids)
        self._check_alive()
        scheduler, token = current_scheduler(), new_token()
        parts = partitions(dataset, scheduler)
        pairs = pair_chunks(dataset, parts, columns, users, items, token)
        scores = predict(pairs, self._factors.users, self._factors.items, scheduler.settings.panels, token)
        drop = model.getColdStartStrategy().lower() == "drop"
        return collect_predictions(scheduler, dataset, parts, scores, new, drop=drop)

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

    def _sides(self, users_first: bool) -> tuple[_Side, _Side]:
        users = _Side(self._factors.users, self.getUserCol(), self._factors.user_ids)
        items = _Side(self._factors.items, self.getItemCol(), self._factors.item_ids)
        return (users, items) if users_first else (items, users)

    def _check_alive(self) -> None:
        """``RuntimeError`` if the factors were on a cluster whose client is closed."""
        check_holders(self._factor_tasks())

    def _factor_tasks(self) -> list[Delayed]:
        """Tasks that hold the factors and the ids of both sides."""
        return [task for side in (self._factors.users, self._factors.items) for task in (side.ids, *side.blocks)]

    # -- files

    def _save(self, directory: str) -> list[str]:
        self._check_alive()
        written = write_sides(current_scheduler(), directory, self._factors)
        fields = self._metadata()
        write_metadata(directory, {**fields, "daskals": {**fields["daskals"], **written.notes}})
        return written.warnings

    def _metadata(self) -> dict[str, Any]:
        """Spark's fields, and the history under "daskals"."""
        fields = super()._metadata()
        fields["paramMap"].setdefault("blockSize", self.getBlockSize())  # Spark's model always has it set
        history = self._history.to_dict(orient="list")
        fields["daskals"]["history"] = {name: encode_numbers(values) for name, values in history.items()}
        return {**fields, "rank": self.rank}

    @classmethod
    def _load(cls, path: str, kind: FrameKind = "dask") -> Self:
        fields = read_metadata(path, cls._java_class)
        factors = read_sides(current_scheduler(), path, fields)
        history = History.of(read_history(path, fields))
        model = cls(factors, kind, history.frame())
        model._take(path, fields)
        return model


class _Side(NamedTuple):
    """One side of a model: its factors, the name of its column, and how its ids are shown."""

    matrix: FactorMatrix
    column: str
    ids: IdType


def _positive(name: str, k: int) -> int:
    try:
        k = to_int(k)
    except TypeError:
        raise TypeError(f"{name}={k!r} is not allowed: it must be an integer >= 1") from None
    if k < 1:
        raise ValueError(f"{name}={k} is not allowed: it must be an integer >= 1")
    return k
