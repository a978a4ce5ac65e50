"""Options that several commands have, each group gathered to one value."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import click

from daskals.cli.talking import TYPED

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]
#: The key of click's context under which it is kept whether errors are shown with their traceback.
TRACEBACK = "daskals.traceback"


#: Under which heading of the help the options of these names stand.
HEADINGS: dict[str, str] = {"traceback": "How it runs"}


def gathered(
    make: Callable[..., Any], name: str, options: Sequence[Decorator], heading: str | None = None
) -> Decorator:
    """Options whose values come to the command as one, a dataclass whose fields are called like the options.

    In the help they stand under a heading of their own, if there is one.
    """
    names = [field.name for field in fields(make)]  # type: ignore[arg-type]
    if heading is not None:
        HEADINGS.update(dict.fromkeys(names, heading))

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def call(**given: Any) -> Any:
            values = {each: given.pop(each) for each in names}
            return function(**given, **{name: make(**values)})

        made: Command = call
        for option in reversed(options):
            made = option(made)
        return made

    return decorate


class Sectioned(click.Command):
    """A command whose help has its options under headings, those of its own first."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; what was typed is kept, for messages that say what to type in its place."""
        ctx.meta[TYPED] = [*ctx.command_path.split(), *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(HEADINGS.get(str(param.name), "Options"), []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records, col_max=26)


# ---- how it runs -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Running:
    """Where the work is done, and how the result is told."""

    scheduler: str | None
    progress: bool | None
    as_json: bool


def _remember(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.meta[TRACEBACK] = context.meta.get(TRACEBACK, False) or value


@dataclass(frozen=True)
class Telling:
    """How the result is told, where nothing is run on Dask."""

    as_json: bool


_tell = [
    click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document."),
    click.option(
        "--traceback",
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Show where an error came from. [env: DASKALS_DEBUG=1]",
    ),
]
_where = [
    click.option(
        "--scheduler",
        metavar="WHERE",
        help="Where to work: threads (the default), threads:N, processes:N, tcp://HOST:PORT, or a scheduler file.",
    ),
    click.option("--progress/--no-progress", default=None, help="Show progress (default: in a terminal)."),
]
running = gathered(Running, "running", [*_where, *_tell], "How it runs")
telling = gathered(Telling, "running", _tell, "How it runs")


# ---- which file ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReadingOptions:
    """What somebody says of a file of ratings."""

    user_col: str | None
    item_col: str | None
    rating_col: str | None
    sep: str | None
    header: bool | None
    encoding: str | None
    text_ids: bool

    def reading(self, text_ids: frozenset[str] = frozenset()) -> Any:
        """The same, as `daskals.cli.reading` takes it; ``text_ids`` are text in any case."""
        from daskals.cli.reading import Reading

        all_text = frozenset({"user", "item"}) if self.text_ids else text_ids
        sep = _SEPARATORS.get(self.sep or "", self.sep)
        return Reading(self.user_col, self.item_col, self.rating_col, sep, self.header, self.encoding, all_text)


_SEPARATORS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}

reading = gathered(
    ReadingOptions,
    "options",
    [
        click.option("--user-col", metavar="COL", help="Column of users, by name or number from 1 (default: guessed)."),
        click.option("--item-col", metavar="COL", help="Column of items (default: guessed)."),
        click.option(
            "--rating-col",
            metavar="COL",
            help="Column of ratings or counts; none: each row counts 1 (default: guessed).",
        ),
        click.option("--sep", metavar="SEP", help="Separator: tab, comma, semicolon, '|', '::' (default: guessed)."),
        click.option("--header/--no-header", default=None, help="Whether the first line has names (default: guessed)."),
        click.option("--encoding", metavar="NAME", help="Such as utf-8, latin-1, utf-16 (default: guessed)."),
        click.option("--text-ids", is_flag=True, help="Take ids as text even if all are whole numbers."),
    ],
    "The file of ratings, if it is guessed wrongly",
)


# ---- which model -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelOptions:
    """Parameters of `ALS`; None where somebody does not say."""

    rank: int | None
    iterations: int | None
    reg: float | None
    implicit: bool | None
    alpha: float | None
    biases: bool | None
    seed: int | None
    sets: tuple[str, ...]

    def given(self) -> list[str]:
        """The options that somebody gave, as he wrote them, but for other names of the same."""
        numbers = {"--rank": self.rank, "--iterations": self.iterations, "--reg": self.reg}
        found = [
            name for name, value in {**numbers, "--alpha": self.alpha, "--seed": self.seed}.items() if value is not None
        ]
        for value, yes, no in (
            (self.implicit, "--implicit", "--explicit"),
            (self.biases, "--biases", "--no-biases"),
        ):
            found += [] if value is None else [yes if value else no]
        return [*found, *(["--set"] if self.sets else [])]


def parameter_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the name in NAME=VALUE."""
    from click.shell_completion import CompletionItem

    from daskals.recommendation import ALS

    return [
        CompletionItem(f"{param.name}=", help=param.doc)
        for param in ALS().params
        if param.name.lower().startswith(incomplete.lower())
    ]


model_parameters = gathered(
    ModelOptions,
    "choices",
    [
        click.option("--rank", type=int, metavar="N", help="Number of factors (default: 10)."),
        click.option("--iterations", "--max-iter", type=int, metavar="N", help="Number of iterations (default: 10)."),
        click.option("--reg", type=float, metavar="X", help="Regularisation (default: 0.1)."),
        click.option(
            "--implicit/--explicit",
            default=None,
            help="Ratings count what users did, such as plays / are opinions, such as stars (default: guessed).",
        ),
        click.option("--alpha", type=float, metavar="X", help="With --implicit: trust in a count of 1 (default: 1)."),
        click.option("--biases/--no-biases", default=None, help="With --explicit: predict a mean and two biases too."),
        click.option("--seed", type=int, metavar="N", help="Seed of the start values (default: fixed)."),
        click.option(
            "--set",
            "sets",
            multiple=True,
            metavar="NAME=VALUE",
            shell_complete=parameter_names,
            help="Any other parameter of ALS, such as solver=cg; may be repeated. 'daskals params' lists them.",
        ),
    ],
    "The model",
)


# ---- which titles ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TitleOptions:
    """A second table that has names for the ids of items."""

    titles: str | None
    titles_columns: str | None


titles = gathered(
    TitleOptions,
    "naming",
    [
        click.option("--titles", metavar="FILE", help="A second table, with the titles of items."),
        click.option(
            "--titles-columns", metavar="ID,TITLE", help="Its columns, by names or numbers from 1 (default: guessed)."
        ),
    ],
)


# ---- long fits -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Saving:
    """How a fit outlives what may stop it."""

    checkpoint_dir: str | None
    checkpoint_interval: int
    workers: int
    patience: str | None


checkpoints = gathered(
    Saving,
    "saving",
    [
        click.option(
            "--checkpoint-dir", metavar="DIR", help="For checkpoints; the same command goes on from the newest of them."
        ),
        click.option(
            "--checkpoint-interval",
            type=click.IntRange(1),
            default=5,
            metavar="N",
            show_default=True,
            help="Iterations between them.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(1),
            default=1,
            metavar="N",
            show_default=True,
            help="On a cluster: worker processes to wait for.",
        ),
        click.option("--patience", metavar="TIME", help="How long to wait for them, such as 2h (default: for ever)."),
    ],
    "Long fits",
)
