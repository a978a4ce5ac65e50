"""Synthetic ratings of any size, whose factors are known."""

from __future__ import annotations

import itertools
import math
import operator
from typing import Any, overload

import dask.dataframe as dd
import numpy as np
import pandas as pd

from daskals.datasets.draws import (
    Int,
    Single,
    apportion,
    draw_activity,
    draw_item_factors,
    draw_pairs,
    draw_user_factors,
    draw_values,
)

_BLOCKS, _BLOCK_USERS = 128, 1024  # at least so many blocks (users permitting), at most so many users in one


def make_factors(n_users: int, n_items: int, *, rank: int = 10, seed: int = 0) -> tuple[Single, Single]:
    """The factors behind `make_ratings` with the same `n_users`, `n_items`, `rank` and `seed`.

    The true preference of user u for item i is ``user_factors[u] @ item_factors[i]``, without any
    constant besides: its mean of 3.5 sits in the first column of both, which also makes some users
    more generous and some items better. The standard deviation is about 0.8 (0.55 with one column).

    Returns
    -------
    user_factors : float32 array (n_users, rank)
    item_factors : float32 array (n_items, rank)

    Raises
    ------
    TypeError, ValueError
        As `make_ratings`.

    Examples
    --------
    >>> users, items = make_factors(3, 4, rank=2)
    >>> (users @ items.T).shape
    (3, 4)
    """
    n_users, n_items = _integer("n_users", n_users, 1, 2**31), _integer("n_items", n_items, 1, 2**31)
    rank, seed = _integer("rank", rank, 1), _integer("seed", seed, 0)
    users = np.empty((n_users, rank), np.float32)
    edges = _block_edges(n_users)
    for block, (start, stop) in enumerate(itertools.pairwise(edges)):
        users[start:stop] = draw_user_factors(seed, block, stop - start, rank)
    return users, draw_item_factors(seed, n_items, rank)


@overload
def make_ratings(
    n_users: int,
    n_items: int,
    n_ratings: int,
    *,
    rank: int = 10,
    noise: float = 0.1,
    implicit: bool = False,
    seed: int = 0,
    npartitions: None = None,
) -> pd.DataFrame: ...


@overload
def make_ratings(
    n_users: int,
    n_items: int,
    n_ratings: int,
    *,
    rank: int = 10,
    noise: float = 0.1,
    implicit: bool = False,
    seed: int = 0,
    npartitions: int,
) -> dd.DataFrame: ...


def make_ratings(
    n_users: int,
    n_items: int,
    n_ratings: int,
    *,
    rank: int = 10,
    noise: float = 0.1,
    implicit: bool = False,
    seed: int = 0,
    npartitions: int | None = None,
) -> pd.DataFrame | dd.DataFrame:
    """Synthetic ratings of a low-rank matrix whose factors are known.

    Exactly `n_ratings` distinct (user, item) pairs, at least one for each user. Ratings per user are
    log-normal (sigma 1.1), so the mean is nearly twice the median. Items are drawn by a shifted Zipf
    law (Zipf-Mandelbrot): the density at the fraction x of the items, the most popular first, goes as
    ``1 / (x + 0.015)**2``. With the shape of MovieLens 20M, 1 % of the items get a third of the
    ratings and 10 % get 85 %. Which ids are popular is scattered over the range; items without
    ratings are possible. Which pairs are rated does not depend on the preferences.

    The data depend on all arguments but `npartitions` (and on the NumPy version, which does not
    promise the same random numbers for ever): every partitioning, and pandas, has the same rows in
    the same order.

    Parameters
    ----------
    n_users, n_items : int
        Ids are 0 to ``n_users - 1`` and 0 to ``n_items - 1``.
    n_ratings : int
        From `n_users` to ``n_users * n_items``.
    rank : int
        Columns of the factors, which `make_factors` returns.
    noise : float
        Standard deviation of the normal noise added to the preference, in stars. With 0, ratings are
        the dot products of the factors to float32 precision.
    implicit : bool
        False: ratings around 3.5 stars, mostly within 1 to 5, neither rounded nor clipped. True:
        counts, ``1 + Poisson(exp(preference + noise - 3.5))``, so 1, 2, 3, ..., more for what the
        user prefers.
    seed : int
        Not negative.
    npartitions : int, optional
        None for a pandas DataFrame. Otherwise a lazy Dask DataFrame of so many partitions, each
        with all ratings of a range of users. The data are made in blocks of users, from 128 (or
        `n_users`, if less) upwards, which is the largest number of partitions.

    Returns
    -------
    DataFrame or dask DataFrame, `n_ratings` rows
        Columns ``user`` (int32), ``item`` (int32), ``rating`` (float32), sorted by user, then item;
        the index counts the rows, with known divisions. A task needs memory for its partition and
        for the item factors.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        An argument out of range; the message tells the range.

    Examples
    --------
    >>> ratings = make_ratings(100, 50, 1000, rank=3, noise=0.0)
    >>> users, items = make_factors(100, 50, rank=3)
    >>> truth = (users[ratings["user"]] * items[ratings["item"]]).sum(axis=1)
    >>> bool(np.allclose(ratings["rating"], truth))
    True
    >>> make_ratings(100, 50, 1000, npartitions=4).npartitions
    4
    """
    n_users, n_items = _integer("n_users", n_users, 1, 2**31), _integer("n_items", n_items, 1, 2**31)
    n_ratings, rank = _integer("n_ratings", n_ratings, 1), _integer("rank", rank, 1)
    seed, noise = _integer("seed", seed, 0), _noise(noise)
    if not isinstance(implicit, bool):
        raise TypeError(f"implicit must be True or False, not {implicit!r}")
    if not n_users <= n_ratings <= n_users * n_items:
        raise ValueError(
            f"n_ratings={n_ratings:,} must be from n_users={n_users:,} (each user has a rating) to "
            f"n_users * n_items = {n_users * n_items:,} (no pair occurs twice)"
        )
    sizes = _block_sizes(seed, n_users, n_items, n_ratings)
    if npartitions is None:
        return _make_blocks((0, sizes.tolist(), 0), seed, n_users, n_items, rank, noise, implicit)
    n_parts = _integer("npartitions", npartitions, 1)
    if n_parts > len(sizes):
        raise ValueError(f"npartitions={n_parts} must be at most {len(sizes)}, the blocks that {n_users:,} users make")
    edges = [part * len(sizes) // n_parts for part in range(n_parts + 1)]
    rows = np.concatenate([[0], np.cumsum(sizes)])[edges].tolist()
    parts = [(edges[part], sizes[edges[part] : edges[part + 1]].tolist(), rows[part]) for part in range(n_parts)]
    return dd.from_map(
        _make_blocks,
        parts,
        args=[seed, n_users, n_items, rank, noise, implicit],
        meta=_frame(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32), 0),
        divisions=(*rows[:-1], n_ratings - 1),
        label="make-ratings",
    )


