"""The rows that kernels solve are the best of the formula: every objective, with weights, in every way of solving."""

import importlib
from itertools import pairwise, product

import numpy as np
import pytest
from support import reference
from support.formula import Formula, best_row

from daskals import kernels as in_force
from daskals.blocks.least_squares import SingularRowError, gram_of, pack_sources, solve_block
from daskals.blocks.ratings import InBlock
from daskals.blocks.streamed import accumulate, solve_accumulated
from daskals.execution.blas import one_blas_thread
from daskals.kernels.eigenbasis import into_basis, out_of_basis, turned
from daskals.kernels.objective import Objective, Solver

#: none, one, few, as many as the least rank below, and many
LENGTHS = [0, 1, 2, 7, 0, 16, 40, 120]
N_SOURCES = 90
ALPHA = 3.0
OBJECTIVES = {
    "explicit": Objective(0.05),
    "Spark's": Objective(0.05, implicit=True, alpha=ALPHA),
    "iALS": Objective(0.05, implicit=True, alpha=ALPHA, unobserved_weight=0.2),
    "iALS without pairs": Objective(0.05, implicit=True, alpha=ALPHA, unobserved_weight=0.0),
}
SINGLE, DOUBLE = Solver(), Solver(double=True)
each_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)


@pytest.fixture(autouse=True)
def _one_thread():
    """Of BLAS: several hinder each other where matrices are small."""
    with one_blas_thread:
        yield


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def kernels(request, monkeypatch):
    """One set of kernels, in force throughout a test."""
    if request.param == "numba":
        pytest.importorskip("numba", reason="compiled kernels need numba")
    module = importlib.import_module(f"daskals.kernels.{request.param}")
    for name in module.__all__:
        monkeypatch.setattr(in_force, name, getattr(module, name), raising=False)
    return module


def block_of(lengths=LENGTHS, weighted=False, seed=0, n_sources=N_SOURCES):
    """Ratings of all signs, some pairs twice; weights of which some are 0."""
    rng = np.random.default_rng(seed)
    n = int(np.sum(lengths))
    return InBlock(
        30,
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        rng.integers(0, n_sources, n).astype(np.int32),
        rng.choice([-2, 0, 0.5, 1, 2, 3, 5], n).astype(np.float32),
        rng.choice([0, 0.5, 1, 2, 3.5], n).astype(np.float32) if weighted else None,
    )


def factors_of(rank, n=N_SOURCES, seed=1):
    """Rows with a mean and columns of different sizes, so that the Gram matrix is far from a multiple of one."""
    rng = np.random.default_rng(seed)
    return ((rng.normal(size=(n, rank)) + 0.3) * rng.gamma(2, 0.3, rank)).astype(np.float32)


def gram(factors, objective):
    return gram_of([factors]) if objective.implicit else None


def solve(block, factors, objective, solver, previous=None):
    sources = pack_sources([factors], gram(factors, objective), objective, solver)
    return solve_block(block, sources, gram(factors, objective), objective, solver, previous)


def ratings_of_rows(block):
    """(sources, ratings, weights) of each row."""
    for first, stop in pairwise(block.indptr):
        cut = slice(first, stop)
        yield block.source_positions[cut], block.ratings[cut], None if block.weights is None else block.weights[cut]


def best_rows(block, factors, objective):
    """In float64, by the equations of each row."""
    return np.array(
        [
            best_row(
                *(factors, sources, ratings),
                reg=objective.reg,
                alpha=objective.alpha if objective.implicit else None,
                W=weights,
                unobserved=objective.unobserved_weight,
                exponent=objective.reg_exponent,
                base=objective.reg_base,
            )
            for sources, ratings, weights in ratings_of_rows(block)
        ]
    )


