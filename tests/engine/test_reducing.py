"""Half-steps in which source rows stay where they are: the factors of half-steps that gather, with other traffic."""

import dataclasses
import importlib
import logging
from collections import Counter

import dask
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster, get_task_stream
from support.planned import planned

from daskals import ALS, kernels
from daskals.blocks import lanes, reduced
from daskals.blocks.biases import biases_of
from daskals.blocks.least_squares import gram_of, pack_sources
from daskals.blocks.ratings import InBlock
from daskals.engine import loop, reducing
from daskals.engine.forms import FitShape, lanes_of_process, panels_at_once, panels_of_reduced, reduced_side
from daskals.execution.scheduler import current_scheduler
from daskals.kernels.objective import Objective, Solver

OBJECTIVES = {
    "explicit": Objective(0.1),
    "implicit": Objective(0.1, implicit=True, alpha=3.0),
    "iALS": Objective(0.1, implicit=True, alpha=3.0, unobserved_weight=0.2, reg_exponent=0.5, reg_base=4.0),
}
FITS = [
    {"solver": "cholesky"},
    {"solver": "cg"},
    {"implicitPrefs": True, "alpha": 2.0, "solver": "cholesky"},
    {"implicitPrefs": True, "alpha": 2.0, "solver": "cg", "cgSteps": 5},
    {"precision": "double", "solver": "cg"},
    {"precision": "double", "nonnegative": True},
    {"biases": True, "solver": "cholesky"},
    {"biases": True, "solver": "cg", "weightCol": "w"},
    {"weightCol": "w", "solver": "cholesky"},
    {"implicitPrefs": True, "unobservedWeight": 0.1, "regExponent": 0.5, "regCount": "all", "solver": "cg"},
    {"implicitPrefs": True, "unobservedWeight": 0.1, "weightCol": "w", "solver": "cholesky"},
    {"userCountExponent": 0.3, "itemCountExponent": 0.2, "solver": "cg"},
]


