"""The constants from which `daskals.plan` makes seconds: measured here, printed as `daskals.engine.speeds` has them.

::

    chrt -r 1 python benchmarks/constants.py

Kernels solve rows of the proportions of MovieLens 20M, as in `micro.py`, on all threads at once, since that is how a
fit runs them. Of each kind of solve the five constants are those which fit best to all ranks and both sides; the last
column is what they say over what was measured, at worst and at best. The other constants are timed by themselves, best
of ``--repeat``: tasks in fits with next to no ratings, the shuffle in fits without iterations, a cluster of as many
processes of one thread. ``--json`` writes them as ``daskals.plan(..., speed=...)`` takes them.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from _common import ML20M, machine, print_surroundings, print_table, save_json, versions
from micro import ONE_THREAD, Block, blocks

KINDS = {
    "explicit_exact": (False, (0,)),
    "explicit_cg": (False, (1, 3)),
    "implicit_exact": (True, (0,)),
    "implicit_cg": (True, (1, 3)),
}
#: Bytes of the array that is sent.
SENT = 64 << 20


def best(action: Callable[[], Any], repeat: int) -> float:
    """Seconds of a call: the least of several, after one to warm up."""
    action()
    found = []
    for _ in range(repeat):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return min(found)


def at_once(action: Callable[[], Any], threads: int, repeat: int) -> float:
    """Seconds of a call where so many threads make it."""
    with ThreadPoolExecutor(threads) as pool:
        return best(lambda: list(pool.map(lambda _: action(), range(threads))), repeat)


# ---- kernels ---------------------------------------------------------------------------------------------


class Solve:
    """A solve of the rows of a block."""

    def __init__(self, block: Block, rank: int, implicit: bool, steps: int = 0, **solver: Any) -> None:
        from daskals.blocks.least_squares import gram_of
        from daskals.engine.traffic import HalfStepSize
        from daskals.kernels.objective import Objective, Solver
        from daskals.kernels.types import Rows

        rng = np.random.default_rng(rank)
        self.factors = rng.standard_normal((block.n_sources, rank), dtype=np.float32) / np.float32(np.sqrt(rank))
        self.previous = rng.standard_normal((len(block.indptr) - 1, rank), dtype=np.float32)
        self.rows = Rows(block.indptr, block.sources, block.ratings)
        self.gram = gram_of([self.factors]) if implicit else None
        self.objective, self.solver = Objective(0.1, implicit), Solver(cg_steps=steps, **solver)
        itemsize = np.dtype(self.solver.dtype).itemsize
        self.size = HalfStepSize(len(self.previous), block.n_sources, rank, 1, itemsize=itemsize)

    def seconds(self, threads: int, repeat: int, kernels: Any = None) -> float:
        from daskals import kernels as compiled
        from daskals.blocks.least_squares import pack_sources

        if kernels is None:
            kernels = compiled
            sources = pack_sources([self.factors], self.gram, self.objective, self.solver)
        else:
            sources = kernels.pack_sources([self.factors], self.solver.dtype)
        given = self.rows, sources, self.gram, self.objective, self.solver, self.previous
        return at_once(lambda: kernels.solve_rows(*given), threads, repeat)

    def pieces(self) -> np.ndarray:
        """What the five constants of its kernel are multiplied by."""
        from daskals.engine.needed_seconds import work_of

        return np.array(work_of(self.size, len(self.rows.ratings), self.objective, self.solver)[1])

    @property
    def kind(self) -> str:
        from daskals.engine.needed_seconds import work_of

        steps, _ = work_of(self.size, len(self.rows.ratings), self.objective, self.solver)
        return f"{'implicit' if self.objective.implicit else 'explicit'}_{steps}"


def kernel_constants(some: list[Block], options: argparse.Namespace) -> Iterator[tuple[str, list[float], float, float]]:
    """For each kind its constants, and how far off they are."""
    from scipy.optimize import nnls

    measured: dict[str, list[tuple[np.ndarray, float]]] = {kind: [] for kind in KINDS}
    for block in some:
        for rank in options.rank:
            for implicit, steps in KINDS.values():
                for each in steps:
                    solve = Solve(block, rank, implicit, each)
                    measured[solve.kind].append((solve.pieces(), solve.seconds(options.threads, options.repeat)))
    for kind, found in measured.items():
        pieces, seconds = np.array([each for each, _ in found]), np.array([each for _, each in found])
        constants, _ = nnls(pieces / seconds[:, None], np.ones(len(seconds)))
        ratios = pieces @ constants / seconds
        yield kind, constants.tolist(), float(ratios.min()), float(ratios.max())


def other_kernels(some: list[Block], options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Double precision, plain kernels, and what is done once for a half-step."""
    from daskals import kernels
    from daskals.blocks import spark_random
    from daskals.blocks.lanes import turn
    from daskals.blocks.least_squares import gram_of
    from daskals.blocks.ratings import InBlock
    from daskals.engine.speeds import padded
    from daskals.kernels import numpy as plain
    from daskals.kernels.eigenbasis import turned
    from daskals.kernels.objective import Objective, Solver

    threads, repeat, rank = options.threads, options.repeat, 64
    single = Solve(some[0], rank, implicit=False)
    seconds = single.seconds(threads, repeat)
    yield "double", Solve(some[0], rank, implicit=False, double=True).seconds(threads, repeat) / seconds
    yield "plain", single.seconds(threads, repeat, plain) / seconds
    rows = np.random.default_rng(0).standard_normal((ML20M[0], rank), dtype=np.float32)
    parts = np.array_split(rows, 8)
    yield "pack", best(lambda: kernels.pack_sources(parts, np.float32), repeat) / (len(rows) * padded(rank))
    packed, gram = kernels.pack_sources(parts, np.float32), gram_of(parts)
    yield "turn", best(lambda: turned(packed, gram), repeat) / (len(rows) * rank**2)
    block, solver = some[0], Solver(cg_steps=3)
    n_rows, n_sources = len(block.indptr) - 1, block.n_sources
    lane = [(InBlock(0, block.indptr, block.sources, block.ratings, None), rows[:n_rows])]
    given = lane, [np.array([0, n_sources])], 1, Objective(0.1), solver
    yield "regroup", at_once(lambda: turn(*given), threads, repeat) / len(block.ratings)
    ids = np.arange(ML20M[1])
    yield "start", best(lambda: spark_random.start_values(ids, 10, rank, 1), repeat) / (len(ids) * rank)


