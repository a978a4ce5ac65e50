"""Read the published MovieLens archives, fetching them once where that is wanted.

GroupLens allows the data to be used for research, not to be passed on, so none of it is in this
package: it comes from a folder you name, from the cache folder, or from GroupLens itself.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import overload

import pandas as pd

__all__ = ["GROUPLENS_URL", "MOVIELENS_NAMES", "MOVIELENS_SPLITS", "load_movielens", "load_movielens_titles"]

GROUPLENS_URL = "https://files.grouplens.org/datasets/movielens/"
"""Where GroupLens publishes the archives: ``NAME.zip`` and, beside most, ``NAME.zip.md5``."""


@dataclass(frozen=True)
class _Layout:
    """One published archive: its folder, the two files we read, their encoding, the archive's MD5."""

    folder: str
    ratings: str
    titles: str
    encoding: str = "utf-8"
    md5: str | None = None


# ml-latest-small has no fixed sum: GroupLens replaces it from time to time.
_LAYOUTS = {
    "ml-100k": _Layout("ml-100k", "u.data", "u.item", "latin-1", "0e33842e24a9c977be4e0107933c0723"),
    "ml-1m": _Layout("ml-1m", "ratings.dat", "movies.dat", "latin-1", "c4d9eecfca2ab87c1945afe126590906"),
    "ml-latest-small": _Layout("ml-latest-small", "ratings.csv", "movies.csv"),
    "ml-10m": _Layout("ml-10M100K", "ratings.dat", "movies.dat", md5="ce571fd55effeba0271552578f2648bd"),
    "ml-20m": _Layout("ml-20m", "ratings.csv", "movies.csv", md5="cd245b17a1ae2cc31bb14903e1204af3"),
    "ml-25m": _Layout("ml-25m", "ratings.csv", "movies.csv", md5="6b51fb2759a8657d3bfcbfc42b592ada"),
    "ml-32m": _Layout("ml-32m", "ratings.csv", "movies.csv", md5="d472be332d4daa821edc399621853b57"),
}

MOVIELENS_NAMES = tuple(_LAYOUTS)
"""The names that :func:`load_movielens` takes."""

MOVIELENS_SPLITS = ("ua", "ub", "u1", "u2", "u3", "u4", "u5")
"""The train/test splits that GroupLens publishes inside ml-100k."""

_DTYPES = {"user": "int32", "item": "int32", "rating": "float32", "timestamp": "int64"}
_CSV_COLUMNS = {"userId": "user", "movieId": "item", "rating": "rating", "timestamp": "timestamp"}
_TIMEOUT = 60.0  # seconds without a byte before a connection counts as lost
_BLOCK = 1 << 20  # bytes read at a time


@overload
def load_movielens(
    name: str,
    path: str | os.PathLike[str] | None = None,
    *,
    split: None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    base_url: str | None = None,
    md5: str | None = None,
    progress: bool = True,
) -> pd.DataFrame: ...


@overload
def load_movielens(
    name: str,
    path: str | os.PathLike[str] | None = None,
    *,
    split: str,
    cache_dir: str | os.PathLike[str] | None = None,
    base_url: str | None = None,
    md5: str | None = None,
    progress: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]: ...


def load_movielens(
    name: str,
    path: str | os.PathLike[str] | None = None,
    *,
    split: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    base_url: str | None = None,
    md5: str | None = None,
    progress: bool = True,
) -> pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]:
    """Ratings of one of the published MovieLens data sets.

    The data are looked for in `path` if it is given, and only there; otherwise in the cache folder;
    otherwise the published archive is downloaded, checked and unpacked into the cache folder, so
    that the next call needs no network. A download that is cut short leaves nothing behind.

    Parameters
    ----------
    name : str
        One of ``ml-100k``, ``ml-1m``, ``ml-latest-small``, ``ml-10m``, ``ml-20m``, ``ml-25m``,
        ``ml-32m``.
    path : path, optional
        The folder as unpacked from the published archive, or the folder that holds that folder.
    split : str, optional
        For ml-100k only: ``ua`` or ``ub`` (10 test ratings a user), or ``u1`` to ``u5`` (the five
        folds), as published.
    cache_dir : path, optional
        The cache folder. Default: ``$DASKALS_CACHE``, else ``$XDG_CACHE_HOME/daskals``, else
        ``~/.cache/daskals``.
    base_url : str, optional
        The http(s) folder that holds ``NAME.zip``; :data:`GROUPLENS_URL` by default.
    md5 : str, optional
        The MD5 sum that the archive must have, 32 hex digits. Default: for GroupLens the sum known
        to this package; for another `base_url`, and for ml-latest-small, the sum published beside
        the archive as ``NAME.zip.md5``. Where none is published the archive's own CRCs are checked.
    progress : bool
        Report a download on stderr.

    Returns
    -------
    DataFrame, or (train, test) DataFrames if `split` is given
        Columns ``user`` (int32), ``item`` (int32), ``rating`` (float32, 0.5 or 1 to 5 stars) and
        ``timestamp`` (int64, seconds since 1970-01-01 UTC); a row for each rating, in file order.

    Raises
    ------
    TypeError
        `name`, `split` or `md5` is no string.
    ValueError
        An unknown `name` or `split`; a file that is not in the published layout; an archive whose
        checksum is wrong or that is damaged.
    FileNotFoundError, NotADirectoryError
        `path` does not hold the data set.
    ConnectionError
        The archive could not be downloaded.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "ratings.dat").write_text("7::31::4::978300760\\n7::32::5::978300761\\n")
    ...     load_movielens("ml-1m", folder)
       user  item  rating  timestamp
    0     7    31     4.0  978300760
    1     7    32     5.0  978300761
    """
    layout = _layout(name)
    files = [layout.ratings] if split is None else _split_files(name, split)
    folder = _locate(name, path, cache_dir, base_url, md5, progress)
    frames = [_read_ratings(_existing(folder / file, name)) for file in files]
    return frames[0] if split is None else (frames[0], frames[1])


