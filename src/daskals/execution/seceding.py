"""Waiting from inside a task of a cluster, without a thread of its worker.

A task that fits waits for tasks of the same cluster. It holds a thread of its worker meanwhile, and where all threads
are held so, nobody runs what they wait for. So the waiting thread leaves the pool of its worker, which takes another
one in its place, and comes back afterwards: Dask's ``secede`` and ``rejoin``, as in ``distributed.worker_client``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

from distributed import rejoin, secede
from distributed.worker import thread_state


def is_in_task() -> bool:
    """Whether this thread runs a task of a cluster. (A method of an actor takes no thread from tasks.)"""
    return hasattr(thread_state, "start_time")


def seceded() -> AbstractContextManager[None]:
    """A context in which a task of a cluster holds no thread of its worker; outside of tasks it does nothing.

    Contexts may be nested, in ``distributed.worker_client`` too: the outermost one leaves and comes back. Coming back
    waits until a thread of the worker is free.

    ``RuntimeError`` that says what to do where the task runs in another executor than that of the worker's threads.
    """
    return _left() if is_in_task() else nullcontext()


@contextmanager
def _left() -> Iterator[None]:
    try:
        secede()
    except KeyError:  # somebody around us has left already, and will come back
        yield
        return
    except AttributeError:
        raise RuntimeError(
            "A task of a cluster that calls daskals waits for other tasks, and must make room for them. This one "
            "cannot, since it runs in an executor of its own (dask.annotate(executor=...), or a worker with GPUs). "
            'Submit it with dask.annotate(executor="default"); there daskals makes room, as worker_client does.'
        ) from None
    try:
        yield
    finally:
        with suppress(RuntimeError):  # the worker is being closed
            rejoin()
