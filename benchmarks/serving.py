"""How fast `daskals.serving.LocalModel` starts and answers, on one core.

    python benchmarks/serving.py --items 27000 1000000 --rank 64

Factors are random. "start" is a new process from the first line of Python to an answer, from the copy in NumPy's format
and from the Parquet files; what is printed of answers are medians. Ids of items are integers and, for their look-up,
strings.
"""

from __future__ import annotations

import os

# BLAS reads it when NumPy is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import bisect
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _common import save_json

USERS = 1_000
START = """
import sys, time
began = time.perf_counter()
from daskals.serving import LocalModel
model = LocalModel.load(sys.argv[1])
model.recommend(5, 10)
print(time.perf_counter() - began)
"""


def median_ms(call: Any, repeat: int) -> float:
    """Milliseconds of one call."""
    call()
    seconds = []
    for _ in range(repeat):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def save(folder: Path, n_items: int, rank: int) -> str:
    """A model of random factors, in the files of daskals."""
    from daskals.io.directories import MODEL_CLASS, write_metadata
    from daskals.io.factor_files import write_block

    rng = np.random.default_rng(1)
    for side, n in (("user", USERS), ("item", n_items)):
        (folder / f"{side}Factors").mkdir(parents=True)
        rows = rng.standard_normal((n, rank), np.float32)
        for part, ids in enumerate(np.array_split(np.arange(n), max(1, n // 60_000))):
            write_block(str(folder / f"{side}Factors" / f"part-{part:05d}.snappy.parquet"), ids, rows[ids], True)
    fields = {"class": MODEL_CLASS, "uid": "ALS_benchmark", "paramMap": {}, "defaultParamMap": {}, "rank": rank}
    write_metadata(str(folder), {**fields, "daskals": {"parent": {"paramMap": {"implicitPrefs": True}}}})
    return str(folder)


def start(path: str, repeat: int) -> float:
    """Seconds of a new process."""
    times = [
        float(subprocess.run([sys.executable, "-c", START, path], capture_output=True, text=True, check=True).stdout)
        for _ in range(repeat)
    ]
    return statistics.median(times)


def of_answers(path: str, n_items: int, repeat: int) -> dict[str, float]:
    """Milliseconds of each method."""
    from daskals.serving import LocalModel

    model = LocalModel.load(path)
    seen = np.random.default_rng(2).permutation(n_items)[:500].tolist()
    ratings = dict.fromkeys(seen[:50], 1.0)
    calls = {
        "recommend(user, 10)": lambda: model.recommend(5, 10),
        "recommend(user, 10, exclude=500 items)": lambda: model.recommend(5, 10, exclude=seen),
        "recommend(user, 10, candidates=500 items)": lambda: model.recommend(5, 10, candidates=seen),
        "recommend(100 users, 10), a user": lambda: model.recommend(range(100), 10),
        "recommendForRatings(50 ratings, 10)": lambda: model.recommendForRatings(ratings, 10),
        "similarItems(item, 10)": lambda: model.similarItems(5, 10),
        "explain(user, item, 3, 50 ratings)": lambda: model.explain(5, 7, 3, ratings),
        "predict(user, item)": lambda: model.predict(5, 7),
    }
    found = {name: median_ms(call, repeat) for name, call in calls.items()}
    found["recommend(100 users, 10), a user"] /= 100
    return found


def of_lookups(n: int, repeat: int) -> dict[str, float]:
    """Milliseconds for finding ids, and for what could have been done in place of it."""
    from daskals.serving.ids import NumberIds, TextIds

    names = sorted(f"item-{number:x}" for number in range(n))
    some = names[:: max(1, n // 500)][:500]
    texts, integers = TextIds.of(names, "items"), NumberIds(np.arange(n), "items")
    table = {name: place for place, name in enumerate(names)}

    def bisected() -> list[int]:
        return [bisect.bisect_left(names, name) for name in some]

    return {
        "an integer": median_ms(lambda: integers.position(n // 3), repeat),
        "500 integers": median_ms(lambda: integers.positions(range(500)), repeat),
        "a string": median_ms(lambda: texts.position(some[77 % len(some)]), repeat),
        "500 strings": median_ms(lambda: texts.positions(some), repeat),
        "500 strings in a dict": median_ms(lambda: [table.get(name, -1) for name in some], repeat),
        "500 strings by bisection of a list": median_ms(bisected, repeat),
        "building the dict": median_ms(lambda: {name: place for place, name in enumerate(names)}, 1),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[27_000, 1_000_000], help="numbers of items")
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=50, help="calls of each method; starts are a tenth of it")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    for n in options.items:
        with tempfile.TemporaryDirectory() as folder:
            path = save(Path(folder, "model"), n, options.rank)
            from daskals.serving import LocalModel

            starts = max(1, options.repeat // 10)
            found = {"start from Parquet, seconds": start(path, starts)}
            LocalModel.writeArrays(path)
            found["start from the copy, seconds"] = start(path, starts)
            found |= of_answers(path, n, options.repeat)
            found |= {f"finding {name}": value for name, value in of_lookups(n, options.repeat).items()}
        print(f"\n{n:,} items, rank {options.rank}; milliseconds where nothing else is said")
        for name, value in found.items():
            print(f"  {name:56s} {value:10.4f}")
        figures[str(n)] = found
    save_json(options.json, figures)


if __name__ == "__main__":
    main()
