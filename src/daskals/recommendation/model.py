"""`ALSModel`, the counterpart of ``pyspark.ml.recommendation.ALSModel``."""

from __future__ import annotations

from pickle import PicklingError
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd
from distributed import futures_of

from daskals.engine.factors import FactorMatrix, rows_with_ids
from daskals.engine.predict import predict
from daskals.execution.holders import holders
from daskals.execution.scheduler import current_scheduler
from daskals.execution.showing import showing
from daskals.execution.tasks import new_token
from daskals.io.directories import MODEL_CLASS, read_metadata, write_metadata
from daskals.io.foreign import put_beside, settled
from daskals.io.frames import Frame, FrameKind, check_kind, partitions
from daskals.io.frames_in import Columns, pair_chunks, read_columns
from daskals.io.frames_out import collect_factors, collect_predictions
from daskals.io.id_types import IdType
from daskals.io.ids import id_type_to_look_up
from daskals.io.model_files import Factors, read_history, read_parent, read_sides, write_sides
from daskals.io.notes import encode_numbers
from daskals.io.readwrite import Savable
from daskals.params.param import ParamMap
from daskals.params.shown import Picture, Row, count
from daskals.recommendation.explaining import Explaining
from daskals.recommendation.folding import FoldingIn
from daskals.recommendation.history import History
from daskals.recommendation.neighbours import FindsNeighbours
from daskals.recommendation.parameters import OWN_VALUES
from daskals.recommendation.parentage import parent_of
from daskals.recommendation.shown import row_of_places, rows_of_history
from daskals.serving import LocalModel

if TYPE_CHECKING:
    from typing import Self


