"""Least squares by mathematics: what a minimum is, checked with plain loops on every row."""

import importlib
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from support import reference

from daskals import ALS, kernels
from daskals.blocks.least_squares import SingularRowError, gram_of, rows_of, solve_block, sum_losses, take_rows
from daskals.blocks.ratings import InBlock
from daskals.datasets import load_sample
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.types import Losses

EPS = float(np.finfo(np.float32).eps)


class Problem:
    """The rows of a block with their ratings, and the rows of the other side."""

    def __init__(self, lengths, factors, seed=0, ratings=None):
        rng = np.random.default_rng(seed)
        lengths = np.asarray(lengths)
        n = len(factors)
        self.factors = factors.astype(np.float32)
        if ratings is None:
            ratings = rng.integers(-1, 6, lengths.sum())
        sources = [np.sort(rng.choice(n, length, replace=length > n)) for length in lengths]
        self.block = InBlock(
            40,
            np.concatenate([[0], np.cumsum(lengths)]),
            np.concatenate(sources).astype(np.int32),
            np.asarray(ratings, np.float32),
        )

    def solve(self, objective, *, double=False):
        solver = Solver(double or objective.nonnegative)
        gram = gram_of([self.factors]) if objective.implicit else None
        sources = kernels.pack_sources([self.factors], solver.dtype)
        return solve_block(self.block, sources, gram, objective, solver)

    def rows(self):
        """(row, positions of its sources, its ratings)."""
        for row, (start, stop) in enumerate(pairwise(self.block.indptr)):
            yield row, self.block.source_positions[start:stop], self.block.ratings[start:stop].astype(float)


def gaussian(n, rank, seed=1, scale=0.5):
    return np.random.default_rng(seed).normal(scale=scale, size=(n, rank))


