"""From what somebody names, a file, a folder, a pattern or a URL, to the files that are meant."""

from __future__ import annotations

import atexit
import glob
import os
import shlex
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath

import click
import fsspec

from daskals.cli.heads import EXPECTED
from daskals.cli.talking import say
from daskals.io.directories import join

#: How the names of files end that a folder is looked through for, packed or not.
ENDINGS = (".parquet", ".pq", ".csv", ".tsv", ".txt", ".dat", ".data", ".jsonl", ".ndjson", ".json", ".base")
PACKED = (".gz", ".bz2", ".xz", ".zst")
#: What is brought here before it is read.
WEB = ("http://", "https://")
#: Seconds that a server may be silent.
PATIENCE = 60


def is_model(path: str) -> bool:
    """Whether there is a directory that Spark or daskals saved."""
    if path.startswith(WEB):
        return False
    try:
        fs, place = fsspec.url_to_fs(path)
        return bool(fs.exists(f"{place.rstrip('/')}/metadata") and fs.isdir(f"{place.rstrip('/')}/metadata"))
    except (OSError, ValueError, ImportError):
        return False


def check_no_model(path: str) -> None:
    """That this is not a saved model, where ratings are wanted; ``ValueError`` in one line where it is one."""
    if is_model(path):
        raise ValueError(
            f"{path} is a saved model, and a file of ratings is wanted here. What can be done with a model: "
            f"daskals recommend {shlex.quote(path)}, or similar, predict, evaluate, info, convert"
        )


def reachable(path: str) -> str:
    """The same path from wherever a worker was started: absolute, where it is one of this machine."""
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def files_of(source: str) -> list[str]:
    """The files that are meant, in order; a file behind http is brought here first.

    ``FileNotFoundError`` or ``ValueError``, in one line, where there is nothing, or nothing that is a table.
    """
    if source.startswith(WEB):
        return [_downloaded(source)]
    try:
        fs, place = fsspec.url_to_fs(source)
    except ImportError as error:  # names what to install
        raise ValueError(f"{source}: {error}") from None
    if any(sign in source for sign in "*?[") and not fs.exists(place):
        found = sorted(each for each in fs.glob(place) if not fs.isdir(each))
        if not found:
            raise FileNotFoundError(f"No file matches {source}")
        return [_named_as(source, fs, each) for each in found]
    if not fs.exists(place):
        raise FileNotFoundError(f"There is no {source}{_like(source)}")
    return _in_folder(source, fs, place) if fs.isdir(place) else [source]


def _named_as(source: str, fs: object, place: str) -> str:
    return str(fs.unstrip_protocol(place)) if "://" in source else place  # type: ignore[attr-defined]


def _like(source: str) -> str:
    """What is there in its place, by the beginning of its name."""
    if "://" in source:
        return ""
    path = Path(source)
    if not path.parent.is_dir():
        return f": there is no folder {path.parent} either"
    near = sorted(glob.glob(f"{glob.escape(str(path.with_suffix('')))}*"))[:3]
    return f"; there is {', '.join(near)}" if near else ""


def _in_folder(source: str, fs: object, place: str) -> list[str]:
    check_no_model(source)
    listed = sorted(str(each) for each in fs.ls(place, detail=False))  # type: ignore[attr-defined]
    names = {each: PurePosixPath(each).name for each in listed}
    names = {each: name for each, name in names.items() if not name.startswith((".", "_"))}
    kinds: dict[str, list[str]] = {}
    for name in names.values():
        packed = next((ending for ending in PACKED if name.endswith(ending)), "")
        kind = PurePosixPath(name.removesuffix(packed)).suffix
        if kind in ENDINGS:
            kinds.setdefault(kind, []).append(join(source, name))
    if len(kinds) == 1:
        return next(iter(kinds.values()))
    has = ", ".join(list(names.values())[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"
    if not kinds:
        raise ValueError(f"{source} is a folder without files of ratings (it has {has}); {EXPECTED}")
    raise ValueError(
        f"{source} is a folder of several kinds of files ({has}): name a file, or a pattern such as '*.csv'"
    )


def _downloaded(url: str) -> str:
    """Bring a file here, into a folder that goes when the command ends."""
    folder = Path(_temporary_folder())
    target = folder / (PurePosixPath(url.partition("?")[0]).name or "ratings")
    say(f"Downloading {url}")
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except urllib.error.HTTPError as error:
        raise FileNotFoundError(f"{url} cannot be read: the server says {error.code} {error.reason}") from None
    except (urllib.error.URLError, OSError) as error:
        raise FileNotFoundError(f"{url} cannot be read: {getattr(error, 'reason', error)}") from None
    return str(target)


def _temporary_folder() -> str:
    context = click.get_current_context(silent=True)
    if context is not None:
        return context.with_resource(tempfile.TemporaryDirectory(prefix="daskals-"))
    folder = tempfile.mkdtemp(prefix="daskals-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
