"""What the death of a worker in the middle of a fit costs.

::

    python benchmarks/deaths.py --shape 40000x8000x4000000 --rank 32 --workers 4 --seeds 5

A LocalCluster of ``--workers`` processes of one thread each reads Parquet and fits. In each fit a worker is killed
(SIGKILL) at a random moment, which the seed decides, of a random iteration but the first and the last. Its nanny starts
another one. Timeouts are those of Dask. What a death costs is seen within one fit, whose other iterations are the
baseline: so it does not matter what else the machine does at another time.

- reading: from the beginning of the fit to that of its first iteration
- iteration: the median
- lost: what all iterations took, less as many times the median
- bound: the dead worker's share of the reading, half an iteration, and ``--allowance`` seconds. It is the workers left
  who read that share: reading / (workers - 1)
- whole frame: the same with all of the reading. Blocks of users have ratings of all partitions, so that for any lost
  block the whole frame is read again
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
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
from dask.distributed import Client, LocalCluster

from daskals import ALS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="40000x8000x4000000", help=SHAPE_HELP)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--iterations", type=int, default=8)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--allowance", type=float, default=5.0, help="seconds of the bound for all that is not work")
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder where synthetic ratings are kept")
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.iterations < 3 or options.workers < 2:
        sys.exit("--iterations must be 3 or more, and --workers 2 or more")
    about = machine()
    print_surroundings({"daskals": versions("dask", "distributed", "numpy")}, about)
    file = ratings_file(options.shape, implicit=False, folder=options.data)
    figures: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=options.workers,
            threads_per_worker=1,
            dashboard_address=":0",
            local_directory=folder,
            silence_logs="CRITICAL",
        ) as cluster,
        Client(cluster) as client,
    ):
        fit(options, file, [])  # imports, compilations, the cache of the disk
        for seed in range(options.seeds):
            client.wait_for_workers(options.workers)
            killer = Killer(client, np.random.default_rng(seed), options.iterations)
            figures.append({"seed": seed, **fit(options, file, [killer])})
            print(f"seed {seed}: {figures[-1]['lost']:.2f} s lost", flush=True)
    rows = [[shown(value) if name != "seed" else str(value) for name, value in row.items()] for row in figures]
    print_table([*figures[0]], rows)
    within = sum(row["lost"] <= row["bound"] for row in figures)
    lost = statistics.median(row["lost"] for row in figures)
    print(f"\n{within} of {len(figures)} deaths cost no more than the bound; median {lost:.2f} s")
    if options.json:
        save_json(options.json, {"machine": about, "rank": options.rank, "shape": options.shape, "runs": figures})


def fit(options: argparse.Namespace, file: Path, callbacks: list[Any]) -> dict[str, float]:
    """One fit, and what is said of it."""
    start, ends, seconds = time.perf_counter(), [], []

    def note(iteration: Any) -> None:
        ends.append(time.perf_counter())
        seconds.append(iteration.seconds)

    frame = dd.read_parquet(file, split_row_groups=True)
    ALS(rank=options.rank, maxIter=options.iterations, seed=0).fit(frame, callbacks=[note, *callbacks])
    reading, iteration = ends[0] - seconds[0] - start, statistics.median(seconds)
    rest = iteration / 2 + options.allowance
    return {
        "fit": time.perf_counter() - start,
        "reading": reading,
        "iteration": iteration,
        "longest": max(seconds),
        "lost": sum(seconds) - len(seconds) * iteration,
        "bound": reading / (options.workers - 1) + rest,
        "whole frame": reading + rest,
    }


class Killer:
    """A callback that kills a worker somewhere in the iteration after a random one."""

    def __init__(self, client: Client, rng: np.random.Generator, n_iterations: int) -> None:
        pids = client.run_on_scheduler(_pids)
        self._victim = int(rng.choice(sorted(pids)))
        self._after, self._share = int(rng.integers(1, n_iterations - 1)), rng.random()

    def __call__(self, iteration: Any) -> None:
        if iteration.number == self._after:
            strike = functools.partial(os.kill, self._victim, signal.SIGKILL)
            threading.Timer(self._share * iteration.seconds, strike).start()


def _pids(dask_scheduler: Any) -> list[int]:
    return [worker.pid for worker in dask_scheduler.workers.values()]


if __name__ == "__main__":
    main()
