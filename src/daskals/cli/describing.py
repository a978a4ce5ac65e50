"""What a saved model is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
import fsspec
import numpy as np

from daskals.cli.models import Saved, remembered, saved_at
from daskals.cli.talking import show_json
from daskals.io.directories import join
from daskals.io.factor_folders import fits_spark
from daskals.io.model_files import read_history
from daskals.kernels.types import Ids
from daskals.serving import LocalModel


def describe(path: str, *, as_json: bool) -> None:
    """Tell what the model at a path is."""
    saved = saved_at(path)
    facts = _facts(saved, LocalModel.load(path))
    if as_json:
        show_json({_key(name): value for name, value in facts.items()})
        return
    for name, value in facts.items():
        if value is not None and value != {}:
            click.echo(f"{name + ':':<18}{_shown(value)}")


def _key(words: str) -> str:
    """The name of a fact as programs like it: "user ids" is userIds."""
    first, *others = words.split()
    return first.lower() + "".join(each if each.isupper() else each.capitalize() for each in others)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_shown(each)}" for name, each in value.items())
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _facts(saved: Saved, local: LocalModel) -> dict[str, Any]:
    """What there is to tell; None for what is not known."""
    history = read_history(saved.path, dict(saved.fields))
    parent = saved.fields.get("daskals", {}).get("parent")
    when = saved.fields.get("timestamp")
    found = remembered(saved.path)
    fs, place = fsspec.url_to_fs(saved.path)
    facts: dict[str, Any] = {
        "model": saved.path,
        "users": len(local.userIds),
        "items": len(local.itemIds),
        "rank": local.rank,
        "kind": {True: "implicit feedback", False: "explicit ratings", None: None}[saved.implicit],
        "columns": f"{saved.user}, {saved.item}" + (f", {saved.rating}" if parent and saved.rating else ""),
        "user ids": _ids(local.userIds),
        "item ids": _ids(local.itemIds),
        "iterations": history["iteration"][-1] if history["iteration"] else None,
        "parameters": (parent or {}).get("paramMap"),
        "fitted to": None if found is None else found[0],
        "for Spark": _for_spark(local),
        "saved": None if when is None else datetime.fromtimestamp(when / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "size in bytes": fs.du(place),
        "NumPy copy": bool(fs.exists(join(place, "arrays", "arrays.json"))),
    }
    for error, name in (("rmse", "training RMSE"), ("preferenceRmse", "preference RMSE")):
        if history.get(error):
            facts[name] = float(history[error][-1])
    if parent is None:
        facts["fit"] = "not known; the model was written by Spark, or without it"
    return facts


def _for_spark(local: LocalModel) -> str:
    fit = all(fits_spark(ids) for ids in (local.userIds, local.itemIds))
    return "yes" if fit else "no: its ids must be integers of 32 bits"


def _ids(ids: Ids) -> str:
    kind = "text" if ids.dtype.kind == "O" else "dates" if np.issubdtype(ids.dtype, np.datetime64) else "whole numbers"
    return f"{kind}, {ids[0]} to {ids[-1]}" if len(ids) else kind
