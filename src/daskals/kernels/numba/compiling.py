"""How functions are compiled: without Python's lock, and once for all processes where there is room for a cache."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from numba import njit
from numba.core import event

from daskals.kernels import compilations

_logger = logging.getLogger("daskals")
#: All liberties with the order of sums, but no "nnan": a NaN pivot must be seen.
_FASTMATH = {"contract", "reassoc", "nsz", "arcp"}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile arithmetic whose sums may be taken in any order. Divisions by zero give infinities, not errors."""
    return _compile(function, error_model="numpy", fastmath=_FASTMATH)


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, for a function that only compiled ones call: it cannot be called from Python.

    Nothing is made for calls from elsewhere, and nothing is kept, since the code is part of what its callers keep: the
    first fit on a machine is compiled in less time.
    """
    wrappers = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    kernel: Callable[..., Any] = njit(nogil=True, error_model="numpy", fastmath=_FASTMATH, **wrappers)(function)
    return kernel


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, for a function of many arrays that is called for every row: a call costs 0.2 microseconds."""
    return _compile(function, error_model="numpy", fastmath=_FASTMATH, forceinline=True)


def compiled_exactly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile arithmetic of which every bit matters."""
    return _compile(function)


def _compile(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    try:
        kernel: Callable[..., Any] = njit(nogil=True, cache=True, **options)(function)
    except RuntimeError as error:  # "cannot cache function ...: no locator available for file ..."
        if "cache" not in str(error):
            raise
        _tell_that_nothing_is_kept()
        kernel = njit(nogil=True, **options)(function)
    return kernel


class _Compilations(event.Listener):  # type: ignore[misc]
    """Passes on what Numba tells: that it found no kept code of one of our functions and begins to compile."""

    def on_start(self, event: Any) -> None:
        """Numba begins."""
        self._tell(event, 1)

    def on_end(self, event: Any) -> None:
        """Numba has ended, or failed."""
        self._tell(event, -1)

    def _tell(self, event: Any, change: int) -> None:
        if event.data["dispatcher"].py_func.__module__.startswith(__name__.rpartition(".")[0]):
            compilations.tell(change, not _tell_that_nothing_is_kept.cache_info().currsize)


event.register("numba:compile", _Compilations())


@cache
def _tell_that_nothing_is_kept() -> None:
    """Say it once in a process."""
    _logger.warning(
        "Compiled kernels cannot be kept: neither daskals' folder nor the user's cache folder is writable. Each "
        "process compiles them again, which can take a minute. Set NUMBA_CACHE_DIR to a folder that is writable."
    )
