"""Predictions for the rows of a file, by Dask, or for one user."""

from __future__ import annotations

import click
import pandas as pd

from daskals.cli.models import like_model, saved_at
from daskals.cli.options import ReadingOptions
from daskals.cli.recommending import in_memory
from daskals.cli.sources import reachable
from daskals.cli.talking import in_words, say, show_json
from daskals.cli.writing import show_table, write_table
from daskals.io.frames import Frame
from daskals.recommendation import ALSModel
from daskals.serving import LocalModel


def predict_one(path: str, user: str, items: tuple[str, ...], out: str | None, *, as_json: bool) -> None:
    """Predict what a user would give to some items."""
    saved = saved_at(path)
    local = LocalModel.load(path)
    id_, ids = local.userFromText(user), [local.itemFromText(item) for item in items]
    strangers = [] if id_ in local else [f"user {user}"]
    strangers += [f"item {item}" for item, each in zip(items, ids, strict=True) if not local.hasItem(each)]
    if strangers:
        say(f"Not in {path}, so no prediction: {', '.join(strangers)}")
    table = pd.DataFrame({saved.user: [id_] * len(ids), saved.item: ids, "prediction": local.predict(id_, ids)})
    _tell(table, out, as_json=as_json)


def predict_rows(path: str, pairs: str, options: ReadingOptions, out: str | None, *, as_json: bool) -> None:
    """Predict for each row of a file."""
    saved = saved_at(path)
    rows = like_model(saved, pairs, options.reading(), rated=False)
    model = ALSModel.load(reachable(path), frames="pandas").setPredictionCol("prediction").setColdStartStrategy("nan")
    with rows.naming_faults():
        _tell(model.transform(rows.frame[[saved.user, saved.item]]), out, as_json=as_json)


def _tell(table: Frame, out: str | None, *, as_json: bool) -> None:
    if out is not None:
        rows = write_table(table, out)
        if as_json:
            show_json({"predictions": rows, "out": out})
        else:
            click.echo(f"{in_words(rows, 'prediction')} in {out}")
    elif as_json:
        show_json(in_memory(table).to_dict(orient="records"))
    else:
        show_table(in_memory(table))