def equations(block, factors, objective):
    """A of each row, float64: errors are measured as they show in the objective, whatever the condition of A."""
    Y, n_factors = factors.astype(np.float64), factors.shape[1]
    for sources, ratings, weights in ratings_of_rows(block):
        W, r = np.ones(len(ratings)) if weights is None else weights.astype(np.float64), ratings.astype(np.float64)
        w = W * objective.alpha * np.abs(r) if objective.implicit else W
        n = W[r > 0].sum() if objective.implicit else W.sum()
        c = objective.reg * (n + objective.reg_base) ** objective.reg_exponent
        yield objective.gram_weight * Y.T @ Y + (Y[sources].T * w) @ Y[sources] + c * np.eye(n_factors)


def errors(found, block, factors, objective):
    """Of each row, by how much of its size it is wrong, in the norm that its equations have."""
    shares = []
    exact = best_rows(block, factors, objective)
    for x, best, A in zip(found.astype(np.float64), exact, equations(block, factors, objective), strict=True):
        size = np.sqrt(best @ A @ best)
        shares.append(np.sqrt((x - best) @ A @ (x - best)) / size if size else np.abs(x).max())
    return np.array(shares)


def formula_of(block, objective, n_sources):
    n_rows = len(block.indptr) - 1
    return Formula(
        np.repeat(np.arange(n_rows), np.diff(block.indptr)),
        block.source_positions,
        block.ratings.astype(np.float64),
        block.weights,
        alpha=objective.alpha if objective.implicit else None,
        unobserved=objective.unobserved_weight,
        user_reg=objective.reg,
        item_reg=0.0,
        exponent=objective.reg_exponent,
        counts_all=objective.reg_base > 0,
    )


def variants(objective, n_sources=N_SOURCES):
    """The objective with every exponent, and every count of the penalty that it can have."""
    bases = [0.0, objective.gram_weight * n_sources] if objective.gram_weight else [0.0]
    for exponent, base in product([0.0, 0.5, 1.0], bases):
        yield objective._replace(reg_exponent=exponent, reg_base=base)


# ---- the formula -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@each_objective
def test_rows_and_losses_are_those_of_the_formula(objective, weighted):
    block = block_of(weighted=weighted)
    for each, rank, solver in product(variants(objective), [3, 26], [SINGLE, DOUBLE]):
        factors = factors_of(rank)
        found = solve(block, factors, each, solver)
        assert found.rows.dtype == np.float32
        assert errors(found.rows, block, factors, each).max() <= (2e-5 if solver == SINGLE else 3e-7), (each, rank)
        X, Y, formula = found.rows.astype(np.float64), factors.astype(np.float64), formula_of(block, each, N_SOURCES)
        rounding = 4e-6 * formula.error(0 * X, Y)
        assert found.losses.squared_error == pytest.approx(formula.error(X, Y), abs=rounding), (each, rank)
        assert found.losses.penalty == pytest.approx(formula.penalty(X, Y), rel=1e-5)
        weight = formula.weight(X, Y) - each.gram_weight * len(X) * len(Y)
        assert found.losses.weight == pytest.approx(weight, rel=1e-6)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@each_objective
def test_many_steps_and_sweeps_end_at_the_best_rows(objective, weighted):
    block, factors = block_of(weighted=weighted), factors_of(20)
    start = np.random.default_rng(2).normal(size=(len(LENGTHS), 20)).astype(np.float32)
    each = objective._replace(reg_exponent=0.5, reg=0.5)
    for solver, times in ((Solver(cg_steps=100), 1), (Solver(subspace=5), 150), (Solver(subspace=32), 1)):
        rows = start
        for _ in range(times):
            rows = solve(block, factors, each, solver, rows).rows
        counts = [len(ratings) > 0 and best.any() for (_, ratings, _), best in zip(
            ratings_of_rows(block), best_rows(block, factors, each), strict=True
        )]  # fmt: skip
        assert np.sum(counts) >= 5
        shares = errors(rows, block, factors, each)[counts]
        assert shares.max() <= 1e-2, (solver, shares)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@each_objective
