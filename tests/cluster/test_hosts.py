"""A fit on hosts with a network between them gives the factors of a fit on threads, whatever happens to the network.

The hosts are network namespaces of this machine, which takes root: elsewhere these tests are skipped, and say why.
"""

import signal
import socket
import subprocess
import threading
import time

import dask
import numpy as np
import pytest
from support.hosts import PORT, TIMEOUTS, hosts
from support.killable_cluster import HANGING, assert_equal, factors, in_thread
from support.network import PREFIX, Network, can_delay, missing, run

from daskals import ALS
from daskals.datasets import make_ratings

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=f"no hosts here: it {missing()}")]

SHAPE = {"n_users": 10_000, "n_items": 1500, "n_ratings": 250_000}
FIT = {"rank": 16, "maxIter": 6, "seed": 3}
#: Seconds after which a silent connection is given up.
TIMEOUT = int(TIMEOUTS["distributed.comm.timeouts.tcp"].removesuffix("s"))
KINDS = {"explicit": {}, "implicit": {"implicitPrefs": True}, "cg": {"implicitPrefs": True, "solver": "cg"}}


def lazy():
    return make_ratings(**SHAPE, npartitions=8)


def fit(kind="explicit", **more):
    return ALS(**FIT, **KINDS[kind]).fit(lazy(), **more)


def in_time(call):
    """The result of a call; it fails where the call hangs."""
    return in_thread(call).result(HANGING)


@pytest.fixture(scope="module")
def expected():
    with dask.config.set(scheduler="threads"):
        return {kind: factors(fit(kind)) for kind in KINDS}


@pytest.fixture(scope="module")
def shared(tmp_path_factory, expected):
    with hosts(tmp_path_factory.mktemp("hosts")) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared):
    """The cluster, whole, and with the code compiled on all hosts."""
    shared.heal()
    return shared


class During:
    """A callback of a fit: does something shortly after an iteration has begun, and then other things by the clock."""

    def __init__(self, iteration, *steps):
        self._iteration, self._steps, self.begun = iteration, steps, threading.Event()

    def __call__(self, iteration):
        if iteration.number == self._iteration:
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        for pause, step in self._steps:
            time.sleep(pause)
            step()
            self.begun.set()


@pytest.mark.parametrize("kind", KINDS)
def test_fits_as_on_threads(cluster, expected, kind):
    before = cluster.network.traffic()
    found = in_time(lambda: factors(fit(kind)))
    assert_equal(found, expected[kind])
    received = [after[0] - first[0] for first, after in zip(before, cluster.network.traffic(), strict=True)]
    print(f"bytes received: {received}")
    rows = FIT["rank"] * 4 * FIT["maxIter"] * sum(SHAPE[name] for name in ("n_users", "n_items"))
    assert sum(received) > rows * 3 / 4, "each host receives the rows that the others have made, in some form"


def test_what_a_dead_process_left_is_removed():
    dead = subprocess.Popen(["true"])
    dead.wait()
    name = f"{PREFIX}{dead.pid}-0"
    run("ip", "netns", "add", name)
    with subprocess.Popen(["ip", "netns", "exec", name, "sleep", "100"]) as stays, Network(1) as network:
        own = network.namespace(0)
        assert own in run("ip", "netns", "list")
        assert stays.wait(10) == -signal.SIGKILL
    names = run("ip", "netns", "list")
    assert name not in names
    assert own not in names


def test_cables_carry_what_they_should(cluster):
    """The limits are real: 1 MB takes at least 0.6 s at 10 Mbit/s (of 0.8 s, less what may leave at once)."""
    cluster.network.limit(1, "10mbit")
    start = time.perf_counter()
    got = cluster.client.submit(np.random.rand, 1 << 17, workers=[worker_on(cluster, 1)], pure=False).result()
    assert got.nbytes == 1 << 20
    assert time.perf_counter() - start > 0.6


def worker_on(cluster, host):
    """The address of the worker on a host."""
    return next(each for each in cluster.client.nthreads() if f"/{cluster.network.address(host)}:" in each)


def connecting(host, port):
    """The least seconds of ten that a connection took to be made: a packet there, and one back."""

    def once():
        start = time.perf_counter()
        socket.create_connection((host, port), timeout=10).close()
        return time.perf_counter() - start

    return min(once() for _ in range(10))


@pytest.mark.skipif(missing() is None and not can_delay(), reason="this kernel cannot delay packets: no sch_netem")
def test_packets_take_their_time(cluster):
    there = cluster.network.address(0), PORT
    took = cluster.client.submit(connecting, *there, workers=[worker_on(cluster, 1)], pure=False).result()
    print(f"{took * 1e3:.2f} ms")
    assert took > 2 * cluster.network.delay / 1e3


#: What happens to the network in the third iteration, or shortly before; seconds, and what then is done.
def cut(network):
    return [(0.05, lambda: network.unplug(2))]


def silence(network):
    return [(0.05, lambda: network.block(2))]


def short_partition(network):
    """Two hosts see neither the others nor each other, for less time than anybody waits."""
    return [(0.05, lambda: network.block(1, 3)), (2.5, lambda: network.mend(1, 3))]


def long_partition(network):
    """So long that the scheduler gives the two up; they come back as new workers."""
    return [(0.05, lambda: network.unplug(1, 3)), (TIMEOUT + 4, lambda: network.mend(1, 3))]


def slow_link(network):
    return [(0.0, lambda: network.limit(4, "10mbit"))]


TROUBLES = [
    (cut, "explicit"),
    (silence, "cg"),
    (short_partition, "explicit"),
    (long_partition, "cg"),
    (slow_link, "cg"),
]


@pytest.mark.parametrize(("trouble", "kind"), TROUBLES)
def test_trouble_changes_no_factor(cluster, expected, trouble, kind):
    during = During(2, *trouble(cluster.network))
    start = time.perf_counter()
    found = in_time(lambda: factors(fit(kind, callbacks=[during])))
    print(f"{time.perf_counter() - start:.1f} s, workers at the end: {cluster.alive()}")
    assert during.begun.is_set(), "nothing happened meanwhile"
    assert_equal(found, expected[kind])
