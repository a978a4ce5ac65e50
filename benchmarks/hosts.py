"""Bytes and seconds of an iteration on hosts with a network of a given speed, beside those of the model.

::

    python benchmarks/hosts.py --rates 1gbit 100mbit 10mbit

Hosts are network namespaces of this machine, made by the tests' `support.network`; that takes root and Linux. A
scheduler and ``--workers`` workers of one thread have a host each, and share the processors of this one machine. An
iteration is the difference between fits of the two numbers of ``--iterations``, divided by their difference.

- received: bytes that came into the hosts of workers, by the counters of their network devices: their mean, and that of
  the host that received most
- model: what `daskals.engine.traffic` says that a process receives
- scheduler: bytes into and out of the scheduler's host, where pinned factors pass (``daskals.durable-bytes``)
- least: the seconds that the model's bytes take at this rate
- planned: what `daskals.plan` says for such hosts, of which as many as there are processors work at a time
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dask
import numpy as np
from _common import machine, print_surroundings, print_table, save_json, shown, sizes_of, versions

import daskals
from daskals import ALS
from daskals.datasets import make_ratings
from daskals.engine.traffic import Form, HalfStepSize, bytes_of_share

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

FORMS: dict[Form, tuple[str, str]] = {
    "gather": ("gather", "cholesky"),
    "reduce-exact": ("reduce", "cholesky"),
    "reduce-cg": ("reduce", "cg"),
}
CG_STEPS = 3
UNITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}


def seconds_of(n_bytes: float, rate: str) -> float:
    """How long so many bytes take at a rate in the words of `tc`, such as "10mbit"."""
    return 8 * n_bytes / (float(rate[:-4]) * UNITS[rate[-4:]])


def measure(cluster: Any, form: Form, options: argparse.Namespace) -> dict[str, Any]:
    """Bytes and seconds of an iteration."""
    half_step, solver = FORMS[form]
    ratings = make_ratings(*sizes_of(options.shape), seed=20, npartitions=2 * options.workers)
    als = ALS(rank=options.rank, seed=1, solver=solver, cgSteps=CG_STEPS, regParam=0.05)
    bytes_of_fits, seconds = [], []
    with dask.config.set({"daskals.half-step": half_step, "daskals.durable-bytes": options.durable_bytes}):
        for iterations in options.iterations:
            before = np.array(cluster.network.traffic())
            start = time.perf_counter()
            model = als.copy({als.maxIter: iterations}).fit(ratings)
            seconds.append(time.perf_counter() - start)
            bytes_of_fits.append(np.array(cluster.network.traffic()) - before)
            of_iterations = model.history.seconds.tolist()
            del model
    number = options.iterations[1] - options.iterations[0]
    each = (bytes_of_fits[1] - bytes_of_fits[0]) / number
    received = each[1:, 0]
    return {
        "received": float(received.mean()),
        "most": float(received.max()),
        "scheduler": float(each[0].sum()),
        "seconds": statistics.median(of_iterations),
        "fits": seconds,
    }


def model_of(form: Form, options: argparse.Namespace) -> float:
    """What `daskals.engine.traffic` says that a process receives in an iteration."""
    n_users, n_items, _ = sizes_of(options.shape)
    users = HalfStepSize(n_users, n_items, options.rank, options.workers)
    items = HalfStepSize(n_items, n_users, options.rank, options.workers)
    total = bytes_of_share(users, "gather") + bytes_of_share(items, form, CG_STEPS)
    return total * (options.workers - 1) / options.workers


def planned(form: Form, rate: str, options: argparse.Namespace) -> float:
    """The seconds of an iteration that `daskals.plan` promises."""
    half_step, solver = FORMS[form]
    one_byte, memory = seconds_of(1, rate), options.memory
    nodes = daskals.Hosts(options.workers, threads=1, memory=memory, bandwidth=1 / one_byte)
    als = ALS(rank=options.rank, solver=solver, cgSteps=CG_STEPS)
    speed = max(1.0, options.workers / len(os.sched_getaffinity(0)))
    with dask.config.set({"daskals.half-step": half_step, "daskals.durable-bytes": options.durable_bytes}):
        return daskals.plan(sizes_of(options.shape), als, cluster=nodes, speed=speed).secondsPerIteration


def measure_all(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A record for each rate and form."""
    from support.hosts import hosts
    from support.network import missing

    if reason := missing():
        raise SystemExit(f"This script {reason}")
    records = []
    with (
        tempfile.TemporaryDirectory(prefix="daskals-hosts-") as folder,
        hosts(Path(folder), options.workers, memory=options.memory, settings={}) as cluster,
    ):
        for form in options.forms:  # compiles the code
            measure(cluster, form, options)
        for rate in options.rates:
            for host in range(1 + options.workers):
                cluster.network.limit(host, rate)
            for form in options.forms:
                print(f"{rate}, {form} ...", file=sys.stderr, flush=True)
                model = model_of(form, options)
                found = measure(cluster, form, options) | {"model": model, "least": seconds_of(model, rate)}
                found["planned"] = planned(form, rate, options)
                records.append({"rate": rate, "form": form} | found)
    return records


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="50000x1000x500000", help="USERSxITEMSxRATINGS")
    parser.add_argument("--rates", nargs="+", default=["1gbit", "100mbit"], help="of a cable, in the words of tc")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--memory", default="1GB", help="of a worker")
    parser.add_argument("--durable-bytes", default="256MiB", help="daskals.durable-bytes; 0: nothing is pinned")
    parser.add_argument("--iterations", type=int, nargs=2, default=[2, 5], help="of the two fits of a pair")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    if unknown := [rate for rate in options.rates if rate[-4:] not in UNITS]:
        parser.error(f"--rates: {', '.join(unknown)} does not end in {', '.join(UNITS)}")
    return options


def main() -> None:
    options = arguments()
    about = machine()
    records = measure_all(options)
    print_surroundings({"daskals": versions("dask", "distributed", "numpy", "numba")}, about)
    print(f"\n{options.shape}, rank {options.rank}, {options.workers} hosts with a worker; an iteration:\n")
    rows = [
        (
            each["rate"],
            each["form"],
            *(shown(each[name] / 1e6) for name in ("received", "most", "model")),
            shown(each["received"] / each["model"]),
            shown(each["scheduler"] / 1e6),
            *(shown(each[name]) for name in ("seconds", "planned", "least")),
        )
        for each in records
    ]
    headers = ["a cable", "form", "received (MB)", "the most", "model", "of the model", "scheduler (MB)"]
    print_table([*headers, "seconds", "planned", "least"], rows, left=2)
    if options.json:
        save_json(options.json, {"machine": about, "records": records})


if __name__ == "__main__":
    main()
