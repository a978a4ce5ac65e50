"""What the parameters of an estimator mean to the engine: one function for each value that the engine takes."""

from __future__ import annotations

from daskals.engine.start_values import StartValues
from daskals.execution.settings import Settings
from daskals.kernels.objective import Objective, Solver
from daskals.recommendation.parameters import ALSParams


def objective_of(params: ALSParams) -> Objective:
    """What is minimised."""
    return Objective(params.getRegParam(), params.getImplicitPrefs(), params.getAlpha(), params.getNonnegative())


def solver_of(params: ALSParams) -> Solver:
    """How rows are solved."""
    return Solver(
        # a search among active sets needs all the digits there are
        double=params.getPrecision().lower() == "double" or params.getNonnegative(),
        cg_steps=params.getCgSteps() if params.getSolver().lower() == "cg" else 0,
    )


def start_values_of(params: ALSParams) -> StartValues:
    """Which factors the first iteration starts from."""
    return StartValues(
        params.getSeed(),
        user_blocks=params.getNumUserBlocks(),
        item_blocks=params.getNumItemBlocks(),
        version=params.getSparkRandom(),
        nonnegative=params.getNonnegative(),
    )


def blocks_wanted(params: ALSParams, settings: Settings) -> tuple[int | None, int | None]:
    """In how many blocks the user wants the ratings of users and of items held; None where it is left to us."""
    return (
        settings.user_blocks or (params.getNumUserBlocks() if params.isSet("numUserBlocks") else None),
        settings.item_blocks or (params.getNumItemBlocks() if params.isSet("numItemBlocks") else None),
    )


def checkpoint_folder(params: ALSParams, settings: Settings) -> str | None:
    """Where checkpoints are written; None for nowhere."""
    return params.getCheckpointDir() or settings.checkpoint_dir
