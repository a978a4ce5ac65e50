"""What every public call opens for itself and all that it calls: its progress is shown, or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from daskals import progress
from daskals.execution.compilations import news_of
from daskals.execution.in_force import client_of, get_in_force
from daskals.execution.interrupts import remembered
from daskals.execution.seceding import is_in_task, seceded
from daskals.execution.settings import read_setting


def showing(verbose: bool | None) -> AbstractContextManager[Any]:
    """The context of a public call: progress is shown in it, or not, as ``verbose`` says, the keyword of public calls.

    An interrupt that comes in it is not lost (`daskals.execution.interrupts`).

    None follows what the caller of the caller has decided, and else the configuration (``daskals.progress``).
    ``TypeError`` for anything else than None, True and False.
    """
    if verbose is not None and not isinstance(verbose, bool):
        raise TypeError(
            f"verbose must be True, False or None, got {verbose!r}. None follows the configuration daskals.progress."
        )
    if verbose is None and progress.is_decided():
        return remembered()
    return _showing(read_setting("progress") if verbose is None else verbose)


@contextmanager
def _showing(how: Any) -> Iterator[None]:
    # a task leaves its worker's threads for the whole call: coming back after each wait would mean to queue each time
    waits = is_in_task() and client_of(get_in_force()) is not None
    with remembered(), seceded() if waits else nullcontext(), progress.showing(how) as display:
        client = None if display is None else client_of(get_in_force())
        with news_of(client) if client is not None else nullcontext():
            yield
