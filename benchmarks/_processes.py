"""Run a measurement in a process of its own, and watch the memory of that process and all that it starts.

The worker (`_worker.py`) notes when its phases begin and end on the clock that all processes of a machine share;
a thread here samples resident memory over the process tree, so that each phase gets a peak of its own. Pages that
processes share are counted in each: between a JVM and Python there are hardly any.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("_worker.py")
SAMPLES_PER_SECOND = 20
#: The list of processes is renewed at every so many-th sample: that takes a look at all processes there are.
RENEW = 10
PAGE = os.sysconf("SC_PAGE_SIZE")


class TreeMemory(threading.Thread):
    """Samples of the resident memory of a process and, where ``descend``, of its descendants, until `stop`."""

    def __init__(self, root: int, *, descend: bool = True) -> None:
        super().__init__(daemon=True)
        self.root, self.descend = root, descend
        self.tree = {root}
        #: pairs of time.monotonic() and bytes
        self.samples: list[tuple[float, int]] = []
        self._stopped = threading.Event()

    def run(self) -> None:
        count = 0
        while not self._stopped.is_set():
            if self.descend and count % RENEW == 0:
                self.tree |= descendants(self.root)
            self.samples.append((time.monotonic(), sum(resident(process) for process in self.tree)))
            count += 1
            self._stopped.wait(1 / SAMPLES_PER_SECOND)

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def peak(self, start: float, stop: float) -> int:
        """The largest sample between two times; of a phase too short for one, the next one before it."""
        inside = [size for when, size in self.samples if start <= when <= stop]
        before = [size for when, size in self.samples if when < start]
        return max(inside) if inside else (before or [0])[-1]


def descendants(root: int) -> set[int]:
    """A process and all processes below it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # the name, in brackets, may hold spaces; after it come the state and the parent
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended
    found, size = {root}, 0
    while len(found) > size:
        size = len(found)
        found |= {process for process, parent in parents.items() if parent in found}
    return found


def resident(process: int) -> int:
    """Resident bytes of a process; none once it has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def run_worker(
    job: dict[str, Any], *, python: str = sys.executable, environment: dict[str, str] | None = None, timeout: float
) -> dict[str, Any]:
    """What a worker reported of a job, with peaks of memory for its phases, and "error" if it failed."""
    process = subprocess.Popen(
        [python, str(WORKER), json.dumps(job)],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    memory = TreeMemory(process.pid)
    memory.start()
    failure = None
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _kill(memory)
        out, err = process.communicate()
        failure = f"took more than {timeout:.0f} s"
    except BaseException:
        _kill(memory)
        raise
    finally:
        memory.stop()
    if process.returncode and failure is None:
        failure = ([line for line in err.splitlines() if line.strip()] or [f"exit code {process.returncode}"])[-1][:300]
    return _result(out, failure, memory)


def _result(out: str, failure: str | None, memory: TreeMemory) -> dict[str, Any]:
    """The last report of a worker: it gives one after each step, and what it had found before it failed counts."""
    lines = [line for line in out.splitlines() if line.startswith("{") and line.endswith("}")]
    result = json.loads(lines[-1]) if lines else {}
    result["peak_bytes"] = {name: memory.peak(start, stop) for name, start, stop in result.pop("phases", [])}
    result["peak_bytes"]["all"] = memory.peak(0, float("inf"))
    if failure is not None:
        result["error"] = failure
    return result


def _kill(memory: TreeMemory) -> None:
    """End the worker and all that it started."""
    for process in descendants(memory.root):
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
