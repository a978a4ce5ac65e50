"""``daskals demo``."""

from __future__ import annotations

import click

from daskals.cli.options import Running, Sectioned, running


@click.command(name="demo", cls=Sectioned, short_help="Fit and recommend on data that come with daskals.")
@click.argument("data", default="sample")
@running
def command(data: str, running: Running) -> None:
    """Fit a model, measure it, and recommend to three users.

    DATA is 'sample', 1,501 ratings that Apache Spark ships and daskals has with it (the default, no network needed); or
    a MovieLens data set such as ml-100k or ml-latest-small, which is downloaded once from GroupLens; or the folder of
    one that you have.

    \b
    Examples:
        daskals demo
        daskals demo ml-latest-small
    """
    from daskals.cli.demonstrating import demonstrate
    from daskals.cli.scheduler import on_scheduler

    with on_scheduler(running.scheduler, running.progress):
        demonstrate(data, as_json=running.as_json)
