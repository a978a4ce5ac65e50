"""``save``, ``load``, ``write`` and ``read`` in Spark's manner, for everything that has parameters.

Counterparts in Spark: ``pyspark.ml.util.MLWritable``, ``MLReadable``, ``MLWriter`` and ``MLReader``.
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from distributed import Client

from daskals import progress
from daskals.execution.showing import showing
from daskals.io.directories import new_directory, read_metadata, write_metadata
from daskals.params.declared import Params

if TYPE_CHECKING:
    from typing import Self

#: What the system says where a disk is full, a quota used up, or a file longer than files may be.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OnCluster:
    """What writers and readers have in common: on which cluster they work."""

    _client: Client | None = None

    def session(self, sparkSession: Client) -> Self:
        """Work on the cluster of a ``distributed.Client``, in place of the one in force; return self.

        The argument has Spark's name, so that a keyword stays as it is. ``TypeError`` for anything but a client: there
        is no SparkSession here, and without this call the scheduler in force is used.
        """
        if not isinstance(sparkSession, Client):
            raise TypeError(
                f"session takes a distributed.Client, got {type(sparkSession).__name__}. There is no SparkSession in "
                "daskals: leave the call out to use the scheduler in force."
            )
        self._client = sparkSession
        return self

    def _on_cluster(self) -> AbstractContextManager[Any]:
        return self._client.as_current() if self._client else nullcontext()


class MLWriter(OnCluster):
    """What ``instance.write()`` gives: ``.overwrite()`` and then ``.save(path)``."""

    #: Names of the options there are; Spark passes over others in silence.
    _options: tuple[str, ...] = ()

    def __init__(self, instance: Savable) -> None:
        self._instance = instance
        self._overwrite = False

    def overwrite(self) -> Self:
        """Replace what is there; the old one is kept until the new one is complete."""
        self._overwrite = True
        return self

    def option(self, key: str, value: Any) -> Self:
        """Set an option and return self; only the models of `daskals.tuning` have one, "persistSubModels".

        ``ValueError`` for others.
        """
        if key.lower() not in map(str.lower, self._options):
            there_are = f"the only one is {', '.join(map(repr, self._options))}" if self._options else "it has none"
            raise ValueError(f"{type(self._instance).__name__} is not written with an option {key!r}; {there_are}")
        del value  # subclasses heed it
        return self

    def save(self, path: str) -> None:
        """Write to a folder or any URL that fsspec knows; ``FileExistsError`` if there is something already.

        A ``UserWarning`` of what Spark cannot load comes when all is in its place.
        """
        self._save_and_warn(path, stacklevel=3)

    def _save_and_warn(self, path: str, stacklevel: int, verbose: bool | None = None) -> None:
        directory = new_directory(str(path), overwrite=self._overwrite)
        try:
            with self._on_cluster(), showing(verbose), progress.stage("Saving"), directory as draft:
                cautions = self._write(draft)
        except OSError as error:
            if error.errno in NO_ROOM:
                error.add_note(f"{path} was not written, and nothing stays of it: make room, or save it elsewhere.")
            raise
        for each in dict.fromkeys(cautions):
            warnings.warn(each, stacklevel=stacklevel)

    def _write(self, directory: str) -> list[str]:
        return self._instance._save(directory)


class MLReader(OnCluster):
    """What ``Class.read()`` gives: ``.load(path)``."""

    def __init__(self, cls: type[Savable]) -> None:
        self._cls = cls

    def load(self, path: str) -> Any:
        """Read what `MLWriter.save`, or Spark, wrote; see ``Class.load``."""
        with self._on_cluster(), showing(None):
            return self._cls._load(str(path))


class Savable(Params):
    """An object that is saved as Spark saves it: here its parameters; subclasses add to it."""

    #: Spark's name of the class
    _java_class: str
    #: parameters that Spark's class lacks: it would refuse to load them, so they stand apart
    _own_params: tuple[str, ...] = ()
    #: values, in lower case, of Spark's parameters that Spark would refuse as well
    _own_values: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    def write(self) -> MLWriter:
        """A writer for this instance."""
        return MLWriter(self)

    def save(self, path: str, *, verbose: bool | None = None) -> None:
        """Write to a new folder, or any URL that fsspec knows: ``write().save(path)``.

        ``verbose`` says whether progress is shown, as in ``ALS.fit``.
        """
        self.write()._save_and_warn(path, stacklevel=3, verbose=verbose)

    @classmethod
    def read(cls) -> MLReader:
        """A reader for this class."""
        return MLReader(cls)

    @classmethod
    def load(cls, path: str) -> Self:
        """Read what ``save``, or Spark, wrote.

        ``FileNotFoundError`` if there is nothing; ``ValueError`` naming the file and the fault if it is damaged, of
        another class, or holds a parameter that this class does not have.
        """
        loaded: Self = cls.read().load(path)
        return loaded

    def _save(self, directory: str) -> list[str]:
        """Write all files into a directory; returns what the user is to be warned of when it is in its place."""
        write_metadata(directory, self._metadata())
        return []

    def _metadata(self) -> dict[str, Any]:
        values = {param.name: value for param, value in self._paramMap.items()}
        defaults = {param.name: param.default for param in self.params if param.default is not None}
        return {
            "class": self._java_class,
            "uid": self.uid,
            "paramMap": {name: value for name, value in values.items() if not self._is_own(name, value)},
            "defaultParamMap": {name: value for name, value in defaults.items() if not self._is_own(name, value)},
            "daskals": {"paramMap": {name: value for name, value in values.items() if self._is_own(name, value)}},
        }

    def _is_own(self, name: str, value: Any) -> bool:
        """Whether Spark would refuse to load this value of a parameter."""
        own_values = self._own_values.get(name, ())
        return name in self._own_params or (bool(own_values) and str(value).lower() in own_values)

    @classmethod
    def _load(cls, path: str) -> Self:
        instance = cls()
        instance._take(path, read_metadata(path, cls._java_class))
        return instance

    def _take(self, path: str, fields: dict[str, Any]) -> None:
        """Take the uid and the parameters of saved metadata.

        A default that was saved and differs from ours (Spark's Python has another seed in each process) is
        *set*, so that the instance does as it did where it was saved.
        """
        self._resetUid(str(fields["uid"]))
        values = {**fields.get("paramMap", {}), **fields.get("daskals", {}).get("paramMap", {})}
        for name, value in fields.get("defaultParamMap", {}).items():
            if self._known(path, name).default != value:
                values.setdefault(name, value)
        for name in values:
            self._known(path, name)
        try:
            self._set(**values)
            Params.validate(self)
        except TypeError as error:
            raise ValueError(f"The metadata of {path} hold a value of a wrong type: {error}") from None
        except ValueError as error:
            raise ValueError(f"The metadata of {path} hold a value that is not allowed: {error}") from None

    def _known(self, path: str, name: str) -> Any:
        try:
            return self.getParam(name)
        except ValueError as error:
            raise ValueError(f"The metadata of {path} hold an unknown parameter: {error}") from None
