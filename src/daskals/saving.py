"""``save``, ``load``, ``write`` and ``read`` in Spark's manner, for everything that has parameters.

Counterparts in Spark: ``pyspark.ml.util.MLWritable``, ``MLReadable``, ``MLWriter`` and ``MLReader``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daskals import persistence
from daskals.params import Params

if TYPE_CHECKING:
    from typing import Self


class MLWriter:
    """What ``instance.write()`` gives: ``.overwrite()`` and then ``.save(path)``."""

    def __init__(self, instance: Savable) -> None:
        self._instance = instance
        self._overwrite = False

    def overwrite(self) -> Self:
        """Replace what is there; the old one is kept until the new one is complete."""
        self._overwrite = True
        return self

    def save(self, path: str) -> None:
        """Write to a folder or any URL that fsspec knows; ``FileExistsError`` if there is something already."""
        with persistence.new_directory(str(path), overwrite=self._overwrite) as draft:
            self._instance._save(draft)


class MLReader:
    """What ``Class.read()`` gives: ``.load(path)``."""

    def __init__(self, cls: type[Savable]) -> None:
        self._cls = cls

    def load(self, path: str) -> Any:
        """Read what `MLWriter.save`, or Spark, wrote; see ``Class.load``."""
        return self._cls._load(str(path))


class Savable(Params):
    """An object that is saved as Spark saves it: here its parameters; subclasses add to it."""

    #: Spark's name of the class
    _java_class: str
    #: parameters that Spark's class lacks: it would refuse to load them, so they stand apart
    _own_params: tuple[str, ...] = ()

    def write(self) -> MLWriter:
        """A writer for this instance."""
        return MLWriter(self)

    def save(self, path: str) -> None:
        """Write to a new folder, or any URL that fsspec knows: ``write().save(path)``."""
        self.write().save(path)

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

    def _save(self, directory: str) -> None:
        persistence.write_metadata(directory, self._metadata())

    def _metadata(self) -> dict[str, Any]:
        values = {param.name: value for param, value in self._paramMap.items()}
        defaults = {param.name: param.default for param in self.params if param.default is not None}
        return {
            "class": self._java_class,
            "uid": self.uid,
            "paramMap": {name: value for name, value in values.items() if name not in self._own_params},
            "defaultParamMap": {name: value for name, value in defaults.items() if name not in self._own_params},
            "daskals": {"paramMap": {name: values[name] for name in self._own_params if name in values}},
        }

    @classmethod
    def _load(cls, path: str) -> Self:
        instance = cls()
        instance._take(path, persistence.read_metadata(path, cls._java_class))
        return instance

    def _take(self, path: str, fields: dict[str, Any]) -> None:
        """Take the uid and the parameters of saved metadata.

        A default that was saved and differs from ours (Spark's Python has another seed in each process) is
        *set*, so that the instance does as it did where it was saved.
        """
        self._become(str(fields["uid"]))
        values = {**fields.get("paramMap", {}), **fields.get("daskals", {}).get("paramMap", {})}
        for name, value in fields.get("defaultParamMap", {}).items():
            if self._known(path, name).default != value:
                values.setdefault(name, value)
        for name in values:
            self._known(path, name)
        try:
            self._set(**values)
        except TypeError as error:
            raise ValueError(f"The metadata of {path} hold a value of a wrong type: {error}") from None

    def _known(self, path: str, name: str) -> Any:
        try:
            return self.getParam(name)
        except ValueError as error:
            raise ValueError(f"The metadata of {path} hold an unknown parameter: {error}") from None
