"""The files of the published MovieLens archives: their layouts, and reading them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

GROUPLENS_URL = "https://files.grouplens.org/datasets/movielens/"
"""Where GroupLens publishes the archives: ``NAME.zip`` and, beside most, ``NAME.zip.md5``."""


@dataclass(frozen=True)
class Layout:
    """One published archive: its folder, the two files we read, their encoding, the archive's MD5."""

    folder: str
    ratings: str
    titles: str
    encoding: str = "utf-8"
    md5: str | None = None


# ml-latest-small has no fixed sum: GroupLens replaces it from time to time.
LAYOUTS = {
    "ml-100k": Layout("ml-100k", "u.data", "u.item", "latin-1", "0e33842e24a9c977be4e0107933c0723"),
    "ml-1m": Layout("ml-1m", "ratings.dat", "movies.dat", "latin-1", "c4d9eecfca2ab87c1945afe126590906"),
    "ml-latest-small": Layout("ml-latest-small", "ratings.csv", "movies.csv"),
    "ml-10m": Layout("ml-10M100K", "ratings.dat", "movies.dat", md5="ce571fd55effeba0271552578f2648bd"),
    "ml-20m": Layout("ml-20m", "ratings.csv", "movies.csv", md5="cd245b17a1ae2cc31bb14903e1204af3"),
    "ml-25m": Layout("ml-25m", "ratings.csv", "movies.csv", md5="6b51fb2759a8657d3bfcbfc42b592ada"),
    "ml-32m": Layout("ml-32m", "ratings.csv", "movies.csv", md5="d472be332d4daa821edc399621853b57"),
}


_DTYPES = {"user": "int32", "item": "int32", "rating": "float32", "timestamp": "int64"}
_CSV_COLUMNS = {"userId": "user", "movieId": "item", "rating": "rating", "timestamp": "timestamp"}


def split_title_lines(file: Path, separator: str, encoding: str) -> tuple[list[str], list[str]]:
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


def read_ratings(file: Path) -> pd.DataFrame:
    """The ratings in `file`, whose suffix tells the layout."""
    with with_advice(file):
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
    """Ratings of a ``user::item::rating::timestamp`` file, as `load_movielens` returns them.

    Only the slow parser of pandas takes separators of two characters. For the fast one the
    separator is one colon, and every other field is empty and left unread.
    """
    return pd.read_csv(file, sep=":", header=None, usecols=[0, 2, 4, 6], names=list(_DTYPES), dtype=_DTYPES)


def _csv_dtypes() -> dict[str, str]:
    return {column: _DTYPES[ours] for column, ours in _CSV_COLUMNS.items()}


@contextmanager
def with_advice(file: Path) -> Iterator[None]:
    """Turn what a parser says about some field into an error that names the file."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{file} is not in the layout that GroupLens publishes: {error}. "
            f"Compare it with the README of the archive, or unpack the archive again."
        ) from error


def folder_in(path: Path, name: str) -> Path | None:
    """The folder of a data set inside another, if it holds the ratings."""
    layout = LAYOUTS[name]
    folders = (path / layout.folder, path / name)
    return next((folder for folder in folders if (folder / layout.ratings).is_file()), None)
