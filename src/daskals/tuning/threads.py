"""Calling a function from several threads."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def in_threads(function: Callable[[Any], T], arguments: Sequence[Any], n_threads: int) -> list[T]:
    """The function of each argument, from ``n_threads`` threads that see what this one sees.

    Dask's configuration is global, and so is the default client; one made current by ``client.as_current()`` is
    a context variable, which a new thread would not have. After an error no further call is begun.
    """
    if n_threads == 1:
        return [function(each) for each in arguments]
    contexts = [contextvars.copy_context() for _ in arguments]
    with ThreadPoolExecutor(min(n_threads, len(arguments)), "daskals-tuning") as pool:
        return list(pool.map(lambda context, each: context.run(function, each), contexts, arguments))
