"""Ratings to try things on: Spark's sample, the MovieLens data sets, and synthetic data of any size.

:func:`load_sample` needs no network, :func:`load_movielens` fetches a published archive once, and
:func:`make_ratings` makes ratings from factors that :func:`make_factors` tells, in pandas or, for
more than fits into memory, as a lazy Dask frame.
"""

from __future__ import annotations

import itertools
import math
import operator
from importlib import resources
from typing import Any, overload

import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd

from .movielens import (
    GROUPLENS_URL,
    MOVIELENS_NAMES,
    MOVIELENS_SPLITS,
    load_movielens,
    load_movielens_titles,
    read_double_colon,
)

__all__ = [
    "GROUPLENS_URL",
    "MOVIELENS_NAMES",
    "MOVIELENS_SPLITS",
    "load_movielens",
    "load_movielens_titles",
    "load_sample",
    "make_factors",
    "make_ratings",
]

_Int = npt.NDArray[np.int64]
_Float = npt.NDArray[np.float64]
_Single = npt.NDArray[np.float32]

_MEAN = 3.5  # about the mean rating of every MovieLens data set
_USER_SPREAD, _ITEM_SPREAD = 0.10, 0.12  # relative spread of the first column: generous users, good items
_TASTE_VARIANCE = 0.34  # what the other columns add; about 0.8**2 with the first one
_ACTIVITY_SIGMA = 1.1  # of the log of the ratings per user
_SHIFT = 0.015  # popularity falls as 1 / (rank / n_items + shift)**2
_BLOCKS, _BLOCK_USERS = 128, 1024  # at least so many blocks (users permitting), at most so many users in one
_DENSE = 8  # users with more than n_items / _DENSE ratings are drawn by sorting all items
_DENSE_CELLS = 1 << 21  # how many items are sorted at a time

# Independent random streams; each is keyed by (seed, stream, block), so any block can be made alone.
_ACTIVITY, _USERS, _ITEMS, _PAIRS, _VALUES = range(5)


def load_sample() -> pd.DataFrame:
    """The ratings that Apache Spark ships to try its ALS on; part of this package, no network.

    Returns
    -------
    DataFrame
        1,501 rows with columns ``user`` (int32, 0 to 29), ``item`` (int32, 0 to 99), ``rating``
        (float32, 1 to 5) and ``timestamp`` (int64, seconds since 1970-01-01 UTC, all the same).

    Examples
    --------
    >>> load_sample().head(2)
       user  item  rating   timestamp
    0     0     2     3.0  1424380312
    1     0     3     1.0  1424380312
    """
    file = resources.files("daskals").joinpath("sample", "sample_movielens_ratings.txt")
    with resources.as_file(file) as path:
        return read_double_colon(path)


