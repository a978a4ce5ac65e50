"""What the metadata of a model say that Spark has no place for, under the key "daskals".

::

    "daskals": {
        "user": {
            "form": "int64",                                how ids are read (`daskals.io.ids.IdKind`)
            "shown": "int32",                               and of which type they are in frames
            "files": {
                "rows": [3, 2],                             what each file of userFactors holds, in the order of ids
                "first": [0, 7],
                "last": [5, 9],
                "checksum": [907060870, 2212294583]
            },
            "counts": 3124085183                            checksum of userCounts; absent where it is not known
        },
        "item": ...,
        "history": {"iteration": [1, 2], "objective": [...], ...},
        "parent": {
            "uid": "ALS_1a2b3c4d5e6f",                          the estimator of the fit
            "paramMap": {"rank": 2, ...},                       what was set
            "learned": {"mean": 3.5}                            what the fit found out (`daskals.blocks.goal.Learned`);
        }                                                       absent where that is nothing
    }

A model that Spark wrote has no such key. Everything here is checked: a fault is a ``ValueError`` that names it, and
the caller adds the name of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd

from daskals.blocks.goal import Learned
from daskals.io.factor_files import FileRecord
from daskals.io.history import EXPLICIT_COLUMNS, PREFERENCE_ERROR, VALIDATION_ERROR, VALIDATION_GAIN, columns_of
from daskals.io.id_types import IdKind, IdType

SPARK_IDS = IdType("int64", np.dtype(np.int32))
#: The largest rank there is: Spark's is an integer of 32 bits.
MOST_FACTORS = 2**31 - 1
#: How JSON has what are no finite numbers (`encode_numbers`).
_NOT_FINITE = {text: float(text) for text in ("NaN", "Infinity", "-Infinity")}


@dataclass(frozen=True)
class SideNotes:
    """What is known of one side of a saved model before its files are read."""

    ids: IdType
    #: what each file holds; None where the metadata do not say
    files: tuple[FileRecord, ...] | None = None
    #: how many rows there are in all; None where the metadata do not say
    rows: int | None = None
    #: the checksum of the numbers of ratings; None where they were not written
    counts: int | None = None


def encode_side(ids: IdType, files: Sequence[FileRecord], counts: int | None) -> dict[str, Any]:
    """What metadata say of a side."""
    columns = {name: [getattr(record, name) for record in files] for name in FileRecord._fields}
    known = {} if counts is None else {"counts": counts}
    return {"form": ids.kind, "shown": _name_of(ids.dtype), "files": columns, **known}


def _name_of(dtype: Any) -> str:
    """A name by which pandas finds the dtype again; "string" alone is another one in some versions of it."""
    named = isinstance(dtype, pd.StringDtype) and str(dtype) == "string" and dtype.storage in ("python", "pyarrow")
    return f"string[{dtype.storage}]" if named else str(dtype)


def decode_sides(path: str, fields: dict[str, Any]) -> tuple[int, dict[str, SideNotes]]:
    """The rank, and what the metadata of ``path`` say of the sides "user" and "item"; a fault names path and key."""
    with naming(f"The metadata of {path}"):
        rank = decode_rank(fields.get("rank"))
    notes = {}
    for side in ("user", "item"):
        with naming(f"The metadata of {path} are damaged in daskals.{side}"):
            notes[side] = decode_side(fields.get("daskals", {}).get(side))
    return rank, notes


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Faults found inside are told with their place."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def decode_side(about: Any) -> SideNotes:
    """The same read back, or what earlier versions said: "bounds" of the blocks instead of "files"."""
    if about is None:
        return SideNotes(SPARK_IDS)
    if not isinstance(about, dict):
        raise ValueError(f"{about!r} is no map of form, shown and files")
    ids = _decode_ids(about.get("form"), about.get("shown"))
    if "files" in about:
        counts = about.get("counts")
        if counts is not None and not _are_integers([counts]):
            raise ValueError(f"the checksum of its counts is {counts!r}, no integer")
        return SideNotes(ids, files=_decode_files(about["files"], ids.kind), counts=counts)
    bounds = about.get("bounds")
    if not _are_integers(bounds) or not bounds or bounds != sorted(bounds) or bounds[0] != 0:
        raise ValueError(f"it has no files, and its bounds are {bounds!r}, no ascending integers from 0")
    return SideNotes(ids, rows=bounds[-1])


def _decode_ids(form: Any, shown: Any) -> IdType:
    if form not in get_args(IdKind):
        raise ValueError(f"its form is {form!r}, none of {', '.join(get_args(IdKind))}")
    try:
        dtype = pd.api.types.pandas_dtype(shown)
    except Exception:  # of an unknown name pandas and those that it asks make errors of many kinds
        dtype = None
    if not isinstance(shown, str) or dtype is None or not _holds(dtype, form):
        raise ValueError(f"ids of form {form} are to be shown as {shown!r}, which is no type of such")
    return IdType(form, dtype)


def _holds(dtype: Any, kind: IdKind) -> bool:
    """Whether ids of this kind can be shown in this type."""
    if kind == "str":
        return pd.api.types.is_string_dtype(dtype) or pd.api.types.is_object_dtype(dtype)
    if kind == "datetime64[ns]":
        return pd.api.types.is_datetime64_dtype(dtype)
    return isinstance(dtype, np.dtype) and dtype.kind in "iu"


def _decode_files(columns: Any, kind: IdKind) -> tuple[FileRecord, ...]:
    plain = str if kind == "str" else int
    if not isinstance(columns, dict) or not all(isinstance(columns.get(name), list) for name in FileRecord._fields):
        raise ValueError(f"its files have no lists of {', '.join(FileRecord._fields)}")
    if len({len(columns[name]) for name in FileRecord._fields}) > 1:
        raise ValueError("its files have lists of different lengths")
    files = tuple(FileRecord(*row) for row in zip(*(columns[name] for name in FileRecord._fields), strict=True))
    for number, each in enumerate(files):
        ends = (each.first, each.last)
        known = [type(end) is plain for end in ends] if each.rows else [end is None for end in ends]
        if not _are_integers([each.rows, each.checksum]) or not all(known):
            raise ValueError(f"what it says of file {number} is {each._asdict()}")
    return files


def decode_rank(rank: Any) -> int:
    """The number of factors."""
    if not _are_integers([rank]) or not 1 <= rank <= MOST_FACTORS:
        raise ValueError(f"there is no rank, or a wrong one: {rank!r}")
    return int(rank)


def encode_numbers(numbers: Sequence[Any]) -> list[Any]:
    """Numbers for JSON, which has no NaN and no infinity: those are written as strings, as Spark does it."""
    return [each if np.isfinite(each) else json.dumps(float(each)) for each in numbers]


def decode_history(columns: Any) -> dict[str, list[Any]]:
    """A history: the lists of `daskals.io.history`, of numbers and of one length; empty where there is none."""
    if columns is None or columns == {}:
        return {name: [] for name in EXPLICIT_COLUMNS}
    if not isinstance(columns, dict):
        raise ValueError(f"there are no lists of {', '.join(EXPLICIT_COLUMNS)}")
    implicit = PREFERENCE_ERROR in columns
    names = columns_of(implicit=implicit, validated=(VALIDATION_GAIN if implicit else VALIDATION_ERROR) in columns)
    if not all(isinstance(columns.get(name), list) for name in names):
        raise ValueError(f"there are no lists of {', '.join(names)}")
    if len({len(columns[name]) for name in names}) > 1:
        raise ValueError(f"there are lists of different lengths: {[len(columns[name]) for name in names]}")
    history: dict[str, list[Any]] = {
        name: [_NOT_FINITE.get(str(each), each) for each in columns[name]] for name in names
    }
    for name in names:
        for number in history[name]:
            if not isinstance(number, float) and not (_are_integers([number]) and abs(number) < 2**53):
                raise ValueError(f"there is {number!r} in {name}, where a number should be")
    if columns[names[0]] != list(range(1, len(columns[names[0]]) + 1)):
        raise ValueError(f"iterations are not numbered 1, 2, 3 ...: {columns[names[0]]!r}")
    return history


class ParentNotes(NamedTuple):
    """What is known of the estimator of a fit."""

    uid: str
    #: the parameters that were set
    values: dict[str, Any]
    #: the fields of `daskals.blocks.goal.Learned` that are known
    learned: dict[str, float]


def decode_parent(about: Any) -> ParentNotes | None:
    """What the metadata of a model say of the estimator of its fit; None where they do not."""
    if about is None:
        return None
    if not isinstance(about, dict) or not isinstance(about.get("uid"), str):
        raise ValueError(f"{about!r} is no map of uid and paramMap")
    values = about.get("paramMap")
    if not isinstance(values, dict) or None in values.values():
        raise ValueError(f"its paramMap is {values!r}, no map of parameters that were set")
    learned = about.get("learned", {})
    if not isinstance(learned, dict) or not set(learned) <= set(Learned._fields):
        raise ValueError(f"what it has learned is {learned!r}, no map of {', '.join(Learned._fields)}")
    for name, number in learned.items():
        if not isinstance(number, float | int) or isinstance(number, bool) or not np.isfinite(number):
            raise ValueError(f"its {name} is {number!r}, no finite number")
    if (missing := Learned(**learned).missing(values)) is not None:
        raise ValueError(f"it has {missing}")
    return ParentNotes(about["uid"], values, learned)


def _are_integers(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int for value in values)
