"""New rows are those of the closed form, and go where their ids belong."""

import itertools

import dask
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import reference

from daskals.blocks.goal import Goal
from daskals.blocks.ratings import CodedChunk, CodedIds
from daskals.engine.factors import FactorMatrix, rows_with_ids
from daskals.engine.fold_in import FoldIn, known_part, layout_of, runs_of, with_rows
from daskals.engine.some_rows import gram, places_of, rows_at
from daskals.execution.scheduler import current_scheduler
from daskals.execution.tasks import identity, new_token, task
from daskals.kernels.objective import Objective, Solver

RANK = 4


@pytest.fixture(autouse=True)
def one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def matrix_of(ids, rows, n_blocks, counts=None):
    """A matrix of these ascending ids, in blocks of about one size."""
    token = new_token()
    bounds = np.linspace(0, len(ids), n_blocks + 1).astype(np.int64)
    held = [task(identity, rows[a:b], name=f"b-{token}-{a}-{n}") for n, (a, b) in enumerate(itertools.pairwise(bounds))]
    counts = None if counts is None else task(identity, counts, name=f"counts-{token}")
    return FactorMatrix(task(identity, ids, name=f"ids-{token}"), bounds, tuple(held), rows.shape[1], token, counts)


def contents(matrix):
    """Ids and rows, and the bounds checked."""
    parts = dask.compute(*rows_with_ids(matrix))
    assert [len(rows) for _, rows in parts] == np.diff(matrix.bounds).tolist()
    ids, rows = (np.concatenate(each) for each in zip(*parts, strict=True))
    assert ids.tolist() == dask.compute(matrix.ids)[0].tolist()
    return dict(zip(ids.tolist(), rows.tolist(), strict=True)), ids.tolist()


def chunk_of(users, items, ratings):
    coded = []
    for ids in (users, items):
        distinct, codes = np.unique(np.asarray(ids), return_inverse=True)
        coded.append(CodedIds(distinct, codes.astype(np.int32)))
    return CodedChunk(*coded, np.asarray(ratings, np.float32))


# ---- their places ----------------------------------------------------------------------------------------

ID_SETS = st.one_of(
    st.tuples(*[st.sets(st.integers(-30, 30), min_size=1, max_size=25)] * 2),
    st.tuples(*[st.sets(st.text("abcü", max_size=3), min_size=1, max_size=25)] * 2),
)


def array(ids):
    ids = sorted(ids)
    return np.array(ids, object if isinstance(ids[0], str) else np.int64)


@given(sets=ID_SETS, blocks=st.tuples(st.integers(1, 9), st.integers(1, 9)), counted=st.booleans())
def test_rows_are_added_and_replaced_as_in_a_dict(sets, blocks, counted):
    old, new = map(array, sets)
    rows = [np.arange(start, start + 2 * len(ids), dtype=np.float32).reshape(-1, 2)
            for start, ids in ((0, old), (1000, new))]  # fmt: skip
    counts = [np.arange(len(old)), np.arange(len(new)) + 100] if counted else [None, np.arange(len(new)) + 100]
    before, added = (
        matrix_of(ids, each, min(n, len(ids)), number)
        for ids, each, n, number in zip((old, new), rows, blocks, counts, strict=True)
    )
    after = with_rows(current_scheduler(), before, added)
    found, ids = contents(after)
    expected = dict(zip(old.tolist(), rows[0].tolist(), strict=True))
    expected |= dict(zip(new.tolist(), rows[1].tolist(), strict=True))
    assert found == expected
    assert ids == sorted(expected)
    if counted:
        numbers = dict(zip(old.tolist(), counts[0], strict=True)) | dict(zip(new.tolist(), counts[1], strict=True))
        assert dask.compute(after.counts)[0].tolist() == [numbers[each] for each in ids]
    else:
        assert after.counts is None


def test_a_block_without_new_rows_stays_as_it_is():
    before = matrix_of(np.arange(0, 100, 10), np.ones((10, RANK), np.float32), 5)
    after = with_rows(current_scheduler(), before, matrix_of(np.array([31, 50]), np.zeros((2, RANK), np.float32), 1))
    same = [new is old for new, old in zip(after.blocks, before.blocks, strict=True)]
    assert same == [True, False, False, True, True]  # [0 10] [20 30 31] [40 50] [60 70] [80 90]
    assert after.bounds.tolist() == [0, 2, 5, 7, 9, 11]


def test_many_new_rows_at_one_end_make_blocks_of_a_bounded_length():
    layout = layout_of(np.arange(40), np.arange(40, 1040))
    runs = runs_of(layout, np.array([0, 10, 20, 30, 40]), 6)
    assert max(run.stop - run.start for run in runs) < 2 * 104  # 104: the share of ten blocks
    assert len(runs) <= 14


def test_one_row_after_another_does_not_make_a_block_of_each():
    matrix = matrix_of(np.arange(40), np.ones((40, RANK), np.float32), 4)
    for number in range(40, 80):
        new = matrix_of(np.array([number]), np.full((1, RANK), number, np.float32), 1)
        matrix = with_rows(current_scheduler(), matrix, new)
    assert matrix.n_rows == 80
    assert len(matrix.blocks) <= 16
    assert np.diff(matrix.bounds).max() <= 20


