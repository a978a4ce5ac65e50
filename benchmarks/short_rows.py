"""Seconds of an iteration on implicit data whose rows are short, beside implicit's, in one run.

::

    OPENBLAS_NUM_THREADS=1 python benchmarks/short_rows.py gowalla/train.parquet

The file has a row for each pair, a user and an item in its first two columns (Gowalla: a median of 16 pairs a user, of
12 an item). For each rank all contenders fit the same pairs in turn, ``--repeat`` times. Of each the median of its
iterations is shown, without the first one of each fit, as both libraries report them. "primal" is the exact solver in
the form that needs no eigenbasis, as ``precision="double"`` has it. implicit is left out where it is missing.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import dask
import numpy as np
import pandas as pd
from _common import machine, print_surroundings, print_table, shown, versions

from daskals import ALS

ALPHA, REG, SEED = 10.0, 0.01, 1
OURS = {
    "daskals, exact": {},
    "daskals, cg": {"solver": "cg"},
    "daskals, double precision (primal)": {"precision": "double"},
}


def ours(pairs: pd.DataFrame, rank: int, iterations: int, settings: dict[str, object]) -> list[float]:
    als = ALS(rank=rank, maxIter=iterations, implicitPrefs=True, ratingCol="", alpha=ALPHA, regParam=REG, seed=SEED)
    return als.setParams(**settings).fit(pairs).history["seconds"].tolist()


def implicits(pairs: pd.DataFrame, rank: int, iterations: int, threads: int, *, cg: bool) -> list[float]:
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy import sparse

    users, items = (pd.factorize(pairs[name])[0] for name in ("user", "item"))
    matrix = sparse.csr_matrix((np.ones(len(pairs), np.float32), (users, items)))
    seconds: list[float] = []
    model = AlternatingLeastSquares(
        factors=rank, alpha=ALPHA, regularization=REG, iterations=iterations, use_cg=cg, num_threads=threads,
        random_state=SEED,
    )  # fmt: skip
    model.fit(matrix, show_progress=False, callback=lambda _, elapsed, *__: seconds.append(elapsed))
    return seconds


def contenders(pairs: pd.DataFrame, iterations: int, threads: int) -> dict[str, Callable[[int], list[float]]]:
    """By name, what gives the seconds of each iteration of a fit of some rank."""
    found = {
        name: lambda rank, settings=settings: ours(pairs, rank, iterations, settings) for name, settings in OURS.items()
    }
    try:
        import implicit.cpu.als  # noqa: F401
    except ImportError:
        return found
    return {
        **found,
        "implicit, exact": lambda rank: implicits(pairs, rank, iterations, threads, cg=False),
        "implicit, cg": lambda rank: implicits(pairs, rank, iterations, threads, cg=True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", help="a Parquet file of pairs")
    parser.add_argument("--rank", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    about = machine()
    pairs = pd.read_parquet(given.pairs).iloc[:, :2].set_axis(["user", "item"], axis=1)
    dask.config.set(num_workers=given.threads)
    actions = contenders(pairs, given.iterations, given.threads)
    rows = []
    for action in actions.values():
        action(8)  # compiles and imports
    for rank in given.rank:
        rounds = [{name: action(rank)[1:] for name, action in actions.items()} for _ in range(given.repeat)]
        median = {name: statistics.median([s for each in rounds for s in each[name]]) for name in actions}
        base = median["daskals, exact"]
        rows += [(rank, name, shown(seconds), f"{seconds / base:.2f}x") for name, seconds in median.items()]
    print_table(["rank", "solver", "seconds an iteration", "as a multiple of daskals, exact"], rows)
    print_surroundings(
        {"daskals": versions("daskals", "numpy", "numba", "dask"), "implicit": versions("implicit")}, about
    )


if __name__ == "__main__":
    main()
