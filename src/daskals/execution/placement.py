"""Which worker of a cluster had best run a task. Every answer is a wish: if that worker is gone, another will do."""

from __future__ import annotations

from collections.abc import Sequence

from dask.delayed import Delayed
from distributed import Client, futures_of


def preferred_workers(client: Client | None, n: int) -> list[str | None]:
    """For each of ``n`` results of about equal size, the address of the worker that had best make and hold it.

    Neighbouring results go to one worker, and each worker gets a share in proportion to its threads. All are None on a
    local scheduler and on a cluster of one worker.

    This is needed because the scheduler, left to itself, runs a task where most of its inputs are. If most ratings were
    by chance made on one worker, all half-steps of a fit would run there.
    """
    threads = client.nthreads() if client is not None else {}
    if len(threads) < 2:
        return [None] * n
    # sorted, since the order in which workers came is an accident
    places = [address for address in sorted(threads) for _ in range(threads[address])]
    return [places[number * len(places) // n] for number in range(n)]


def holders(client: Client | None, persisted: Sequence[Delayed]) -> list[str | None]:
    """For each of these tasks, the address of a worker that holds its result at this moment.

    None where no worker does; all are None on a local scheduler.
    """
    if client is None or not persisted:
        return [None] * len(persisted)
    futures = [futures_of(each)[0] for each in persisted]
    found = client.who_has(futures)
    return [min(found.get(future.key) or [""]) or None for future in futures]


def sort_by_worker(client: Client | None, persisted: Sequence[Delayed]) -> tuple[list[Delayed], list[str | None]]:
    """Persisted tasks, sorted by the address of a worker that holds each at this moment; and these addresses.

    An address is None where no worker holds the result. On a local scheduler the order stays, and all are None.
    """
    first = [holder or "" for holder in holders(client, persisted)]
    order = sorted(range(len(first)), key=first.__getitem__)
    return [persisted[n] for n in order], [first[n] or None for n in order]
