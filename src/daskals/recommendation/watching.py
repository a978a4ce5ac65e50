"""What looks on while a fit runs: when it stops, which iteration it keeps, and whom it tells.

The loop knows nothing of it (`daskals.engine.loop.Iterations`): after each iteration its caller asks here. What decides
follows from the history alone, so that a fit that goes on from a checkpoint stops where an undisturbed one does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from daskals import progress
from daskals.engine.factors import FactorMatrix
from daskals.engine.held_out import HeldOut, Measure, hold_out
from daskals.engine.loop import Iteration, Iterations
from daskals.engine.plan import Plan
from daskals.engine.sides import Ratings
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token
from daskals.io.checkpoints import Checkpoints
from daskals.io.frames import Frame
from daskals.io.frames_in import Columns, rating_chunks, read_columns
from daskals.io.id_types import IdType
from daskals.io.ids import id_type_to_look_up
from daskals.io.partition_faults import naming_bad_partitions
from daskals.recommendation.history import History
from daskals.recommendation.parameters import ALSParams

# ---- when a fit stops ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StoppingRules:
    """When a fit stops before maxIter."""

    tol: float
    patience: int

    def stop(self, history: History) -> bool:
        """Whether a fit stops after the last iteration of its history."""
        return self._has_converged(history.objectives) or self._is_out_of_patience(history)

    def _has_converged(self, objectives: Sequence[float]) -> bool:
        if not self.tol or len(objectives) < 2:
            return False
        before, now = objectives[-2:]
        return abs(before - now) <= self.tol * abs(before)

    def _is_out_of_patience(self, history: History) -> bool:
        return bool(self.patience) and history.validated and len(history) - history.best >= self.patience

    def best_if_reached(self, history: History) -> int | None:
        """The best iteration of a history; None where a fit would have stopped before its last iteration."""
        earlier = range(1, len(history))
        return None if any(self.stop(history.head(n)) for n in earlier) else history.best


# ---- held-out ratings ------------------------------------------------------------------------------------


def read_validation(
    scheduler: Scheduler, dataset: Frame, columns: Columns, ids: tuple[IdType, IdType], ratings: Ratings
) -> HeldOut:
    """Read, check and lay out the validation rows of a fit, whose ids are of these types.

    ``TypeError`` and ``ValueError`` as for the ratings of the fit, and ``ValueError`` where no row is of ids that the
    ratings have.
    """
    try:
        dataset, _ = read_columns(dataset, columns, frame="validation")
        users, items = (
            id_type_to_look_up(dataset, str(name), trained) for name, trained in zip(columns[:2], ids, strict=True)
        )

        def held() -> HeldOut:
            chunks = rating_chunks(scheduler, dataset, columns, users, items, new_token())
            with naming_bad_partitions(scheduler, dataset, columns.named):
                return hold_out(scheduler, chunks, ratings)

        held_out = scheduler.retry(held, "Reading the validation rows", ratings.tasks)
    except (TypeError, ValueError) as error:
        error.add_note("This happened in the frame that was passed as validation.")
        raise
    if not held_out.n_ratings:
        raise ValueError(
            f"None of the {held_out.n_given} rows of validation has a user and an item that are both in the ratings, "
            "and others cannot be measured: pass rows that were held out from the same ratings, or no validation."
        )
    return held_out


def measure_of(params: ALSParams, plan: Plan, ratings: Ratings, held_out: HeldOut) -> Measure:
    """How a fit is measured; ``ValueError`` where an implicit one finds nothing that would be relevant to anybody."""
    measure = Measure(plan, ratings, held_out, params.getValidationK(), params.getBlockSize()).prepared()
    if not measure.n_counted:
        raise ValueError(
            f"None of the {held_out.n_ratings} rows of validation that have a known user and item is relevant: in an "
            "implicit fit those are that have a rating above 0, and whose user and item are not among the ratings."
        )
    return measure


def validation_identity(scheduler: Scheduler, params: ALSParams, held_out: HeldOut) -> str:
    """What tells the metrics of this fit from others, for its checkpoints."""
    read = functools.partial(held_out.fingerprint, scheduler)
    metric = f"NDCG at {params.getValidationK()}" if params.getImplicitPrefs() else "RMSE"
    word = scheduler.retry(read, "Reading the validation rows", held_out.blocks)
    return f"{metric} of {held_out.n_ratings} rows (fingerprint {word})"


class BestFactors:
    """The factors that the model will have: of the best iteration so far where a fit is measured, else of the last."""

    def __init__(self, loop: Iterations, ratings: Ratings, checkpoints: Checkpoints | None) -> None:
        self._loop, self._ratings, self._checkpoints = loop, ratings, checkpoints
        self._factors: Callable[[], tuple[FactorMatrix, FactorMatrix]] = loop.factors

    def look(self, history: History) -> None:
        """Hold the factors as they are now if a fit is measured and its last iteration is the best.

        One that is not measured has those of the loop, whatever it has come to when they are asked for.
        """
        if history.validated and history.best == len(history):
            self._factors = functools.partial(self._loop.factors, self._loop.snapshot())

    def read_from_checkpoint(self, number: int) -> None:
        """Hold no results, but read the factors from the checkpoint of this iteration when they are needed."""
        assert self._checkpoints is not None
        read = functools.partial(self._checkpoints.read, number, self._ratings)
        self._factors = lambda: self._loop.factors(self._loop.snapshot(read()))

    def factors(self) -> tuple[FactorMatrix, FactorMatrix]:
        """Of users and of items, as tasks that are new in each call."""
        return self._factors()


# ---- callbacks -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class IterationInfo:
    """What a callback is told after an iteration; the numbers are those of `ALSModel.history`.

    >>> from daskals import ALS
    >>> from daskals.datasets import make_ratings
    >>> ratings = make_ratings(n_users=60, n_items=40, n_ratings=1200, seed=1)
    >>> train, held_out = ratings.iloc[200:], ratings.iloc[:200]
    >>> als = ALS(rank=8, maxIter=30, regParam=0.01, patience=3)
    >>> seen = []
    >>> model = als.fit(train, validation=held_out, callbacks=[lambda iteration: seen.append(iteration.number)])
    >>> seen == model.history.iteration.tolist() == list(range(1, model.bestIteration + 4))
    True
    """

    #: the first one is 1
    number: int
    #: the value that the fit minimises
    objective: float
    #: the root mean squared error of the training ratings (explicit), or of all preferences (implicit)
    rmse: float
    #: how long the iteration took, without validation and checkpoints
    seconds: float
    #: RMSE (explicit) or NDCG (implicit) of the validation rows; None where there are none
    validation: float | None
    #: the iteration whose factors the model would have if the fit stopped now
    best: int


#: Returns True to stop the fit; None or False to let it go on.
Callback: TypeAlias = Callable[[IterationInfo], Any]


def check_callbacks(callbacks: Any) -> None:
    """``TypeError`` for what is no list of functions."""
    if isinstance(callbacks, list | tuple) and all(map(callable, callbacks)):
        return
    raise TypeError(f"callbacks must be a list of functions of one argument, got {callbacks!r}")


def tell(callbacks: Sequence[Callback], iteration: Iteration, metric: float | None, best: int) -> bool:
    """Call all callbacks; whether any of them wants the fit to stop. ``TypeError`` if one returns something else."""
    info = IterationInfo(iteration.number, iteration.objective, iteration.rmse, iteration.seconds, metric, best)
    with progress.aside() if callbacks else nullcontext():  # they may print
        answers = [callback(info) for callback in callbacks]
    for callback, answer in zip(callbacks, answers, strict=True):
        if answer is not None and not isinstance(answer, bool | np.bool_):
            raise TypeError(
                f"The callback {callback!r} returned {answer!r}: it must return True to stop the fit, and None or "
                "False to let it go on."
            )
    return any(answers)
