"""daskals and its peers on the same ratings, in turn, in one run, each in a process of its own.

::

    python benchmarks/compare.py --shape ml20m --rank 10 64 128 --peers spark implicit cmfrec

Peers may live in an environment of their own (``--peer-python``); those that are not installed there are named.
"daskals-numpy" is a peer as well: daskals with its plain kernels, as installed without Numba. So is another version:
"daskals@FOLDER" is daskals as it stands in that folder, ``src`` of another checkout, which makes of
``--peers daskals@../before/src`` a comparison of two versions that take turns.

What is measured, each as the median over ``--repeat`` rounds in which the contenders take turns:

iteration
    Where a contender tells the time of each iteration (daskals, implicit), the median of all but the first. Spark
    and cmfrec do not: there the difference of fits of 2 and of ``--iterations`` iterations, divided by the
    difference in iterations. The short one goes first, so that what is still warming up counts in favour of them.
    (On small data the difference drowns in the noise: a dash, or a figure that means nothing.)
whole fit
    From a frame to factors. daskals, cmfrec: a pandas frame in memory. Spark: a DataFrame that was read, cached and
    counted before the clock starts, which stops when both factor sets are counted. implicit: from the frame, of
    which the conversion to a CSR matrix, that it takes as input, is also given by itself.
transform
    A score for each training pair. Spark: forced by an aggregate. implicit has no such function.
recommend
    recommendForAllUsers(10). Spark: written to its "noop" format. cmfrec ranks for one user a call: left out.
memory
    Resident bytes over the process tree (Python and JVM), sampled 20 times a second from outside during the first
    fit of the process; for all, the frame of ratings in memory is part of that.
objective
    From the factors, by the same code for all (`_common.objectives`).

Everybody has warmed up before ("start"): kernels are compiled or loaded on a small frame, the JVM runs and has fitted
a twentieth of the ratings.

``--what`` has some of fit, cg, transform, recommend (default: all) and implicit, which adds a table for fits in
implicit mode; ``--implicit-prefs`` measures everything in implicit mode only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _common import (
    DEFAULT_FOLDER,
    SHAPE_HELP,
    machine,
    objectives,
    print_surroundings,
    print_table,
    ratings_file,
    save_json,
    shown,
)
from _contenders import MINIMISES, PACKAGES, US, environment_of, kind_of, peer
from _processes import run_worker

WHAT = ("fit", "cg", "transform", "recommend", "implicit")
SEED = 20

Record = dict[str, Any]
Getter = Callable[[Record], "float | None"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="ml20m", help=SHAPE_HELP)
    parser.add_argument("--rank", type=int, nargs="+", default=[10, 64])
    parser.add_argument("--peers", nargs="*", type=peer, default=["spark", "implicit", "cmfrec"])
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter of the environment of the peers")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--what", default=",".join(WHAT), help=f"some of {','.join(WHAT)}")
    parser.add_argument("--implicit-prefs", action="store_true", help="everything in implicit mode")
    parser.add_argument("--reg", type=float, default=0.1, help="regParam")
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder where synthetic ratings are kept")
    parser.add_argument("--timeout", type=float, default=7200, help="seconds that one process may take")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    options.what = options.what.split(",")
    if unknown := set(options.what) - set(WHAT):
        parser.error(f"--what: {', '.join(unknown)} is not known")
    return options


# ---- measuring -------------------------------------------------------------------------------------------


def installed(peers: list[str], python: str) -> list[str]:
    """Those of the peers whose package the interpreter finds."""
    packages = [PACKAGES.get(peer, "numpy") for peer in peers]
    code = "import sys, importlib.util as u; print(*(u.find_spec(name) is not None for name in sys.argv[1:]))"
    found = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, check=True).stdout.split()
    return [peer for peer, yes in zip(peers, found, strict=True) if yes == "True"]


def measure(contender: str, rank: int, mode: str, number: int, options: argparse.Namespace) -> Record:
    """One process: a contender at a rank in a mode. The first round also gets the objectives."""
    data = ratings_file(options.shape, implicit=mode == "implicit", folder=options.data)
    print(f"{contender}, rank {rank}, {mode}, round {number + 1} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="daskals-benchmark-") as folder:
        job = {
            "contender": kind_of(contender),
            "rank": rank,
            "implicit": mode == "implicit",
            "data": str(data),
            "folder": folder,
            "scratch": folder if number == 0 else None,
            "iterations": options.iterations,
            "threads": options.threads,
            "reg": options.reg,
            "alpha": options.alpha,
            "seed": SEED,
            "what": steps(mode, options),
        }
        python = options.peer_python if contender in PACKAGES else sys.executable
        record = run_worker(job, python=python, environment=environment_of(contender), timeout=options.timeout)
        record |= {"contender": contender, "rank": rank, "mode": mode, "round": number}
        record["objectives"] = {
            solver: evaluate(path, data, job)._asdict() for solver, path in record.pop("factors", {}).items()
        }
    return record


def steps(mode: str, options: argparse.Namespace) -> list[str]:
    """What a worker does in a mode: scoring is the same in both, and is measured in one."""
    every = mode == "explicit" or options.implicit_prefs
    return [step for step in options.what if every or step in ("fit", "cg")]


def evaluate(path: str, data: Path, job: Record) -> Any:
    frame = pd.read_parquet(data)
    with np.load(path) as factors:
        users, items = factors["users"], factors["items"]
    return objectives(frame, users, items, reg=job["reg"], alpha=job["alpha"], implicit=job["implicit"])


# ---- the table -------------------------------------------------------------------------------------------


def seconds_of(name: str) -> Getter:
    return lambda record: record.get("seconds", {}).get(name)


def peak_of(*names: str) -> Getter:
    """Megabytes at the peak of the first of these phases that there is."""

    def get(record: Record) -> float | None:
        peaks = record.get("peak_bytes", {})
        return next((peaks[name] / 1e6 for name in names if name in peaks), None)

    return get


def measures(iterations: int) -> Iterator[tuple[str, Getter]]:
    """The rows of a table that are compared by ratio."""
    yield "iteration, exact (s)", seconds_of("iteration-exact")
    yield "iteration, cg (s)", seconds_of("iteration-cg")
    yield f"whole fit, exact, {iterations} iterations (s)", seconds_of("exact")
    yield f"whole fit, cg, {iterations} iterations (s)", seconds_of("cg")
    yield "of which conversion of the frame (s)", seconds_of("conversion-exact")
    yield "transform, all training pairs (s)", seconds_of("transform")
    yield "recommendForAllUsers(10) (s)", seconds_of("recommend")
    yield "peak memory, first fit (MB)", peak_of("short-exact", "exact", "short-cg", "cg")
    yield "peak memory, everything (MB)", peak_of("all")


def median(records: list[Record], get: Getter) -> float | None:
    values = [value for value in map(get, records) if value is not None and value == value]
    return statistics.median(values) if values else None


def compared(records: dict[str, list[Record]], get: Getter) -> list[str] | None:
    """The cells of a row: medians, and ratios to us; None where nobody has a value."""
    values = {name: median(runs, get) for name, runs in records.items()}
    if all(value is None for value in values.values()):
        return None
    ours = values[US]
    return [
        shown(value) + (f" ({value / ours:.2f}x)" if name != US and value is not None and ours else "")
        for name, value in values.items()
    ]


def objective_cells(records: dict[str, list[Record]], solver: str, kind: str, mode: str) -> list[str] | None:
    """The cells of a row of objectives; a star where it is not the one that is minimised."""
    cells = []
    for name, runs in records.items():
        value = next((run["objectives"][solver][kind] for run in runs if solver in run["objectives"]), None)
        star = "*" if value is not None and MINIMISES[kind_of(name)][mode == "implicit"] != kind else ""
        cells.append(shown(value, 6) + star)
    return None if all(cell == "-" for cell in cells) else cells


def print_comparison(records: dict[str, list[Record]], rank: int, mode: str, options: argparse.Namespace) -> None:
    """The table of one rank and mode, and what is to be said of it."""
    print(f"\n### {options.shape}, rank {rank}, {mode} mode, {options.threads} threads\n")
    rows = [(label, compared(records, get)) for label, get in measures(options.iterations)]
    rows.append(("start, once (s)", [shown(median(runs, seconds_of("start"))) for runs in records.values()]))
    for solver in ("exact", "cg"):
        for kind in ("weighted", "plain"):
            if kind == "weighted" or mode == "implicit":
                label = f"objective, {kind} regularisation, {solver}"
                rows.append((label, objective_cells(records, solver, kind, mode)))
    print_table(["", *records], [(label, *cells) for label, cells in rows if cells])
    print()
    for note in notes(records, mode):
        print(f"- {note}")


def notes(records: dict[str, list[Record]], mode: str) -> Iterator[str]:
    yield "In brackets: the figure as a multiple of that of daskals."
    ours = median(records[US], seconds_of("iteration-cg"))
    for name, runs in records.items():
        exact = median(runs, seconds_of("iteration-exact"))
        if ours and exact and median(runs, seconds_of("iteration-cg")) is None:
            yield f"{name} has no cg: its exact iteration takes {exact / ours:.1f}x the time of one of ours with cg."
    if any(None in MINIMISES[kind_of(name)] or "plain" in MINIMISES[kind_of(name)] for name in records):
        yield "*: not the objective that this contender minimises; compare only values without a star in one row."
    if "implicit" in records and mode == "explicit":
        yield "implicit has no explicit mode: this is its implicit solve on the same matrix, as much work a rating."
    for name, runs in records.items():
        for message in sorted({error for run in runs for error in errors(run)}):
            yield f"{name} FAILED, {message}"


def errors(record: Record) -> list[str]:
    whole = [record["error"]] if "error" in record else []
    return whole + [f"{step}: {message}" for step, message in record.get("errors", {}).items()]


def main() -> None:
    options = arguments()
    about = machine()
    here = installed(options.peers, options.peer_python)
    modes = ["explicit", "implicit"] if "implicit" in options.what else ["explicit"]
    if options.implicit_prefs:
        modes = ["implicit"]
    everything: Record = {
        "arguments": {name: str(value) for name, value in vars(options).items()},
        "machine": about,
        "runs": [],
    }
    versions: dict[str, dict[str, str]] = {}
    for rank in options.rank:
        for mode in modes:
            records: dict[str, list[Record]] = {name: [] for name in (US, *here)}
            for number in range(options.repeat):
                for name, runs in records.items():
                    record = measure(name, rank, mode, number, options)
                    runs.append(record)
                    everything["runs"].append(record)
                    versions |= {name: record["versions"]} if record.get("versions") else {}
                    if options.json:
                        options.json.write_text(json.dumps(everything, indent=1) + "\n")
            print_comparison(records, rank, mode, options)
    print_surroundings(versions, about)
    if missing := [peer for peer in options.peers if peer not in here]:
        print(f"- not installed for {options.peer_python}: {', '.join(missing)}")
    save_json(options.json, everything)


if __name__ == "__main__":
    main()
