"""`ALS`, the counterpart of ``pyspark.ml.recommendation.ALS``.

Everything here is thin: each step of a fit is one call into the floors below.
"""

from __future__ import annotations

import functools
import itertools
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, overload

from daskals.engine.loop import Iterations
from daskals.engine.plan import Plan, make_plan
from daskals.engine.shuffle import shuffle
from daskals.engine.sides import Ratings
from daskals.engine.start_values import StartValues
from daskals.execution.scheduler import Scheduler, current_scheduler
from daskals.execution.settings import Settings
from daskals.execution.tasks import new_token
from daskals.io.checkpoints import Checkpoints, identity_of
from daskals.io.frames import Frame, kind_of
from daskals.io.frames_in import Columns, check_columns, rating_chunks
from daskals.io.ids import id_type
from daskals.io.model_files import Factors
from daskals.io.partition_faults import naming_bad_partitions
from daskals.io.readwrite import Savable
from daskals.kernels.objective import Objective, Solver
from daskals.params.declared import ParamMap, keyword_only, keyword_only_like, read_param_maps
from daskals.recommendation.fitting import FitIterator, History, Prepared
from daskals.recommendation.model import ALSModel
from daskals.recommendation.parameters import ALSParams

if TYPE_CHECKING:
    from typing import Self

logger = logging.getLogger("daskals")


