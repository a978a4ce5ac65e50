"""Every set of kernels against the one-page reference and brute force."""

import importlib.util
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support import reference

from daskals.kernels.numpy.losses import CANCELLED
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.tallies import tallies_of
from daskals.kernels.types import LookedUp, Rows, Runs

KERNELS = ["numpy", "numba"]
RANKS = [1, 2, 3, 10, 16, 17, 32, 64, 100]
#: rows with none, one, few and many ratings; the last of a block has some, the first has none
LENGTHS = [0, 1, 3, 0, 150, 2, 17, 40, 1, 300]
N_SOURCES = 120
REG, ALPHA = 0.05, 4.0

OBJECTIVES = {
    "explicit": Objective(REG),
    "implicit": Objective(REG, implicit=True, alpha=ALPHA),
    "nonnegative": Objective(REG, nonnegative=True),
    "implicit-nonnegative": Objective(REG, implicit=True, alpha=ALPHA, nonnegative=True),
}
SINGLE, DOUBLE = Solver(), Solver(double=True)
each_rank = pytest.mark.parametrize("rank", RANKS)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
each_solver = pytest.mark.parametrize("solver", [SINGLE, DOUBLE], ids=["float32", "float64"])
each_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())


@pytest.fixture(scope="module", params=KERNELS)
def kernels(request):
    """The module of one set of kernels."""
    if request.param == "numba":
        pytest.importorskip("numba", reason="compiled kernels need numba")
    return importlib.import_module(f"daskals.kernels.{request.param}")


@pytest.fixture(scope="module", autouse=True)
def _few_keys_are_sorted_by_the_compiled_function_too():
    """The compiled set sorts few keys as the plain set does, and tests have few."""
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("numba"):
            patch.setattr("daskals.kernels.numba.grouping.FEW", -1)
        yield


def block(lengths=LENGTHS, n_sources=N_SOURCES, seed=0):
    """Rows with whole and fractional, zero and negative ratings, some pairs twice."""
    rng = np.random.default_rng(seed)
    n = int(np.sum(lengths))
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    sources = np.concatenate([np.sort(rng.integers(0, n_sources, length)) for length in lengths]).astype(np.int32)
    return Rows(indptr, sources, rng.choice([-1, 0, 0.5, 1, 2, 3, 4, 5], n).astype(np.float32))


def factors_of(rank, n=N_SOURCES, seed=1):
    return np.random.default_rng(seed).normal(size=(n, rank), scale=0.7).astype(np.float32)


def gram_of(factors, objective):
    return factors.astype(np.float64).T @ factors.astype(np.float64) if objective.implicit else None


def alpha_of(objective):
    """As the reference says it: None is the explicit objective."""
    return objective.alpha if objective.implicit else None


def solve(kernels, rows, factors, objective, solver=DOUBLE, previous=None):
    sources = kernels.pack_sources([factors], solver.dtype)
    return kernels.solve_rows(rows, sources, gram_of(factors, objective), objective, solver, previous)


def slices(rows):
    """(row, its sources, its ratings in float64)."""
    for row, (start, stop) in enumerate(pairwise(rows.indptr)):
        yield row, rows.source_positions[start:stop], rows.ratings[start:stop].astype(np.float64)


def unaligned(array):
    """The same numbers at an odd address, and read-only: as they come out of a message."""
    raw = b"\0" + array.tobytes()
    copy = np.frombuffer(raw, array.dtype, array.size, offset=1).reshape(array.shape)
    assert not copy.flags.writeable
    assert array.dtype.itemsize == 1 or not copy.flags.aligned
    return copy


# ---- solve_rows ------------------------------------------------------------------------------------------


