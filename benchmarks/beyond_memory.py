"""A fit of more ratings than the workers' memory holds, and all that is done with its model.

::

    python benchmarks/beyond_memory.py --shape 1400000x100000x400000000 --workers 2 --memory 2GB

Ratings are a lazy frame, made on the workers, which spill to disk what they have no room for. After the fit all ratings
are predicted, the ten best items of all users and the ten best users of all items are found, and the model is saved,
loaded, and predicts again. Printed are the seconds of each step, the largest resident memory of a worker and of this
process meanwhile, sampled 20 times a second, and how much the workers had on disk at the most. With
``--rank 64 --memory 1GB`` the factors of the users are more than a worker's share as well (`daskals.factor-share`).
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _common import machine, print_surroundings, print_table, save_json, shown, sizes_of, versions
from _processes import TreeMemory
from dask.distributed import Client, LocalCluster

from daskals import ALS, ALSModel
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


def watched(client: Client, folder: Path, step: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """What a step returns, and how long it took and what it needed."""
    processes = client.run(os.getpid)
    workers = [TreeMemory(process) for process in processes.values()]
    driver, spilled = TreeMemory(os.getpid(), descend=False), Spilled(folder)
    for each in (*workers, driver, spilled):
        each.start()
    start = time.perf_counter()
    try:
        result = step()
    finally:
        for each in (*workers, driver, spilled):
            each.stop()
    return result, {
        "seconds": time.perf_counter() - start,
        "workers": [max(size for _, size in each.samples) for each in workers],
        "driver": max(size for _, size in driver.samples),
        "spilled": spilled.most,
        "deaths": len(set(processes.values()) - set(client.run(os.getpid).values())),
    }


def run(client: Client, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The figures of each step."""
    ratings = make_ratings(*sizes_of(options.shape), seed=20, npartitions=options.partitions)
    als = ALS(rank=options.rank, maxIter=options.iterations, seed=1)
    found: dict[str, Any] = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        result, found[name] = watched(client, folder, work)
        logging.getLogger("daskals").info("%s: %s s", name, shown(found[name]["seconds"]))
        return result

    def rmse(model: ALSModel) -> float:
        predicted = model.transform(ratings)
        error = predicted["prediction"] - predicted["rating"]
        return float((error * error).mean().compute()) ** 0.5

    def n_lists(lists: Any) -> int:
        return int(lists["recommendations"].count().compute())

    model = step("fit", lambda: als.fit(ratings))
    seconds = model.history.seconds.tolist()
    found["fit"].update(iterations=seconds, before=found["fit"]["seconds"] - sum(seconds))
    found["fit"]["objective"] = model.history.objective.tolist()
    first = step("transform all ratings", lambda: rmse(model))
    step("10 items for all users", lambda: n_lists(model.recommendForAllUsers(10)))
    step("10 users for all items", lambda: n_lists(model.recommendForAllItems(10)))
    with tempfile.TemporaryDirectory(prefix="daskals-model-") as path:
        step("save", lambda: model.write().overwrite().save(path))
        model = step("load", lambda: ALSModel.load(path))  # of the fitted one nothing is held any more
        again = step("transform, loaded", lambda: rmse(model))
    # sums of partitions are added in any order
    if abs(first - again) > 1e-6 * first:
        raise AssertionError(f"the loaded model predicts with an RMSE of {again}, the fitted one with {first}")
    found["fit"]["rmse"] = first
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="1400000x100000x400000000", help="USERSxITEMSxRATINGS")
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
        found = run(client, options, Path(folder))
    print_surroundings({"daskals": versions("dask", "distributed", "numpy", "numba")}, about)
    print(f"\n{options.shape}, rank {options.rank}, {options.workers} workers of {options.memory}:\n")
    fit = found["fit"]
    iterations = ", ".join(map(shown, fit["iterations"]))
    print(f"before the first iteration {shown(fit['before'])} s, iterations {iterations} s")
    print(f"RMSE {shown(fit['rmse'])}\n")
    rows = [
        (
            name,
            shown(each["seconds"]),
            *(shown(size / 1e6) for size in (max(each["workers"]), each["driver"], each["spilled"])),
            str(each["deaths"]),
        )
        for name, each in found.items()
    ]
    print_table(["", "s", "largest worker (MB)", "driver (MB)", "on disk (MB)", "workers lost"], rows)
    if options.json:
        save_json(options.json, {"machine": about, "found": found})


if __name__ == "__main__":
    main()
