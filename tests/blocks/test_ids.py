"""Ids to positions and back: for ids of every type, whatever order they come in."""

import gc
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskals.blocks import ids as indexing
from daskals.blocks.ids import encode, merge, positions, sort_distinct, spark_ids
from daskals.blocks.in_blocks import block_bounds
from daskals.blocks.ratings import Index

WIDTHS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
#: what ids are kept as, by numpy dtype: see the head of `daskals.blocks.ids`
KINDS = ["int64", "uint64", "datetime64[ns]", "object"]


def integers(dtype, min_size=0):
    """Arrays of a type: its extremes, small numbers, runs anywhere in its range."""
    limits = np.iinfo(dtype)
    whole = st.integers(limits.min, limits.max)
    near = st.integers(0, 20)
    around = st.builds(lambda start, steps: [start + step for step in steps], whole, st.lists(near, max_size=30))
    ends = st.sampled_from([limits.min, limits.min + 1, 0, 1, limits.max - 1, limits.max])
    lists = st.one_of(st.lists(whole, max_size=30), around, st.lists(ends, max_size=12))
    kept = lists.map(lambda values: [value for value in values if value <= limits.max])
    return kept.filter(lambda values: len(values) >= min_size).map(lambda values: np.array(values, dtype))


def column(kind, min_size=0):
    """Arrays of ids in one of the kinds."""
    if kind == "object":
        text = st.text(max_size=4) | st.sampled_from(["", "a", "A", "10", "9", "\u00e9", "\U0001f600", "\uffff"])
        return st.lists(text, min_size=min_size, max_size=30).map(lambda values: np.array(values, object))
    if kind == "datetime64[ns]":
        moment = st.integers(-(2**62), 2**62)
        return st.lists(moment, min_size=min_size, max_size=30).map(lambda values: np.array(values, "datetime64[ns]"))
    return integers(kind, min_size)


def in_order(values):
    """The distinct ones, ascending, by Python's own sort."""
    return sorted(set(values.tolist()))


def index_of(values):
    distinct, codes = encode(values)
    return Index(distinct, np.bincount(codes, minlength=len(distinct)))


each_kind = pytest.mark.parametrize("kind", KINDS)
each_width = pytest.mark.parametrize("dtype", WIDTHS)


# ---- encode ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*WIDTHS, *KINDS[2:]])
@given(data=st.data())
def test_encode_and_back(kind, data):
    """distinct[codes] is what was given, and distinct is sorted: strings by code point, as Python does it."""
    ids = data.draw(column(kind))
    distinct, codes = encode(ids)
    assert codes.dtype == np.int32
    assert distinct[codes].tolist() == ids.tolist()
    assert distinct.tolist() == in_order(ids)


@each_width
def test_encode_the_whole_range_of_a_type(dtype):
    """Both ends of the type in one column, and everything near to them."""
    limits = np.iinfo(dtype)
    ends = [limits.max, limits.min, limits.max - 1, limits.min + 1, 0, limits.max, limits.min]
    distinct, codes = encode(np.array(ends, dtype))
    assert distinct.tolist() == sorted(set(ends))
    assert distinct[codes].tolist() == ends


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_encode_every_number_of_a_narrow_type(dtype):
    """All of them, from the greatest down."""
    limits = np.iinfo(dtype)
    ids = np.arange(limits.max, limits.min - 1, -1).astype(dtype)
    distinct, codes = encode(ids)
    assert distinct.tolist() == list(range(limits.min, limits.max + 1))
    assert codes.tolist() == list(range(len(ids)))[::-1]


@pytest.mark.parametrize("start", [-(2**63), -50_000, 0, 2**62, 2**63 - 100_000])
def test_encode_by_counting_and_by_hashing_agree(start):
    """Dense ids are counted, spread ones hashed: the same codes, at either end of int64."""
    dense = start + np.random.default_rng(0).permutation(100_000)[:60_000]
    distinct, codes = encode(dense)
    by_hashing = sort_distinct(*pd.factorize(dense)[::-1])
    np.testing.assert_array_equal(distinct, by_hashing.uniques)
    np.testing.assert_array_equal(codes, by_hashing.codes)


# ---- merge -----------------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("at_once", [8, indexing.MERGED_AT_ONCE])
@given(data=st.data())
def test_merge_is_the_index_of_all_together(kind, at_once, data):
    """However ids are divided among chunks, ids and counts are those of the whole; also of many ids, by halves."""
    chunks = data.draw(st.lists(column(kind), min_size=1, max_size=5))
    whole = index_of(np.concatenate(chunks))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexing, "MERGED_AT_ONCE", at_once)
        merged = merge([index_of(chunk) for chunk in chunks])
    assert merged.ids.tolist() == whole.ids.tolist()
    assert merged.ids.dtype == whole.ids.dtype
    assert merged.counts.tolist() == whole.counts.tolist()
    assert merged.counts.dtype == np.int64


