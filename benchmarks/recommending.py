"""What it costs to leave out of recommendations what is known, and implicit doing the same, in one run.

::

    python benchmarks/recommending.py gowalla/train.parquet

The file has a row for each pair, a user and an item in its first two columns. One implicit model is fitted; with its
factors ``recommendForAllUsers(10)`` is timed with and without ``exclude=`` the pairs of the file, and ``recommend`` of
implicit with and without ``filter_already_liked_items`` on the same factors, in turn. Medians of ``--repeat`` rounds,
after one to warm up. implicit is left out where it is not installed. The lists of both are compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import dask
import numpy as np
import pandas as pd
from _common import machine, print_surroundings, print_table, shown, versions

from daskals import ALS, ALSModel

K = 10


def timed(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def contenders(model: ALSModel, pairs: pd.DataFrame, threads: int) -> dict[str, Callable[[], Any]]:
    """What is timed, by name."""
    actions = {
        "daskals, everything": lambda: model.recommendForAllUsers(K),
        "daskals, exclude=": lambda: model.recommendForAllUsers(K, exclude=pairs),
        "daskals, exclude=, flat=True": lambda: model.recommendForAllUsers(K, exclude=pairs, flat=True),
    }
    try:
        import implicit.cpu.als
    except ImportError:
        return actions
    from scipy import sparse

    users, items = model.userFactors, model.itemFactors
    peer = implicit.cpu.als.AlternatingLeastSquares(factors=model.rank, num_threads=threads)
    peer.user_factors, peer.item_factors = (np.stack(side["features"]) for side in (users, items))
    row, column = (pd.Index(side["id"]).get_indexer(pairs[name]) for side, name in ((users, "user"), (items, "item")))
    matrix = sparse.csr_matrix((np.ones(len(pairs), np.float32), (row, column)))
    everybody = np.arange(len(users))

    def recommend(filtered: bool) -> Any:
        return peer.recommend(everybody, matrix, N=K, filter_already_liked_items=filtered)

    print(f"the lists agree in {agreement(model, pairs, recommend(True)[0]):.2%} of their places")
    return {**actions, "implicit, everything": lambda: recommend(False), "implicit, filtered": lambda: recommend(True)}


def agreement(model: ALSModel, pairs: pd.DataFrame, found: np.ndarray) -> float:
    """The share of places at which both recommend the same item."""
    mine = model.recommendForAllUsers(K, exclude=pairs, flat=True)["item"].to_numpy().reshape(-1, K)
    return float((model.itemFactors["id"].to_numpy()[found] == mine).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", help="a Parquet file of pairs")
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    about = machine()
    pairs = pd.read_parquet(given.pairs).iloc[:, :2].set_axis(["user", "item"], axis=1)
    dask.config.set(num_workers=given.threads)
    model = ALS(rank=given.rank, maxIter=5, implicitPrefs=True, alpha=10.0).fit(pairs.assign(rating=1.0))
    actions = contenders(model, pairs, given.threads)
    rounds = [{name: timed(action) for name, action in actions.items()} for _ in range(given.repeat + 1)][1:]
    median = {name: statistics.median(each[name] for each in rounds) for name in actions}
    base = median["daskals, exclude="]
    print_table(
        ["recommend to all", "seconds", "as a multiple of daskals, exclude="],
        [(name, shown(seconds), f"{seconds / base:.2f}x") for name, seconds in median.items()],
    )
    found = {"daskals": versions("daskals", "numpy", "numba", "dask"), "implicit": versions("implicit", "scipy")}
    print_surroundings(found, about)


if __name__ == "__main__":
    main()
