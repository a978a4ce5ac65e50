"""A display: it shows what is under way, again and again, from a thread of its own, until it is closed."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from daskals.progress.lines import Work
from daskals.progress.screens import Screen

logger = logging.getLogger("daskals")

#: Nothing is shown of what takes less than these seconds in all, so that small work does not flicker.
START_SECONDS = 0.5
#: Seconds between two pictures.
PICTURE_SECONDS = 0.25

#: How many functions are being compiled now, and whether their code is kept: by where, "" being this process.
_compiling: dict[str, tuple[int, bool]] = {}
_compiling_lock = threading.Lock()


def compiling(where: str, change: int, *, is_kept: bool) -> None:
    """Say that a function begins (1) or ends (-1) to be compiled, in this process ("") or on a worker."""
    with _compiling_lock:
        now = _compiling.pop(where, (0, True))[0] + change
        if now > 0:
            _compiling[where] = now, is_kept


def what_is_compiled() -> str:
    """Words for a line; "" if nothing is being compiled."""
    with _compiling_lock:
        if not _compiling:
            return ""
        if not all(is_kept for _, is_kept in _compiling.values()):
            return "compiling kernels"
        return f"compiling kernels, once on {'this' if '' in _compiling else 'each'} machine"


class Display:
    """Shows a tree of works on a screen. Threads may begin and end works at once."""

    def __init__(self, screen: Screen) -> None:
        self._screen: Screen | None = screen
        self._works: list[Work] = []
        self._lock = threading.Lock()
        self._opened, self._last_tick = time.monotonic(), time.monotonic()
        self._said, self._hidden = "", 0
        self._ended = threading.Event()
        # in the caller's context, by which a notebook knows below which cell to put a widget
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="daskals-progress", daemon=True)
        self._thread.start()

    # -- what works tell

    def begin(self, work: Work, parent: Work | None) -> None:
        """A work begins, as a part of another one or by itself."""
        with self._lock:
            (self._works if parent is None else parent.parts).append(work)
            if parent is None:
                self._say(work.label if work.unit or work.total is None else f"{work.label}: {work.total} {work.kind}")

    def end(self, work: Work, parent: Work | None) -> None:
        """A work has ended, in whatever way."""
        with self._lock:
            (self._works if parent is None else parent.parts).remove(work)

    def step(self, work: Work, note: str) -> None:
        """A step of a work is done."""
        with self._lock:
            work.step(note)
            if work in self._works:
                self._say(work.line("").text)

    def count(self, work: Work, done: int, total: int) -> None:
        """So many tasks of a stage are done."""
        work.done, work.total = done, total

    @contextmanager
    def aside(self) -> Iterator[None]:
        """A context in which others may write to the terminal."""
        with self._lock:
            self._hidden += 1
            self._on_screen(lambda screen: screen.clear())
        try:
            yield
        finally:
            with self._lock:
                self._hidden -= 1

    def close(self) -> None:
        """Stop, and take everything off the screen."""
        self._ended.set()
        self._thread.join()
        with self._lock:
            self._on_screen(lambda screen: screen.close())

    # -- what is shown

    def _run(self) -> None:
        pause = START_SECONDS
        while not self._ended.wait(pause):
            pause = PICTURE_SECONDS
            with self._lock:
                self._picture()

    def _picture(self) -> None:
        now, words = time.monotonic(), what_is_compiled()
        if words:
            for work in self._works:
                work.forget_seconds(now - self._last_tick)
            if words != self._said:
                self._say(f"{words[0].upper()}{words[1:]}")
        self._said, self._last_tick = words or self._said, now
        if not self._hidden:
            shown = [each for work in self._works for each in (work, *(work.parts if work.is_outer else ()))]
            lines = [work.line("" if work.is_outer else words) for work in shown]
            self._on_screen(lambda screen: screen.show(lines))

    def _say(self, text: str) -> None:
        is_due = time.monotonic() - self._opened >= START_SECONDS
        self._on_screen(lambda screen: screen.say(text, is_due=is_due))

    def _on_screen(self, do: Callable[[Screen], None]) -> None:
        """Do something with the screen. Work must not fail because its progress cannot be shown."""
        if self._screen is None:
            return
        try:
            do(self._screen)
        except Exception as error:
            logger.debug("Progress can no longer be shown: %r", error)
            self._screen = None
