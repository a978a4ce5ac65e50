"""``daskals params``."""

from __future__ import annotations

import click

#: Parameters that other options set.
SET_BY_OPTIONS = {
    "rank": "--rank",
    "maxIter": "--iterations",
    "regParam": "--reg",
    "implicitPrefs": "--implicit",
    "alpha": "--alpha",
    "biases": "--biases",
    "seed": "--seed",
    "userCol": "--user-col",
    "itemCol": "--item-col",
    "ratingCol": "--rating-col",
    "checkpointDir": "--checkpoint-dir",
    "checkpointInterval": "--checkpoint-interval",
}


@click.command(name="params", short_help="List all parameters of ALS, for --set and --grid.")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print them as one JSON document.")
def command(name: str | None, as_json: bool) -> None:
    """List all parameters of ALS, or explain the one called NAME.

    \b
    Examples:
        daskals params
        daskals params regExponent
        daskals fit ratings.csv --set regExponent=0 --set solver=cg
    """
    from daskals.cli.steps import told_of_als
    from daskals.cli.talking import show_json
    from daskals.recommendation import ALS

    als = ALS()
    try:
        params = als.params if name is None else [als.getParam(name)]
    except ValueError as error:
        raise click.UsageError(told_of_als(error)) from None
    if as_json:
        show_json([{"name": each.name, "doc": each.doc, "default": each.default} for each in params])
        return
    for each in params:
        option = f", option {SET_BY_OPTIONS[each.name]}" if each.name in SET_BY_OPTIONS else ""
        default = "not set" if each.default in (None, "") else f"default {str(each.default).lower()}"
        click.echo(f"{each.name} ({default}{option})")
        click.echo(f"    {each.doc}")
