"""Fit ratings inside one SLURM allocation: of its tasks one is the scheduler, one the client, the others are workers.

    sbatch --ntasks=10 deploy/slurm/runner.sbatch ratings/ --checkpoint-dir /shared/als --model-out /shared/model
    srun -n 10 python deploy/slurm/fit_runner.py ratings/ ...

Needs at least three tasks, and dask-jobqueue (pip install 'daskals[jobqueue]'). A worker that dies is started again in
its task. When the allocation ends before the fit, submit the same again: it goes on from the newest checkpoint.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fit_job
from distributed import Client

#: Workers are told of this share of a task's memory, so that Dask notices a worker that grows too big before SLURM
#: kills it.
SHARE = 0.9


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    fit_job.add_fit_arguments(parser)
    tasks = parser.add_argument_group("tasks")
    tasks.add_argument(
        "--worker-memory",
        default=task_memory(),
        metavar="SIZE",
        help=f"memory limit of a worker (default: {SHARE:.0%}% of what --mem-per-cpu gives its task)",
    )
    tasks.add_argument("--local-directory", metavar="DIR", help="folder on a disk of the node itself, for spilling")
    tasks.add_argument("--interface", metavar="NAME", help="network interface that the nodes share, such as ib0")
    tasks.add_argument(
        "--shared-directory",
        default=".",
        metavar="DIR",
        help="folder that all nodes share, for the file by which tasks find each other (default: the current one)",
    )
    options = parser.parse_args()
    if "SLURM_PROCID" not in os.environ:
        parser.error("this is not a task of SLURM: start it with srun, or submit runner.sbatch")
    return options


def task_threads() -> int:
    """The cores of a task."""
    return int(os.environ.get("SLURM_CPUS_PER_TASK", 1))


def task_memory() -> str | int:
    """The memory limit of a worker, in bytes; "auto" where SLURM does not say."""
    mebibytes = int(os.environ.get("SLURM_MEM_PER_CPU", 0)) * task_threads()
    return int(SHARE * mebibytes * 2**20) or "auto"


def runner_options(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments for SLURMRunner."""
    return {
        # SLURMRunner puts the number of the job in: allocations do not find each other's schedulers
        "scheduler_file": f"{Path(options.shared_directory).absolute()}/scheduler-{{job_id}}.json",
        "scheduler_options": {"dashboard_address": ":0", "interface": options.interface},
        # the nanny starts a worker again that died or outgrew its memory, and gives its BLAS one thread
        "worker_class": "distributed.Nanny",
        "worker_options": {
            "nthreads": task_threads(),
            "memory_limit": options.worker_memory,
            "local_directory": options.local_directory,
            "interface": options.interface,
        },
    }


def main() -> None:
    """Take a role; as the client: fit."""
    options = read_arguments()
    try:
        from dask_jobqueue.slurm import SLURMRunner
    except ImportError:
        sys.exit("fit_runner: needs dask-jobqueue: pip install 'daskals[jobqueue]'")
    fit_job.show_progress()
    # only the client comes to the inside of this block; the others leave the process in the first line
    with SLURMRunner(**runner_options(options)) as runner, Client(runner) as client:
        fit_job.wait_for_workers(client, runner.n_workers, options.patience)
        report = fit_job.run(options, client)
    print(json.dumps(report), flush=True)


if __name__ == "__main__":  # the nannies' workers import this file
    main()
