"""An interrupt (Ctrl-C) that comes at a bad moment is not lost.

Python raises ``KeyboardInterrupt`` in whatever the main thread does just then. Where that is a finalizer, such as the
one by which a future of a cluster is forgotten, nobody can catch it: Python prints "Exception ignored in", and goes on.
A fit drops futures in each half-step: of some 170 interrupts of a small fit two were lost so, and it went on.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from daskals.execution.shared_context import SharedContext

_lost = threading.Event()


@contextmanager
def _hooked() -> Iterator[None]:
    """A context in which Python tells us of interrupts that it ignores, and nobody else."""
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            _lost.set()
        else:
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        if sys.unraisablehook is hook:
            sys.unraisablehook = before


_hook = SharedContext(_hooked)


@contextmanager
def remembered() -> Iterator[None]:
    """A context in which an interrupt that is lost is raised again: by the next `check`, or at the end."""
    with _hook:
        try:
            yield
        except BaseException:
            _forget()  # this ends already
            raise
        check()


def check() -> None:
    """``KeyboardInterrupt`` if one was lost. Only the main thread is interrupted, and only there it is raised again."""
    if _forget():
        raise KeyboardInterrupt


def _forget() -> bool:
    """Whether an interrupt was lost that is this thread's; it counts no more."""
    if not _lost.is_set() or threading.current_thread() is not threading.main_thread():
        return False
    _lost.clear()
    return True
