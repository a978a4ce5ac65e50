"""A scheduler of which a plan is made, without one."""

import dataclasses

from daskals.execution.settings import read_settings


@dataclasses.dataclass
class Planned:
    """A scheduler as a plan sees it: it can count how often it is asked for memory, and runs nothing."""

    settings: object
    threads: int = 4
    can_lose_results: bool = True
    #: of the smallest worker, which has four threads
    memory: float = 1e9
    asked: int = 0
    processes: int = 1

    def worker_memory(self):
        self.asked += 1
        return self.memory

    def thread_memory(self):
        self.asked += 1
        return self.memory / 4


def planned(threads=4, *, can_lose_results=True, memory=1e9, **settings):
    return Planned(dataclasses.replace(read_settings(), **settings), threads, can_lose_results, memory)