# ---- tasks, the shuffle, bytes ---------------------------------------------------------------------------


def shuffle_seconds(ratings: Any, few: Any, repeat: int) -> tuple[float, float]:
    """Seconds of a fit without iterations to next to no ratings, and those that one to more of them takes besides."""
    from daskals import ALS

    als = ALS(seed=1, maxIter=0, rank=1)
    least = best(lambda: als.fit(few), repeat)
    return least, best(lambda: als.fit(ratings), repeat) - least


def iteration_seconds(ratings: Any, n_blocks: int, repeat: int) -> tuple[int, float]:
    """Tasks and seconds of an iteration in so many blocks."""
    import daskals
    from daskals import ALS

    als = ALS(rank=4, maxIter=6, numUserBlocks=n_blocks, numItemBlocks=n_blocks, seed=1)
    seconds = min(np.median(als.fit(ratings).history["seconds"][1:]) for _ in range(repeat))
    return daskals.plan(ratings, als).tasksPerIteration, float(seconds)


def here(frame: Any, small: Any, options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """On threads of this process."""
    import dask

    with dask.config.set(scheduler="threads", num_workers=options.threads):
        least, more = shuffle_seconds(frame, small, options.repeat)
        yield "fit", least
        yield "shuffle", more * options.threads / len(frame)
        tasks, seconds = iteration_seconds(small, 128, options.repeat)
        yield "task", seconds / tasks


def on_a_cluster(frame: Any, small: Any, options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """On processes of one thread each."""
    import dask.dataframe as dd
    import psutil
    from distributed import Client, LocalCluster, wait

    with (
        LocalCluster(
            n_workers=options.threads, threads_per_worker=1, dashboard_address=None, memory_limit=0
        ) as workers,
        Client(workers) as client,
    ):
        few, many = (iteration_seconds(small, n_blocks, options.repeat) for n_blocks in (8, 128))
        per_task = (many[1] - few[1]) / (many[0] - few[0])
        yield "cluster_task", per_task
        yield "cluster_wait", max(0.0, few[1] - few[0] * per_task) / 2
        yield "process_bytes", float(max(client.run(lambda: psutil.Process().memory_info().rss).values()))
        held = dd.from_pandas(frame, npartitions=8 * options.threads).persist()
        wait(held)
        least, more = shuffle_seconds(held, small, options.repeat)
        yield "cluster_fit", least
        yield "cluster_shuffle", more * options.threads / len(frame)
        del held
        if options.threads > 1:
            yield from sending(client, options.repeat)


def sending(client: Any, repeat: int) -> Iterator[tuple[str, float]]:
    """Bytes from a worker to another, and those that are pinned."""
    from daskals.execution.scheduler import current_scheduler
    from daskals.execution.tasks import new_token

    one, two = list(client.nthreads())[:2]

    def array(worker: str, size: int) -> Any:
        made = client.submit(np.ones, size, np.uint8, workers=[worker], pure=False)
        made.result_size = client.submit(len, made, workers=[worker], pure=False).result()
        return made

    def send(size: int) -> float:
        made = array(one, size)
        start = time.perf_counter()
        client.submit(len, made, workers=[two], pure=False).result()
        return time.perf_counter() - start

    yield "byte", max(0.0, min(send(SENT) for _ in range(repeat)) - min(send(1) for _ in range(repeat))) / SENT
    scheduler = current_scheduler()

    def pin(size: int) -> float:
        made = array(one, size)
        start = time.perf_counter()
        (held,) = scheduler.pin(client.gather([made]), new_token())
        seconds = time.perf_counter() - start
        del held
        return seconds

    yield "pinned_byte", max(0.0, min(pin(SENT) for _ in range(repeat)) - min(pin(1) for _ in range(repeat))) / SENT


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rank", type=int, nargs="+", default=[8, 16, 32, 64, 128])
    parser.add_argument("--ratings", type=int, default=ML20M[2] // 20, help="that kernels solve (default: 1 million)")
    parser.add_argument("--shuffled", type=int, default=ML20M[2] // 4, help="that are shuffled (default: 5 million)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for the constants")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if any(os.environ.get(name) != "1" for name in ONE_THREAD):
        # BLAS reads these when it is loaded, which has happened
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    from daskals import kernels
    from daskals.datasets import make_ratings
    from daskals.engine.speeds import Speed

    about, some, found = machine(), list(blocks(options.ratings)), {}
    rows = []
    for kind, constants, least, most in kernel_constants(some, options):
        found[kind] = [float(f"{each:.2g}") for each in constants]
        rows.append((kind, *(f"{each:.2g}" for each in constants), f"{least:.2f} to {most:.2f}"))
    share = options.shuffled / ML20M[2]
    frame = make_ratings(*(max(10, int(n * share)) for n in ML20M[:2]), options.shuffled, seed=20)
    small = make_ratings(2000, 1000, 10_000, seed=20)
    for name, value in (
        *other_kernels(some, options),
        *here(frame, small, options),
        *on_a_cluster(frame, small, options),
    ):
        found[name] = float(f"{value:.2g}")
    print_surroundings({"daskals": versions("dask", "distributed", "numpy", "numba")}, about)
    print(f"\nSeconds of a thread, kernels {kernels.backend}, {options.threads} threads at once:\n")
    print_table(["kernel", "rating", "number", "product", "row", "far", "said / measured"], rows)
    print("\nMEASURED = Speed(")
    for field in dataclasses.fields(Speed):
        if field.name in found:
            value = found[field.name]
            print(f"    {field.name}={f'KernelSpeed{tuple(value)}' if isinstance(value, list) else value},")
    print(")")
    save_json(options.json, found)


if __name__ == "__main__":
    main()
