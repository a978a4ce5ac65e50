"""The shares of a score add up to the score of the exact row, and each is what its rating does to it."""

import numpy as np
import pytest

from daskals import kernels
from daskals.blocks.reasons import shares
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.types import Rows

OBJECTIVES = {"explicit": Objective(0.1), "implicit": Objective(0.3, implicit=True, alpha=4.0)}


def made(seed, n=40, rank=6, rated=9):
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(n, rank)).astype(np.float32)
    return items, rng.choice(n, rated, replace=False), rng.integers(-1, 6, rated).astype(np.float32)


def solved(items, places, ratings, objective):
    """The row that a half-step of a fit gives a user with these ratings."""
    rows = Rows(np.array([0, len(places)]), places.astype(np.int32), ratings)
    solver = Solver(double=True)
    gram = items.astype(np.float64).T @ items
    return kernels.solve_rows(rows, kernels.pack_sources([items], solver.dtype), gram, objective, solver).rows[0]


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_shares_add_up_to_the_score(kind):
    items, places, ratings = made(1)
    gram = items.astype(np.float64).T @ items
    found = shares(items[places], ratings, items[3], gram, OBJECTIVES[kind])
    assert found.sum() == pytest.approx(items[3] @ solved(items, places, ratings, OBJECTIVES[kind]), abs=1e-5)


def test_a_share_of_the_explicit_objective_is_the_derivative_by_its_rating():
    items, places, ratings = made(2)
    more = ratings.copy()
    more[4] += 1
    found = shares(items[places], ratings, items[0], None, OBJECTIVES["explicit"])
    moved = items[0] @ (
        solved(items, places, more, OBJECTIVES["explicit"]) - solved(items, places, ratings, OBJECTIVES["explicit"])
    )
    assert found[4] == pytest.approx(ratings[4] * moved, abs=1e-5)


def test_nonnegative_scores_are_not_explained():
    items, places, ratings = made(3)
    with pytest.raises(ValueError, match="nonnegative"):
        shares(items[places], ratings, items[0], None, Objective(0.1, nonnegative=True))
