"""Checkpoints of a fit, and going on from them.

::

    <checkpointDir>/fit-1a2b3c4d5e6f/iteration-000010      a folder for each fit
    <checkpointDir>/fit-1a2b3c4d5e6f/iteration-000020
    <checkpointDir>/fit-0f9e8d7c6b5a/iteration-000004      another fit

The name of a fit's folder follows from its ratings and the parameters that decide its factors (`daskals.io.identity`),
so that several fits may have one checkpointDir.

A fit that is measured by held-out ratings after each iteration keeps its best one. When it writes a checkpoint it also
writes the best iteration so far, as a checkpoint like any other, unless it has done so before; it stays as long as no
better one does. So the factors that the model will have are on disk whenever the fit is to go on.

A checkpoint is a model: its directory is one that `ALSModel.load` and Spark read, whole or absent. Its metadata say
besides to which fit it belongs, so that a fit never goes on from another one's. The newest two of a fit are kept, and
the best; others are removed, and nothing else is: not what stands beside a fit's own folder, nor what it has not
written there.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import fsspec

from daskals.engine.factors import rebased
from daskals.engine.loop import ResumePoint
from daskals.engine.sides import Ratings
from daskals.execution.scheduler import Scheduler
from daskals.execution.waiting import LOSSES
from daskals.io.directories import file_name, join, new_directory, read_metadata, write_metadata
from daskals.io.identity import differences, folder_name
from daskals.io.model_files import Factors, read_history, read_sides, write_sides

logger = logging.getLogger("daskals")
KEPT = 2
_NAME = re.compile(r"iteration-(\d{6}|[1-9]\d{6,})", re.ASCII)
#: What a removal that was cut short may leave of a checkpoint.
_PARTS = {"metadata", "userFactors", "itemFactors", "userCounts", "itemCounts"}


#: (history of a checkpoint, a column each) -> the iteration that is the best in it; None where the fit that goes on
#: would have stopped before.
Judge = Callable[[dict[str, list[Any]]], int | None]


@dataclass(frozen=True)
class Checkpoint:
    """Where a fit goes on, and its history so far: a column each, as in the metadata."""

    point: ResumePoint
    history: dict[str, list[Any]]


class _Found(NamedTuple):
    """A directory that has the name of a checkpoint."""

    number: int
    path: str
    #: its metadata; None where they cannot be read as those of a model
    fields: dict[str, Any] | None
    #: why not
    fault: ValueError | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What the metadata of a checkpoint say beside those of a model; nothing for a model that is none."""
        about = (self.fields or {}).get("daskals", {}).get("checkpoint")
        return about if isinstance(about, dict) else {}

    @property
    def identity(self) -> dict[str, Any]:
        """Of which fit it is; empty for a model that is no checkpoint."""
        identity = self.about.get("identity")
        return identity if isinstance(identity, dict) else {}

    @property
    def time(self) -> float:
        """When it was written."""
        time = (self.fields or {}).get("timestamp")
        return time if isinstance(time, int | float) else 0

    def is_of(self, identity: dict[str, Any]) -> bool:
        """Whether this is a checkpoint of the fit with this identity."""
        return not self.fault and self.identity == identity

    def is_remains(self) -> bool:
        """Whether this is what a removal that was cut short has left of a checkpoint."""
        return self.fields is None and not self.fault and {file_name(path) for path, _ in _listed(self.path)} <= _PARTS


