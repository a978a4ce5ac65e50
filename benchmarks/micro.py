"""Each kernel alone, on one thread, against what this processor can do.

::

    python benchmarks/micro.py

The limits are measured in the same run: ``sgemm`` of 2000 x 2000 matrices on one BLAS thread, and copying and
``a = b + s c`` (triad) of arrays of 64 MB, counting bytes read and bytes written, without the read that a store to
a line that is not in cache implies. Every figure is the best of ``--repeat``.

GFLOP/s count the arithmetic that the method needs, a multiplication and an addition being two: of a symmetric
matrix one triangle. (``np.dot(P.T, P)`` computes both, and so has at most half of what sgemm has.) GB/s count
the rows of factors that are gathered, 4 bytes an entry; those that are popular, or small tables as a whole, come
from a cache, so a share above 100 % of the memory's rate is possible. What ``factorise`` overwrites is copied back
each time, which is part of its time.

Ratings have the proportions of MovieLens 20M: rows of the user side are a tenth of its users, with all its items
as sources; rows of the item side a tenth of its items, with all its users as sources.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _common import ML20M, machine, print_surroundings, print_table, save_json, shown, versions

ONE_THREAD = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")}
STREAM_BYTES = 64 << 20
#: Rows that are gathered in the tests of assembling: so many stay in a first-level cache up to rank 128.
GATHERED = 64
#: Ids and keys that a kernel gets at most; `--ratings` where that is less.
SCORED = 4096


class Figure(NamedTuple):
    """One line of the table."""

    kernel: str
    size: str
    #: seconds of one call, and what a call does
    seconds: float
    flops: float = 0.0
    gathered: float = 0.0
    #: how many of which unit, where there is a natural one
    count: float = 0.0
    unit: str = ""


class Limits(NamedTuple):
    gflops: float
    copy: float
    triad: float


def best(action: Callable[[], Any], repeat: int, calls: int = 1) -> float:
    """Seconds of one call: the least of ``repeat`` measurements of ``calls`` calls each, after one to warm up."""
    action()
    least = np.inf
    for _ in range(repeat):
        start = time.perf_counter()
        for _ in range(calls):
            action()
        least = min(least, (time.perf_counter() - start) / calls)
    return float(least)


# ---- what the machine can do -----------------------------------------------------------------------------


def measure_limits(repeat: int, n: int = 2000) -> Limits:
    """Peak rates of one thread: sgemm in GFLOP/s, copy and triad in GB/s."""
    rng = np.random.default_rng(0)
    a, b = (rng.random((n, n), dtype=np.float32) for _ in range(2))
    product = np.empty((n, n), np.float32)
    gflops = 2 * n**3 / best(lambda: np.dot(a, b, out=product), repeat) / 1e9
    x, y, z = (np.ones(STREAM_BYTES // 8) for _ in range(3))
    copy = 2 * STREAM_BYTES / best(lambda: np.copyto(x, y), repeat) / 1e9
    return Limits(gflops, copy, 3 * STREAM_BYTES / best(lambda: triad()(x, y, z, 3.0), repeat) / 1e9)


def triad() -> Callable[..., Any]:
    """A compiled loop where there is a compiler; NumPy would go over the arrays twice."""
    if not _compiled:
        from numba import njit

        def loop(a: Any, b: Any, c: Any, s: float) -> None:
            for i in range(len(a)):
                a[i] = b[i] + s * c[i]

        _compiled.append(njit(loop))
    return _compiled[0]


_compiled: list[Callable[..., Any]] = []


# ---- one system: assembling, factorising -----------------------------------------------------------------


def small_systems(ranks: list[int], repeat: int) -> Iterator[Figure]:
    """`add_gram` beside BLAS, and `factorise` with `back_substitute`, called from compiled loops as in a fit."""
    drivers = Drivers()
    for rank in ranks:
        padded = -(-rank // 8) * 8
        gathered = np.zeros((GATHERED, padded), np.float32)
        gathered[:, :rank] = np.random.default_rng(rank).standard_normal((GATHERED, rank), dtype=np.float32)
        gram = np.zeros((padded, padded + 8), np.float32)
        square = np.zeros((padded, padded), np.float32)
        times = max(1, 40_000_000 // (GATHERED * rank * rank))
        flops = GATHERED * rank * (rank + 1)
        for name, action in (
            ("add_gram", lambda: drivers.add_gram(gram, gathered, GATHERED, rank, times)),  # noqa: B023
            ("np.dot(P.T, P), for comparison", lambda: drivers.blas(square, gathered, times)),  # noqa: B023
        ):
            yield Figure(name, f"rank {rank}, {GATHERED} rows", best(action, repeat) / times, flops)
    for rank in ranks:
        matrix = positive_definite(rank)
        solution, work = np.zeros(rank, np.float32), np.empty_like(matrix)
        times = max(1, 20_000_000 // rank**3)
        seconds = best(lambda: drivers.solve(matrix, work, rank, solution, times), repeat) / times  # noqa: B023
        check_solution(matrix, rank, solution)
        yield Figure("factorise, back_substitute", f"rank {rank}", seconds, rank**3 / 3 + 2 * rank**2)


class Drivers:
    """Compiled loops around the kernels, without what a call from Python costs."""

    def __init__(self) -> None:
        from numba import njit

        from daskals.kernels.numba.equations import add_gram, back_substitute, factorise

        @njit
        def repeat_add_gram(A: Any, gathered: Any, n: int, rank: int, times: int) -> None:
            for _ in range(times):
                add_gram(A, gathered, gathered, n, rank)

        @njit
        def repeat_blas(A: Any, gathered: Any, times: int) -> None:
            for _ in range(times):
                np.dot(gathered.T, gathered, A)

        @njit
        def repeat_solve(A: Any, work: Any, rank: int, x: Any, times: int) -> None:
            for _ in range(times):
                work[:] = A
                factorise(work, rank)
                back_substitute(work, rank, x)

        self.add_gram, self.blas, self.solve = repeat_add_gram, repeat_blas, repeat_solve


def positive_definite(rank: int) -> np.ndarray:
    """A system in the form that `factorise` takes: the matrix, and a right-hand side of ones."""
    padded = -(-rank // 8) * 8
    rows = np.random.default_rng(rank).standard_normal((2 * rank, rank))
    matrix = np.zeros((padded, padded + 8), np.float32)
    matrix[:rank, :rank] = np.triu(rows.T @ rows + np.eye(rank))
    matrix[:rank, padded] = 1
    return matrix


def check_solution(matrix: np.ndarray, rank: int, solution: np.ndarray) -> None:
    upper = matrix[:rank, :rank].astype(np.float64)
    exact = np.linalg.solve(upper + np.triu(upper, 1).T, np.ones(rank))
    assert np.allclose(solution, exact, rtol=1e-2, atol=1e-3 * abs(exact).max())


# ---- rows ------------------------------------------------------------------------------------------------


class Block(NamedTuple):
    """Ratings in CSR form, and the number of source rows that they refer to."""

    name: str
    indptr: np.ndarray
    sources: np.ndarray
    ratings: np.ndarray
    n_sources: int


def blocks(n_ratings: int) -> Iterator[Block]:
    """Rows of either side, with degrees and popularities of MovieLens 20M; see the head of this script."""
    from scipy import sparse

    from daskals.datasets import make_ratings

    n_users, n_items, total = ML20M
    share = n_ratings / total
    for name, rows, columns in (
        ("users", max(1, int(n_users * share)), n_items),
        ("items", n_users, max(1, int(n_items * share))),
    ):
        frame = make_ratings(rows, columns, max(n_ratings, rows))
        entries = frame["rating"].to_numpy(), (frame["user"].to_numpy(), frame["item"].to_numpy())
        table = sparse.csr_array(entries, (rows, columns))
        table = table if name == "users" else sparse.csr_array(table.T)
        yield Block(name, table.indptr.astype(np.int64), table.indices, table.data, table.shape[1])


def row_kernels(some: list[Block], ranks: list[int], repeat: int) -> Iterator[Figure]:
    """`solve_rows`: exact and conjugate gradients, explicit and implicit."""
    for rank in ranks:
        for block in some:
            rng = np.random.default_rng(rank)
            factors = rng.standard_normal((block.n_sources, rank), dtype=np.float32) / np.float32(np.sqrt(rank))
            previous = rng.standard_normal((len(block.indptr) - 1, rank), dtype=np.float32)
            for implicit in (False, True):
                for steps in (0, 3):
                    yield solve_figure(block, factors, previous, implicit, steps, repeat)


def solve_figure(
    block: Block, factors: np.ndarray, previous: np.ndarray, implicit: bool, steps: int, repeat: int
) -> Figure:
    from daskals import kernels
    from daskals.blocks.least_squares import gram_of
    from daskals.kernels.objective import Objective, Solver
    from daskals.kernels.types import Rows

    rows, sources = Rows(block.indptr, block.sources, block.ratings), kernels.pack_sources([factors], np.float32)
    gram = gram_of([factors]) if implicit else None
    objective, solver = Objective(0.1, implicit), Solver(cg_steps=steps)

    def action() -> None:
        kernels.solve_rows(rows, sources, gram, objective, solver, previous)

    rank = factors.shape[1]
    flops = cg_flops(block, rank, steps, implicit) if steps else exact_flops(block, rank, implicit)
    name = f"solve_rows, {'implicit' if implicit else 'explicit'}, {f'cg {steps}' if steps else 'exact'}"
    n = len(block.ratings)
    return Figure(name, f"rank {rank}, {block.name}", best(action, repeat), flops, 4.0 * n * rank, n, "ratings")


def exact_flops(block: Block, rank: int, implicit: bool) -> float:
    """Assembling one triangle and the right-hand side, and the solution; by the dual system where it is used."""
    from daskals import kernels

    n = np.diff(block.indptr).astype(np.float64)
    primal = n * rank * (rank + 1) + 2 * n * rank + rank**3 / 3 + 2 * rank**2
    if implicit or kernels.backend != "numba":
        return float(primal[n > 0].sum())
    from daskals.kernels.numba.exact import DUAL_SHARE

    dual = n * (n + 1) * rank + n**3 / 3 + 2 * n**2 + 2 * n * rank
    return float(np.where(n <= int(DUAL_SHARE * rank), dual, primal).sum())


def cg_flops(block: Block, rank: int, steps: int, implicit: bool) -> float:
    """The right-hand side, and a product with the row's matrix for the residual and for each step."""
    n = np.diff(block.indptr).astype(np.float64)
    product = 4 * n * rank + (2 * rank**2 if implicit else 0)
    return float((2 * n * rank + (steps + 1) * product + 10 * steps * rank).sum())


