"""Fit ratings on jobs of a batch queue: SLURM, PBS or LSF. Lost jobs come back; a fit outlives its jobs.

    DASK_CONFIG=deploy/slurm/jobqueue.yaml python deploy/slurm/fit_jobqueue.py ratings/ --jobs 8 \\
        --checkpoint-dir /shared/als --model-out /shared/model
    python deploy/slurm/fit_jobqueue.py --system pbs ...

Needs dask-jobqueue (pip install 'daskals[jobqueue]'). This process is the scheduler and the client. It needs little,
but as long as the fit takes: run it where that is allowed, or in a small job of its own. --show-job prints the script
of a worker's job and submits nothing. Interrupted or killed, it leaves checkpoints: give the same command again.
"""

import argparse
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import dask
import fit_job
from dask.utils import parse_bytes
from distributed import Client, Security

SYSTEMS = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}
#: How each system wants a walltime, which jobqueue.yaml must follow too.
WALLTIMES = {"slurm": r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)", "pbs": r"()(\d+):(\d\d):(\d\d)", "lsf": r"()(\d+):(\d\d)()"}
WALLTIME_FORMS = {"slurm": "HH:MM:SS or D-HH:MM:SS", "pbs": "HH:MM:SS", "lsf": "HH:MM"}
#: Workers are told of this share of a job's memory. The rest is for nannies, and so that Dask notices a worker that
#: grows too big before the queue kills the job.
SHARE = 0.9


# ---- command line ----------------------------------------------------------------------------------------


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    fit_job.add_fit_arguments(parser)
    jobs = parser.add_argument_group("jobs", "What is not given here comes from jobqueue.yaml in Dask's configuration.")
    jobs.add_argument("--system", choices=SYSTEMS, default="slurm", help="the queue (default: slurm)")
    jobs.add_argument("--jobs", type=fit_job.positive, default=2, metavar="N", help="how many (default: 2)")
    jobs.add_argument("--cores", type=fit_job.positive, metavar="N", help="cores of a job: threads of its workers")
    jobs.add_argument(
        "--memory", metavar="SIZE", help=f"memory of a job, such as 64GiB; workers get {SHARE:.0%}% of it"
    )
    jobs.add_argument(
        "--processes",
        type=fit_job.positive,
        metavar="N",
        help="worker processes of a job (default: 1; each holds a copy of the other side's factors)",
    )
    jobs.add_argument("--queue", metavar="NAME", help="queue or partition")
    jobs.add_argument("--account", metavar="NAME", help="account or project")
    jobs.add_argument("--walltime", metavar="TIME", help="of a job, not of the fit: " + "; ".join(
        f"{system}: {form}" for system, form in WALLTIME_FORMS.items()
    ))  # fmt: skip
    jobs.add_argument("--interface", metavar="NAME", help="network interface that this machine and the nodes share")
    jobs.add_argument("--local-directory", metavar="DIR", help="folder on a disk of the node itself, for spilling")
    jobs.add_argument("--log-directory", metavar="DIR", help="for the output of the jobs")
    jobs.add_argument(
        "--shared-directory", default=".", metavar="DIR", help="for the keys of --tls (default: the current one)"
    )
    jobs.add_argument(
        "--start-with", type=fit_job.positive, metavar="N", help="worker processes to start with (default: all)"
    )
    jobs.add_argument("--tls", action="store_true", help="encrypt, with a key made for this run; needs cryptography")
    jobs.add_argument("--show-job", action="store_true", help="print a job's script and stop")
    options = parser.parse_args()
    if fit_job.checkpoint_dir(options) is None and not options.show_job:
        parser.error(
            "--checkpoint-dir is needed: a folder that all nodes share. Without checkpoints nothing of a fit is left "
            "when this process ends early"
        )
    return options


# ---- jobs ------------------------------------------------------------------------------------------------


def cluster_class(system: str) -> Any:
    """The class of dask-jobqueue for a queue. Importing it also adds its defaults to Dask's configuration."""
    try:
        import dask_jobqueue
    except ImportError:
        sys.exit("fit_jobqueue: needs dask-jobqueue: pip install 'daskals[jobqueue]'")
    # Importing it makes Ctrl-C end a process with status 0, as if all had gone well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return getattr(dask_jobqueue, SYSTEMS[system])