def make_factors(n_users: int, n_items: int, *, rank: int = 10, seed: int = 0) -> tuple[_Single, _Single]:
    """The factors behind :func:`make_ratings` with the same `n_users`, `n_items`, `rank` and `seed`.

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
        As :func:`make_ratings`.

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
        users[start:stop] = _user_factors(seed, block, stop - start, rank)
    return users, _item_factors(seed, n_items, rank)


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
        Columns of the factors, which :func:`make_factors` returns.
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


# -- blocks: each a range of users, made without knowing of any other ------------------------------


def _block_edges(n_users: int) -> list[int]:
    """First user of each block, and `n_users`; a function of `n_users` alone."""
    n_blocks = min(n_users, max(_BLOCKS, -(-n_users // _BLOCK_USERS)))
    return [block * n_users // n_blocks for block in range(n_blocks + 1)]


def _block_sizes(seed: int, n_users: int, n_items: int, n_ratings: int) -> _Int:
    """Ratings in each block, in proportion to the activity of its users; the sum is `n_ratings`.

    Takes a pass over the users, but holds one block of them at a time.
    """
    users = np.diff(_block_edges(n_users))
    activity = np.array([_activity(seed, block, int(size)).sum() for block, size in enumerate(users)])
    return _apportion(n_ratings, activity, users, users * n_items)


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
    edges, items = _block_edges(n_users), _item_factors(seed, n_items, rank)
    # filled in place: a list of frames to concatenate would take twice the memory
    total = sum(sizes)
    user, item, rating = np.empty(total, np.int32), np.empty(total, np.int32), np.empty(total, np.float32)
    stop = 0
    for block, size in enumerate(sizes, start=first):
        start, stop = stop, stop + size
        here = slice(start, stop)
        local, item[here] = _pairs(seed, block, edges[block + 1] - edges[block], n_items, size)
        users = _user_factors(seed, block, edges[block + 1] - edges[block], rank)
        user[here] = local + edges[block]
        rating[here] = _values(seed, block, users[local], items[item[here]], noise, implicit)
    return _frame(user, item, rating, first_row)


def _frame(user: Any, item: Any, rating: Any, first_row: int) -> pd.DataFrame:
    index = pd.RangeIndex(first_row, first_row + len(user))
    return pd.DataFrame({"user": user, "item": item, "rating": rating}, index=index, copy=False)


def _rng(seed: int, stream: int, block: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream, block))))


def _user_factors(seed: int, block: int, n: int, rank: int) -> _Single:
    return _factors(_rng(seed, _USERS, block), n, rank, _USER_SPREAD)


def _item_factors(seed: int, n: int, rank: int) -> _Single:
    return _factors(_rng(seed, _ITEMS), n, rank, _ITEM_SPREAD)


def _factors(rng: np.random.Generator, n: int, rank: int, spread: float) -> _Single:
    """First column around sqrt(mean), the others around 0, so that a dot product is around the mean."""
    factors = rng.standard_normal((n, rank), dtype=np.float32)
    factors[:, 0] = math.sqrt(_MEAN) * (1.0 + spread * factors[:, 0])
    # a product of two such normals has variance scale**4, and there are rank - 1 of them
    factors[:, 1:] *= (_TASTE_VARIANCE / max(rank - 1, 1)) ** 0.25
    return factors


def _values(seed: int, block: int, users: _Single, items: _Single, noise: float, implicit: bool) -> _Single:
    """Ratings, or counts, of pairs whose factors are the rows of `users` and `items`."""
    rng = _rng(seed, _VALUES, block)
    value: _Single = np.einsum("ij,ij->i", users, items)
    if noise:
        value += np.float32(noise) * rng.standard_normal(len(value), dtype=np.float32)
    if implicit:
        # the Poisson of NumPy takes no mean beyond 9.2e18; exp(40) is far from any sensible count
        value = 1 + rng.poisson(np.exp(np.minimum(value - _MEAN, 40.0))).astype(np.float32)
    return value


# -- who rates what ------------------------------------------------------------------------------


def _activity(seed: int, block: int, n: int) -> _Float:
    return _rng(seed, _ACTIVITY, block).lognormal(0.0, _ACTIVITY_SIGMA, n)


def _apportion(total: int, weights: _Float, lower: _Int, upper: _Int) -> _Int:
    """Whole numbers from `lower` to `upper` that sum to `total`, beyond `lower` in proportion to `weights`.

    The bounds must permit `total`. What is cut off at `upper` goes to the others, and the largest
    remainders are rounded up.
    """
    spare, room = float(total - lower.sum()), (upper - lower).astype(np.float64)
    full = room <= 0
    while True:
        share = room.copy()
        if full.all():
            break
        share[~full] = weights[~full] * ((spare - room[full].sum()) / weights[~full].sum())
        over = ~full & (share >= room)
        if not over.any():
            break
        full |= over
    counts = np.floor(share).astype(np.int64)
    left = int(spare) - int(counts.sum())
    counts[np.argsort(counts - share, kind="stable")[:left]] += 1
    return lower + counts


def _pairs(seed: int, block: int, n_users: int, n_items: int, n_ratings: int) -> tuple[_Int, _Int]:
    """Distinct pairs of a block, users counted from its first, sorted by user and item.

    Each user draws items by popularity until there are enough different ones.
    """
    ones = np.ones(n_users, np.int64)
    counts = _apportion(n_ratings, _activity(seed, block, n_users), ones, ones * n_items)
    rng = _rng(seed, _PAIRS, block)
    scatter = _scatter(seed, n_items)
    dense = counts * _DENSE > n_items
    keys = [_draw_sparse(rng, np.where(dense, 0, counts), n_items, scatter)]
    if dense.any():
        keys.append(_draw_dense(rng, np.flatnonzero(dense), counts[dense], n_items, scatter))
    merged = np.sort(np.concatenate(keys), kind="stable")  # quick for what consists of sorted runs
    user = merged // n_items
    return user, merged - user * n_items


def _scatter(seed: int, n_items: int) -> tuple[int, int]:
    """Factor and offset of ``id = (factor * rank + offset) % n_items``, a permutation without a table."""
    factor = int(n_items * 0.618) | 1  # near the golden section, which keeps neighbours apart
    while math.gcd(factor, n_items) != 1:
        factor += 1
    return factor, int(_rng(seed, _ITEMS, 1).integers(n_items))


def _cumulated(x: _Float) -> _Float:
    """Share of the draws that goes to the most popular part `x` (0 to 1) of the items."""
    return (1 / _SHIFT - 1 / (_SHIFT + x)) / (1 / _SHIFT - 1 / (_SHIFT + 1))


def _draw_ranks(rng: np.random.Generator, size: int, n_items: int) -> _Int:
    """Popularity ranks (0: most popular), the inverse of :func:`_cumulated` at random places."""
    x = 1 / (1 / _SHIFT - rng.random(size) * (1 / _SHIFT - 1 / (_SHIFT + 1))) - _SHIFT
    return np.minimum((x * n_items).astype(np.int64), n_items - 1)


def _draw_sparse(rng: np.random.Generator, counts: _Int, n_items: int, scatter: tuple[int, int]) -> _Int:
    """Keys ``user * n_items + item`` by rounds: each draws as many as are missing, and drops repeats.

    No round can draw too many, so the result is that of drawing one by one until there are enough.
    """
    done: list[_Int] = []
    kept = np.empty(0, np.int64)
    missing = counts
    while missing.any():
        user = np.repeat(np.arange(len(counts)), missing)
        item = (_draw_ranks(rng, len(user), n_items) * scatter[0] + scatter[1]) % n_items
        kept = np.sort(np.concatenate([kept, user * n_items + item]))
        kept = kept[np.diff(kept, prepend=-1) != 0]  # np.unique hashes, at several times the cost
        owner = kept // n_items
        have = np.bincount(owner, minlength=len(counts))
        # those who have all leave, so that the rounds get small
        missing = np.where(have > 0, counts - have, 0)
        leaving = missing[owner] == 0
        done.append(kept[leaving])
        kept = kept[~leaving]
    return np.concatenate(done) if done else kept


def _draw_dense(rng: np.random.Generator, users: _Int, counts: _Int, n_items: int, scatter: tuple[int, int]) -> _Int:
    """The same for users who take a large part of the items, among whom rounds would hardly end.

    Exponential times divided by the popularity: the items that arrive first are distributed as if
    drawn one by one.
    """
    popularity = np.diff(_cumulated(np.arange(n_items + 1) / n_items))
    step, keys = max(1, _DENSE_CELLS // n_items), []
    for start in range(0, len(users), step):
        some, take = users[start : start + step], counts[start : start + step]
        arrival = rng.standard_exponential((len(some), n_items)) / popularity
        rank = np.argsort(arrival, axis=1)[np.arange(n_items) < take[:, None]]
        keys.append(np.repeat(some, take) * n_items + (rank * scatter[0] + scatter[1]) % n_items)
    return np.concatenate(keys)


# -- arguments -----------------------------------------------------------------------------------


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
