"""``daskals tune``."""

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
    parameter_names,
    reading,
    running,
)


@dataclass(frozen=True)
class Search:
    """What is tried, and how it is measured."""

    grid: tuple[str, ...]
    metric: str | None
    number: int
    relevant_from: float | None
    fraction: float
    folds: int | None


search = gathered(
    Search,
    "search",
    [
        click.option(
            "--grid",
            multiple=True,
            metavar="NAME=V1,V2,...",
            shell_complete=parameter_names,
            help="Values to try of a parameter; may be repeated. [default: rank=8,16,32 and regParam=0.03,0.1,0.3]",
        ),
        click.option(
            "--metric",
            metavar="NAME",
            help="rmse, mae, r2; or ndcgAtK, recallAtK, precisionAtK, ... (default: rmse, with --implicit ndcgAtK).",
        ),
        click.option(
            "-n", "--number", type=click.IntRange(1), default=10, show_default=True, help="The K of those metrics."
        ),
        click.option("--relevant-from", type=float, metavar="X", help="With ...AtK: the least rating of a hit."),
        click.option(
            "--fraction",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            default=0.2,
            show_default=True,
            help="Share of the ratings that are held out.",
        ),
        click.option("--folds", type=click.IntRange(2), metavar="N", help="Cross-validate, in place of --fraction."),
    ],
)


@click.command(name="tune", cls=Sectioned, short_help="Try several parameters, and save the best model.")
@click.argument("ratings")
@search
@click.option("-o", "--out", metavar="MODEL", help="Where the best model goes (default: named like the file).")
@click.option("--overwrite", is_flag=True, help="Replace a model that is there.")
@reading
@model_parameters
@running
def command(
    ratings: str,
    search: Search,
    out: str | None,
    overwrite: bool,
    options: ReadingOptions,
    choices: ModelOptions,
    running: Running,
) -> None:
    """Fit all combinations of some parameters to most of RATINGS, and measure them on the others.

    The best ones are fitted to all ratings, and that model is saved.

    \b
    Examples:
        daskals tune ratings.csv
        daskals tune ratings.csv --grid rank=16,32,64 --grid regParam=0.03,0.05,0.1 --iterations 15
        daskals tune plays.tsv --implicit --grid alpha=1,10,40 --metric recallAtK --folds 3
    """
    from daskals.cli.models import model_name
    from daskals.cli.scheduler import on_scheduler
    from daskals.cli.sources import check_no_model
    from daskals.cli.steps import check_choices
    from daskals.cli.tuning import check_search, tune
    from daskals.cli.writing import check_new

    check_no_model(ratings)
    check_choices(choices, ratings)
    check_search(search)
    place = out or model_name(ratings)
    check_new(place, overwrite=overwrite)
    with on_scheduler(running.scheduler, running.progress):
        tune(ratings, place, search, options, choices, as_json=running.as_json)