@each_kind
@given(data=st.data())
def test_merge_in_any_grouping(kind, data):
    """Trees of merges give what one merge gives."""
    one, two, three = (index_of(data.draw(column(kind))) for _ in range(3))
    flat, left, right = merge([one, two, three]), merge([merge([one, two]), three]), merge([three, merge([two, one])])
    for other in (left, right):
        assert other.ids.tolist() == flat.ids.tolist()
        assert other.counts.tolist() == flat.counts.tolist()


def test_merging_many_ids_takes_memory_for_two_indexes(monkeypatch):
    """Not for sixteen: 40 bytes an id of what is merged at a time."""
    n = 20_000
    rng = np.random.default_rng(0)
    parts = [Index(np.sort(rng.choice(2 * n, n, replace=False)), np.ones(n, np.int64)) for _ in range(16)]

    def peak():
        tracemalloc.start()
        merged = merge(parts)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most, merged

    (together, expected), _ = peak(), monkeypatch.setattr(indexing, "MERGED_AT_ONCE", n)
    by_halves, found = peak()
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.counts, expected.counts)
    assert by_halves < together / 2


def test_merged_counts_are_exact_beyond_float32():
    """Counts of 2^40 and one more."""
    index = Index(np.array([5, 6]), np.array([2**40, 1]))
    assert merge([index, Index(np.array([5]), np.array([1]))]).counts.tolist() == [2**40 + 1, 1]


# ---- positions -------------------------------------------------------------------------------------------


def check_positions(ids, queries):
    known = {each: place for place, each in enumerate(ids.tolist())}
    found = positions(ids, queries)
    assert found.dtype == np.int64
    assert found.tolist() == [known.get(each, -1) for each in queries.tolist()]


@pytest.mark.parametrize("kind", [*WIDTHS, *KINDS[2:]])
@given(data=st.data())
def test_positions_of_known_and_of_unknown_ids(kind, data):
    """Queries of the same type: some are there, some are not."""
    ids, _ = encode(data.draw(column(kind)))
    ids = ids.astype(kind)
    strangers = data.draw(column(kind))
    queries = np.concatenate([strangers, ids, ids[::-1], strangers])
    check_positions(ids, queries.astype(kind))


@each_width
@pytest.mark.parametrize("kind", ["int64", "uint64"])
@given(data=st.data())
def test_positions_across_widths_and_signs(kind, dtype, data):
    """Numbers are compared as numbers: 2^64 - 1 is not -1, and -1 is in no index of unsigned ids."""
    ids = np.array(in_order(data.draw(integers(kind))), kind)
    queries = data.draw(integers(dtype))
    check_positions(ids, queries)
    limits = np.iinfo(dtype)
    shared = [each for each in ids.tolist() if limits.min <= each <= limits.max]
    check_positions(ids, np.array(shared, dtype))


def test_positions_at_the_ends_of_64_bits():
    """The extremes of one type in the other, where a cast would wrap around."""
    signed = np.array([-(2**63), -1, 0, 2**63 - 1])
    unsigned = np.array([0, 2**63 - 1, 2**63, 2**64 - 1], np.uint64)
    assert positions(signed, unsigned).tolist() == [2, 3, -1, -1]
    assert positions(unsigned, signed).tolist() == [-1, -1, 0, 1]
    assert positions(signed, np.array([255, 0], np.uint8)).tolist() == [-1, 2]
    assert positions(unsigned, np.array([-1, 0], np.int8)).tolist() == [-1, 0]


@pytest.mark.parametrize("start", [-(2**63), 0, 2**63 - 70_000])
def test_positions_by_table_and_by_search_agree(start):
    """Dense ids have a table, spread ones are searched; queries from anywhere, the farthest away as well."""
    dense = start + np.arange(0, 70_000, 2)
    far = np.array([-(2**63), 2**63 - 1, 0, -1, start, start + 1])
    check_positions(dense, np.concatenate([far, dense[::7]]))
    spread = np.unique(np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 1000))
    check_positions(spread, np.concatenate([far, spread[::7], spread[::5] - 1]))


@each_kind
def test_positions_in_nothing_and_of_nothing(kind):
    """An empty index knows no id; no queries have no positions."""
    empty = np.empty(0, kind)
    some = np.array(["a", "b"], object) if kind == "object" else np.array([3, 4]).astype(kind)
    assert positions(empty, some).tolist() == [-1, -1]
    assert positions(some, empty).tolist() == []
    assert positions(empty, empty).tolist() == []


