"""The scripts and manifests of deploy/: what can be known of them without a queue, and a fit over TLS.

What needs a SLURM is in tests/slurm.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import dask
import pytest
import yaml
from distributed import Client, LocalCluster, Security

from daskals import ALS
from daskals.datasets import load_sample
from daskals.evaluation import RegressionEvaluator

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CONFIGURATIONS = {"slurm": "slurm/jobqueue.yaml", "pbs": "pbs/jobqueue.yaml", "lsf": "lsf/jobqueue.yaml"}
SIZE = ("--cores", "8", "--memory", "10GiB")


def module(name):
    """A script of deploy/, imported."""
    path = list(sys.path)
    spec = importlib.util.spec_from_file_location(Path(name).stem, DEPLOY / name)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    sys.path[:] = path
    return script


@pytest.fixture(scope="module")
def fit_job():
    return module("fit_job.py")


@pytest.fixture(scope="module")
def fit_jobqueue():
    return module("slurm/fit_jobqueue.py")


@pytest.fixture
def start(monkeypatch, capsys):
    """A function that starts a script, which is to end early; what it wrote."""

    def run(script, *arguments, status=0):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(DEPLOY / script), run_name="__main__")
        assert end.value.code == status
        return "".join(capsys.readouterr())

    return run


def parsed(name):
    return yaml.safe_load((DEPLOY / name).read_text())


# ---- as text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["mpi/run.sh", "slurm/runner.sbatch"])
def test_shell_scripts_parse(script):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    subprocess.run([bash, "-n", DEPLOY / script], check=True)


@pytest.mark.parametrize("script", ["fit_job.py", "slurm/fit_jobqueue.py", "slurm/fit_runner.py"])
def test_options_in_the_readme_exist(start, script):
    text = (DEPLOY / "README.md").read_text()
    commands = re.findall(rf"{re.escape(script)}((?:[^\n]*\\\n)*[^\n`]*)", text)
    options = set(re.findall(r"(?<!\S)--[a-z-]+", " ".join(commands)))
    assert options <= set(re.findall(r"--[a-z-]+", start(script, "--help")))


@pytest.mark.parametrize("system", CONFIGURATIONS)
def test_configurations_of_queues_have_no_key_that_dask_jobqueue_does_not_know(system):
    spec = importlib.util.find_spec("dask_jobqueue")
    if spec is None:
        pytest.skip("needs dask-jobqueue: pip install 'daskals[jobqueue]'")
    known = yaml.safe_load(Path(spec.origin).with_name("jobqueue.yaml").read_text())["jobqueue"][system]
    assert set(parsed(CONFIGURATIONS[system])["jobqueue"][system]) <= set(known)


@pytest.mark.parametrize("name", ["kubernetes/daskcluster.yaml", "kubernetes/daskjob.yaml"])
def test_manifests(name):
    """What the operator needs to find its pods, and what else is easily forgotten."""
    manifest = parsed(name)
    assert manifest["apiVersion"] == "kubernetes.dask.org/v1"
    spec = manifest["spec"]["cluster"]["spec"] if manifest["kind"] == "DaskJob" else manifest["spec"]
    (worker,) = spec["worker"]["spec"]["containers"]
    (scheduler,) = spec["scheduler"]["spec"]["containers"]
    assert worker["args"][:4] == ["dask", "worker", "--name", "$(DASK_WORKER_NAME)"]
    assert scheduler["args"] == ["dask", "scheduler"]
    assert worker["image"] == scheduler["image"], "the scheduler reads the tasks too"
    service = spec["scheduler"]["service"]
    assert service["selector"] == {
        "dask.org/cluster-name": manifest["metadata"]["name"],
        "dask.org/component": "scheduler",
    }
    ports = {port["name"]: port["containerPort"] for port in scheduler["ports"]}
    assert ports == {"tcp-comm": 8786, "http-dashboard": 8787}
    assert {port["targetPort"] for port in service["ports"]} == set(ports)
    volumes = {volume["name"] for volume in spec["worker"]["spec"]["volumes"]}
    assert {mount["name"] for mount in worker["volumeMounts"]} <= volumes


def test_the_job_of_the_operator_is_a_command_line_of_fit_job(fit_job):
    manifest = parsed("kubernetes/daskjob.yaml")
    (job,) = manifest["spec"]["job"]["spec"]["containers"]
    assert job["args"][:2] == ["python", "deploy/fit_job.py"]
    options = fit_job.parser().parse_args(job["args"][2:])
    assert options.workers == manifest["spec"]["cluster"]["spec"]["worker"]["replicas"]


def test_the_image_has_all_that_is_copied_into_it():
    text = (DEPLOY / "docker/Dockerfile").read_text()
    sources = [word for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert sources
    assert all((ROOT / source).exists() for source in sources)


# ---- scripts of jobs, without a queue --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("walltime", "system", "expected"),
    [
        ("00:05:00", "slurm", 300),
        ("48:00:00", "slurm", 172_800),
        ("1-02:00:00", "slurm", 93_600),
        ("08:00:00", "pbs", 28_800),
        ("08:30", "lsf", 30_600),
    ],
)
def test_walltimes(fit_jobqueue, walltime, system, expected):
    assert fit_jobqueue.walltime_seconds(walltime, system) == expected


@pytest.mark.parametrize(
    ("walltime", "system"),
    [("30:00", "slurm"), (1800, "slurm"), ("1-02:00:00", "pbs"), ("08:00:00", "lsf"), ("8h", "slurm")],
)
def test_walltimes_that_could_mean_something_else(fit_jobqueue, walltime, system):
    with pytest.raises(SystemExit, match=re.escape(fit_jobqueue.WALLTIME_FORMS[system])):
        fit_jobqueue.walltime_seconds(walltime, system)


@pytest.mark.parametrize("walltime", [300, 3600, 28_800, 604_800])
def test_workers_leave_before_their_job_ends(fit_jobqueue, walltime):
    flag, leaves, stagger_flag, stagger = fit_jobqueue.lifetime(walltime)
    assert (flag, stagger_flag) == ("--lifetime", "--lifetime-stagger")
    latest = int(leaves.removesuffix("s")) + int(stagger.removesuffix("s"))
    assert 0.98 * walltime < latest < walltime
    assert int(leaves.removesuffix("s")) > 0.9 * walltime


@pytest.fixture
def job_script(fit_jobqueue, monkeypatch, tmp_path):
    """A function: the script of a job, as fit_jobqueue.py shows it."""
    pytest.importorskip("dask_jobqueue", reason="needs dask-jobqueue: pip install 'daskals[jobqueue]'")

    def show(*options, **settings):
        command = ["fit_jobqueue.py", "ratings.csv", "--show-job", "--shared-directory", str(tmp_path), *options]
        monkeypatch.setattr(sys, "argv", command)
        options = fit_jobqueue.read_arguments()
        make = fit_jobqueue.cluster_class(options.system)
        config = dask.config.merge(dask.config.config, settings)
        with dask.config.set(config), make(**fit_jobqueue.cluster_options(options)) as cluster:
            return cluster.job_script()

    return show


def test_a_job_of_slurm(job_script):
    text = job_script(*SIZE, "--walltime", "01:00:00", "--queue", "long", "--account", "physics")
    assert "#SBATCH -p long\n" in text
    assert "#SBATCH -A physics\n" in text
    assert "#SBATCH --cpus-per-task=8\n" in text
    assert "#SBATCH --mem=10240M\n" in text
    assert "#SBATCH -t 01:00:00\n" in text
    assert "--nthreads 8 --memory-limit 9.00GiB " in text
    assert "--nworkers" not in text
    assert "--lifetime 3300s --lifetime-stagger 240s" in text


def test_a_job_of_pbs(job_script):
    text = job_script("--system", "pbs", *SIZE, "--walltime", "01:00:00", "--account", "physics")
    assert "#PBS -l select=1:ncpus=8:mem=10240mb\n" in text
    assert "#PBS -l walltime=01:00:00\n" in text
    assert "#PBS -A physics\n" in text
    assert "--memory-limit 9.00GiB " in text
    assert "--lifetime 3300s" in text


def test_a_job_of_lsf(job_script):
    text = job_script("--system", "lsf", *SIZE, "--walltime", "01:00", "--account", "physics")
    assert "#BSUB -n 8\n" in text
    assert "#BSUB -W 01:00\n" in text
    assert '#BSUB -P "physics"\n' in text
    assert "#BSUB -M " in text
    assert "--memory-limit 9.00GiB " in text
    assert "--lifetime 3300s" in text


@pytest.mark.parametrize("system", CONFIGURATIONS)
def test_a_job_as_configured(job_script, system):
    text = job_script("--system", system, **parsed(CONFIGURATIONS[system]))
    assert "--nthreads 16 --memory-limit 57.60GiB " in text
    assert "--death-timeout 120" in text
    assert "--lifetime 27900s --lifetime-stagger 720s" in text


def test_several_processes_of_a_job_share_its_memory(job_script):
    text = job_script(*SIZE, "--processes", "2", "--local-directory", "/scratch")
    assert "--nthreads 4 --memory-limit 4.50GiB --nworkers 2 " in text
    assert "--local-directory /scratch" in text


def test_a_request_for_memory_that_somebody_wrote_is_taken_as_it_is(job_script):
    mine = {"slurm": {"job-mem": "0", "worker-extra-args": ["--lifetime", "10m"]}}
    text = job_script(*SIZE, jobqueue=mine)
    assert "#SBATCH --mem=0\n" in text
    assert "--memory-limit 10.00GiB " in text
    assert text.count("--lifetime") == 1


def test_what_is_missing_is_said(start):
    script = "slurm/fit_jobqueue.py"
    assert "--checkpoint-dir is needed" in start(script, "ratings.csv", *SIZE, status=2)
    assert "start it with srun" in start("slurm/fit_runner.py", "ratings.csv", status=2)
    wrong = {"rang=3": "no parameter 'rang' (did you mean rank?)", "regParam=small": "must be a number, true or false"}
    for option, words in wrong.items():
        assert words in start("fit_job.py", "ratings.csv", "--set", option, status=2)


def test_a_job_needs_a_size(job_script):
    with pytest.raises(SystemExit, match="--cores and --memory"):
        job_script()


# ---- fits ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """The sample as files of training and test ratings, of each kind."""
    folder = tmp_path_factory.mktemp("halves")
    sample = load_sample()
    for name, half in (("base", sample.iloc[::2]), ("test", sample.iloc[1::2])):
        half.to_csv(folder / f"{name}.csv", index=False)
        half.to_parquet(folder / f"{name}.parquet")
        half.to_csv(folder / f"u.{name}", sep="\t", index=False, header=False)
    return folder


PARAMETERS = ("--rank", 4, "--max-iter", 3, "--seed", 7, "--set", "regParam=0.2", "--set", "precision=double")


@pytest.fixture(scope="module")
def expected():
    """The errors of such a fit on the training and the test ratings."""
    sample = load_sample()
    base, test = sample.iloc[::2], sample.iloc[1::2]
    als = ALS(rank=4, maxIter=3, seed=7, regParam=0.2, precision="double", coldStartStrategy="drop")
    with dask.config.set(scheduler="threads"):
        model = als.fit(base)
        rmse = RegressionEvaluator(labelCol="rating").evaluate(model.transform(test))
    return pytest.approx({"trainingRmse": model.history["rmse"].iloc[-1], "rmse": rmse}, rel=0, abs=1e-6)


def errors(report):
    return {name: report[name] for name in ("trainingRmse", "rmse")}


@pytest.mark.parametrize(
    ("base", "test"), [("base.csv", "test.parquet"), ("base.parquet", "u.test"), ("u.base", "test.csv")]
)
def test_fit_job_reads_what_it_says(fit_job, halves, tmp_path, expected, base, test):
    out = tmp_path / "new" / "model"
    command = (halves / base, "--evaluate", halves / test, *PARAMETERS, "--model-out", out)
    with dask.config.set(scheduler="threads"):
        report = fit_job.run(fit_job.parser().parse_args(map(str, command)))
    assert errors(report) == expected
    assert report["iterations"] == 3
    assert "workers" not in report
    assert (out / "metadata").is_dir()


@pytest.mark.slow
def test_fit_job_goes_on_from_a_checkpoint(halves, tmp_path, expected):
    def fit(iterations):
        paths = (halves / "base.csv", "--evaluate", halves / "test.csv", "--checkpoint-dir", tmp_path)
        command = (DEPLOY / "fit_job.py", *paths, *PARAMETERS, "--checkpoint-interval", 1, "--max-iter", iterations)
        done = subprocess.run(
            [sys.executable, *map(str, command)], capture_output=True, text=True, cwd=ROOT, check=True
        )  # fmt: skip
        return done.stderr, json.loads(done.stdout.splitlines()[-1])

    fit(2)
    said, resumed = fit(3)
    assert "going on from checkpoint" in said
    assert resumed["iterations"] == 3
    assert errors(resumed) == expected


@pytest.mark.slow
def test_a_fit_over_tls(fit_job, halves, tmp_path, expected):
    """Client, scheduler and workers talk encrypted; the numbers are those of threads."""
    pytest.importorskip("cryptography", reason="needs cryptography, which makes the keys")
    command = (halves / "base.csv", "--evaluate", halves / "test.csv", *PARAMETERS)
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            security=Security.temporary(),
            dashboard_address=":0",
            local_directory=str(tmp_path),
        ) as cluster,
        Client(cluster) as client,
    ):
        assert client.security.require_encryption
        assert client.scheduler.address.startswith("tls://")
        assert [address.split(":")[0] for address in client.nthreads()] == ["tls", "tls"]
        report = fit_job.run(fit_job.parser().parse_args(map(str, command)), client)
    assert errors(report) == expected
    assert report["workers"] == {"start": 2, "lost": 0, "came": 0}


@pytest.mark.slow
def test_a_fit_by_mpirun(halves, tmp_path, expected):
    """A scheduler and two workers that mpirun starts."""
    for needed in ("dask_mpi", "mpi4py"):
        pytest.importorskip(needed, reason="needs dask-mpi and mpi4py")
    if shutil.which("mpirun") is None:
        pytest.skip("needs mpirun")
    environment = {**os.environ, "PYTHON": sys.executable, "LOCAL_DIRECTORY": str(tmp_path), "MEMORY": "1GiB"}
    # Open MPI alone reads these: more ranks than cores, and root, are right here
    allowed = ("MCA_rmaps_base_oversubscribe", "ALLOW_RUN_AS_ROOT", "ALLOW_RUN_AS_ROOT_CONFIRM")
    environment |= {f"OMPI_{name}": "1" for name in allowed}
    command = ["bash", DEPLOY / "mpi/run.sh", 3, halves / "base.csv", "--evaluate", halves / "test.csv", *PARAMETERS]
    done = subprocess.run(
        list(map(str, command)), env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert errors(report) == expected
    assert report["workers"] == {"start": 2, "lost": 0, "came": 0}
    assert not list(tmp_path.glob("daskals-mpi.*"))
