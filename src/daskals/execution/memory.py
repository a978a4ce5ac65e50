"""Giving memory that was freed in this process back to the system."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa


def release_memory() -> None:
    """Give memory that was freed in this process back to the system. Call this after much was freed.

    The C library holds on to freed arrays of up to 32 MB, and Arrow to the memory into which it read Parquet. Each can
    be as much as the ratings take themselves. (On a cluster the work is done by workers, whose nannies make them return
    memory.)
    """
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
        if trim is not None:
            trim(0)