@each_objective
@each_solver
@each_rank
def test_rows_are_those_of_the_reference(kernels, rank, solver, objective):
    """Each row, and the losses; float32 arithmetic by what remains of A x = b, since A may be ill-conditioned."""
    rows, factors, alpha = block(), factors_of(rank), alpha_of(objective)
    found = solve(kernels, rows, factors, objective, solver)
    assert found.rows.shape == (len(LENGTHS), rank)
    assert found.rows.dtype == np.float32
    assert found.failed.tolist() == []
    wide, exact, scale = factors.astype(np.float64), np.zeros(3), 0.0
    for row, sources, values in slices(rows):
        x = found.rows[row].astype(np.float64)
        if solver.double or objective.nonnegative:
            expected = reference.solve(wide, sources, values, REG, alpha, objective.nonnegative)
            tolerance = 2e-6 if solver.double else 1e-3
            np.testing.assert_allclose(x, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))
        else:
            A, b = reference.equations(wide, sources, values, REG, alpha)
            size = np.abs(wide).max() ** 2 * (len(values) + objective.implicit * N_SOURCES) * np.abs(x).sum() + 1
            assert np.abs(A @ x - b).max() <= 2e-6 * size * np.sqrt(rank), row
        at = np.full(len(values), row)
        all_rows = np.zeros((row + 1, rank))
        all_rows[row] = x
        error = reference.squared_error(all_rows, wide, at, sources, values, alpha)
        penalty = reference.penalty(all_rows, at, values, REG, alpha)
        exact += error, penalty, len(values) if alpha is None else alpha * np.abs(values).sum()
        scale += reference.squared_error(0 * all_rows, wide, at, sources, values, alpha)
    assert found.losses.squared_error == pytest.approx(exact[0], rel=0, abs=(1e-6 if solver.double else 4e-6) * scale)
    assert found.losses.penalty == pytest.approx(exact[1], rel=1e-5)
    assert found.losses.weight == pytest.approx(exact[2], rel=1e-6)


@each_objective
@each_solver
@each_rank
def test_unaligned_and_read_only_arrays(kernels, rank, solver, objective):
    """Bit for bit what aligned arrays give, and nothing is written to them."""
    rows, factors = block(LENGTHS[:7]), factors_of(rank).astype(solver.dtype)
    expected = solve(kernels, rows, factors, objective, solver)
    gram = gram_of(factors, objective)
    sources = kernels.pack_sources([unaligned(factors)], solver.dtype)
    given = Rows(*map(unaligned, rows[:3])), sources, None if gram is None else unaligned(gram)
    found = kernels.solve_rows(*given, objective, solver)
    np.testing.assert_array_equal(found.rows, expected.rows)
    assert found.losses == expected.losses


@each_solver
@pytest.mark.parametrize("rank", [3, 17, 64])
def test_inputs_are_left_as_they_are(kernels, rank, solver):
    """Some LAPACK calls overwrite what they are given."""
    rows, factors = block(), factors_of(rank).astype(solver.dtype)
    sources, gram = kernels.pack_sources([factors], solver.dtype), gram_of(factors, OBJECTIVES["implicit"])
    given = (*rows[:3], factors, sources.values, gram)
    before = [array.copy() for array in given]
    for objective in OBJECTIVES.values():
        kernels.solve_rows(rows, sources, gram, objective, solver)
    for array, copy in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@each_solver
@pytest.mark.parametrize("rank", [3, 16])
def test_sources_in_blocks_are_those_in_one(kernels, rank, solver):
    """However they are cut, also into empty blocks."""
    factors = factors_of(rank)
    whole = kernels.pack_sources([factors], solver.dtype)
    parts = kernels.pack_sources([factors[:0], factors[:7], factors[7:100], factors[100:]], solver.dtype)
    for packed in (whole, parts):
        assert (len(packed), packed.rank, packed.values.dtype) == (N_SOURCES, rank, solver.dtype)
        np.testing.assert_array_equal(packed.values[:, :rank], factors)
        assert not packed.values[:, rank:].any()


@each_objective
@each_solver
@pytest.mark.parametrize("rank", [1, 10, 32])
def test_a_part_of_a_csr_matrix_starts_its_pointers_at_zero(kernels, rank, solver, objective):
    """A row's solution depends on its own ratings alone: one by one they are what they are together."""
    rows, factors = block(), factors_of(rank)
    together = solve(kernels, rows, factors, objective, solver).rows
    for row, sources, values in slices(rows):
        alone = Rows(np.array([0, len(values)]), sources, values.astype(np.float32))
        found = solve(kernels, alone, factors, objective, solver).rows[0]
        tolerance = 1e-6 if solver.double else 2e-4
        np.testing.assert_allclose(found, together[row], rtol=0, atol=tolerance * max(1, np.abs(together[row]).max()))


