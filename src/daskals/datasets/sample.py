"""The ratings that Apache Spark ships."""

from __future__ import annotations

from importlib import resources

import pandas as pd

from daskals.datasets.movielens_files import read_double_colon


def load_sample() -> pd.DataFrame:
    """The ratings that Apache Spark ships to try its ALS on. They are part of this package, so no network is needed.

    Returns
    -------
    DataFrame
        1,501 rows with columns ``user`` (int32, 0 to 29), ``item`` (int32, 0 to 99), ``rating`` (float32, 1 to 5) and
        ``timestamp`` (int64, seconds since 1970-01-01 UTC, the same in all rows).

    Examples
    --------
    >>> load_sample().head(2)
       user  item  rating   timestamp
    0     0     2     3.0  1424380312
    1     0     3     1.0  1424380312
    """
    file = resources.files("daskals.datasets").joinpath("spark_sample", "sample_movielens_ratings.txt")
    with resources.as_file(file) as path:
        return read_double_colon(path)
