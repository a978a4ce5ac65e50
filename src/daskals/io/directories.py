"""Spark's directories for models and estimators, read and written without Spark.

::

    <path>/metadata/part-00000          one line of JSON: class, uid, parameters, rank
    <path>/metadata/_SUCCESS
    <path>/userFactors/part-00000.snappy.parquet ...     id, features (list of float); a file for each block
    <path>/userFactors/_SUCCESS                          (`daskals.io.factor_folders`, `daskals.io.factor_files`)
    <path>/itemFactors/ ...                              likewise
    <path>/userCounts/, <path>/itemCounts/               numbers of ratings (`daskals.io.count_folders`); not Spark's

What Spark has no place for stands in the JSON under ``"daskals"``, a key that Spark ignores (`daskals.io.notes`). The
files hold data only: nothing that is read is ever executed.

A directory is written beside its place under another name, and moved there when it is complete; what stood there
before is kept until then. Where a file system cannot rename a directory at once (object stores), it is copied: the
metadata are taken away first and put in place last, since a directory without them is no model, and what was to be
copied stays until all is.
"""

from __future__ import annotations

import errno
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

#: The format that we write is that of this version; later ones and Spark 4 read it.
SPARK_VERSION = "3.5.0"
#: Spark's name of the class of a model.
MODEL_CLASS = "org.apache.spark.ml.recommendation.ALSModel"


@contextmanager
def new_directory(path: str, *, overwrite: bool) -> Iterator[str]:
    """Give a directory to fill, which becomes ``path`` when the block ends well and vanishes when it does not.

    ``FileExistsError`` if there is something at ``path`` and ``overwrite`` is not set.
    """
    fs, place = fsspec.url_to_fs(path)
    place = place.rstrip("/")
    replaces = fs.exists(place)
    if replaces and not overwrite:
        raise FileExistsError(
            f"{path} already exists. To replace it use write().overwrite().save(path); "
            "the old one is kept until the new one is complete."
        )
    draft = f"{place}.draft-{uuid.uuid4().hex[:12]}"
    fs.makedirs(draft)
    try:
        yield fs.unstrip_protocol(draft)
    except BaseException:
        fs.rm(draft, recursive=True)
        raise
    try:
        _replace(fs, draft, place)
    except BaseException as error:
        if (replaces or fs.exists(place)) and not fs.exists(f"{place}/metadata"):
            error.add_note(f"{path} cannot be loaded now. What was to be there is complete in {draft}")
        else:
            fs.rm(draft, recursive=True)
        raise


def _replace(fs: Any, draft: str, place: str) -> None:
    """Move the complete ``draft`` to ``place``."""
    if isinstance(fs, LocalFileSystem):
        _rename(fs, draft, place)
        return
    for part in ("metadata", ""):
        if fs.exists(f"{place}/{part}"):
            fs.rm(f"{place}/{part}", recursive=True)
    # inner metadata after their data, and those of the whole directory last
    files = sorted(fs.find(draft), key=lambda file: ("/metadata/" in file, file.startswith(f"{draft}/metadata/")))
    for file in files:
        target = place + file[len(draft) :]
        fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        fs.copy(file, target, on_error="raise")
    fs.rm(draft, recursive=True)


def _rename(fs: LocalFileSystem, draft: str, place: str) -> None:
    """Move a directory to its place, and away what stands there; back again if the move fails.

    Others may do the same at the same time: what they have put there in between is moved away too.
    """
    old = f"{draft}-old"
    while True:
        with suppress(FileNotFoundError):
            os.rename(place, old)
        try:
            os.rename(draft, place)
        except OSError as error:
            another_was_faster = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
            if not another_was_faster:
                with suppress(FileNotFoundError):
                    os.rename(old, place)
                raise
        else:
            another_was_faster = False
        if os.path.islink(old):
            os.unlink(old)
        elif os.path.exists(old):
            fs.rm(old, recursive=True)
        if not another_was_faster:
            return


