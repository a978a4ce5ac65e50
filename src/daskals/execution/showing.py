"""Whether the progress of a public call is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from dask.base import get_scheduler
from distributed import Client

from daskals import progress
from daskals.execution.compilations import news_of
from daskals.execution.settings import read_setting


def showing(verbose: bool | None) -> AbstractContextManager[Any]:
    """A context in which progress is shown, or not, as ``verbose`` says, the keyword of public calls.

    None follows what the caller of the caller has decided, and else the configuration (``daskals.progress``).
    ``TypeError`` for anything else than None, True and False.
    """
    if verbose is not None and not isinstance(verbose, bool):
        raise TypeError(
            f"verbose must be True, False or None, got {verbose!r}. None follows the configuration daskals.progress."
        )
    if verbose is None and progress.is_decided():
        return nullcontext()
    return _showing(read_setting("progress") if verbose is None else verbose)


@contextmanager
def _showing(how: Any) -> Iterator[None]:
    with progress.showing(how) as display:
        client = None if display is None else getattr(get_scheduler(), "__self__", None)
        with news_of(client) if isinstance(client, Client) else nullcontext():
            yield
