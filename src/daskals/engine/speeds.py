"""How fast things are: the constants of predictions, measured by ``python benchmarks/constants.py``, which prints them.

They were measured with the compiled kernels on one core of an AMD EPYC (Zen 4). Nothing that a fit computes depends on
them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal, NamedTuple

from daskals import kernels
from daskals.kernels.objective import Objective

#: Factors of more bytes are mostly not in a cache when a rating asks for them.
CACHE_BYTES = 16 << 20
#: Kernels round the columns up to a multiple of this.
PADDING = 8
#: Up to so many columns for each pass, conjugate gradients work on the matrix of a row, and cost what the exact
#: solution does. (It is the number of `daskals.kernels.numba.cg`, which cannot be imported where there is no Numba.)
RANK_A_PASS = 6


class KernelSpeed(NamedTuple):
    """Seconds of a thread for the pieces of a half-step; which numbers they are multiplied by says `solve_seconds`."""

    #: a rating
    rating: float
    #: a number of a source row, for each rating
    number: float
    #: a multiplication and an addition, for each rating
    product: float
    #: the same, for each row
    row: float
    #: a number of a source row that comes from memory rather than from a cache, more than the others
    far: float


@dataclass(frozen=True)
class Speed:
    """How long pieces of work take, in seconds of one thread where nothing else is said."""

    explicit_exact: KernelSpeed
    explicit_cg: KernelSpeed
    implicit_exact: KernelSpeed
    implicit_cg: KernelSpeed
    #: how many times as long kernels take in double precision
    double: float
    #: laying out a number of a source row, once in a process, while its other threads wait
    pack: float
    #: turning source rows into the eigenbasis of their Gram matrix, once in a process: a multiplication and an addition
    turn: float
    #: bringing a rating into the order of the other side, in the process where it is
    regroup: float
    #: a number of the start values
    start: float
    #: reading, checking and sorting a rating of a frame that is in memory, in one process, until both sides are built
    shuffle: float
    #: the same on workers of a cluster, which send ratings to each other
    cluster_shuffle: float
    #: a fit to next to no ratings, without iterations
    fit: float
    #: the same on a cluster
    cluster_fit: float
    #: a task that threads of this process run
    task: float
    #: a task of a cluster, for its scheduler and client, whatever the number of workers
    cluster_task: float
    #: starting work on a cluster, and waiting until all of it is done
    cluster_wait: float
    #: a byte on its way from one process into another on the same machine
    byte: float
    #: a byte of factors that is pinned: from its worker to the client, and back to a worker
    pinned_byte: float
    #: bytes of a process that has done nothing but import what a fit needs
    process_bytes: float

    #: how many times as long kernels take where they are not compiled
    plain: float

    def kernel(self, objective: Objective, steps: Literal["exact", "cg"]) -> KernelSpeed:
        """Those of the kernel that solves such rows."""
        found: KernelSpeed = getattr(self, f"{'implicit' if objective.implicit else 'explicit'}_{steps}")
        return found

    def times(self, factor: float) -> Speed:
        """Where everything that this machine does takes so many times as long."""
        return replace(self, **{name: _scaled(getattr(self, name), factor) for name in SECONDS})

    def with_constants(self, given: Mapping[str, Any]) -> Speed:
        """The same with other constants, by name; ``ValueError`` that names one that cannot be."""
        return replace(self, **{name: _constant(name, value) for name, value in given.items()})


#: The constants that are seconds of kernels, and all that are seconds.
KERNELS = ("explicit_exact", "explicit_cg", "implicit_exact", "implicit_cg")
SECONDS = (
    *KERNELS,
    *(
        "pack",
        "turn",
        "regroup",
        "start",
        "shuffle",
        "cluster_shuffle",
        "fit",
        "cluster_fit",
        "task",
        "cluster_task",
        "cluster_wait",
        "byte",
    ),
    "pinned_byte",
)


def _scaled(value: Any, factor: float) -> Any:
    return KernelSpeed(*(each * factor for each in value)) if isinstance(value, KernelSpeed) else value * factor


def _constant(name: str, value: Any) -> Any:
    """A constant as `Speed` has it."""
    each = list(value) if isinstance(value, list | tuple) else [value]
    n = len(KernelSpeed._fields) if name in KERNELS else 1
    are_numbers = all(isinstance(one, Real) and not isinstance(one, bool) for one in each)
    if len(each) != n or not are_numbers or not all(0 <= one < math.inf for one in each):
        what = f"{n} numbers" if n > 1 else "a number"
        raise ValueError(f"speed: {name}={value!r} is not allowed: it must be {what}, not below 0")
    return KernelSpeed(*each) if n > 1 else float(each[0])


#: What ``python benchmarks/constants.py`` found.
MEASURED = Speed(
    explicit_exact=KernelSpeed(1.4e-09, 7.5e-10, 1.3e-11, 3e-12, 0.0),
    explicit_cg=KernelSpeed(1.1e-08, 2.3e-12, 1.7e-10, 0.0, 2.7e-10),
    implicit_exact=KernelSpeed(6.8e-09, 6.4e-10, 1.1e-11, 6e-13, 9.2e-11),
    implicit_cg=KernelSpeed(1.6e-08, 5.3e-11, 1.7e-10, 0.0, 1.5e-10),
    double=1.8,
    pack=4.5e-10,
    turn=3.9e-11,
    regroup=3.2e-08,
    start=1.1e-08,
    shuffle=7.9e-08,
    cluster_shuffle=1.9e-07,
    fit=0.035,
    cluster_fit=0.35,
    task=0.00055,
    cluster_task=0.0012,
    cluster_wait=0.019,
    byte=6.2e-10,
    pinned_byte=1.8e-09,
    process_bytes=320000000.0,
    plain=6.3,
)


def speed_here() -> Speed:
    """The constants for the kernels that are in use."""
    if kernels.backend == "numba":
        return MEASURED
    return replace(MEASURED, **{name: _scaled(getattr(MEASURED, name), MEASURED.plain) for name in KERNELS})


def padded(columns: int) -> int:
    """The number of columns that kernels reckon with.

    >>> padded(10), padded(64)
    (16, 64)
    """
    return -(-columns // PADDING) * PADDING