def test_equations_that_are_added_in_parts_have_the_same_solution(objective, weighted):
    block, factors = block_of(weighted=weighted), factors_of(12)
    for each, solver in product(variants(objective), [SINGLE, DOUBLE]):
        parts = None
        for first, stop in pairwise([0, 20, 21, N_SOURCES]):
            sources = pack_sources([factors[first:stop]], None, each, solver)
            parts = accumulate(block, first, sources, each, solver, parts)
        found = solve_accumulated(block, parts, gram(factors, each), each, solver)
        assert errors(found.rows, block, factors, each).max() <= (5e-5 if solver == SINGLE else 3e-7), each
        expected = solve(block, factors, each, solver).losses
        scale = formula_of(block, each, N_SOURCES).error(0 * found.rows, factors)
        np.testing.assert_allclose(found.losses, expected, rtol=1e-4, atol=4e-6 * scale)


@each_objective
def test_whole_weights_are_ratings_that_stand_so_often(objective):
    rng = np.random.default_rng(4)
    block = block_of()
    times = rng.integers(0, 4, len(block.ratings))
    row_of = np.repeat(np.arange(len(LENGTHS)), np.diff(block.indptr))
    repeated = block._replace(
        indptr=np.concatenate([[0], np.cumsum(np.bincount(row_of, times, len(LENGTHS)).astype(np.int64))]),
        source_positions=np.repeat(block.source_positions, times),
        ratings=np.repeat(block.ratings, times),
    )
    weighted, factors = block._replace(weights=times.astype(np.float32)), factors_of(11)
    for each in variants(objective):
        found, expected = (solve(one, factors, each, DOUBLE) for one in (weighted, repeated))
        np.testing.assert_allclose(found.rows, expected.rows, rtol=0, atol=1e-6 * np.abs(expected.rows).max())
        np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-9)


@each_objective
def test_weights_of_one_are_none(objective):
    block = block_of()
    ones = block._replace(weights=np.ones(len(block.ratings), np.float32))
    for rank, solver in product([5, 40], [SINGLE, DOUBLE]):
        found, expected = (solve(one, factors_of(rank), objective, solver) for one in (ones, block))
        tolerance = (1e-4 if solver == SINGLE else 1e-6) * np.abs(expected.rows).max()
        np.testing.assert_allclose(found.rows, expected.rows, rtol=0, atol=tolerance)


@pytest.mark.parametrize("solver", [SINGLE, DOUBLE, Solver(cg_steps=2), Solver(subspace=4)], ids=str)
@pytest.mark.parametrize("kind", ["explicit", "iALS without pairs"])
def test_rows_none_of_whose_ratings_count_are_zero_whatever_they_were(kind, solver):
    """By their equations as well as from all source rows; and no row beside them is touched."""
    objective, factors, start = OBJECTIVES[kind], factors_of(8), np.ones((3, 8), np.float32)
    block = block_of([3, 4, 5])._replace(weights=np.float32([0, 0, 0, 1, 1, 1, 1, 1, 0, 2, 1, 1]))
    block = block._replace(ratings=np.abs(block.ratings) + np.float32(1))
    found = solve(block, factors, objective, solver, start).rows
    parts = accumulate(block, 0, pack_sources([factors], None, objective, solver), objective, solver, None)
    again = solve_accumulated(block, parts, gram(factors, objective), objective, solver, start).rows
    for rows in (found, again):
        assert not rows[0].any()
        assert rows[1:].all()
    assert start.all()


def test_double_precision_keeps_the_rows_of_spark_s_objectives():
    for alpha in (None, ALPHA):
        block, factors = block_of(), factors_of(32)
        objective = Objective(0.05) if alpha is None else Objective(0.05, implicit=True, alpha=alpha)
        found, wide = solve(block, factors, objective, DOUBLE).rows, factors.astype(np.float64)
        for x, (sources, ratings, _) in zip(found, ratings_of_rows(block), strict=True):
            expected = reference.solve(wide, sources, ratings.astype(np.float64), 0.05, alpha)
            np.testing.assert_allclose(x, expected, rtol=0, atol=3e-7 * max(1, np.abs(expected).max()))


