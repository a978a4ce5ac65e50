"""Objective against time: exact solves, conjugate gradients with 1, 2, 3 and 5 steps, and blocks of columns.

::

    python benchmarks/convergence.py --shape ml1m ml20m --rank 64
    python benchmarks/convergence.py --shape ml20m --rank 512 --seconds 150 --iterations 50

For each shape and mode all solvers run from the same start, one after the other, in one process. A fit knows its
objective after every iteration (``model.history``); time is the sum of the seconds of its iterations, without the
ingest, which is the same for all. The table gives the time, and the number of iterations, after which the objective
stayed within 1 % and 0.1 % of the best value that any of the solvers reached in ``--iterations``, or in the first
``--seconds`` of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
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
from _worker import small_frame

from daskals import ALS, kernels

CG_STEPS = (1, 2, 3, 5)
TOLERANCES = (0.01, 0.001)
#: Solver and number of steps of each contender.
SOLVERS = {"cholesky": {"solver": "cholesky"}} | {
    f"cg, {steps} step{'s' * (steps > 1)}": {"solver": "cg", "cgSteps": steps} for steps in CG_STEPS
}
SOLVERS["subspace"] = {"solver": "subspace"}
SEED = 20


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", nargs="+", default=["ml1m", "ml20m"], help=SHAPE_HELP)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=np.inf, help="after which the iterations of a fit end")
    parser.add_argument("--solver", nargs="+", default=list(SOLVERS), choices=SOLVERS, help="which of them")
    parser.add_argument("--mode", nargs="+", default=["explicit", "implicit"], choices=["explicit", "implicit"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--reg", type=float, default=0.1, help="regParam")
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder where synthetic ratings are kept")
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args()


def histories(frame: pd.DataFrame, *, implicit: bool, options: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """``model.history`` of each solver, with the time since the start of the first iteration."""
    found = {}
    for name in options.solver:
        als = ALS(
            rank=options.rank,
            maxIter=options.iterations,
            regParam=options.reg,
            alpha=options.alpha,
            implicitPrefs=implicit,
            seed=SEED,
            **SOLVERS[name],
        )
        history = als.fit(frame, callbacks=[until(options.seconds)]).history
        found[name] = history.assign(elapsed=history["seconds"].cumsum())
    return found


def until(seconds: float) -> Callable[[Any], bool]:
    """A callback that ends a fit when its iterations have taken so long."""
    taken: list[float] = []

    def stop(iteration: Any) -> bool:
        taken.append(iteration.seconds)
        return sum(taken) >= seconds

    return stop


def reached(history: pd.DataFrame, bound: float) -> tuple[float | None, int | None]:
    """When, and after how many iterations, the objective came to the bound and stayed; None for never."""
    above = np.flatnonzero(history["objective"].to_numpy() > bound)
    first = int(above[-1]) + 1 if len(above) else 0
    if first == len(history):
        return None, None
    return float(history["elapsed"].iloc[first]), first + 1


def print_convergence(found: dict[str, pd.DataFrame]) -> None:
    """The table of one shape and mode."""
    best = min(float(history["objective"].min()) for history in found.values())
    headers = ["solver", "an iteration (s)"]
    headers += [f"within {tolerance:.1%} (s; iterations)" for tolerance in TOLERANCES] + ["above the best at the end"]
    rows = []
    for name, history in found.items():
        cells = [name, shown(float(history["seconds"].iloc[1:].median()))]
        for tolerance in TOLERANCES:
            seconds, iterations = reached(history, best * (1 + tolerance))
            cells.append("not reached" if seconds is None else f"{shown(seconds)}; {iterations}")
        rows.append([*cells, f"{float(history['objective'].iloc[-1]) / best - 1:.3%}"])
    print_table(headers, rows)


def main() -> None:
    options, about = arguments(), machine()
    dask.config.set(scheduler="threads", num_workers=options.threads)
    for implicit in (False, True):  # load or compile the kernels
        histories(small_frame(), implicit=implicit, options=argparse.Namespace(**vars(options) | {"iterations": 1}))
    everything: list[dict[str, Any]] = []
    for shape in options.shape:
        for mode in options.mode:
            implicit = mode == "implicit"
            frame = pd.read_parquet(ratings_file(shape, implicit=implicit, folder=options.data))
            found = histories(frame, implicit=implicit, options=options)
            print(
                f"\n### {shape}, {mode} mode, rank {options.rank}, {options.threads} threads, "
                f"{options.iterations} iterations\n"
            )
            print_convergence(found)
            curves = {name: history.to_dict("list") for name, history in found.items()}
            everything.append({"shape": shape, "mode": mode, "histories": curves})
    here = {"daskals": versions("numpy", "numba", "dask") | {"kernels": kernels.backend}}
    print_surroundings(here, about)
    save_json(options.json, {"machine": about, "versions": here, "results": everything})


if __name__ == "__main__":
    main()
