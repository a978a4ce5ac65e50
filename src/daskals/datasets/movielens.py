"""Read the published MovieLens archives, fetching them once where that is wanted.

GroupLens allows the data to be used for research, not to be passed on, so none of it is in this
package: it comes from a folder you name, from the cache folder, or from GroupLens itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import overload

import pandas as pd

from daskals.datasets.download import check_md5, download_archive
from daskals.datasets.movielens_files import (
    LAYOUTS,
    Layout,
    folder_in,
    read_ratings,
    split_title_lines,
    with_advice,
)

MOVIELENS_NAMES = tuple(LAYOUTS)
"""The names that `load_movielens` takes."""


MOVIELENS_SPLITS = ("ua", "ub", "u1", "u2", "u3", "u4", "u5")
"""The train/test splits that GroupLens publishes inside ml-100k."""


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
    frames = [read_ratings(_existing(folder / file, name)) for file in files]
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

    Parameters and errors are those of `load_movielens`.

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
    with with_advice(file):
        if file.suffix == ".csv":
            # without keep_default_na a film called "None" or "NA" would lose its title
            columns = ["movieId", "title"]
            frame = pd.read_csv(file, usecols=columns, dtype=str, keep_default_na=False, encoding="utf-8")
            ids, titles = frame["movieId"].tolist(), frame["title"].tolist()
        else:
            ids, titles = split_title_lines(file, "|" if file.name == "u.item" else "::", layout.encoding)
        index = pd.Index([int(i) for i in ids], dtype="int32", name="item")
    return pd.Series(titles, index=index, name="title", dtype=str)


def _layout(name: str) -> Layout:
    if not isinstance(name, str):
        raise TypeError(f"name must be a string such as 'ml-100k', not {type(name).__name__}")
    if name not in LAYOUTS:
        raise ValueError(f"unknown data set {name!r}; choose one of {', '.join(MOVIELENS_NAMES)}")
    return LAYOUTS[name]


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


def _locate(
    name: str,
    path: str | os.PathLike[str] | None,
    cache_dir: str | os.PathLike[str] | None,
    base_url: str | None,
    md5: str | None,
    progress: bool,
) -> Path:
    """The folder with the unpacked data set, downloading it if need be."""
    check_md5(md5)
    if path is not None:
        return _given_folder(name, Path(path).expanduser())
    cache = _cache_folder(cache_dir)
    found = folder_in(cache, name)
    return download_archive(name, cache, base_url, md5, progress) if found is None else found


def _given_folder(name: str, path: Path) -> Path:
    layout = LAYOUTS[name]
    if path.is_file():
        raise NotADirectoryError(f"path={str(path)!r} is a file: unpack the archive and name the folder")
    if (path / layout.ratings).is_file():
        # ratings.csv looks alike in four data sets: do not take one for another
        actual = path.resolve().name
        others = [other for other, its in LAYOUTS.items() if actual in (other, its.folder) and other != name]
        if others:
            raise ValueError(f"path={str(path)!r} is the folder of {others[0]}, but name={name!r} was asked for")
        return path
    found = folder_in(path, name)
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
