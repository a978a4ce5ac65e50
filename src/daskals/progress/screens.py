"""Where progress is shown: as bars of tqdm, in a terminal or a notebook, or as plain lines."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TextIO, TypeAlias

from daskals.progress.lines import Line

#: "auto": in a terminal and in a notebook
How: TypeAlias = Literal["auto"] | bool

#: Seconds between two plain lines on work that takes long and has no steps.
LINE_SECONDS = 10.0


class Screen(Protocol):
    """Something that shows lines, and can be cleared."""

    def show(self, lines: Sequence[Line]) -> None:
        """Show what is under way, in place of what was shown before."""

    def say(self, text: str, *, is_due: bool) -> None:
        """Tell that something began or is done, where that is not seen anyway; later, unless it ``is_due``."""

    def clear(self) -> None:
        """Leave the place to somebody else, who writes there, until the next `show`."""

    def close(self) -> None:
        """Leave nothing behind that would change later."""


def screen_for(how: How) -> Screen | None:
    """What is there to show progress on in this process; None for nothing."""
    file, in_notebook = sys.stderr, is_notebook()
    if how is False or file is None:
        return None
    is_terminal = not file.closed and file.isatty()
    if not (in_notebook or is_terminal or how is True):
        return None
    if in_notebook or (is_terminal and os.environ.get("TERM") != "dumb" and _width_of(file) > 0):
        bar_class = _bar_class()
        if bar_class is not None:
            return Bars(bar_class, file)
    return PlainLines(file, at_once=how is True)


def _width_of(file: TextIO) -> int:
    """The columns of a terminal. It has none where a program such as ``script`` made it, and has no screen itself."""
    try:
        return os.get_terminal_size(file.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return 80  # whoever says that it is a terminal may have no file behind it


def is_notebook() -> bool:
    """Whether this process is a kernel of Jupyter."""
    if "ipykernel.zmqshell" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


# ---- bars ------------------------------------------------------------------------------------------------


def _bar_class() -> Any:
    """A class of tqdm's bars, for this process; None where tqdm is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it chose a notebook, or is without ipywidgets and writes text there
            from tqdm.auto import tqdm
    except ImportError:
        return None

    class Bar(tqdm):  # type: ignore[misc]
        """A bar between two texts that we make."""

        monitor_interval = 0  # no thread that looks after bars: ours are drawn again and again

        def __init__(self, line: Line, file: TextIO) -> None:
            self.line = line
            form = {"bar_format": "{lead} |{bar}| {tail}", "dynamic_ncols": True, "leave": False}
            super().__init__(total=line.total or 1, initial=line.done, file=file, **form)

        @property
        def format_dict(self) -> dict[str, Any]:
            return {**super().format_dict, "lead": self.line.lead, "tail": self.line.tail}

        def change(self, line: Line) -> None:
            """Show another line."""
            if (line.total or 1) != self.total:
                self.reset(line.total or 1)  # a widget has to know too
            self.line, self.n = line, line.done
            self.refresh()

        def close(self) -> None:
            """Be gone. A widget that is not full would stay, in red."""
            self.n = self.total
            super().close()

    return Bar


class Bars:
    """A bar of tqdm for each line; none of them stays."""

    def __init__(self, bar_class: Any, file: TextIO) -> None:
        self._class, self._file = bar_class, file
        self._bars: list[Any] = []

    def show(self, lines: Sequence[Line]) -> None:
        """As `Screen.show`. A bar more or less than before begins or ends; else the same bars change."""
        for bar, line in zip(self._bars, lines, strict=False):
            bar.change(line)
        self._bars += [self._class(line, self._file) for line in lines[len(self._bars) :]]
        # the first one stays while nothing is under way, for what follows: else a widget would go and another come
        while len(self._bars) > max(1, len(lines)):
            self._bars.pop().close()

    def say(self, text: str, *, is_due: bool) -> None:
        """As `Screen.say`: it is seen anyway."""

    def clear(self) -> None:
        """As `Screen.clear`."""
        for bar in reversed(self._bars):
            bar.clear()

    def close(self) -> None:
        """As `Screen.close`."""
        while self._bars:
            self._bars.pop().close()


# ---- lines -----------------------------------------------------------------------------------------------


class PlainLines:
    """Lines one below the other, for files, for logs of jobs, and without tqdm."""

    def __init__(self, file: TextIO, *, at_once: bool) -> None:
        self._file, self._at_once = file, at_once
        self._held: list[str] = []
        self._last, self._last_time = "", time.monotonic()

    def show(self, lines: Sequence[Line]) -> None:
        """As `Screen.show`, but seldom."""
        self._write(*self._held)
        self._held = []
        text = "; ".join(line.text for line in lines[:1])
        if time.monotonic() - self._last_time >= LINE_SECONDS and text != self._last:
            self._last = text
            self._write(text)

    def say(self, text: str, *, is_due: bool) -> None:
        """As `Screen.say`."""
        if is_due or self._at_once:
            self._write(*self._held, text)
            self._held = []
        else:
            self._held.append(text)

    def _write(self, *lines: str) -> None:
        if lines:
            self._last_time = time.monotonic()
            self._file.write("".join(f"{line}\n" for line in lines))
            self._file.flush()

    def clear(self) -> None:
        """As `Screen.clear`: a line that is written stays."""

    def close(self) -> None:
        """As `Screen.close`."""
