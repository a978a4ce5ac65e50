"""One fit: the ratings are read and shuffled, the iterations run, checkpoints are written, a model is made.

What the parameters mean to the engine is said in `daskals.recommendation.meanings`.
"""

from __future__ import annotations

import functools
import itertools
import logging
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daskals.blocks.goal import Learned
from daskals.engine.factors import FactorMatrix
from daskals.engine.loop import Iterations
from daskals.engine.plan import Plan, make_plan
from daskals.engine.shuffle import shuffle
from daskals.engine.sides import Ratings
from daskals.execution.scheduler import Scheduler
from daskals.execution.settings import Settings
from daskals.execution.tasks import new_token
from daskals.io.checkpoints import Checkpoints
from daskals.io.frames import Frame, FrameKind
from daskals.io.frames_in import rating_chunks, read_columns
from daskals.io.id_types import IdType
from daskals.io.identity import identity_of
from daskals.io.ids import id_type
from daskals.io.model_files import Factors
from daskals.io.partition_faults import naming_bad_partitions
from daskals.recommendation.aims import Aim, aim_of
from daskals.recommendation.cautions import warn_of_overflow
from daskals.recommendation.history import History
from daskals.recommendation.meanings import (
    blocks_wanted,
    checkpoint_folder,
    columns_of,
    columns_to_read,
    solver_of,
    start_values_of,
)
from daskals.recommendation.model import ALSModel
from daskals.recommendation.parameters import ALSParams

if TYPE_CHECKING:
    from daskals.recommendation.estimator import ALS

logger = logging.getLogger("daskals")


# ---- ratings ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prepared:
    """Ratings ready to fit, and what is known of the frame that they come from."""

    ratings: Ratings
    user_ids: IdType
    item_ids: IdType
    frame_kind: FrameKind

    def factors(self, users: FactorMatrix, items: FactorMatrix) -> Factors:
        """Factors of these users and items."""
        return Factors(users, items, self.user_ids, self.item_ids)


def preparation_key(params: ALSParams, settings: Settings) -> tuple[Any, ...]:
    """All parameters that `prepare` depends on: fits for which they are equal can share the ratings."""
    names = params.getUserCol(), params.getItemCol(), params.getRatingCol(), params.getPredictionCol()
    return *names, params.getWeightCol(), blocks_wanted(params, settings)


def prepare(params: ALSParams, scheduler: Scheduler, dataset: Frame) -> Prepared:
    """Read, check and shuffle the ratings."""
    columns = columns_to_read(params)
    dataset, kind = read_columns(dataset, columns, params.getPredictionCol())
    user_ids, item_ids = (id_type(dataset, name) for name in (params.getUserCol(), params.getItemCol()))

    def shuffled() -> Ratings:
        token = new_token()
        chunks = rating_chunks(scheduler, dataset, columns, user_ids, item_ids, token)
        with naming_bad_partitions(scheduler, dataset, columns.named):
            return shuffle(scheduler, chunks, blocks_wanted(params, scheduler.settings), token)

    return Prepared(scheduler.retry(shuffled, "Reading the ratings"), user_ids, item_ids, kind)


# ---- iterations ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """One fit to ratings that are prepared; `run` does it."""

    params: ALS
    scheduler: Scheduler
    prepared: Prepared

    def run(self, *, resume: bool) -> ALSModel:
        """Run all iterations, or those after the newest checkpoint, and make the model."""
        params = self.params
        look = functools.partial(aim_of, self.scheduler, self.prepared.ratings, params)
        aim = self.scheduler.retry(look, "Looking at the ratings", self.prepared.ratings.tasks)
        plan = make_plan(self.scheduler, aim.ratings, columns_of(params), aim.goal, solver_of(params))
        checkpoints = self._checkpoints()
        if plan.loses_history and not (checkpoints and params.getCheckpointInterval() > 0):
            logger.warning(
                "These factors are more than daskals.durable-bytes: if a worker is lost, all iterations run again. "
                "Set checkpointDir, and only those after the newest checkpoint will."
            )
        with checkpoints.naming_newest_checkpoint() if checkpoints else nullcontext():
            return self._iterate(plan, aim, checkpoints, resume)

    def _checkpoints(self) -> Checkpoints | None:
        """The folder of checkpoints, if there is one, with what identifies this fit."""
        folder = checkpoint_folder(self.params, self.scheduler.settings)
        if folder is None:
            return None
        values = {param.name: value for param, value in self.params.extractParamMap().items()}
        read = functools.partial(identity_of, self.scheduler, self.prepared.ratings, values)
        identity = self.scheduler.retry(read, "Reading the ratings", self.prepared.ratings.tasks)
        interval = self.params.getCheckpointInterval()
        return Checkpoints(self.scheduler, folder, interval, ALSModel._java_class, identity)

    def _iterate(self, plan: Plan, aim: Aim, checkpoints: Checkpoints | None, resume: bool) -> ALSModel:
        ratings, n_iterations, implicit = aim.ratings, self.params.getMaxIter(), aim.goal.objective.implicit
        found = checkpoints.newest(ratings, n_iterations) if checkpoints and resume else None
        history = History.of(found.history) if found else History(implicit=implicit)
        loop = Iterations(ratings, start_values_of(self.params), plan, found.point if found else None)
        error = "RMSE of preferences" if implicit else "training RMSE"
        for iteration in itertools.islice(loop, n_iterations - loop.number):
            history.append(iteration)
            logger.info(
                "iteration %d: objective %.6g, %s %.6g, %.2f s",
                *(iteration.number, iteration.objective, error, iteration.rmse, iteration.seconds),
            )
            if checkpoints and checkpoints.is_due(iteration.number):
                write = functools.partial(self._write, checkpoints, loop, history, aim.learned)
                plan.scheduler.retry(write, "Writing a checkpoint")
                if plan.loses_history:
                    loop.restart_from(checkpoints.read(iteration.number, ratings))

        def kept() -> Factors:
            return self.prepared.factors(*(matrix.persist(plan.scheduler) for matrix in loop.factors()))

        factors = plan.scheduler.retry(kept, "Keeping the model")
        warn = functools.partial(warn_of_overflow, plan.scheduler, factors, history, aim.goal.objective.reg)
        plan.scheduler.retry(warn, "Looking at the factors")
        return self._model(factors, history, aim.learned)

    def _write(self, checkpoints: Checkpoints, loop: Iterations, history: History, learned: Learned) -> None:
        """Write a checkpoint, which is a model as `ALSModel.save` writes it."""
        factors = self.prepared.factors(*loop.factors())
        checkpoints.write(factors, loop.number, self._model(factors, history, learned)._metadata())

    def _model(self, factors: Factors, history: History, learned: Learned) -> ALSModel:
        model = ALSModel(factors, self.prepared.frame_kind, history.frame())
        model._resetUid(self.params.uid)
        self.params._copyValues(model)
        model._parent, model._learned = self.params.copy(), learned
        return model