@given(ids=integers("int64"), others=st.lists(st.text(max_size=3)))
def test_spark_ids_are_integers_themselves_or_ranks(ids, others):
    """Integer ids are seen by Spark's rules as they are, others by their place in sorted order."""
    assert spark_ids(encode(ids).uniques).tolist() == in_order(ids)
    strings = encode(np.array(others, object)).uniques
    assert spark_ids(strings).tolist() == list(range(len(strings)))


# ---- strings: order, and the tables that are kept ---------------------------------------------------------


def test_strings_sort_by_code_point_whatever_is_in_them():
    """Also halves of surrogate pairs, which UTF-8 does not have, and a byte of zero."""
    words = ["b", "", "a\x00b", "a", "\U0001f600", "\uffff", "\u00e9", "z" * 300]
    for some in (words, [*words, "\ud83d"]):
        distinct, codes = encode(np.array(some * 2, object))
        assert distinct.tolist() == sorted(some)
        assert distinct[codes].tolist() == some * 2


def test_strings_that_differ_after_a_nul_are_different():
    ids = np.array(["a\0b", "", "a", "\0", "a\0", "a"], dtype=object)
    coded = encode(ids)
    assert coded.uniques.tolist() == ["", "\0", "a", "a\0", "a\0b"]
    assert coded.uniques[coded.codes].tolist() == ids.tolist()


def test_the_table_of_an_array_of_strings_is_made_once_and_goes_with_the_array(monkeypatch):
    """Equal arrays have tables of their own."""
    made = []
    monkeypatch.setattr(
        indexing.pd, "Index", lambda *args, kind=pd.Index, **more: made.append(1) or kind(*args, **more)
    )
    indexing._tables.clear()
    ids = np.array(["a", "b", "c"], object)
    queries = np.array(["c", "x"], object)
    for _ in range(3):
        assert positions(ids, queries).tolist() == [2, -1]
    assert len(made) == 1 + 3  # one of the ids, and one of the queries each time
    other = np.array(["b", "c"], object)
    assert positions(other, queries).tolist() == [1, -1]
    assert len(indexing._tables) == 2
    del ids, other
    gc.collect()
    assert not indexing._tables


def test_few_tables_are_kept():
    """Of arrays that are all alive; the newest stay."""
    indexing._tables.clear()
    arrays = [np.array([f"{n}", f"{n}a"], object) for n in range(9)]
    for n, ids in enumerate([*arrays, arrays[0]]):
        assert positions(ids, np.array([f"{n % 9}a"], object)).tolist() == [1]
    assert list(indexing._tables) == [id(each) for each in (*arrays[6:], arrays[0])]


def test_threads_may_look_up_at_once():
    ids = np.array(sorted(map(str, range(20_000))), object)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: positions(ids, ids[n::8]), range(8)))
    for n, each in enumerate(found):
        np.testing.assert_array_equal(each, np.arange(n, 20_000, 8))


# ---- block_bounds ----------------------------------------------------------------------------------------

counts_of_rows = st.lists(st.integers(1, 10) | st.integers(1, 10**9), min_size=1, max_size=60).map(np.array)


@given(counts=counts_of_rows, share=st.floats(0, 1), row_cost=st.sampled_from([0.0, 1.0, 16.0]))
def test_bounds_cut_all_rows_into_so_many_runs_without_an_empty_one(counts, share, row_cost):
    """Whatever the counts are; from one block to as many as there are rows."""
    n_blocks = 1 + round(share * (len(counts) - 1))
    bounds = block_bounds(counts, n_blocks, row_cost)
    assert bounds.dtype == np.int64
    assert len(bounds) == n_blocks + 1
    assert bounds[0] == 0
    assert bounds[-1] == len(counts)
    assert (np.diff(bounds) >= 1).all()


@given(counts=st.lists(st.integers(1, 50), min_size=30, max_size=200).map(np.array), n_blocks=st.integers(1, 10))
def test_bounds_share_the_work(counts, n_blocks):
    """No block has more than its share by more than one row's work."""
    bounds = block_bounds(counts, n_blocks)
    work = np.add.reduceat(counts + 16.0, bounds[:-1])
    assert work.max() <= (counts + 16.0).sum() / n_blocks + (counts + 16.0).max()


@pytest.mark.parametrize(("place", "n_blocks"), [(0, 5), (4, 5), (9, 5), (9, 10), (0, 10), (3, 1)])
def test_bounds_around_one_heavy_row(place, n_blocks):
    """It may stand anywhere: the others still have blocks of their own."""
    counts = np.ones(10, np.int64)
    counts[place] = 10**12
    bounds = block_bounds(counts, n_blocks)
    assert bounds[0] == 0
    assert bounds[-1] == 10
    assert (np.diff(bounds) >= 1).all()
    assert len(bounds) == n_blocks + 1
