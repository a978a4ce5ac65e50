"""The scripts of deploy/slurm on a real SLURM: two jobs, jobs that are killed and come back, one allocation."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.notebook import SEED

SCRIPTS = Path(__file__).parents[2] / "deploy" / "slurm"

pytestmark = pytest.mark.slurm


def fit(slurm, ratings, folder, iterations):
    """The arguments of both scripts."""
    return [
        *(ratings.base, "--evaluate", ratings.test, "--rank", 10, "--max-iter", iterations, "--seed", SEED),
        *("--set", "sparkRandom=2", "--set", "precision=double", "--patience", "60s", "--interface", "lo"),
        *("--checkpoint-dir", folder / "checkpoints", "--model-out", folder / "model"),
        *("--local-directory", slurm.folder / "local", "--shared-directory", folder),
    ]


def on_jobs(slurm, ratings, folder, iterations):
    """The command of a fit on two jobs of one core."""
    jobs = ["--jobs", 2, "--cores", 1, "--memory", "1GiB", "--queue", "debug", "--walltime", "00:10:00"]
    logs = ["--log-directory", folder / "logs"]
    (folder / "logs").mkdir()
    return [sys.executable, SCRIPTS / "fit_jobqueue.py", *fit(slurm, ratings, folder, iterations), *jobs, *logs]


def wait_for(condition: Callable[[], object], what: str, logs: Callable[[], str]) -> None:
    """Wait for a condition to come true."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}\n{logs()}"
        time.sleep(0.1)


def registrations(folder: Path) -> list[str]:
    """The protocol of each worker that found the scheduler, by the logs of the jobs."""
    logs = "".join(log.read_text() for log in (folder / "logs").glob("*.err"))
    return re.findall(r"Registered to: +(\w+)://", logs)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_two_jobs_give_the_figure_of_the_notebook(slurm, ratings, tmp_path, tls):
    if tls:
        pytest.importorskip("cryptography", reason="needs cryptography, which makes the keys")
    command = [*on_jobs(slurm, ratings, tmp_path, 5), *(["--tls"] if tls else [])]
    report = json.loads(slurm.run(*command).splitlines()[-1])
    assert report["iterations"] == 5
    assert report["workers"] == {"start": 2, "lost": 0, "came": 0}
    assert report["rmse"] == pytest.approx(ratings.rmse(5), rel=0, abs=1e-7)
    assert (tmp_path / "model" / "metadata").is_dir()
    assert registrations(tmp_path) == ["tls" if tls else "tcp"] * 2
    wait_for(lambda: not slurm.jobs(), "the end of the jobs", slurm.logs)


def test_a_killed_job_comes_back(slurm, ratings, tmp_path):
    with fitting(slurm, ratings, tmp_path) as process:
        killed, other = sorted(slurm.jobs("RUNNING"))
        # else the fit could end before there is a new worker
        slurm.run("scontrol", "suspend", other)
        slurm.run("scancel", "--signal=KILL", "--full", killed)
        wait_for(lambda: len(registrations(tmp_path)) == 3, "a third worker", slurm.logs)
        slurm.run("scontrol", "resume", other)
        check_end(slurm, ratings, process, lost=1)


def test_all_jobs_are_cancelled_and_come_back(slurm, ratings, tmp_path):
    with fitting(slurm, ratings, tmp_path) as process:
        slurm.run("scancel", *slurm.jobs("RUNNING"))
        check_end(slurm, ratings, process, lost=2)


@contextmanager
def fitting(slurm, ratings, folder):
    """A fit in a process of its own, which has two workers and a checkpoint."""
    process = slurm.start(*on_jobs(slurm, ratings, folder, 20), "--checkpoint-interval", 2)
    try:
        wait_for(lambda: list((folder / "checkpoints").glob("iteration-??????")), "the first checkpoint", slurm.logs)
        yield process
    finally:
        process.kill()
        process.communicate()


def check_end(slurm, ratings, process, lost):
    """The fit ends as if nothing had happened, and leaves no job."""
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, f"{out}\n{slurm.logs()}"
    report = json.loads(out.splitlines()[-1])
    assert report["iterations"] == 20
    assert report["workers"] == {"start": 2, "lost": lost, "came": lost}
    assert report["rmse"] == pytest.approx(ratings.rmse(20), rel=0, abs=1e-7)
    wait_for(lambda: not slurm.jobs(), "the end of the jobs", slurm.logs)


def test_one_allocation(slurm, ratings, tmp_path):
    out, err = tmp_path / "out", tmp_path / "err"
    tasks = ["--ntasks=4", "--cpus-per-task=1", "--mem-per-cpu=1G", "--time=5", f"--output={out}", f"--error={err}"]
    slurm.run("sbatch", *tasks, SCRIPTS / "runner.sbatch", *fit(slurm, ratings, tmp_path, 5))
    wait_for(lambda: not slurm.jobs(), "the end of the job", slurm.logs)
    report = json.loads(out.read_text().splitlines()[-1])
    assert report["workers"] == {"start": 2, "lost": 0, "came": 0}
    assert report["rmse"] == pytest.approx(ratings.rmse(5), rel=0, abs=1e-7)
    assert (tmp_path / "model" / "metadata").is_dir()
