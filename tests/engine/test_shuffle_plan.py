"""In how many parts ratings are held and moved: what their numbers, the threads and the memory decide."""

import itertools

import dask
import numpy as np
import pytest
from dask.callbacks import Callback
from hypothesis import given
from hypothesis import strategies as st
from support.blocked import coded
from support.planned import planned

from daskals.blocks.ratings import CodedChunk
from daskals.engine import shuffle_plan
from daskals.engine.forms import Halves
from daskals.engine.shuffle import shuffle
from daskals.engine.shuffle_plan import MAX_GROUPS, MAX_PIECES, TASK_BYTES, TASK_SHARE, ShufflePlan, plan_shuffle
from daskals.execution.scheduler import current_scheduler
from daskals.execution.tasks import identity, new_token, task

# ---- blocks and groups -----------------------------------------------------------------------------------


def test_blocks_are_two_a_thread_or_as_many_as_the_ratings_need():
    few = plan_shuffle(planned(4), 10**6, 10**6, 1000, (None, None))
    assert (few.user_blocks, few.item_blocks) == (8, 8)
    many = plan_shuffle(planned(4, block_bytes=8 * 10**6), 10**6, 10**6, 20 * 10**6 + 1, (None, None))
    assert (many.user_blocks, many.item_blocks) == (21, 21), "8 bytes a rating, 8 MB a block"
    most = plan_shuffle(planned(4, block_bytes=1), 10**6, 10**6, 20 * 10**6, (None, None))
    assert (most.user_blocks, most.item_blocks) == (256, 256)


@pytest.mark.parametrize(
    ("threads", "n_ratings", "n_blocks"),
    [(2, 10, 1), (2, 24_999, 1), (2, 25_000, 2), (2, 199_999, 2), (2, 200_000, 4), (16, 100_000, 8), (16, 200_000, 16)],
)
def test_few_ratings_have_few_blocks(threads, n_ratings, n_blocks):
    """12,500 ratings in a block, and two blocks for a thread where each has 50,000."""
    plan = plan_shuffle(planned(threads, block_ratings=12_500), 10**4, 10**4, n_ratings, (None, None))
    assert (plan.user_blocks, plan.item_blocks) == (n_blocks, n_blocks)
    wanted = plan_shuffle(planned(threads, block_ratings=12_500), 10**4, 10**4, n_ratings, (7, None))
    assert (wanted.user_blocks, wanted.item_blocks) == (7, n_blocks)


def test_few_ratings_have_as_many_blocks_as_others_where_rows_go_panel_by_panel():
    """A process that may not hold the rows takes them in panels, which consist of blocks: there must be several."""
    whole = planned(2, block_ratings=12_500, memory=16_000, factor_share=0.25)
    assert plan_shuffle(whole, 10, 1000, 10**4, (None, None)).user_blocks == 1
    assert plan_shuffle(whole, 10, 1001, 10**4, (None, None)).user_blocks == 4


def test_no_block_is_without_rows_and_the_user_is_heard():
    assert plan_shuffle(planned(4), 5, 2, 10, (None, None)).user_blocks == 5
    wanted = plan_shuffle(planned(4), 5, 100, 10, (2**31 - 1, 3))
    assert (wanted.user_blocks, wanted.item_blocks) == (5, 3)


def test_groups_are_few_unless_one_would_be_too_large():
    assert plan_shuffle(planned(2), 100, 100, 1000, (None, None)).groups == 4
    assert plan_shuffle(planned(100), 100, 100, 1000, (None, None)).groups == MAX_GROUPS
    ten_gigabytes = 10 * 2**30 // 12
    assert plan_shuffle(planned(2, memory=1e12), 100, 100, ten_gigabytes, (None, None)).groups == 40, "of 256 MB"


# ---- pieces ----------------------------------------------------------------------------------------------

USERS, ITEMS, RATINGS = 100_000_000, 1_000_000, 10_000_000_000


@pytest.mark.parametrize("threads_of_a_node", [16, 32])
def test_ten_billion_ratings_need_few_tasks_and_a_small_share_of_a_node(threads_of_a_node):
    """The example of deploy/README.md: 16 nodes of 256 GB, 1024 blocks a side, from 4,000 partitions."""
    memory = 256e9 / threads_of_a_node
    cluster = planned(16 * threads_of_a_node, memory=4 * memory, max_blocks=1024)
    plan = plan_shuffle(cluster, USERS, ITEMS, RATINGS, (1024, 1024))
    assert (plan.user_blocks, plan.item_blocks) == (1024, 1024)
    assert plan.tasks(4000) <= 50_000
    assert plan.tasks(4000, ("items",)) <= 30_000
    for side in ("users", "items"):
        edges = plan.bundle_edges(side)
        largest = max(stop - first for first, stop in itertools.pairwise(edges)) / 1024
        assert TASK_BYTES * RATINGS * max(largest, 1 / plan.groups) <= memory / 2