# ---- short implicit rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [16, 64, 256])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("unobserved", [None, 0.0, 0.01])
def test_short_rows_are_right_in_single_precision(rank, weighted, unobserved):
    """From one rating to more than the rank, where a penalty is small beside confidences, too."""
    lengths = [0, 1, 2, 3, rank // 4, rank // 2, rank * 3 // 4, rank * 3 // 4 + 1, rank - 1, rank, 2 * rank]
    block = block_of(lengths, weighted, n_sources=600)
    factors = factors_of(rank, 600)
    for reg, alpha in ((0.001, 1.0), (0.001, 100.0), (0.1, 10.0), (1.0, 100.0)):
        objective = Objective(reg, implicit=True, alpha=alpha, unobserved_weight=unobserved)
        shares = errors(solve(block, factors, objective, SINGLE).rows, block, factors, objective)
        # pairs that stand twice and weigh far more than the rest leave a system of ratings few digits
        assert shares.max() <= (5e-5 if unobserved is None or reg > 0.01 else 1e-3), (reg, alpha, shares)


@pytest.mark.parametrize("ratings", [[0.0, 0, 0], [-1.0, -2, -5], [0.0, -3, 0], [0.0, 0, 4], [2.0, 2, 2]], ids=str)
@pytest.mark.parametrize("rank", [3, 40])
def test_ratings_of_zero_and_below(ratings, rank):
    """Rows to whom nothing is relevant are zero; a pair may stand twice with different ratings."""
    block = InBlock(0, np.array([0, 0, 3, 6]), np.int32([5, 7, 5, 1, 1, 1]), np.float32(ratings * 2))
    factors = factors_of(rank)
    for objective in (OBJECTIVES["Spark's"], OBJECTIVES["iALS"], OBJECTIVES["iALS without pairs"]):
        for each in (objective, objective._replace(reg_exponent=0.0)):
            found = solve(block, factors, each, SINGLE)
            assert errors(found.rows, block, factors, each).max() <= 1e-5
            if max(ratings) <= 0:
                assert not found.rows.any()
                assert found.losses.squared_error == 0


@pytest.mark.parametrize("rank", [10, 48])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_the_bits_of_a_row_do_not_depend_on_the_rows_beside_it(rank, weighted, kernels):
    """Those of compiled kernels: the plain ones solve rows side by side, by code that depends on how many there are."""
    is_compiled = kernels.__name__.endswith("numba")
    lengths = [3, 1, 30, 60, 5, 90, 2, 47, 12] * 3
    block, factors = block_of(lengths, weighted), factors_of(rank)
    start = np.random.default_rng(2).normal(size=(len(lengths), rank)).astype(np.float32)
    problems = product(
        [OBJECTIVES["Spark's"], OBJECTIVES["iALS"], OBJECTIVES["explicit"]], [SINGLE, Solver(subspace=8)]
    )
    for objective, solver in problems:
        whole = solve(block, factors, objective, solver, start).rows
        for first, stop in ((0, 1), (3, 4), (5, 14), (20, 27)):
            cut = slice(block.indptr[first], block.indptr[stop])
            part = block._replace(
                start=block.start + first,
                indptr=block.indptr[first : stop + 1] - cut.start,
                source_positions=block.source_positions[cut],
                ratings=block.ratings[cut],
                weights=None if block.weights is None else block.weights[cut],
            )
            found = solve(part, factors, objective, solver, start[first:stop]).rows
            if is_compiled:
                np.testing.assert_array_equal(found, whole[first:stop], err_msg=f"{objective} {solver}")
            else:
                np.testing.assert_allclose(found, whole[first:stop], rtol=0, atol=4e-5, err_msg=f"{objective} {solver}")


def test_rows_that_are_turned_and_turned_back_are_the_rows(kernels):
    factors = factors_of(24)
    sources = turned(kernels.pack_sources([factors], np.float32), gram_of([factors]))
    values, basis = sources.values[:, :24], sources.basis
    np.testing.assert_allclose(values.T.astype(float) @ values, np.diag(basis.values), rtol=0, atol=1e-4)
    np.testing.assert_allclose(out_of_basis(values, basis), factors, rtol=0, atol=2e-6)
    for n in (0, 1, 63, 64, 65):
        np.testing.assert_array_equal(into_basis(factors[:n], basis), values[:n])


# ---- what is not determined ------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [SINGLE, DOUBLE], ids=["single", "double"])
@pytest.mark.parametrize("kind", ["explicit", "iALS without pairs"])
def test_rows_of_fewer_ratings_than_factors_fail_without_a_penalty(kind, solver):
    """Ratings are counted, those of weight 0 not: rounding hides it from some pivots."""
    objective = OBJECTIVES[kind]._replace(reg=0.0)
    for rank, seed in product([2, 4, 8, 12, 40], range(12)):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, rank))
        weights = np.append(rng.choice([0.5, 1, 3, 10], n), [0, 0]).astype(np.float32)
        ratings = rng.choice([1, 2, 3], n + 2).astype(np.float32)
        block = InBlock(0, np.array([0, n + 2]), rng.choice(80, n + 2).astype(np.int32), ratings, weights)
        with pytest.raises(SingularRowError, match=r"singular.*Set regParam above 0"):
            solve(block, factors_of(rank, 80, seed), objective, solver)
        sources = pack_sources([factors_of(rank, 80, seed)], None, objective, solver)
        parts = accumulate(block, 0, sources, objective, solver, None)
        with pytest.raises(SingularRowError):
            solve_accumulated(block, parts, gram(factors_of(rank, 80, seed), objective), objective, solver)


