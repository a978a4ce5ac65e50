"""Sweeps of block coordinate descent against exact solutions in float64, and the sets of kernels against each other."""

from dataclasses import dataclass, replace
from itertools import pairwise, product
from random import Random

import numpy as np
import pytest

from daskals.kernels.numpy.subspace import solve_short_row, subspace_sweep

KERNELS = ["numpy", "numba"]
#: none, one, rows that are short for some of the sizes below, and rows that are swept
LENGTHS = [0, 1, 5, 9, 12, 0, 23, 60, 150, 1, 400]
N_SOURCES = 250
#: rank and size: whole runs, a shorter last run, runs that are no multiple of 8, both, and one run
SHAPES = [(64, 16), (40, 16), (26, 13), (37, 12), (19, 5), (20, 64), (16, 16), (3, 1)]
each_kernel = pytest.mark.parametrize("kernels", KERNELS)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
#: rank, size, dtype, weighted, diagonal: in no order, since the default run takes some of them
PROBLEMS = [(*shape, *rest) for shape in SHAPES for rest in product(["float32", "float64"], [False, True], [0.0, 2.0])]
Random(2).shuffle(PROBLEMS)
each_problem = pytest.mark.parametrize(("rank", "size", "dtype", "weighted", "diagonal"), PROBLEMS)


@dataclass
class Problem:
    """Rows to be solved; ``factors`` and ``diagonal`` are not padded."""

    indptr: np.ndarray
    positions: np.ndarray
    weights: np.ndarray | None
    targets: np.ndarray
    factors: np.ndarray
    diagonal: np.ndarray
    c: np.ndarray
    previous: np.ndarray

    def row(self, row):
        """Y, w and t of a row, its diagonal, all in float64."""
        cut = slice(self.indptr[row], self.indptr[row + 1])
        Y = self.factors[self.positions[cut]].astype(np.float64)
        w = np.ones(len(Y)) if self.weights is None else self.weights[cut].astype(np.float64)
        return Y, w, self.targets[cut].astype(np.float64), self.diagonal.astype(np.float64) + self.c[row]

    def exact(self):
        """The solution of every row."""
        solutions = []
        for row in range(len(self.c)):
            Y, w, t, d = self.row(row)
            solutions.append(np.linalg.solve(np.diag(d) + (Y.T * w) @ Y, Y.T @ t))
        return np.array(solutions)

    def objectives(self, x):
        """x'Ax / 2 - b.x of every row."""
        values = []
        for row in range(len(self.c)):
            Y, w, t, d = self.row(row)
            s = Y @ x[row].astype(np.float64)
            values.append((w @ s**2 + d @ x[row].astype(np.float64) ** 2) / 2 - t @ s)
        return np.array(values)


def problem(rank, dtype=np.float64, weighted=True, diagonal=2.0, lengths=LENGTHS, reg=0.05, seed=0):
    """Rows of ratings of random sources, some twice; a fifth of the weights is 0, with targets that are not."""
    rng = np.random.default_rng(seed)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n = int(indptr[-1])
    weights = np.where(rng.random(n) < 0.2, 0, rng.gamma(1, 2, n)).astype(dtype) if weighted else None
    return Problem(
        indptr,
        rng.integers(0, N_SOURCES, n).astype(np.int32),
        weights,
        rng.normal(1, 1, n).astype(dtype),
        rng.normal(0, rank**-0.5, (N_SOURCES, rank)).astype(dtype),
        (diagonal * rng.gamma(1, 1, rank)).astype(dtype),
        reg * np.maximum(np.asarray(lengths, np.float64), 1),
        rng.normal(0, 1, (len(lengths), rank)).astype(np.float32),
    )