def test_several_blocks_are_one_bundle_only_where_pieces_are_too_many():
    few = plan_shuffle(planned(64, memory=1e12), 10**6, 10**6, 10**9, (256, 256))
    assert few.groups * 256 <= MAX_PIECES
    assert few.bundle_edges("users") == tuple(range(257))
    many = plan_shuffle(planned(64, memory=1e12), 10**6, 10**6, 10**9, (2048, 7))
    assert (many.groups, many.bundles) == (45, MAX_PIECES // 45)
    assert many.bundle_edges("users") == (*range(0, 2048, 6), 2048), "2048 / 364 = 5.6 in a bundle"
    assert many.bundle_edges("items") == tuple(range(8))


def test_small_workers_have_smaller_parts():
    """A task needs 32 bytes for each of its ratings: 0.8 GB in groups of 256 MB, more than 250 MB of a thread."""
    plan = plan_shuffle(planned(2, memory=1e9), 10**6, 10**6, 10**8, (None, None))
    assert plan.groups == plan.user_blocks == 26, "3.2 GB / (half of 250 MB)"


def test_few_ratings_do_not_make_a_plan_ask_for_memory():
    scheduler = planned(2)
    plan_shuffle(scheduler, 1000, 1000, 10**6, (None, None))
    assert not scheduler.asked


@given(
    threads=st.integers(1, 4096),
    n_ratings=st.integers(1, 10**11),
    blocks=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    memory=st.floats(1e9, 1e12),
)
def test_pieces_are_few_or_as_many_as_the_memory_needs(threads, n_ratings, blocks, memory):
    plan = plan_shuffle(planned(threads, memory=4 * memory), 10**8, 10**8, n_ratings, blocks)
    least = TASK_BYTES * n_ratings / (TASK_SHARE * memory)  # parts
    assert plan.groups >= least or n_ratings <= shuffle_plan.FEW_RATINGS
    for side, n_blocks in zip(("users", "items"), blocks, strict=True):
        edges = plan.bundle_edges(side)
        assert (edges[0], edges[-1], sorted(set(edges))) == (0, n_blocks, list(edges))
        n_bundles = len(edges) - 1
        assert plan.groups * n_bundles <= max(MAX_PIECES, (least + 1) * max(least + 1, n_blocks**0.5 * 128))
        largest = max(stop - first for first, stop in itertools.pairwise(edges))
        assert largest == 1 or n_ratings * largest / n_blocks * TASK_BYTES <= 2 * TASK_SHARE * memory


def chunks_of(n, rng, token):
    return [
        task(
            identity,
            CodedChunk(coded(rng.integers(0, 40, 50)), coded(rng.integers(0, 30, 50)), rng.random(50, np.float32)),
            name=f"als-chunk-{token}-{number}",
        )
        for number in range(n)
    ]


@pytest.mark.parametrize("halves", [("users", "items"), ("users",), ("items",)], ids=str)
@pytest.mark.parametrize(
    ("n_chunks", "blocks", "most"),
    [(1, (1, 1), MAX_PIECES), (3, (4, 2), MAX_PIECES), (40, (9, 11), MAX_PIECES), (40, (9, 11), 16), (5, (2, 13), 8)],
)
def test_a_plan_knows_how_many_tasks_there_are(monkeypatch, halves, n_chunks, blocks, most):
    """Those of a shuffle that runs, bundles of several blocks among them where few pieces are allowed."""
    monkeypatch.setattr(shuffle_plan, "MAX_PIECES", most)
    rng, token, keys = np.random.default_rng(0), new_token(), set()
    with (
        dask.config.set(scheduler="synchronous"),
        Callback(pretask=lambda key, *_: keys.add(str(key))),
    ):
        scheduler = current_scheduler()
        chosen = Halves(halves, blocks)
        ratings = shuffle(scheduler, chunks_of(n_chunks, rng, token), blocks, token, lambda *_: chosen)
        plan = plan_shuffle(scheduler, ratings.users.n_rows, ratings.items.n_rows, ratings.n_ratings, blocks)
    assert len(keys) == plan.tasks(n_chunks, halves)
    assert any("als-join-" in key for key in keys) == (most == 16 or (most == 8 and "items" in halves))


def test_the_tasks_of_a_small_shuffle():
    """Counted by hand: 3 chunks read, their ids and a merge, 6 tasks of ids and bounds, and then of each side two
    splits, four pieces, two blocks."""
    assert ShufflePlan(2, 2, groups=2, bundles=2).tasks(3) == (3 + 3 + 1) + 6 + 2 * (2 + 4 + 2)
