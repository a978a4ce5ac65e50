"""A real SLURM of one node, started for the tests in this folder; and the ratings that its jobs read."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dask
import pandas as pd
import pytest
from support.notebook import RMSE, SEED

from daskals import ALS
from daskals.datasets import load_sample
from daskals.evaluation import RegressionEvaluator

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DAEMONS = ("munged", "slurmctld", "slurmd")
WHERE = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
COLUMNS = ["user", "item", "rating"]


class Slurm:
    """The SLURM that runs, and the commands to use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "DASK_SCHEDULER_ADDRESS"},
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH")))),
            "PYTHON": sys.executable,
            # dask-jobqueue writes a commented configuration there, which would else be in the home folder
            "DASK_CONFIG": str(folder / "dask"),
            # a lost job is replaced after this time; 15 s by default
            "DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "1s",
        }

    def start(self, *command: object) -> subprocess.Popen[str]:
        """Start a command. Its stdout is a pipe; stderr, which can be long, a file that `logs` shows."""
        words = [str(word) for word in command]
        with (self.folder / f"{Path(words[0]).name}.log").open("a") as log:
            return subprocess.Popen(
                words, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True
            )  # fmt: skip

    def run(self, *command: object, timeout: float = 120) -> str:
        """Run a command to its end; what it wrote to stdout."""
        process = self.start(*command)
        try:
            out, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            raise AssertionError(f"not done after {timeout} s: {command}\n{out}\n{self.logs()}") from None
        assert process.returncode == 0, f"{command}\n{out}\n{self.logs()}"
        return out

    def jobs(self, *states: str) -> set[str]:
        """The numbers of the jobs in these states; by default of those that wait, run or end just now."""
        wanted = [f"--states={','.join(states)}"] if states else []
        return set(self.run("squeue", "--noheader", "--format=%A", *wanted, timeout=20).split())

    def logs(self) -> str:
        """The ends of what the jobs and the daemons wrote, for messages."""
        files = [*self.folder.glob("*.log"), *self.folder.glob("jobs/*")]
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-3000:]}" for file in files)


class Ratings:
    """Files of training and test ratings, and the error that a fit of them must give."""

    def __init__(self, base: Path, test: Path, *, movielens: bool) -> None:
        self.base, self.test = base, test
        self._movielens = movielens

    @cache  # noqa: B019 one object in a session
    def rmse(self, iterations: int) -> float:
        """The notebook's figure where there is one; else that of a fit on the threads of this process."""
        if self._movielens and (iterations, 10) in RMSE:
            return RMSE[iterations, 10]
        form = {"sep": "\t", "names": [*COLUMNS, "timestamp"]} if self._movielens else {}
        base, test = (pd.read_csv(file, **form) for file in (self.base, self.test))
        als = ALS(rank=10, maxIter=iterations, seed=SEED, sparkRandom="2", precision="double", coldStartStrategy="drop")
        with dask.config.set(scheduler="threads"):
            return RegressionEvaluator(labelCol="rating").evaluate(als.fit(base).transform(test))


@pytest.fixture(scope="session")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Ratings:
    """MovieLens 100K where DASKALS_DATA has it, else the halves of the sample that comes with daskals."""
    folder = Path(os.environ.get("DASKALS_DATA") or "nowhere", "ml-100k").resolve()
    if folder.is_dir():
        return Ratings(folder / "ua.base", folder / "ua.test", movielens=True)
    halves = tmp_path_factory.mktemp("sample")
    sample = load_sample()[COLUMNS]
    sample.iloc[::2].to_csv(halves / "base.csv", index=False)
    sample.iloc[1::2].to_csv(halves / "test.csv", index=False)
    return Ratings(halves / "base.csv", halves / "test.csv", movielens=False)


@pytest.fixture(scope="session")
def slurm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A SLURM, installed if need be and if it can be; skips, saying why, where it cannot be had."""
    if request.config.getoption("markexpr") != "slurm":
        pytest.skip("may install SLURM on this machine, so it runs with -m slurm only")
    if importlib.util.find_spec("dask_jobqueue") is None:
        pytest.skip("needs dask-jobqueue: pip install 'daskals[jobqueue]'")
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("starts a SLURM of its own, which needs root on Linux")
    if missing := [name for name in DAEMONS if shutil.which(name, path=WHERE) is None]:
        install(missing)

    running = Slurm(tmp_path_factory.mktemp("slurm"))
    (running.folder / "jobs").mkdir()
    try:
        # their output goes to a file: daemons that inherited a pipe would keep it open
        with (running.folder / "up.log").open("w") as log:
            up = ["bash", HERE / "up.sh", running.folder]
            done = subprocess.run(up, env=running.environment, stdout=log, stderr=log, timeout=90, check=False)
        if done.returncode:
            pytest.skip(f"SLURM is installed but does not start: {(running.folder / 'up.log').read_text()[-2000:]}")
        yield running
    finally:
        subprocess.run(["bash", HERE / "down.sh", running.folder], timeout=90, check=False)


def install(missing: list[str]) -> None:
    """Install SLURM from Debian's packages; skips where that is impossible."""
    if not Path("/etc/debian_version").exists() or shutil.which("apt-get") is None:
        pytest.skip(f"needs {', '.join(missing)}, which is installed by itself on Debian only")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "--no-install-recommends", "slurm-wlm", "munge"]):
        command = ["apt-get", *words]
        try:
            subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=True)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"needs {', '.join(missing)}, and {' '.join(command)} failed: {error.stderr[-300:]}")
        except subprocess.TimeoutExpired:
            pytest.skip(f"needs {', '.join(missing)}, and {' '.join(command)} took more than 180 s")
