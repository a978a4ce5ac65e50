"""One fit, from the estimator to a report in numbers: what ``daskals fit`` and the scripts of ``deploy/`` share."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Client

from daskals.cli.reading import Ratings
from daskals.cli.sources import reachable
from daskals.cli.workers import Attendance
from daskals.evaluation import RegressionEvaluator
from daskals.recommendation import ALS, ALSModel


def set_parameter(text: str) -> tuple[str, Any]:
    """The name and the value, of the type that ALS wants, in NAME=VALUE; ``ValueError`` in one line."""
    name, _, value = text.partition("=")
    of_text = isinstance(ALS().getParam(name).default, str)  # for an unknown name this names those there are
    try:
        return name, value if of_text else json.loads(value)
    except ValueError:
        raise ValueError(f"{text!r}: the value must be a number, true or false") from None


def estimator(given: Mapping[str, Any], more: Iterable[tuple[str, Any]] = ()) -> ALS:
    """The estimator with these parameters, None meaning "not given"; ``more`` gives way to ``given``.

    ``TypeError`` or ``ValueError`` of `ALS` for values that are not allowed: they show now, not after a night.
    """
    als = ALS(**{**dict(more), **{name: value for name, value in given.items() if value is not None}})
    als.validate()
    return als


def checkpoint_dir(folder: str | None) -> str | None:
    """The folder of checkpoints that is in force: this one, or that of Dask's configuration."""
    found: str | None = folder or dask.config.get("daskals.checkpoint-dir", None)
    return None if found is None else reachable(found)


@dataclass(frozen=True)
class Order:
    """What is to be done with a fit."""

    als: ALS
    #: where the model goes; None for nowhere
    out: str | None = None
    #: whether a model that is there is replaced
    overwrite: bool = False
    #: whether to go on from the newest checkpoint
    resume: bool = False


def run(
    order: Order, ratings: Ratings, test: Ratings | None = None, client: Client | None = None
) -> tuple[ALSModel, dict[str, Any]]:
    """Fit, save, measure. ``client`` is current, or None where there is no cluster.

    Returns the model and a report: rank, iterations, trainingRmse (preferenceRmse of implicit fits), seconds (of the
    fit, reading included), and where they were asked for rmse (on the test ratings whose user and item are known) and
    model; on a cluster also workers: see `daskals.cli.workers.Attendance`.
    """
    if order.out and "://" not in order.out:
        Path(order.out).absolute().parent.mkdir(parents=True, exist_ok=True)
    with Attendance(client) if client else nullcontext() as attendance:
        start = time.monotonic()
        with ratings.naming_faults():
            model = order.als.fit(ratings.frame, resume=order.resume)
        report = {"rank": model.rank, **last_iteration(model), "seconds": round(time.monotonic() - start, 2)}
        if order.out:
            writer = model.write().overwrite() if order.overwrite else model.write()
            writer.save(reachable(order.out))
            report["model"] = order.out
        if test is not None:
            with test.naming_faults():
                predicted = model.transform(test.frame, {model.coldStartStrategy: "drop"})
                report["rmse"] = RegressionEvaluator(labelCol=test.rating or "rating").evaluate(predicted)
        if attendance:
            report["workers"] = attendance.counts
    return model, report


def last_iteration(model: ALSModel) -> dict[str, Any]:
    """How many iterations there were, and the error after the last: of ratings, or of preferences in implicit fits."""
    history = model.history
    error, name = ("rmse", "trainingRmse") if "rmse" in history else ("preferenceRmse", "preferenceRmse")
    if history.empty:
        return {"iterations": 0, name: None}
    return {"iterations": int(history["iteration"].iloc[-1]), name: float(history[error].iloc[-1])}
