"""``daskals completion``."""

from __future__ import annotations

import click


@click.command(name="completion", short_help="Print the script that makes a shell complete this command.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a SHELL complete commands, options and parameters.

    \b
    bash: add to ~/.bashrc
        eval "$(daskals completion bash)"
    zsh: add to ~/.zshrc
        eval "$(daskals completion zsh)"
    fish:
        daskals completion fish > ~/.config/fish/completions/daskals.fish

    The same script comes from _DASKALS_COMPLETE=bash_source daskals (or zsh_source, fish_source).
    """
    from click.shell_completion import get_completion_class

    make = get_completion_class(shell)
    assert make is not None
    click.echo(make(ctx.find_root().command, {}, "daskals", "_DASKALS_COMPLETE").source())
