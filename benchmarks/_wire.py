"""Bytes between processes of this machine, as the kernel counted them on each of their connections (Linux).

Dask's workers count what they fetch from each other and nothing else. These figures also have what goes through the
scheduler and the client, headers and all. A connection that ended between two looks is not counted.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections import Counter
from typing import Any, NamedTuple

import cloudpickle
from dask.distributed import Client

# workers and the scheduler have no such module: what is called there travels by value
cloudpickle.register_pickle_by_value(sys.modules[__name__])

#: Bytes received stand so far from the beginning of Linux's tcp_info (include/uapi/linux/tcp.h), as 64 bits.
RECEIVED = 128

Endpoint = tuple[str, int]
#: (its own end, the other end)
Connection = tuple[Endpoint, Endpoint]


class Traffic(NamedTuple):
    """Bytes received since a cluster began; or the difference of two of these."""

    #: by workers from workers
    workers: float
    #: by anybody from anybody else: to and from the scheduler and the client
    others: float

    def minus(self, before: Traffic) -> Traffic:
        return Traffic(*(a - b for a, b in zip(self, before, strict=True)))

    def over(self, number: float) -> Traffic:
        return Traffic(*(each / number for each in self))


def received_here() -> dict[Connection, int]:
    """The connections of this process, and what each has received so far."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as one:
                if one.family == socket.AF_INET and one.type == socket.SOCK_STREAM:
                    info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                    key = (one.getsockname(), one.getpeername())
                    found[key] = struct.unpack_from("=Q", info, RECEIVED)[0]
        except OSError:  # it is closed, or listens only
            continue
    return found


def fetched(client: Client) -> Counter[str]:
    """Bytes that workers fetched from workers since the last call, by the kind of task that made them.

    By the workers' own logs, which keep the last transfers alone: call it often. Pieces of one message are one entry.
    """
    sums: Counter[str] = Counter()
    for each in client.run(_fetched_here).values():
        sums.update(each)
    return sums


def _fetched_here(dask_worker: Any) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for transfer in dask_worker.transfer_incoming_log:
        for key, size in transfer["keys"].items():
            sums[kind_of(key)] += size
    dask_worker.transfer_incoming_log.clear()
    return dict(sums)


def kind_of(key: Any) -> str:
    """The words of a task's name, without the token of its fit and numbers.

    >>> kind_of("als-solve-users-1a2b3c4d-12")
    'als-solve-users'
    """
    words = str(key[0] if isinstance(key, tuple) else key).split("-")
    return "-".join(word for word in words if word.isalpha() and not (len(word) in (6, 8, 32) and _is_hex(word)))


def _is_hex(word: str) -> bool:
    return not set(word) - set("0123456789abcdef")


def _on_scheduler(dask_scheduler: Any) -> dict[Connection, int]:
    return received_here()


def traffic(client: Client) -> Traffic:
    """What the processes of a cluster have received from each other so far."""
    processes = {
        **client.run(received_here),
        "scheduler": client.run_on_scheduler(_on_scheduler),
        "client": received_here(),
    }
    owners = {mine: name for name, connections in processes.items() for mine in connections}
    sums: Counter[bool] = Counter()
    for name, connections in processes.items():
        for (mine, theirs), number in connections.items():
            sender = owners.get((theirs, mine))
            if sender not in (None, name):
                sums["scheduler" in (name, sender) or "client" in (name, sender)] += number
    return Traffic(sums[False], sums[True])
