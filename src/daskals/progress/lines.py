"""What is said of work that is under way, as text."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple

#: Time left is told from so many of the last steps.
STEPS_TO_LOOK_AT = 5


class Line(NamedTuple):
    """A line of a display."""

    #: what is done
    lead: str
    #: how long it has taken, and will
    times: str
    #: what is known of the last step
    note: str
    done: int
    #: None where nobody knows how much there is to do
    total: int | None

    @property
    def tail(self) -> str:
        """What stands behind a bar, whose beginning is the lead."""
        return f"{self.times}, {self.note}" if self.note else self.times

    @property
    def text(self) -> str:
        """The line without a bar."""
        return f"{self.lead}: {self.note} ({self.times})" if self.note else f"{self.lead} ({self.times})"


@dataclass(eq=False)
class Work:
    """A piece of work that is under way. Those inside of it are its ``parts``."""

    label: str
    #: how many steps there are; of a stage how many tasks, once somebody counts them
    total: int | None = None
    done: int = 0
    #: what is counted in a stage, such as "files"; "" where nothing is
    unit: str = ""
    #: what its steps are, such as "iterations"
    kind: str = "steps"
    #: whether its parts have lines of their own
    is_outer: bool = False
    #: what is known of the last step
    note: str = ""
    parts: list[Work] = field(default_factory=list)
    began: float = field(default_factory=lambda: time.monotonic())
    #: when the last steps ended, the beginning included
    ends: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ends.append(self.began)

    def step(self, note: str) -> None:
        """One step more is done."""
        self.done, self.note = self.done + 1, note
        self.ends = [*self.ends[-STEPS_TO_LOOK_AT:], time.monotonic()]

    def forget_seconds(self, seconds: float) -> None:
        """Seconds that passed and say nothing of those to come, as while kernels are compiled."""
        self.ends = [end + seconds for end in self.ends]
        for part in self.parts:
            part.forget_seconds(seconds)

    def seconds_left(self) -> float | None:
        """How long the rest will take; None where that cannot be told."""
        if self.total is None or not 0 < self.done < self.total:
            return None
        if self.unit:
            return (time.monotonic() - self.began) / self.done * (self.total - self.done)
        steps = len(self.ends) - 1
        if not steps:
            return None
        spent = time.monotonic() - self.ends[-1]
        return max(0.0, (self.ends[-1] - self.ends[0]) / steps * (self.total - self.done) - spent)

    def line(self, compiling: str) -> Line:
        """What is said of it; ``compiling`` takes the place of what its parts do, where it is not ""."""
        inner = None if self.is_outer or not self.parts else self.parts[-1]
        counted = inner if inner is not None and self.total is None else self
        inside = compiling if compiling else inner.label if inner is not None else ""
        lead = self.label + (f" {_count(self)}" if self.total is not None else "")
        if inside:
            lead += f": {inside[0].lower()}{inside[1:]}"
        if counted is not self and counted.total is not None and not compiling:
            lead += f" {_count(counted)}"
        left = counted.seconds_left()
        times = clock(time.monotonic() - self.began) + ("" if left is None else f", {clock(left)} left")
        return Line(lead, times, self.note, counted.done, counted.total)


def _count(work: Work) -> str:
    return f"{work.done}/{work.total}{' ' * bool(work.unit)}{work.unit}"


def clock(seconds: float) -> str:
    """A time as clocks show it.

    >>> clock(65), clock(3700)
    ('1:05', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """How long one step took, in few letters.

    >>> duration(0.0213), duration(1.7), duration(95.2)
    ('0.02 s', '1.70 s', '1:35')
    """
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s" if seconds < 60 else clock(seconds)
