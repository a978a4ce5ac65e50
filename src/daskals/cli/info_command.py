"""``daskals info``."""

from __future__ import annotations

import click

from daskals.cli.options import Sectioned, Telling, telling


@click.command(name="info", cls=Sectioned, short_help="Show what a saved model is.")
@click.argument("model")
@telling
def command(model: str, running: Telling) -> None:
    """Show what MODEL is: users, items, rank, the parameters of its fit, its error. All its files are checked.

    \b
    Examples:
        daskals info ratings.model
        daskals info ratings.model --json
    """
    from daskals.cli.describing import describe

    describe(model, as_json=running.as_json)
