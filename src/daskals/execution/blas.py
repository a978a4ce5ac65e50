"""How many threads BLAS uses in this process."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from daskals import kernels
from daskals.execution.shared_context import SharedContext

try:
    import threadpoolctl
except ImportError:  # the extra "fast"
    threadpoolctl = None


@functools.cache
def _controller() -> Any:
    # made once, since finding the libraries takes as long as a small half-step; those that we call must be loaded by
    # now, and SciPy's comes with the kernels, which are chosen when one of their names is first read
    _ = kernels.backend
    return threadpoolctl.ThreadpoolController()


def _limit() -> AbstractContextManager[Any]:
    if threadpoolctl is None:
        return nullcontext()
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit


#: While anybody is inside this context, BLAS has one thread in this process. Without threadpoolctl it does nothing.
one_blas_thread = SharedContext(_limit)
