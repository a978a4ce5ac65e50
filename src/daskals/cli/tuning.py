"""A grid of parameters, each combination measured, and the best one fitted to all ratings."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click
import pandas as pd

from daskals.blocks.ranking import RANKING_METRICS
from daskals.cli import fitting
from daskals.cli.models import remember
from daskals.cli.options import ModelOptions, ReadingOptions
from daskals.cli.reading import Ratings, read_ratings
from daskals.cli.sources import reachable
from daskals.cli.steps import estimator_for, first_id, told_of_als
from daskals.cli.talking import in_words, say, show_json
from daskals.cli.writing import aligned
from daskals.evaluation import RankingEvaluator, RegressionEvaluator
from daskals.params.param import ParamMap
from daskals.recommendation import ALS
from daskals.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit

if TYPE_CHECKING:
    from daskals.cli.tune_command import Search

#: What is tried where nobody says.
USUAL = ("rank=8,16,32", "regParam=0.03,0.1,0.3")
ERRORS = ("rmse", "mse", "mae", "r2")


def tune(
    source: str, place: str, search: Search, options: ReadingOptions, choices: ModelOptions, *, as_json: bool
) -> None:
    """Try, tell, save the best."""
    reading = options.reading()
    ratings = read_ratings(source, reading)
    als = estimator_for(ratings, choices).setColdStartStrategy("drop")
    grid = grid_of(als, search.grid or USUAL)
    evaluator = evaluator_of(search, ratings, implicit=als.getImplicitPrefs())
    metric = evaluator.getMetricName()
    how = f"in {search.folds} folds" if search.folds else f"on {search.fraction:.0%} of the ratings, held out"
    names = " and ".join(param.name for param in grid[0])
    say(f"Trying {in_words(len(grid), 'combination')} of {names}, measured by {metric} {how}")
    parts = {"estimator": als, "estimatorParamMaps": grid, "evaluator": evaluator}
    with ratings.naming_faults():
        if search.folds:
            crossed = CrossValidator(**parts, numFolds=search.folds).fit(ratings.frame)
            model, metrics, best = crossed.bestModel, crossed.avgMetrics, crossed.bestParams
        else:
            halved = TrainValidationSplit(**parts, trainRatio=1 - search.fraction).fit(ratings.frame)
            model, metrics, best = halved.bestModel, halved.validationMetrics, halved.bestParams
    model.write().overwrite().save(reachable(place))
    remember(place, source, reading)
    tried = [
        {**{param.name: value for param, value in each.items()}, metric: score}
        for each, score in zip(grid, metrics, strict=True)
    ]
    tried.sort(key=lambda each: each[metric], reverse=evaluator.isLargerBetter())
    if as_json:
        show_json({"metric": metric, "tried": tried, "best": best, "model": place})
        return
    click.echo(aligned(pd.DataFrame(tried)))
    click.echo(f"Best: {', '.join(map(_shown, best.items()))}; fitted to all ratings, in {place}")
    say(f"Next: daskals recommend {shlex.quote(place)} --user {first_id(model)}")


def _shown(pair: tuple[str, Any]) -> str:
    name, value = pair
    return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"


def grid_of(als: ALS, given: tuple[str, ...]) -> list[ParamMap]:
    """The combinations in several NAME=V1,V2; `click.BadParameter` for what ALS does not take."""
    builder = ParamGridBuilder()
    try:
        for text in given:
            name, _, values = text.partition("=")
            pairs = [fitting.set_parameter(f"{name}={value}") for value in values.split(",")]
            builder.addGrid(als.getParam(name), [value for _, value in pairs])
        grid = builder.build()
        for each in grid:
            als.copy(each).validate()
    except (TypeError, ValueError) as error:
        raise click.BadParameter(told_of_als(error), param_hint="--grid") from None
    return list(grid)


def check_search(search: Search) -> None:
    """Faults of the command line, told before a file is read, and before one looks where the model is to go."""
    grid_of(ALS(), search.grid or USUAL)
    if search.metric is not None and search.metric not in (*ERRORS, *RANKING_METRICS):
        raise click.BadParameter(
            f"there is no metric {search.metric!r}; the metrics are {', '.join((*ERRORS, *RANKING_METRICS))}",
            param_hint="--metric",
        )


def evaluator_of(search: Search, ratings: Ratings, *, implicit: bool) -> Any:
    """What measures predictions or lists, by the name of the metric."""
    name = search.metric or ("ndcgAtK" if implicit else "rmse")
    if name in ERRORS:
        if ratings.rating is None:
            raise click.UsageError(f"--metric {name} needs a column of ratings")
        return RegressionEvaluator(labelCol=ratings.rating, metricName=name)
    return RankingEvaluator(
        metricName=name, k=search.number, labelCol=ratings.rating or "label", relevantFrom=search.relevant_from
    )