def nearly_parallel(n, rank, seed=1):
    """Rows along one direction, almost: normal equations with a condition number of about 1e6 before regularisation."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.5, 1.5, (n, 1)) * rng.normal(size=rank) + 1e-3 * rng.normal(size=(n, rank))


PROBLEMS = {
    "small": Problem([3, 1, 8, 30, 2, 12], gaussian(40, 6)),
    "rank one": Problem([1, 2, 30, 5], gaussian(40, 1)),
    "rank above the ratings": Problem([1, 2, 3, 20], gaussian(40, 30)),
    "hot row": Problem([2, 20_000, 1], gaussian(500, 8)),
    "ill-conditioned": Problem([5, 40, 300, 1], nearly_parallel(60, 5)),
    "far from one": Problem([5, 40, 7], gaussian(60, 5, scale=1e3)),
}
OBJECTIVES = {
    "explicit": Objective(0.1),
    "implicit": Objective(0.1, implicit=True, alpha=3.0),
    "nonnegative": Objective(0.1, nonnegative=True),
    "implicit-nonnegative": Objective(0.1, implicit=True, alpha=3.0, nonnegative=True),
    "little regularised": Objective(1e-4),
}
each_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS.keys())
each_double = pytest.mark.parametrize("double", [False, True], ids=["single", "double"])


def objectives(*names):
    return pytest.mark.parametrize("objective", [OBJECTIVES[name] for name in names], ids=names)


def value(x, sources, ratings, factors, objective):
    """What row x contributes to the objective, term by term: all that depends on it."""
    factors = factors.astype(float)
    total = sum(float(np.dot(y, x)) ** 2 for y in factors) if objective.implicit else 0.0
    counted = 0
    for position, rating in zip(sources, ratings, strict=True):
        score = float(np.dot(factors[position], x))
        if objective.implicit:
            confidence, preference = 1 + objective.alpha * abs(rating), float(rating > 0)
            total += confidence * (preference - score) ** 2 - score**2
            counted += rating > 0
        else:
            total += (rating - score) ** 2
            counted += 1
    return total + objective.reg * counted * float(np.dot(x, x))


def gradient(x, sources, ratings, factors, objective):
    """Half of the derivative of `value`, and the size of what cancels in it: sums of absolute values."""
    factors, x = factors.astype(float), x.astype(float)
    slope, size = np.zeros(len(x)), np.zeros(len(x))

    def add(weight, target, y):
        nonlocal slope, size
        slope = slope + (weight * np.dot(y, x) - target) * y
        size = size + (weight * np.dot(np.abs(y), np.abs(x)) + abs(target)) * np.abs(y)

    if objective.implicit:
        for y in factors:
            add(1, 0, y)
    counted = 0
    for position, rating in zip(sources, ratings, strict=True):
        if objective.implicit:
            weight = objective.alpha * abs(rating)
            add(weight, 1 + weight if rating > 0 else 0, factors[position])
            counted += rating > 0
        else:
            add(1, rating, factors[position])
            counted += 1
    return slope + objective.reg * counted * x, size + objective.reg * counted * np.abs(x)


def rounding(rank, double):
    """What rounding leaves of a zero, relative to what cancelled: that of the rows (float32), of the solution."""
    return 2 * EPS if double else 4 * rank * EPS


@each_double
@objectives("explicit", "implicit", "little regularised")
@each_problem
def test_the_gradient_vanishes_at_every_row(problem, objective, double):
    """The normal equations hold, also where they are badly conditioned: Cholesky is backward stable."""
    solved = problem.solve(objective, double=double)
    assert solved.rows.dtype == np.float32
    for row, sources, ratings in problem.rows():
        slope, size = gradient(solved.rows[row], sources, ratings, problem.factors, objective)
        # a float32 row differs from the solution by up to |x| eps / 2 in each entry
        assert (np.abs(slope) <= rounding(len(slope), double) * size.max()).all(), row


@objectives("nonnegative", "implicit-nonnegative")
@each_problem
def test_nonnegative_rows_satisfy_the_optimality_conditions(problem, objective):
    """Karush, Kuhn, Tucker: x >= 0, gradient >= 0, and in each entry one of the two is zero."""
    rows = problem.solve(objective).rows
    assert (rows >= 0).all()
    bound = 0
    for row, sources, ratings in problem.rows():
        slope, size = gradient(rows[row], sources, ratings, problem.factors, objective)
        tolerance = rounding(len(slope), double=True) * size.max()
        assert (slope >= -tolerance).all(), row
        assert (np.abs(slope[rows[row] > 0]) <= tolerance).all(), row
        bound += int((rows[row] == 0).sum())
    assert bound, "no entry was at its bound, so this has tested little"


@each_double
@objectives("explicit", "implicit", "nonnegative", "implicit-nonnegative")
@pytest.mark.parametrize("name", ["small", "rank one", "rank above the ratings", "far from one"])
def test_no_perturbation_improves_a_row(name, objective, double):
    """Random steps of several lengths, within the bounds where there are any."""
    problem, objective = PROBLEMS[name], objective
    rows = problem.solve(objective, double=double).rows.astype(float)
    rng = np.random.default_rng(0)
    for row, sources, ratings in problem.rows():
        here = value(rows[row], sources, ratings, problem.factors, objective)
        for length in (1e-2, 0.1, 1.0, 10.0):
            for _ in range(5):
                step = rng.normal(size=rows.shape[1])
                there = rows[row] + length * (np.linalg.norm(rows[row]) + 1e-6) * step / np.linalg.norm(step)
                if objective.nonnegative:
                    there = np.maximum(there, 0)
                assert value(there, sources, ratings, problem.factors, objective) >= here, (row, length)


@each_double
@objectives("explicit", "implicit", "nonnegative", "implicit-nonnegative")
@each_problem
def test_losses_are_those_computed_directly(problem, objective, double):
    """They come with the solution for nothing; here they are summed over all ratings or pairs."""
    solved = problem.solve(objective, double=double)
    error = penalty = weight = scale = 0.0
    for row, sources, ratings in problem.rows():
        x = solved.rows[row].astype(float)
        counted = (ratings > 0).sum() if objective.implicit else len(ratings)
        of_row = objective.reg * counted * float(x @ x)
        error += value(x, sources, ratings, problem.factors, objective) - of_row
        penalty += of_row
        weight += objective.alpha * np.abs(ratings).sum() if objective.implicit else len(ratings)
        # what cancels: the squared error at x = 0
        scale += value(np.zeros_like(x), sources, ratings, problem.factors, objective)
    tolerance = 8 * EPS if (double or objective.nonnegative) else 32 * EPS
    assert solved.losses.squared_error == pytest.approx(error, rel=0, abs=tolerance * scale)
    assert solved.losses.penalty == pytest.approx(penalty, rel=1e-5)
    assert solved.losses.weight == pytest.approx(weight, rel=1e-6)


def test_sums_of_losses():
    """Of none as well."""
    assert sum_losses([]) == Losses(0.0, 0.0, 0.0)
    assert sum_losses([Losses(1.0, 2.0, 3.0), Losses(0.5, 0.25, 0.125)]) == Losses(1.5, 2.25, 3.125)


def test_gram():
    """Y'Y over blocks, in float64 although the rows are float32."""
    blocks = [gaussian(n, 3, seed=n).astype(np.float32) for n in (4, 1, 0, 9)]
    joined = np.concatenate(blocks).astype(float)
    assert gram_of(blocks).dtype == np.float64
    np.testing.assert_allclose(gram_of(blocks), joined.T @ joined, rtol=1e-13)