@each_objective
@each_solver
@pytest.mark.parametrize("rank", [1, 16, 64])
def test_nothing_to_solve(kernels, rank, solver, objective):
    """No rows at all; rows without a rating, which are zero."""
    for n_rows in (0, 3):
        nothing = Rows(np.zeros(n_rows + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
        found = solve(kernels, nothing, factors_of(rank), objective._replace(reg=0.0), solver)
        assert found.rows.tolist() == [[0.0] * rank] * n_rows
        assert found.rows.shape == (n_rows, rank)
        assert found.failed.tolist() == []
        assert found.losses == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_needed_and_not_given_is_named(kernels, streamed):
    """A Gram matrix for the implicit objective, rows to start from for conjugate gradients."""
    rows, sources = block(), kernels.pack_sources([factors_of(3)], np.float32)
    nothing = kernels.no_equations(len(LENGTHS), 3, np.float32)
    first = (nothing, tallies_of(rows, OBJECTIVES["explicit"])) if streamed else (rows, sources)
    solve = kernels.solve_equations if streamed else kernels.solve_rows
    with pytest.raises(TypeError, match="gram"):
        solve(*first, None, OBJECTIVES["implicit"], SINGLE)
    with pytest.raises(TypeError, match="previous"):
        solve(*first, None, OBJECTIVES["explicit"], Solver(cg_steps=1))


@each_solver
@each_rank
def test_singular_rows_are_reported_as_zeros_and_leave_their_neighbours_alone(kernels, rank, solver):
    """Row 1 has the same source over and over; its equations have rank one."""
    n = rank + 20
    indptr = np.array([0, n, 2 * n, 3 * n])
    sources = np.concatenate([np.arange(n), np.full(n, 7), np.arange(n)]).astype(np.int32)
    values = np.tile(np.arange(1, n + 1, dtype=np.float32) / n, 3)
    factors, objective = factors_of(rank).astype(solver.dtype), Objective(0.0)
    found = solve(kernels, Rows(indptr, sources, values), factors, objective, solver)
    assert found.failed.dtype.kind == "i"
    assert found.failed.tolist() == ([] if rank == 1 else [1])
    assert rank == 1 or not found.rows[1].any()
    np.testing.assert_array_equal(found.rows[0], found.rows[2])
    np.testing.assert_allclose(found.rows[0], reference.solve(factors, sources[:n], values[:n], 0.0), atol=2e-3)
    first = solve(kernels, Rows(indptr[:2], sources[:n], values[:n]), factors, objective, solver)
    if rank > 1:  # the losses are of the rows that were solved
        assert found.losses.squared_error == pytest.approx(2 * first.losses.squared_error, abs=1e-4)


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_nonnegative_rows_by_trying_every_active_set(kernels, rank):
    """The best feasible of all 2^rank solutions with some entries held at zero."""
    rows, factors = block([3, 8, 20, 40, 5, 6] * 5, seed=rank), factors_of(rank)
    found = solve(kernels, rows, factors, OBJECTIVES["nonnegative"]).rows
    for row, sources, values in slices(rows):
        A, b = reference.equations(factors.astype(np.float64), sources, values, REG, None)
        best, least = None, np.inf
        for free in map(list, np.ndindex(*[2] * rank)):
            free, x = np.array(free, bool), np.zeros(rank)
            x[free] = np.linalg.solve(A[np.ix_(free, free)], b[free])
            objective = x @ A @ x / 2 - b @ x
            if (x >= 0).all() and objective < least:
                best, least = x, objective
        np.testing.assert_allclose(found[row], best, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rank", [5, 30])
def test_nonnegative_rows_of_nearly_dependent_equations(kernels, rank):
    """Many entries change sides before the right ones are found."""
    rng = np.random.default_rng(3)
    factors = np.abs(rng.normal(size=(N_SOURCES, 1)) + 0.05 * rng.normal(size=(N_SOURCES, rank)))
    rows = block([40, 80, 3, 150] * 5)
    found = solve(kernels, rows, factors, Objective(1e-4, nonnegative=True))
    assert found.failed.tolist() == []
    for row, sources, values in slices(rows):
        A, b = reference.equations(factors, sources, values, 1e-4, None)
        x, expected = found.rows[row].astype(float), reference.solve(factors, sources, values, 1e-4, None, True)
        assert (x >= 0).all()
        least = expected @ A @ expected / 2 - b @ expected
        assert x @ A @ x / 2 - b @ x <= least + 1e-6 * abs(least) + 1e-9


@each_solver
@pytest.mark.parametrize("rank", [3, 32])
def test_no_warning_from_extreme_but_finite_ratings(kernels, rank, solver):
    """Ratings of 1e30 or 1e-30 give rows of that size."""
    rows, factors, objective = block(), factors_of(rank), OBJECTIVES["explicit"]
    for size in (1e30, 1e-30):
        scaled = rows._replace(ratings=rows.ratings * np.float32(size))
        found = solve(kernels, scaled, factors, objective, solver)
        plain = solve(kernels, rows, factors, objective, solver)
        np.testing.assert_allclose(found.rows / size, plain.rows, rtol=0, atol=2e-4 * np.abs(plain.rows).max())


# ---- conjugate gradients: when a row stops ---------------------------------------------------------------


@each_solver
@pytest.mark.parametrize("name", ["explicit", "implicit"])
@pytest.mark.parametrize("rank", [1, 8, 40])
def test_a_row_that_has_arrived_stays(kernels, rank, name, solver):
    """Far more steps than unknowns: what is left of the residual is rounding, and no step on it does harm."""
    lengths = [length for length in LENGTHS if length]
    rows, factors, objective = block(lengths), factors_of(rank), OBJECTIVES[name]
    exact = solve(kernels, rows, factors, objective).rows
    start = factors_of(rank, len(lengths), seed=3)
    scale = max(1, np.abs(exact).max())
    for steps in (4 * rank + 20, 8 * rank + 80):
        found = solve(kernels, rows, factors, objective, solver._replace(cg_steps=steps), start)
        assert found.failed.tolist() == []
        np.testing.assert_allclose(found.rows, exact, rtol=0, atol=(1e-5 if solver.double else 2e-3) * scale)
        assert found.losses == pytest.approx(solve(kernels, rows, factors, objective).losses, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("rank", [3, 40])
def test_a_row_without_a_residual_takes_no_step(kernels, rank):
    """Nothing to fit and nothing to start from: zeros, however many steps, and never zero by zero."""
    rows = block()._replace(ratings=np.zeros(sum(LENGTHS), np.float32))
    start = np.zeros((len(LENGTHS), rank), np.float32)
    found = solve(kernels, rows, factors_of(rank), Objective(0.0), Solver(cg_steps=5), start)
    assert not found.rows.any()
    assert found.losses == (0.0, 0.0, len(rows.ratings))


def test_a_row_is_measured_by_its_first_residual(kernels):
    """However small that is beside b: here a step along it moves an entry from 0 to where it has to be."""
    rows = Rows(np.array([0, 2]), np.arange(2, dtype=np.int32), np.float32([1, 1e-10]))
    factors, start = np.float32([[1, 0], [0, 1e-6]]), np.float32([[1, 0]])
    found = solve(kernels, rows, factors, Objective(0.0), Solver(double=True, cg_steps=2), start)
    np.testing.assert_allclose(found.rows, [[1, 1e-4]], rtol=1e-6)


def test_a_row_stops_for_good_where_the_curvature_is_not_above_zero(kernels):
    """No ratings and no penalty: A is zero, and so is the residual's curvature; the row stays where it was."""
    rows = Rows(np.array([0, 0]), np.empty(0, np.int32), np.empty(0, np.float32))
    start = np.float32([[1, -2, 3]])
    found = solve(kernels, rows, factors_of(3), Objective(0.0), Solver(cg_steps=4), start)
    np.testing.assert_array_equal(found.rows, start)


# ---- the squared error where numbers cancel --------------------------------------------------------------


def fitted_data(rank, noise=0.0, seed=4):
    """Rows whose ratings are dot products with the sources, float32, and noise; and the factors of the sources."""
    rng = np.random.default_rng(seed)
    factors, rows = factors_of(rank), block([2 * rank + 20, 150, 3 * rank + 20, 0, 200, 1])
    truth = rng.normal(size=(len(rows.indptr) - 1, rank))
    of = np.repeat(np.arange(len(truth)), np.diff(rows.indptr))
    ratings = np.einsum("ij,ij->i", truth[of], factors[rows.source_positions].astype(float))
    ratings += noise * rng.normal(size=len(ratings))
    return rows._replace(ratings=ratings.astype(np.float32)), factors, truth.astype(np.float32)


def directly(rows, factors, solution, failed=()):
    """The sum of squared residuals of float32 rows that did not fail, in float64."""
    of = np.repeat(np.arange(len(solution)), np.diff(rows.indptr))
    scores = np.einsum("ij,ij->i", solution[of].astype(float), factors[rows.source_positions].astype(float))
    return float(np.sum((rows.ratings - scores)[~np.isin(of, failed)] ** 2))


@pytest.mark.parametrize("noise", [0.0, 1e-5, 1e-3, 0.1])
@pytest.mark.parametrize("steps", [0, 60])
@each_solver
@pytest.mark.parametrize("rank", [2, 12, 40])
def test_the_squared_error_of_rows_that_fit_is_that_of_their_residuals(kernels, rank, solver, steps, noise):
    """However little is left of the ratings: q - b.x - c |x|^2 alone would show rounding errors of q."""
    rows, factors, truth = fitted_data(rank, noise)
    start = truth + np.float32(0.1)
    found = solve(kernels, rows, factors, Objective(1e-9), solver._replace(cg_steps=steps), start)
    assert set(found.failed) <= {5}, "but for the row with one rating, all are regular"
    exact = directly(rows, factors, found.rows, found.failed)
    q = float(np.sum(rows.ratings.astype(float) ** 2))
    if noise == 0:
        assert exact < 1e-7 * q, "this would test little"
    # above the threshold rounding is at most a small share of it
    assert found.losses.squared_error == pytest.approx(exact, rel=1e-6 / CANCELLED)


@each_solver
@pytest.mark.parametrize("steps", [0, 60])
def test_the_squared_error_is_never_negative_where_it_cannot_be_computed_again(kernels, steps, solver):
    """Implicit, and equations that were added up: zero at least, and within rounding of the sum of squares."""
    rows, factors, truth = fitted_data(5)
    q = float(np.sum(rows.ratings.astype(float) ** 2))
    objective, solver = Objective(1e-9), solver._replace(cg_steps=steps)
    nothing = kernels.no_equations(len(truth), 5, solver.dtype)
    equations = kernels.add_equations(nothing, rows, kernels.pack_sources([factors], solver.dtype), objective)
    found = kernels.solve_equations(equations, tallies_of(rows, objective), None, objective, solver, truth)
    assert set(found.failed) <= {5}
    assert 0 <= found.losses.squared_error <= (1e-12 if solver.double else 1e-5) * q


# ---- counting sort ---------------------------------------------------------------------------------------


def in_parts(array, cuts):
    return np.split(array, sorted(min(cut, len(array)) for cut in cuts))


@given(
    keys=arrays.arrays(np.int32, st.integers(0, 60), elements=st.integers(0, 12)),
    more=st.integers(0, 5),
    cuts=st.lists(st.integers(0, 60), max_size=3),
)
def test_counting_sort_is_a_stable_sort(kernels, keys, more, cuts):
    """And says where each key's run begins, also of keys that are not there; parts are one sequence."""
    n_keys = int(keys.max(initial=-1)) + 1 + more
    first, second = np.arange(len(keys), dtype=np.int32), np.arange(len(keys), dtype=np.float32) / 2
    starts, *columns = kernels.counting_sort(
        in_parts(keys, cuts), n_keys, in_parts(first, cuts), in_parts(second, cuts)
    )
    order = np.argsort(keys, kind="stable")
    assert [starts.dtype, *(column.dtype for column in columns)] == [np.int64, np.int32, np.float32]
    assert columns[0].tolist() == order.tolist()
    assert columns[1].tolist() == second[order].tolist()
    assert starts.tolist() == np.searchsorted(np.sort(keys), np.arange(n_keys + 1)).tolist()


def test_counting_sort_of_many_keys(kernels):
    """More than any counter of 16 bits holds; read-only and unaligned."""
    keys = np.random.default_rng(0).integers(0, 70_000, 200_000).astype(np.int32)
    values = np.arange(200_000, dtype=np.float32)
    for given_ in (np.array, unaligned):
        starts, sorted_values = kernels.counting_sort([given_(keys)], 70_000, [given_(values)])
        np.testing.assert_array_equal(sorted_values, np.argsort(keys, kind="stable"))
        np.testing.assert_array_equal(np.diff(starts), np.bincount(keys, minlength=70_000))


def test_few_keys_are_sorted_without_a_compiled_function(monkeypatch):
    """To the same arrays; from one key more on they are sorted by compiled ones."""
    grouping = pytest.importorskip("daskals.kernels.numba.grouping", reason="compiled kernels need numba")
    keys = np.random.default_rng(0).integers(3, 50, 1000).astype(np.int32)
    given_ = [keys[:300], keys[300:]], 50, [np.arange(300), np.arange(300, 1000)]
    expected = grouping.counting_sort(*given_, first=3)
    monkeypatch.setattr(grouping, "_count", None)  # cannot be called
    monkeypatch.setattr(grouping, "FEW", 1000)
    found = grouping.counting_sort(*given_, first=3)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    monkeypatch.setattr(grouping, "FEW", 999)
    with pytest.raises(TypeError):
        grouping.counting_sort(*given_, first=3)


@given(
    keys=arrays.arrays(np.int32, st.integers(1, 60), elements=st.integers(0, 12)),
    table=arrays.arrays(np.int32, 13, elements=st.integers(0, 5)),
    first=st.integers(0, 3),
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=20),
    cuts=st.lists(st.integers(0, 60), max_size=3),
)
def test_counting_sort_of_what_is_not_written_out(kernels, keys, table, first, lengths, cuts):
    """Keys and columns that are looked up, runs, keys that do not begin at 0: as of the same values in an array."""
    starts = np.concatenate([[0], np.cumsum(lengths)])
    keys = np.resize(keys, starts[-1])
    values = np.repeat(np.arange(7, 7 + len(lengths), dtype=np.int32), lengths)
    parts = in_parts(keys, cuts)
    expected = kernels.counting_sort([table[part] for part in parts], 6, [table[part] + 1 for part in parts])
    looked_up = [LookedUp(table + np.int32(first), part) for part in parts]
    found = kernels.counting_sort(looked_up, 6, [LookedUp(table + np.int32(1), part) for part in parts], first=first)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)
    expected = kernels.counting_sort([keys], 13, [values])
    found = kernels.counting_sort([keys + np.int32(first)], 13, [Runs(7, starts)], first=first)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


# ---- predict_pairs ---------------------------------------------------------------------------------------


@each_rank
def test_predictions_are_dot_products(kernels, rank):
    """NaN where either position is negative, else the dot product of the two rows, float32."""
    left, right = factors_of(rank, 50), factors_of(rank, 70, seed=2)
    rng = np.random.default_rng(0)
    rows, others = rng.integers(-1, 50, 2000), rng.integers(-1, 70, 2000)
    found = kernels.predict_pairs(left, right, rows, others)
    assert found.dtype == np.float32
    known = (rows >= 0) & (others >= 0)
    assert 0 < known.sum() < 2000
    np.testing.assert_array_equal(np.isnan(found), ~known)
    exact = (left.astype(float)[rows] * right.astype(float)[others]).sum(axis=1)
    size = (np.abs(left)[rows] * np.abs(right)[others]).sum(axis=1)
    assert (np.abs(found - exact)[known] <= 1e-6 * size[known] + 1e-30).all()
    again = kernels.predict_pairs(*map(unaligned, (left, right, rows, others)))
    np.testing.assert_array_equal(again, found)


def test_predictions_of_nothing(kernels):
    """No pairs; nothing but unknown ones; not one row on a side."""
    nothing = np.empty(0, np.int64)
    found = kernels.predict_pairs(factors_of(3), factors_of(3), nothing, nothing)
    assert (found.shape, found.dtype) == ((0,), np.float32)
    unknown = np.full(4, -1)
    assert np.isnan(kernels.predict_pairs(factors_of(3), factors_of(3), unknown, np.arange(4))).all()
    assert np.isnan(kernels.predict_pairs(factors_of(3)[:0], factors_of(3), unknown, np.arange(4))).all()


def test_predictions_of_more_pairs_than_are_made_at_a_time(kernels):
    """The parts join without a seam."""
    left, right = factors_of(40, 300), factors_of(40, 300, seed=2)
    rng = np.random.default_rng(0)
    rows, others = rng.integers(0, 300, (2, 250_000))
    found = kernels.predict_pairs(left, right, rows, others)
    np.testing.assert_allclose(found, (left @ right.T)[rows, others], rtol=0, atol=2e-5)


# ---- top_k -----------------------------------------------------------------------------------------------


def top_k(kernels, queries, candidates, *more):
    return kernels.top_k(queries, kernels.pack_candidates([candidates]), *more)


def brute_top_k(queries, candidates, k):
    """Sort all scores of each row: the greatest first, of equal ones the later candidate first."""
    exact = queries.astype(np.float64) @ candidates.astype(np.float64).T
    order = [sorted(range(exact.shape[1]), key=lambda n: (row[n], n), reverse=True)[:k] for row in exact]
    return np.array(order, np.int64).reshape(len(queries), -1), exact


def whole(shape, low, high, seed):
    """Whole numbers, so that float32 scores are exact and ties are many."""
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.float32)


@pytest.mark.parametrize("block_size", [1, 3, 4096])
@pytest.mark.parametrize("k", [1, 2, 7, 29, 30, 31, 1000])
@pytest.mark.parametrize("rank", [1, 2, 10])
def test_top_k_is_a_sort_of_all_scores(kernels, rank, k, block_size):
    """Ties within tiles and across them, k below, at and above the number of candidates."""
    queries, candidates = whole((11, rank), -2, 3, 0), whole((30, rank), -2, 3, 1)
    best, scores = top_k(kernels, queries, candidates, k, block_size)
    expected, exact = brute_top_k(queries, candidates, k)
    assert best.shape == scores.shape == (11, min(k, 30))
    assert (best.dtype, scores.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(best, expected)
    np.testing.assert_array_equal(scores, np.take_along_axis(exact, best, 1))


@given(data=st.data())
def test_top_k_of_any_shape(kernels, data):
    """Whole numbers of few values in any shape."""
    m, n, rank = (data.draw(st.integers(1, most)) for most in (6, 25, 3))
    small = st.integers(-1, 1)
    queries = data.draw(arrays.arrays(np.float32, (m, rank), elements=small))
    candidates = data.draw(arrays.arrays(np.float32, (n, rank), elements=small))
    k, block_size = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 30))
    best, scores = top_k(kernels, queries, candidates, k, block_size)
    expected, exact = brute_top_k(queries, candidates, k)
    np.testing.assert_array_equal(best, expected)
    np.testing.assert_array_equal(scores, np.take_along_axis(exact, best, 1))


