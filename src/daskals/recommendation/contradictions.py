"""Parameters that contradict each other."""

from __future__ import annotations

from daskals.recommendation.meanings import value_if_set
from daskals.recommendation.parameters import ALSParams


def refuse_contradictions(params: ALSParams) -> None:
    """``ValueError`` that says which two parameters cannot be together, why, and what to set instead."""
    refuse_impossible_objectives(params)
    solver = params.getSolver().lower()
    if params.getNonnegative() and solver in ("cg", "subspace"):
        raise ValueError(
            f"solver='{solver}' cannot keep factors nonnegative: set solver='cholesky', or nonnegative=False"
        )
    if not params.getRatingCol() and not params.getImplicitPrefs():
        raise ValueError(
            "ratingCol='' counts each row 1, and an explicit fit would learn to predict 1 for every pair: set "
            "implicitPrefs=True, or ratingCol to the name of the column of ratings"
        )


def refuse_impossible_objectives(params: ALSParams) -> None:
    """The same for those parameters alone that say what is minimised."""
    implicit = params.getImplicitPrefs()
    if params.getBiases() and implicit:
        raise ValueError(
            "biases=True needs explicit ratings: in implicit mode every pair without a rating would have the biases "
            "too. Set implicitPrefs=False, or biases=False."
        )
    if params.getBiases() and params.getNonnegative():
        raise ValueError(
            "biases=True cannot be together with nonnegative=True: biases are what lies above and below the mean, and "
            "half of them are negative. Set one of the two to False."
        )
    if value_if_set(params, "unobservedWeight") is not None and not implicit:
        raise ValueError(
            "unobservedWeight is a weight of pairs without a rating, which explicit fits do not look at: set "
            "implicitPrefs=True, or leave it out"
        )
    if params.getRegCount().lower() == "all" and not implicit:
        raise ValueError(
            "regCount='all' counts pairs without a rating, which explicit fits do not look at: set implicitPrefs=True, "
            "or regCount='observed'"
        )
