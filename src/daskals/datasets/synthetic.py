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
    """The factors from which `make_ratings` makes ratings, given the same arguments.

    The true preference of user u for item i is ``user_factors[u] @ item_factors[i]``, and no constant is added. The
    first columns give it a mean of 3.5; they also make some users more generous and some items better. Its standard
    deviation is about 0.8 (0.55 with one column).

    Parameters
    ----------
    n_users, n_items : int
        How many users and items there are.
    rank : int
        Columns of the factors.
    seed : int
        Not negative.

    Returns
    -------
    user_factors : array of float32, shape (n_users, rank)
    item_factors : array of float32, shape (n_items, rank)

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        An argument out of range; the message tells the range.

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
    """Make synthetic ratings of a low-rank matrix whose factors are known.

    There are exactly ``n_ratings`` distinct pairs of a user and an item, and each user has at least one. The number of
    ratings of a user is log-normal (sigma 1.1), so its mean is nearly twice its median. Items are drawn by a shifted
    Zipf law (Zipf-Mandelbrot): with items sorted by popularity, the most popular first, the density at the fraction x
    of the items is proportional to ``1 / (x + 0.015)**2``. With the shape of MovieLens 20M, 1 % of the items get a
    third of the ratings and 10 % get 85 %. Popular ids are scattered over the range, and there can be items without
    ratings. Which pairs are rated does not depend on the preferences.

    The data depend on all arguments but ``npartitions``: pandas frames, and Dask frames of any number of partitions,
    have the same rows in the same order. (They also depend on the version of NumPy, which does not promise the same
    random numbers for ever.)

    Parameters
    ----------
    n_users, n_items : int
        Ids are 0 to ``n_users - 1`` and 0 to ``n_items - 1``.
    n_ratings : int
        From ``n_users`` to ``n_users * n_items``.
    rank : int
        Columns of the factors, which `make_factors` returns.
    noise : float
        Standard deviation, in stars, of the normal noise that is added to the preference. With 0, ratings are the dot
        products of the factors, to float32 precision.
    implicit : bool
        False: ratings around 3.5 stars, mostly within 1 to 5, neither rounded nor clipped. True: counts 1, 2, 3, ...,
        which are ``1 + Poisson(exp(preference + noise - 3.5))``, so larger for what the user prefers.
    seed : int
        Not negative.
    npartitions : int, optional
        None for a pandas DataFrame; otherwise the number of partitions of a lazy Dask DataFrame, each with all ratings
        of a range of users. There can be at most as many as there are blocks of users in which the data are made: one
        for every 1,024 users, but at least 128 (or ``n_users``, if that is less).

    Returns
    -------
    DataFrame or dask DataFrame of ``n_ratings`` rows
        Columns ``user`` (int32), ``item`` (int32) and ``rating`` (float32), sorted by user, then by item. The index
        counts the rows; divisions are known. A task needs memory for its partition and for the factors of all items.

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
    """The first user of each block, and at the end ``n_users``; this depends on ``n_users`` alone."""
    n_blocks = min(n_users, max(_BLOCKS, -(-n_users // _BLOCK_USERS)))
    return [block * n_users // n_blocks for block in range(n_blocks + 1)]


def _block_sizes(seed: int, n_users: int, n_items: int, n_ratings: int) -> Int:
    """The number of ratings in each block, in proportion to the activity of its users; the sum is ``n_ratings``.

    This takes a pass over all users, but holds one block of them at a time.
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
    """The ratings of adjacent blocks; ``part`` is (first block, ratings in each block, number of the first row)."""
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
