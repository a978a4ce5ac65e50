"""Ratings to in-blocks: the worked example of the docstrings to the letter, and that no rating is lost."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskals.blocks.ids import encode, merge
from daskals.blocks.in_blocks import block_bounds, build, decode, index_of, split, transpose
from daskals.blocks.ratings import CodedChunk, RatingBlock

#: the picture in daskals.blocks; a rating is named after its cell, 3.4 is user 3 and item 4
CELLS = [0.3, 1.1, 1.5, 2.0, 2.4, 3.1, 3.4, 4.2, 5.0, 5.3, 6.5, 7.3, 7.6]
FIRST = [7.6, 3.4, 0.3, 5.0, 3.1]
SECOND = [1.5, 6.5, 1.1, 2.4, 2.0]


def chunk(users, items, ratings):
    return CodedChunk(encode(np.asarray(users)), encode(np.asarray(items)), np.asarray(ratings, np.float32))


def chunk_of_cells(cells):
    return chunk([int(cell) for cell in cells], [round(cell * 10) % 10 for cell in cells], cells)


def named(values):
    """float32 ratings as they are written."""
    return [round(float(value), 1) for value in values]


def split_users(chunks, ids, item_ids, bounds):
    return split([decode(each, "users", ids, item_ids) for each in chunks], np.asarray(bounds))


def both_sides(chunks, n_user_blocks, n_item_blocks):
    """All in-blocks of both sides, the items once from the users' and once from the chunks; and the ids."""
    ids = {side: merge([index_of(each, side) for each in chunks]) for side in ("users", "items")}
    all_bounds = {
        side: block_bounds(ids[side].counts, min(n, len(ids[side].ids)))
        for side, n in (("users", n_user_blocks), ("items", n_item_blocks))
    }

    def built(side, source, parts, *, ordered):
        bounds = all_bounds[side]
        pieces = [split([part], bounds) for part in parts]
        return [
            build(start, stop - start, len(ids[source].ids), [each[number] for each in pieces], ordered)
            for number, (start, stop) in enumerate(pairwise(bounds.tolist()))
        ]

    users, items = (
        built(side, source, [decode(c, side, ids[side].ids, ids[source].ids) for c in chunks], ordered=False)
        for side, source in (("users", "items"), ("items", "users"))
    )
    transposed = built("items", "users", map(transpose, users), ordered=True)
    blocks = {"users": users, "items": items, "items again": transposed}
    return {side: index.ids for side, index in ids.items()}, blocks


def triples(blocks, ids, source_ids, swap):
    """(user, item, rating) of all blocks of a side, sorted."""
    found = []
    for block in blocks:
        for row, (first, stop) in enumerate(pairwise(block.indptr.tolist())):
            for place in range(first, stop):
                pair = ids[block.start + row], source_ids[block.source_positions[place]]
                found.append((*(pair[::-1] if swap else pair), float(block.ratings[place])))
    return sorted(found)


def test_the_worked_example():
    """In-block 0 of the user side of the picture, and what `split` and `build` make on the way."""
    users, items, bounds = np.arange(8), np.arange(7), np.array([0, 4, 8])
    pieces = [split_users([chunk_of_cells(cells)], users, items, bounds) for cells in (FIRST, SECOND)]
    assert [[named(piece.ratings) for piece in each] for each in pieces] == [
        [[3.4, 0.3, 3.1], [7.6, 5.0]],
        [[1.5, 1.1, 2.4, 2.0], [6.5]],
    ]
    first = build(0, 4, 7, [each[0] for each in pieces])
    assert first.start == 0
    assert first.indptr.tolist() == [0, 1, 3, 5, 7]
    assert first.source_positions.tolist() == [3, 1, 5, 0, 4, 1, 4]
    assert named(first.ratings) == [0.3, 1.1, 1.5, 2.0, 2.4, 3.1, 3.4]
    second = build(4, 4, 7, [each[1] for each in pieces])
    assert second.start == 4
    assert named(second.ratings) == [5.0, 6.5, 7.6]
    assert second.indptr.tolist() == [0, 0, 1, 2, 3]


def test_the_whole_picture():
    """All thirteen ratings, in any order, in one chunk: rows of users, and columns as rows of items."""
    ratings = chunk_of_cells(np.random.default_rng(0).permutation(CELLS))
    users, items = np.arange(8), np.arange(7)
    (piece,) = split_users([ratings], users, items, [0, 8])
    by_user = build(0, 8, 7, [piece])
    assert named(by_user.ratings) == CELLS
    (piece,) = split([transpose(by_user)], np.array([0, 7]))
    by_item = build(0, 7, 8, [piece], ordered=True)
    assert named(by_item.ratings) == sorted(CELLS, key=lambda cell: (round(cell * 10) % 10, cell))
    assert by_item.indptr.tolist() == [0, 2, 4, 5, 8, 10, 12, 13]


def test_types_of_what_is_built():
    """Half the bytes where half will do: int32 positions, float32 ratings."""
    (piece,) = split_users([chunk_of_cells(CELLS)], np.arange(8), np.arange(7), [0, 8])
    assert [array.dtype for array in piece[:3]] == [np.int32, np.int32, np.float32]
    assert piece.weights is None
    block = build(0, 8, 7, [piece])
    assert [array.dtype for array in block[1:4]] == [np.int64, np.int32, np.float32]
    assert block.weights is None


ids = st.integers(-5, 12) | st.sampled_from([-(2**63), 2**63 - 1])
rows = st.lists(st.tuples(ids, ids, st.integers(-3, 5)), min_size=1, max_size=40)


