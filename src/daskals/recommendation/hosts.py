"""A cluster that is described by its sizes: for plans."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from dask.utils import parse_bytes

from daskals.execution.paper import Machines
from daskals.params.arguments import at_least_one

_RATE = re.compile(r"\s*([\d.]+(?:e[+-]?\d+)?)\s*([kmgt]?)(i?)(bit|b)\s*(/s|ps)\s*", re.IGNORECASE)
_PREFIXES = "kmgt"


@dataclass(frozen=True)
class Hosts:
    """Machines that a fit could run on, for `daskals.plan`: all alike, each with so many worker processes.

    Parameters
    ----------
    n : int
        How many machines.
    threads : int
        Of each machine, for all of its worker processes together.
    memory : int or str
        Of each machine, for all of its worker processes together: bytes, or "128GB".
    bandwidth : float or str, default "10Gbit/s"
        What each machine can receive from others: bytes a second, or "10Gbit/s", "1.25GB/s".
    processes : int, default 1
        Worker processes of each machine. One with many threads is right for most: each process receives the factors
        of the other side.

    Examples
    --------
    >>> Hosts(16, threads=32, memory="256GB")
    Hosts(n=16, threads=32, memory='256GB', bandwidth='10Gbit/s', processes=1)
    """

    n: int
    threads: int
    memory: int | str
    bandwidth: float | str = "10Gbit/s"
    processes: int = 1

    def __post_init__(self) -> None:
        for name in ("n", "threads", "processes"):
            at_least_one(name, getattr(self, name))
        self._machines()

    def _machines(self) -> Machines:
        """The same in numbers, as the engine knows machines."""
        processes = self.n * self.processes
        memory = size("memory", self.memory) / self.processes
        each = rate("bandwidth", self.bandwidth) / self.processes
        return Machines(processes, max(self.n * self.threads, processes), memory, is_cluster=True, bandwidth=each)


def size(name: str, value: Any) -> float:
    """An argument as bytes; ``TypeError`` or ``ValueError`` that names it if it cannot be that."""
    said = f"{name}={value!r} is not allowed: it must be a size above 0, in bytes or such as '128GB'"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(said)
    try:
        found = float(parse_bytes(value))
    except (ValueError, KeyError, OverflowError):
        raise ValueError(said) from None
    if not 0 < found < math.inf:
        raise ValueError(said)
    return found


def rate(name: str, value: Any) -> float:
    """An argument as bytes a second; errors as those of `size`.

    >>> rate("bandwidth", "10Gbit/s"), rate("bandwidth", "1GB/s"), rate("bandwidth", 5e8)
    (1250000000.0, 1000000000.0, 500000000.0)
    """
    said = (
        f"{name}={value!r} is not allowed: it must be a rate above 0, in bytes a second or such as '10Gbit/s' or "
        "'1.25GB/s'"
    )
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(said)
    if isinstance(value, str):
        found = _RATE.fullmatch(value)
        if found is None:
            raise ValueError(said)
        number, prefix, binary, unit, per = found.groups()
        # "Gbps" are bits, "GB/s" bytes
        is_bits = unit.lower() == "bit" or (unit == "b" and per.lower() == "ps")
        power = _PREFIXES.index(prefix.lower()) + 1 if prefix else 0
        try:
            value = float(number) * (1024 if binary else 1000) ** power / (8 if is_bits else 1)
        except ValueError:
            raise ValueError(said) from None
    if not 0 < value < math.inf:
        raise ValueError(said)
    return float(value)