def ratings_frame(seed=3, *, flipped=False):
    """Of 300 users and 70 items, or the reverse."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"user": rng.integers(0, 300, 5000), "item": rng.integers(0, 70, 5000)})
    if flipped:
        frame = frame.rename(columns={"user": "item", "item": "user"})
    frame = frame.drop_duplicates()
    values = rng.integers(1, 6, len(frame)).astype(np.float32)
    return frame.assign(rating=values, w=rng.random(len(frame), dtype=np.float32) + 0.1)


def estimator(**settings):
    return ALS(rank=6, maxIter=4, seed=1, numUserBlocks=5, numItemBlocks=3, **settings)


@pytest.fixture(params=["turned", "in order"])
def _way(request, monkeypatch):
    """Conjugate gradients by each of the two ways of `daskals.blocks.lanes`."""
    if request.param == "turned":
        monkeypatch.setattr("daskals.engine.forms.NEAR_BYTES", 0)


def check_same(found, expected, frame, settings):
    pairs = frame[["user", "item"]]
    close = 1e-10 if settings.get("precision") == "double" else 5e-4
    scale = expected.transform(pairs).prediction.abs().max()
    np.testing.assert_allclose(
        found.transform(pairs).prediction / scale, expected.transform(pairs).prediction / scale, rtol=0, atol=close
    )
    np.testing.assert_allclose(found.history.objective, expected.history.objective, rtol=10 * close)


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("flipped", [False, True], ids=["many users", "many items"])
@pytest.mark.parametrize("settings", FITS, ids=str)
def test_fits_agree(settings, flipped):
    frame = ratings_frame(flipped=flipped)
    expected = estimator(**settings).fit(frame)
    with dask.config.set({"daskals.half-step": "reduce"}):
        found = estimator(**settings).fit(frame)
    check_same(found, expected, frame, settings)


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("blocks", [(1, 1), (2, 7), (9, 2), (12, 10)])
def test_blocks_and_panels_change_nothing_but_rounding(blocks, solver):
    """Also where memory asks for a panel for each row, of which but two are in the making at a time."""
    frame, settings = ratings_frame(), {"solver": solver, "precision": "double", "implicitPrefs": True}
    expected = estimator(**settings).fit(frame)
    config = {"daskals.user-blocks": blocks[0], "daskals.item-blocks": blocks[1], "daskals.half-step": "reduce"}
    for share in (0.25, 0):
        with dask.config.set(config), dask.config.set({"daskals.factor-share": share}):
            found = estimator(**settings).fit(frame)
        check_same(found, expected, frame, settings)


def test_ratings_are_held_once_and_source_rows_stay(monkeypatch):
    """No in-block of items is made; no task has the rows of all users, and each has them once in an iteration."""
    frame, rows = ratings_frame(), []

    def watched(blocks, *more):
        blocks = list(blocks)
        rows.append(sum(len(each) for _, each in blocks))
        assert all(len(block.indptr) == len(each) + 1 for block, each in blocks), "in-blocks of the source"
        return turn(blocks, *more)

    turn = lanes.turn
    monkeypatch.setattr("daskals.engine.reducing.turn", watched)
    with (
        LocalCluster(n_workers=3, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
        get_task_stream(client=client) as done,
        dask.config.set({"daskals.half-step": "reduce", "daskals.user-blocks": 8}),
    ):
        estimator(solver="cholesky").fit(frame)
    kinds = Counter(each["key"].split("-")[1] for each in done.data)
    assert "items" not in {each["key"].split("-")[2] for each in done.data if each["key"].startswith("als-build-")}
    assert sum(rows) == 300 * 4, "iterations"
    assert kinds["lane"] == len(rows) == 3 * 4
    assert max(rows) < 300 / 2


def test_a_fit_goes_on_from_checkpoints_of_the_other_form(tmp_path):
    """The fingerprint of the ratings is the same, whichever side holds them."""
    for flipped in (False, True):
        frame, folder = ratings_frame(flipped=flipped), str(tmp_path / str(flipped))
        short, long = (estimator(solver="cg", checkpointDir=folder, checkpointInterval=2) for _ in range(2))
        short.setMaxIter(2).fit(frame)
        with dask.config.set({"daskals.half-step": "reduce"}):
            found = long.fit(frame, resume=True)
        assert len(found.history) == 4
        check_same(found, estimator(solver="cg").fit(frame), frame, {})


def test_validation_rows_and_grids():
    frame = ratings_frame(flipped=True)
    train, held_out = frame.iloc[200:], frame.head(200)
    with dask.config.set({"daskals.half-step": "reduce"}):
        found = estimator(implicitPrefs=True).fit(train, validation=held_out)
        models = [model for _, model in estimator().fitMultiple(frame, [{ALS.rank: 4}, {ALS.rank: 20}])]
    expected = estimator(implicitPrefs=True).fit(train, validation=held_out)
    np.testing.assert_allclose(found.history.validationNdcg, expected.history.validationNdcg, rtol=1e-3)
    assert [model.rank for model in models] == [4, 20]


def test_singular_rows_are_named():
    frame = pd.concat([ratings_frame(), pd.DataFrame({"user": [5], "item": [777], "rating": [2.0], "w": [1.0]})])
    with dask.config.set({"daskals.half-step": "reduce"}), pytest.raises(ValueError, match="item with id 777"):
        estimator(regParam=0.0, solver="cholesky").fit(frame)


def test_too_large_numbers_are_told():
    frame = ratings_frame().assign(rating=np.float32(3e38))
    with dask.config.set({"daskals.half-step": "reduce"}):
        with pytest.raises(ValueError, match="so large that it counts for nothing"):
            estimator(solver="cholesky").fit(frame)
        with pytest.warns(UserWarning, match="not a finite number"):
            estimator(solver="cg").fit(frame)


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("form", ["one graph", "many graphs", "ratings beyond memory"])
@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_on_clusters_of_any_number_of_workers(solver, form, monkeypatch):
    """Also with half-steps and passes that are sent one after the other, as on large clusters; and in several lanes."""
    if form == "ratings beyond memory":
        monkeypatch.setattr("daskals.engine.plan.lanes_of_process", lambda *_: 3)
        monkeypatch.setattr("daskals.engine.forms.LEAST_PANELS", 3)
    if form == "many graphs":
        monkeypatch.setattr(loop, "BLOCKS_IN_ONE", 0)
        monkeypatch.setattr(reducing, "BLOCKS_IN_ONE", 0)
    frame, settings = ratings_frame(), {"solver": solver}
    expected = estimator(**settings).fit(frame)
    for n_workers in (1, 3):
        with (
            LocalCluster(n_workers=n_workers, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
            Client(cluster) as client,
            dask.config.set({"daskals.half-step": "reduce"}),
        ):
            with get_task_stream(client=client) as done:
                found = estimator(**settings).fit(frame)
            check_same(found, expected, frame, settings)
        kinds = {each["key"].split("-")[1] for each in done.data}
        assert "reduce" in kinds


# ---- parts, against matrices written out -----------------------------------------------------------------


@pytest.fixture(params=["numpy", "numba"])
def _each_kernel(request, monkeypatch):
    if request.param == "numba":
        pytest.importorskip("numba", reason="compiled kernels need numba")
    module = importlib.import_module(f"daskals.kernels.{request.param}")
    for name in module.__all__:
        monkeypatch.setattr(kernels, name, getattr(module, name), raising=False)


def source_blocks(rng, n_destination, *, weighted, rank=5):
    """Two blocks of source rows, of which some have no ratings, and their factors; and all as dense matrices."""
    blocks, start = [], 0
    for n_rows in (30, 12):
        lengths = rng.integers(0, 9, n_rows)
        positions = [np.sort(rng.choice(n_destination, n, replace=False)) for n in lengths]
        total = int(lengths.sum())
        weights = rng.random(total, dtype=np.float32) if weighted else None
        ratings = rng.integers(-1, 5, total).astype(np.float32)
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        block = InBlock(start, indptr, np.concatenate(positions).astype(np.int32), ratings, weights)
        blocks.append((block, rng.standard_normal((n_rows, rank), dtype=np.float32)))
        start += n_rows
    return blocks


def equations_by_hand(blocks, row, objective):
    """A, b (without Y'Y and c I) and the squared error as a function, of one destination row; float64."""
    A, b, terms = 0.0, 0.0, []
    for block, factors in blocks:
        for source, (first, stop) in enumerate(zip(block.indptr[:-1], block.indptr[1:], strict=True)):
            for t in range(first, stop):
                if block.source_positions[t] != row:
                    continue
                y, r = factors[source].astype(float), float(block.ratings[t])
                count = 1.0 if block.weights is None else float(block.weights[t])
                if objective.implicit:
                    extra = 1.0 if objective.unobserved_weight is None else 0.0
                    w = count * objective.alpha * abs(r)
                    target = count * (extra + objective.alpha * abs(r)) if r > 0 else 0.0
                    terms.append((target, target, w, y))
                else:
                    w, target = count, count * r
                    terms.append((count * r * r, target, w, y))
                A, b = A + w * np.outer(y, y), b + target * y
    return A, b, lambda x: sum(q - 2 * t * (y @ x) + w * (y @ x) ** 2 for q, t, w, y in terms)


def turned_from(blocks, objective, solver, n_threads=1, ends=((0, 20),)):
    return lanes.turn(blocks, [np.array(panel) for panel in ends], n_threads, objective, solver)


@pytest.mark.usefixtures("_each_kernel")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("way", ["turned", "in order"])
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_parts_are_those_of_matrices_written_out(kind, way, n_threads, weighted):
    """Of three panels, in several runs of rows; one of these has no row at all."""
    rng, objective, solver = np.random.default_rng(7), OBJECTIVES[kind], Solver(double=True)
    blocks = source_blocks(rng, 20, weighted=weighted)
    ends = ((0, 2, 5), (5, 6, 6, 9, 13), (13, 20))
    turned = turned_from(blocks, objective, solver, n_threads, ends)
    upper = np.triu_indices(5)
    for panel, (start, *_, stop) in enumerate(ends):
        x = rng.standard_normal((stop - start, 5))
        exact = lanes.part_of_equations(turned, panel, n_threads, objective, solver)
        lane = turned if way == "turned" else lanes.in_order(blocks, n_threads, objective, solver)
        residuals = lanes.part_of_products(lane, panel, start, n_threads, x, objective, residuals=True)
        products = lanes.part_of_products(lane, panel, start, n_threads, x, objective, residuals=False)
        for row in range(start, stop):
            A, b, error = equations_by_hand(blocks, row, objective)
            n, A = row - start, np.zeros((5, 5)) + A
            np.testing.assert_allclose(exact.triangles[n], A[upper], atol=1e-6)
            np.testing.assert_allclose(exact.b[n], np.zeros(5) + b, atol=1e-6)
            np.testing.assert_allclose(products.products.values[n], A @ x[n], atol=1e-6)
            np.testing.assert_allclose(residuals.products.values[n], b - A @ x[n], atol=1e-6)
            np.testing.assert_allclose(residuals.products.q[n], error(np.zeros(5)), rtol=1e-6)
            np.testing.assert_allclose(residuals.products.error[n], error(x[n]), rtol=1e-5, atol=1e-6)
        for field in ("n", "n_ratings"):
            np.testing.assert_allclose(getattr(exact.tallies, field), getattr(residuals.tallies, field))
        assert exact.tallies.weight == pytest.approx(residuals.tallies.weight)


@pytest.mark.usefixtures("_each_kernel")
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_many_steps_reach_the_solution(kind):
    """Steps from parts end where the exact solution from parts does, whose gradient vanishes."""
    rng, objective, solver = np.random.default_rng(8), OBJECTIVES[kind], Solver(double=True, cg_steps=30)
    blocks = source_blocks(rng, 20, weighted=True)
    gram = gram_of([rows for _, rows in blocks]) if objective.implicit else None
    whole, *pair = (turned_from(some, objective, solver) for some in (blocks, blocks[:1], blocks[1:]))
    x = rng.standard_normal((20, 5))
    steps = reduced.first_step(x, lanes.part_of_products(whole, 0, 0, 1, x, objective, residuals=True), gram, objective)
    for _ in range(solver.cg_steps):
        d = steps.descent.direction
        parts = [lanes.part_of_products(lane, 0, 0, 1, d, objective, residuals=False) for lane in pair]
        steps = reduced.next_step(steps, reduced.add_parts(*parts))
    found = reduced.solved_rows(steps, objective)
    parts = [lanes.part_of_equations(lane, 0, 1, objective, solver) for lane in pair]
    exact = reduced.solve_part(0, reduced.add_parts(*parts), gram, objective, Solver(double=True))
    np.testing.assert_allclose(found.rows, exact.rows, atol=1e-5)
    np.testing.assert_allclose(found.losses, exact.losses, rtol=1e-6, atol=1e-6)


def test_adding_leaves_what_is_added():
    """A task that runs a second time finds its input as it was."""
    rng, objective, solver = np.random.default_rng(9), OBJECTIVES["explicit"], Solver()
    blocks = source_blocks(rng, 20, weighted=False)
    exact = [
        lanes.part_of_equations(turned_from([block], objective, solver), 0, 1, objective, solver) for block in blocks
    ]
    before = exact[0].triangles.copy()
    first, again = (reduced.add_parts(*exact) for _ in range(2))
    np.testing.assert_array_equal(exact[0].triangles, before)
    np.testing.assert_array_equal(first.triangles, again.triangles)


# ---- the choice ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_users", "n_items", "solver", "processes", "expected"),
    [
        (100_000_000, 1_000_000, Solver(), 16, "items"),
        (1_000_000, 100_000_000, Solver(cg_steps=3), 16, "users"),
        (100_000_000, 100_000_000, Solver(cg_steps=3), 16, None),
        (100_000_000, 1_000_000, Solver(), 1, None),
        (100_000_000, 1_000_000, Solver(subspace=16), 16, None),
        (138_493, 26_744, Solver(), 2, None),
    ],
)
def test_the_side_that_is_reduced_is_chosen_by_bytes(n_users, n_items, solver, processes, expected, caplog):
    scheduler = dataclasses.replace(current_scheduler(), processes=processes)
    with caplog.at_level(logging.INFO, logger="daskals"):
        assert reduced_side(scheduler, FitShape(64, solver), n_users, n_items) == expected
    if expected:
        assert "would move" in caplog.text
        assert caplog.text.rstrip().endswith("reduce")


