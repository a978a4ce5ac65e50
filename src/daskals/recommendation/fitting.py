"""One fit: the ratings are read and shuffled, the iterations run, checkpoints are written, a model is made.

What the parameters mean to the engine is said in `daskals.recommendation.meanings`; what looks on while the iterations
run is in `daskals.recommendation.watching`.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daskals import progress
from daskals.blocks.goal import Learned
from daskals.engine.factors import FactorMatrix
from daskals.engine.forms import FitShape, choose_halves
from daskals.engine.held_out import HeldOut
from daskals.engine.loop import Iteration, Iterations, ResumePoint
from daskals.engine.plan import Plan, make_plan
from daskals.engine.shuffle import shuffle
from daskals.engine.sides import Ratings
from daskals.engine.warm_start import warm_point
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
from daskals.progress import duration
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
from daskals.recommendation.warm_start import factors_to_start_from
from daskals.recommendation.watching import (
    BestFactors,
    Callback,
    StoppingRules,
    measure_of,
    read_validation,
    tell,
    validation_identity,
)

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
    #: the validation rows, if there are any
    held_out: HeldOut | None

    def factors(self, users: FactorMatrix, items: FactorMatrix) -> Factors:
        """Factors of these users and items."""
        return Factors(users, items, self.user_ids, self.item_ids)


def preparation_key(params: ALSParams, settings: Settings) -> tuple[Any, ...]:
    """All parameters that `prepare` depends on: fits for which they are equal can share the ratings."""
    names = params.getUserCol(), params.getItemCol(), params.getRatingCol(), params.getPredictionCol()
    return *names, params.getWeightCol(), blocks_wanted(params, settings)


def prepare(params: ALSParams, scheduler: Scheduler, dataset: Frame, validation: Frame | None) -> Prepared:
    """Read, check and shuffle the ratings; and the validation rows, if there are any."""
    columns = columns_to_read(params)
    dataset, kind = read_columns(dataset, columns, params.getPredictionCol())
    user_ids, item_ids = (id_type(dataset, name) for name in (params.getUserCol(), params.getItemCol()))

    wanted = blocks_wanted(params, scheduler.settings)
    shape = FitShape(columns_of(params), solver_of(params), params.getBiases(), needs_users=validation is not None)
    choose = functools.partial(choose_halves, scheduler, shape, wanted)

    def shuffled() -> Ratings:
        token = new_token()
        chunks = rating_chunks(scheduler, dataset, columns, user_ids, item_ids, token)
        with naming_bad_partitions(scheduler, dataset, columns.named):
            return shuffle(scheduler, chunks, wanted, token, choose)

    ratings = scheduler.retry(shuffled, "Reading the ratings")
    held_out = None
    if validation is not None:
        # each held-out rating counts alike
        columns = columns._replace(weight=None)
        with progress.stage("Reading the validation rows"):
            held_out = read_validation(scheduler, validation, columns, (user_ids, item_ids), ratings)
    return Prepared(ratings, user_ids, item_ids, kind, held_out)


# ---- iterations ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FitOptions:
    """What a fit is asked for besides its parameters."""

    #: whether to go on from the newest checkpoint
    resume: bool = False
    #: a frame of held-out ratings
    validation: Frame | None = None
    callbacks: Sequence[Callback] = ()
    #: a model whose factors the fit starts from
    initial_model: ALSModel | None = None


@dataclass(frozen=True)
class Fit:
    """One fit to ratings that are prepared; `run` does it."""

    params: ALS
    scheduler: Scheduler
    prepared: Prepared
    options: FitOptions = FitOptions()

    def run(self) -> ALSModel:
        """Run all iterations, or those after the newest checkpoint, and make the model."""
        params = self.params
        with progress.stage("Preparing the fit"):
            look = functools.partial(aim_of, self.scheduler, self.prepared.ratings, params)
            aim = self.scheduler.retry(look, "Looking at the ratings", self.prepared.ratings.tasks)
            plan = make_plan(self.scheduler, aim.ratings, columns_of(params), aim.goal, solver_of(params))
            start = self._start(plan)
            checkpoints = self._checkpoints(start)
        if plan.loses_history and not (checkpoints and params.getCheckpointInterval() > 0):
            logger.warning(
                "These factors are more than daskals.durable-bytes: if a worker is lost, all iterations run again. "
                "Set checkpointDir, and only those after the newest checkpoint will."
            )
        with checkpoints.naming_newest_checkpoint() if checkpoints else nullcontext():
            return self._iterate(plan, aim, start, checkpoints)

    def _start(self, plan: Plan) -> ResumePoint | None:
        """The rows of the model that the fit starts from, if there is one."""
        model, prepared = self.options.initial_model, self.prepared
        if model is None:
            return None
        users, items = factors_to_start_from(model, prepared.user_ids, prepared.item_ids)
        cold = start_values_of(self.params)
        make = functools.partial(warm_point, plan, prepared.ratings, cold, users, items)
        return self.scheduler.retry(make, "Reading initialModel", prepared.ratings.tasks)

    def _checkpoints(self, start: ResumePoint | None) -> Checkpoints | None:
        """The folder of checkpoints, if there is one, with what identifies this fit."""
        folder = checkpoint_folder(self.params, self.scheduler.settings)
        if folder is None:
            return None
        values = {param.name: value for param, value in self.params.extractParamMap().items()}
        read = functools.partial(identity_of, self.scheduler, self.prepared.ratings, values, start)
        identity = self.scheduler.retry(read, "Reading the ratings", self.prepared.ratings.tasks)
        held_out = self.prepared.held_out
        validation = None if held_out is None else validation_identity(self.scheduler, self.params, held_out)
        interval = self.params.getCheckpointInterval()
        return Checkpoints(self.scheduler, folder, interval, ALSModel._java_class, identity, validation)

    def _iterate(self, plan: Plan, aim: Aim, start: ResumePoint | None, checkpoints: Checkpoints | None) -> ALSModel:
        ratings, n_iterations, held_out = aim.ratings, self.params.getMaxIter(), self.prepared.held_out
        measure = None if held_out is None else measure_of(self.params, plan, ratings, held_out)
        rules = StoppingRules(self.params.getTol(), self.params.getPatience())
        history = History(implicit=plan.goal.objective.implicit, validated=measure is not None)
        found = None
        if checkpoints and self.options.resume:
            found = checkpoints.newest(ratings, n_iterations, lambda told: rules.best_if_reached(history.filled(told)))
        history = history.filled(found.history) if found else history
        with progress.steps("Fitting", n_iterations, "iterations", done=len(history)) as fitting:
            loop = Iterations(ratings, start_values_of(self.params), plan, found.point if found else start)
            best = BestFactors(loop, ratings, checkpoints)
            if found and measure:
                best.read_from_checkpoint(history.best)
            for iteration in itertools.islice(loop, 0 if rules.stop(history) else n_iterations - loop.number):
                metric = measure.of(loop.snapshot()) if measure else None
                history.append(iteration, metric)
                best.look(history)
                fitting.step(in_short(iteration, metric, implicit=plan.goal.objective.implicit))
                log_iteration(iteration, metric, implicit=plan.goal.objective.implicit)
                if checkpoints and checkpoints.is_due(iteration.number):
                    self._write(checkpoints, loop, history, best, aim.learned)
                    if plan.loses_history:
                        loop.restart_from(checkpoints.read(iteration.number, ratings))
                        if measure:
                            best.read_from_checkpoint(history.best)
                if tell(self.options.callbacks, iteration, metric, history.best) or rules.stop(history):
                    break
        return self._kept(plan, history, best, aim.learned)

    def _write(
        self, checkpoints: Checkpoints, loop: Iterations, history: History, best: BestFactors, learned: Learned
    ) -> None:
        """Write a checkpoint, which is a model as `ALSModel.save` writes it; and the best iteration as another one.

        The best is written before, so that no checkpoint is ever without it.
        """

        def write(make: Callable[[], tuple[FactorMatrix, FactorMatrix]], number: int) -> None:
            factors = self.prepared.factors(*make())
            fields = self._model(factors, history.head(number), learned)._metadata()
            checkpoints.write(factors, number, fields, history.best)

        with progress.stage("Writing a checkpoint"):
            if history.best != loop.number and not checkpoints.has(history.best):
                self.scheduler.retry(functools.partial(write, best.factors, history.best), "Writing a checkpoint")
            self.scheduler.retry(functools.partial(write, loop.factors, loop.number), "Writing a checkpoint")

    def _kept(self, plan: Plan, history: History, best: BestFactors, learned: Learned) -> ALSModel:
        """The model of the best iteration, or of the last one, whose factors stay where they are."""

        def kept() -> Factors:
            return self.prepared.factors(*(matrix.persist(plan.scheduler) for matrix in best.factors()))

        with progress.stage("Keeping the model"):
            factors = plan.scheduler.retry(kept, "Keeping the model")
            until = history.head(history.best)
            warn = functools.partial(warn_of_overflow, plan.scheduler, factors, until, self._least_penalty(plan))
            plan.scheduler.retry(warn, "Looking at the factors")
        return self._model(factors, history, learned)

    def _least_penalty(self, plan: Plan) -> float:
        """What |x|^2 of a row with ratings is multiplied by at least, as far as that is known."""
        is_weighed = self.params.getWeightCol() or plan.goal.weights is not None  # perhaps by next to nothing
        return 0.0 if is_weighed else min(plan.users.objective.reg, plan.items.objective.reg)

    def _model(self, factors: Factors, history: History, learned: Learned) -> ALSModel:
        model = ALSModel(factors, self.prepared.frame_kind, history.frame())
        model._resetUid(self.params.uid)
        self.params._copyValues(model)
        model._parent, model._learned = self.params.copy(), learned
        return model


def log_iteration(iteration: Iteration, metric: float | None, *, implicit: bool) -> None:
    """A line of the log for an iteration."""
    if not logger.isEnabledFor(logging.INFO):
        return
    measured = "" if metric is None else f", validation {'NDCG' if implicit else 'RMSE'} {metric:.6g}"
    with progress.aside():  # logs often go to the same terminal
        logger.info(
            "iteration %d: objective %.6g, %s %.6g%s, %.2f s",
            *(iteration.number, iteration.objective, "RMSE of preferences" if implicit else "training RMSE"),
            *(iteration.rmse, measured, iteration.seconds),
        )


def in_short(iteration: Iteration, metric: float | None, *, implicit: bool) -> str:
    """What progress says of an iteration, so short that a bar is left in 80 columns.

    An implicit fit that is measured shows its NDCG in place of the objective. (RMSE of preferences says little.)
    """
    if implicit:
        value = f"objective {iteration.objective:#.5g}" if metric is None else f"validation NDCG {metric:#.4g}"
    else:
        value = f"RMSE {iteration.rmse:#.4g}" + ("" if metric is None else f", validation {metric:#.4g}")
    return f"{duration(iteration.seconds)}, {value}"
