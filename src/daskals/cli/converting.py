"""A model as plain Parquet tables, and a model made of such tables.

::

    <folder>/users.parquet     id, features (list of float), ratings (how many there were in the fit, if that is known)
    <folder>/items.parquet     likewise
    <folder>/model.json        what the metadata of the model say: columns, parameters; may be missing
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import click
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from daskals.cli.models import saved_at
from daskals.cli.sources import is_model
from daskals.cli.talking import in_words, say, show_json
from daskals.io.count_files import FILE, write_file
from daskals.io.directories import MODEL_CLASS, join, new_directory, write_metadata
from daskals.io.factor_files import write_block
from daskals.io.factor_folders import fits_spark
from daskals.io.folder_checks import file_name_of
from daskals.io.id_types import IdKind, IdType
from daskals.io.notes import encode_side
from daskals.kernels.types import Float32, Ids
from daskals.serving import LocalModel

TABLES = {"user": "users.parquet", "item": "items.parquet"}
ABOUT = "model.json"


def convert(source: str, target: str | None, kind: str | None, *, overwrite: bool, as_json: bool) -> None:
    """Convert, and tell where the result is."""
    kind = kind or (None if is_model(source) else "model")
    if kind is None:
        raise click.UsageError("--to numpy or --to parquet: in which form is the model wanted?")
    if (target is None) != (kind == "numpy"):
        raise click.UsageError(
            "--to numpy writes into the directory of the model: name no TARGET"
            if target
            else f"name a TARGET for {kind}"
        )
    if kind == "numpy":
        saved_at(source)
        LocalModel.writeArrays(source)
        place = join(source, "arrays")
    else:
        place = str(target)
        fs, path = fsspec.url_to_fs(place)
        if fs.exists(path) and not overwrite:
            raise FileExistsError(f"{place} is there already: --overwrite replaces it, or name another one")
        if kind == "parquet":
            _to_tables(source, place, overwrite=overwrite)
        else:
            _to_model(source, place, overwrite=overwrite)
    if as_json:
        show_json({"to": kind, "out": place})
    else:
        click.echo(f"Written to {place}")


# ---- to tables -------------------------------------------------------------------------------------------


def _to_tables(source: str, place: str, *, overwrite: bool) -> None:
    saved = saved_at(source)
    local = LocalModel.load(source)
    sides = {
        "user": (local.userIds, local.userFactors, local.userCounts),
        "item": (local.itemIds, local.itemFactors, local.itemCounts),
    }
    about = {name: saved.fields[name] for name in ("uid", "paramMap", "defaultParamMap") if name in saved.fields}
    ours = saved.fields.get("daskals", {})
    about["daskals"] = {name: value for name, value in ours.items() if name not in ("user", "item")}
    about["ids"] = {side: ours[side]["shown"] for side in sides if side in ours}
    with new_directory(place, overwrite=overwrite) as draft:
        for side, (ids, rows, counts) in sides.items():
            columns = {"id": pa.array(ids), "features": _lists(rows)}
            if counts is not None:
                columns["ratings"] = pa.array(counts)
            with fsspec.open(join(draft, TABLES[side]), "wb") as file:
                pq.write_table(pa.table(columns), file)
        with fsspec.open(join(draft, ABOUT), "w", encoding="utf-8") as file:
            json.dump(about, file, indent=1)


def _lists(rows: Float32) -> pa.Array:
    offsets = pa.array(np.arange(len(rows) + 1, dtype=np.int64) * rows.shape[1])
    return pa.LargeListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(rows).reshape(-1)))


# ---- to a model ------------------------------------------------------------------------------------------


def _to_model(source: str, place: str, *, overwrite: bool) -> None:
    if is_model(source):
        raise ValueError(f"{source} is a model already")
    about = _about(source)
    sides = {side: _read_table(join(source, name)) for side, name in TABLES.items()}
    ranks = {side: rows.shape[1] for side, (_, rows, _) in sides.items()}
    if len(set(ranks.values())) > 1:
        raise ValueError(f"{source}: users have {ranks['user']} features, and items {ranks['item']}")
    notes: dict[str, Any] = {}
    for_spark = True
    with new_directory(place, overwrite=overwrite) as draft:
        for side, (ids, rows, counts) in sides.items():
            notes[side], fits = _write_side(draft, side, ids, rows, counts, about.get("ids", {}).get(side))
            for_spark = for_spark and fits
        fields = {
            "class": MODEL_CLASS,
            "uid": about.get("uid", f"ALS_{uuid.uuid4().hex[-12:]}"),
            "paramMap": about.get("paramMap", {}),
            "defaultParamMap": about.get("defaultParamMap", {}),
            "rank": ranks["user"],
            "daskals": {**about.get("daskals", {}), **notes},
        }
        write_metadata(draft, fields)
    if not for_spark:
        say("Note: Spark cannot load this model, whose ids are not integers of 32 bits; daskals can")
    say(f"{in_words(len(sides['user'][0]), 'user')}, {in_words(len(sides['item'][0]), 'item')}, rank {ranks['user']}")


def _about(source: str) -> Mapping[str, Any]:
    fs, place = fsspec.url_to_fs(source)
    missing = [name for name in TABLES.values() if not fs.exists(join(place, name))]
    if missing:
        raise FileNotFoundError(f"{source} has no {' and no '.join(missing)}: expected what --to parquet writes")
    try:
        found = json.loads(fs.cat_file(join(place, ABOUT)))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{source}/{ABOUT} is not JSON: {error}") from None
    return found if isinstance(found, dict) else {}


def _read_table(file: str) -> tuple[Ids, Float32, Any]:
    """Ids, ascending, their features, and the numbers of ratings or None."""
    with fsspec.open(file, "rb") as opened:
        table = pq.read_table(opened)
    if not {"id", "features"} <= set(table.column_names):
        raise ValueError(f"{file} has the columns {', '.join(table.column_names)}; expected id and features")
    features = table["features"].combine_chunks()
    lengths = set(features.value_lengths().to_pylist())
    if len(lengths) != 1 or None in lengths:
        raise ValueError(
            f"{file}: all features must have the same length, at least 1; there are {sorted(map(str, lengths))}"
        )
    ids: Ids = table["id"].to_pandas().to_numpy()
    if not len(ids) or table["id"].null_count or pd.Index(ids).has_duplicates:
        raise ValueError(f"{file}: ids must be there, each once")
    rows = np.asarray(features.flatten(), np.float32).reshape(len(ids), -1)
    if not np.isfinite(rows).all():
        raise ValueError(f"{file}: features must be finite numbers")
    order = np.argsort(ids, kind="stable")
    counts = np.asarray(table["ratings"], np.int64)[order] if "ratings" in table.column_names else None
    return ids[order], rows[order], counts


def _write_side(
    draft: str, side: str, ids: Ids, rows: Float32, counts: Any, shown: str | None
) -> tuple[dict[str, Any], bool]:
    """Write one side; returns what the metadata say of it, and whether Spark can load it."""
    kind: IdKind = "str"
    if ids.dtype.kind in "iu":
        kind = "uint64" if ids.dtype == np.uint64 else "int64"
    elif ids.dtype.kind == "M":
        kind = "datetime64[ns]"
    ids = ids.astype(object if kind == "str" else kind)
    dtype = pd.api.types.pandas_dtype(shown or ("object" if kind == "str" else kind))
    folder, fits = join(draft, f"{side}Factors"), fits_spark(ids)
    fs, place = fsspec.url_to_fs(folder)
    fs.makedirs(place)
    record = write_block(join(folder, file_name_of(0, 1)), ids, rows, fits)
    fs.touch(f"{place}/_SUCCESS")
    checksum = None
    if counts is not None:
        beside = join(draft, f"{side}Counts")
        fs.makedirs(fsspec.url_to_fs(beside)[1])
        checksum = write_file(join(beside, FILE), counts)
    return encode_side(IdType(kind, dtype), [record], checksum), fits
