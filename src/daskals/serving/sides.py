"""The two sides of a model in this process, and ranking the rows of one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from daskals.kernels.types import Bools, Float32, Ids, Int64
from daskals.serving.answers import Scored
from daskals.serving.ids import NumberIds, SideIds, TextIds
from daskals.serving.top import best, contenders, exact_cosines, exact_scores

#: Bytes of scores in hand at a time where several queries are answered together.
SCORE_BYTES = 16 << 20


class Side(NamedTuple):
    """Ids and rows of users, or of items."""

    ids: SideIds
    #: float32 (n, rank), C-contiguous, which nobody changes
    rows: Float32
    #: the length of the longest row, which bounds the rounding errors of scores
    longest: float
    #: int64 (n,): how many ratings each row had in the fit; None where it is not known
    counts: Int64 | None = None


class Stored(NamedTuple):
    """All that is known of a model."""

    users: Side
    items: Side
    uid: str
    #: differs between any two saved models; empty for a model that comes from memory
    version: str
    #: the parameters of the fit (`daskals.serving.objectives`), None where they are not known
    parent: dict[str, Any] | None


def version_of(metadata: Sequence[bytes]) -> str:
    """A word that differs between any two saved models, from the files of metadata: they tell a time and checksums."""
    return hashlib.sha256(b"\n".join(metadata)).hexdigest()[:16]


def side_of(ids: Ids, rows: Float32, name: str, counts: Int64 | None = None) -> Side:
    """A side from ascending ids: an object array of str, or integers, or datetime64[ns]."""
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    longest = float(np.sqrt(squares.max(initial=0)))
    return Side(TextIds.of(ids, name) if ids.dtype.kind == "O" else NumberIds(ids, name), rows, longest, counts)


class Wishes(NamedTuple):
    """What the answers to some queries may hold."""

    n: int
    #: ids that are not wanted: by query where it is a mapping, else of all queries
    exclude: Iterable[Any] | Mapping[Any, Iterable[Any]] = ()
    #: ids among which to choose, likewise; None for all
    candidates: Iterable[Any] | Mapping[Any, Iterable[Any]] | None = None
    #: whether a query may be answered with itself; if not, its id is one of the side that is ranked
    itself: bool = True
    #: the least number of ratings of the rows that are ranked, whose side knows them
    least_support: int | None = None


def ranked(
    queries: Iterable[tuple[Any, Float32]], side: Side, wishes: Wishes, scale: Float32 | None = None
) -> list[list[Scored]]:
    """For each query (its id and its row) the best rows of a side, best first, of equal scores the larger id first.

    ``scale``, float32 (n,), is by what the score of each row is multiplied. Ids that are not there are passed over.
    """
    common = None if isinstance(wishes.exclude, Mapping) else _positions(side, wishes.exclude)
    few = _too_few(side, wishes.least_support)
    found = []
    for id_, row, scores, places in _scored(list(queries), side, wishes, scale):
        unwanted = _positions(side, _of(wishes.exclude, id_)) if common is None else common
        if not wishes.itself:
            unwanted = np.append(unwanted, side.ids.position(id_))
        scores[_slots(unwanted, places)] = -np.inf
        if few is not None:
            np.copyto(scores, -np.inf, where=few if places is None else few[places])
        margin = _margin(row, 1.0 if scale is not None else side.longest)
        some = contenders(scores, wishes.n, margin)
        if not margin:  # a row of zeros, whose scores are all 0: no need to compute them again
            some = some[-wishes.n :]
        some = some if places is None else places[some]
        exact = (exact_scores if scale is None else exact_cosines)(side.rows[some], row)
        top = best(exact, wishes.n)
        found.append(list(map(Scored, side.ids.at(some[top]), exact[top].tolist())))
    return found


def most_rated(side: Side, counts: Int64, order: Int64, wishes: Wishes) -> list[Scored]:
    """The rows with the most ratings, of equal numbers the larger id first; ``order`` is that of all positions."""
    unwanted = np.unique(_positions(side, wishes.exclude))
    if wishes.candidates is None:
        some = order[: wishes.n + len(unwanted)]  # so many are enough, whichever of them are not wanted
    else:
        places = np.unique(_positions(side, wishes.candidates))
        some = places[best(counts[places], len(places))]
    some = some[~np.isin(some, unwanted)][: wishes.n]
    return list(map(Scored, side.ids.at(some), counts[some].astype(np.float64).tolist()))


def _too_few(side: Side, least: int | None) -> Bools | None:
    """Which rows have fewer ratings than are asked for; None where nothing is asked for."""
    if least is None:
        return None
    assert side.counts is not None
    few: Bools = side.counts < least
    return few


def _scored(
    queries: list[tuple[Any, Float32]], side: Side, wishes: Wishes, scale: Float32 | None
) -> Iterator[tuple[Any, Float32, Float32, Int64 | None]]:
    """Query by query its id, its row, its rough scores, and the positions that they are of; None for all."""
    by_query = isinstance(wishes.candidates, Mapping)
    places, rows = (None, side.rows) if by_query else _among(side, wishes.candidates)
    step = 1 if by_query else max(1, SCORE_BYTES // max(1, 4 * len(rows)))
    for first in range(0, len(queries), step):
        some = queries[first : first + step]
        if by_query:
            places, rows = _among(side, _of(wishes.candidates, some[0][0]))
        if len(some) == 1:
            tile = (rows @ some[0][1])[None]
        else:
            tile = np.stack([row for _, row in some]) @ rows.T
        if scale is not None:
            tile *= scale if places is None else scale[places]
        for (id_, row), scores in zip(some, tile, strict=True):
            yield id_, row, scores, places


def _among(side: Side, candidates: Iterable[Any] | None) -> tuple[Int64 | None, Float32]:
    if candidates is None:
        return None, side.rows
    places = np.unique(_positions(side, candidates))
    return places, side.rows[places]


def _of(wish: Any, id_: Any) -> Iterable[Any]:
    found: Iterable[Any] = wish.get(id_, ()) if isinstance(wish, Mapping) else wish
    return found


def _positions(side: Side, ids: Iterable[Any]) -> Int64:
    """Positions of those ids that there are."""
    found = side.ids.positions(ids)
    return found[found >= 0]


def _slots(unwanted: Int64, places: Int64 | None) -> Int64:
    """Where unwanted positions stand among ``places``, those that do."""
    if places is None:
        return unwanted
    slots = np.searchsorted(places, unwanted)
    inside = slots < len(places)
    found: Int64 = slots[inside][places[slots[inside]] == unwanted[inside]]
    return found


def _margin(row: Float32, longest: float) -> float:
    """How far apart two rough scores of this row can be whose exact ones are equal.

    A sum of products in float32, in any order, is off by at most  rank eps |x| |y| / 2  to first order, and of either
    of the two; the rest is for the lengths by which cosines are divided.
    """
    length = float(np.sqrt(np.add.reduce(np.square(row, dtype=np.float64))))
    return float((len(row) + 4) * np.finfo(np.float32).eps * length * longest)