# ---- scores, start values, sorting -----------------------------------------------------------------------


def other_kernels(some: list[Block], ranks: list[int], repeat: int) -> Iterator[Figure]:
    """Everything that is not a solve."""
    from daskals import kernels
    from daskals.blocks import spark_random

    rng = np.random.default_rng(0)
    block = some[0]
    n_rows, n_items, n = len(block.indptr) - 1, block.n_sources, len(block.ratings)
    pairs = np.repeat(np.arange(n_rows), np.diff(block.indptr)), block.sources.astype(np.int64)
    for rank in ranks:
        users, items = (rng.standard_normal((m, rank), dtype=np.float32) for m in (n_rows, n_items))
        queries = users[:SCORED]
        candidates, scores = kernels.pack_candidates([items]), len(queries) * n_items
        seconds = best(lambda: kernels.top_k(queries, candidates, 10), repeat)  # noqa: B023
        size = f"rank {rank}, {len(queries)} x {n_items}, k 10"
        yield Figure("top_k", size, seconds, 2.0 * scores * rank, 0, scores, "scores")
        seconds = best(lambda: kernels.predict_pairs(users, items, *pairs), repeat)  # noqa: B023
        yield Figure("predict_pairs", f"rank {rank}", seconds, 2.0 * n * rank, 8.0 * n * rank, n, "pairs")
    for rank in ranks:
        ids = np.arange(min(n, ML20M[1]))
        seconds = best(lambda: spark_random.start_values(ids, 10, rank, 1), repeat)  # noqa: B023
        yield Figure("start_values", f"rank {rank}, {len(ids)} ids", seconds, 0, 0, len(ids) * rank, "numbers")
    for n_keys in (16, n_items):
        keys = (block.sources % n_keys).astype(np.int32)
        seconds = best(lambda: kernels.counting_sort([keys], n_keys, [block.ratings]), repeat)  # noqa: B023
        # keys are read twice, a column is read and written
        yield Figure("counting_sort", f"{n_keys} different keys", seconds, 0, 16.0 * n, n, "keys")