def _block_edges(n_users: int) -> list[int]:
    """First user of each block, and `n_users`; a function of `n_users` alone."""
    n_blocks = min(n_users, max(_BLOCKS, -(-n_users // _BLOCK_USERS)))
    return [block * n_users // n_blocks for block in range(n_blocks + 1)]


def _block_sizes(seed: int, n_users: int, n_items: int, n_ratings: int) -> Int:
    """Ratings in each block, in proportion to the activity of its users; the sum is `n_ratings`.

    Takes a pass over the users, but holds one block of them at a time.
    """
    users = np.diff(_block_edges(n_users))
    activity = np.array([draw_activity(seed, block, int(size)).sum() for block, size in enumerate(users)])
    return apportion(n_ratings, activity, users, users * n_items)


def _make_blocks(
    part: tuple[int, list[int], int],
    seed: int,
    n_users: int,
    n_items: int,
    rank: int,
    noise: float,
    implicit: bool,
) -> pd.DataFrame:
    """The ratings of adjacent blocks; `part` has the first block, the sizes, the first row number."""
    first, sizes, first_row = part
    edges, items = _block_edges(n_users), draw_item_factors(seed, n_items, rank)
    # filled in place: a list of frames to concatenate would take twice the memory
    total = sum(sizes)
    user, item, rating = np.empty(total, np.int32), np.empty(total, np.int32), np.empty(total, np.float32)
    stop = 0
    for block, size in enumerate(sizes, start=first):
        start, stop = stop, stop + size
        here = slice(start, stop)
        local, item[here] = draw_pairs(seed, block, edges[block + 1] - edges[block], n_items, size)
        users = draw_user_factors(seed, block, edges[block + 1] - edges[block], rank)
        user[here] = local + edges[block]
        rating[here] = draw_values(seed, block, users[local], items[item[here]], noise, implicit)
    return _frame(user, item, rating, first_row)


def _frame(user: Any, item: Any, rating: Any, first_row: int) -> pd.DataFrame:
    index = pd.RangeIndex(first_row, first_row + len(user))
    return pd.DataFrame({"user": user, "item": item, "rating": rating}, index=index, copy=False)


def _integer(what: str, value: int, least: int, most: float = math.inf) -> int:
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{what} must be an integer, not {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be an integer, not {value!r} of type {type(value).__name__}") from None
    if not least <= number <= most:
        limit = f"at least {least}" if most == math.inf else f"from {least} to {most:,}"
        raise ValueError(f"{what}={number} must be {limit}")
    return number


def _noise(value: float) -> float:
    if isinstance(value, bool | np.bool_ | str):
        raise TypeError(f"noise must be a number, not {value!r}")
    try:
        number = float(value)
    except TypeError:
        raise TypeError(f"noise must be a number, not {value!r} of type {type(value).__name__}") from None
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"noise={number} must be finite and not negative: it is a standard deviation in stars")
    return number
