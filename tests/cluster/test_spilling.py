"""Ratings that do not fit into the memory of the workers: they are read once, and go to disk."""

from collections import Counter

import dask
import pytest
from distributed import Client, LocalCluster
from support.killable_cluster import Course

from daskals import ALS
from daskals.datasets import make_ratings
from daskals.execution.scheduler import current_scheduler
from daskals.recommendation.fitting import prepare

N_RATINGS = 1_200_000
#: What workers hold in memory, at the most, before they move results to disk: less than half of the ratings.
TARGET = 6_000_000


@pytest.fixture
def small_cluster(tmp_path):
    """Two workers whose memory is small for results; for all else there is enough."""
    memory = {f"distributed.worker.memory.{name}": False for name in ("spill", "pause", "terminate")}
    with (
        dask.config.set({**memory, "distributed.worker.memory.target": TARGET / 1e9}),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit="1GB",
            dashboard_address=":0",
            local_directory=str(tmp_path),
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        client.as_current(),
    ):
        yield cluster, client


def moved(client):
    """Bytes that the workers wrote to disk, and read again."""
    metrics = client.run(lambda dask_worker: dict(dask_worker.data.cumulative_metrics))
    return [
        sum(of_worker.get((way, "bytes"), 0) for of_worker in metrics.values()) for way in ("disk-write", "disk-read")
    ]


def test_ratings_beyond_memory_are_read_once(small_cluster):
    """No task runs twice: what was read is on disk, and not made again.

    And no piece is read again with all the others of its group, which were 47 times the ratings.
    """
    cluster, client = small_cluster
    course = Course()
    cluster.scheduler.add_plugin(course, name="course")
    frame = make_ratings(20_000, 5_000, N_RATINGS, npartitions=12)
    with dask.config.set({"daskals.user-blocks": 24, "daskals.item-blocks": 24}):
        ratings = prepare(ALS(), current_scheduler(), frame, None).ratings
    assert [key for key, times in Counter(course.keys).items() if times > 1] == []
    assert sum(key.startswith("als-read-") for key in course.keys) == 12
    written, read = moved(client)
    size = 12 * N_RATINGS
    print(f"{size / 1e6:.0f} MB of ratings: {written / 1e6:.0f} MB written, {read / 1e6:.0f} MB read")
    assert written > size, "there was memory for all"
    assert read < 12 * size
    assert sum(len(block.ratings) for block in dask.compute(*ratings.items.in_blocks)) == ratings.n_ratings
