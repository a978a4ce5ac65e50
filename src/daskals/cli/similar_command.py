"""``daskals similar``."""

from __future__ import annotations

import click

from daskals.cli.options import Sectioned, Telling, TitleOptions, telling, titles


@click.command(name="similar", cls=Sectioned, short_help="The items most like an item, or users like a user.")
@click.argument("model")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("-n", "--number", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="How many.")
@click.option("--users", is_flag=True, help="The IDs are those of users.")
@click.option("--metric", type=click.Choice(["cosine", "dot"]), default="cosine", show_default=True, help="Of factors.")
@click.option("--min-support", type=click.IntRange(1), metavar="N", help="Only those with so many ratings in the fit.")
@titles
@telling
def command(
    model: str,
    ids: tuple[str, ...],
    number: int,
    users: bool,
    metric: str,
    min_support: int | None,
    naming: TitleOptions,
    running: Telling,
) -> None:
    """The items of MODEL most like each ID, by the angle between their factors.

    With --titles an ID may also be a title, or a part of one.

    \b
    Examples:
        daskals similar ratings.model 50
        daskals similar ratings.model "star wars" --titles movies.csv --min-support 20
        daskals similar ratings.model 42 --users
    """
    from daskals.cli.single_answers import similar

    similar(model, ids, number, metric, min_support, naming, users=users, as_json=running.as_json)
