"""Arrays as the compiled kernels want them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def plain(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Contiguous, aligned, writeable as to type: else each kind of array would compile a signature of its own."""
    array = np.require(array, dtype, ["C", "A"])
    if not array.flags.writeable:
        array = array.view()
        try:
            array.flags.writeable = True
        except ValueError:
            array = array.copy()
    return array
