"""Downloading a published archive. It is checked and unpacked before anything appears under its final name."""

from __future__ import annotations

import hashlib
import http.client
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
from pathlib import Path, PurePosixPath

from daskals.datasets.movielens_files import GROUPLENS_URL, LAYOUTS, folder_in

_TIMEOUT = 60.0  # seconds without a byte before a connection counts as lost
_BLOCK = 1 << 20  # bytes read at a time


def download_archive(name: str, cache: Path, base_url: str | None, md5: str | None, progress: bool) -> Path:
    """Download, check and unpack the archive of a data set; return the folder of the data set, in ``cache``.

    ``base_url``, ``md5`` and ``progress`` are those of `daskals.datasets.load_movielens`, as are the errors:
    ``ValueError``, ``ConnectionError``; also ``FileExistsError`` if the folder exists without the ratings in it.
    """
    base = (GROUPLENS_URL if base_url is None else base_url).rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise ValueError(f"base_url={base!r} must start with http:// or https://; for a local copy pass path=")
    url = f"{base}/{name}.zip"
    if md5 is None and base == GROUPLENS_URL.rstrip("/"):
        md5 = LAYOUTS[name].md5
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
        return _move(unpacked, cache / LAYOUTS[name].folder, name)


def check_md5(md5: str | None) -> None:
    """``TypeError`` or ``ValueError`` if ``md5`` is neither None nor an MD5 sum in hex digits."""
    if md5 is None:
        return
    if not isinstance(md5, str):
        raise TypeError(f"md5 must be None or a string of 32 hex digits, not {type(md5).__name__}")
    if re.fullmatch("[0-9a-fA-F]{32}", md5) is None:
        raise ValueError(f"md5={md5!r} is no MD5 sum: 32 hex digits are needed")


@contextmanager
def _network(url: str, name: str) -> Iterator[None]:
    """Turn any error on the way to ``url`` into one ``ConnectionError`` that says what to do."""
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
    """The sum in ``NAME.zip.md5``, either ``MD5 (NAME.zip) = hex`` or ``hex  NAME.zip``; None without such a file."""
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
    """Write what is at ``url`` to ``target``; return its MD5 sum, in hex digits."""
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
    """A line on stderr that tells how much was received; on a terminal it is rewritten, at most five times a second."""

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
    """Unpack into the new folder ``target``; return the folder of the data set in it."""
    try:
        with zipfile.ZipFile(archive) as members:
            for member in members.namelist():
                _check_member(member, url)
            members.extractall(target)  # compares the CRC of every member as it goes
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"{url} is not a sound zip archive ({error}); the download was deleted. Try again") from error
    found = folder_in(target, name)
    if found is None:
        layout = LAYOUTS[name]
        raise ValueError(f"{url} holds no {layout.folder}/{layout.ratings}, so it is not the published {name}")
    return found


def _check_member(member: str, url: str) -> None:
    """``ValueError`` for the name of a member that, on any operating system, would be written outside of the folder."""
    path = PurePosixPath(member.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in member:
        raise ValueError(f"{url} holds a file named {member!r}, which would land outside of the folder: not unpacked")


def _move(source: Path, target: Path, name: str) -> Path:
    try:
        source.rename(target)
    except OSError as error:
        found = folder_in(target.parent, name)
        if found is not None:  # another process was faster
            return found
        raise FileExistsError(f"{target} exists but is incomplete: delete it, then try again") from error
    return target