def compiled_sweep(p, size, q=None):
    """The compiled sweep: the rows, and its table."""
    subspace = pytest.importorskip("daskals.kernels.numba.subspace", reason="compiled kernels need numba")
    rank = p.previous.shape[1]
    padding = -rank % 8
    solution, table = np.full_like(p.previous, np.nan), np.full((len(p.c), 3), -1.0)
    subspace.subspace_rows(
        p.indptr, p.positions, p.targets, np.zeros(0, p.factors.dtype) if p.weights is None else p.weights,
        np.zeros(len(p.c)) if q is None else q, p.c, np.pad(p.factors, ((0, 0), (0, padding))), rank,
        np.pad(p.diagonal, (0, padding)), p.previous, size, solution, table,
    )  # fmt: skip
    return solution, table


def plain_sweep(p, size):
    d = p.diagonal + p.c[:, None]
    return subspace_sweep(p.indptr, p.positions, p.weights, p.targets, p.factors, d, p.previous, size)


def sweep(kernels, p, size):
    return plain_sweep(p, size)[0] if kernels == "numpy" else compiled_sweep(p, size)[0]


@each_kernel
@each_problem
def test_sweeps_converge_to_the_exact_solution_and_never_raise_the_objective(
    kernels, rank, size, dtype, weighted, diagonal
):
    p = problem(rank, dtype, weighted, diagonal)
    exact = p.exact()
    rounding = 2e-5 * (1 + np.abs(p.objectives(exact)))
    before = p.objectives(p.previous)
    for _ in range(100):
        p = replace(p, previous=sweep(kernels, p, size).astype(np.float32))
        after = p.objectives(p.previous)
        assert (after <= before + rounding).all()
        before = after
    np.testing.assert_allclose(p.previous, exact, rtol=0, atol=3e-4 * np.abs(exact).max())


@each_kernel
@each_problem
def test_one_sweep_of_one_run_is_the_exact_solution(kernels, rank, size, dtype, weighted, diagonal):
    p = problem(rank, dtype, weighted, diagonal)
    x, exact = sweep(kernels, p, rank + size), p.exact()
    np.testing.assert_allclose(x, exact, rtol=0, atol=3e-5 * np.abs(exact).max())


@each_kernel
def test_a_run_moves_to_the_least_objective_while_the_other_columns_stay(kernels):
    p = problem(24, lengths=[30, 50])
    for row in range(2):
        Y, w, t, d = p.row(row)
        A, x = np.diag(d) + (Y.T * w) @ Y, p.previous[row].astype(np.float64)
        for run in (slice(0, 10), slice(10, 20), slice(20, 24)):
            x[run] = 0
            x[run] = np.linalg.solve(A[run, run], (Y.T @ t - A @ x)[run])
        np.testing.assert_allclose(sweep(kernels, p, 10)[row], x, rtol=0, atol=1e-6)


@each_kernel
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reg", [1e-5, 0.05])
def test_short_rows_are_solved_exactly_in_one_sweep(kernels, weighted, reg):
    p = problem(96, np.float32, weighted, 0.0, lengths=[1, 4, 9, 12], reg=reg)
    if weighted:  # a part of x along D^-1, of ratings of weight 0, would hide the rest where c is tiny
        p = replace(p, targets=np.where(p.weights == 0, 0, p.targets))
    exact = p.exact()
    np.testing.assert_allclose(sweep(kernels, p, 16), exact, rtol=0, atol=2e-4 * np.abs(exact).max())


def test_the_dual_of_a_short_row_is_its_exact_solution_with_weights_of_zero():
    p = problem(40, lengths=[25])
    Y, w, t, d = p.row(0)
    assert (w == 0).any()
    np.testing.assert_allclose(solve_short_row(Y, w, t, d), p.exact()[0], rtol=0, atol=1e-12)


@each_problem
def test_compiled_sweeps_are_plain_sweeps(rank, size, dtype, weighted, diagonal):
    p = problem(rank, dtype, weighted, diagonal)
    x, plain = compiled_sweep(p, size)[0], plain_sweep(p, size)[0]
    tolerance = 2e-5 if dtype == "float32" else 1e-7  # compiled kernels write float32
    np.testing.assert_allclose(x, plain, rtol=0, atol=tolerance * np.abs(plain).max())


