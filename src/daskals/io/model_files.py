"""Both sides of a model in its directory: the factors, and what the metadata say of their ids and files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from daskals.engine.factors import FactorMatrix
from daskals.execution.scheduler import Scheduler
from daskals.io.factor_files import read_factors, write_factors
from daskals.io.ids import IdType


@dataclass(frozen=True)
class Factors:
    """The factors of a model, and how the ids of each side are shown."""

    users: FactorMatrix
    items: FactorMatrix
    user_ids: IdType
    item_ids: IdType


def write_sides(scheduler: Scheduler, directory: str, factors: Factors) -> dict[str, Any]:
    """Write both sides; returns what the metadata must say of them, under "daskals"."""
    sides = {"user": (factors.users, factors.user_ids), "item": (factors.items, factors.item_ids)}
    about = {}
    for side, (matrix, ids) in sides.items():
        write_factors(scheduler, directory, f"{side}Factors", matrix)
        about[side] = {"form": ids.kind, "shown": str(ids.dtype), "bounds": np.asarray(matrix.bounds).tolist()}
    return about


def read_sides(scheduler: Scheduler, path: str, fields: dict[str, Any]) -> Factors:
    """Both sides of the model at ``path`` with these metadata; Spark's say nothing of ids, which are integers.

    ``ValueError`` that names the file and the fault if something is damaged, ``FileNotFoundError`` if a side is
    missing.
    """
    rank = fields.get("rank")
    if not isinstance(rank, int) or rank < 1:
        raise ValueError(f"The metadata of {path} have no rank, or a wrong one: {rank!r}")
    (users, user_ids), (items, item_ids) = (
        _read_side(scheduler, path, fields, side, rank) for side in ("user", "item")
    )
    return Factors(users, items, user_ids, item_ids)


def _read_side(
    scheduler: Scheduler, path: str, fields: dict[str, Any], side: str, rank: int
) -> tuple[FactorMatrix, IdType]:
    about = fields.get("daskals", {}).get(side, {"form": "int64", "shown": "int32", "bounds": None})
    try:
        ids = IdType(about["form"], pd.api.types.pandas_dtype(about["shown"]))
        bounds = about["bounds"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"The metadata of {path} are damaged: daskals.{side} is {about!r} ({error})") from None
    return read_factors(scheduler, path, f"{side}Factors", rank, ids.kind, bounds), ids
