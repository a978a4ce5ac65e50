"""What a plan on paper says of a fit is what the fit does: its plan, its blocks, each of its tasks, its bytes."""

import dataclasses
from contextlib import contextmanager

import dask
import dask.dataframe as dd
import numpy as np
import pytest
from dask.callbacks import Callback
from distributed import SchedulerPlugin

import daskals
from daskals import ALS
from daskals.blocks.goal import Learned
from daskals.datasets import make_ratings
from daskals.engine.needed_memory import phases_of
from daskals.engine.needed_seconds import seconds_of, work_of
from daskals.engine.needs import Sizes, needs_of
from daskals.engine.speeds import MEASURED, RANK_A_PASS, KernelSpeed
from daskals.engine.traffic import HalfStepSize
from daskals.execution.paper import Machines, PaperScheduler
from daskals.execution.scheduler import current_scheduler
from daskals.execution.settings import read_settings
from daskals.kernels.objective import Objective, Solver
from daskals.recommendation import fitting
from daskals.recommendation.fitting import prepare
from daskals.recommendation.meanings import blocks_wanted, columns_of, goal_of, solver_of

FRAME = make_ratings(300, 90, 4000, seed=3)
KINDS = {
    "exact": {},
    "cg": {"solver": "cg", "implicitPrefs": True},
    "subspace": {"solver": "subspace", "subspaceSize": 4},
    "biases": {"biases": True, "userCountExponent": 0.5},
    "double": {"precision": "double", "implicitPrefs": True},
    "many blocks": {"numUserBlocks": 23, "numItemBlocks": 11},
    "one block": {"numUserBlocks": 1, "numItemBlocks": 1},
}
#: Settings under which plans differ.
SETTINGS = {
    "as they are": {},
    "panel by panel": {"daskals.factor-share": 0.0},
    "nothing pinned": {"daskals.durable-bytes": 0},
    "reduced": {"daskals.half-step": "reduce"},
}


class Tasks(SchedulerPlugin):
    """Counts our tasks that a cluster has done."""

    name = "tasks-of-ours"

    def __init__(self):
        self.tasks = 0

    def transition(self, key, start, finish, *args, **kwargs):
        self.tasks += start == "processing" and finish == "memory" and str(key).startswith("als-")


def tasks_done(dask_scheduler):
    return dask_scheduler.plugins[Tasks.name].tasks


@contextmanager
def counting(scheduler):
    """Within this, a function that gives the number of tasks of ours that were done."""
    if scheduler == "distributed":
        client = current_scheduler().client
        client.register_plugin(Tasks())
        yield lambda: client.run_on_scheduler(tasks_done)
        client.unregister_scheduler_plugin(Tasks.name)
        return
    names = []
    with Callback(posttask=lambda key, *_: names.append(key)):
        yield lambda: sum(str(name).startswith("als-") for name in names)


def fit_plans(monkeypatch):
    """The plans of fits that are made from now on."""
    made = []

    def make_plan(*args):
        made.append(plan(*args))
        return made[-1]

    plan = fitting.make_plan
    monkeypatch.setattr(fitting, "make_plan", make_plan)
    return made


def needs(sizes, machines, als):
    """What a fit of this estimator needs."""
    paper = PaperScheduler.of(machines, read_settings())
    wanted = blocks_wanted(als, paper.settings)
    return needs_of(sizes, paper, wanted, columns_of(als), goal_of(als, Learned(3.5, 1.0)), solver_of(als))


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_task_of_an_iteration_is_counted(scheduler, kind, settings):
    """The difference between fits of one iteration and of three, whatever they take their factors by."""
    als = ALS(rank=6, seed=1, **KINDS[kind])
    with dask.config.set(SETTINGS[settings]), counting(scheduler) as done:
        counts = [done()]
        for iterations in (1, 3):
            als.setMaxIter(iterations).fit(FRAME)
            counts.append(done())
        needed = daskals.plan(FRAME, als)
    once, thrice = np.diff(counts)
    assert needed.tasksPerIteration == (thrice - once) / 2


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_on_paper_is_the_plan_of_the_fit(scheduler, kind, settings, monkeypatch):
    plans, als = fit_plans(monkeypatch), ALS(rank=6, maxIter=0, seed=1, **KINDS[kind])
    with dask.config.set(SETTINGS[settings]):
        als.fit(FRAME)
        (real,) = plans
        workers = 2 if scheduler == "distributed" else 1
        machines = Machines(workers, real.scheduler.threads, real.scheduler.worker_memory(), workers > 1)
        paper = needs(Sizes(300, 90, 4000, 1), machines, als).plan
    for side in ("users", "items"):
        mine, its = (dataclasses.asdict(plan.of(side)) for plan in (paper, real))
        if als.getBiases():
            del mine["biases"], its["biases"]  # they have the mean of the ratings, which paper does not know
        assert mine == its
    assert (paper.rank, paper.solver, paper.loses_history) == (real.rank, real.solver, real.loses_history)


