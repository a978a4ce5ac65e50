"""What the parameters of an estimator mean to the engine: one function for each value that the engine takes."""

from __future__ import annotations

from typing import Any

from daskals.blocks.biases import BIAS_COLUMNS
from daskals.blocks.goal import CountWeights, Goal, Learned
from daskals.engine.start_values import StartValues
from daskals.execution.settings import Settings
from daskals.io.frames_in import Columns
from daskals.kernels.objective import Objective, Solver
from daskals.recommendation.parameters import ALSParams

#: From this rank on ``solver="auto"`` takes "cg", and from the other one, for explicit ratings, "subspace". Measured by
#: benchmarks/convergence.py: steps are ahead at ranks 64 to 256, and at 512 blocks of columns for explicit ratings.
CG_RANK, SUBSPACE_RANK = 64, 384


def goal_of(params: ALSParams, learned: Learned) -> Goal:
    """What is minimised, given what was found out about the ratings."""
    return Goal(
        objective_of(params),
        user_reg=value_if_set(params, "userRegParam"),
        item_reg=value_if_set(params, "itemRegParam"),
        counts_all=params.getRegCount().lower() == "all",
        mean=learned.mean if params.getBiases() else None,
        weights=_count_weights(params, learned.count_scale),
    )


def objective_of(params: ALSParams) -> Objective:
    """What is minimised, but for what `goal_of` adds."""
    return Objective(
        params.getRegParam(),
        params.getImplicitPrefs(),
        params.getAlpha(),
        params.getNonnegative(),
        reg_exponent=params.getRegExponent(),
        unobserved_weight=value_if_set(params, "unobservedWeight"),
    )


def value_if_set(params: ALSParams, name: str) -> Any:
    """The value of a parameter without a default; None where it is not set."""
    return params.getOrDefault(name) if params.isDefined(name) else None


def _count_weights(params: ALSParams, scale: float | None) -> CountWeights | None:
    exponents = params.getUserCountExponent(), params.getItemCountExponent()
    return CountWeights(*exponents, 1.0 if scale is None else scale) if any(exponents) else None


def solver_of(params: ALSParams) -> Solver:
    """How rows are solved."""
    chosen = params.getSolver().lower()
    if chosen == "auto":
        chosen = best_solver(params)
    return Solver(
        # a search among active sets needs all the digits there are
        double=params.getPrecision().lower() == "double" or params.getNonnegative(),
        cg_steps=params.getCgSteps() if chosen == "cg" else 0,
        subspace=params.getSubspaceSize() if chosen == "subspace" else 0,
    )


def best_solver(params: ALSParams) -> str:
    """What ``solver="auto"`` takes: "cholesky", unless the rank is so high that it pays to be less exact."""
    if params.getNonnegative() or params.getRank() < CG_RANK:
        return "cholesky"
    return "cg" if params.getImplicitPrefs() or params.getRank() < SUBSPACE_RANK else "subspace"


def start_values_of(params: ALSParams) -> StartValues:
    """Which factors the first iteration starts from."""
    return StartValues(
        params.getSeed(),
        user_blocks=params.getNumUserBlocks(),
        item_blocks=params.getNumItemBlocks(),
        version=params.getSparkRandom(),
        nonnegative=params.getNonnegative(),
        scale=params.getStartScale(),
    )


def columns_of(params: ALSParams) -> int:
    """How many columns the factors have, those of biases included."""
    rank: int = params.getRank()
    return rank + BIAS_COLUMNS if params.getBiases() else rank


def columns_to_read(params: ALSParams) -> Columns:
    """The columns of ratings that a fit reads."""
    names = params.getUserCol(), params.getItemCol(), params.getRatingCol() or None, params.getWeightCol() or None
    return Columns(*names)


def blocks_wanted(params: ALSParams, settings: Settings) -> tuple[int | None, int | None]:
    """In how many blocks the user wants the ratings of users and of items held; None where it is left to us."""
    return (
        settings.user_blocks or (params.getNumUserBlocks() if params.isSet("numUserBlocks") else None),
        settings.item_blocks or (params.getNumItemBlocks() if params.isSet("numItemBlocks") else None),
    )


def checkpoint_folder(params: ALSParams, settings: Settings) -> str | None:
    """Where checkpoints are written; None for nowhere."""
    return params.getCheckpointDir() or settings.checkpoint_dir
