"""Hosts on one machine: network namespaces with an address each, on cables that can be slow, long or cut.

::

    host 0   host 1   ...   this process
      eth0     eth0           als<pid>n0
        |        |               |          veth pairs: `tc` limits what goes in at either end
      port0    port1           port-own
      [------------ bridge ----------]      in a namespace of its own, the switch

Namespaces are named after the process that makes them. Those of processes that have died are removed by the next
`Network`.
"""

import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

PREFIX = "daskals-"
COMMANDS = ("ip", "tc", "bridge")
#: So much may leave at once; it must be more than the largest packet that TCP hands to a device, 64 KiB.
BURST = "256kb"
#: A packet that would wait for longer than this is dropped, so that TCP sends less.
QUEUE = "50ms"
OWN = "own"
#: A process may have several networks.
_numbers = itertools.count()


def run(*words):
    """What a command writes; `RuntimeError` with its complaint where it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


@cache
def missing():
    """Why this machine cannot make a `Network`; None where it can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs root, to make network namespaces"
    if absent := [name for name in COMMANDS if shutil.which(name) is None]:
        return f"needs the commands {', '.join(absent)}: install iproute2"
    try:
        with Network(1):
            return None
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return f"needs network namespaces, veth pairs, a bridge and tc's tbf: {error}"


@cache
def can_delay():
    """Whether this kernel can hold packets back for a time (the module sch_netem), while there is a `Network`."""
    (namespace, *_) = _namespaces(f"{PREFIX}{os.getpid()}-")
    try:
        run("tc", "-n", namespace, "qdisc", "replace", "dev", "lo", "root", "netem", "delay", "1ms")
    except RuntimeError:
        return False
    run("tc", "-n", namespace, "qdisc", "del", "dev", "lo", "root")
    return True


class Network:
    """A switch with hosts, and a cable to this process.

    Every cable carries ``rate`` bits a second each way. ``delay`` is the time in milliseconds from one host to
    another; where the kernel cannot delay packets, there is none (`can_delay`).
    """

    def __init__(self, n_hosts, rate="1gbit", delay=1.0):
        self.n_hosts, self.rate, self.delay = n_hosts, rate, delay
        number = next(_numbers)
        self._name = f"{PREFIX}{os.getpid()}-{number}-"
        self._switch = f"{self._name}switch"
        self._own = f"als{os.getpid()}n{number}"

    def __enter__(self):
        remove_leftovers()
        self._subnet = _free_subnet()
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        _remove(_namespaces(self._name))

    def namespace(self, host):
        return f"{self._name}{host}"

    def address(self, host):
        return f"{self._subnet}.{host + 1}"

    def inside(self, host, *words):
        """The words of a command, to be run on a host."""
        return ["ip", "netns", "exec", self.namespace(host), *map(str, words)]

    def limit(self, host, rate):
        """Let the cable of a host carry ``rate`` bits a second, such as "10mbit"."""
        self._shape(self.namespace(host), "eth0", rate)
        self._shape(self._switch, f"port{host}", rate)

    def unplug(self, *hosts):
        """Pull cables: either end sees that there is none."""
        for host in hosts:
            run("ip", "-n", self._switch, "link", "set", f"port{host}", "down")

    def block(self, *hosts):
        """Have the switch drop all packets from and to these hosts; nobody is told."""
        for host in hosts:
            run("bridge", "-n", self._switch, "link", "set", "dev", f"port{host}", "state", 0)

    def mend(self, *hosts):
        """Undo `unplug` and `block`."""
        for host in hosts:
            run("ip", "-n", self._switch, "link", "set", f"port{host}", "up")
            run("bridge", "-n", self._switch, "link", "set", "dev", f"port{host}", "state", 3)

    def traffic(self):
        """The bytes that each host has received and sent so far: pairs, in the order of hosts."""
        found = []
        for host in range(self.n_hosts):
            (device,) = json.loads(run("ip", "-n", self.namespace(host), "-j", "-s", "link", "show", "eth0"))
            found.append((device["stats64"]["rx"]["bytes"], device["stats64"]["tx"]["bytes"]))
        return found

    def _build(self):
        run("ip", "netns", "add", self._switch)
        run("ip", "-n", self._switch, "link", "add", "switch", "type", "bridge")
        run("ip", "-n", self._switch, "link", "set", "switch", "up")
        for host in range(self.n_hosts):
            inside = self.namespace(host)
            run("ip", "netns", "add", inside)
            run("ip", "-n", inside, "link", "set", "lo", "up")
            self._plug("eth0", host, ["-n", inside], self.address(host))
            self.limit(host, self.rate)
        self._plug(self._own, OWN, [], f"{self._subnet}.254")

    def _plug(self, device, port, where, address):
        """A cable from a device, in the namespace ``where``, to a port of the switch."""
        run("ip", *where, "link", "add", device, "type", "veth", "peer", "name", f"port{port}", "netns", self._switch)
        run("ip", "-n", self._switch, "link", "set", f"port{port}", "master", "switch", "up")
        run("ip", *where, "address", "add", f"{address}/24", "dev", device)
        run("ip", *where, "link", "set", device, "up")

    def _shape(self, namespace, device, rate):
        tc = ["tc", "-n", namespace, "qdisc", "replace", "dev", device]
        run(*tc, "root", "handle", "1:", "tbf", "rate", rate, "burst", BURST, "latency", QUEUE)
        if self.delay and can_delay():  # half of it here, half where the packet goes into the other host's cable
            run(*tc, "parent", "1:1", "handle", "10:", "netem", "delay", f"{self.delay / 2}ms", "limit", 10_000)


def remove_leftovers():
    """Remove the networks of processes that have died."""
    for process in {int(name.removeprefix(PREFIX).partition("-")[0]) for name in _namespaces()}:
        if not Path(f"/proc/{process}").exists():
            _remove(_namespaces(f"{PREFIX}{process}-"))


def _namespaces(beginning=PREFIX):
    """The namespaces whose names begin like that; by default all that this module has made."""
    names = [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.strip()]
    return [name for name in names if name.startswith(beginning)]


def _remove(namespaces):
    """Kill what runs in namespaces, and remove them; their devices, and the other ends of cables, go with them."""
    for name in namespaces:
        while processes := run("ip", "netns", "pids", name).split():
            for each in processes:
                with suppress(ProcessLookupError):
                    os.kill(int(each), signal.SIGKILL)
            time.sleep(0.05)
        run("ip", "netns", "delete", name)


def _free_subnet():
    """The first three numbers of private addresses that nobody uses here."""
    used = run("ip", "-4", "-o", "address")
    return next(each for each in (f"10.213.{n}" for n in range(256)) if f" {each}." not in used)
