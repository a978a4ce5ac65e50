"""How many bytes an iteration moves between processes: each form of a half-step, the model of it, and Spark.

::

    python benchmarks/traffic.py --shape 100000x20000x4000000 100000x2000x4000000 100000x200x4000000

Synthetic ratings, many users to an item. Users are solved from items, which travel to every process. For items there
is a choice, Dask's key ``daskals.half-step`` with the parameter ``solver`` (`daskals.engine.traffic` explains it):

- gather: users travel
- reduce-exact: sums of the items' equations travel
- reduce-cg: directions travel, and products

A scheduler and ``--workers`` processes of one thread each. An iteration is the difference between fits of the two
numbers of ``--iterations``, divided by their difference, so that reading and shuffling ratings falls out.

- workers: bytes that workers received from workers, by the kernel's counters of their connections (Linux)
- model: what `daskals.engine.traffic` says of that
- by scheduler and client: bytes that went to and from these two: tasks, heartbeats, and factors that are pinned
  (``daskals.durable-bytes``)
- Spark: bytes that its tasks wrote for shuffles, by its event log ("Shuffle Bytes Written"), compressed as by default,
  in ``--spark-blocks`` blocks a side (10 is its default), local[2]. On N executors a share of (N - 1) / N of them
  crosses the network. ``--spark-python`` names a Python with pyspark and Java 17; without it there is no such column.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dask
import pandas as pd
from _common import (
    DEFAULT_FOLDER,
    machine,
    print_surroundings,
    print_table,
    ratings_file,
    save_json,
    shown,
    sizes_of,
    versions,
)
from _wire import fetched, traffic
from dask.distributed import Client
from distributed.deploy.subprocess import SubprocessCluster

from daskals import ALS
from daskals.datasets import make_ratings
from daskals.engine.traffic import Form, HalfStepSize, bytes_moved

CG_STEPS = 3
#: For each form the value of the key `daskals.half-step`, and the solver.
FORMS: dict[Form, tuple[str, str]] = {
    "gather": ("gather", "cholesky"),
    "reduce-exact": ("reduce", "cholesky"),
    "reduce-cg": ("reduce", "cg"),
}
DEFAULT_SHAPES = ["100000x20000x4000000", "100000x2000x4000000", "100000x200x4000000"]


class Data(NamedTuple):
    """Ratings, a file of them for Spark, and how many rows of factors they make."""

    shape: str
    path: Path
    n_users: int
    n_items: int


def measure(client: Client, data: Data, form: Form, options: argparse.Namespace) -> dict[str, Any]:
    """What an iteration moves."""
    half_step, solver = FORMS[form]
    als = ALS(
        rank=options.rank, seed=1, solver=solver, cgSteps=CG_STEPS, regParam=0.05, implicitPrefs=options.implicit_prefs
    )
    ratings = make_ratings(*sizes_of(data.shape), implicit=options.implicit_prefs, seed=20, npartitions=8)
    found, kinds = [], []
    with dask.config.set({"daskals.half-step": half_step, "daskals.durable-bytes": options.durable_bytes}):
        for iterations in options.iterations:
            fetched(client)
            before = traffic(client)
            model = als.copy({als.maxIter: iterations}).fit(ratings)
            found.append(traffic(client).minus(before))
            kinds.append(fetched(client))
            del model
    number = options.iterations[1] - options.iterations[0]
    each = found[1].minus(found[0]).over(number)
    of_kinds = {kind: (kinds[1][kind] - kinds[0][kind]) / number for kind in kinds[1]}
    return {"workers": each.workers, "others": each.others, "kinds": of_kinds}


def model_of(data: Data, form: Form, options: argparse.Namespace) -> int:
    """What `daskals.engine.traffic` says that workers move in an iteration."""
    users = HalfStepSize(data.n_users, data.n_items, options.rank, options.workers)
    items = HalfStepSize(data.n_items, data.n_users, options.rank, options.workers)
    return bytes_moved(users, "gather") + bytes_moved(items, form, CG_STEPS)


def measure_spark(data: Data, options: argparse.Namespace) -> float:
    """The shuffle bytes that an iteration of Spark's ALS writes."""
    with tempfile.TemporaryDirectory(prefix="daskals-benchmark-") as folder:
        job = {
            "data": str(data.path),
            "folder": folder,
            "rank": options.rank,
            "blocks": options.spark_blocks,
            "iterations": options.iterations,
            "implicit": options.implicit_prefs,
            "threads": 2,
            "memory": options.spark_memory,
        }
        program = Path(__file__).with_name("_spark_traffic.py")
        done = subprocess.run(
            [options.spark_python, program, json.dumps(job)], capture_output=True, text=True, timeout=options.timeout
        )
    if done.returncode:
        raise SystemExit(f"Spark failed:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    less, more = options.iterations
    return (found[str(more)]["written"] - found[str(less)]["written"]) / (more - less)


def measure_all(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A record for each shape and form."""
    with (
        SubprocessCluster(
            n_workers=options.workers, threads_per_worker=1, dashboard_address=None, worker_kwargs={"memory_limit": 0}
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(options.workers)
        for shape in options.shape:
            path = ratings_file(shape, implicit=options.implicit_prefs, folder=options.data)
            counts = pd.read_parquet(path, columns=["user", "item"]).nunique()
            data = Data(shape, path, int(counts["user"]), int(counts["item"]))
            spark = measure_spark(data, options) if options.spark_python else None
            for form in options.forms:
                print(f"{shape}, {form} ...", file=sys.stderr, flush=True)
                found = measure(client, data, form, options)
                yield {"shape": shape, "form": form, "model": model_of(data, form, options), "spark": spark, **found}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", nargs="+", default=DEFAULT_SHAPES, help="USERSxITEMSxRATINGS")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--implicit-prefs", action="store_true", help="everything in implicit mode")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--durable-bytes", default="256MiB", help="daskals.durable-bytes; 0: nothing is pinned")
    parser.add_argument("--iterations", type=int, nargs=2, default=[2, 6], help="of the two fits of a pair")
    parser.add_argument("--spark-python", help="a Python that has pyspark")
    parser.add_argument("--spark-blocks", type=int, default=10, help="numUserBlocks and numItemBlocks")
    parser.add_argument("--spark-memory", default="3g", help="of the one process of Spark")
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder where synthetic ratings are kept")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds that Spark may take for a shape")
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    about = machine()
    records = list(measure_all(options))
    print_surroundings({"daskals": versions("dask", "distributed", "numpy", "numba")}, about)
    print(f"\nMB an iteration; rank {options.rank}, {options.workers} workers; Spark: {options.spark_blocks} blocks:\n")
    rows = [
        (
            each["shape"],
            each["form"],
            *(shown(None if each[name] is None else each[name] / 1e6) for name in ("workers", "model")),
            shown(each["workers"] / each["model"] if each["model"] else None),
            *(shown(None if each[name] is None else each[name] / 1e6) for name in ("others", "spark")),
            shown(each["spark"] / each["workers"] if each["spark"] and each["workers"] else None),
        )
        for each in records
    ]
    headers = ["users x items x ratings", "form", "workers", "model", "of the model", "by scheduler and client"]
    print_table([*headers, "Spark", "Spark / workers"], rows, left=2)
    print("\nWhat workers fetched from workers, by the kind of task that made it, MB an iteration:\n")
    for each in records:
        kinds = sorted(each["kinds"].items(), key=lambda pair: -pair[1])
        words = ", ".join(f"{kind} {shown(size / 1e6)}" for kind, size in kinds if size >= each["workers"] / 100)
        print(f"- {each['shape']}, {each['form']}: {words}")
    if options.json:
        save_json(options.json, {"machine": about, "records": records})


if __name__ == "__main__":
    main()
