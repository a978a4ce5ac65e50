"""One contender, one rank, in a process of its own, started by `_processes.run_worker`.

It prints a line of JSON after each step, with all that is known so far. Each contender is a module with a class
`Contender` (see `Base`), imported here only, so that this runs with any interpreter that has NumPy, pandas,
pyarrow and the contender. A step that fails is reported and the rest goes on.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _contenders import MODULES

#: Iterations of the shorter fit, where the time of one has to be told from the difference of two fits.
SHORT = 2


class Missing(Exception):
    """The contender does not offer this: a dash in the table, not an error."""


class Run:
    """What a worker finds out."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.seconds: dict[str, float] = {}
        self.phases: list[tuple[str, float, float]] = []
        self.errors: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        #: files of the factors of each solver
        self.factors: dict[str, str] = {}
        #: objectives of each fit, iteration by iteration, of a contender that tells them
        self.histories: dict[str, list[float]] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what stands inside, and let the parent know when it was."""
        gc.collect()
        start = time.monotonic()
        yield
        stop = time.monotonic()
        self.seconds[name] = stop - start
        self.phases.append((name, start, stop))

    def attempt(self, name: str, step: Callable[..., None], *args: Any) -> None:
        """Do a step; its error goes into the report."""
        try:
            step(*args)
        except Missing:
            return
        except Exception as error:
            traceback.print_exc()
            self.errors[name] = f"{type(error).__name__}: {error}".strip().splitlines()[0][:200]

    def report(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "job"}


class Base:
    """What the worker asks of a contender; here everything is missing."""

    #: seconds of each iteration of the last fit; None where it does not tell
    iteration_seconds: list[float] | None = None

    def __init__(self, run: Run) -> None:
        self.run, self.job = run, run.job

    def prepare(self) -> None:
        """Load data, start what has to be started, compile or warm up."""
        raise Missing

    def fit(self, iterations: int, *, cg: bool, name: str) -> None:
        """One fit from the frame to factors, in phase ``name``."""
        raise Missing

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """Factors of users and items of the last fit; row n belongs to id n, ids without ratings have zeros."""
        raise Missing

    def transform(self) -> None:
        """Score all training pairs, in phase "transform"."""
        raise Missing

    def recommend(self) -> None:
        """The ten best items for each user, in phase "recommend"."""
        raise Missing

    def close(self) -> None:
        """End what was started."""


def read_ratings(path: str) -> pd.DataFrame:
    """The frame of ratings, without what reading it left in the pool of Arrow."""
    import pyarrow as pa

    frame = pd.read_parquet(path).copy()
    pa.default_memory_pool().release_unused()
    return frame


def by_id(ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows placed by their ids, zeros between."""
    placed = np.zeros((int(ids.max()) + 1, rows.shape[1]), np.float32)
    placed[ids] = rows
    return placed


def small_frame() -> pd.DataFrame:
    """Ratings to warm up on: some rows with few, some with many."""
    pairs = np.arange(40_000)
    frame = pd.DataFrame({"user": pairs % 400, "item": (pairs * 7 + pairs // 400) % 300}).drop_duplicates()
    frame = frame[(frame["user"] > 50) | (frame["item"] < 5)].astype(np.int32)
    return frame.assign(rating=(1 + frame["item"] % 5).astype(np.float32)).reset_index(drop=True)


def _fits(contender: Base, run: Run, solver: str) -> None:
    """The fit of one solver, with the time of an iteration, and its factors saved for the parent."""
    iterations, cg = run.job["iterations"], solver == "cg"
    short = min(SHORT, iterations - 1)
    # The short fit first: what a contender still has to warm up then makes its iterations look faster, not slower.
    if contender.iteration_seconds is None and short:
        contender.fit(short, cg=cg, name=f"short-{solver}")
    contender.fit(iterations, cg=cg, name=solver)
    if contender.iteration_seconds is not None:
        each = statistics.median(contender.iteration_seconds[1:] or contender.iteration_seconds)
    else:
        each = (run.seconds[solver] - run.seconds[f"short-{solver}"]) / (iterations - short) if short else 0.0
    if each > 0:  # nothing can be told from fits so short that noise outweighs the iterations
        run.seconds[f"iteration-{solver}"] = each
    if run.job["scratch"]:
        path = Path(run.job["scratch"]) / f"{solver}.npz"
        users, items = contender.factors()
        np.savez(path, users=users, items=items)
        run.factors[solver] = str(path)


def work(job: dict[str, Any]) -> None:
    """Do a job, and report after each step: the last report is the one that counts."""
    run = Run(job)
    contender: Base = importlib.import_module(MODULES[job["contender"]]).Contender(run)
    with run.phase("start"):
        contender.prepare()
    steps: dict[str, tuple[Callable[..., None], list[Any]]] = {
        "fit": (_fits, [contender, run, "exact"]),
        "transform": (contender.transform, []),
        "recommend": (contender.recommend, []),
        "cg": (_fits, [contender, run, "cg"]),
    }
    for name, (step, arguments) in steps.items():
        if name in job["what"]:
            run.attempt(name, step, *arguments)
            print(json.dumps(run.report()), flush=True)
    contender.close()


if __name__ == "__main__":
    # the modules of the contenders import this one by its name
    sys.modules["_worker"] = sys.modules["__main__"]
    work(json.loads(sys.argv[1]))
