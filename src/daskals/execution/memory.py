"""Memory that was freed in this process goes back to the system."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa


def release_memory() -> None:
    """Give back to the system what was freed in this process: to be called when much was.

    The C library keeps freed arrays of up to 32 MB for later, and Arrow what it read Parquet into; each can be as much
    as the ratings themselves. (On a cluster workers do the work, and their nannies have them return memory.)
    """
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
        if trim is not None:
            trim(0)
