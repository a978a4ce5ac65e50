"""Saved models: what their metadata say, and of which ratings they were made.

Beside the files of a model, which Spark knows, ``daskals fit`` writes one more into its directory::

    <model>/ratings.json        {"source": "/data/ratings.csv", "user": "userId", "item": "movieId", ...}

so that ``daskals recommend`` knows which items a user has seen already. Spark looks into metadata, userFactors and
itemFactors alone. A URL is not written down if it may hold a password or a key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import fsspec
import pandas as pd

from daskals.cli.reading import Ratings, Reading, read_ratings
from daskals.cli.sources import PACKED, is_model
from daskals.cli.talking import say
from daskals.io.count_files import FILE, read_file
from daskals.io.directories import MODEL_CLASS, join, read_metadata
from daskals.io.frames import Frame, kind_of
from daskals.io.notes import decode_sides
from daskals.kernels.types import Int64

REMEMBERED = "ratings.json"


class Saved(NamedTuple):
    """What the metadata of a saved model say."""

    path: str
    #: names of the columns
    user: str
    item: str
    rating: str
    #: None where the model does not know its fit, as Spark's
    implicit: bool | None
    #: which ids are text: "user", "item"
    text_ids: frozenset[str]
    #: which are whole numbers
    whole_ids: frozenset[str]
    fields: Mapping[str, Any]


def model_name(source: str) -> str:
    """Where the model of a file goes if nobody says.

    >>> model_name("data/ratings.csv.gz"), model_name("logs/*.parquet")
    ('ratings.model', 'ratings.model')
    """
    name = PurePosixPath(source.partition("?")[0].rstrip("/")).name if "*" not in source else ""
    for ending in PACKED:
        name = name.removesuffix(ending)
    return f"{PurePosixPath(name).stem or 'ratings'}.model"


def saved_at(path: str) -> Saved:
    """The metadata of a model; ``FileNotFoundError`` or ``ValueError`` in one line where there is none."""
    if not is_model(path):
        fs, place = fsspec.url_to_fs(path)
        if not fs.exists(place):
            raise FileNotFoundError(f"There is no model {path}")
        what = "a folder without metadata" if fs.isdir(place) else "a file"
        raise ValueError(f"{path} is {what}, and no model: models are directories that 'daskals fit' or Spark wrote")
    fields = read_metadata(path, MODEL_CLASS)
    _, notes = decode_sides(path, fields)
    ours = fields.get("daskals", {})
    values = {**fields.get("defaultParamMap", {}), **fields.get("paramMap", {}), **ours.get("paramMap", {})}
    parent = (ours.get("parent") or {}).get("paramMap")
    implicit = None if parent is None else bool(parent.get("implicitPrefs", False))
    kinds = {side: notes[side].ids.kind for side in ("user", "item")}
    text = frozenset(side for side, kind in kinds.items() if kind == "str")
    whole = frozenset(side for side, kind in kinds.items() if kind.startswith(("int", "uint")))
    user, item = str(values.get("userCol", "user")), str(values.get("itemCol", "item"))
    return Saved(path, user, item, str((parent or {}).get("ratingCol", "rating")), implicit, text, whole, fields)


def remember(path: str, source: str, reading: Reading) -> None:
    """Write into the directory of a model which ratings it was fitted to."""
    if "://" in source and ("@" in source or "?" in source):
        return
    place = source if "://" in source else os.path.abspath(source)
    said = {name: value for name, value in vars(reading).items() if value is not None and name != "text_ids"}
    with fsspec.open(join(path, REMEMBERED), "w", encoding="utf-8") as file:
        json.dump({"source": place, **said}, file)


def remembered(path: str) -> tuple[str, Reading] | None:
    """The ratings that a model was fitted to; None where it is not known."""
    fs, place = fsspec.url_to_fs(join(path, REMEMBERED))
    try:
        about = json.loads(fs.cat_file(place))
        source = str(about.pop("source"))
        return source, Reading(**about)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError(f"{path}/{REMEMBERED} is damaged: give --ratings FILE, or take that file away") from None


def ratings_of(saved: Saved, given: str | None, reading: Reading, *, why: str, rated: bool = False) -> Ratings:
    """The ratings that a model was fitted to: those in the file that is ``given``, else those that it remembers.

    Their columns are called as the model calls them. ``why`` is what they are needed for, and what to do otherwise;
    ``ValueError`` that tells it where the ratings are not known, or gone.
    """
    source = given
    if source is None:
        found = remembered(saved.path)
        if found is None:
            raise ValueError(f"{saved.path} does not say which ratings it was fitted to. {why}")
        source, reading = found
        if "://" not in source and not any(sign in source for sign in "*?[") and not os.path.exists(source):
            raise ValueError(f"{saved.path} was fitted to {source}, which is not there any more. {why}")
        say(f"Leaving out what users have in {source}, to which the model was fitted")
    return like_model(saved, source, reading, rated=rated, quiet=given is None)


def like_model(saved: Saved, source: str, reading: Reading, *, rated: bool, quiet: bool = False) -> Ratings:
    """Ratings, or pairs, in a file, with columns as the model has them."""
    asked = replace(reading, text_ids=saved.text_ids | reading.text_ids)
    found = read_ratings(source, asked, prefer=(saved.user, saved.item), rated=rated, quiet=quiet)
    for side, name in (("user", found.user), ("item", found.item)):
        if side in saved.whole_ids:
            _check_whole(saved, source, found.frame[[name]], side)
    return found.called(saved.user, saved.item)


def _check_whole(saved: Saved, source: str, column: Frame, side: str) -> None:
    """That the one column of a frame has whole numbers, as the model has; ``ValueError`` in one line otherwise."""
    (name,) = column.columns
    texts = column[name]
    if pd.api.types.is_numeric_dtype(texts.dtype) or pd.api.types.is_datetime64_any_dtype(texts.dtype):
        return
    texts = texts.astype(str)
    head = texts if kind_of(column) == "pandas" else texts.head(100, npartitions=-1)
    example = next((text for text in head if not text.removeprefix("-").isdecimal()), None)
    holds = "text" if example is None else repr(example)
    option = f"--{side}-col"
    raise ValueError(
        f"{source}: the column of {side}s, {name}, holds {holds}, but the ids of {side}s in {saved.path} are "
        f"whole numbers; if they are in another column, name it with {option}"
    )


def item_counts(saved: Saved) -> Int64 | None:
    """How many ratings each item had in the fit; None where the model does not know it."""
    _, notes = decode_sides(saved.path, dict(saved.fields))
    of_items = notes["item"]
    if of_items.counts is None or of_items.files is None:
        return None
    n = sum(file.rows for file in of_items.files)
    return read_file(join(saved.path, "itemCounts", FILE), n, of_items.counts)