@pytest.mark.parametrize("block_size", [1, 3, 100, 4096])
def test_top_k_where_all_scores_are_equal(kernels, block_size):
    """The last candidates, from the end."""
    best, scores = top_k(kernels, np.zeros((5, 4), np.float32), factors_of(4, 200), 6, block_size)
    np.testing.assert_array_equal(best, np.tile([199, 198, 197, 196, 195, 194], (5, 1)))
    assert not scores.any()


@each_rank
def test_top_k_of_real_numbers(kernels, rank):
    """Scores are those of the candidates returned, in order, and no other candidate is better by more than rounding."""
    queries, candidates = factors_of(rank, 150, seed=5), factors_of(rank, 1300, seed=6)
    best, scores = top_k(kernels, queries, candidates, 10, 500)
    _, exact = brute_top_k(queries, candidates, 1)
    rounding = 1e-6 * (np.abs(queries) @ np.abs(candidates).T).max()
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 10 for row in best.tolist())
    np.testing.assert_allclose(scores, np.take_along_axis(exact, best, 1), rtol=0, atol=rounding)
    rest = exact.copy()
    np.put_along_axis(rest, best, -np.inf, 1)
    assert (rest.max(axis=1) <= scores[:, -1] + rounding).all()
    again, scores_again = top_k(kernels, unaligned(queries), unaligned(candidates), 10, 500)
    np.testing.assert_array_equal(again, best)
    np.testing.assert_array_equal(scores_again, scores)


