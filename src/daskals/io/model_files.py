"""Both sides of a model in its directory: the factors, and what the metadata say of their ids and files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from daskals import progress
from daskals.engine.factors import FactorMatrix
from daskals.execution.scheduler import Scheduler
from daskals.io.count_folders import read_counts, write_counts
from daskals.io.directories import join
from daskals.io.factor_folders import read_factors, write_factors
from daskals.io.id_types import IdType
from daskals.io.notes import SideNotes, decode_history, decode_parent, decode_sides, encode_side, naming

T = TypeVar("T")


@dataclass(frozen=True)
class Factors:
    """The factors of a model, and how the ids of each side are shown."""

    users: FactorMatrix
    items: FactorMatrix
    user_ids: IdType
    item_ids: IdType


@dataclass(frozen=True)
class Written:
    """What is known of factors that have been written."""

    #: what the metadata must say of them, under "daskals"
    notes: dict[str, Any]
    #: sentences for the user, to be said when all of the model is in its place
    warnings: list[str]


def write_sides(scheduler: Scheduler, directory: str, factors: Factors) -> Written:
    """Write both sides, in "userFactors" and "itemFactors"."""
    written = Written({}, [])
    for side, matrix, ids in (("user", factors.users, factors.user_ids), ("item", factors.items, factors.item_ids)):
        name = f"{side}Factors"
        with progress.stage(f"Writing the factors of {side}s", unit="files"):
            files, for_spark = write_factors(scheduler, join(directory, name), matrix)
        counts = None
        if matrix.counts is not None:
            counts = write_counts(scheduler, join(directory, f"{side}Counts"), matrix.counts)
        written.notes[side] = encode_side(ids, files, counts)
        if not for_spark:
            written.warnings.append(
                f"Spark cannot load this model: the ids of {name} are not integers of 32 bits. daskals can."
            )
    return written


def read_sides(scheduler: Scheduler, path: str, fields: dict[str, Any]) -> Factors:
    """Both sides of the model at ``path`` with these metadata; Spark's say nothing of ids, which are integers.

    ``ValueError`` that names the file and the fault if something is damaged, ``FileNotFoundError`` if a side or one
    of its files is missing.
    """
    rank, notes = decode_sides(path, fields)
    sides = []
    for side in notes:
        with progress.stage(f"Reading the factors of {side}s", unit="files"):
            sides.append(_read_side(scheduler, path, side, rank, notes[side]))
    users, items = sides
    return Factors(users, items, notes["user"].ids, notes["item"].ids)


def _read_side(scheduler: Scheduler, path: str, side: str, rank: int, notes: SideNotes) -> FactorMatrix:
    matrix = read_factors(scheduler, join(path, f"{side}Factors"), rank, notes)
    if notes.counts is None:
        return matrix
    return replace(matrix, counts=read_counts(scheduler, join(path, f"{side}Counts"), matrix.n_rows, notes.counts))


def read_history(path: str, fields: dict[str, Any]) -> dict[str, list[Any]]:
    """The history in the metadata of ``path``: the lists of `daskals.io.history`, empty ones if there is none.

    ``ValueError`` that names the path and the fault if it is damaged.
    """
    with naming(f"The metadata of {path} are damaged in daskals.history"):
        return decode_history(fields.get("daskals", {}).get("history"))


def read_parent(
    path: str, fields: dict[str, Any], make: Callable[[str, dict[str, Any], dict[str, float]], T]
) -> T | None:
    """``make(uid, values, learned)`` of the estimator in the metadata of ``path``; None where they tell of none.

    ``ValueError`` that names the path and the fault if what they tell is damaged, or ``make`` refuses it.
    """
    with naming(f"The metadata of {path} are damaged in daskals.parent"):
        told = decode_parent(fields.get("daskals", {}).get("parent"))
        try:
            return None if told is None else make(*told)
        except TypeError as error:
            raise ValueError(str(error)) from None