class ALSModel(FoldingIn, Explaining, FindsNeighbours, Savable):
    """A fitted model, the counterpart of ``pyspark.ml.recommendation.ALSModel``; made by `ALS.fit`.

    Its factors stay where they were made: on the workers of a cluster, which must stay up while the model is in
    use, or in this process. What it returns is of the kind of frame it was trained on or is given.
    """

    _java_class = MODEL_CLASS
    _own_values = OWN_VALUES
    #: the directory that a model was loaded from, from whose files its factors are read
    _path: str | None = None

    def __init__(self, factors: Factors, frame_kind: FrameKind, history: pd.DataFrame) -> None:
        super().__init__(factors, frame_kind)
        self._history = history

    def _picture(self) -> Picture:
        """Spark's own line, and how large the model is, how good its fit was, and where its factors are."""
        users, items = self._factors.users.n_rows, self._factors.items.n_rows
        own = super()._picture().rows
        fit = [] if self._parent is None else self._parent._picture().rows
        set_ = {row.name: row for row in (*fit, *own)}  # the model's own value of what both have
        return Picture(
            type(self).__name__,
            [
                Row("uid", self.uid),
                Row("rank", str(self.rank), "two of them for biases" if self.intercept is not None else ""),
                Row("users", str(users)),
                Row("items", str(items)),
                *rows_of_history({str(name): values.tolist() for name, values in self._history.items()}),
                row_of_places(holders(self._factor_tasks()), self._path),
            ],
            folded=(f"{count(len(set_), 'parameter')} not at default", list(set_.values())),
        )

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled; ``PicklingError`` if the factors are on a cluster, for a pickle would not hold them."""
        if futures_of(self._factor_tasks()):
            raise PicklingError(
                f"{self.uid} cannot be pickled: its factors are on the workers of a cluster, and the pickle would hold "
                "their names alone. Call model.save(path), and ALSModel.load(path) where the model is needed."
            )
        return dict(vars(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """As `copy`: factors and history are never changed, so copies may share them."""
        return self.copy()

    @classmethod
    def load(cls, path: str, *, frames: FrameKind = "dask") -> Self:
        """Read a model that ``save``, or Spark, wrote.

        Parameters
        ----------
        path : str
            A folder or any URL that fsspec knows, which workers must reach too.
        frames : "dask" (default), "pandas", "polars" or "pyarrow"
            The kind of frame of ``userFactors`` and ``recommendForAllUsers``.

        Raises
        ------
        FileNotFoundError
            There is nothing, or a side is missing.
        ValueError
            A file is damaged (not JSON, another class, cut Parquet, a row of another length than rank, not a finite
            number). The message names the file and the fault.

        Notes
        -----
        All files are read once, to check them; rows are read again when they are needed.
        """
        with showing(None):
            return cls._load(str(path), frames)

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
        ``validationRmse`` or ``validationNdcg`` (fits with ``validation``, explicit or implicit)
            The metric of the held-out ratings (`ALS.fit`).
        """
        return self._history.copy()

    @property
    def bestIteration(self) -> int | None:
        """The iteration whose factors this model has: the best one by validation, or the last where there was none.

        None where there is no history: for models that Spark wrote, and where maxIter was 0.
        """
        return History.of({str(name): values.tolist() for name, values in self._history.items()}).best or None

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

    @overload
    def transform(self, dataset: pd.DataFrame, params: ParamMap | None = None) -> pd.DataFrame: ...

    @overload
    def transform(self, dataset: Frame, params: ParamMap | None = None) -> Frame: ...

    def transform(self, dataset: Frame, params: ParamMap | None = None) -> Frame:
        """Predict: the dataset with one more column, the dot product of its user's and its item's factors.

        Parameters
        ----------
        dataset : pandas.DataFrame, dask.dataframe.DataFrame or another frame
            With the columns of users and items; ratings are not needed. Other columns are kept. Polars frames, Arrow
            tables and streams are taken too, and numeric arrays with columns of users and items (a third is ignored).
        params : dict, optional
            Values that override those of this model, for this call.

        Returns
        -------
        frame of the same kind, rows in the same order
            With a float32 column ``prediction``. Where the user or the item was not in the training data it is
            NaN, or the row is left out with ``coldStartStrategy="drop"``. With "bias" it is the mean of the ratings
            and the bias of the one that is known, in models that have biases. A dask frame is lazy. Of an Arrow stream
            comes a PyArrow table, of an array the array of its predictions, float32.

        Raises
        ------
        TypeError
            Ids of another kind than the model was trained on.
        ValueError
            A missing column, one named like the prediction column, a null or a fractional id; an array with "drop";
            "bias" for a model without biases.
        """
        model = self.copy(params)
        model.validate()
        columns = Columns(model.getUserCol(), model.getItemCol())
        new = model.getPredictionCol()
        given = settled(dataset)  # in its own kind; from here on ``dataset`` is a pandas or a dask frame
        dataset, _ = read_columns(given, columns, new)
        users = id_type_to_look_up(dataset, model.getUserCol(), self._factors.user_ids)
        items = id_type_to_look_up(dataset, model.getItemCol(), self._factors.item_ids)
        self._check_alive()
        scheduler, token = current_scheduler(), new_token()
        parts = partitions(dataset, scheduler)
        pairs = pair_chunks(dataset, parts, columns, users, items, token)
        strategy = model.getColdStartStrategy().lower()
        mean = self._mean_for_strangers() if strategy == "bias" else None
        scores = predict(scheduler, pairs, self._factors.users, self._factors.items, token, mean)
        drop = strategy == "drop"
        predicted = collect_predictions(scheduler, dataset, parts, scores, new, drop=drop)
        return put_beside(given, predicted, new, drop=drop)

    def toLocal(self) -> LocalModel:
        """The model in this process, to answer single questions at once (`daskals.serving.LocalModel`).

        All its factors come here: ``4 * rank`` bytes for each user and item, their ids and numbers of ratings.
        """
        self._check_alive()
        scheduler, sides, counts = current_scheduler(), [], []
        for matrix in (self._factors.users, self._factors.items):
            known = [] if matrix.counts is None else [matrix.counts]
            ids, *arrays = scheduler.fetch(matrix.ids, *matrix.blocks, *known)
            counts.append(arrays.pop() if known else None)
            sides.append((ids, np.concatenate([np.empty((0, self.rank), np.float32), *arrays])))
        (users, items), parent = sides, self._metadata()["daskals"].get("parent")
        return LocalModel.fromArrays(
            users, items, uid=self.uid, parent=parent, userCounts=counts[0], itemCounts=counts[1]
        )

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
        if self._parent is not None:
            fields["daskals"]["parent"] = self._parent_fields(self._parent)
        return {**fields, "rank": self.rank}

    @classmethod
    def _load(cls, path: str, kind: FrameKind = "dask") -> Self:
        check_kind(kind)
        fields = read_metadata(path, cls._java_class)
        factors = read_sides(current_scheduler(), path, fields)
        history = History.of(read_history(path, fields))
        model = cls(factors, kind, history.frame())
        model._take(path, fields)
        model._path = path
        known = read_parent(path, fields, parent_of)
        if known is not None:
            model._parent, model._learned = known
        return model