@pytest.mark.parametrize(("n_ratings", "n_lanes"), [(1000, 1), (33_000_000, 1), (34_000_000, 3), (400_000_000, 24)])
def test_ratings_beyond_memory_are_gone_over_in_several_lanes(n_ratings, n_lanes):
    """Two workers of 1 GB: 12 bytes a rating, a fifth of the memory for all of them or a tenth for those of a lane."""
    scheduler = dataclasses.replace(planned(memory=1e9), processes=2)
    assert lanes_of_process(scheduler, n_ratings) == n_lanes
    assert panels_at_once(scheduler, n_lanes) == (2 if n_lanes == 1 else 1)


def test_a_worker_has_room_for_its_parts():
    """16 workers of 32 threads, and a quarter of 25 GB for a part of a panel, or one in each thread, and sums of 16."""
    exact, steps = FitShape(64, Solver()), FitShape(64, Solver(cg_steps=3))
    scheduler = dataclasses.replace(planned(512, memory=25e9), processes=16)
    n_rows = 1_000_000
    assert panels_of_reduced(scheduler, exact, n_rows) == -(-17 * n_rows * 2 * 64 * 64 * 4 // int(0.25 * 25e9)) == 90
    assert panels_of_reduced(scheduler, steps, n_rows) == 16, "one for each process"
    assert panels_of_reduced(scheduler, steps, 5) == 5
    assert not steps.stays_in_order(n_rows)
    assert steps.stays_in_order(32_768)
    assert not steps.stays_in_order(32_769), "16 MiB"
    assert not exact.stays_in_order(1)


def test_subspace_gathers_whatever_is_asked_for():
    frame, settings = ratings_frame(), {"solver": "subspace", "subspaceSize": 4}
    expected = estimator(**settings).fit(frame)
    with dask.config.set({"daskals.half-step": "reduce"}):
        pd.testing.assert_frame_equal(estimator(**settings).fit(frame).userFactors, expected.userFactors)


def test_a_word_that_is_not_allowed_is_named():
    with dask.config.set({"daskals.half-step": "spread"}), pytest.raises(ValueError, match="half-step is 'spread'"):
        estimator().fit(ratings_frame())


def test_sources_of_a_lane_are_packed_with_their_offsets():
    """Biases: what a source adds to a prediction by itself goes with it."""
    biases = biases_of("items", 6, 3.5)
    rows = np.arange(12, dtype=np.float32).reshape(2, 6)
    packed = pack_sources([rows], None, OBJECTIVES["explicit"], Solver(), biases)
    np.testing.assert_array_equal(packed.offsets, rows[:, biases.fixed])
