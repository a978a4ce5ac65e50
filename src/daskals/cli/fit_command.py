"""``daskals fit``."""

from __future__ import annotations

import click

from daskals.cli.options import (
    ModelOptions,
    ReadingOptions,
    Running,
    Saving,
    Sectioned,
    checkpoints,
    model_parameters,
    reading,
    running,
)


@click.command(name="fit", cls=Sectioned, short_help="Fit a model to a file of ratings, and save it.")
@click.argument("ratings")
@click.option("-o", "--out", metavar="MODEL", help="Where the model goes [default: named like the file, here].")
@click.option("--overwrite", is_flag=True, help="Replace a model that is there.")
@click.option("--test", metavar="FILE", help="More ratings, to measure the error with.")
@reading
@model_parameters
@checkpoints
@running
def command(
    ratings: str,
    out: str | None,
    overwrite: bool,
    test: str | None,
    options: ReadingOptions,
    choices: ModelOptions,
    saving: Saving,
    running: Running,
) -> None:
    """Fit a model to RATINGS, and save it as a directory, which Spark can load too
    where ids are integers.

    RATINGS is a file (CSV, TSV, '::', JSON lines, Parquet; also .gz), a folder, a pattern such as 'ratings-*.csv', or
    a URL.

    \b
    Examples:
        daskals fit ratings.csv
        daskals fit u.data --rank 32 --reg 0.05 --iterations 20
        daskals fit plays.tsv --implicit --alpha 10 --out songs.model
        daskals fit 'logs/*.parquet' --user-col buyer --item-col product --scheduler tcp://head:8786
    """
    from daskals.cli.models import model_name
    from daskals.cli.scheduler import on_scheduler
    from daskals.cli.sources import check_no_model
    from daskals.cli.steps import check_choices, fit_and_save, report_fit
    from daskals.cli.writing import check_new

    check_no_model(ratings)
    check_choices(choices, ratings)
    place = out or model_name(ratings)
    check_new(place, overwrite=overwrite)
    with on_scheduler(running.scheduler, running.progress) as client:
        model, report = fit_and_save(ratings, place, test, options, choices, saving, client)
        report_fit(model, report, running.as_json)
