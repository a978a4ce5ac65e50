"""A fit of more ratings than the workers' memory holds.

::

    python benchmarks/beyond_memory.py --shape 1400000x100000x200000000 --workers 2 --memory 2GB

Ratings are a lazy frame, made on the workers, which spill to disk what they have no room for. Printed are the
seconds of the fit, of each iteration and of all before it, the largest resident memory of a worker and of this
process, sampled 20 times a second, and how much the workers had on disk at the most.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from _common import machine, print_surroundings, print_table, save_json, shown, sizes_of, versions
from _processes import TreeMemory
from dask.distributed import Client, LocalCluster

from daskals import ALS
from daskals.datasets import make_ratings


class Spilled(threading.Thread):
    """The largest number of bytes below a folder, looked at once a second."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.most = folder, 0
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(1):
            size = 0
            for path in self.folder.rglob("*"):
                try:
                    size += path.stat().st_size
                except OSError:
                    continue  # it is gone again
            self.most = max(self.most, size)

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def fit(client: Client, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    ratings = make_ratings(*sizes_of(options.shape), seed=20, npartitions=options.partitions)
    watched = [TreeMemory(process) for process in client.run(os.getpid).values()]
    driver, spilled = TreeMemory(os.getpid(), descend=False), Spilled(folder)
    for each in (*watched, driver, spilled):
        each.start()
    start = time.perf_counter()
    try:
        model = ALS(rank=options.rank, maxIter=options.iterations, seed=1).fit(ratings)
    finally:
        for each in (*watched, driver, spilled):
            each.stop()
    seconds = time.perf_counter() - start
    iterations = model.history.seconds.tolist()
    return {
        "fit": seconds,
        "iterations": iterations,
        "before": seconds - sum(iterations),
        "objective": model.history.objective.tolist(),
        "workers": [max(size for _, size in each.samples) for each in watched],
        "driver": max(size for _, size in driver.samples),
        "spilled": spilled.most,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="1400000x100000x200000000", help="USERSxITEMSxRATINGS")
    parser.add_argument("--partitions", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2, help="of one thread each")
    parser.add_argument("--memory", default="2GB", help="of a worker")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    logging.getLogger("daskals").setLevel(logging.INFO)
    logging.basicConfig(format="%(asctime)s %(message)s")
    about = machine()
    with (
        tempfile.TemporaryDirectory(prefix="daskals-spilled-") as folder,
        LocalCluster(
            n_workers=options.workers,
            threads_per_worker=1,
            memory_limit=options.memory,
            dashboard_address=None,
            local_directory=folder,
        ) as cluster,
        Client(cluster) as client,
    ):
        found = fit(client, options, Path(folder))
    print_surroundings({"daskals": versions("dask", "distributed", "numpy", "numba")}, about)
    print(f"\n{options.shape}, rank {options.rank}, {options.workers} workers of {options.memory}:\n")
    megabytes = {name: found[name] / 1e6 for name in ("driver", "spilled")}
    rows = [
        ("whole fit (s)", shown(found["fit"])),
        ("before the first iteration (s)", shown(found["before"])),
        ("iterations (s)", ", ".join(map(shown, found["iterations"]))),
        ("largest worker (MB)", shown(max(found["workers"]) / 1e6)),
        ("driver (MB)", shown(megabytes["driver"])),
        ("on disk at the most (MB)", shown(megabytes["spilled"])),
    ]
    print_table(["", "figure"], rows)
    if options.json:
        save_json(options.json, {"machine": about, "found": found})


if __name__ == "__main__":
    main()
