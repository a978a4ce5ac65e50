"""``daskals predict``."""

from __future__ import annotations

import click

from daskals.cli.options import ReadingOptions, Running, Sectioned, reading, running


@click.command(name="predict", cls=Sectioned, short_help="Predict ratings of users for items.")
@click.argument("model")
@click.argument("pairs", required=False)
@click.option("-u", "--user", metavar="ID", help="Predict for this user, without a file.")
@click.option("-i", "--item", "items", multiple=True, metavar="ID", help="... and this item; may be repeated.")
@click.option("-o", "--out", metavar="FILE", help="Write to .csv, .tsv, .jsonl or .parquet (default: print).")
@reading
@running
def command(
    model: str,
    pairs: str | None,
    user: str | None,
    items: tuple[str, ...],
    out: str | None,
    options: ReadingOptions,
    running: Running,
) -> None:
    """Predict what users would give to items: for the rows of the file PAIRS, or for one user.

    A prediction is empty where the user or the item was not in the fit.

    \b
    Examples:
        daskals predict ratings.model pairs.csv --out predictions.csv
        daskals predict ratings.model --user 42 --item 50 --item 181
    """
    from daskals.cli.predicting import predict_one, predict_rows
    from daskals.cli.scheduler import on_scheduler
    from daskals.cli.writing import check_target

    check_target(out)
    if (pairs is None) == (user is None) or bool(items) != (user is not None):
        raise click.UsageError("name a file of PAIRS, or --user and --item")
    with on_scheduler(running.scheduler, running.progress):
        if pairs is None:
            predict_one(model, str(user), items, out, as_json=running.as_json)
        else:
            predict_rows(model, pairs, options, out, as_json=running.as_json)
