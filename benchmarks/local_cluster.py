"""What a LocalCluster costs beside threads, on one machine: the same fits on both, in turn.

::

    python benchmarks/local_cluster.py --shape ml20m --ranks 10 64

``--threads`` threads of the threaded scheduler, and a LocalCluster of as many processes of one thread each, started
before. Both read the same Parquet, and are warmed up on a small frame. Figures are medians over ``--repeat`` rounds; a
round is a fit on each. An iteration is the time from the end of the first one to the end of the last, as a callback
sees them, divided by the number between. The whole fit includes reading and sorting the ratings.

On a machine where others work, ``chrt --rr 1`` before the command keeps them away. Event loops are then given the next
higher priority, since they would otherwise wait for the solving threads' slices of 0.1 s, which they do not otherwise.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import dask
import dask.dataframe as dd
from _common import (
    DEFAULT_FOLDER,
    SHAPE_HELP,
    machine,
    print_surroundings,
    print_table,
    ratings_file,
    save_json,
    shown,
    versions,
)
from distributed import Client, LocalCluster

from daskals import ALS
from daskals.datasets import make_ratings

#: Row groups of Parquet in a partition; `_common.ratings_file` makes groups of a quarter of a million.
ROW_GROUPS = 2


class Seconds(NamedTuple):
    """Of one fit, or medians over several."""

    iteration: float
    fit: float


def prefer_event_loops(client: Client) -> None:
    """Under a real-time policy, give the event loops of all processes a higher priority than the threads that solve."""

    def prefer() -> None:
        if hasattr(os, "SCHED_RR") and os.sched_getscheduler(0) == os.SCHED_RR:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_getparam(0).sched_priority + 1))

    async def prefer_here() -> None:
        prefer()

    # an event loop starts its worker's thread with the first task, and with its own priority
    client.gather(client.map(time.sleep, [0.2] * len(client.nthreads()), pure=False))
    client.run(prefer)
    client.sync(prefer_here)  # the scheduler of a LocalCluster is in the same thread


def timed_fit(als: ALS, frame: Any) -> Seconds:
    """Fit, and let the model go."""
    ends: list[float] = []
    start = time.perf_counter()
    als.fit(frame, callbacks=[lambda iteration: ends.append(time.perf_counter())])
    return Seconds((ends[-1] - ends[0]) / (len(ends) - 1), time.perf_counter() - start)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="ml20m", help=SHAPE_HELP)
    parser.add_argument("--ranks", type=int, nargs="+", default=[10, 64])
    parser.add_argument("--solver", default="cholesky", help="cholesky or cg")
    parser.add_argument("--implicit", action="store_true")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder where synthetic ratings are kept")
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args()


def measure(options: argparse.Namespace, ways: dict[str, Callable[[], AbstractContextManager[Any]]]) -> dict[str, Any]:
    """All fits: for each rank and way, the seconds of each round."""
    path = ratings_file(options.shape, implicit=options.implicit, folder=options.data)
    frame = dd.read_parquet(path, split_row_groups=ROW_GROUPS)
    small = make_ratings(2000, 500, 60_000, seed=20, npartitions=8)
    found: dict[str, Any] = {}
    for rank in options.ranks:
        als = ALS(
            rank=rank,
            maxIter=options.iterations,
            seed=20,
            solver=options.solver,
            implicitPrefs=options.implicit,
        )
        for way in ways.values():
            with way():
                timed_fit(als, small)
        found[str(rank)] = {name: [] for name in ways}
        for round_ in range(options.repeat):
            for name, way in ways.items():
                with way():
                    seconds = timed_fit(als, frame)
                print(f"rank {rank}, round {round_ + 1}, {name}: {seconds}", file=sys.stderr, flush=True)
                found[str(rank)][name].append(seconds)
    return found


def main() -> None:
    options, about = arguments(), machine()
    with (
        LocalCluster(n_workers=options.threads, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(options.threads)
        prefer_event_loops(client)
        found = measure(
            options,
            {
                "threads": lambda: dask.config.set(scheduler="threads", num_workers=options.threads),
                "processes": client.as_current,
            },
        )
    print_surroundings({"daskals": versions("dask", "distributed", "numpy", "numba")}, about)
    print(f"\n{options.shape}, {options.threads} threads or processes, {options.iterations} iterations\n")
    rows = []
    for rank, ways in found.items():
        threads, processes = (Seconds(*map(statistics.median, zip(*some, strict=True))) for some in ways.values())
        pairs = zip(threads, processes, strict=True)
        rows.append([rank, *(each for a, b in pairs for each in (shown(a), shown(b), f"{b / a:.2f}x"))])
    headers = ["an iteration: threads (s)", "processes (s)", "ratio"]
    print_table(["rank", *headers, "the fit: threads (s)", "processes (s)", "ratio"], rows)
    if options.json:
        save_json(options.json, {"machine": about, "found": found})


if __name__ == "__main__":
    main()
