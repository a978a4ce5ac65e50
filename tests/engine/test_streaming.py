"""Half-steps that take the factors of the other side panel by panel: the same numbers, with less at hand."""

import importlib
from itertools import pairwise

import dask
import numpy as np
import pandas as pd
import pytest
from distributed import get_task_stream

from daskals import ALS, kernels
from daskals.blocks.least_squares import SingularRowError, gram_of, solve_block
from daskals.blocks.ratings import InBlock
from daskals.blocks.streamed import accumulate, solve_accumulated
from daskals.engine import streaming
from daskals.kernels.objective import Objective, Solver

OBJECTIVES = {
    "explicit": (Objective(0.1), Solver()),
    "double": (Objective(0.1), Solver(double=True)),
    "implicit": (Objective(0.1, implicit=True, alpha=3.0), Solver()),
    "nonnegative": (Objective(0.1, nonnegative=True), Solver(double=True)),
    "cg": (Objective(0.1), Solver(cg_steps=3)),
    "implicit cg": (Objective(0.1, implicit=True, alpha=3.0), Solver(cg_steps=2)),
}


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def _each_kernel(request, monkeypatch):
    """`kernels` is one of the two sets throughout a test."""
    if request.param == "numba":
        pytest.importorskip("numba", reason="compiled kernels need numba")
    module = importlib.import_module(f"daskals.kernels.{request.param}")
    for name in module.__all__:
        monkeypatch.setattr(kernels, name, getattr(module, name), raising=False)


def block_of(n_rows, n_sources, n_ratings, seed=0):
    rng = np.random.default_rng(seed)
    rows, sources = rng.integers(0, n_rows, n_ratings), rng.integers(0, n_sources, n_ratings)
    order = np.lexsort((sources, rows))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))])
    ratings = rng.integers(-1, 6, n_ratings).astype(np.float32)
    return InBlock(40, indptr, sources[order].astype(np.int32), ratings[order])


def solve_in_parts(block, factors, cuts, objective, solver, previous):
    edges = [0, *cuts, len(factors)]
    equations = None
    for first, stop in pairwise(edges):
        parts = np.array_split(factors[first:stop].astype(np.float32), 2)
        sources = kernels.pack_sources(parts, solver.dtype)
        equations = accumulate(block, first, sources, objective, solver, equations)
    gram = gram_of([factors]) if objective.implicit else None
    return solve_accumulated(block, equations, gram, objective, solver, previous)


def solve_at_once(block, factors, objective, solver, previous=None):
    gram = gram_of([factors]) if objective.implicit else None
    return solve_block(block, kernels.pack_sources([factors], solver.dtype), gram, objective, solver, previous)


@pytest.mark.parametrize("rank", [1, 7, 24, 40])
@pytest.mark.parametrize("cuts", [[], [30], [1, 2, 50, 59]])
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_parts_give_what_the_whole_gives(kind, cuts, rank):
    """Rows and losses of `solve_block`, however the sources are cut; rows without ratings among them."""
    objective, solver = OBJECTIVES[kind]
    block = block_of(50, 60, 900)
    rng = np.random.default_rng(1)
    factors = rng.standard_normal((60, rank), dtype=np.float32).astype(solver.dtype)
    previous = rng.standard_normal((50, rank), dtype=np.float32)
    whole = solve_at_once(block, factors, objective, solver, previous)
    parts = solve_in_parts(block, factors, cuts, objective, solver, previous)
    scale = np.abs(whole.rows).max()
    np.testing.assert_allclose(parts.rows, whole.rows, rtol=0, atol=2e-4 * scale)
    assert parts.rows.dtype == np.float32
    np.testing.assert_allclose(parts.losses, whole.losses, rtol=1e-3, atol=1e-3)


def test_an_addition_leaves_what_it_adds_to():
    """A task that is run a second time finds its input as it was."""
    block, what = block_of(20, 30, 200), OBJECTIVES["explicit"]
    factors = np.random.default_rng(2).standard_normal((30, 5), dtype=np.float32)
    some, others = (kernels.pack_sources([part], np.float32) for part in (factors[:10], factors[10:]))
    first = accumulate(block, 0, some, *what, None)
    before = first.A.copy(), first.b.copy()
    one, again = (accumulate(block, 10, others, *what, first) for _ in range(2))
    for now, then in zip((first.A, first.b), before, strict=True):
        np.testing.assert_array_equal(now, then)
    for now, then in zip(one, again, strict=True):
        np.testing.assert_array_equal(now, then)


