"""What the benchmark scripts share: data, the objective, the machine they run on, tables, JSON."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

#: The proportions of MovieLens 20M.
ML20M = (138_493, 26_744, 20_000_263)
#: What `--shape` knows besides "ml1m" and USERSxITEMSxRATINGS.
SHAPES = {"tiny": (2_000, 500, 60_000), "ml20m": ML20M}
DEFAULT_FOLDER = Path(tempfile.gettempdir()) / "daskals-benchmarks"
SHAPE_HELP = (
    "tiny, ml20m (synthetic, the proportions of MovieLens 20M), ml1m (MovieLens 1M, from the folder that the "
    "environment variable DASKALS_DATA names) or USERSxITEMSxRATINGS, such as 20000x4000x2000000 (synthetic)"
)
#: Rows of ratings in hand at a time, where factors are gathered for them.
CHUNK = 1 << 18

# ---- data ------------------------------------------------------------------------------------------------


def sizes_of(shape: str) -> tuple[int, int, int]:
    """Users, items and ratings of a synthetic shape; `SystemExit` for what is none."""
    if shape in SHAPES:
        return SHAPES[shape]
    try:
        n_users, n_items, n_ratings = (int(word) for word in shape.split("x"))
    except ValueError:
        raise SystemExit(f"--shape {shape} is not known: {SHAPE_HELP}") from None
    return n_users, n_items, n_ratings


def ratings_file(shape: str, *, implicit: bool, folder: Path) -> Path:
    """The ratings of a shape as Parquet, with columns user, item (int32) and rating (float32); made once."""
    path = folder / f"{shape}-{'implicit' if implicit and shape != 'ml1m' else 'explicit'}.parquet"
    if not path.exists():
        print(f"making {path} ...", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        _read_or_make(shape, implicit).to_parquet(part, row_group_size=1 << 18, index=False)
        part.rename(path)
    return path


def _read_or_make(shape: str, implicit: bool) -> pd.DataFrame:
    if shape == "ml1m":
        return _movielens_1m()
    from daskals.datasets import make_ratings

    return make_ratings(*sizes_of(shape), implicit=implicit, seed=20)


def _movielens_1m() -> pd.DataFrame:
    if "DASKALS_DATA" not in os.environ:
        raise SystemExit("--shape ml1m: set the environment variable DASKALS_DATA to the folder that holds ml-1m")
    folder = Path(os.environ["DASKALS_DATA"]) / "ml-1m"
    if (folder / "ratings.parquet").exists():
        frame = pd.read_parquet(folder / "ratings.parquet").iloc[:, :3].set_axis(["user", "item", "rating"], axis=1)
    else:
        from daskals.datasets import load_movielens

        frame = load_movielens("ml-1m", folder)[["user", "item", "rating"]]
    return frame.astype({"user": np.int32, "item": np.int32, "rating": np.float32})


# ---- the objective ---------------------------------------------------------------------------------------


class Objectives(NamedTuple):
    """Values of the training objective at some factors; see `objectives`."""

    #: regularisation counts the ratings of a row: Spark's, and ours
    weighted: float
    #: regularisation is the same for every row
    plain: float
    #: root mean squared error of the ratings; None in implicit mode
    rmse: float | None


def objectives(
    frame: pd.DataFrame, users: np.ndarray, items: np.ndarray, *, reg: float, alpha: float, implicit: bool
) -> Objectives:
    """The training objective, in float64, from factors (row n belongs to id n), whoever made them::

        explicit   sum over ratings (r - x.y)^2
        implicit   sum over all pairs c (p - x.y)^2,  p = 1 if r > 0 else 0,  c = 1 + alpha |r|

    plus ``reg`` times either  sum n_u |x_u|^2 + sum n_i |y_i|^2  ("weighted"; n counts the ratings of a row, in
    implicit mode the positive ones)  or  sum |x_u|^2 + sum |y_i|^2  ("plain").
    """
    user, item, rating = (frame[name].to_numpy() for name in ("user", "item", "rating"))
    loss = 0.0
    for first in range(0, len(rating), CHUNK):
        cut = slice(first, first + CHUNK)
        scores = np.einsum("ij,ij->i", users[user[cut]], items[item[cut]], dtype=np.float64)
        loss += _loss(rating[cut].astype(np.float64), scores, alpha if implicit else None)
    rmse = None if implicit else float(np.sqrt(loss / len(rating)))
    if implicit:
        loss += float((_gram(users) * _gram(items)).sum())
    counted = rating > 0 if implicit else np.ones(len(rating), bool)
    squares = [np.einsum("ij,ij->i", side, side, dtype=np.float64) for side in (users, items)]
    counts = [np.bincount(ids[counted], minlength=len(side)) for ids, side in zip((user, item), squares, strict=True)]
    weighted = sum(float(n @ square) for n, square in zip(counts, squares, strict=True))
    plain = sum(float(square.sum()) for square in squares)
    return Objectives(loss + reg * weighted, loss + reg * plain, rmse)


def _loss(ratings: np.ndarray, scores: np.ndarray, alpha: float | None) -> float:
    if alpha is None:
        return float(((ratings - scores) ** 2).sum())
    # what these pairs add to the sum of squared scores over all pairs
    return float(((1 + alpha * abs(ratings)) * ((ratings > 0) - scores) ** 2 - scores**2).sum())


def _gram(rows: np.ndarray) -> np.ndarray:
    wide = rows.astype(np.float64)
    return wide.T @ wide


# ---- machine and versions --------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Processor, its number of cores for this process, memory, and how busy it was just before."""
    described = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in described.splitlines() if line.startswith("model name")]
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cpus": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
    }


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, of BLAS and of these packages, as this interpreter has them."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found | {"BLAS": blas()}


def blas() -> str:
    """BLAS libraries loaded at this moment (those of NumPy and of SciPy differ), or what NumPy was built with."""
    try:
        import threadpoolctl
    except ImportError:
        built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{built.get('name')} {built.get('version')}"
    libraries = [each for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"]
    names = {f"{each['internal_api']} {each['version']} ({each.get('architecture')})" for each in libraries}
    return ", ".join(sorted(names)) or "none"


def print_surroundings(found: dict[str, dict[str, str]], about: dict[str, Any]) -> None:
    """The machine, and a line of versions for each contender."""
    load = ", ".join(map(str, about["load_average"]))
    print(
        f"\n{about['cpu']}, {about['cpus']} CPUs, {about['memory_gb']} GB; {about['system']}; load average before "
        f"the start {load}."
    )
    for name, each in found.items():
        print(f"- {name}: " + ", ".join(f"{package} {version}" for package, version in each.items()))


# ---- output ----------------------------------------------------------------------------------------------


def print_table(headers: Sequence[str], rows: Iterable[Sequence[Any]], *, left: int = 1) -> None:
    """A Markdown table, also legible as it is; the first ``left`` columns are words."""
    lines = [[str(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(headers))]
    rule = ["-" * width if n < left else "-" * (width - 1) + ":" for n, width in enumerate(widths)]
    for line in (lines[0], rule, *lines[1:]):
        cells = [
            cell.ljust(w) if n < left else cell.rjust(w) for n, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        print("| " + " | ".join(cells) + " |")


def shown(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, but all of those before the point; a dash for none."""
    if value is None or value != value:
        return "-"
    if value == 0:
        return "0"
    after = max(0, digits - 1 - int(np.floor(np.log10(abs(value)))))
    return f"{value:,.{after}f}"


def save_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write everything that was measured, where that is wanted."""
    if path is not None:
        path.write_text(json.dumps(content, indent=1) + "\n")
        print(f"\nAll figures: {path}")
