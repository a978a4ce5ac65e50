"""A copy of a saved model in NumPy's format, which is mapped into memory and therefore opens at once.

::

    <path>/metadata  userFactors  userCounts  ...   the model
    <path>/arrays/arrays.json                       format, version of the model, rank; types and shapes of the arrays
    <path>/arrays/user-rows.npy                     float32 (users, rank)
    <path>/arrays/user-ids.npy                      or user-text, -ends, -hashes and -places for strings
    <path>/arrays/user-counts.npy                   int64 (users,): numbers of ratings, where the model knows them
    <path>/arrays/item-...

The copy belongs to the model whose version it tells (`daskals.serving.sides.version_of`). A model that is saved to the
same place has another version, and daskals' own ``save`` takes the copy away with the model that it replaces. Spark and
`daskals.recommendation.ALSModel.load` do not look at the folder. Of the arrays, shapes and types are checked when they
are opened, not every byte: that would be to read them.
"""

from __future__ import annotations

import glob
import json
import logging
import os
from typing import Any

import numpy as np

from daskals.kernels.types import AnyArray
from daskals.serving.ids import NumberIds, TextIds
from daskals.serving.objectives import decode_parent
from daskals.serving.sides import Side, Stored, version_of

_logger = logging.getLogger("daskals")
#: The format that is written, and the only one that is read.
FORMAT = 2
FOLDER = "arrays"
_TEXT = {"text": "|u1", "ends": "<i8", "hashes": "<u4", "places": "<i4"}
_NUMBERS = ("<i8", "<u8", "<M8[ns]")


def local_path(path: str) -> str | None:
    """The path as one of this machine's; None for other URLs."""
    if path.startswith("file://"):
        return path.removeprefix("file://")
    return None if "://" in path else os.path.expanduser(path)


def write_copy(path: str) -> None:
    """Read the model at ``path``, check it, and write the copy beside it; one that is there is replaced.

    ``ValueError`` where ``path`` is on no file system of this machine, and of a damaged model.
    """
    from daskals.io.directories import new_directory
    from daskals.serving.files import read_model

    place = local_path(path)
    if place is None:
        raise ValueError(f"{path} is not on this machine, and cannot be mapped into memory: copy it here first")
    stored = read_model(path)
    about: dict[str, Any] = {"format": FORMAT, "version": stored.version, "rank": stored.users.rows.shape[1]}
    with new_directory(os.path.join(place, FOLDER), overwrite=True) as draft:
        folder = str(local_path(draft))
        for name, side in (("user", stored.users), ("item", stored.items)):
            arrays = _arrays_of(side)
            about[name] = {each: [array.dtype.str, *array.shape] for each, array in arrays.items()}
            about[f"{name}Longest"] = side.longest
            for each, array in arrays.items():
                np.save(os.path.join(folder, f"{name}-{each}.npy"), array, allow_pickle=False)
        with open(os.path.join(folder, "arrays.json"), "w", encoding="utf-8") as file:
            json.dump(about, file)


def open_copy(path: str) -> Stored | None:
    """The model by its copy; None if there is none, if it is one of another save, or if it is damaged.

    The last two are logged.
    """
    place = local_path(path)
    if place is None or not os.path.isfile(os.path.join(place, FOLDER, "arrays.json")):
        return None
    try:
        return _open(place)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, EOFError) as error:
        _logger.warning(
            "The copy of the model in %s is not used: %s. Write it again.", os.path.join(place, FOLDER), error
        )
        return None


def _open(place: str) -> Stored:
    metadata = _read_metadata(place)
    version = version_of(metadata)
    with open(os.path.join(place, FOLDER, "arrays.json"), encoding="utf-8") as file:
        about = json.load(file)
    if about["format"] != FORMAT:
        raise ValueError(f"its format is {about['format']!r}, and {FORMAT} is read")
    if about["version"] != version:
        raise ValueError("it is that of another model, which was saved there before")
    users, items = (_open_side(place, name, about) for name in ("user", "item"))
    if _read_metadata(place) != metadata:
        raise ValueError("a model was saved there while it was opened")
    fields = json.loads(next(line for part in metadata for line in part.splitlines() if line.strip()))
    return Stored(users, items, fields["uid"], version, decode_parent(fields.get("daskals", {}).get("parent")))


def _open_side(place: str, name: str, about: dict[str, Any]) -> Side:
    told = about[name]
    arrays = {each: _map(os.path.join(place, FOLDER, f"{name}-{each}.npy"), told[each]) for each in told}
    rows, longest = arrays.pop("rows"), float(about[f"{name}Longest"])
    counts = arrays.pop("counts", None)
    n = len(arrays["ends"] if "ends" in arrays else arrays["ids"])
    if rows.dtype.str != "<f4" or rows.shape != (n, about["rank"]):
        raise ValueError(f"the rows of {name}s are {rows.dtype} of shape {rows.shape}")
    if counts is not None and (counts.dtype.str != "<i8" or counts.shape != (n,)):
        raise ValueError(f"the numbers of ratings of {name}s are {counts.dtype} of shape {counts.shape}")
    if "ids" in arrays:
        if arrays["ids"].dtype.str not in _NUMBERS:
            raise ValueError(f"the ids of {name}s are {arrays['ids'].dtype}")
        return Side(NumberIds(arrays["ids"], f"{name}s"), rows, longest, counts)
    types = {each: array.dtype.str for each, array in arrays.items()}
    if types != _TEXT or not n == len(arrays["hashes"]) == len(arrays["places"]):
        raise ValueError(f"the ids of {name}s are {told}")
    return Side(TextIds(**arrays, side=f"{name}s"), rows, longest, counts)


def _arrays_of(side: Side) -> dict[str, AnyArray]:
    ids, known = side.ids, {} if side.counts is None else {"counts": side.counts}
    if isinstance(ids, NumberIds):
        return {"rows": side.rows, "ids": ids.array, **known}
    return {"rows": side.rows, **{each: getattr(ids, each) for each in _TEXT}, **known}


def _map(file: str, told: list[Any]) -> AnyArray:
    """An array that is read when its pages are touched; empty ones cannot be mapped."""
    array = np.load(file, mmap_mode="r" if all(told[1:]) else None, allow_pickle=False)
    if [array.dtype.str, *array.shape] != told:
        raise ValueError(f"{file} holds {array.dtype.str} of shape {array.shape}, and {told} were written")
    return np.asarray(array)


def _read_metadata(place: str) -> list[bytes]:
    parts = []
    for file in sorted(glob.glob(os.path.join(glob.escape(place), "metadata", "part-*"))):
        with open(file, "rb") as content:
            parts.append(content.read())
    return parts