def load_movielens_titles(
    name: str,
    path: str | os.PathLike[str] | None = None,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    base_url: str | None = None,
    md5: str | None = None,
    progress: bool = True,
) -> pd.Series[str]:
    """Film titles of one of the published MovieLens data sets.

    Parameters and errors are those of :func:`load_movielens`.

    Returns
    -------
    Series of str
        Named ``title``, indexed by ``item`` (int32); a row for each film of the title file, which
        holds more films than have ratings in most of the data sets.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "ratings.csv").write_text("userId,movieId,rating,timestamp\\n")
    ...     _ = pathlib.Path(folder, "movies.csv").write_text('movieId,title,genres\\n8,"Dusk, The",Drama\\n')
    ...     load_movielens_titles("ml-20m", folder)[8]
    'Dusk, The'
    """
    layout = _layout(name)
    file = _existing(_locate(name, path, cache_dir, base_url, md5, progress) / layout.titles, name)
    with _teaching(file):
        if file.suffix == ".csv":
            # without keep_default_na a film called "None" or "NA" would lose its title
            columns = ["movieId", "title"]
            frame = pd.read_csv(file, usecols=columns, dtype=str, keep_default_na=False, encoding="utf-8")
            ids, titles = frame["movieId"].tolist(), frame["title"].tolist()
        else:
            ids, titles = _split_title_lines(file, "|" if file.name == "u.item" else "::", layout.encoding)
        index = pd.Index([int(i) for i in ids], dtype="int32", name="item")
    return pd.Series(titles, index=index, name="title", dtype=str)


def _split_title_lines(file: Path, separator: str, encoding: str) -> tuple[list[str], list[str]]:
    """Ids and titles, the first two fields of each line; titles hold single colons."""
    ids, titles = [], []
    with file.open(encoding=encoding) as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip("\n").split(separator)
            if len(fields) < 3:
                raise ValueError(f"line {number} has {len(fields)} field(s) where at least 3 were expected")
            ids.append(fields[0])
            titles.append(fields[1])
    return ids, titles


def _read_ratings(file: Path) -> pd.DataFrame:
    """The ratings in `file`, whose suffix tells the layout."""
    with _teaching(file):
        if file.suffix == ".csv":
            frame = pd.read_csv(file, usecols=list(_CSV_COLUMNS), dtype=_csv_dtypes())
            frame = frame.rename(columns=_CSV_COLUMNS)[list(_DTYPES)]
        elif file.suffix == ".dat":
            frame = read_double_colon(file)
        else:
            frame = pd.read_csv(file, sep="\t", header=None, names=list(_DTYPES), dtype=_DTYPES, index_col=False)
        if frame.empty:  # a full disk, or an unpacking that was stopped
            raise ValueError("it holds no ratings")
    return frame


def read_double_colon(file: str | os.PathLike[str]) -> pd.DataFrame:
    """Ratings of a ``user::item::rating::timestamp`` file, as :func:`load_movielens` returns them.

    Only the slow parser of pandas takes separators of two characters. For the fast one the
    separator is one colon, and every other field is empty and left unread.
    """
    return pd.read_csv(file, sep=":", header=None, usecols=[0, 2, 4, 6], names=list(_DTYPES), dtype=_DTYPES)


