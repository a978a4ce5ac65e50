"""The command ``daskals``: its commands, which are imported when they are called for, and how it ends.

It ends with 0; with 1 where the data, a file or a cluster is to blame, after one line on stderr; with 2 where the
command line is; and with 130 after Ctrl-C.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from daskals.cli.options import TRACEBACK
from daskals.cli.talking import one_line, say

#: Each command and what its module does, in the order in which a newcomer meets them.
COMMANDS = {
    "demo": "Fit and recommend on data that come with daskals.",
    "fit": "Fit a model to a file of ratings, and save it.",
    "recommend": "The best items for users, from a model or from ratings.",
    "similar": "The items most like an item, or users like a user.",
    "predict": "Predict ratings of users for items.",
    "evaluate": "Measure how good a model is on ratings it has not seen.",
    "tune": "Try several parameters, and save the best model.",
    "info": "Show what a saved model is.",
    "convert": "Turn a model into NumPy's arrays or Parquet tables, and back.",
    "params": "List all parameters of ALS, for --set and --grid.",
    "completion": "Print the script that makes a shell complete this command.",
}
INTERRUPTED, TERMINATED = 130, 143
#: Errors of a kind that only a fault of daskals brings.
_OUR_FAULT = (AttributeError, AssertionError, NameError, IndexError, KeyError, RecursionError)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used, and which tells errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None if there is none."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"daskals.cli.{cmd_name}_command")
        found: click.Command = module.command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; where a file is named first, it says what could be done with it."""
        name = args[0] if args else ""
        if name not in COMMANDS and os.path.exists(name):
            ctx.fail(f"{name} is a file, not a command; perhaps: daskals recommend {name}")
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        if near and name not in COMMANDS:
            ctx.fail(f"There is no command {name!r}; perhaps: daskals {near[0]}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``daskals --help``, without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Whatever goes wrong is told in one line, and decides the exit code."""
        try:
            with _plain_warnings():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            say("Interrupted: nothing was left half written.")
            raise click.exceptions.Exit(INTERRUPTED) from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            _tell(error, traced=ctx.meta.get(TRACEBACK, False))
            raise click.exceptions.Exit(1) from None


def _tell(error: Exception, *, traced: bool) -> None:
    if traced or os.environ.get("DASKALS_DEBUG", "") not in ("", "0"):
        traceback.print_exception(error)
        return
    text = one_line(error.args[0] if isinstance(error, KeyError) and error.args else error)
    ours = isinstance(error, _OUR_FAULT) and type(error).__module__ == "builtins"
    if ours or not text:
        text = f"{type(error).__name__}: {text} (this may be a fault of daskals; --traceback shows where it is)"
    say(f"daskals: {text}")


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Inside, what the library warns its users of is one line on stderr; other warnings are for developers."""

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        if issubclass(category, UserWarning):
            say(f"Note: {one_line(message)}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", UserWarning)
        # true of all text ids, and of interest to users of Spark alone: 'daskals info' tells them
        warnings.filterwarnings("ignore", "Spark cannot load this model")
        warnings.showwarning = show
        yield


@click.group(
    name="daskals",
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each command has a --help of its own, with examples.",
)
@click.version_option(package_name="daskals", prog_name="daskals")
def cli() -> None:
    """Recommendations from a file of ratings, by alternating least squares.

    A rating is a line such as user,item,rating: a CSV file, or Parquet or JSON lines. Which column is which
    is guessed from their names, and told.

    \b
    The shortest way from your own file to recommendations:
        daskals recommend ratings.csv --out recommendations.csv
    or in two steps, to keep the model:
        daskals fit ratings.csv
        daskals recommend ratings.model --user 42
    No file at hand:
        daskals demo
    """


def run() -> NoReturn:
    """What the script ``daskals`` and ``python -m daskals`` do."""
    # Dask runs a task on each core. A BLAS that starts threads of its own in each task makes all of them wait for each
    # other; it reads this when NumPy is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # as an exception it lets drafts be taken away
    try:
        cli.main(prog_name="daskals")
    except SystemExit as end:
        if end.code in (INTERRUPTED, TERMINATED):
            # threads may be in the middle of a task, or of compiling, for which nobody wants to wait now
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(str(end.code)))
        raise
    raise SystemExit(0)
