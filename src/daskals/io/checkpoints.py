"""Checkpoints of a fit, and going on from them.

A checkpoint is a model: the directory ``iteration-000010`` in the folder of checkpoints is one that `ALSModel.load`
and Spark read, whole or absent. Its metadata say besides which ratings and parameters it belongs to, so that a fit
never goes on from another one's. The newest two are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import fsspec

from daskals.blocks.fingerprint import fingerprint, fingerprint_of_ids
from daskals.blocks.ratings import InBlock
from daskals.engine.factors import rebased
from daskals.engine.loop import ResumePoint
from daskals.engine.sides import Ratings
from daskals.execution.scheduler import Scheduler
from daskals.execution.tasks import new_token, task
from daskals.io.directories import join, new_directory, read_metadata, write_metadata
from daskals.io.model_files import Factors, read_sides, write_sides
from daskals.kernels.types import Ids

logger = logging.getLogger("daskals")
KEPT = 2
PREFIX = "iteration-"
#: Parameters that decide the factors of an iteration. (maxIter does not: it says how many there are.)
IDENTITY_PARAMS = (
    *("rank", "regParam", "implicitPrefs", "alpha", "nonnegative", "seed", "numUserBlocks", "numItemBlocks"),
    *("precision", "sparkRandom", "solver", "cgSteps"),
)


@dataclass(frozen=True)
class Checkpoint:
    """Where a fit goes on, and its history so far: a column each, as in the metadata."""

    point: ResumePoint
    history: dict[str, list[Any]]


class Checkpoints:
    """The folder of checkpoints of one fit.

    ``class_name`` is Spark's name of the class of models. ``identity`` is what a checkpoint must agree with: names and
    values of the data and the decisive parameters.
    """

    def __init__(
        self, scheduler: Scheduler, folder: str, interval: int, class_name: str, identity: dict[str, Any]
    ) -> None:
        self._scheduler = scheduler
        self._class_name = class_name
        self._folder = folder
        self._interval = interval
        self._identity = identity
        #: path of the newest that this fit has written or gone on from
        self._newest: str | None = None

    @contextmanager
    def naming_newest_checkpoint(self) -> Iterator[None]:
        """Errors of any kind, Ctrl-C included, name the newest checkpoint and the way on."""
        try:
            yield
        except BaseException as error:
            if self._newest:
                error.add_note(f"The newest checkpoint is {self._newest}: fit(..., resume=True) goes on from it")
            raise

    def is_due(self, number: int) -> bool:
        """Whether the state after this iteration is to be written."""
        return number > 0 and self._interval > 0 and number % self._interval == 0

    def write(self, factors: Factors, number: int, fields: dict[str, Any]) -> None:
        """Write the factors after an iteration, with ``fields`` for the metadata of a model.

        ``OSError`` if that is impossible; the checkpoints before stay usable.
        """
        path = self._path(number)
        try:
            with new_directory(path, overwrite=True) as draft:
                about = write_sides(self._scheduler, draft, factors)
                about["checkpoint"] = {"iteration": number, "identity": self._identity}
                write_metadata(draft, {**fields, "daskals": {**fields.get("daskals", {}), **about}})
        except OSError as error:
            raise OSError(
                f"Checkpoint {path} could not be written: {error}. Earlier checkpoints are untouched: make room, or "
                "set another checkpointDir, and call fit(..., resume=True)."
            ) from error
        self._newest = path
        logger.info("wrote checkpoint %s", path)
        self._tidy(number)

    def newest(self, ratings: Ratings, most: int) -> Checkpoint | None:
        """The newest checkpoint of at most ``most`` iterations; None where there is none.

        ``ValueError`` that says what differs if it is one of other data or parameters.
        """
        found = {number: theirs for number, theirs in self._found().items() if theirs is not None and number <= most}
        if not found:
            logger.info("no checkpoint in %s: starting from the beginning", self._folder)
            return None
        ours = [number for number, theirs in found.items() if theirs == self._identity]
        number = max(ours or found)
        path = self._path(number)
        self._check(path, found[number])
        self._newest = path
        logger.info("going on from checkpoint %s", path)
        return self.read(number, ratings)

    def read(self, number: int, ratings: Ratings) -> Checkpoint:
        """The checkpoint of this iteration, in the blocks of ``ratings``."""
        path = self._path(number)
        fields = read_metadata(path, self._class_name)
        factors = read_sides(self._scheduler, path, fields)
        point = ResumePoint(
            number, rebased(factors.users, ratings.users.bounds), rebased(factors.items, ratings.items.bounds)
        )
        return Checkpoint(point, fields["daskals"].get("history", {}))

    def _check(self, path: str, theirs: dict[str, Any]) -> None:
        differences = [
            f"  {name}: {theirs.get(name)!r} in the checkpoint, {mine!r} now"
            for name, mine in self._identity.items()
            if theirs.get(name) != mine
        ]
        if differences:
            raise ValueError(
                "\n".join([f"Checkpoint {path} is one of another fit:", *differences])
                + "\nSet the parameters back, or another checkpointDir, or call fit without resume=True."
            )

    def _path(self, number: int) -> str:
        return join(self._folder, f"{PREFIX}{number:06d}")

    def _found(self) -> dict[int, dict[str, Any] | None]:
        """Which checkpoints there are, and whose; None for what is left of one that lost its metadata."""
        fs, place = fsspec.url_to_fs(self._folder)
        names = [file.rstrip("/").rsplit("/", 1)[-1] for file in fs.ls(place, detail=False)] if fs.exists(place) else []
        numbers = [name[len(PREFIX) :] for name in names if name.startswith(PREFIX)]
        found: dict[int, dict[str, Any] | None] = {}
        for number in sorted(int(number) for number in numbers if number.isdecimal()):
            try:
                fields = read_metadata(self._path(number), self._class_name)
            except FileNotFoundError:
                found[number] = None
            else:
                found[number] = fields.get("daskals", {}).get("checkpoint", {}).get("identity", {})
        return found

    def _tidy(self, newest: int) -> None:
        """Remove our checkpoints before the newest two, and remains; those of other fits stay."""
        found = self._found()
        ours = [number for number, theirs in found.items() if theirs == self._identity and number <= newest]
        for number in [*ours[:-KEPT], *(number for number, theirs in found.items() if theirs is None)]:
            fs, place = fsspec.url_to_fs(self._path(number))
            # metadata first: what is left of a removal that is cut short is no model
            if fs.exists(f"{place}/metadata"):
                fs.rm(f"{place}/metadata", recursive=True)
            fs.rm(place, recursive=True)


def identity_of(scheduler: Scheduler, ratings: Ratings, values: dict[str, Any]) -> dict[str, Any]:
    """What identifies a fit: its decisive parameters and its data, whatever the blocks, the order or the cluster."""
    token = new_token()
    prints = scheduler.fetch(
        *(
            task(_print_of_block, block, name=f"als-print-{token}-{number}")
            for number, block in enumerate(ratings.users.in_blocks)
        ),
        task(_print_of_ids, ratings.users.ids, name=f"als-print-{token}-users"),
        task(_print_of_ids, ratings.items.ids, name=f"als-print-{token}-items"),
    )
    return {
        "ratings": ratings.n_ratings,
        "users": ratings.users.n_rows,
        "items": ratings.items.n_rows,
        "fingerprint of the data": f"{sum(prints) % 2**64:016x}",
        **{name: values[name] for name in IDENTITY_PARAMS},
    }


def _print_of_block(block: InBlock) -> int:
    return fingerprint(block)


def _print_of_ids(ids: Ids) -> int:
    return fingerprint_of_ids(ids)