@pytest.mark.parametrize("kind", ["exact", "many blocks", "one block"])
def test_blocks_and_tasks_of_the_shuffle_are_those_of_the_fit(scheduler, kind):
    als = ALS(rank=4, **KINDS[kind])
    frame = dd.from_pandas(FRAME, npartitions=20)
    with counting(scheduler) as done:
        start = done()
        prepared = prepare(als, current_scheduler(), frame, None)
        tasks = done() - start
    needed = daskals.plan(frame, als)
    assert (needed.userBlocks, needed.itemBlocks) == (prepared.ratings.users.n_blocks, prepared.ratings.items.n_blocks)
    assert (needed.users, needed.items, needed.ratings) == (300, 90, 4000)
    assert needed.tasksBefore == tasks


@pytest.mark.parametrize(("biases", "processes"), [(False, 1), (False, 3), (True, 3)])
def test_what_is_gathered_are_the_rows_of_the_model(biases, processes):
    """Each process receives those of all others: the bytes are those of the factors."""
    als = ALS(rank=6, maxIter=1, biases=biases)
    model = als.fit(FRAME)
    rows = [np.stack(side["features"]).astype(np.float32) for side in (model.userFactors, model.itemFactors)]
    needed = needs(Sizes(300, 90, 4000, 1), Machines(processes, 3, 1e9, is_cluster=True), als)
    assert sum(map(needed.moved, ("users", "items"))) == (processes - 1) * sum(each.nbytes for each in rows)
    assert needed.pinned == rows[0].nbytes, "an exact fit goes on from its users alone"


# ---- arithmetic ------------------------------------------------------------------------------------------

SIZES = Sizes(100_000, 20_000, 10_000_000, 40)


def seconds(als=None, speed=MEASURED, sizes=SIZES, **machines):
    given = {"processes": 4, "threads": 16, "memory": 64e9, "is_cluster": True, **machines}
    return seconds_of(needs(sizes, Machines(**given), als or ALS(rank=64)), speed)


def test_everything_takes_half_as_long_at_twice_the_speed():
    slow, fast = seconds(), seconds(speed=MEASURED.times(0.5))
    assert fast.iteration == pytest.approx(slow.iteration / 2)
    assert fast.before == pytest.approx(slow.before / 2)
    assert slow.iteration == sum(slow.parts().values())


def test_the_network_decides_where_it_is_slow():
    """Three of four parts of 30.7 MB come into each process; at 1 MB a second that is 23 s."""
    parts = seconds(bandwidth=1e6)
    assert parts.network == pytest.approx(0.75 * 120_000 * 64 * 4 / 1e6)
    assert seconds(bandwidth=1e15).network == seconds().network, "no faster than a process can take it"
    assert seconds(processes=1).network == 0


def test_what_is_pinned_passes_the_network_twice():
    """Users of rank 64: 25.6 MB, from a worker to the scheduler, and back."""
    assert seconds(bandwidth=1e6).pinning == pytest.approx(2 * 100_000 * 64 * 4 / 1e6)
    assert seconds(bandwidth=1e15).pinning == seconds().pinning == 100_000 * 64 * 4 * MEASURED.pinned_byte


def test_ratings_that_are_turned_take_time():
    """Where rows and sums of 20,000 items of rank 128 are more than 16 MiB; those of rank 64 are not."""
    with dask.config.set({"daskals.half-step": "reduce"}):
        steps = {rank: seconds(ALS(rank=rank, solver="cg")).packing for rank in (64, 128)}
    users = {rank: 20_000 * rank * MEASURED.pack for rank in steps}  # the rows of items, in each process
    at_home = {rank: 100_000 * rank * MEASURED.pack / 4 for rank in steps}
    assert steps[64] == pytest.approx(users[64] + at_home[64])
    assert steps[128] == pytest.approx(users[128] + at_home[128] + 10_000_000 * MEASURED.regroup / 16)