class ALS(ALSParams, Savable):
    """Alternating least squares, the counterpart of ``pyspark.ml.recommendation.ALS``.

    Finds a row of ``rank`` numbers for every user and every item whose dot products come close to the ratings.
    Parameters have Spark's names, defaults and meaning; ``als.explainParams()`` lists them. The objectives stand
    in `daskals.kernels.objective.Objective`. With the same seed, ``numUserBlocks`` and data the factors are Spark's, to
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
        ratings are held; the automatic number otherwise (see `daskals.engine.plan`). The latter never changes a
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
    def fit(self, dataset: Frame, params: ParamMap | None = None, *, resume: bool = False) -> ALSModel: ...

    @overload
    def fit(self, dataset: Frame, params: list[ParamMap] | tuple[ParamMap, ...]) -> list[ALSModel]: ...

    def fit(
        self, dataset: Frame, params: ParamMap | Iterable[ParamMap] | None = None, *, resume: bool = False
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
        models = [model for _, model in self._prepare_fits(dataset, maps, resume=resume)]
        return models if several else models[0]

    def fitMultiple(self, dataset: Frame, paramMaps: Sequence[ParamMap]) -> Iterator[tuple[int, ALSModel]]:
        """Fit a model for each map of parameters: an iterator of (place of the map, model).

        Several threads may take from it at once, and their fits run at once. The ratings are read and shuffled
        once for all maps that do not change columns or blocks. Errors are those of `fit`; parameters are checked
        for all maps before the first fit.
        """
        return self._prepare_fits(dataset, paramMaps)

    def _prepare_fits(self, dataset: Frame, maps: Sequence[ParamMap], *, resume: bool = False) -> FitIterator:
        """Check what can be checked before any work; the work is done as the result is iterated over."""
        scheduler = current_scheduler()
        estimators = [self.copy(each) for each in maps]
        folders = [estimator._checkpoint_dir(scheduler.settings) for estimator in estimators]
        for estimator, folder in zip(estimators, folders, strict=True):
            estimator.validate()
            estimator._warn_of_parameters_without_effect(folder, stacklevel=4)
            if resume and folder is None:
                raise ValueError(
                    "fit(..., resume=True) needs checkpointDir, the folder of the checkpoints to go on from"
                )
        if len(estimators) > 1 and any(folders):
            raise ValueError("Several fits cannot share one checkpointDir: fit them one by one, each with its own")
        return FitIterator(
            estimators,
            key=lambda als: als._preparation(scheduler.settings),
            prepare=lambda als: als._prepare(scheduler, dataset),
            fit=lambda als, prepared: als._fit(scheduler, prepared, resume),
        )

    def _prepare(self, scheduler: Scheduler, dataset: Frame) -> Prepared:
        """Read, check and shuffle the ratings."""
        columns = Columns(self.getUserCol(), self.getItemCol(), self.getRatingCol())
        check_columns(dataset, columns, self.getPredictionCol())
        user_ids, item_ids = (id_type(dataset, name) for name in (self.getUserCol(), self.getItemCol()))

        def shuffled() -> Ratings:
            token = new_token()
            chunks = rating_chunks(scheduler, dataset, columns, user_ids, item_ids, token)
            with naming_bad_partitions(scheduler, dataset, columns.named):
                return shuffle(scheduler, chunks, self._blocks(scheduler.settings), token)

        return Prepared(scheduler.retry(shuffled, "Reading the ratings"), user_ids, item_ids, kind_of(dataset))

    def _preparation(self, settings: Settings) -> tuple[Any, ...]:
        """All parameters that `_prepare` depends on."""
        names = self.getUserCol(), self.getItemCol(), self.getRatingCol(), self.getPredictionCol()
        return *names, self._blocks(settings)

    def _fit(self, scheduler: Scheduler, prepared: Prepared, resume: bool) -> ALSModel:
        ratings = prepared.ratings
        plan = make_plan(scheduler, ratings, self.getRank(), self._objective(), self._solver())
        checkpoints = self._checkpoints(scheduler, ratings)
        if plan.loses_history and not (checkpoints and self.getCheckpointInterval() > 0):
            logger.warning(
                "These factors are more than daskals.durable-bytes: if a worker is lost, all iterations run again. "
                "Set checkpointDir, and only those after the newest checkpoint will."
            )
        with checkpoints.naming_newest_checkpoint() if checkpoints else nullcontext():
            return self._iterate(plan, prepared, checkpoints, resume)

    def _iterate(self, plan: Plan, prepared: Prepared, checkpoints: Checkpoints | None, resume: bool) -> ALSModel:
        found = checkpoints.newest(prepared.ratings, self.getMaxIter()) if checkpoints and resume else None
        history = History(found.history if found else {})
        loop = Iterations(prepared.ratings, self._start_values(), plan, found.point if found else None)
        for iteration in itertools.islice(loop, self.getMaxIter() - loop.number):
            history.append(iteration)
            logger.info(
                "iteration %d: objective %.6g, training RMSE %.6g, %.2f s",
                *(iteration.number, iteration.objective, iteration.rmse, iteration.seconds),
            )
            if checkpoints and checkpoints.is_due(iteration.number):
                write = functools.partial(self._write, checkpoints, prepared, loop, history)
                plan.scheduler.retry(write, "Writing a checkpoint")
                if plan.loses_history:
                    loop.restart_from(checkpoints.read(iteration.number, prepared.ratings).point)

        def kept() -> ALSModel:
            users, items = (matrix.persist(plan.scheduler) for matrix in loop.factors())
            return self._model(prepared.factors(users, items), prepared, history)

        return plan.scheduler.retry(kept, "Keeping the model")

    def _write(self, checkpoints: Checkpoints, prepared: Prepared, loop: Iterations, history: History) -> None:
        """Write a checkpoint, which is a model as `ALSModel.save` writes it."""
        factors = prepared.factors(*loop.factors())
        checkpoints.write(factors, loop.number, self._model(factors, prepared, history)._metadata())

    def _model(self, factors: Factors, prepared: Prepared, history: History) -> ALSModel:
        model = ALSModel(factors, prepared.frame_kind, history.frame())
        model._become(self.uid)
        self._copy_values_to(model)
        return model

    def _checkpoint_dir(self, settings: Settings) -> str | None:
        return self.getCheckpointDir() or settings.checkpoint_dir

    def _checkpoints(self, scheduler: Scheduler, ratings: Ratings) -> Checkpoints | None:
        folder = self._checkpoint_dir(scheduler.settings)
        if folder is None:
            return None
        values = {param.name: value for param, value in self.extractParamMap().items()}
        read = functools.partial(identity_of, scheduler, ratings, values)
        identity = scheduler.retry(read, "Reading the ratings", ratings.tasks)
        return Checkpoints(scheduler, folder, self.getCheckpointInterval(), ALSModel._java_class, identity)

    def validate(self) -> None:
        """Raise one ``ValueError`` that names every value out of range and what is allowed."""
        super().validate()
        if self.getNonnegative() and self.getSolver().lower() == "cg":
            raise ValueError("solver='cg' cannot keep factors nonnegative: set solver='cholesky', or nonnegative=False")

    def _objective(self) -> Objective:
        return Objective(self.getRegParam(), self.getImplicitPrefs(), self.getAlpha(), self.getNonnegative())

    def _solver(self) -> Solver:
        return Solver(
            # a search among active sets needs all the digits there are
            double=self.getPrecision().lower() == "double" or self.getNonnegative(),
            cg_steps=self.getCgSteps() if self.getSolver().lower() == "cg" else 0,
        )

    def _start_values(self) -> StartValues:
        return StartValues(
            self.getSeed(),
            user_blocks=self.getNumUserBlocks(),
            item_blocks=self.getNumItemBlocks(),
            version=self.getSparkRandom(),
            nonnegative=self.getNonnegative(),
        )

    def _blocks(self, settings: Settings) -> tuple[int | None, int | None]:
        """In how many blocks the user wants the ratings of users and of items held; None where it is left to us."""
        return (
            settings.user_blocks or (self.getNumUserBlocks() if self.isSet("numUserBlocks") else None),
            settings.item_blocks or (self.getNumItemBlocks() if self.isSet("numItemBlocks") else None),
        )

    def _warn_of_parameters_without_effect(self, checkpoint_dir: str | None, stacklevel: int) -> None:
        idle = ["intermediateStorageLevel", "finalStorageLevel"]
        if checkpoint_dir is None:
            idle.append("checkpointInterval")
        for name in idle:
            if self.getOrDefault(name) != self.getParam(name).default:
                where = " without checkpointDir" if name == "checkpointInterval" else ""
                warnings.warn(
                    f"{name}={self.getOrDefault(name)!r} has no effect in daskals{where}", stacklevel=stacklevel
                )