def _csv_dtypes() -> dict[str, str]:
    return {column: _DTYPES[ours] for column, ours in _CSV_COLUMNS.items()}


@contextmanager
def _teaching(file: Path) -> Iterator[None]:
    """Turn what a parser says about some field into an error that names the file."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{file} is not in the layout that GroupLens publishes: {error}. "
            f"Compare it with the README of the archive, or unpack the archive again."
        ) from error


def _layout(name: str) -> _Layout:
    if not isinstance(name, str):
        raise TypeError(f"name must be a string such as 'ml-100k', not {type(name).__name__}")
    if name not in _LAYOUTS:
        raise ValueError(f"unknown data set {name!r}; choose one of {', '.join(MOVIELENS_NAMES)}")
    return _LAYOUTS[name]


def _split_files(name: str, split: str) -> list[str]:
    if not isinstance(split, str):
        raise TypeError(f"split must be None or a string such as 'ua', not {type(split).__name__}")
    if name != "ml-100k":
        raise ValueError(
            f"split={split!r} was given, but {name} is published without splits: leave split out. "
            f"Only ml-100k has them: {', '.join(MOVIELENS_SPLITS)}"
        )
    if split not in MOVIELENS_SPLITS:
        raise ValueError(f"ml-100k has no split {split!r}; choose one of {', '.join(MOVIELENS_SPLITS)}")
    return [f"{split}.base", f"{split}.test"]


def _existing(file: Path, name: str) -> Path:
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing, although the published archive of {name} holds it: unpack the archive again"
        )
    return file


# -- finding the folder --------------------------------------------------------------------------


def _locate(
    name: str,
    path: str | os.PathLike[str] | None,
    cache_dir: str | os.PathLike[str] | None,
    base_url: str | None,
    md5: str | None,
    progress: bool,
) -> Path:
    """The folder with the unpacked data set, downloading it if need be."""
    _check_md5(md5)
    if path is not None:
        return _given_folder(name, Path(path).expanduser())
    cache = _cache_folder(cache_dir)
    found = _folder_in(cache, name)
    return _download(name, cache, base_url, md5, progress) if found is None else found


def _folder_in(path: Path, name: str) -> Path | None:
    layout = _LAYOUTS[name]
    folders = (path / layout.folder, path / name)
    return next((folder for folder in folders if (folder / layout.ratings).is_file()), None)


def _given_folder(name: str, path: Path) -> Path:
    layout = _LAYOUTS[name]
    if path.is_file():
        raise NotADirectoryError(f"path={str(path)!r} is a file: unpack the archive and name the folder")
    if (path / layout.ratings).is_file():
        # ratings.csv looks alike in four data sets: do not take one for another
        actual = path.resolve().name
        others = [other for other, its in _LAYOUTS.items() if actual in (other, its.folder) and other != name]
        if others:
            raise ValueError(f"path={str(path)!r} is the folder of {others[0]}, but name={name!r} was asked for")
        return path
    found = _folder_in(path, name)
    if found is None:
        raise FileNotFoundError(
            f"no {name} in path={str(path)!r}: neither {path / layout.ratings} nor "
            f"{path / layout.folder / layout.ratings} exists. Name the folder that was unpacked from "
            f"{name}.zip, or the folder that holds it"
        )
    return found


def _cache_folder(cache_dir: str | os.PathLike[str] | None) -> Path:
    # an empty variable counts as unset, as the XDG base directory rules have it
    chosen = cache_dir or os.environ.get("DASKALS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "daskals"


# -- downloading ---------------------------------------------------------------------------------


def _download(name: str, cache: Path, base_url: str | None, md5: str | None, progress: bool) -> Path:
    """Fetch, check and unpack the archive; nothing appears under its final name before that."""
    base = (GROUPLENS_URL if base_url is None else base_url).rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise ValueError(f"base_url={base!r} must start with http:// or https://; for a local copy pass path=")
    url = f"{base}/{name}.zip"
    if md5 is None and base == GROUPLENS_URL.rstrip("/"):
        md5 = _LAYOUTS[name].md5
    cache.mkdir(parents=True, exist_ok=True)
    # inside the cache folder, so that the last step is a rename on one file system
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=cache) as scratch:
        expected = md5 or _published_md5(url, name)
        archive = Path(scratch, f"{name}.zip")
        actual = _fetch(url, archive, name, progress)
        if expected is not None and actual != expected.lower():
            raise ValueError(
                f"{url} has MD5 {actual}, expected {expected.lower()}; the download was deleted. Try again; "
                f"if the sums still differ, the archive was replaced or damaged at the source: look into it, "
                f"then pass the sum you trust as md5="
            )
        unpacked = _unpack(archive, Path(scratch, "unpacked"), name, url)
        return _move(unpacked, cache / _LAYOUTS[name].folder, name)


def _check_md5(md5: str | None) -> None:
    if md5 is None:
        return
    if not isinstance(md5, str):
        raise TypeError(f"md5 must be None or a string of 32 hex digits, not {type(md5).__name__}")
    if re.fullmatch("[0-9a-fA-F]{32}", md5) is None:
        raise ValueError(f"md5={md5!r} is no MD5 sum: 32 hex digits are needed")


@contextmanager
def _network(url: str, name: str) -> Iterator[None]:
    """Turn whatever goes wrong on the way to `url` into one ConnectionError that says what to do."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise ConnectionError(
            f"could not download {url}: {error or type(error).__name__}. Without a network here, download "
            f"that file elsewhere, unpack it, and name the folder: load_movielens({name!r}, path=...)"
        ) from error