def test_threads_without_a_block_do_not_help():
    """16 blocks: 16 threads solve them in the time of 32, and 8 in twice that of 16."""
    als = ALS(rank=64, numUserBlocks=16, numItemBlocks=16)
    of = {threads: seconds(als, threads=threads).arithmetic for threads in (8, 16, 32)}
    assert of[16] == of[32] == pytest.approx(of[8] / 2)


def test_work_of_solvers():
    """In the order of KernelSpeed, counted by hand for 10 rows of 1000 ratings each, rank 60 padded to 64."""
    size, n = HalfStepSize(10, 20, 60, processes=1), 10_000
    assert work_of(size, n, Objective(0.1), Solver()) == ("exact", (n, n * 64, n * 64 * 64, 10 * 64**3, 0))
    assert work_of(size, n, Objective(0.1), Solver(cg_steps=3)) == ("cg", (n, n * 64, n * 64 * 4, 0, 0))
    implicit = work_of(size, n, Objective(0.1, implicit=True), Solver(cg_steps=3))
    assert implicit == ("cg", (n, n * 64, n * 64 * 4, 10 * 64**2 * 4, 0))
    by_matrix = work_of(size, n, Objective(0.1), Solver(cg_steps=60 // RANK_A_PASS))
    assert by_matrix == work_of(size, n, Objective(0.1), Solver())
    some = work_of(size, n, Objective(0.1), Solver(subspace=16))
    assert some == ("exact", (n, n * 64, n * 64 * 16, 10 * 4 * 16**3, 0))
    short = work_of(HalfStepSize(1000, 20, 60, processes=1), n, Objective(0.1), Solver())
    assert short == ("exact", (n, n * 64, n * 64 * 10, 1000 * 10**3, 0)), "10 ratings are 10 equations"


def test_the_rank_below_which_steps_have_a_matrix_is_that_of_the_kernel():
    cg = pytest.importorskip("daskals.kernels.numba.cg")
    assert cg.RANK_A_PASS == RANK_A_PASS


def test_memory_of_ratings():
    """A million of them in one process: 12 bytes as they come, 8 on each side, and those of weights."""
    sizes, base = Sizes(100, 100, 10**6, 1), 50.0
    als = ALS(rank=1, numUserBlocks=2, numItemBlocks=2)
    plain, weighed = (
        {phase.name: phase.held for phase in phases_of(needs(each, Machines(1, 1, 1e12, is_cluster=False), als), base)}
        for each in (sizes, dataclasses.replace(sizes, has_weights=True))
    )
    assert plain["building items"] == pytest.approx(28e6, rel=0.01)
    assert weighed["building items"] == pytest.approx(40e6, rel=0.01)
    # and half of the ratings, which are in hand
    assert plain["solving users"] == pytest.approx(16e6 + 4e6, rel=0.01)


def test_memory_of_factors_in_a_process():
    """A million users, rank 100: what came, and the same with 104 columns; and a fourth of both generations."""
    sizes = Sizes(10**6, 1000, 10**6, 1)
    machines = Machines(4, 4, 1e12, is_cluster=True)
    with dask.config.set({"daskals.half-step": "gather"}):
        needed = needs(sizes, machines, ALS(rank=100))
    (phase,) = (each for each in phases_of(needed, 0.0) if each.name == "solving items")
    assert phase.used == pytest.approx(4e6 * (100 + 104), rel=0.02)
    assert phase.held == pytest.approx(4e6 * (100 + 104) + 2 * 4e8 / 4 + 16e6 / 4, rel=0.02)


def test_constants_of_others():
    slow = MEASURED.with_constants({"task": 1, "explicit_cg": [1, 2, 3, 4, 5]})
    assert (slow.task, slow.explicit_cg, slow.pack) == (1.0, KernelSpeed(1, 2, 3, 4, 5), MEASURED.pack)
    for name, value in {"task": -1, "pack": "fast", "explicit_cg": [1, 2], "byte": float("nan"), "turn": True}.items():
        with pytest.raises(ValueError, match=f"speed: {name}="):
            MEASURED.with_constants({name: value})