def test_take_rows():
    """Any rows in any order, one twice, with their ratings."""
    block = InBlock(
        7, np.array([0, 2, 2, 5]), np.array([4, 8, 1, 2, 3], np.int32), np.array([1, 2, 3, 4, 5], np.float32)
    )
    taken = take_rows(block, np.array([2, 1, 0, 2]))
    assert taken.indptr.tolist() == [0, 3, 3, 5, 8]
    assert taken.source_positions.tolist() == [1, 2, 3, 4, 8, 1, 2, 3]
    assert taken.ratings.tolist() == [3, 4, 5, 1, 2, 3, 4, 5]


# ---- rows that float32 cannot solve, and rows that nothing can -------------------------------------------


def two_kinds(rank):
    """Rows 0, 2 and 3 have sources in general position, rows 1 and 4 only sources that differ in the fifth digit."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(200, rank))
    factors[100:] = rng.normal(size=rank) + 1e-4 * rng.normal(size=(100, rank))
    problem = Problem([60, 62, 58, 50, 65], factors[:100])
    problem.factors = factors.astype(np.float32)
    for row in (1, 4):
        problem.block.source_positions[problem.block.indptr[row] : problem.block.indptr[row + 1]] += 100
    return problem


def failing_in_float32(problem, objective):
    gram = gram_of([problem.factors]) if objective.implicit else None
    sources = kernels.pack_sources([problem.factors], np.float32)
    return kernels.solve_rows(rows_of(problem.block), sources, gram, objective, Solver()).failed.tolist()


@pytest.mark.parametrize("rank", [3, 24])
def test_rows_that_float32_cannot_solve_are_solved_in_float64(rank):
    """Such rows come out as in double precision, the others as they were; losses count every row once."""
    problem, objective = two_kinds(rank), Objective(1e-12)
    assert failing_in_float32(problem, objective) == [1, 4]
    single, double = problem.solve(objective), problem.solve(objective, double=True)
    np.testing.assert_allclose(single.rows[[1, 4]], double.rows[[1, 4]], rtol=1e-6)
    np.testing.assert_allclose(single.rows, double.rows, rtol=0, atol=1e-4 * np.abs(double.rows).max())
    assert single.losses.weight == double.losses.weight == len(problem.block.ratings)
    assert single.losses.squared_error == pytest.approx(double.losses.squared_error, rel=1e-5)


def test_weights_of_rows_that_were_solved_twice_count_once():
    """In implicit mode: the denominator of the RMSE is the same in both precisions."""
    problem, objective = two_kinds(3), Objective(1e-12, implicit=True, alpha=1.0)
    problem.factors[:100] = problem.factors[100:]  # so that Y'Y is no better than the rows
    assert failing_in_float32(problem, objective) == [0, 1, 2, 3, 4]
    single, double = problem.solve(objective), problem.solve(objective, double=True)
    np.testing.assert_allclose(single.rows, double.rows, rtol=1e-6)
    assert single.losses.weight == pytest.approx(float(np.abs(problem.block.ratings).sum()), rel=1e-6)
    assert single.losses == pytest.approx(double.losses, rel=1e-5)


@each_double
@pytest.mark.parametrize(("rank", "n_ratings"), [(2, 1), (5, 3), (16, 4), (24, 23), (64, 10)])
def test_undetermined_rows_are_an_error(rank, n_ratings, double):
    """Without regularisation and with fewer ratings than rank, whatever the factors are: 20 tries."""
    for seed in range(20):
        factors = np.random.default_rng(seed).normal(size=(3 * rank, rank))
        problem = Problem([2 * rank, n_ratings, 3 * rank], factors, seed, ratings=np.ones(5 * rank + n_ratings))
        with pytest.raises(SingularRowError, match=rf"row 41 \({n_ratings} ratings, rank {rank}\).*regParam") as caught:
            problem.solve(Objective(0.0), double=double)
        assert caught.value.position == 41


@each_double
@pytest.mark.parametrize("user", [7001, "seven"], ids=["int", "str"])
def test_regularisation_of_zero_with_too_few_ratings_names_the_user(scheduler, user, double):
    """On every scheduler: ValueError with the id as the user knows it and what to do about it."""
    others = [7000, 7002, 7003, 7004] if user == 7001 else ["one", "two", "three", "zero"]
    rng = np.random.default_rng(0)
    rows = [(each, item, rng.uniform(1, 5)) for each in others for item in range(5)]
    frame = pd.DataFrame([*rows, (user, 0, 1.0), (user, 3, 2.0)], columns=["user", "item", "rating"])
    als = ALS(rank=3, maxIter=2, regParam=0.0, precision="double" if double else "single")
    with pytest.raises(ValueError, match=rf"user with id {user!r} \(2 ratings, rank 3\).*Set regParam above 0"):
        als.fit(frame)
    assert len(als.fit(frame[frame.user != user]).history) == 2


def test_the_item_without_enough_ratings_is_named():
    """The same of the other side."""
    rng = np.random.default_rng(0)
    rows = [(user, item, rng.uniform(1, 5)) for user in range(6) for item in range(5)]
    frame = pd.DataFrame([*rows, (2, -9, 1.0)], columns=["user", "item", "rating"])
    with pytest.raises(ValueError, match=r"item with id -9 \(1 ratings, rank 3\)"):
        ALS(rank=3, maxIter=2, regParam=0.0).fit(frame)


each_sign = pytest.mark.parametrize("nonnegative", [False, True], ids=["any sign", "nonnegative"])


@each_double
@each_sign
def test_implicit_rows_without_positive_ratings_are_exactly_zero(nonnegative, double):
    """Zeros and negative ratings, among rows that have positive ones."""
    problem = Problem([2, 1, 2, 1, 2], gaussian(9, 5), ratings=[0, -1, 2, 0, -5, -5, 1, -1])
    rows = problem.solve(Objective(0.1, True, 1.0, nonnegative), double=double).rows
    assert (rows[[0, 2, 3]] == 0).all()
    assert rows[[1, 4]].any(axis=1).all()


@each_double
@each_sign
def test_implicit_rows_without_positive_ratings_are_zero_even_if_their_equations_are_singular(nonnegative, double):
    """Fewer sources than rank and nothing to regularise: Spark fails here."""
    problem = Problem([2, 1, 1], gaussian(3, 5), ratings=[0, -1, 0, -5])
    solved = problem.solve(Objective(0.1, True, 1.0, nonnegative), double=double)
    assert solved.rows.tolist() == [[0.0] * 5] * 3
    assert solved.losses == (0.0, 0.0, 6.0)


# ---- the history of a fit --------------------------------------------------------------------------------

FITS = {
    "explicit": {},
    "implicit": {"implicitPrefs": True, "alpha": 2.0},
    "nonnegative": {"nonnegative": True},
    "implicit-nonnegative": {"implicitPrefs": True, "alpha": 2.0, "nonnegative": True},
}


def positions_of(frame):
    return tuple(np.unique(frame[side], return_inverse=True)[1] for side in ("user", "item"))


def rated(signed):
    """The sample; ``signed``: with some zeros and some negative ratings."""
    frame = load_sample()
    return frame.assign(rating=frame.rating - 2) if signed else frame


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("signed", [False, True], ids=["positive", "signed"])
@pytest.mark.parametrize("params", FITS.values(), ids=FITS.keys())
def test_the_history_is_the_objective_evaluated_directly(params, signed, precision):
    """Objective and RMSE after each iteration, from the factors of models with so many iterations."""
    frame = rated(signed)
    users, items = positions_of(frame)
    ratings = frame.rating.to_numpy(float)
    alpha = params.get("alpha")
    als = ALS(rank=6, regParam=0.07, seed=1, precision=precision, **params)
    models = [als.fit(frame, {als.maxIter: n}) for n in (1, 2, 6)]
    history = models[-1].history.set_index("iteration")
    assert history.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert (history.seconds > 0).all()
    for model in models:
        X, Y = (np.array(side.features.tolist(), float) for side in (model.userFactors, model.itemFactors))
        error = reference.squared_error(X, Y, users, items, ratings, alpha)
        total = error + sum(
            reference.penalty(side, rows, ratings, 0.07, alpha) for side, rows in ((X, users), (Y, items))
        )
        observed = len(ratings) if alpha is None else len(X) * len(Y) + alpha * np.abs(ratings).sum()
        iteration = history.loc[len(model.history)]
        assert iteration.objective == pytest.approx(total, rel=1e-5)
        found = iteration.rmse if alpha is None else iteration.preferenceRmse
        assert found == pytest.approx(np.sqrt(error / observed), rel=1e-5)


def exact_ratings(rank, seed=0):
    """Ratings that are dot products of rows of so many numbers, about 2 in size."""
    rng = np.random.default_rng(seed)
    users, items = rng.normal(1, 0.5, (60, rank)), rng.normal(1, 0.5, (40, rank))
    user, item = np.nonzero(rng.random((60, 40)) < 0.7)
    rating = np.einsum("ij,ij->i", users[user], items[item]) * 2 / rank
    return pd.DataFrame({"user": user, "item": item, "rating": rating.astype(np.float32)})


@pytest.mark.parametrize("name", ["numpy", "numba"])
@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_rmse_of_exact_data_is_that_of_predictions(rank, solver, name, monkeypatch):
    """Near the rounding of float32 ratings, where a difference of sums of squares would show noise, or NaN."""
    if name == "numba":
        pytest.importorskip("numba", reason="compiled kernels need numba")
    module = importlib.import_module(f"daskals.kernels.{name}")
    for each in module.__all__:
        monkeypatch.setattr(kernels, each, getattr(module, each))
    frame = exact_ratings(rank)
    model = ALS(rank=rank, maxIter=40, regParam=1e-9, solver=solver, seed=2).fit(frame)
    X, Y = (np.array(side.features.tolist(), float) for side in (model.userFactors, model.itemFactors))
    scores = np.einsum("ij,ij->i", X[frame.user], Y[frame.item])
    expected = np.sqrt(np.mean((frame.rating - scores) ** 2))
    assert expected < 4e-6, "this would test little"
    assert model.history.rmse.iloc[-1] == pytest.approx(expected, rel=1e-4)
    assert np.isfinite(model.history).all(axis=None)


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("params", FITS.values(), ids=FITS.keys())
@pytest.mark.parametrize("regParam", [0.01, 1.0])
def test_the_objective_never_increases(params, regParam, precision):
    """Each half-step minimises it in half of its variables."""
    als = ALS(rank=8, maxIter=25, regParam=regParam, seed=4, precision=precision, **params)
    objective = als.fit(rated(signed=False)).history.objective.to_numpy()
    assert (objective[1:] <= objective[:-1] * (1 + 2e-6)).all()
    assert objective[-1] < 0.999 * objective[0]
