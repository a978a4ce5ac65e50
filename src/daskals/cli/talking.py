"""What the command says: messages on stderr, results on stdout."""

from __future__ import annotations

import json
import math
import shlex
from typing import Any

import click

#: The key of click's context under which it is kept what somebody typed.
TYPED = "daskals.typed"


def say(message: str) -> None:
    """A message for the person who waits: one line on stderr."""
    click.echo(message, err=True)


def typed() -> list[str]:
    """What somebody typed, as a shell takes it, in the command that runs; nothing where none does."""
    context = click.get_current_context(silent=True)
    return [] if context is None else [shlex.quote(part) for part in context.meta.get(TYPED, [])]


def one_line(text: object) -> str:
    """A text without line breaks, as errors are told."""
    return " ".join(str(text).split())


def show_json(document: Any) -> None:
    """One JSON document on stdout. Numbers that are not finite become null, which JSON has."""
    click.echo(json.dumps(_plain(document), indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    """A value of what JSON has: NumPy's numbers as Python's, dates as text."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None  # what single precision has
    return None if str(value) in ("<NA>", "NaT") else str(value)


def in_words(number: float, of_what: str) -> str:
    """A number of things, with its noun.

    >>> in_words(1, "user"), in_words(1682, "item")
    ('1 user', '1,682 items')
    """
    return f"{number:,} {of_what}{'' if number == 1 else 's'}"
