"""How the whole fit grows: with the ratings, with threads, and on processes instead of threads.

::

    python benchmarks/scaling.py --base 2500000 --factors 1 2 4 8 --rank 64

Synthetic ratings, users growing with the ratings and items not, in the proportions of MovieLens 20M (which is 8
times the base). The first table is of fits from a pandas frame in memory, on one thread and on ``--threads``. The
second is of fits from Parquet, read by the fit: on threads, and on a LocalCluster of as many processes of one thread
each, started before. Every fit is in a process of its own, in turn, and warmed up on a small frame; figures are
medians over ``--repeat``. Memory is the resident memory of all processes together, at its peak during the fit,
sampled from outside 20 times a second.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from _common import DEFAULT_FOLDER, ML20M, machine, print_surroundings, print_table, ratings_file, save_json, shown
from _processes import run_worker

SEED = 20


class Way(NamedTuple):
    """How to fit."""

    name: str
    threads: int
    from_parquet: bool = False
    cluster: bool = False


class Summary(NamedTuple):
    """Medians over the rounds, None where all failed."""

    seconds: float | None
    megabytes: float | None
    iteration: float | None
    start: float | None
    objective: float | None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=int, default=2_500_000, help="ratings at factor 1")
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2, help="compared with one thread and with processes")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder where synthetic ratings are kept")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds that one process may take")
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args()


def ways(threads: int) -> list[Way]:
    return [
        Way("1 thread", 1),
        Way(f"{threads} threads", threads),
        Way("Parquet, threads", threads, from_parquet=True),
        Way("Parquet, processes", threads, from_parquet=True, cluster=True),
    ]


def shape_of(n_ratings: int) -> str:
    n_users, n_items, total = ML20M
    return f"{max(1, round(n_users * n_ratings / total))}x{n_items}x{n_ratings}"


def measure(way: Way, n_ratings: int, options: argparse.Namespace) -> dict[str, Any]:
    """One fit in a process of its own."""
    data = ratings_file(shape_of(n_ratings), implicit=False, folder=options.data)
    print(f"{n_ratings:,} ratings, {way.name} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="daskals-benchmark-") as folder:
        job = {
            "contender": "daskals",
            "rank": options.rank,
            "implicit": False,
            "data": str(data),
            "folder": folder,
            "scratch": None,
            "iterations": options.iterations,
            "reg": 0.1,
            "alpha": 1.0,
            "seed": SEED,
            "what": ["fit"],
            **way._asdict(),
        }
        return {"ratings": n_ratings, "way": way.name} | run_worker(job, timeout=options.timeout)


def summary(runs: list[dict[str, Any]]) -> Summary:
    """Medians over runs, without those that failed."""
    good = [run for run in runs if "exact" in run.get("seconds", {})]
    if not good:
        return Summary(None, None, None, None, None)
    seconds, iteration, start = (
        statistics.median(run["seconds"][name] for run in good) for name in ("exact", "iteration-exact", "start")
    )
    megabytes = statistics.median(run["peak_bytes"]["exact"] / 1e6 for run in good)
    return Summary(seconds, megabytes, iteration, start, good[0]["histories"]["exact"][-1])


def ratio(a: float | None, b: float | None) -> str:
    return f"{a / b:.2f}x" if a and b else "-"


def print_growth(found: dict[int, list[Summary]], options: argparse.Namespace) -> None:
    """One thread and several, from pandas, at each number of ratings."""
    several = f"{options.threads} threads"
    headers = ["ratings", "1 thread (s)", f"{several} (s)", "gain", "iteration (s)", "peak (MB)"]
    headers += ["ratings, to the first", f"time, {several}", "time, 1 thread", "memory"]
    first_number, (first_one, first, *_) = next(iter(found.items()))
    rows = [
        [
            f"{number:,}",
            shown(one.seconds),
            shown(many.seconds),
            ratio(one.seconds, many.seconds),
            shown(many.iteration),
            shown(many.megabytes),
            ratio(number, first_number),
            ratio(many.seconds, first.seconds),
            ratio(one.seconds, first_one.seconds),
            ratio(many.megabytes, first.megabytes),
        ]
        for number, (one, many, *_) in found.items()
    ]
    print(f"\n### From pandas, rank {options.rank}, {options.iterations} iterations\n")
    print_table(headers, rows, left=0)


def print_processes(found: dict[int, list[Summary]], options: argparse.Namespace) -> None:
    """Threads and processes, from Parquet, at each number of ratings."""
    n = options.threads
    headers = ["ratings", f"{n} threads (s)", f"{n} processes (s)", "processes to threads", "peak, threads (MB)"]
    headers += ["peak, processes (MB)", "start of the cluster, once (s)", "objectives differ by"]
    rows = [
        [
            f"{number:,}",
            shown(threads.seconds),
            shown(processes.seconds),
            ratio(processes.seconds, threads.seconds),
            shown(threads.megabytes),
            shown(processes.megabytes),
            shown(processes.start),
            f"{abs(processes.objective / threads.objective - 1):.1e}"
            if threads.objective and processes.objective
            else "-",
        ]
        for number, (_, _, threads, processes) in found.items()
    ]
    print(f"\n### From Parquet, rank {options.rank}, {options.iterations} iterations\n")
    print_table(headers, rows, left=0)


def main() -> None:
    options, about = arguments(), machine()
    found: dict[int, list[Summary]] = {}
    everything = []
    for factor in options.factors:
        number = factor * options.base
        runs: dict[Way, list[dict[str, Any]]] = {way: [] for way in ways(options.threads)}
        for _ in range(options.repeat):
            for way, some in runs.items():
                some.append(measure(way, number, options))
        found[number] = [summary(some) for some in runs.values()]
        everything += [run for some in runs.values() for run in some]
    print_growth(found, options)
    print_processes(found, options)
    for run in everything:
        for message in [run[key] for key in ("error", "errors") if run.get(key)]:
            print(f"- {run['ratings']:,} ratings, {run['way']} FAILED: {message}")
    versions = next((run["versions"] for run in everything if run.get("versions")), {})
    print_surroundings({"daskals": versions}, about)
    save_json(
        options.json, {"machine": about, "arguments": {k: str(v) for k, v in vars(options).items()}, "runs": everything}
    )


if __name__ == "__main__":
    main()
