"""What other packages call: a display opens, works begin, make steps and end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, NamedTuple

from daskals.progress.display import Display, compiling
from daskals.progress.lines import Work
from daskals.progress.screens import How, screen_for

__all__ = ["Steps", "aside", "compiling", "counter", "is_decided", "showing", "stage", "steps"]


class _Place(NamedTuple):
    """Where in the tree of works this context is."""

    #: None where it is decided that nothing is shown
    display: Display | None
    work: Work | None = None


#: None until somebody has decided whether something is shown.
_here: ContextVar[_Place | None] = ContextVar("daskals-progress", default=None)


def is_decided() -> bool:
    """Whether it is decided, in this context, that progress is shown, or that it is not."""
    return _here.get() is not None


@contextmanager
def showing(how: How) -> Iterator[Display | None]:
    """A context in which works are shown, or not, and which gives the display that is new, if one is.

    "auto" shows them in a terminal and in a notebook, True wherever there is a standard error, False nowhere. Where
    works are shown already it changes nothing, unless it is False.
    """
    before = _here.get()
    if before is not None and before.display is not None and how is not False:
        yield None
        return
    screen = screen_for(how)
    display = None if screen is None else Display(screen)
    token = _here.set(_Place(display))
    try:
        yield display
    finally:
        _here.reset(token)
        if display is not None:
            display.close()


class Steps:
    """A work that makes steps, as a context; `stage` is one that makes none."""

    def __init__(self, place: _Place, work: Work) -> None:
        self._place, self._work = place, work
        self._token: Any = None

    def __enter__(self) -> Steps:
        assert self._place.display is not None
        self._place.display.begin(self._work, self._place.work)
        self._token = _here.set(self._place._replace(work=self._work))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._place.display is not None
        _here.reset(self._token)
        self._place.display.end(self._work, self._place.work)

    def step(self, note: str = "") -> None:
        """One step is done; ``note`` says what is known of it. Several threads may call this."""
        assert self._place.display is not None
        self._place.display.step(self._work, note)


class _Nothing(Steps):
    """The same where nothing is shown."""

    def __init__(self) -> None:
        pass

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def step(self, note: str = "") -> None:
        pass


_NOTHING = _Nothing()


def stage(label: str, unit: str = "") -> Steps:
    """A context for one thing that is done, such as "Reading the ratings".

    With a ``unit``, such as "files", the tasks are counted that are waited for inside.
    """
    here = _here.get()
    return _NOTHING if here is None or here.display is None else Steps(here, Work(label, unit=unit))


def steps(label: str, total: int, kind: str = "steps", *, done: int = 0, is_outer: bool = False) -> Steps:
    """A context for ``total`` steps, of which some may be ``done``; call ``step`` of what it gives after each.

    ``kind`` is a word for them, such as "iterations". With ``is_outer`` what is done inside a step has its own line.
    """
    here = _here.get()
    if here is None or here.display is None:
        return _NOTHING
    return Steps(here, Work(label, total=total, done=done, kind=kind, is_outer=is_outer))


def counter(total: int) -> Callable[[int], None] | None:
    """What to call with the number of tasks that are done, of ``total``; None if nobody wants to know."""
    here = _here.get()
    if here is None or here.display is None or here.work is None or not here.work.unit or total < 2:
        return None
    display, work = here.display, here.work
    display.count(work, 0, total)
    return lambda done: display.count(work, done, total)


def aside() -> AbstractContextManager[None]:
    """A context in which others may write to the terminal: bars are gone meanwhile."""
    here = _here.get()
    return nullcontext() if here is None or here.display is None else here.display.aside()
