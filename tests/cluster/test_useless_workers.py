"""Workers that are there and do not work: stopped, or without memory. Disks that are full."""

import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress

import dask
import pytest
from distributed import Client, KilledWorker, LocalCluster
from support.killable_cluster import FIT, PATIENT, At, als, assert_equal, factors, in_thread, kill, lazy, until

from daskals import ALS
from daskals.datasets import make_ratings
from daskals.execution import watching
from daskals.execution.scheduler import current_scheduler
from daskals.execution.tasks import identity, task

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="stops processes as POSIX does"),
]
SOLVE = r"als-solve-users-[0-9a-f]+-3-"


@pytest.fixture(scope="module")
def expected():
    with dask.config.set(scheduler="threads"):
        return factors(als().fit(lazy()))


@pytest.fixture
def impatient(monkeypatch):
    """Hung workers are found soon. A worker that is only slow may be taken for one, and nothing is wrong with that."""
    monkeypatch.setattr(watching, "POLL_SECONDS", 1.0)
    with dask.config.set({"daskals.hung-worker-timeout": "4s", "daskals.retries": 10}):
        yield


# ---- stopped ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["als-read-", "als-split-items-", SOLVE])
def test_a_worker_that_is_stopped_is_restarted_by_its_nanny(killable, expected, impatient, caplog, kind):
    stopped = []

    def stop(task):
        stopped.append(task.processing_on.pid)
        os.kill(stopped[0], signal.SIGSTOP)

    with killable.plugged(At(killable.scheduler, kind, stop)), caplog.at_level(logging.WARNING, "daskals"):
        model = als().fit(lazy())
    assert stopped
    assert "has not answered for" in caplog.text
    assert_equal(factors(model), expected)
    with pytest.raises(ProcessLookupError):
        os.kill(stopped[0], 0)


@contextmanager
def cluster_of_processes(folder, *options):
    """A scheduler and two workers as on hosts of their own; its client, and the processes of the workers."""
    run, where = [sys.executable, "-m", "dask"], folder / "scheduler.json"
    config = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "10"}
    start = [*run, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", where]
    processes = [subprocess.Popen(start, cwd=folder, env=config)]
    try:
        until(where.exists, "the scheduler does not start")
        worker = [*run, "worker", "--scheduler-file", where, "--nthreads", "1", "--no-dashboard", *options]
        processes += [subprocess.Popen(worker, cwd=folder, env=config) for _ in range(2)]
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "10s"}),
            Client(json.loads(where.read_text())["address"], set_as_default=False) as client,
            client.as_current(),
        ):
            client.wait_for_workers(2)
            yield client, processes
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def test_a_worker_without_a_nanny_is_struck_off_and_does_not_disturb_when_it_wakes_up(
    expected, impatient, caplog, tmp_path
):
    with cluster_of_processes(tmp_path, "--no-nanny") as (client, (_, victim, _)):
        done = []

        def stop(iteration):
            done.append(iteration.number)
            if iteration.number == 2:
                victim.send_signal(signal.SIGSTOP)
            elif iteration.number == 4:  # its task, of the third iteration, is long done by the other one
                victim.send_signal(signal.SIGCONT)

        with caplog.at_level(logging.WARNING, "daskals"):
            model = als().fit(lazy(), callbacks=[stop])
        assert "has not answered for" in caplog.text
        assert done == list(range(1, FIT["maxIter"] + 1))
        assert_equal(factors(model), expected)
        until(lambda: victim.poll() is not None, "the worker does not close")
        assert len(client.nthreads()) == 1


# ---- the scheduler ---------------------------------------------------------------------------------------


def test_a_lost_scheduler_is_called_that_and_its_checkpoints_are_named(expected, tmp_path, caplog):
    """It dies in an iteration, or while the checkpoint after it is written."""
    folder = tmp_path / "checkpoints"
    careful = als(checkpointDir=str(folder), checkpointInterval=2, maxIter=100_000)
    with cluster_of_processes(tmp_path) as (_, (scheduler, *_)):
        fitting = in_thread(lambda: careful.fit(lazy()))
        until(lambda: list(folder.glob("fit-*/iteration-000004")) or fitting.done(), "no checkpoints")
        with caplog.at_level(logging.WARNING, "daskals"):
            scheduler.kill()
            with pytest.raises(ConnectionError, match="the connection to the scheduler was lost") as error:
                fitting.result()
    assert "trying again" not in caplog.text
    assert f"The newest checkpoint is {folder}" in error.value.__notes__[-1]
    assert "make room" not in str(error.value)


