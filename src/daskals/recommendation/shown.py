"""What is shown of a model: its size, how its fit went, and where its factors are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daskals.execution.holders import Holder
from daskals.io.history import PREFERENCE_ERROR, RATING_ERROR, VALIDATION_ERROR, VALIDATION_GAIN
from daskals.params.shown import Row, rounded, short
from daskals.recommendation.history import History

#: What is shown of the iteration whose factors the model has: names of columns, and their meaning.
METRICS = {
    RATING_ERROR: "root mean squared error of the training ratings",
    PREFERENCE_ERROR: "root mean squared error of all preferences, weighted by their confidence",
    VALIDATION_ERROR: "root mean squared error of the held-out ratings",
    VALIDATION_GAIN: "NDCG of the held-out ratings",
}
OBJECTIVE = {"objective": "what the fit has minimised"}


def rows_of_history(columns: Mapping[str, Sequence[Any]]) -> Iterator[Row]:
    """How many iterations there were, and the metrics of the best; nothing where there is no history."""
    history = History.of(columns)
    if not len(history):
        return
    yield Row("iterations", str(len(history)))
    if history.validated:
        yield Row("bestIteration", str(history.best), "the one whose factors the model has")
    known = {name: note for name, note in METRICS.items() if name in columns} or OBJECTIVE
    for name, note in known.items():
        yield Row(name, rounded(columns[name][history.best - 1]), note)


def row_of_places(holders: Sequence[Holder], path: str | None) -> Row:
    """Where factors are that clusters hold, or that are read from the files of a saved model."""
    places = [] if path is None else [f"in the files of {short(path)}"]
    places += [_place(holder) for holder in holders]
    is_lost = any(not (holder.is_open and holder.has_all) for holder in holders)
    note = "they cannot be had back: load the model, if it was saved, or fit again" if is_lost else ""
    return Row("factors", ", ".join(places) or "in this process", note)


def _place(holder: Holder) -> str:
    if not holder.is_open:
        return "gone: the client of their cluster is closed"
    return f"on cluster {holder.address}" if holder.has_all else f"gone from cluster {holder.address}"
