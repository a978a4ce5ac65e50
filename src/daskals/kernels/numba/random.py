"""Normal numbers of Spark's generator, compiled: a loop as Java has it, which takes the numbers one after another.

`daskals.kernels.numpy.random` describes the generator, and gives the same bits.
"""

from __future__ import annotations

from math import log, sqrt
from typing import Any

import numpy as np

from daskals.kernels.numba.compiling import compiled_exactly
from daskals.kernels.types import Float64


@compiled_exactly
def _step(state: Any) -> Any:
    state ^= state << np.uint64(21)
    state ^= state >> np.uint64(35)
    return state ^ (state << np.uint64(4))


@compiled_exactly
def _symmetric(first: Any, second: Any) -> float:
    """A number between -1 and 1 from two states, one after the other."""
    high = (first & np.uint64((1 << 26) - 1)) << np.uint64(27)
    return 2 * (float(high + (second & np.uint64((1 << 27) - 1))) * 2.0**-53) - 1


@compiled_exactly
def _gaussians(state: Any, out: Any) -> None:
    n = 0
    while n < len(out):
        first = _step(state)
        second = _step(first)
        third = _step(second)
        state = _step(third)
        x, y = _symmetric(first, second), _symmetric(third, state)
        square = x * x + y * y
        if square >= 1 or square == 0:
            continue
        scale = sqrt(-2 * log(square) / square)
        out[n] = x * scale
        if n + 1 < len(out):
            out[n + 1] = y * scale
        n += 2


def gaussians(state: int, count: int) -> Float64:
    """The first normal numbers of the generator in this state; see `daskals.kernels.numpy.random.gaussians`."""
    out = np.empty(count)
    _gaussians(np.uint64(state), out)
    return out