@pytest.mark.parametrize("kind", ["explicit", "iALS without pairs"])
def test_rows_of_enough_ratings_need_no_penalty(kind):
    objective = OBJECTIVES[kind]._replace(reg=0.0)
    block = block_of([60, 80], weighted=True)
    for solver in (SINGLE, DOUBLE):
        found = solve(block, factors_of(5), objective, solver)
        assert errors(found.rows, block, factors_of(5), objective).max() <= 1e-4


@pytest.mark.parametrize("kind", ["Spark's", "iALS"])
@pytest.mark.parametrize("rank", [9, 40])
def test_no_numbers_are_made_up_along_columns_that_sources_do_not_have(kind, rank):
    """Fewer source rows than factors: without a penalty an error, or no part there; never what is left of rounding."""
    block = block_of([1, 2, 3, 5], n_sources=6)._replace(ratings=np.ones(11, np.float32))
    factors = factors_of(rank, 6)
    tiny = OBJECTIVES[kind]._replace(reg=1e-9)
    found = solve(block, factors, tiny, SINGLE).rows
    assert errors(found, block, factors, tiny).max() <= 1e-3
    assert np.abs(found).max() <= 2 * np.abs(solve(block, factors, tiny, DOUBLE).rows).max()
    none = OBJECTIVES[kind]._replace(reg=0.0)
    try:
        rows = solve(block, factors, none, SINGLE).rows
    except SingularRowError:
        return
    assert np.abs(rows).max() <= 100 * np.abs(found).max()


@pytest.mark.parametrize("kind", ["Spark's", "iALS"])
def test_sweeps_leave_columns_alone_that_sources_do_not_have(kind):
    block = block_of([1, 2, 3, 5], n_sources=6)._replace(ratings=np.ones(11, np.float32))
    factors, start = factors_of(40, 6), np.full((4, 40), 0.5, np.float32)
    for reg in (0.0, 1e-9):
        rows = solve(block, factors, OBJECTIVES[kind]._replace(reg=reg), Solver(subspace=16), start).rows
        assert np.isfinite(rows).all()
        assert np.abs(rows).max() <= 50


@pytest.mark.parametrize("kind", ["Spark's", "iALS"])
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_sources_that_are_not_finite_end_as_rows_without_a_solution(kind, bad):
    factors = factors_of(24)
    factors[3, 2] = bad
    with pytest.raises(SingularRowError, match="ratings are so large"), np.errstate(all="ignore"):
        solve(block_of([5, 40]), factors, OBJECTIVES[kind], SINGLE)