# ---- memory ----------------------------------------------------------------------------------------------


@contextmanager
def small_workers(folder, limit):
    with dask.config.set(PATIENT):
        cluster = LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit=limit,
            dashboard_address=":0",
            local_directory=str(folder),
        )
        try:
            with Client(cluster, set_as_default=False) as client, client.as_current():
                yield client
        finally:
            with suppress(TimeoutError):  # a busy machine takes longer to kill workers than a nanny waits
                cluster.close()


@pytest.mark.parametrize("limit", ["330MB", "400MB"])
def test_workers_with_too_little_memory_end_a_fit_with_what_they_need(tmp_path, monkeypatch, limit):
    """They are restarted again and again, or all paused."""
    monkeypatch.setattr(watching, "POLL_SECONDS", 2.0)
    ratings = make_ratings(n_users=100_000, n_items=20_000, n_ratings=3_000_000, npartitions=8)
    patience = dask.config.set({"daskals.paused-timeout": "10s", "daskals.retries": 0})
    with patience, small_workers(tmp_path, limit), pytest.raises((MemoryError, KilledWorker)) as error:
        ALS(rank=32, maxIter=3).fit(ratings)
    said = "\n".join([str(error.value), *getattr(error.value, "__notes__", [])])
    print(said)
    assert "give each worker at least" in said


def test_a_task_whose_worker_goes_while_all_are_paused_is_run_by_another(killable, monkeypatch):
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.2)

    def pause(dask_worker):
        dask_worker.memory_manager.memory_pause_fraction = 1e-9

    killable.client.run(pause)
    until(lambda: not killable.on_loop(lambda: killable.scheduler.running), "they are not paused")
    wished = min(killable.addresses())
    fetching = in_thread(lambda: current_scheduler().fetch(task(identity, 7, name="als-wished", worker=wished)))
    until(lambda: killable.on_loop(lambda: killable.scheduler.unrunnable), "it is not set aside")
    killable.on_loop(lambda: kill([killable.scheduler.workers[wished]]))
    assert fetching.result(30) == (7,)


# ---- disks -----------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True
    ).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_checkpoint_on_a_full_disk_ends_a_fit_and_the_one_before_stays(killable, expected, small_disk):
    """Workers write it. A checkpoint of these factors takes some 200 kB."""
    careful = als(checkpointDir=str(small_disk), checkpointInterval=1)
    filler = small_disk / "filler"

    def fill(iteration):
        if iteration.number == 3:
            with suppress(OSError), filler.open("wb") as file:
                while True:
                    file.write(bytes(4096))
                    file.flush()

    with pytest.raises(OSError, match=r"iteration-000004 could not be written: .*No space left.*make room") as error:
        careful.fit(lazy(), callbacks=[fill])
    assert "iteration-000003: fit(..., resume=True) goes on from it" in error.value.__notes__[-1]
    assert sorted(path.name for path in small_disk.glob("fit-*/*")) == ["iteration-000002", "iteration-000003"]
    filler.unlink()
    assert_equal(factors(careful.fit(lazy(), resume=True)), expected)


def test_workers_that_cannot_spill_go_on_in_memory(expected, small_disk, capfd):
    """A worker keeps in memory what it cannot write."""
    always = {"distributed.worker.memory.target": 0.01, "distributed.worker.memory.spill": 0.01}
    with dask.config.set(always), small_workers(small_disk, "1GB"):
        (small_disk / "filler").write_bytes(bytes(500 << 10))
        assert_equal(factors(als().fit(lazy())), expected)
    assert "Spill to disk failed" in capfd.readouterr().err, "what a worker says to its standard error"
