"""`ALS` and `ALSModel`: the surface of ``pyspark.ml.recommendation``, on Dask.

Everything here is thin: each step of a fit or a transform is one call into the floors below.
"""

from __future__ import annotations

import functools
import logging
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import pandas as pd

from daskals import execution, frames, partitioning, training
from daskals.blocks import Objective
from daskals.checkpoints import Checkpoints, identity_of
from daskals.model import HISTORY, ALSModel, ModelParams
from daskals.params import (
    Check,
    Param,
    ParamMap,
    at_least,
    keyword_only,
    keyword_only_like,
    one_of,
    read_param_maps,
    to_boolean,
    to_float,
    to_int,
    to_string,
)
from daskals.saving import Savable

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ALS", "ALSModel"]

logger = logging.getLogger("daskals")

#: Spark's default seed in Scala: the hash code of "org.apache.spark.ml.recommendation.ALS". (PySpark's is the
#: hash of a string, another one in every process.)
DEFAULT_SEED = 1994790107

STORAGE_LEVELS = (
    *("NONE", "DISK_ONLY", "DISK_ONLY_2", "DISK_ONLY_3", "MEMORY_ONLY", "MEMORY_ONLY_2", "MEMORY_ONLY_SER"),
    *("MEMORY_ONLY_SER_2", "MEMORY_AND_DISK", "MEMORY_AND_DISK_2", "MEMORY_AND_DISK_SER", "MEMORY_AND_DISK_SER_2"),
    "OFF_HEAP",
)
STORAGE_DOC = "Spark's storage level; no effect on Dask, where the workers' memory limits decide"
CHECKPOINTS = Check(lambda value: value == -1 or value >= 1, "-1 (never) or a number >= 1")
LONGS = Check(lambda value: -(2**63) <= value < 2**63, "a 64-bit signed integer")