def test_top_k_of_a_wide_and_a_tall_matrix(kernels):
    """More candidates than a tile is wide, and more queries than it is high."""
    for m, n in ((3, 9000), (5000, 40)):
        queries, candidates = whole((m, 2), -3, 4, 2), whole((n, 2), -3, 4, 3)
        best, _ = top_k(kernels, queries, candidates, 3)
        exact = queries.astype(np.float64) @ candidates.astype(np.float64).T
        order = np.lexsort((np.broadcast_to(-np.arange(n), exact.shape), -exact), axis=1)[:, :3]
        np.testing.assert_array_equal(best, order)


@pytest.mark.parametrize("block_size", [1, 7, 4096])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95, 1.0])
def test_top_k_passes_over_what_was_seen(kernels, share, block_size):
    """The best of the others; queries that run out of them end with -1."""
    rng = np.random.default_rng(8)
    queries, candidates = whole((21, 3), -2, 3, 0), whole((60, 3), -2, 3, 1) * rng.integers(1, 9, (60, 1))
    crossed = rng.random((21, 60)) < share
    seen = np.concatenate([[0], crossed.sum(axis=1).cumsum()]), np.nonzero(crossed)[1].astype(np.int32)
    best, scores = top_k(kernels, queries, candidates.astype(np.float32), 10, block_size, seen)
    for query, others in enumerate(~crossed):
        exact = candidates @ queries[query].astype(np.float64)
        expected = sorted(np.flatnonzero(others), key=lambda n: (exact[n], n), reverse=True)[:10]
        n = len(expected)
        np.testing.assert_array_equal(best[query], np.concatenate([expected, np.full(10 - n, -1)]))
        np.testing.assert_array_equal(scores[query], np.concatenate([exact[expected], np.full(10 - n, -np.inf)]))


