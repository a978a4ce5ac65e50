"""How many ratings each row of a model had: a folder beside the factors, which Spark passes over; by tasks.

One file, since the numbers are one array, as the ids of a side are: 8 bytes for each row in memory, less in the file.
"""

from __future__ import annotations

import fsspec
from dask.delayed import Delayed

from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task
from daskals.io.count_files import FILE, read_file, write_file
from daskals.io.directories import join


def write_counts(scheduler: Scheduler, folder: str, counts: Delayed) -> int:
    """Write the numbers of ratings, in the order of ids; returns their checksum."""
    fs, place = fsspec.url_to_fs(folder)
    fs.makedirs(place, exist_ok=True)
    write = task(write_file, join(folder, FILE), counts, name=f"als-write-count-{new_token()}")
    (checksum,) = scheduler.fetch(write)
    return int(checksum)


def read_counts(scheduler: Scheduler, folder: str, rows: int, checksum: int) -> Delayed:
    """A task that reads the numbers of ratings of so many rows each time that they are needed.

    The file is read once here, to check it; errors are those of `read_file`.
    """
    read = task(read_file, join(folder, FILE), rows, checksum, name=f"als-load-counts-{new_token()}")
    scheduler.fetch(task(len, read, name=f"als-check-count-{new_token()}"))
    return read
