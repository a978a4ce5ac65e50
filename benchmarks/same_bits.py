"""Whether two versions of daskals make the same factors, to the bit.

    python benchmarks/same_bits.py write before.json      # with one version installed
    python benchmarks/same_bits.py write after.json       # with the other
    python benchmarks/same_bits.py compare before.json after.json

A fit of each kind is made on ratings that a seed decides and, where DASKALS_DATA names a folder with ml-100k, on
those of MovieLens; on threads and on a cluster of two processes. What is written is a SHA-256 of the factors of each,
with a few plain numbers to look at where they differ. Bits depend on the processor and on the versions of NumPy and
Numba: both files must come from one machine. ``DASKALS_KERNELS=numpy`` compares the plain kernels.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
from distributed import Client, LocalCluster

from daskals import ALS
from daskals.datasets import make_ratings

KINDS: dict[str, dict[str, Any]] = {
    "explicit": {},
    "explicit, rank 40": {"rank": 40},
    "explicit, no regularisation": {"rank": 1, "regParam": 0.0},
    "implicit": {"implicitPrefs": True, "alpha": 4.0},
    "implicit, rank 40": {"implicitPrefs": True, "rank": 40},
    "nonnegative": {"nonnegative": True},
    "nonnegative, implicit": {"nonnegative": True, "implicitPrefs": True},
    "cg": {"solver": "cg"},
    "cg, rank 40": {"solver": "cg", "rank": 40},
    "cg, implicit": {"solver": "cg", "implicitPrefs": True},
    "double": {"precision": "double"},
    "double, implicit": {"precision": "double", "implicitPrefs": True},
    "double, cg": {"precision": "double", "solver": "cg"},
    "Spark 2": {"sparkRandom": "2"},
    "biases": {"biases": True, "regExponent": 0.5},
    "biases, cg": {"biases": True, "solver": "cg", "userCountExponent": 0.5},
    "iALS": {"implicitPrefs": True, "unobservedWeight": 0.1, "regCount": "all", "startScale": 0.1},
    "subspace": {"solver": "subspace", "rank": 40, "subspaceSize": 16},
    "subspace, implicit": {"solver": "subspace", "rank": 40, "subspaceSize": 16, "implicitPrefs": True},
}
STREAMED = {"explicit", "implicit", "nonnegative", "cg", "cg, implicit", "double", "explicit, rank 40"}


def frames() -> Iterator[tuple[str, pd.DataFrame]]:
    """Names and ratings: synthetic ones with strings for ids, and MovieLens where it is."""
    made = make_ratings(900, 400, 20_000, seed=5)
    yield "made", made
    yield "strings", made.assign(user=made["user"].map("u{}".format), item=made["item"].map("i{}".format))
    folder = Path(os.environ.get("DASKALS_DATA", "")) / "ml-100k"
    if folder.is_dir():
        names = ["user", "item", "rating", "timestamp"]
        yield "ml-100k", pd.read_csv(folder / "ua.base", sep="\t", names=names)


def fingerprint(model: Any) -> dict[str, Any]:
    """What is to be the same: the bits of all factors; and what says how far apart two fits are."""
    digest, sums = hashlib.sha256(), []
    for side in dask.compute(model.userFactors, model.itemFactors):
        rows = np.stack(side["features"].tolist()).astype(np.float32)
        digest.update(rows.tobytes())
        sums.append(float(np.abs(rows).sum(dtype=np.float64)))
    return {"sha256": digest.hexdigest(), "sums": sums, "objective": float(model.history["objective"].iloc[-1])}


def fits(cluster: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and fingerprints of all fits on the scheduler in force."""
    where = "cluster" if cluster else "threads"
    for data, frame in frames():
        for kind, values in KINDS.items():
            if data == "strings" and kind not in ("explicit", "implicit"):
                continue
            given = dd.from_pandas(frame, npartitions=5) if cluster else frame
            als = ALS(**{"rank": 8, "maxIter": 3, "seed": 11, **values})
            yield f"{where}: {data}: {kind}", fingerprint(als.fit(given))
            if kind in STREAMED and data != "strings":
                with dask.config.set({"daskals.factor-share": 1e-9}):
                    yield f"{where}: {data}: {kind}, streamed", fingerprint(als.fit(given))


def write(path: str) -> None:
    """Make all fits and write what they gave."""
    found = dict(fits(cluster=False))
    with ExitStack() as stack:
        workers = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
        stack.enter_context(Client(stack.enter_context(workers)))
        found |= dict(fits(cluster=True))
    Path(path).write_text(json.dumps(found, indent=1))
    print(f"{len(found)} fits in {path}")


def compare(before: str, after: str) -> int:
    """Print where two files differ; 1 if they do anywhere."""
    old, new = (json.loads(Path(path).read_text()) for path in (before, after))
    different = [name for name in old if name not in new or old[name]["sha256"] != new[name]["sha256"]]
    for name in different:
        print(f"{name}\n    {old[name]}\n    {new.get(name)}")
    print(f"{len(old) - len(different)} of {len(old)} fits have the same bits")
    return 1 if different else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write").add_argument("path")
    two = commands.add_parser("compare")
    two.add_argument("before")
    two.add_argument("after")
    given = parser.parse_args()
    sys.exit(write(given.path) if given.command == "write" else compare(given.before, given.after))