@given(data=st.data())
def test_top_k_with_ragged_lists_of_what_was_seen(kernels, data):
    """Any lists, empty ones too, next to lists of other queries; ties; k beyond what remains; several tiles."""
    m, rank = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 3))
    n = data.draw(st.integers(1, 60))
    small = st.integers(-2, 2)
    queries = data.draw(arrays.arrays(np.float32, (m, rank), elements=small))
    candidates = data.draw(arrays.arrays(np.float32, (n, rank), elements=small))
    lists = data.draw(st.lists(st.sets(st.integers(0, n - 1)), min_size=m, max_size=m))
    k, block_size = data.draw(st.integers(1, n + 2)), data.draw(st.integers(1, 30))
    indptr = np.concatenate([[0], np.cumsum([len(each) for each in lists])])
    positions = np.array([position for each in lists for position in sorted(each)], np.int32)
    best, scores = top_k(kernels, queries, candidates, k, block_size, (indptr, positions))
    exact = queries.astype(np.float64) @ candidates.astype(np.float64).T
    for query, seen in enumerate(lists):
        others = set(range(n)) - seen
        expected = sorted(others, key=lambda n: (exact[query, n], n), reverse=True)[:k]
        missing = min(k, n) - len(expected)
        assert best[query].tolist() == expected + [-1] * missing
        assert scores[query].tolist() == [*exact[query, expected], *[-np.inf] * missing]


