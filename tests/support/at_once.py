"""Calls that run at the same time."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Barrier


def at_once(functions):
    """The results of functions that start at the same time in a thread each, where the current client is current."""
    together = Barrier(len(functions))

    def start(function):
        together.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as threads:
        running = [threads.submit(copy_context().run, start, function) for function in functions]
        return [each.result() for each in running]
