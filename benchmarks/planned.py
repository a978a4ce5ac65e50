"""What `daskals.plan` says of six fits, beside what they took.

::

    chrt -r 1 python benchmarks/planned.py

Each fit runs in a process of its own: on ``--threads`` threads, from a pandas frame, or on a LocalCluster of as many
processes of one thread, from Parquet. The ratings have the proportions of MovieLens 20M, and are a quarter of it.

- iteration: seconds, the median of all but the first
- before: seconds of the whole fit without its iterations; on a cluster reading Parquet is in it, which the plan leaves
  out
- memory: the most that the largest process held during the fit; on threads the frame is in it
- tasks, sent: of an iteration after the first; bytes that workers received from workers, which do not have to be those
  of rows alone

A ratio above 1 says that the plan promised more than it took.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from _common import DEFAULT_FOLDER, machine, print_surroundings, print_table, ratings_file, save_json, shown, versions
from _processes import TreeMemory

SHAPE = "70000x13500x5000000"


class Planned(NamedTuple):
    """One of the fits."""

    where: str
    rank: int
    solver: str
    implicit: bool

    @property
    def params(self) -> dict[str, Any]:
        return {"rank": self.rank, "solver": self.solver, "implicitPrefs": self.implicit, "seed": 1}

    def __str__(self) -> str:
        kind = "implicit" if self.implicit else "explicit"
        return f"{self.where}, rank {self.rank}, {'cg' if self.solver == 'cg' else 'exact'}, {kind}"


FITS = (
    Planned("threads", 10, "cholesky", False),
    Planned("threads", 64, "cholesky", True),
    Planned("threads", 128, "cg", False),
    Planned("LocalCluster", 10, "cholesky", False),
    Planned("LocalCluster", 64, "cg", True),
    Planned("LocalCluster", 128, "cholesky", False),
)
MEASURES = ("iteration (s)", "before (s)", "memory (MB)", "tasks", "sent (MB)")


# ---- one fit, in a process of its own --------------------------------------------------------------------


class Found(NamedTuple):
    """What was measured of a fit, or predicted, in the order of `MEASURES`."""

    iteration: float
    before: float
    memory: float
    tasks: float
    sent: float


def one(fit: Planned, options: argparse.Namespace) -> dict[str, Found]:
    """Plan a fit and run it."""
    import dask.dataframe as dd
    import pandas as pd
    from dask.distributed import Client, LocalCluster

    import daskals
    from daskals import ALS

    path = ratings_file(options.shape, implicit=fit.implicit, folder=options.data)
    with ExitStack() as stack:
        if fit.where == "threads":
            import dask

            client = None
            stack.enter_context(dask.config.set(scheduler="threads", num_workers=options.threads))
            frame, processes = pd.read_parquet(path), [os.getpid()]
        else:
            size = {"n_workers": options.threads, "threads_per_worker": 1}
            workers = stack.enter_context(LocalCluster(**size, dashboard_address=None))
            client = stack.enter_context(Client(workers))
            frame, processes = dd.read_parquet(path, split_row_groups=2), list(client.run(os.getpid).values())
        ALS(**{**fit.params, "rank": 4, "maxIter": 2}).fit(frame.head(20_000))  # loads what is compiled
        needed = daskals.plan(frame, ALS(**fit.params))
        count(client)
        counts: list[tuple[float, float]] = []

        def look(_: Any) -> None:
            counts.append(count(client))

        watch = [TreeMemory(process, descend=False) for process in processes]
        for each in watch:
            each.start()
        start = time.perf_counter()
        model = ALS(**fit.params, maxIter=options.iterations).fit(frame, callbacks=[look])
        whole = time.perf_counter() - start
        for each in watch:
            each.stop()
        history = model.history["seconds"]
    tasks, sent = ((last - first) / (options.iterations - 1) for first, last in zip(counts[0], counts[-1], strict=True))
    memory = max(each.peak(0, float("inf")) for each in watch)
    return {
        "planned": Found(
            *(needed.secondsPerIteration, needed.secondsBefore, needed.memory, needed.tasksPerIteration),
            needed.bytesPerIteration,
        ),
        "measured": Found(statistics.median(history[1:]), whole - sum(history), memory, tasks, sent),
    }


class Here:
    """Counts tasks that threads of this process have done."""

    def __init__(self) -> None:
        from dask.callbacks import Callback

        self.tasks = 0
        Callback(posttask=self._look).register()

    def _look(self, key: Any, *_: Any) -> None:
        self.tasks += str(key).startswith("als-")


_here: list[Here] = []


def count(client: Any) -> tuple[float, float]:
    """Tasks that were done, and bytes that workers received from workers, until now."""
    from scheduler import Counter, received, state_of

    if client is None:
        if not _here:
            _here.append(Here())
        return _here[0].tasks, 0.0
    if Counter.name not in client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.plugins)):
        client.register_plugin(Counter())
    return client.run_on_scheduler(state_of)[0], float(sum(client.run(received).values()))


# ---- all of them -----------------------------------------------------------------------------------------


def run(number: int, options: argparse.Namespace) -> dict[str, Found]:
    """`one` in a process of its own."""
    command = [sys.executable, __file__, "--one", str(number), *map(str, given(options))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=600, check=True)
    return {name: Found(*values) for name, values in json.loads(done.stdout.splitlines()[-1]).items()}


def given(options: argparse.Namespace) -> list[Any]:
    names = ("shape", "iterations", "threads", "data")
    return [word for name in names for word in (f"--{name}", getattr(options, name))]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default=SHAPE, help="USERSxITEMSxRATINGS")
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder for the ratings")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.one is not None:
        print(json.dumps(one(FITS[options.one], options)))
        return
    for implicit in (False, True):
        ratings_file(options.shape, implicit=implicit, folder=options.data)
    about = machine()
    found = {str(fit): run(number, options) for number, fit in enumerate(FITS)}
    print_surroundings({"daskals": versions("dask", "distributed", "numpy", "numba")}, about)
    print(f"\n{options.shape}, {options.threads} threads; planned / measured, and the ratio:\n")
    print_table(["fit", *MEASURES], [(name, *cells(**each)) for name, each in found.items()])
    save_json(options.json, {"machine": about, "found": found})


def cells(planned: Found, measured: Found) -> list[str]:
    scales = (1, 1, 1e6, 1, 1e6)
    return [
        f"{shown(a / scale)} / {shown(b / scale)}" + (f" ({a / b:.2f})" if b else "")
        for a, b, scale in zip(planned, measured, scales, strict=True)
    ]


if __name__ == "__main__":
    main()
