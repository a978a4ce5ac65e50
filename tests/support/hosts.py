"""A cluster of hosts: a scheduler and workers as processes with a network between them (`support.network`)."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import dask
from distributed import Client

from support.network import Network

#: As `deploy/README.md` advises for networks that fail, but shorter still: a test should not wait.
TIMEOUTS = {
    "distributed.comm.timeouts.connect": "4s",
    "distributed.comm.timeouts.tcp": "11s",  # the least that Dask takes
    "distributed.scheduler.worker-ttl": "6s",
    "distributed.scheduler.allowed-failures": 10,
}
PORT = 8786
#: Seconds until something that should happen is said to hang. A busy machine starts workers slowly.
HANGING = 180


class Hosts:
    """A scheduler on host 0, a worker of one thread on each other host, and a client in this process, which is
    current. A worker that ends is started again, as a batch system or Kubernetes does it."""

    def __init__(self, network, client, folder):
        self.network, self.client, self._folder = network, client, folder

    @property
    def workers(self):
        """The hosts with a worker."""
        return range(1, self.network.n_hosts)

    def heal(self):
        """Mend all cables, and wait until all workers answer."""
        for host in self.workers:
            self.network.mend(host)
            self.network.limit(host, self.network.rate)
        deadline = time.monotonic() + HANGING
        while len(self.client.run(os.getpid, on_error="ignore")) < len(self.workers):
            assert time.monotonic() < deadline, f"workers do not come back\n{logs(self._folder)}"
            time.sleep(0.1)

    def alive(self):
        """The hosts whose workers the scheduler knows."""
        known = {address.rpartition(":")[0] for address in self.client.nthreads()}
        return [host for host in self.workers if f"tcp://{self.network.address(host)}" in known]


@contextmanager
def hosts(folder, n_workers=4, rate="1gbit", delay=1.0, memory="1GB", settings=TIMEOUTS):
    """A cluster of hosts; ``settings`` are Dask's, on all of them and in this process."""
    with ExitStack() as stack:
        network = Network(1 + n_workers, rate, delay)
        stack.callback(lambda: [process.wait() for process in processes])  # when the network has killed them
        stack.enter_context(network)
        address = f"tcp://{network.address(0)}:{PORT}"
        common = ["--host", "{host}", "--no-dashboard"]
        scheduler = ["distributed.cli.dask_scheduler", *common, "--port", PORT]
        processes = [_start(network, 0, scheduler, folder, settings)]
        worker = ["distributed.cli.dask_worker", address, *common, "--nthreads", 1, "--memory-limit", memory]
        for host in range(1, 1 + n_workers):
            own = ["--name", f"host-{host}", "--death-timeout", 60, "--local-directory", folder / f"scratch-{host}"]
            processes.append(_start(network, host, worker + own, folder, settings))
        with dask.config.set(settings), _client(address, folder) as client, client.as_current():
            cluster = Hosts(network, client, folder)
            cluster.heal()
            yield cluster


def _client(address, folder):
    try:
        return Client(address, set_as_default=False, timeout=HANGING)
    except OSError as error:
        raise AssertionError(f"no scheduler: {error}\n{logs(folder)}") from None


def _start(network, host, words, folder, settings):
    """Run a module of Python on a host, again and again. It ends when the network is taken down."""
    keys = {f"DASK_{key.upper().replace('.', '__').replace('-', '_')}": str(value) for key, value in settings.items()}
    module, *arguments = [str(word).format(host=network.address(host)) for word in words]
    endless = ["sh", "-c", 'while true; do "$@"; sleep 0.5; done', "endless", sys.executable, "-m", module, *arguments]
    with (folder / f"host-{host}.log").open("a") as log:
        return subprocess.Popen(
            network.inside(host, *endless),
            env={**os.environ, **keys},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def logs(folder):
    """The ends of what the hosts wrote, for messages."""
    files = sorted(folder.glob("host-*.log"))
    return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-2000:]}" for file in files)
