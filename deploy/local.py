"""Start a Dask cluster on this machine, and run a script on it, or wait for clients.

    python deploy/local.py                                     # print the address, wait for Ctrl-C
    python deploy/local.py --workers 2 -- examples/movielens.py
    python deploy/local.py -- -m your.module --its-option

What stands behind ``--`` is given to Python. It finds the cluster through the environment variable
DASK_SCHEDULER_ADDRESS, which ``distributed.Client()`` without arguments obeys; from then on daskals, like all of
Dask, runs on the cluster. The exit status is that of the script.
"""

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import threading

import dask
from dask.utils import parse_bytes
from distributed import LocalCluster


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [--workers N] [--threads N] [--memory SIZE] [-- SCRIPT [ARGUMENT ...]]",
    )
    parser.add_argument("--workers", type=positive, metavar="N", help="worker processes; default: by the cores")
    parser.add_argument("--threads", type=positive, metavar="N", help="threads of each; default: all cores are used")
    parser.add_argument(
        "--memory",
        type=size,
        default="auto",
        metavar="SIZE",
        help="memory limit of each worker, such as 4GiB; default: its share of this machine's memory",
    )
    parser.add_argument("command", nargs="*", metavar="SCRIPT", help="what to run, and its arguments")
    return parser.parse_args()


def positive(text: str) -> int:
    """A number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def size(text: str) -> str:
    """A size in bytes or with a unit, or "auto", for argparse."""
    if text != "auto":
        try:
            parse_bytes(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{error}; write it as 4GiB or 500MB") from None
    return text


def main() -> int:
    """Start the cluster; run or wait; stop the cluster."""
    arguments = read_arguments()
    # A terminal sends Ctrl-C to all processes. Workers shall leave it to this one: they inherit that they ignore it.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Dask drops a worker that is not back after 15 s, for good: too short for a machine that is busy.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "10 minutes"})
    # What is None here Dask derives from the cores of this machine. Each worker is watched by a nanny, which
    # restarts it when it dies or outgrows its memory, and gives its BLAS one thread: Dask's threads use the cores.
    cluster = LocalCluster(
        n_workers=arguments.workers,
        threads_per_worker=arguments.threads,
        memory_limit=arguments.memory,
        processes=True,
        dashboard_address="127.0.0.1:0",  # a free port; not open to the network
    )
    signal.signal(signal.SIGINT, interrupt)
    with cluster:
        threads = sum(worker.nthreads for worker in cluster.workers.values())
        print(f"Scheduler: {cluster.scheduler_address}, worker processes: {len(cluster.workers)}, threads: {threads}")
        if importlib.util.find_spec("bokeh"):
            print(f"Dashboard: {cluster.dashboard_link}")
        else:
            print("Dashboard: needs bokeh (pip install 'daskals[dashboard]')")
        try:
            if arguments.command:
                sys.stdout.flush()  # before the script writes to the same place
                environment = {**os.environ, "DASK_SCHEDULER_ADDRESS": cluster.scheduler_address}
                return subprocess.run([sys.executable, *arguments.command], env=environment, check=False).returncode
            print(f"Run scripts with DASK_SCHEDULER_ADDRESS={cluster.scheduler_address}; Ctrl-C stops.", flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            print("\nStopping.")
        return 130 if arguments.command else 0


if __name__ == "__main__":  # the workers import this file
    sys.exit(main())
