"""``daskals recommend``."""

from __future__ import annotations

from dataclasses import dataclass

import click

from daskals.cli.options import (
    ModelOptions,
    ReadingOptions,
    Running,
    Sectioned,
    TitleOptions,
    gathered,
    model_parameters,
    reading,
    running,
    titles,
)


@dataclass(frozen=True)
class Wish:
    """What is to be recommended, and to whom."""

    user: tuple[str, ...]
    number: int
    ratings: str | None
    exclude_seen: bool
    min_support: int | None
    save: str | None
    out: str | None


wish = gathered(
    Wish,
    "wish",
    [
        click.option("-u", "--user", multiple=True, metavar="ID", help="To this user alone; may be repeated."),
        click.option(
            "-n",
            "--number",
            type=click.IntRange(1),
            default=10,
            show_default=True,
            metavar="N",
            help="Items for a user.",
        ),
        click.option("-o", "--out", metavar="FILE", help="Write to .csv, .tsv, .jsonl or .parquet (default: print)."),
        click.option(
            "--exclude-seen/--include-seen",
            default=True,
            show_default=True,
            help="Whether items that a user has rated already are left out.",
        ),
        click.option(
            "--ratings",
            metavar="FILE",
            help="What users have rated already (default: the file the model was fitted to).",
        ),
        click.option(
            "--min-support",
            type=click.IntRange(1),
            metavar="N",
            help="Only items with so many ratings (default: chosen for stars, and told; 1 takes all).",
        ),
        click.option("--save", metavar="MODEL", help="Where SOURCE is ratings: keep the model that is fitted to them."),
    ],
)


@click.command(name="recommend", cls=Sectioned, short_help="The best items for users, from a model or from ratings.")
@click.argument("source")
@wish
@titles
@reading
@model_parameters
@running
def command(
    source: str,
    wish: Wish,
    naming: TitleOptions,
    options: ReadingOptions,
    choices: ModelOptions,
    running: Running,
) -> None:
    """Recommend items to all users, or to some.

    SOURCE is a model that 'daskals fit' or Spark saved, or a file of ratings, to which a model is fitted first. Items
    that a user has rated are left out. The result has a row for each recommendation: user, rank, item, score.

    \b
    Examples:
        daskals recommend ratings.csv --out recommendations.csv
        daskals recommend ratings.model --user 42 --titles movies.csv
        daskals recommend ratings.model -n 20 --min-support 5 --out recommendations.parquet
        daskals recommend spark-model --ratings ratings.csv --user 42
    """
    from daskals.cli.recommending import recommend
    from daskals.cli.scheduler import on_scheduler
    from daskals.cli.steps import check_choices
    from daskals.cli.titling import check_titles
    from daskals.cli.writing import check_new, check_target

    check_target(wish.out)
    check_choices(choices, source)
    check_titles(naming)
    if wish.save is not None:
        check_new(wish.save, overwrite=False)
    with on_scheduler(running.scheduler, running.progress):
        recommend(source, wish, naming, options, choices, as_json=running.as_json)
