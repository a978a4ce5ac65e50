"""Warnings about a fit that has ended well: they must never cost the model."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path

import numpy as np

from daskals.engine.factors import FactorMatrix
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import task
from daskals.io.model_files import Factors
from daskals.kernels.types import Float32
from daskals.recommendation.history import History

logger = logging.getLogger("daskals")
PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
LARGEST = float(np.finfo(np.float32).max)
ADVICE = (
    "Ratings and regParam must be of a size that single precision can hold, in squares and products too: divide the "
    "ratings by a constant, or lower regParam."
)


def warn_of_overflow(scheduler: Scheduler, factors: Factors, history: History, reg: float) -> None:
    """Warn, once, if numbers of a fit were too large: a history that is not finite, or predictions that may not be.

    The factors are looked at only where the objective does not tell that they are small. It is at least
    reg (|x|^2 + |y|^2) for every user x and item y with ratings, and a prediction is at most half of that sum.
    """
    iteration = history.first_not_finite()
    if iteration is not None:
        caution(
            f"The objective, or the error, of iteration {iteration} is not a finite number: predictions can be "
            f"infinite, or wrong. {ADVICE}"
        )
        return
    objective = history.last_objective
    if objective is None or objective < 2 * reg * LARGEST:
        return
    users, items = (_longest_row(scheduler, matrix) for matrix in (factors.users, factors.items))
    if users * items > LARGEST:
        caution(
            "The factors are so large that predictions can be infinite: the rows of users have lengths up to "
            f"{users:.3g}, those of items up to {items:.3g}. {ADVICE}"
        )


def _longest_row(scheduler: Scheduler, matrix: FactorMatrix) -> float:
    """The largest Euclidean length of a row of factors."""
    blocks = enumerate(matrix.blocks)
    tasks = [task(_longest, rows, name=f"als-norm-{matrix.token}-{n}") for n, rows in blocks]
    lengths: tuple[float, ...] = scheduler.fetch(*tasks)
    return max(lengths)


def _longest(rows: Float32) -> float:
    return float(np.sqrt(np.square(rows, dtype=np.float64).sum(axis=1).max(initial=0.0)))


def caution(message: str) -> None:
    """Warn, at the line outside of this package; where warnings are errors, log the message instead.

    The model that the message is about is there, and an exception would lose it.
    """
    try:
        warnings.warn(message, stacklevel=_levels_to_the_caller())
    except UserWarning:
        logger.warning(message)


def _levels_to_the_caller() -> int:
    """The stacklevel of `warnings.warn`, called by `caution`, that points at code outside of this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    return level