def join(directory: str, *names: str) -> str:
    """A path below a directory, which may be a URL."""
    return "/".join([directory.rstrip("/"), *names])


def write_metadata(directory: str, fields: dict[str, Any]) -> None:
    """Write ``fields`` (with at least class, uid, paramMap, defaultParamMap) as Spark does."""
    content = {"timestamp": int(time.time() * 1000), "sparkVersion": SPARK_VERSION, **fields}
    fs, place = fsspec.url_to_fs(join(directory, "metadata"))
    fs.makedirs(place, exist_ok=True)
    with fs.open(f"{place}/part-00000", "w") as file:
        file.write(json.dumps(content, separators=(",", ":")) + "\n")
    fs.touch(f"{place}/_SUCCESS")


def read_metadata(path: str, class_name: str) -> dict[str, Any]:
    """Read the metadata of a directory that Spark or daskals wrote.

    ``FileNotFoundError`` if there are none; ``ValueError`` that names the file and the fault if they are damaged
    or those of another class.
    """
    fs, _ = fsspec.url_to_fs(path)
    parts = list_files(join(path, "metadata"), lambda name: name.startswith("part-"))
    if not parts:
        raise FileNotFoundError(
            f"{path} holds no model: there is no file metadata/part-* in it. Check the path; a write that was cut "
            "short leaves no metadata."
        )
    lines = [line for part in parts for line in fs.cat_file(part).splitlines() if line.strip()]
    try:
        fields = json.loads(lines[0]) if lines else None
    except ValueError as error:
        raise ValueError(f"{parts[0]} is not JSON: {error}") from None
    except RecursionError:
        raise ValueError(f"{parts[0]} is not the metadata of a model: its JSON is nested too deep") from None
    if not isinstance(fields, dict) or "class" not in fields:
        raise ValueError(f"{parts[0]} is not the metadata of a model: it has no class name")
    faults = _fields_that_are_no_maps(fields)
    if faults or not isinstance(fields.get("uid"), str):
        raise ValueError(f"{parts[0]} is damaged: {', '.join(faults) or 'uid'} is missing or of a wrong type")
    if fields["class"] != class_name:
        raise ValueError(
            f"Error loading metadata: {parts[0]} describes a {fields['class']}, expected class name {class_name}"
            f"{_loader_of(fields['class'])}"
        )
    return fields


def _loader_of(class_name: object) -> str:
    """Advice for what daskals can load, by Spark's name of its class."""
    package, _, rest = str(class_name).partition("org.apache.spark.ml.")
    found = not package and rest.partition(".")[0] in ("recommendation", "evaluation", "tuning")
    return f". Load it with daskals.{rest}.load" if found else ""


def _fields_that_are_no_maps(fields: dict[str, Any]) -> list[str]:
    names = ["paramMap", "defaultParamMap", "daskals"]
    faults = [name for name in names if not isinstance(fields.get(name, {}), dict)]
    if not faults and not isinstance(fields.get("daskals", {}).get("paramMap", {}), dict):
        faults.append("daskals.paramMap")
    return faults


def list_files(folder: str, accepts: Callable[[str], bool]) -> list[str]:
    """The files in a folder whose names are accepted, by name; none if there is no folder.

    ``ValueError`` that names what is no file: a pipe that is opened would wait for ever.
    """
    fs, place = fsspec.url_to_fs(folder)
    found = fs.ls(place, detail=True) if fs.exists(place) else []
    accepted = sorted((each for each in found if accepts(file_name(each["name"]))), key=lambda each: each["name"])
    for each in accepted:
        # a link is not listed as a file, though it may lead to one
        if each["type"] != "file" and not fs.isfile(each["name"]):
            raise ValueError(f"{each['name']} is no file that can be read: it is a folder, a pipe or a broken link")
    return [each["name"] for each in accepted]


def file_name(file: str) -> str:
    """The last part of a path."""
    return file.rsplit("/", 1)[-1]