def _published_md5(url: str, name: str) -> str | None:
    """The sum in ``NAME.zip.md5``, either ``MD5 (NAME.zip) = hex`` or ``hex  NAME.zip``; None if absent."""
    with _network(url, name):
        try:
            with urllib.request.urlopen(f"{url}.md5", timeout=_TIMEOUT) as response:
                text = response.read(4096).decode("ascii", "replace")
        except urllib.error.HTTPError as error:
            if error.code not in (403, 404):
                raise
            error.close()
            return None
    match = re.fullmatch(r"\s*(?:MD5 \(.*\) = )?([0-9a-fA-F]{32})(?:\s+\S+)?\s*", text)
    if match is None:
        raise ValueError(f"{url}.md5 holds no MD5 sum but {text[:60]!r}; pass the sum you trust as md5=")
    return match[1]


def _fetch(url: str, target: Path, name: str, progress: bool) -> str:
    """Write what is at `url` to `target`; the MD5 sum of it."""
    with _network(url, name):
        response = urllib.request.urlopen(url, timeout=_TIMEOUT)
    size = int(response.headers.get("Content-Length") or 0)
    digest, received = hashlib.md5(usedforsecurity=False), 0
    line = _Progress(url, size, progress)
    with response, target.open("wb") as out:
        while True:
            with _network(url, name):
                block = response.read(_BLOCK)
                # http.client does not complain about a body that ends early when read in blocks
                if not block and received < size:
                    raise ConnectionResetError(f"the connection ended after {received:,} of {size:,} bytes")
            if not block:
                line.finish(received)
                return digest.hexdigest()
            # outside of _network: a full disk is no network trouble
            out.write(block)
            digest.update(block)
            received += len(block)
            line.show(received)


class _Progress:
    """A line on stderr that is rewritten on a terminal at most five times a second."""

    def __init__(self, url: str, size: int, enabled: bool) -> None:
        self._url, self._enabled, self._last = url, enabled, 0.0
        self._of = f" of {size / 1e6:,.1f}" if size else ""

    def show(self, received: int) -> None:
        now = time.monotonic()
        if self._enabled and sys.stderr.isatty() and now - self._last > 0.2:
            self._last = now
            sys.stderr.write(f"\r{self._url}: {received / 1e6:,.1f}{self._of} MB")
            sys.stderr.flush()

    def finish(self, received: int) -> None:
        if self._enabled:
            start = "\r" if sys.stderr.isatty() else ""
            sys.stderr.write(f"{start}{self._url}: {received / 1e6:,.1f}{self._of} MB\n")


def _unpack(archive: Path, target: Path, name: str, url: str) -> Path:
    """Unpack into the new folder `target`; the folder of the data set in it."""
    try:
        with zipfile.ZipFile(archive) as members:
            for member in members.namelist():
                _check_member(member, url)
            members.extractall(target)  # compares the CRC of every member as it goes
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"{url} is not a sound zip archive ({error}); the download was deleted. Try again") from error
    found = _folder_in(target, name)
    if found is None:
        layout = _LAYOUTS[name]
        raise ValueError(f"{url} holds no {layout.folder}/{layout.ratings}, so it is not the published {name}")
    return found


def _check_member(member: str, url: str) -> None:
    """Refuse names that would be written outside of the folder, on any operating system."""
    path = PurePosixPath(member.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in member:
        raise ValueError(f"{url} holds a file named {member!r}, which would land outside of the folder: not unpacked")


def _move(source: Path, target: Path, name: str) -> Path:
    try:
        source.rename(target)
    except OSError as error:
        found = _folder_in(target.parent, name)
        if found is not None:  # another process was faster
            return found
        raise FileExistsError(f"{target} exists but is incomplete: delete it, then try again") from error
    return target
