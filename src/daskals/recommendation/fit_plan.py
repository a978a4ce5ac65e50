"""`FitPlan`: what a fit will need, as numbers and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from daskals.blocks.ratings import SideName, other
from daskals.engine.needed_memory import Phase, phases_of
from daskals.engine.needed_seconds import seconds_of
from daskals.engine.needs import SIDES, Needs
from daskals.engine.speeds import Speed
from daskals.params.shown import Picture, Row, Shown

#: Workers of Dask move results to disk above the first share of their memory limit, and stop above the second.
SPILLED_ABOVE, PAUSED_ABOVE = 0.6, 0.8
#: Positions of rows are of four bytes.
MOST_ROWS = 2**31 - 1
#: Tasks that a scheduler takes minutes for, and gigabytes.
MANY_TASKS = 200_000


@dataclass(frozen=True, repr=False)
class FitPlan(Shown):
    """What a fit will need; `daskals.plan` makes it. Its text is a table, and so is what a notebook shows."""

    users: int
    items: int
    ratings: int
    #: processes that have a share of the ratings, and threads of all of them together
    processes: int
    threads: int
    #: bytes a second that a process can receive from others; None on one machine
    bandwidth: float | None
    userBlocks: int
    itemBlocks: int
    #: how the items are solved: "gather", "reduce-exact" or "reduce-cg" (`daskals.engine.traffic`), with
    #: ", panel by panel" where the users are too many for one process
    itemsFromUsers: str
    usersFromItems: str
    #: bytes that go from process to process in an iteration, all together
    bytesPerIteration: int
    #: bytes of factors that are handed to the scheduler in an iteration
    bytesPinned: int
    #: the most that the largest process holds, in bytes; its limit; and when it is most
    memory: int
    memoryLimit: int
    memoryWhile: str
    #: bytes that the largest process moves to disk for want of memory
    bytesToDisk: int
    #: of the scheduler, before the first iteration, and in each
    tasksBefore: int
    tasksPerIteration: int
    #: reading from files is not counted
    secondsBefore: float
    secondsPerIteration: float
    #: for all iterations that the parameters allow
    seconds: float
    #: the seconds of an iteration by what takes them: "arithmetic", "packing", "network", "pinning", "scheduler"
    secondsOf: Mapping[str, float] = field(hash=False)
    #: what keeps it from being faster: "memory" where it does not fit, else what takes most of an iteration
    limit: str
    #: whether the fit has the memory that it needs
    fits: bool
    #: what will not do, and what to do about it
    cautions: tuple[str, ...]
    #: what is worth knowing
    notes: tuple[str, ...]

    def _rows(self) -> Iterator[Row]:
        yield Row("ratings", f"{self.ratings:,} of {self.users:,} users and {self.items:,} items")
        where = [_number(self.processes, "process"), _number(self.threads, "thread"), in_bytes(self.memoryLimit)]
        if self.processes > 1:
            where[-1] += " each"
        if self.bandwidth is not None:
            where.append(f"{in_bytes(self.bandwidth)}/s into each")
        yield Row("where", ", ".join(where))
        yield Row("blocks", f"{self.userBlocks:,} of users, {self.itemBlocks:,} of items")
        yield Row("items from users", self.itemsFromUsers)
        yield Row("users from items", self.usersFromItems)
        into = "" if self.processes == 1 else f", {in_bytes(self.bytesPerIteration / self.processes)} into each"
        yield Row("network", f"{in_bytes(self.bytesPerIteration)} an iteration{into}")
        if self.bytesPinned:
            yield Row("pinned", f"{in_bytes(self.bytesPinned)} an iteration, by way of scheduler and client")
        of_one = " of the largest process" if self.processes > 1 else ""
        yield Row("memory", f"{in_bytes(self.memory)}{of_one}, while {self.memoryWhile}")
        if self.bytesToDisk:
            yield Row("disk", f"{in_bytes(self.bytesToDisk)}{of_one}")
        yield Row("tasks", f"{self.tasksBefore:,} before the first iteration, {self.tasksPerIteration:,} in each")
        each_part = ", ".join(
            f"{name} {in_seconds(seconds)}" for name, seconds in self.secondsOf.items() if in_seconds(seconds) != "0"
        )
        yield Row("before", f"{in_seconds(self.secondsBefore)} s, without reading files")
        yield Row("an iteration", f"{in_seconds(self.secondsPerIteration)} s: {each_part}")
        yield Row("all iterations", f"{in_seconds(self.seconds)} s with what is before")
        yield Row("first limit", self.limit)
        for text in self.cautions:
            yield Row("caution", text)
        for text in self.notes:
            yield Row("note", text)

    def _picture(self) -> Picture:
        return Picture("FitPlan", list(self._rows()))

    def __repr__(self) -> str:
        try:
            rows = list(self._rows())
            width = max(len(row.name) for row in rows)
            return "\n".join(f"{row.name:{width}}  {row.value}" for row in rows)
        except Exception:  # one that is not complete
            return object.__repr__(self)


def shown_plan(needs: Needs, speed: Speed, n_iterations: int) -> FitPlan:
    """The plan that is shown, of what is needed at such a speed."""
    seconds, phases = seconds_of(needs, speed), phases_of(needs, speed.process_bytes)
    largest, limit = max(phases, key=lambda phase: phase.held), needs.machines.memory
    to_disk = max(0.0, largest.held - SPILLED_ABOVE * limit) if needs.machines.is_cluster else 0.0
    cautions = tuple(_cautions(needs, phases))
    return FitPlan(
        users=needs.sizes.n_users,
        items=needs.sizes.n_items,
        ratings=needs.sizes.n_ratings,
        processes=needs.machines.processes,
        threads=needs.machines.threads,
        bandwidth=needs.machines.bandwidth,
        userBlocks=needs.shuffled.user_blocks,
        itemBlocks=needs.shuffled.item_blocks,
        itemsFromUsers=_way(needs, "items"),
        usersFromItems=_way(needs, "users"),
        bytesPerIteration=sum(needs.moved(side) for side in SIDES),
        bytesPinned=needs.pinned,
        memory=round(largest.held),
        memoryLimit=round(limit),
        memoryWhile=largest.name,
        bytesToDisk=round(to_disk),
        tasksBefore=needs.shuffle_tasks,
        tasksPerIteration=needs.iteration_tasks,
        secondsBefore=seconds.before,
        secondsPerIteration=seconds.iteration,
        seconds=seconds.before + n_iterations * seconds.iteration,
        secondsOf=seconds.parts(),
        limit="memory" if cautions else max(seconds.parts().items(), key=lambda part: part[1])[0],
        fits=not cautions,
        cautions=cautions,
        notes=tuple(_notes(needs, to_disk)),
    )


def _way(needs: Needs, side: SideName) -> str:
    way = needs.form(side)
    return f"{way}, panel by panel" if way == "gather" and needs.plan.of(other(side)).streamed else way


def _cautions(needs: Needs, phases: list[Phase]) -> Iterator[str]:
    """What will not do."""
    machines = needs.machines
    for side in SIDES:
        if needs.sizes.rows(side) > MOST_ROWS:
            yield f"A fit can have {MOST_ROWS:,} {side} at most. These will not fit."
    if machines.is_cluster:
        worst, room = max(phases, key=lambda phase: phase.used), PAUSED_ABOVE * machines.memory
        needed, of = worst.used, f"{PAUSED_ABOVE:.0%} of the memory limit of a worker"
    else:
        worst, room = max(phases, key=lambda phase: phase.held), machines.memory
        needed, of = worst.held, "the memory of this machine"
    if needed > room:
        yield (
            f"This will not fit: while {worst.name}, a process needs {in_bytes(needed)} at one moment, and {of} is "
            f"{in_bytes(room)}. {_advice(machines.is_cluster)}"
        )


def _advice(is_cluster: bool) -> str:
    if is_cluster:
        return "Take larger workers, fewer of them on a machine (with more threads each), or a lower rank."
    return (
        "Take a machine with more memory, a lower rank, or a cluster (dask.distributed.LocalCluster on this machine): "
        "its workers move to disk what has no room."
    )


def _notes(needs: Needs, to_disk: float) -> Iterator[str]:
    """What is worth knowing."""
    machines, blocks = needs.machines, [needs.shuffled.blocks(side) for side in needs.halves]
    if min(blocks) < machines.threads and needs.sizes.n_ratings > machines.threads * 10**6:
        yield (
            f"{min(blocks)} blocks keep {min(blocks)} of {machines.threads} threads busy. More of them: numUserBlocks "
            "and numItemBlocks, or daskals.max-blocks in Dask's configuration."
        )
    if to_disk:
        yield "Workers need a local directory on a disk of their machine with that much room."
    if needs.shuffle_tasks > MANY_TASKS:
        yield f"{needs.shuffle_tasks:,} tasks before the first iteration are much for one scheduler."
    if needs.plan.loses_history:
        yield (
            "Factors are more than daskals.durable-bytes: with checkpointDir a lost worker costs the iterations since "
            "the newest checkpoint, without it all of them."
        )


def in_bytes(number: float) -> str:
    """A number of bytes with three digits.

    >>> in_bytes(0), in_bytes(25.6e9), in_bytes(1_000_000_000_000)
    ('0 bytes', '25.6 GB', '1 TB')
    """
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)):
        if number >= 0.9995 * 10**power:
            return f"{_three(number / 10**power)} {unit}"
    return f"{number:.0f} bytes"


def in_seconds(number: float) -> str:
    """Seconds with two digits; none below a millisecond.

    >>> in_seconds(1234.5), in_seconds(12.345), in_seconds(0.01234), in_seconds(0.0001)
    ('1,234', '12', '0.012', '0')
    """
    if number >= 10:
        return f"{number:,.0f}"
    return f"{float(f'{number:.2g}'):g}" if number >= 0.001 else "0"


def _three(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _number(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}{'es' if noun.endswith('s') else 's'}"


def as_dict(needed: FitPlan) -> dict[str, Any]:
    """All numbers of a plan by name, as JSON takes them."""
    return {name: dict(value) if name == "secondsOf" else value for name, value in vars(needed).items()}
