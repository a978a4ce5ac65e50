"""`ALSModel`, the counterpart of ``pyspark.ml.recommendation.ALSModel``, and the parameters it shares with `ALS`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from daskals import execution, factor_files, frames, persistence, scoring
from daskals.factors import FactorMatrix
from daskals.params import Param, ParamMap, Params, at_least, one_of, to_int, to_string
from daskals.saving import Savable

if TYPE_CHECKING:
    from typing import Self

#: Columns of `ALSModel.history`.
HISTORY = ["iteration", "objective", "rmse", "seconds"]


class ModelParams(Params):
    """The parameters that an estimator and its model have in common."""

    userCol = Param("userCol", "name of the column of user ids", to_string, "user")
    itemCol = Param("itemCol", "name of the column of item ids", to_string, "item")
    predictionCol = Param("predictionCol", "name of the column of predictions to add", to_string, "prediction")
    coldStartStrategy = Param(
        "coldStartStrategy",
        "what transform does with rows of a user or item that was not in the training data: 'nan' predicts NaN, "
        "'drop' leaves the row out",
        to_string,
        "nan",
        one_of("nan", "drop"),
    )
    blockSize = Param(
        "blockSize",
        "rows of factors that are scored against each other at a time when recommending, on plain NumPy; the compiled "
        "kernels never hold a block of scores",
        to_int,
        4096,
        at_least(1),
    )


class ALSModel(ModelParams, Savable):
    """A fitted model, the counterpart of ``pyspark.ml.recommendation.ALSModel``; made by `ALS.fit`.

    Its factors stay where they were made: on the workers of a cluster, which must stay up while the model is in
    use, or in this process. What it returns is of the kind of frame it was trained on or is given.
    """

    _setters = ("userCol", "itemCol", "predictionCol", "coldStartStrategy", "blockSize")
    _java_class = "org.apache.spark.ml.recommendation.ALSModel"

    def __init__(
        self,
        users: FactorMatrix,
        items: FactorMatrix,
        id_types: tuple[frames.IdType, frames.IdType],
        kind: frames.Kind,
        history: pd.DataFrame,
    ) -> None:
        super().__init__()
        self._users, self._items = users, items
        self._user_type, self._item_type = id_types
        self._kind = kind
        self._history = history

    def __repr__(self) -> str:
        return f"ALSModel: uid={self.uid}, rank={self.rank}"

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
        return self._users.rank

    @property
    def history(self) -> pd.DataFrame:
        """One row an iteration: ``iteration`` (from 1), ``objective``, ``rmse``, ``seconds``.

        ``objective`` is the value that the fit minimises (`daskals.blocks.Objective`). ``rmse`` is the root of the
        mean squared error on the training ratings; with implicitPrefs, that of the preferences of all pairs,
        weighted by their confidence. Both are those after the iteration, and cost no pass over the data.
        """
        return self._history.copy()

    @property
    def userFactors(self) -> frames.Frame:
        """A frame of columns ``id`` and ``features`` (Arrow ``list<float>`` of length rank), ids ascending."""
        return self._factor_frame(self._users, self._user_type)

    @property
    def itemFactors(self) -> frames.Frame:
        """A frame of columns ``id`` and ``features`` (Arrow ``list<float>`` of length rank), ids ascending."""
        return self._factor_frame(self._items, self._item_type)

    def _factor_frame(self, matrix: FactorMatrix, shown: frames.IdType) -> frames.Frame:
        return frames.collect_factors(scoring.rows_with_ids(matrix), matrix.rank, shown, self._kind)

    def transform(self, dataset: frames.Frame, params: ParamMap | None = None) -> frames.Frame:
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
        columns = frames.Columns(model.getUserCol(), model.getItemCol())
        new = model.getPredictionCol()
        frames.check_columns(dataset, columns, new)
        users = frames.id_type_to_look_up(dataset, model.getUserCol(), self._user_type)
        items = frames.id_type_to_look_up(dataset, model.getItemCol(), self._item_type)
        token = execution.new_token()
        parts = frames.partitions(dataset, token)
        pairs = frames.pair_chunks(parts, columns, users, items, token)
        scores = scoring.predict(pairs, self._users, self._items, token)
        drop = model.getColdStartStrategy().lower() == "drop"
        return frames.collect_predictions(dataset, parts, scores, new, drop=drop, token=token)

    def recommendForUserSubset(self, dataset: frames.Frame, numItems: int) -> frames.Frame:
        """The ``numItems`` best items for the users of ``dataset``, as `recommendForAllUsers`.

        ``dataset`` is a pandas or dask frame with the column of users; the result is of the same kind. Users
        that stand in it several times get one row, those that were not in the training data, and nulls, none.
        """
        return self._recommend_subset(dataset, "numItems", numItems, users_first=True)

    def recommendForItemSubset(self, dataset: frames.Frame, numUsers: int) -> frames.Frame:
        """The ``numUsers`` best users for the items of ``dataset``: see `recommendForUserSubset`."""
        return self._recommend_subset(dataset, "numUsers", numUsers, users_first=False)

    def recommendForAllUsers(self, numItems: int) -> frames.Frame:
        """The ``numItems`` best items for every user; all of them where there are fewer.

        Returns a frame, users ascending, with the column of users and ``recommendations``, an Arrow
        ``list<struct<item, rating: float>>``, best first, of equal ratings the larger id first. The rating is the
        predicted one (with implicitPrefs: the predicted preference). Items that a user has rated are not left
        out, as in Spark. The scores of all pairs are never in memory at once.

        Raises ``TypeError`` if ``numItems`` is no integer, ``ValueError`` if it is not positive.
        """
        return self._recommend("numItems", numItems, users_first=True)

    def recommendForAllItems(self, numUsers: int) -> frames.Frame:
        """The ``numUsers`` best users for every item: `recommendForAllUsers` with the sides exchanged."""
        return self._recommend("numUsers", numUsers, users_first=False)

    def _recommend(self, name: str, k: int, *, users_first: bool) -> frames.Frame:
        k = _positive(name, k)
        queries, candidates = self._sides(users_first)
        token = execution.new_token()
        found = scoring.recommend(queries.matrix, candidates.matrix, k, self.getBlockSize(), token)
        return frames.collect_recommendations(
            found, (queries.column, candidates.column), (queries.shown, candidates.shown), self._kind, token
        )

    def _recommend_subset(self, dataset: frames.Frame, name: str, k: int, *, users_first: bool) -> frames.Frame:
        k = _positive(name, k)
        queries, candidates = self._sides(users_first)
        token = execution.new_token()
        wanted = frames.wanted_ids(dataset, queries.column, queries.shown, token)
        found = scoring.recommend(queries.matrix, candidates.matrix, k, self.getBlockSize(), token, wanted)
        return frames.collect_recommendations(
            found,
            (queries.column, candidates.column),
            (queries.shown, candidates.shown),
            frames.kind_of(dataset),
            token,
        )

    def _sides(self, users_first: bool) -> tuple[_Side, _Side]:
        users = _Side(self._users, self.getUserCol(), self._user_type)
        items = _Side(self._items, self.getItemCol(), self._item_type)
        return (users, items) if users_first else (items, users)

    # -- files

    def _save(self, directory: str, checkpoint: dict[str, Any] | None = None) -> None:
        for name, matrix in (("userFactors", self._users), ("itemFactors", self._items)):
            factor_files.write_factors(directory, name, matrix)
            if not factor_files.spark_can_load(matrix):
                warnings.warn(
                    f"Spark cannot load this model: the ids of {name} are not integers of 32 bits. daskals can.",
                    stacklevel=5,
                )
        fields = self._metadata()
        if checkpoint is not None:
            fields["daskals"]["checkpoint"] = checkpoint
        persistence.write_metadata(directory, fields)

    def _metadata(self) -> dict[str, Any]:
        """Spark's fields, and under "daskals" the kinds of ids and which rows of ascending ids are in which file."""
        fields = super()._metadata()
        sides = {"user": (self._users, self._user_type), "item": (self._items, self._item_type)}
        fields["paramMap"].setdefault("blockSize", self.getBlockSize())  # Spark's model always has it set
        fields["daskals"] |= {
            side: {"form": shown.form, "shown": str(shown.shown), "bounds": np.asarray(matrix.bounds).tolist()}
            for side, (matrix, shown) in sides.items()
        }
        fields["daskals"]["history"] = self._history.to_dict(orient="list")
        return {**fields, "rank": self.rank}

    @classmethod
    def _load(cls, path: str, kind: frames.Kind = "dask") -> Self:
        fields = persistence.read_metadata(path, cls._java_class)
        rank = fields.get("rank")
        if not isinstance(rank, int) or rank < 1:
            raise ValueError(f"The metadata of {path} have no rank, or a wrong one: {rank!r}")
        ours = fields.get("daskals", {})
        sides, types = [], []
        for side in ("user", "item"):
            about = ours.get(side, {"form": "int64", "shown": "int32", "bounds": None})
            try:
                form, bounds = about["form"], about["bounds"]
                types.append(frames.IdType(form, pd.api.types.pandas_dtype(about["shown"])))
            except (KeyError, TypeError) as error:
                raise ValueError(f"The metadata of {path} are damaged: daskals.{side} is {about!r} ({error})") from None
            sides.append(factor_files.read_factors(path, f"{side}Factors", rank, form, bounds))
        history = pd.DataFrame(ours.get("history", {}), columns=HISTORY)
        model = cls(sides[0], sides[1], (types[0], types[1]), kind, history)
        model._take(path, fields)
        return model


class _Side(NamedTuple):
    """One side of a model: its factors, the name of its column, and how its ids are shown."""

    matrix: FactorMatrix
    column: str
    shown: frames.IdType


def _positive(name: str, k: int) -> int:
    try:
        k = to_int(k)
    except TypeError:
        raise TypeError(f"{name}={k!r} is not allowed: it must be an int >= 1") from None
    if k < 1:
        raise ValueError(f"{name}={k} is not allowed: it must be a number >= 1")
    return k