@given(parts=st.lists(rows, min_size=1, max_size=4), n_user_blocks=st.integers(1, 9), n_item_blocks=st.integers(1, 9))
def test_both_sides_keep_all_triples(parts, n_user_blocks, n_item_blocks):
    """Duplicates as often as they are there; rows ordered by source; bounds without gaps."""
    chunks = [chunk(*zip(*part, strict=True)) for part in parts]
    all_ids, blocks = both_sides(chunks, n_user_blocks, n_item_blocks)
    expected = sorted((user, item, float(rating)) for part in parts for user, item, rating in part)
    users, items = all_ids["users"].tolist(), all_ids["items"].tolist()
    assert triples(blocks["users"], users, items, swap=False) == expected
    assert triples(blocks["items"], items, users, swap=True) == expected
    assert triples(blocks["items again"], items, users, swap=True) == expected
    for side in blocks.values():
        row = 0
        for block in side:
            assert block.start == row
            row += len(block.indptr) - 1
            for first, stop in pairwise(block.indptr.tolist()):
                assert (np.diff(block.source_positions[first:stop]) >= 0).all()


@given(part=rows, cuts=st.lists(st.integers(0, 40), max_size=3), data=st.data())
def test_blocks_do_not_depend_on_the_order_or_the_chunks_of_ratings(part, cuts, data):
    """Not even where a pair was rated more than once. And items from chunks are those from users."""
    shuffled = data.draw(st.permutations(part))
    edges = sorted({0, *(min(cut, len(part)) for cut in cuts), len(part)})
    some = [chunk(*zip(*shuffled[start:stop], strict=True)) for start, stop in pairwise(edges)]
    whole = [chunk(*zip(*part, strict=True))]
    _, expected = both_sides(whole, 3, 2)
    _, found = both_sides(some, 3, 2)
    assert len(part) == sum(len(block.source_positions) for block in found["users"])
    for side, other_side in [("users", "users"), ("items", "items"), ("items again", "items")]:
        for one, other in zip(found[side], expected[other_side], strict=True):
            assert [np.asarray(array).tolist() for array in one] == [np.asarray(array).tolist() for array in other]


weighted_rows = st.lists(st.tuples(ids, ids, st.integers(-1, 1), st.integers(0, 3)), min_size=1, max_size=40)


@given(part=weighted_rows, cut=st.integers(0, 40), data=st.data())
def test_weights_stay_with_their_ratings(part, cut, data):
    """On both sides, in any order, also where a pair and a rating stand twice with different weights."""
    shuffled = data.draw(st.permutations(part))
    cut = min(cut, len(part))
    pieces = [some for some in (shuffled[:cut], shuffled[cut:]) if some]
    users, items, values, weights = zip(*part, strict=True)
    _, expected = both_sides([chunk(users, items, values)._replace(weights=np.float32(weights))], 2, 2)
    some = [
        chunk(*zip(*(row[:3] for row in piece), strict=True))._replace(weights=np.float32([row[3] for row in piece]))
        for piece in pieces
    ]
    all_ids, found = both_sides(some, 2, 2)
    for side in ("users", "items"):
        own, other_ids = all_ids[side], all_ids["items" if side == "users" else "users"]
        quads = []
        for block, same in zip(found[side], expected[side], strict=True):
            np.testing.assert_array_equal(block.weights, same.weights)
            row_of = block.start + np.repeat(np.arange(len(block.indptr) - 1), np.diff(block.indptr))
            pair = (own[row_of].tolist(), other_ids[block.source_positions].tolist())
            quads += zip(*(pair if side == "users" else pair[::-1]), block.ratings, block.weights, strict=True)
        assert sorted(quads) == sorted(part)


@given(parts=st.lists(rows, min_size=1, max_size=4))
def test_chunks_together_or_one_by_one(parts):
    """`split` of several chunks gives the pieces of each, joined."""
    chunks = [chunk(*zip(*part, strict=True)) for part in parts]
    users, items = (merge([index_of(each, side) for each in chunks]).ids for side in ("users", "items"))
    bounds = np.array([0, (len(users) + 1) // 2, len(users)])
    together = split_users(chunks, users, items, bounds)
    apart = [split_users([each], users, items, bounds) for each in chunks]
    for number, piece in enumerate(together):
        joined = RatingBlock(
            *(np.concatenate(arrays) for arrays in zip(*(each[number][:3] for each in apart), strict=True))
        )
        for one, other in zip(piece[:3], joined[:3], strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_chunk_without_rows_adds_nothing():
    """Between others; alone it makes rows without ratings."""
    empty = chunk(np.empty(0, np.int64), np.empty(0, np.int64), [])
    users, items = np.arange(8), np.arange(7)
    with_empty = split_users([empty, chunk_of_cells(FIRST), empty], users, items, [0, 4, 8])
    without = split_users([chunk_of_cells(FIRST)], users, items, [0, 4, 8])
    for one, other in zip(with_empty, without, strict=True):
        assert [array.tolist() for array in one[:3]] == [array.tolist() for array in other[:3]]
    (piece,) = split_users([empty], users, items, [0, 8])
    assert build(0, 8, 7, [piece]).indptr.tolist() == [0] * 9


@pytest.mark.parametrize("side", ["users", "items"])
def test_index_of_counts_ratings(side):
    """Distinct ids of a chunk and how often each is there."""
    found = index_of(chunk([5, 3, 5, 5], [2, 2, 9, -1], [1, 2, 3, 4]), side)
    expected = {"users": ([3, 5], [1, 3]), "items": ([-1, 2, 9], [1, 2, 1])}[side]
    assert (found.ids.tolist(), found.counts.tolist()) == expected
