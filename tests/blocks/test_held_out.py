"""Held-out ratings against sums that are written out, row by row."""

import math

import numpy as np
import pytest

from daskals import kernels
from daskals.blocks.held_out import best_items, ndcg_sum, relevant_items, split_known, squared_error
from daskals.blocks.in_blocks import build
from daskals.blocks.ratings import CodedChunk, CodedIds, RatingBlock

N_ROWS, N_ITEMS, RANK = 9, 12, 3


def coded(values):
    uniques, codes = np.unique(values, return_inverse=True)
    return CodedIds(uniques, codes.astype(np.int32))


def block(triples, start=0):
    rows, items, ratings = (np.array(column) for column in zip(*triples, strict=True))
    piece = RatingBlock((start + rows).astype(np.int32), items.astype(np.int32), ratings.astype(np.float32))
    return build(start, N_ROWS, N_ITEMS, [piece])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def draw(rng, n, low):
    rows, items = rng.integers(0, N_ROWS - 1, n), rng.integers(0, N_ITEMS, n)  # the last row has nothing; some repeat
    return list(zip(rows.tolist(), items.tolist(), rng.integers(low, 6, n).tolist(), strict=True))


def test_unknown_ids_are_left_out_and_the_rest_is_cut_by_user():
    users, items, bounds = np.array([2, 4, 6, 8]), np.array([1, 3]), np.array([0, 1, 4])
    given = [[(8, 1, 1.0), (3, 1, 2.0), (2, 2, 3.0), (2, 3, 4.0)], [(9, 9, 5.0)], [(4, 3, 6.0)]]
    chunks = []
    for rows in given:
        u, i, r = zip(*rows, strict=True)
        chunks.append(CodedChunk(coded(u), coded(i), np.array(r, np.float32)))
    pieces = split_known(chunks, users, items, bounds)
    found = [sorted(zip(*(column.tolist() for column in piece[:3]), strict=True)) for piece in pieces]
    assert all(piece.weights is None for piece in pieces)
    assert found == [[(0, 1, 4.0)], [(1, 1, 6.0), (3, 0, 1.0)]]


@pytest.mark.parametrize("start", [0, 7])
def test_squared_errors(rng, start):
    triples = draw(rng, 40, -5)
    users, items = (rng.normal(size=(n, RANK)).astype(np.float32) for n in (N_ROWS, N_ITEMS))
    expected = sum((float(users[u].astype(float) @ items[i]) - r) ** 2 for u, i, r in triples)
    held_out = block(triples, start)
    assert squared_error(held_out, users, items) == pytest.approx(expected, rel=1e-5)
    parts = squared_error(held_out, users, items[:5]) + squared_error(held_out, users, items[5:], 5)
    assert parts == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("k", [1, 3, 100])
def test_ndcg(rng, k):
    training, test = draw(rng, 45, 0), draw(rng, 40, -2)
    users, items = (rng.normal(size=(n, RANK)).astype(np.float32) for n in (N_ROWS, N_ITEMS))
    total, counted = 0.0, 0
    for row in range(N_ROWS):
        rated = {i for u, i, _ in training if u == row}
        wanted = {i for u, i, r in test if u == row and r > 0} - rated
        order = sorted(set(range(N_ITEMS)) - rated, key=lambda i, row=row: -float(users[row] @ items[i]))[:k]
        gain = sum(1 / math.log2(2 + place) for place, i in enumerate(order) if i in wanted)
        best = sum(1 / math.log2(2 + place) for place in range(min(len(wanted), k)))
        total, counted = total + (gain / best if wanted else 0), counted + bool(wanted)
    relevant = relevant_items(block(test, start=7), block(training, start=7))
    assert len(relevant.rows) == counted > 3
    for cuts in ([], [5], [1, 2, 11]):
        parts = zip([0, *cuts], np.split(items, cuts), strict=True)
        best = [best_items(relevant, users, kernels.pack_candidates([part]), k, 4096, start) for start, part in parts]
        assert ndcg_sum(relevant, best, k) == pytest.approx(total, rel=1e-9)


def test_nothing_is_relevant(rng):
    triples = draw(rng, 20, 1)
    relevant = relevant_items(block(triples), block(triples))
    assert len(relevant.rows) == 0
    packed = kernels.pack_candidates([np.ones((N_ITEMS, 1), np.float32)])
    best = best_items(relevant, np.ones((N_ROWS, 1), np.float32), packed, 5, 4096)
    assert ndcg_sum(relevant, [best], 5) == 0
