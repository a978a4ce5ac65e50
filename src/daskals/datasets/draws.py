"""Random draws behind `daskals.datasets.make_ratings`: the factors, how active users are, who rates what."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Int = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
_MEAN = 3.5  # about the mean rating of every MovieLens data set
_USER_SPREAD, _ITEM_SPREAD = 0.10, 0.12  # relative spread of the first column: generous users, good items
_TASTE_VARIANCE = 0.34  # what the other columns add; about 0.8**2 with the first one
_ACTIVITY_SIGMA = 1.1  # of the log of the ratings per user
_SHIFT = 0.015  # popularity falls as 1 / (rank / n_items + shift)**2
_DENSE = 8  # users with more than n_items / _DENSE ratings are drawn by sorting all items
_DENSE_CELLS = 1 << 21  # how many items are sorted at a time


# Independent random streams; each is keyed by (seed, stream, block), so any block can be made alone.
_ACTIVITY, _USERS, _ITEMS, _PAIRS, _VALUES = range(5)


def _rng(seed: int, stream: int, block: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream, block))))


def draw_user_factors(seed: int, block: int, n: int, rank: int) -> Single:
    """The factors of the users of a block, (n, rank)."""
    return _factors(_rng(seed, _USERS, block), n, rank, _USER_SPREAD)


def draw_item_factors(seed: int, n: int, rank: int) -> Single:
    """The factors of all items, (n, rank)."""
    return _factors(_rng(seed, _ITEMS), n, rank, _ITEM_SPREAD)


def _factors(rng: np.random.Generator, n: int, rank: int, spread: float) -> Single:
    """First column around sqrt(mean), the others around 0, so that a dot product is around the mean."""
    factors = rng.standard_normal((n, rank), dtype=np.float32)
    factors[:, 0] = math.sqrt(_MEAN) * (1.0 + spread * factors[:, 0])
    # a product of two such normals has variance scale**4, and there are rank - 1 of them
    factors[:, 1:] *= (_TASTE_VARIANCE / max(rank - 1, 1)) ** 0.25
    return factors


def draw_values(seed: int, block: int, users: Single, items: Single, noise: float, implicit: bool) -> Single:
    """Ratings, or counts, of pairs whose factors are the rows of `users` and `items`."""
    rng = _rng(seed, _VALUES, block)
    value: Single = np.einsum("ij,ij->i", users, items)
    if noise:
        value += np.float32(noise) * rng.standard_normal(len(value), dtype=np.float32)
    if implicit:
        # the Poisson of NumPy takes no mean beyond 9.2e18; exp(40) is far from any sensible count
        value = 1 + rng.poisson(np.exp(np.minimum(value - _MEAN, 40.0))).astype(np.float32)
    return value


def draw_activity(seed: int, block: int, n: int) -> Float:
    """How active each user of a block is, (n,)."""
    return _rng(seed, _ACTIVITY, block).lognormal(0.0, _ACTIVITY_SIGMA, n)


def apportion(total: int, weights: Float, lower: Int, upper: Int) -> Int:
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


def draw_pairs(seed: int, block: int, n_users: int, n_items: int, n_ratings: int) -> tuple[Int, Int]:
    """Distinct pairs of a block, users counted from its first, sorted by user and item.

    Each user draws items by popularity until there are enough different ones.
    """
    ones = np.ones(n_users, np.int64)
    counts = apportion(n_ratings, draw_activity(seed, block, n_users), ones, ones * n_items)
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


def _cumulated(x: Float) -> Float:
    """Share of the draws that goes to the most popular part `x` (0 to 1) of the items."""
    return (1 / _SHIFT - 1 / (_SHIFT + x)) / (1 / _SHIFT - 1 / (_SHIFT + 1))


def _draw_ranks(rng: np.random.Generator, size: int, n_items: int) -> Int:
    """Popularity ranks (0: most popular), the inverse of `_cumulated` at random places."""
    x = 1 / (1 / _SHIFT - rng.random(size) * (1 / _SHIFT - 1 / (_SHIFT + 1))) - _SHIFT
    return np.minimum((x * n_items).astype(np.int64), n_items - 1)


def _draw_sparse(rng: np.random.Generator, counts: Int, n_items: int, scatter: tuple[int, int]) -> Int:
    """Keys ``user * n_items + item`` by rounds: each draws as many as are missing, and drops repeats.

    No round can draw too many, so the result is that of drawing one by one until there are enough.
    """
    done: list[Int] = []
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


def _draw_dense(rng: np.random.Generator, users: Int, counts: Int, n_items: int, scatter: tuple[int, int]) -> Int:
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
