"""What an iteration costs Dask's scheduler, and how many bytes it moves between workers.

::

    python benchmarks/scheduler.py --blocks 16 100 256 --workers 2

A scheduler and ``--workers`` processes of one thread each, all on this machine, and fits of few ratings in many
blocks, so that next to nothing is computed. An iteration is the difference between fits of 1 and of
1 + ``--iterations`` iterations, divided by ``--iterations``; figures are medians over ``--repeat``.

- tasks: computed in an iteration, of both half-steps
- scheduler CPU: of the scheduler's process
- wall: of the whole fit; the workers' own overhead is in it, and they share this machine with the scheduler
- moved: bytes that workers received from workers. The least is what it takes to bring every worker each side's new
  factors once, of which it has its own part: (workers - 1) times the factors of both sides, 4 bytes a number. What the
  scheduler keeps of the users' factors (setting durable-bytes) passes through the client besides.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from _common import machine, print_surroundings, print_table, save_json, shown, versions
from dask.distributed import Client, SchedulerPlugin
from distributed.deploy.subprocess import SubprocessCluster

from daskals import ALS
from daskals.datasets import make_ratings


class Cost(NamedTuple):
    """Of one fit, or of one iteration."""

    tasks: float
    scheduler: float
    wall: float
    moved: float


class Counter(SchedulerPlugin):
    """Counts tasks of ours that are done."""

    name = "daskals-counter"

    def __init__(self) -> None:
        self.tasks = 0

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        if start == "processing" and finish == "memory" and str(key).startswith("als-"):
            self.tasks += 1


def state_of(dask_scheduler: Any) -> tuple[int, float]:
    return dask_scheduler.plugins[Counter.name].tasks, time.process_time()


def received(dask_worker: Any) -> int:
    return sum(each["total"] for each in dask_worker.transfer_incoming_log)


def cost_of_fit(client: Client, als: ALS, iterations: int, ratings: Any) -> Cost:
    def now() -> tuple[float, ...]:
        return *client.run_on_scheduler(state_of), time.perf_counter(), sum(client.run(received).values())

    before = now()
    model = als.copy({als.maxIter: iterations}).fit(ratings)
    after = now()
    del model
    return Cost(*(b - a for a, b in zip(before, after, strict=True)))


def costs(client: Client, options: argparse.Namespace) -> Iterator[tuple[int, Cost]]:
    ratings = make_ratings(options.users, options.items, options.ratings, seed=20)
    for n_blocks in options.blocks:
        als = ALS(rank=options.rank, numUserBlocks=n_blocks, numItemBlocks=n_blocks, seed=1)
        cost_of_fit(client, als, 1, ratings)
        found = []
        for _ in range(options.repeat):
            short, long = (cost_of_fit(client, als, n, ratings) for n in (1, 1 + options.iterations))
            found.append([(b - a) / options.iterations for a, b in zip(short, long, strict=True)])
        yield n_blocks, Cost(*map(statistics.median, zip(*found, strict=True)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, nargs="+", default=[16, 100, 256], help="of each side")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--ratings", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    about = machine()
    with (
        SubprocessCluster(
            n_workers=options.workers, threads_per_worker=1, dashboard_address=None, worker_kwargs={"memory_limit": 0}
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(options.workers)
        client.register_plugin(Counter())
        found = dict(costs(client, options))
    print_surroundings({"daskals": versions("dask", "distributed", "numpy", "numba")}, about)
    least = 4 * options.rank * (options.users + options.items) * (options.workers - 1)
    size = f"{options.users} users, {options.items} items, rank {options.rank}, {options.workers} workers"
    print(f"\n{size}; an iteration:\n")
    rows = [
        (
            str(n),
            shown(cost.tasks),
            shown(cost.scheduler),
            shown(1e3 * cost.scheduler / cost.tasks),
            shown(cost.wall),
            shown(cost.moved / 2**20),
            shown(cost.moved / least if least else None),
        )
        for n, cost in found.items()
    ]
    print_table(
        ["blocks a side", "tasks", "scheduler CPU (s)", "a task (ms)", "wall (s)", "moved (MiB)", "of the least"], rows
    )
    if options.json:
        save_json(options.json, {"machine": about, "found": {n: cost._asdict() for n, cost in found.items()}})


if __name__ == "__main__":
    main()