class Checkpoints:
    """The checkpoints of one fit, in its own folder below ``folder``.

    ``class_name`` is Spark's name of the class of models. ``identity`` is what a checkpoint must agree with: names and
    values of the data and the decisive parameters. ``validation`` tells the held-out ratings of this fit, and how it is
    measured by them, from others; None where it has none.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        folder: str,
        interval: int,
        class_name: str,
        identity: dict[str, Any],
        validation: str | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._class_name = class_name
        self._folder = folder
        self._own_folder = join(folder, folder_name(identity))
        self._interval = interval
        self._identity = identity
        self._validation = validation
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

    def write(self, factors: Factors, number: int, fields: dict[str, Any], best: int | None = None) -> None:
        """Write the factors after an iteration, with ``fields`` for the metadata of a model.

        ``best`` is the iteration whose checkpoint must stay beside the newest ones. ``OSError`` if it is impossible to
        write; the checkpoints before stay usable.
        """
        path = self._path(number)
        try:
            with new_directory(path, overwrite=True) as draft:
                notes = write_sides(self._scheduler, draft, factors).notes
                notes["checkpoint"] = {"iteration": number, "identity": self._identity}
                if self._validation is not None:
                    notes["checkpoint"]["validation"] = self._validation
                write_metadata(draft, {**fields, "daskals": {**fields.get("daskals", {}), **notes}})
        except LOSSES:  # one of them is an OSError, and says nothing of files
            raise
        except OSError as error:
            client = self._scheduler.client
            if client and client.status != "running":
                raise
            raise OSError(
                f"Checkpoint {path} could not be written: {error}. Earlier checkpoints are untouched: make room, or "
                "set another checkpointDir, and call fit(..., resume=True)."
            ) from error
        self._newest = path
        logger.info("wrote checkpoint %s", path)
        self._tidy(number, best)

    def newest(self, ratings: Ratings, most: int, judge: Judge) -> Checkpoint | None:
        """The newest checkpoint of at most ``most`` iterations to which this fit would have come.

        Which these are is for ``judge`` to say, as a fit may stop earlier than the one that wrote the checkpoints. The
        best iteration so far must be there as well.

        None where this fit has left none. ``ValueError`` if it has left nothing at all and others have: it says what
        differs from the newest of theirs. ``ValueError`` too if nothing that it has left can be read, and if all of it
        was measured by other held-out ratings than this fit is, or by none.
        """
        found = _models_in(self._own_folder, self._class_name)
        ours = [each for each in found if each.is_of(self._identity)]
        if not ours:
            self._raise_why_none(found)
        for newest in reversed(self._measured_alike([each for each in ours if each.number <= most])):
            history = read_history(newest.path, newest.fields or {})
            best = judge(history)
            if best is None:
                continue
            if best not in [each.number for each in ours]:
                logger.warning("passing over checkpoint %s: its best iteration, %d, is gone", newest.path, best)
                continue
            for each in found:
                if each.fault and newest.number < each.number <= most:
                    logger.warning("passing over a checkpoint that cannot be read: %s", each.fault)
            logger.info("going on from checkpoint %s", newest.path)
            self._newest = newest.path
            return Checkpoint(self.read(newest.number, ratings), history)
        logger.info("no checkpoint in %s: starting from the beginning", self._folder)
        return None

    def _measured_alike(self, ours: list[_Found]) -> list[_Found]:
        """Those that were measured by the held-out ratings of this fit; all, where it has none."""
        if self._validation is None or not ours:
            return ours
        alike = [each for each in ours if each.about.get("validation") == self._validation]
        if not alike:
            raise ValueError(
                f"Checkpoint {ours[-1].path} is of a fit that was measured by "
                f"{ours[-1].about.get('validation') or 'no validation rows'} after each iteration, and this one is "
                f"measured by {self._validation}: which of its iterations is the best cannot be told. Pass the same "
                "validation= and validationK, or another checkpointDir, or call fit without resume=True."
            )
        return alike

    def has(self, number: int) -> bool:
        """Whether there is a checkpoint of this iteration of this fit."""
        found = _find(number, self._path(number), self._class_name)
        return found.is_of(self._identity) and found.about.get("validation") == self._validation

    def read(self, number: int, ratings: Ratings) -> ResumePoint:
        """The checkpoint of this iteration, in the blocks of ``ratings``."""
        path = self._path(number)
        factors = read_sides(self._scheduler, path, read_metadata(path, self._class_name))
        return ResumePoint(
            number, rebased(factors.users, ratings.users.bounds), rebased(factors.items, ratings.items.bounds)
        )

    def _raise_why_none(self, found: list[_Found]) -> None:
        """Raise what explains that this fit has no checkpoint, if it is more than that nothing was written yet."""
        for each in reversed(found):
            if each.fault:
                raise each.fault
        if _listed(self._own_folder):
            return
        folders = [path for path, is_folder in _listed(self._folder) if is_folder and file_name(path)[:4] == "fit-"]
        models = [each for folder in (self._folder, *folders) for each in _models_in(folder, self._class_name)]
        others = [each for each in models if each.fields is not None]
        if others:
            newest = max(others, key=lambda each: (each.time, each.number))
            raise ValueError(
                f"Checkpoint {newest.path} is one of another fit:\n{differences(newest.identity, self._identity)}\n"
                "Set the parameters back, or another checkpointDir, or call fit without resume=True."
            )

    def _path(self, number: int) -> str:
        return join(self._own_folder, f"iteration-{number:06d}")

    def _tidy(self, newest: int, best: int | None) -> None:
        """Remove our checkpoints before the newest two but the best, and what is left of those removed in part."""
        try:
            found = [each for each in _models_in(self._own_folder, self._class_name) if each.number <= newest]
            ours = [each for each in found if each.is_of(self._identity)][:-KEPT]
            old = [each.path for each in ours if each.number != best]
            for path in [*old, *(each.path for each in found if each.is_remains())]:
                fs, place = fsspec.url_to_fs(path)
                # metadata first: what is left of a removal that is cut short is no model
                if fs.exists(f"{place}/metadata"):
                    fs.rm(f"{place}/metadata", recursive=True)
                fs.rm(place, recursive=True)
        except OSError as error:  # such as another process with the same fit that was faster
            logger.warning("an old checkpoint in %s could not be removed: %s", self._own_folder, error)


def _models_in(folder: str, class_name: str) -> list[_Found]:
    """The directories in a folder that have the name of a checkpoint, by iteration."""
    matches = [(_NAME.fullmatch(file_name(path)), path) for path, is_folder in _listed(folder) if is_folder]
    places = sorted((int(match[1]), path) for match, path in matches if match)
    return [_find(number, path, class_name) for number, path in places]


def _find(number: int, path: str, class_name: str) -> _Found:
    try:
        found = _Found(number, path, read_metadata(path, class_name))
    except FileNotFoundError:
        return _Found(number, path, None)
    except ValueError as error:
        return _Found(number, path, None, error)
    written = found.about.get("iteration", number)
    if written == number:
        return found
    return found._replace(
        fault=ValueError(f"{path} has another name than it was written with: it is of iteration {written!r}")
    )


def _listed(folder: str) -> list[tuple[str, bool]]:
    """What is in a folder: each path, and whether it is a folder."""
    fs, place = fsspec.url_to_fs(folder)
    if not fs.isdir(place):
        return []
    return [
        (join(folder, file_name(each["name"].rstrip("/"))), each["type"] == "directory")
        for each in fs.ls(place, detail=True)
    ]