def test_rows_that_float32_cannot_tell_from_singular_ones():
    """A second try in float64, where the penalty shows; without a penalty the row is named."""
    column = np.linspace(1, 2, 8, dtype=np.float32)[:, None]
    factors = np.concatenate([column, column], axis=1) * np.float32(1000)
    block = InBlock(5, np.array([0, 8]), np.arange(8, dtype=np.int32), np.arange(8, dtype=np.float32))
    small = Objective(1e-4)
    parts = solve_in_parts(block, factors, [3], small, Solver(), None)
    np.testing.assert_allclose(parts.rows[0, 0], parts.rows[0, 1], rtol=1e-2)
    np.testing.assert_allclose(
        factors @ parts.rows[0], factors @ solve_at_once(block, factors, small, Solver()).rows[0], 1e-2
    )
    for bad in (block, InBlock(5, np.array([0, 1]), np.zeros(1, np.int32), np.ones(1, np.float32))):
        with pytest.raises(SingularRowError, match="row 5"):
            solve_in_parts(bad, factors, [3], Objective(0.0), Solver(), None)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_equations_are_solved_by_the_kernels_in_use(kind, monkeypatch):
    """Where they are the compiled ones, nothing of the plain ones is called, and the reverse."""
    objective, solver = OBJECTIVES[kind]
    chosen = kernels.solve_equations.__module__.split(".")[2]
    other = importlib.import_module("daskals.kernels.numpy.solving" if chosen == "numba" else "daskals.kernels.arrays")

    def forbidden(*_):
        raise AssertionError

    for name in ("solve_systems", "conjugate_gradients", "row_sums", "as_kernel_array"):
        if hasattr(other, name):
            monkeypatch.setattr(other, name, forbidden)
    rng = np.random.default_rng(1)
    factors = rng.standard_normal((30, 4), dtype=np.float32)
    previous = rng.standard_normal((20, 4), dtype=np.float32)
    solved = solve_in_parts(block_of(20, 30, 200), factors, [10], objective, solver, previous)
    assert np.isfinite(solved.rows).all()


def ratings_frame(seed=3):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"user": rng.integers(0, 200, 4000), "item": rng.integers(0, 70, 4000)})
    return frame.drop_duplicates().assign(rating=lambda f: rng.integers(1, 6, len(f)).astype(np.float32))


SETTINGS = [
    {},
    {"implicitPrefs": True, "alpha": 2.0},
    {"nonnegative": True},
    {"solver": "cg"},
    {"precision": "double"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_fits_agree(settings, monkeypatch):
    """And every task has one panel of the other side at hand, never all of its rows."""
    frame = ratings_frame()
    als = ALS(rank=6, maxIter=4, seed=1, numUserBlocks=5, numItemBlocks=3, **settings)
    expected = als.fit(frame)
    sizes = []

    def watched(block, start, sources, *more):
        sizes.append(len(sources))
        return accumulate(block, start, sources, *more)

    monkeypatch.setattr(streaming, "accumulate", watched)
    with dask.config.set({"daskals.factor-share": 0, "daskals.panels": 4}):
        found = als.fit(frame)
    assert len(sizes) == 4 * (3 * 4 + 5 * 3)  # iterations, blocks of items and panels of users, and the reverse
    assert max(sizes) < 200 * 0.6
    pairs = frame[["user", "item"]]
    np.testing.assert_allclose(
        found.transform(pairs).prediction, expected.transform(pairs).prediction, rtol=0, atol=2e-3
    )
    np.testing.assert_allclose(found.history.objective, expected.history.objective, rtol=1e-4)


def test_singular_rows_are_named():
    """The id, as in a fit that gathers."""
    frame = ratings_frame().assign(user=lambda f: f.user + 1000)
    alone = pd.DataFrame({"user": [77], "item": [1], "rating": np.float32([2])})
    with (
        dask.config.set({"daskals.factor-share": 0}),
        pytest.raises(ValueError, match="user with id 77"),
    ):
        ALS(rank=6, maxIter=1, regParam=0.0).fit(pd.concat([frame, alone]))


def test_streamed_on_a_cluster(cluster, monkeypatch):
    """The same model, solved on the workers and not here; the smallest one's memory decides."""
    frame = ratings_frame()
    als = ALS(rank=4, maxIter=2, seed=1, numUserBlocks=4, numItemBlocks=3)
    with dask.config.set(scheduler="threads"):
        expected = als.fit(frame).transform(frame).prediction
    monkeypatch.setattr(streaming, "accumulate", lambda *_: pytest.fail("called in the process of the test"))
    with cluster.as_current(), dask.config.set({"daskals.factor-share": 1e-9}):
        with get_task_stream(client=cluster) as done:
            model = als.fit(frame)
        found = model.transform(frame).prediction
    added = [each["worker"] for each in done.data if each["key"].startswith("als-add-")]
    assert len(added) == 2 * (3 * 4 + 4 * 3)  # iterations, blocks of items and panels of users, and the reverse
    assert set(added) == set(cluster.scheduler_info()["workers"])
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)