# ---- the table -------------------------------------------------------------------------------------------


def cells(figure: Figure, limits: Limits) -> list[str]:
    """A line: the time of a call, its rates, and their shares of the limits."""
    gflops, gbytes = figure.flops / figure.seconds / 1e9, figure.gathered / figure.seconds / 1e9
    seconds = f"{figure.seconds * 1e6:,.2f} us" if figure.seconds < 1e-3 else f"{figure.seconds * 1e3:,.1f} ms"
    per_second = figure.count / figure.seconds / 1e6
    return [
        figure.kernel,
        figure.size,
        seconds,
        f"{shown(per_second)} M {figure.unit}" if figure.count else "-",
        shown(gflops) if figure.flops else "-",
        f"{gflops / limits.gflops:.0%}" if figure.flops else "-",
        shown(gbytes) if figure.gathered else "-",
        f"{gbytes / limits.copy:.0%}" if figure.gathered else "-",
    ]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rank", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--ratings", type=int, default=ML20M[2] // 10, help="of each side (default: 2 million)")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if any(os.environ.get(name) != "1" for name in ONE_THREAD):
        # BLAS reads these when it is loaded, which has happened
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    from daskals import kernels

    about = machine()
    limits = measure_limits(max(10, options.repeat))
    print(
        f"One thread: sgemm {limits.gflops:.0f} GFLOP/s, copy {limits.copy:.1f} GB/s, triad {limits.triad:.1f} GB/s; "
        f"kernels {kernels.backend}, {options.ratings:,} ratings a side, best of {options.repeat}.\n"
    )
    some = list(blocks(options.ratings))
    figures = list(small_systems(options.rank, options.repeat)) if kernels.backend == "numba" else []
    figures += row_kernels(some, options.rank, options.repeat)
    figures += other_kernels(some, options.rank, options.repeat)
    headers = ["kernel", "size", "time of a call", "a second", "GFLOP/s", "of sgemm", "GB/s", "of copy"]
    print_table(headers, (cells(figure, limits) for figure in figures), left=2)
    found = {"daskals": versions("numpy", "scipy", "numba")}
    print_surroundings(found, about)
    content = {"machine": about, "versions": found, "limits": limits._asdict()}
    save_json(options.json, content | {"figures": [figure._asdict() for figure in figures]})


if __name__ == "__main__":
    main()
