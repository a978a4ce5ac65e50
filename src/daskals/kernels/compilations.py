"""Who wants to know when kernels are compiled, which is once on a machine and takes long. Nothing of Numba is here."""

from __future__ import annotations

from collections.abc import Callable

#: Each is called with 1 before a function is compiled of which no code is kept, and with -1 after that; and with
#: whether its code will be kept for other processes. In the thread that compiles.
listeners: list[Callable[[int, bool], None]] = []


def tell(change: int, is_kept: bool) -> None:
    """Call all listeners."""
    for listener in listeners:
        listener(change, is_kept)