class ALS(ModelParams, Savable):
    """Alternating least squares, the counterpart of ``pyspark.ml.recommendation.ALS``.

    Finds a row of ``rank`` numbers for every user and every item whose dot products come close to the ratings.
    Parameters have Spark's names, defaults and meaning; ``als.explainParams()`` lists them. The objectives stand
    in `daskals.blocks.Objective`. With the same seed, ``numUserBlocks`` and data the factors are Spark's, to
    float32 rounding.

    Parameters that Spark does not have
    -----------------------------------
    precision : "single" (default) or "double"
        Normal equations in float32, fast, or in float64, as Spark. Factors are float32 in both.
    sparkRandom : "3" (default) or "2"
        Start values of Spark 3 and later, or of Spark 2.
    checkpointDir : str
        Folder or URL that the workers reach. The model is written there every ``checkpointInterval`` iterations, and
        ``fit(..., resume=True)`` goes on from the newest one. Empty by default: no checkpoints. (Configuration:
        ``daskals.checkpoint-dir``.)
    solver : "cholesky" (default) or "cg"
        Solve each row's equations exactly, as Spark, or take ``cgSteps`` (3) conjugate gradient steps from the row
        as it was: cheaper at high rank, and close to it after a few more iterations. Not with nonnegative.

    Parameters that differ
    ----------------------
    seed
        The default is fixed, 1994790107, as in Spark's Scala; PySpark's default changes with every process.
    numUserBlocks, numItemBlocks
        Part of the definition of the start values, as in Spark. Where set, also the number of blocks in which
        ratings are held; the automatic number otherwise (see `daskals.partitioning`). The latter never changes a
        result. The configuration ``daskals.user-blocks`` and ``daskals.item-blocks`` goes before both.
    nonnegative
        Starts from the absolute values of Spark's start values: from those themselves all factors can become
        zero and stay so.
    intermediateStorageLevel, finalStorageLevel
        Have no effect; a warning says so where they are set to something else than the default. The same holds for
        checkpointInterval where no checkpointDir is set.

    Raises ``TypeError`` for a value of a wrong type, at once; ``ValueError`` for one out of range, at `fit`.

    >>> import pandas as pd
    >>> ratings = pd.DataFrame(
    ...     [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0)],
    ...     columns=["user", "item", "rating"],
    ... )
    >>> als = ALS(rank=10, seed=0, maxIter=5)
    >>> model = als.fit(ratings)
    >>> test = pd.DataFrame({"user": [0, 1, 2], "item": [2, 0, 0]})
    >>> model.transform(test).prediction.astype(float).round(4).tolist()  # the numbers of Spark's own documentation
    [0.6929, 3.4736, -0.8992]
    """

    _java_class = "org.apache.spark.ml.recommendation.ALS"
    _own_params = ("precision", "sparkRandom", "solver", "cgSteps", "checkpointDir")

    rank = Param("rank", "number of factors", to_int, 10, at_least(1))
    maxIter = Param("maxIter", "number of iterations, each one items then users", to_int, 10, at_least(0))
    regParam = Param(
        "regParam", "regularisation; multiplied by the number of ratings of a row (ALS-WR)", to_float, 0.1, at_least(0)
    )
    numUserBlocks = Param("numUserBlocks", "number of user blocks; decides the start values", to_int, 10, at_least(1))
    numItemBlocks = Param("numItemBlocks", "number of item blocks; decides the start values", to_int, 10, at_least(1))
    implicitPrefs = Param("implicitPrefs", "whether ratings are counts of implicit feedback", to_boolean, False)
    alpha = Param("alpha", "confidence 1 + alpha |rating| of implicit feedback", to_float, 1.0, at_least(0))
    ratingCol = Param("ratingCol", "name of the column of ratings", to_string, "rating")
    nonnegative = Param("nonnegative", "whether factors must not be negative", to_boolean, False)
    checkpointInterval = Param("checkpointInterval", "iterations between checkpoints", to_int, 10, CHECKPOINTS)
    seed = Param("seed", "seed of the start values", to_int, DEFAULT_SEED, LONGS)
    intermediateStorageLevel = Param(
        "intermediateStorageLevel", STORAGE_DOC, to_string, "MEMORY_AND_DISK", one_of(*STORAGE_LEVELS[1:])
    )
    finalStorageLevel = Param(
        "finalStorageLevel", STORAGE_DOC, to_string, "MEMORY_AND_DISK", one_of(*STORAGE_LEVELS)
    )  # fmt: skip
    precision = Param(
        "precision",
        "'single' or 'double': type of the normal equations",
        to_string,
        "single",
        one_of("single", "double"),
    )
    checkpointDir = Param(
        "checkpointDir", "folder, or URL, that workers reach, for checkpoints; empty for none", to_string, ""
    )
    sparkRandom = Param("sparkRandom", "'3' or '2': whose start values", to_string, "3", one_of("3", "2"))
    solver = Param(
        "solver", "'cholesky' (exact) or 'cg' (conjugate gradients)", to_string, "cholesky", one_of("cholesky", "cg")
    )
    cgSteps = Param("cgSteps", "steps of solver='cg' for each row in each half-step", to_int, 3, at_least(1))

    @keyword_only
    def __init__(
        self,
        *,
        rank: int = 10,
        maxIter: int = 10,
        regParam: float = 0.1,
        numUserBlocks: int = 10,
        numItemBlocks: int = 10,
        implicitPrefs: bool = False,
        alpha: float = 1.0,
        userCol: str = "user",
        itemCol: str = "item",
        seed: int | None = None,
        ratingCol: str = "rating",
        nonnegative: bool = False,
        checkpointInterval: int = 10,
        intermediateStorageLevel: str = "MEMORY_AND_DISK",
        finalStorageLevel: str = "MEMORY_AND_DISK",
        coldStartStrategy: str = "nan",
        blockSize: int = 4096,
        precision: str = "single",
        sparkRandom: str = "3",
        solver: str = "cholesky",
        cgSteps: int = 3,
        checkpointDir: str = "",
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    @keyword_only_like(__init__)
    def setParams(self, **_: Any) -> Self:
        """Set several parameters, all by keyword, and return self; those not named stay as they are."""
        return self._set(**self._input_kwargs)

    def setNumBlocks(self, value: int) -> Self:
        """Set numUserBlocks and numItemBlocks and return self."""
        return self._set(numUserBlocks=value, numItemBlocks=value)

    @overload
    def fit(self, dataset: frames.Frame, params: ParamMap | None = None, *, resume: bool = False) -> ALSModel: ...

    @overload
    def fit(self, dataset: frames.Frame, params: list[ParamMap] | tuple[ParamMap, ...]) -> list[ALSModel]: ...

    def fit(
        self, dataset: frames.Frame, params: ParamMap | Iterable[ParamMap] | None = None, *, resume: bool = False
    ) -> ALSModel | list[ALSModel]:
        """Fit a model to ratings.

        Parameters
        ----------
        dataset : pandas.DataFrame or dask.dataframe.DataFrame
            With a column of users, one of items (integers of any width, strings, categories or dates) and one of
            ratings (numbers). A pair that stands twice counts twice. A dask frame is read once, on the workers.
        params : dict, or list of dict, optional
            Values that override those of this estimator: ``{als.maxIter: 20}``. For a list, a model each.
        resume : bool
            Go on from the newest checkpoint in ``checkpointDir``, which an earlier fit of the same ratings and
            parameters left there, on whatever cluster; from the beginning if there is none. The result is that of
            an undisturbed fit.

        Returns
        -------
        ALSModel, or list of ALSModel
            Its factors stay on the workers (with the default scheduler: in this process).

        Raises
        ------
        TypeError
            Neither pandas nor dask; ids or ratings of a type that cannot be such.
        ValueError
            A parameter out of range; a missing column; a null id, a fractional one; a null, NaN or infinite
            rating; no ratings at all; a row of factors that the ratings do not determine (regParam 0); a
            checkpoint of other ratings or parameters; resume without checkpointDir.
        OSError
            A checkpoint cannot be written. Earlier ones stay usable.
        """
        maps, several = read_param_maps(params)
        models = [model for _, model in self._fits(dataset, maps, resume=resume)]
        return models if several else models[0]

    def fitMultiple(self, dataset: frames.Frame, paramMaps: Sequence[ParamMap]) -> Iterator[tuple[int, ALSModel]]:
        """Fit a model for each map of parameters: an iterator of (place of the map, model).

        Several threads may take from it at once, and their fits run at once. The ratings are read and shuffled
        once for all maps that do not change columns or blocks. Errors are those of `fit`; parameters are checked
        for all maps before the first fit.
        """
        return self._fits(dataset, paramMaps)

    def _fits(self, dataset: frames.Frame, maps: Sequence[ParamMap], *, resume: bool = False) -> _Fits:
        estimators = [self.copy(each) for each in maps]
        for estimator in estimators:
            estimator.validate()
            estimator._warn_of_parameters_without_effect(stacklevel=4)
            if resume and estimator._checkpoint_dir() is None:
                raise ValueError(
                    "fit(..., resume=True) needs checkpointDir, the folder of the checkpoints to go on from"
                )
        if len(estimators) > 1 and any(estimator._checkpoint_dir() for estimator in estimators):
            raise ValueError("Several fits cannot share one checkpointDir: fit them one by one, each with its own")
        return _Fits(dataset, estimators, resume)

    def _prepare(self, dataset: frames.Frame) -> _Prepared:
        """Read, check and shuffle the ratings."""
        columns = frames.Columns(self.getUserCol(), self.getItemCol(), self.getRatingCol())
        frames.check_columns(dataset, columns, self.getPredictionCol())
        user_type, item_type = (frames.id_type(dataset, name) for name in (self.getUserCol(), self.getItemCol()))

        def shuffled() -> partitioning.Ratings:
            token = execution.new_token()
            chunks = frames.rating_chunks(dataset, columns, user_type, item_type, token)
            return partitioning.shuffle(chunks, self._blocks("user"), self._blocks("item"), token)

        ratings = execution.retry(shuffled, "Reading the ratings")
        return _Prepared(ratings, (user_type, item_type), frames.kind_of(dataset))

    def _preparation(self) -> tuple[Any, ...]:
        """All parameters that `_prepare` depends on."""
        names = self.getUserCol(), self.getItemCol(), self.getRatingCol(), self.getPredictionCol()
        return *names, self._blocks("user"), self._blocks("item")

    def _fit(self, prepared: _Prepared, resume: bool) -> ALSModel:
        start = training.Start(
            self.getRank(), self.getSeed(), self.getNumUserBlocks(), self.getNumItemBlocks(), self.getSparkRandom()
        )
        checkpoints = self._checkpoints(prepared.ratings)
        fragile = training.loses_history(prepared.ratings, self.getRank())
        if fragile and not (checkpoints and self.getCheckpointInterval() > 0):
            logger.warning(
                "These factors are more than daskals.durable-bytes: if a worker is lost, all iterations run again. "
                "Set checkpointDir, and only those after the newest checkpoint will."
            )
        with checkpoints.advice() if checkpoints else nullcontext():
            found = checkpoints.newest(prepared.ratings, self.getMaxIter()) if checkpoints and resume else None
            history = found.history if found else []
            reached = found and training.Reached(*found[:3])
            loop = training.iterations(prepared.ratings, start, self._objective(), reached)
            iteration, reached = next(loop), None
            while iteration.number < self.getMaxIter():
                del iteration  # a cluster that loses its items shall not make them again for us
                iteration, reached = loop.send(reached), None
                history.append((iteration.number, iteration.objective, iteration.rmse, iteration.seconds))
                logger.info("iteration %d: objective %.6g, training RMSE %.6g, %.2f s", *history[-1])
                if checkpoints and checkpoints.is_due(iteration.number):
                    execution.retry(
                        functools.partial(self._write, checkpoints, prepared, iteration, history),
                        "Writing a checkpoint",
                    )
                    if fragile:
                        reached = training.Reached(*checkpoints.read(iteration.number, prepared.ratings)[:3])
            finish = functools.partial(self._model, prepared, iteration, history, persist=True)
            return execution.retry(finish, "Keeping the model")

    def _write(
        self, checkpoints: Checkpoints, prepared: _Prepared, state: training.Iteration, history: list[tuple[Any, ...]]
    ) -> None:
        checkpoints.write(self._model(prepared, state, history), state.number)

    def _model(
        self, prepared: _Prepared, state: training.Iteration, history: list[tuple[Any, ...]], *, persist: bool = False
    ) -> ALSModel:
        """The model of one iteration; with ``persist`` its factors are computed and kept apart from the fit's."""
        users, items = (each.persist() if persist else each for each in (state.users, state.items))
        frame = pd.DataFrame(history, columns=HISTORY)
        model = ALSModel(users, items, prepared.id_types, prepared.kind, frame)
        model._become(self.uid)
        self._copy_values_to(model)
        return model

    def _checkpoint_dir(self) -> str | None:
        folder: str | None = execution.setting("checkpoint-dir")
        return self.getCheckpointDir() or folder

    def _checkpoints(self, ratings: partitioning.Ratings) -> Checkpoints | None:
        folder = self._checkpoint_dir()
        if folder is None:
            return None
        values = {param.name: value for param, value in self.extractParamMap().items()}
        identity = execution.retry(lambda: identity_of(ratings, values), "Reading the ratings", ratings.tasks)
        return Checkpoints(folder, self.getCheckpointInterval(), identity)

    def validate(self) -> None:
        """Raise one ``ValueError`` that names every value out of range and what is allowed."""
        super().validate()
        if self.getNonnegative() and self.getSolver().lower() == "cg":
            raise ValueError("solver='cg' cannot keep factors nonnegative: set solver='cholesky', or nonnegative=False")

    def _objective(self) -> Objective:
        return Objective(
            self.getRegParam(),
            self.getImplicitPrefs(),
            self.getAlpha(),
            self.getNonnegative(),
            self.getPrecision().lower() == "double",
            self.getCgSteps() if self.getSolver().lower() == "cg" else 0,
        )

    def _blocks(self, side: str) -> int | None:
        """How many blocks of ratings the user wants on a side; None where it is left to us."""
        configured: int | None = execution.setting(f"{side}-blocks")
        name = f"num{side.capitalize()}Blocks"
        return configured or (self.getOrDefault(name) if self.isSet(name) else None)

    def _warn_of_parameters_without_effect(self, stacklevel: int) -> None:
        idle = ["intermediateStorageLevel", "finalStorageLevel"]
        if self._checkpoint_dir() is None:
            idle.append("checkpointInterval")
        for name in idle:
            if self.getOrDefault(name) != self.getParam(name).default:
                where = " without checkpointDir" if name == "checkpointInterval" else ""
                warnings.warn(
                    f"{name}={self.getOrDefault(name)!r} has no effect in daskals{where}", stacklevel=stacklevel
                )


class _Prepared(NamedTuple):
    """Ratings ready to fit, and what is known of the frame that they come from."""

    ratings: partitioning.Ratings
    id_types: tuple[frames.IdType, frames.IdType]
    kind: frames.Kind


class _Fits(Iterator[tuple[int, ALSModel]]):
    """The iterator of `ALS.fitMultiple`, safe to be shared by threads."""

    def __init__(self, dataset: frames.Frame, estimators: list[ALS], resume: bool) -> None:
        self._dataset = dataset
        self._resume = resume
        self._estimators = estimators
        self._next = 0
        self._lock = threading.Lock()
        self._preparing = threading.Lock()
        self._prepared: dict[tuple[Any, ...], _Prepared] = {}

    def __next__(self) -> tuple[int, ALSModel]:
        with self._lock:
            place = self._next
            self._next += 1
        if place >= len(self._estimators):
            self._prepared.clear()
            raise StopIteration
        estimator = self._estimators[place]
        return place, estimator._fit(self._ratings_for(estimator), self._resume)

    def _ratings_for(self, estimator: ALS) -> _Prepared:
        with self._preparing:
            key = estimator._preparation()
            if key not in self._prepared:
                self._prepared[key] = estimator._prepare(self._dataset)
            return self._prepared[key]
