"""Where the work is done: on threads of this process, on processes that are started for it, or on a cluster."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click
import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster

from daskals.cli.talking import say

#: What ``--scheduler`` takes.
ALLOWED = "an address such as tcp://host:8786, the file of a scheduler, threads, threads:N or processes:N"


@contextmanager
def on_scheduler(wanted: str | None, progress: bool | None = None) -> Iterator[Client | None]:
    """Inside, Dask works where somebody wants it to; gives the client of a cluster, or None.

    Where nothing is wanted, it is the cluster that the environment variable DASK_SCHEDULER_ADDRESS names, else threads.
    This is also the one place where the progress that somebody wants to see is put into Dask's configuration.
    """
    settings = {} if progress is None else {"daskals.progress": progress}
    with dask.config.set(settings):
        kind, _, number = (wanted or "").partition(":")
        if wanted is None and not dask.config.get("scheduler-address", None):
            yield None
        elif kind == "threads":
            count = {"num_workers": _count(wanted, number)} if number else {}
            with dask.config.set(scheduler="threads", **count):
                yield None
        elif kind == "processes":
            with _processes(_count(wanted, number) if number else CPU_COUNT) as client:
                yield client
        else:
            with _cluster(wanted) as client:
                yield client


def _count(wanted: str | None, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"{wanted!r}: expected {ALLOWED}, where N is at least 1", param_hint="--scheduler")
    return int(text)


@contextmanager
def _processes(number: int) -> Iterator[Client]:
    """Worker processes on this machine, which share its cores, for as long as the work takes."""
    # A terminal sends Ctrl-C to all processes. Workers leave it to this one: they inherit that they ignore it.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        cluster = LocalCluster(
            n_workers=number,
            threads_per_worker=max(1, CPU_COUNT // number),
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        )
    finally:
        signal.signal(signal.SIGINT, interrupt)
    with cluster, Client(cluster) as client:
        yield client


@contextmanager
def _cluster(wanted: str | None) -> Iterator[Client]:
    """A cluster that is there; its workers must reach the files under the same path or URL."""
    if wanted is None:
        where = str(dask.config.get("scheduler-address"))
        client = _connected(where, address=where)
    elif os.path.isfile(wanted):
        client = _connected(wanted, scheduler_file=wanted)
    elif (found := re.fullmatch(r"(process|thread|local)s?:(\d+)", wanted, re.IGNORECASE)) is not None:
        # a host of that name is nobody's, and would be waited for
        kind = "threads" if found[1].lower() == "thread" else "processes"
        raise click.BadParameter(f"{wanted!r}: did you mean {kind}:{found[2]}?", param_hint="--scheduler")
    elif ":" in wanted:
        client = _connected(wanted, address=wanted)
    else:
        raise click.BadParameter(f"{wanted!r} is no file, and no address; expected {ALLOWED}", param_hint="--scheduler")
    with client:
        say(f"Working on {client.scheduler.address}, {len(client.nthreads())} worker processes")
        yield client


def _connected(where: str, **how: str) -> Client:
    try:
        return Client(**how, timeout=dask.config.get("distributed.comm.timeouts.connect", "30s"))
    except (OSError, ValueError) as error:
        raise OSError(f"No scheduler answers at {where}: {error}") from None