def test_top_k_does_not_take_what_another_query_has_seen(kernels):
    """Query 0 has seen nothing, and the first that query 1 has seen is query 0's best."""
    one = np.ones((2, 1), np.float32)
    best, _ = top_k(kernels, one, np.float32([[1], [2], [3]]), 2, 4096, (np.array([0, 0, 1]), np.array([2], np.int32)))
    assert best.tolist() == [[2, 1], [1, 0]]


def test_candidates_in_blocks_are_those_in_one(kernels):
    """However they are cut, also into empty blocks."""
    queries, candidates = whole((9, 3), -2, 3, 0), whole((50, 3), -2, 3, 1)
    cut = kernels.pack_candidates([candidates[:0], candidates[:20], candidates[20:21], candidates[21:]])
    assert len(cut) == 50
    for one, other in zip(kernels.top_k(queries, cut, 7), top_k(kernels, queries, candidates, 7), strict=True):
        np.testing.assert_array_equal(one, other)


def test_top_k_of_candidates_of_very_different_norms(kernels):
    """Short candidates win where the long ones point elsewhere: a bound by norms must not lose them."""
    rng = np.random.default_rng(9)
    candidates = factors_of(6, 3000, seed=7) * rng.lognormal(0, 3, (3000, 1)).astype(np.float32)
    long = np.linalg.norm(candidates, axis=1) > 5
    candidates[long, 0] = -np.abs(candidates[long, 0])
    candidates[long, 1:] *= 1e-3
    queries = np.abs(factors_of(6, 40, seed=8)) * np.float32([10, 1, 1, 1, 1, 1])
    best, _ = top_k(kernels, queries, candidates, 20)
    exact = queries.astype(np.float64) @ candidates.astype(np.float64).T
    np.testing.assert_array_equal(best, np.argsort(-exact, axis=1)[:, :20])
    assert not long[best].any()


def test_top_k_of_no_queries(kernels):
    """Nothing, of the right shape."""
    best, scores = top_k(kernels, np.empty((0, 4), np.float32), factors_of(4, 20), 6)
    assert best.shape == scores.shape == (0, 6)


def test_top_k_of_no_candidates(kernels):
    """Nothing for each query."""
    best, scores = top_k(kernels, factors_of(4, 5), np.empty((0, 4), np.float32), 6)
    assert best.shape == scores.shape == (5, 0)


def test_the_package_uses_one_of_the_sets():
    """Whichever was chosen, all names come from it."""
    chosen = importlib.import_module("daskals.kernels")
    module = importlib.import_module(f"daskals.kernels.{chosen.backend}")
    for name in module.__all__:
        assert getattr(chosen, name) is getattr(module, name)
