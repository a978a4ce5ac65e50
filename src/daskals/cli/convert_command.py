"""``daskals convert``."""

from __future__ import annotations

import click

from daskals.cli.options import Sectioned, Telling, telling


@click.command(
    name="convert", cls=Sectioned, short_help="Turn a model into NumPy's arrays or Parquet tables, and back."
)
@click.argument("source")
@click.argument("target", required=False)
@click.option("--to", "kind", type=click.Choice(["numpy", "parquet", "model"]), help="What to write.")
@click.option("--overwrite", is_flag=True, help="Replace a TARGET that is there.")
@telling
def command(source: str, target: str | None, kind: str | None, overwrite: bool, running: Telling) -> None:
    """Write the factors of a model in another form.

    \b
    numpy    a copy for daskals.serving, inside of the model's own directory, which opens at once
    parquet  a folder TARGET of users.parquet and items.parquet, with columns id and features, for any other tool
    model    back: from such a folder, a directory TARGET that daskals and Spark can load

    \b
    Examples:
        daskals convert ratings.model --to numpy
        daskals convert ratings.model factors --to parquet
        daskals convert factors again.model --to model
    """
    from daskals.cli.converting import convert

    convert(source, target, kind, overwrite=overwrite, as_json=running.as_json)