@each_dtype
@pytest.mark.parametrize("size", [16, 33])
def test_rows_longer_than_what_is_kept_at_a_time(dtype, size):
    p = problem(40, dtype, lengths=[3, 20000, 20])
    x, plain = compiled_sweep(p, size)[0], plain_sweep(p, size)[0]
    np.testing.assert_allclose(x, plain, rtol=0, atol=1e-4 if dtype == np.float32 else 1e-7)


@each_problem
def test_the_losses_are_those_of_the_new_rows(rank, size, dtype, weighted, diagonal):
    p = problem(rank, dtype, weighted, diagonal)
    q = np.random.default_rng(5).uniform(1, 9, len(p.c))
    x, table = compiled_sweep(p, size, q)
    for row, line in enumerate(table):
        Y, w, t, _ = p.row(row)
        wide = x[row].astype(np.float64)
        s = Y @ wide
        error = q[row] - 2 * t @ s + w @ s**2 + p.diagonal.astype(np.float64) @ wide**2
        assert line[0] == q[row]
        assert line[1] == pytest.approx(error, abs=1e-5 * (q[row] + np.abs(t) @ np.abs(s) + w @ s**2))
        assert line[2] == pytest.approx(p.c[row] * wide @ wide, rel=1e-5)


def test_plain_scores_are_those_of_the_new_rows():
    p = problem(26)
    x, scores = plain_sweep(p, 13)
    for row, (first, stop) in enumerate(pairwise(p.indptr)):
        np.testing.assert_allclose(scores[first:stop], p.row(row)[0] @ x[row], rtol=0, atol=1e-12)


@each_kernel
def test_a_run_without_a_unique_solution_stays_as_it_was(kernels):
    # without a penalty, three ratings determine the two columns of the last run, and not the four of the others
    p = replace(problem(10, np.float64, False, 0.0, lengths=[3]), c=np.zeros(1))
    x = sweep(kernels, p, 4)
    np.testing.assert_array_equal(x[0, :8].astype(np.float32), p.previous[0, :8])
    assert (x[0, 8:] != p.previous[0, 8:]).all()
    assert p.objectives(x)[0] < p.objectives(p.previous)[0]


@each_kernel
def test_short_rows_are_swept_where_the_diagonal_has_a_zero(kernels):
    p = problem(24, weighted=False, lengths=[9, 11])
    p = replace(p, c=np.zeros(2), diagonal=np.where(np.arange(24) == 5, 0, p.diagonal))
    x, exact = sweep(kernels, p, 16), p.exact()
    assert np.abs(x - exact).max() > 1e-3  # not solved in one sweep
    for _ in range(100):
        p = replace(p, previous=sweep(kernels, p, 16).astype(np.float32))
    np.testing.assert_allclose(p.previous, exact, rtol=0, atol=1e-4)


@each_kernel
@pytest.mark.parametrize("length", [0, 2, 40])
def test_rows_whose_targets_are_zero_become_zero(kernels, length):
    p = problem(12, lengths=[length])
    p = replace(p, targets=np.zeros_like(p.targets), diagonal=np.zeros(12), c=np.zeros(1))
    assert (sweep(kernels, p, 4) == 0).all()


@each_kernel
def test_a_block_without_rows_or_ratings(kernels):
    assert sweep(kernels, problem(12, lengths=[]), 4).shape == (0, 12)
    assert (sweep(kernels, problem(12, lengths=[0, 0]), 4) == 0).all()


@each_kernel
def test_numbers_too_large_for_the_type_end_as_no_finite_loss(kernels):
    p = problem(24, np.float32, lengths=[40])
    p = replace(p, previous=p.previous * np.float32(1e30), factors=p.factors * np.float32(1e30))
    with np.errstate(all="ignore"):
        if kernels == "numpy":
            assert not np.isfinite(plain_sweep(p, 8)[1]).all()
        else:
            assert not np.isfinite(compiled_sweep(p, 8)[1][0, 1])
