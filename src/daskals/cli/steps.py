"""What several commands do: an estimator from options, a fit that is saved, a report."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from typing import Any

import click
from distributed import Client

from daskals import kernels
from daskals.cli import fitting
from daskals.cli.models import remember
from daskals.cli.options import ModelOptions, ReadingOptions, Saving
from daskals.cli.reading import Ratings, read_ratings
from daskals.cli.sources import is_model
from daskals.cli.talking import in_words, one_line, say, show_json
from daskals.cli.workers import wait_for_workers
from daskals.io.frames import kind_of
from daskals.recommendation import ALS, ALSModel

#: Counts beyond this one drown the others: on Last.fm's plays, up to 352,698, the NDCG of ten items was 0.057 with them
#: and 0.166 without (rank 10, a tenth held out).
LARGE_COUNT = 1000

# ---- fits ------------------------------------------------------------------------------------------------


def parameters_of(sets: tuple[str, ...]) -> dict[str, Any]:
    """The parameters in several NAME=VALUE; `click.BadParameter` with the words of ALS for one that is none."""
    try:
        return dict(map(fitting.set_parameter, sets))
    except ValueError as error:
        raise click.BadParameter(told_of_als(error), param_hint="--set") from None


def told_of_als(error: Exception) -> str:
    """What ALS says of a parameter, without the name of the instance, which nobody has seen."""
    words = re.sub(r"^ALS_\w+ ", "", one_line(error))
    return words.removeprefix("was given invalid values: ").replace("has no parameter", "there is no parameter")


def check_choices(choices: ModelOptions, source: str) -> None:
    """That ALS takes these parameters, and that there is something to be fitted: told before a file is read."""
    given = choices.given()
    if given and is_model(source):
        raise click.UsageError(
            f"{source} is a saved model, which nothing can change any more: {', '.join(given)} "
            f"{'is' if len(given) == 1 else 'are'} for a fit to ratings"
        )
    _estimator(choices, parameters_of(choices.sets), {})


def _estimator(choices: ModelOptions, sets: Mapping[str, Any], more: Mapping[str, Any]) -> ALS:
    given = {
        "rank": choices.rank,
        "maxIter": choices.iterations,
        "regParam": choices.reg,
        "implicitPrefs": choices.implicit,
        "alpha": choices.alpha,
        "biases": choices.biases,
        "seed": choices.seed,
        **more,
    }
    try:
        return fitting.estimator(given, sets.items())
    except (TypeError, ValueError) as error:
        raise click.UsageError(told_of_als(error)) from None


def estimator_for(ratings: Ratings, choices: ModelOptions, saving: Saving | None = None, *, tell: bool = True) -> ALS:
    """The estimator for a file of ratings. Whether they are counts is guessed where nobody says."""
    sets = parameters_of(choices.sets)
    implicit = sets.get("implicitPrefs", False) if choices.implicit is None else choices.implicit
    if choices.implicit is None and "implicitPrefs" not in sets and ratings.counts:
        implicit = True
        what = f"{ratings.shown} looks like counts" if ratings.rating else "each row counts 1"
        if tell:
            say(f"Fitting what users do, not opinions (--implicit), since {what}; --explicit for opinions")
            _hint_at_large_counts(ratings)
    if ratings.rating is None and not implicit:
        raise click.UsageError("there is no column of ratings: --explicit needs one; name it with --rating-col")
    folder = fitting.checkpoint_dir(saving.checkpoint_dir) if saving else None
    more = {
        "implicitPrefs": implicit or None,
        "userCol": ratings.user,
        "itemCol": ratings.item,
        "ratingCol": ratings.rating or "",
        "checkpointDir": folder,
        "checkpointInterval": saving.checkpoint_interval if saving and folder else None,
    }
    return _estimator(choices, sets, more)


def _hint_at_large_counts(ratings: Ratings) -> None:
    if ratings.rating is None or kind_of(ratings.frame) != "pandas":
        return
    largest = float(ratings.frame[ratings.rating].max())
    if largest > LARGE_COUNT:
        say(
            f"The counts go up to {largest:,.0f}: --rating-col none, by which each row counts 1, often does better; "
            "'daskals evaluate' tells"
        )


def fit_and_save(
    source: str,
    place: str,
    test: str | None,
    options: ReadingOptions,
    choices: ModelOptions,
    saving: Saving,
    client: Client | None,
) -> tuple[ALSModel, dict[str, Any]]:
    """Read, fit, save. The model's directory comes into place when all of it is written."""
    if client is not None:
        wait_for_workers(client, saving.workers, _seconds(saving.patience))
    reading = options.reading()
    ratings = read_ratings(source, reading)
    als = estimator_for(ratings, choices, saving)
    held_out = None
    if test is not None:
        held_out = read_ratings(test, reading, prefer=(ratings.user, ratings.item)).called(ratings.user, ratings.item)
    order = fitting.Order(als, place, overwrite=True, resume=bool(als.getCheckpointDir()))
    say(f"Fitting {described(als)}")
    model, report = fitting.run(order, ratings, held_out, client)
    remember(place, source, reading)
    return model, {**report, **sizes(model)}


def _seconds(text: str | None) -> float | None:
    from dask.utils import parse_timedelta

    try:
        return None if text is None else float(parse_timedelta(text))
    except (KeyError, ValueError):
        raise click.BadParameter(f"{text!r} is no time; write it as 90s, 30m or 2h", param_hint="--patience") from None


def described(als: ALS) -> str:
    """What is fitted, in a few words."""
    kind = "implicit feedback" if als.getImplicitPrefs() else "ratings"
    more = ", biases" if als.getBiases() else ""
    if kernels.backend == "numpy" and not os.environ.get("DASKALS_KERNELS"):
        more += " (in plain NumPy; after pip install 'daskals[fast]' it takes a fraction of the time)"
    return f"{kind}: rank {als.getRank()}, {als.getMaxIter()} iterations, regularisation {als.getRegParam():g}{more}"


def sizes(model: ALSModel) -> dict[str, int]:
    """How many users and items there are."""
    factors = {"users": model.userFactors, "items": model.itemFactors}
    return {name: len(frame) for name, frame in factors.items()}


def report_fit(model: ALSModel, report: Mapping[str, Any], as_json: bool) -> None:
    """Tell what was fitted, and what to do next."""
    if as_json:
        show_json(report)
        return
    error = ""
    if report.get("trainingRmse") is not None:
        error = f"; training RMSE {report['trainingRmse']:.4f}"
    if "rmse" in report:
        error += f", {report['rmse']:.4f} on the test ratings"
    users, items = in_words(report["users"], "user"), in_words(report["items"], "item")
    click.echo(f"Model of {users} and {items} in {report['model']} ({report['seconds']:.1f} s{error})")
    say(f"Next: daskals recommend {shlex.quote(report['model'])} --user {first_id(model)}")


def first_id(model: ALSModel) -> str:
    """An id of a user, for examples, as a shell takes it."""
    head = model.userFactors.head(1)
    return shlex.quote(str(head["id"].iloc[0]))