def cluster_options(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments for the class: the command line first, then Dask's configuration."""

    def configured(name: str) -> Any:
        return dask.config.get(f"jobqueue.{options.system}.{name}", None)

    cores, memory = options.cores or configured("cores"), options.memory or configured("memory")
    if cores is None or memory is None:
        sys.exit(
            "fit_jobqueue: how big is a job? Give --cores and --memory, or set them in jobqueue.yaml: see the one "
            "beside this script, and point the environment variable DASK_CONFIG at it"
        )
    asked = parse_bytes(memory)
    request = memory_request(options.system, asked, cores)
    if any(configured(name.replace("_", "-")) is not None for name in request):
        request = {}  # somebody who knows this queue wrote what to ask for
    security = Security() if dask.config.get("distributed.comm.require-encryption") else None
    extra = configured("worker-extra-args") or []
    walltime = options.walltime or configured("walltime")
    if walltime is not None and "--lifetime" not in extra:
        extra = [*extra, *lifetime(walltime_seconds(walltime, options.system))]
    return {
        "cores": cores,
        "memory": int(SHARE * asked) if request else asked,
        # Always said, since dask-jobqueue would otherwise take the square root of the cores; and it finds the
        # workers of a job by their names only where it was said.
        "processes": options.processes or configured("processes") or 1,
        "queue": options.queue,
        "project" if options.system == "lsf" else "account": options.account,
        "walltime": walltime,
        "interface": options.interface,
        "local_directory": options.local_directory,
        "log_directory": options.log_directory,
        "worker_extra_args": extra,
        "scheduler_options": {"dashboard_address": ":0", **(configured("scheduler-options") or {})},
        "security": True if options.tls else security,
        "shared_temp_directory": str(Path(options.shared_directory).absolute()),
        **request,
    }


def memory_request(system: str, asked: int, cores: int) -> dict[str, Any]:
    """The argument by which a system is asked for so many bytes."""
    mebibytes = asked >> 20
    if system == "slurm":
        return {"job_mem": f"{mebibytes}M"}
    if system == "pbs":
        return {"resource_spec": f"select=1:ncpus={cores}:mem={mebibytes}mb"}
    return {"mem": asked}


def walltime_seconds(walltime: str | int, system: str) -> int:
    """The seconds in a walltime as the system writes it; exits with the right form if it is another.

    Forms are told apart strictly, for they mean different things: 30:00 is 30 minutes to SLURM and 30 hours to LSF,
    and without quotes YAML makes a number of it.
    """
    found = re.fullmatch(WALLTIMES[system], str(walltime))
    if found is None:
        sys.exit(
            f"fit_jobqueue: the walltime {walltime!r} is not of the form {WALLTIME_FORMS[system]} (in jobqueue.yaml "
            "put it in quotes)"
        )
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def lifetime(walltime: int) -> list[str]:
    """Flags that let a worker leave in order before its job ends, handing its results on, not all at the same time."""
    margin = min(walltime / 12, 900)
    return ["--lifetime", f"{walltime - margin:.0f}s", "--lifetime-stagger", f"{0.8 * margin:.0f}s"]


# ---- the fit ---------------------------------------------------------------------------------------------


def main() -> None:
    """Submit jobs, fit, cancel the jobs."""
    options = read_arguments()
    make = cluster_class(options.system)
    arguments = cluster_options(options)
    # SLURM ends a job by SIGTERM. As an exception it passes through the blocks below, which cancel our jobs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with make(**arguments) as cluster:
        if options.show_job:
            print(cluster.job_script())
            return
        fit_job.show_progress()
        with Client(cluster) as client:
            # Not scale(), which never replaces a job; and with a minimum, for otherwise Dask lets workers go in
            # every pause between two half-steps.
            cluster.adapt(minimum_jobs=options.jobs, maximum_jobs=options.jobs)
            number = options.start_with or options.jobs * arguments["processes"]
            fit_job.wait_for_workers(client, number, options.patience)
            report = fit_job.run(options, client)
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
