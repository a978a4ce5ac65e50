"""How good a model is: errors of predicted ratings beside the mean, or lists beside the most popular items."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import pandas as pd

from daskals.cli import fitting
from daskals.cli.models import like_model, ratings_of, saved_at
from daskals.cli.options import ModelOptions, ReadingOptions
from daskals.cli.reading import Ratings, read_ratings
from daskals.cli.sources import is_model, reachable
from daskals.cli.steps import described, estimator_for
from daskals.cli.talking import in_words, say, show_json
from daskals.cli.writing import aligned
from daskals.datasets import randomSplit
from daskals.evaluation import RegressionEvaluator, rankingReport
from daskals.io.frames import Frame, kind_of
from daskals.recommendation import ALSModel

if TYPE_CHECKING:
    from daskals.cli.evaluate_command import Measure

WHY = "Give --ratings FILE: what users had in the fit is no recommendation"


class Trial(NamedTuple):
    """A model, and ratings that it has not seen."""

    model: ALSModel
    #: what it was fitted to; None where that is not needed
    train: Ratings | None
    test: Ratings
    #: whether lists are measured, rather than errors
    ranking: bool


def evaluate(
    source: str, test: str | None, measure: Measure, options: ReadingOptions, choices: ModelOptions, *, as_json: bool
) -> None:
    """Measure, and tell."""
    if is_model(source):
        trial = _saved(source, test, measure, options)
    else:
        trial = _fitted(source, test, measure, options, choices)
    report = _lists(trial, measure.number) if trial.ranking else _errors(trial)
    if as_json:
        show_json(report)
    elif trial.ranking:
        table = pd.DataFrame(report["metrics"])
        click.echo(aligned(table.reset_index(names=f"first {measure.number}")))
        scores = {name: metrics["ndcgAtK"] for name, metrics in report["metrics"].items()}
        other = max(("most popular", "random"), key=lambda name: scores[name])
        if scores["model"] <= scores[other]:
            what = "the most popular items" if other == "most popular" else "random items"
            say(f"These lists are no better than {what}: {_advice(trial)}")
    else:
        _tell_errors(report)


def _advice(trial: Trial) -> str:
    parent = trial.model.parent
    if parent is not None and not parent.getImplicitPrefs():
        return "it is made to predict ratings; for lists try --implicit, with --rating-col none too"
    return "try --rating-col none (counts in the thousands drown the others), another --alpha, or 'daskals tune'"


# ---- which model, and which ratings ----------------------------------------------------------------------


def _saved(source: str, test: str | None, measure: Measure, options: ReadingOptions) -> Trial:
    if test is None:
        raise click.UsageError(f"{source} is a model: name a file of ratings that it has not seen, as TEST")
    saved = saved_at(source)
    ranking = bool(saved.implicit) if measure.ranking is None else measure.ranking
    reading = options.reading()
    train = ratings_of(saved, measure.ratings, reading, why=WHY) if ranking else None
    held_out = like_model(saved, test, reading, rated=not ranking)
    if not ranking and held_out.rating is None:
        raise ValueError(f"{test} has no column of ratings, with which predictions could be compared")
    return Trial(ALSModel.load(reachable(source), frames="pandas"), train, held_out, ranking)


def _fitted(source: str, test: str | None, measure: Measure, options: ReadingOptions, choices: ModelOptions) -> Trial:
    reading = options.reading()
    ratings = read_ratings(source, reading)
    als = estimator_for(ratings, choices)
    ranking = als.getImplicitPrefs() if measure.ranking is None else measure.ranking
    if test is not None:
        held_out = read_ratings(test, reading, prefer=(ratings.user, ratings.item))
        train, held_out = ratings, held_out.called(ratings.user, ratings.item)
    else:
        frames = randomSplit(ratings.frame, [1 - measure.fraction, measure.fraction], measure.split_seed)
        train, held_out = (_with(ratings, frame) for frame in frames)
    say(f"Fitting {described(als)}; held out: {test or format(measure.fraction, 'g')}")
    model, _ = fitting.run(fitting.Order(als), train)
    return Trial(model, train, held_out, ranking)


def _with(ratings: Ratings, frame: Frame) -> Ratings:
    held = frame if kind_of(frame) == "pandas" else frame.persist()
    if not len(held):
        raise ValueError("no ratings are left in one of the two parts: there are too few of them; change --fraction")
    return replace(ratings, frame=held)


# ---- measures --------------------------------------------------------------------------------------------


def _errors(trial: Trial) -> dict[str, Any]:
    test, model = trial.test, trial.model
    label = str(test.rating)
    with test.naming_faults():
        predicted = model.transform(test.frame, {model.coldStartStrategy: "drop"})
        known = len(predicted)
    report: dict[str, Any] = {"ratings": len(test.frame), "known": known}
    if not known:
        raise ValueError("no user and item of the held-out ratings is known to the model: nothing can be measured")
    for metric in ("rmse", "mae"):
        report[metric] = RegressionEvaluator(labelCol=label, metricName=metric).evaluate(predicted)
    source = trial.train or test
    mean = source.frame[str(source.rating)].mean()
    mean = float(mean if kind_of(source.frame) == "pandas" else mean.compute())
    guess = predicted.assign(prediction=mean)
    report["mean"] = mean
    report["rmseOfMean"] = RegressionEvaluator(labelCol=label, metricName="rmse").evaluate(guess)
    return report


def _tell_errors(report: dict[str, Any]) -> None:
    known, total = report["known"], report["ratings"]
    unknown = f" ({total - known:,} more have a user or an item that the model does not know)" if total > known else ""
    click.echo(f"RMSE {report['rmse']:.4f}, MAE {report['mae']:.4f} on {in_words(known, 'rating')}{unknown}")
    click.echo(f"Guessing the mean, {report['mean']:.2f}, each time: RMSE {report['rmseOfMean']:.4f}")
    if report["rmse"] >= report["rmseOfMean"]:
        say("This model is no better than the mean: try --biases, a larger --reg, a lower --rank, or 'daskals tune'")


def _lists(trial: Trial, number: int) -> dict[str, Any]:
    assert trial.train is not None
    with trial.train.naming_faults(), trial.test.naming_faults():
        report = rankingReport(trial.model, trial.train.frame, trial.test.frame, number)
    return {"k": number, "metrics": {str(name): dict(row) for name, row in report.T.to_dict().items()}}
