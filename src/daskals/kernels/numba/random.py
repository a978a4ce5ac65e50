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
def _gaussians(state: Any, out: Any) -> None:
    low26, low27 = np.uint64((1 << 26) - 1), np.uint64((1 << 27) - 1)
    pair = np.empty(2)
    n = 0
    while n < len(out):
        for i in range(2):
            state = _step(state)
            high = (state & low26) << np.uint64(27)
            state = _step(state)
            pair[i] = 2 * (float(high + (state & low27)) * 2.0**-53) - 1
        square = pair[0] * pair[0] + pair[1] * pair[1]
        if square >= 1 or square == 0:
            continue
        scale = sqrt(-2 * log(square) / square)
        for i in range(min(2, len(out) - n)):
            out[n + i] = pair[i] * scale
        n += 2


def gaussians(state: int, count: int) -> Float64:
    """The first normal numbers of the generator in this state; see `daskals.kernels.numpy.random.gaussians`."""
    out = np.empty(count)
    _gaussians(np.uint64(state), out)
    return out
