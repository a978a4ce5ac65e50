"""Checkpoints of a fit, and going on from them.

A checkpoint is a model: the directory ``iteration-000010`` in the folder of checkpoints is one that `ALSModel.load`
and Spark read, whole or absent. Its metadata say besides which ratings and parameters it belongs to, so that a fit
never goes on from another one's. The newest two are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import fsspec
from dask.delayed import Delayed

from daskals import execution, in_blocks, persistence
from daskals.blocks import Ids, InBlock
from daskals.factors import rebased
from daskals.model import ALSModel
from daskals.partitioning import Ratings

logger = logging.getLogger("daskals")

KEPT = 2
PREFIX = "iteration-"
#: Parameters that decide the factors of an iteration. (maxIter does not: it says how many there are.)
DECISIVE = (
    *("rank", "regParam", "implicitPrefs", "alpha", "nonnegative", "seed", "numUserBlocks", "numItemBlocks"),
    *("precision", "sparkRandom", "solver", "cgSteps"),
)


class Checkpoint(NamedTuple):
    """Where a fit goes on: the number of the iteration, blocks of both sides, and the history so far."""

    number: int
    user_blocks: Sequence[Delayed]
    item_blocks: Sequence[Delayed]
    history: list[tuple[Any, ...]]


class Checkpoints:
    """The folder of checkpoints of one fit.

    ``identity`` is what a checkpoint must agree with: names and values of the data and the decisive parameters.
    """

    def __init__(self, folder: str, interval: int, identity: dict[str, Any]) -> None:
        self._folder = folder
        self._interval = interval
        self._identity = identity
        #: path of the newest that this fit has written or gone on from
        self._newest: str | None = None

    @contextmanager
    def advice(self) -> Iterator[None]:
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

    def write(self, model: ALSModel, number: int) -> None:
        """Write the model after an iteration; ``OSError`` if that is impossible, the ones before staying usable."""
        path = self._path(number)
        about = {"iteration": number, "identity": self._identity}
        try:
            with persistence.new_directory(path, overwrite=True) as draft:
                model._save(draft, checkpoint=about)
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
        model = ALSModel.load(self._path(number))
        return Checkpoint(
            number,
            rebased(model._users, ratings.users.bounds),
            rebased(model._items, ratings.items.bounds),
            list(model.history.itertuples(index=False, name=None)),
        )

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
        return persistence.join(self._folder, f"{PREFIX}{number:06d}")

    def _found(self) -> dict[int, dict[str, Any] | None]:
        """Which checkpoints there are, and whose; None for what is left of one that lost its metadata."""
        fs, place = fsspec.url_to_fs(self._folder)
        names = [file.rstrip("/").rsplit("/", 1)[-1] for file in fs.ls(place, detail=False)] if fs.exists(place) else []
        numbers = [name[len(PREFIX) :] for name in names if name.startswith(PREFIX)]
        found: dict[int, dict[str, Any] | None] = {}
        for number in sorted(int(number) for number in numbers if number.isdecimal()):
            try:
                fields = persistence.read_metadata(self._path(number), ALSModel._java_class)
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


def identity_of(ratings: Ratings, values: dict[str, Any]) -> dict[str, Any]:
    """What identifies a fit: its decisive parameters and its data, whatever the blocks, the order or the cluster."""
    token = execution.new_token()
    prints = execution.fetch(
        *(
            execution.task(_print_of_block, block, name=f"als-print-{token}-{number}")
            for number, block in enumerate(ratings.users.in_blocks)
        ),
        execution.task(_print_of_ids, ratings.users.ids, name=f"als-print-{token}-users"),
        execution.task(_print_of_ids, ratings.items.ids, name=f"als-print-{token}-items"),
    )
    return {
        "ratings": ratings.n_ratings,
        "users": ratings.users.n_rows,
        "items": ratings.items.n_rows,
        "fingerprint of the data": f"{sum(prints) % 2**64:016x}",
        **{name: values[name] for name in DECISIVE},
    }


def _print_of_block(block: InBlock) -> int:
    return in_blocks.fingerprint(block)


def _print_of_ids(ids: Ids) -> int:
    return in_blocks.fingerprint_of_ids(ids)