# ---- the rows --------------------------------------------------------------------------------------------

OBJECTIVES = {
    "explicit": Objective(0.1),
    "implicit": Objective(0.3, implicit=True, alpha=4.0),
    "nonnegative": Objective(0.1, nonnegative=True),
    "implicit, nonnegative": Objective(0.1, implicit=True, alpha=2.0, nonnegative=True),
}


@pytest.mark.parametrize("share", [0.3, 0.0], ids=["gathered", "streamed"])
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_rows_are_those_of_the_closed_form(kind, share):
    rng = np.random.default_rng(5)
    objective, n_items = OBJECTIVES[kind], 30
    Y = rng.normal(size=(n_items, RANK)).astype(np.float32)
    item_ids = np.arange(n_items) * 3
    users, items = rng.integers(0, 20, 300), rng.integers(0, 2 * n_items, 300) * 3  # half of the items are unknown
    ratings = rng.integers(-1, 6, 300).astype(np.float32)
    chunks = [
        task(identity, chunk_of(users[part], items[part], ratings[part]), name=f"chunk-{new_token()}")
        for part in np.array_split(np.arange(300), 3)
    ]
    with dask.config.set({"daskals.factor-share": share}):
        scheduler = current_scheduler()
        work = FoldIn(
            scheduler, "users", matrix_of(item_ids, Y, 3), Goal(objective), Solver(double=objective.nonnegative)
        )
        new = work.solve(chunks)
    found, ids = contents(new)
    known = items < 3 * n_items
    assert ids == sorted(set(users[known].tolist()))
    alpha = objective.alpha if objective.implicit else None
    for user in ids:
        mine = known & (users == user)
        expected = reference.solve(
            Y.astype(np.float64), items[mine] // 3, ratings[mine], objective.reg, alpha, objective.nonnegative
        )
        np.testing.assert_allclose(found[user], expected, atol=2e-5)
    assert dask.compute(new.counts)[0].tolist() == [int((known & (users == user)).sum()) for user in ids]


def test_items_are_solved_from_users_alike():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(9, RANK)).astype(np.float32)
    users, items, ratings = rng.integers(0, 9, 60), rng.integers(100, 105, 60), rng.normal(size=60)
    source = matrix_of(np.arange(9), X, 2)
    work = FoldIn(current_scheduler(), "items", source, Goal(Objective(0.2)), Solver(double=True))
    found, ids = contents(work.solve([task(identity, chunk_of(users, items, ratings), name=f"c-{new_token()}")]))
    assert ids == [100, 101, 102, 103, 104]
    for item in ids:
        expected = reference.solve(X.astype(np.float64), users[items == item], ratings[items == item], 0.2)
        np.testing.assert_allclose(found[item], expected, atol=1e-5)


@given(
    rows=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 5)), max_size=30),
    known=st.sets(st.integers(0, 9)),
)
def test_ratings_of_unknown_sources_are_passed_over(rows, known):
    users, items, ratings = (np.array([row[n] for row in rows], np.int64) for n in range(3))
    part = known_part(chunk_of(users, items, ratings), "items", np.array(sorted(known), np.int64))
    found = list(
        zip(
            part.items.uniques[part.items.codes].tolist(),
            part.users.uniques[part.users.codes].tolist(),
            part.ratings.tolist(),
            strict=True,
        )
    )
    # the side "items" is in the place of the users, and its sources are the users
    assert [(source, own, value) for source, own, value in found] == [row for row in rows if row[0] in known]
    for column in (part.users, part.items):
        assert set(column.codes.tolist()) == set(range(len(column.uniques)))


def test_a_row_that_ratings_do_not_determine_is_named():
    source = matrix_of(np.arange(9), np.eye(9, RANK, dtype=np.float32), 2)
    work = FoldIn(current_scheduler(), "items", source, Goal(Objective(0.0)), Solver())
    chunk = task(identity, chunk_of([0, 1], [77, 77], [1, 2]), name=f"c-{new_token()}")
    with pytest.raises(ValueError, match=r"item with id 77 \(2 ratings, rank 4\) are singular"):
        work.solve([chunk])


# ---- a few rows ------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 19), max_size=12), st.integers(1, 6))
def test_rows_at_places_in_any_order(places, n_blocks):
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    matrix = matrix_of(np.arange(20) * 2, rows, n_blocks)
    assert np.array_equal(rows_at(current_scheduler(), matrix, np.array(places, np.int64)), rows[places])


def test_places_and_gram():
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    matrix = matrix_of(np.arange(20) * 2, rows, 6)
    assert places_of(current_scheduler(), matrix, np.array([38, 3, 0])).tolist() == [19, -1, 0]
    np.testing.assert_allclose(gram(current_scheduler(), matrix), rows.T.astype(np.float64) @ rows, rtol=1e-6)
