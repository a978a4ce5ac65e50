"""Which worker of a cluster had best make or hold what. Every answer is a wish: any other worker will do."""

from __future__ import annotations

from collections.abc import Sequence

from dask.delayed import Delayed
from distributed import Client, futures_of


def preferred_workers(client: Client | None, n: int) -> list[str | None]:
    """For each of ``n`` results of about equal size, the address of the worker that had best make and hold it.

    Neighbours share a worker, and a worker gets as many as its threads can take. All are None where there is no
    choice. Left to itself the scheduler places a task where most of its inputs are. Where that is by chance the same
    worker for most of the ratings, all half-steps of a fit run there.
    """
    threads = client.nthreads() if client is not None else {}
    if len(threads) < 2:
        return [None] * n
    # sorted, since the order in which workers came is an accident
    places = [address for address in sorted(threads) for _ in range(threads[address])]
    return [places[number * len(places) // n] for number in range(n)]


def sort_by_worker(client: Client | None, persisted: Sequence[Delayed]) -> tuple[list[Delayed], list[str | None]]:
    """Persisted tasks, sorted by the worker that holds each at this moment, and those workers' addresses."""
    if client is None:
        return list(persisted), [None] * len(persisted)
    futures = [futures_of(each)[0] for each in persisted]
    holders = client.who_has(futures)
    first = [min(holders.get(future.key) or [""]) for future in futures]
    order = sorted(range(len(first)), key=first.__getitem__)
    return [persisted[n] for n in order], [first[n] or None for n in order]
