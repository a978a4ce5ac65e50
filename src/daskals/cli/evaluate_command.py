"""``daskals evaluate``."""

from __future__ import annotations

from dataclasses import dataclass

import click

from daskals.cli.options import (
    ModelOptions,
    ReadingOptions,
    Running,
    Sectioned,
    gathered,
    model_parameters,
    reading,
    running,
)


@dataclass(frozen=True)
class Measure:
    """How a model is measured."""

    fraction: float
    number: int
    ranking: bool | None
    ratings: str | None
    split_seed: int


measure = gathered(
    Measure,
    "measure",
    [
        click.option(
            "--fraction",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            default=0.1,
            show_default=True,
            help="Share of the ratings that are held out, where no TEST is given.",
        ),
        click.option(
            "--ranking/--errors",
            default=None,
            help="Measure lists of recommendations / predicted ratings (default: by the kind of ratings).",
        ),
        click.option(
            "-n", "--number", type=click.IntRange(1), default=10, show_default=True, help="Length of those lists."
        ),
        click.option("--ratings", metavar="FILE", help="What the model was fitted to (default: the model knows)."),
        click.option("--split-seed", type=int, default=0, metavar="N", help="Decides which ratings are held out."),
    ],
)


@click.command(name="evaluate", cls=Sectioned, short_help="Measure how good a model is on ratings it has not seen.")
@click.argument("source")
@click.argument("test", required=False)
@measure
@reading
@model_parameters
@running
def command(
    source: str,
    test: str | None,
    measure: Measure,
    options: ReadingOptions,
    choices: ModelOptions,
    running: Running,
) -> None:
    """Measure a model on ratings that it has not seen.

    SOURCE is a model, and TEST a file of other ratings; or SOURCE is a file of ratings: some of them are held out, and
    a model is fitted to the rest. Predicted ratings are measured by their errors (RMSE, MAE), beside guessing the mean;
    recommendations from counts by how many of the held-out items are in them, beside the most popular items.

    \b
    Examples:
        daskals evaluate ratings.csv --rank 32 --reg 0.05
        daskals evaluate plays.tsv --implicit --alpha 10
        daskals evaluate ratings.model test.csv
    """
    from daskals.cli.evaluating import evaluate
    from daskals.cli.scheduler import on_scheduler
    from daskals.cli.steps import check_choices

    check_choices(choices, source)
    with on_scheduler(running.scheduler, running.progress):
        evaluate(source, test, measure, options, choices, as_json=running.as_json)
