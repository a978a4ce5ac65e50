"""What a caller asks for: one id or several, how many answers, arrays of a model's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from daskals.kernels.types import AnyArray, Float32, Ids, Int64
from daskals.params.arguments import at_least_one
from daskals.serving.answers import Scored, UnknownIdError
from daskals.serving.sides import Side, Wishes, ranked, side_of

A = TypeVar("A", bound=AnyArray)


def ask(
    queries: Side, asked: Any, what: str, side: Side, wishes: Wishes, scale: Float32 | None = None
) -> list[Scored] | list[list[Scored]]:
    """The best rows of ``side`` for one query, or for each of several, which ``what`` names in errors.

    ``scale`` is given for cosines, of which queries and candidates are rows of one side: 1 / |row| of each.
    """
    if is_many(asked):
        given = list(asked)
        positions = queries.ids.positions(given)
        known = [(id_, _row(queries, place, scale)) for id_, place in zip(given, positions, strict=True) if place >= 0]
        found = iter(ranked(known, side, wishes, scale))
        return [next(found) if place >= 0 else [] for place in positions]
    place = position(queries, asked, what)
    return ranked([(asked, _row(queries, place, scale))], side, wishes, scale)[0]


def _row(side: Side, place: int, scale: Float32 | None) -> Float32:
    row: Float32 = side.rows[place] if scale is None else side.rows[place] * scale[place]
    return row


def position(side: Side, id_: Any, what: str) -> int:
    """Where an id stands; `UnknownIdError` that says what to do where it is not in the model."""
    place = side.ids.position(id_)
    if place < 0:
        advice = {
            "user": "`user in model` tells it before. recommendForRatings answers by somebody's ratings alone; to "
            "strangers recommend what is popular.",
            "item": "model.hasItem(item) tells it before.",
        }[what]
        raise UnknownIdError(f"There is no {what} {id_!r} among the {len(side.ids)} of this model: {advice}")
    return place


def is_many(asked: Any) -> bool:
    """Whether several ids are meant."""
    return hasattr(asked, "__iter__") and not isinstance(asked, str | bytes) and np.ndim(asked) != 0


def wishes_of(
    side: Side, n: int, exclude: Iterable[Any] | Mapping[Any, Any], candidates: Any, support: int | None
) -> Wishes:
    """What an answer of rows of ``side`` may hold; ``support`` is the least number of their ratings, None for any.

    ``TypeError`` if a number is no integer, ``ValueError`` if it is not positive, or the numbers of ratings are asked
    for and not known.
    """
    number = at_least_one("n", n)
    least = None if support is None else at_least_one("minSupport", support)
    if least is not None:
        counts_of(side, f"minSupport={least}")
    listed = None if candidates is None else _listed("candidates", candidates)
    return Wishes(number, _listed("exclude", exclude), listed, least_support=least)


def counts_of(side: Side, asked: str) -> Int64:
    """How many ratings each row had; ``ValueError`` that says what to do where that is not known."""
    if side.counts is None:
        raise ValueError(
            f"{asked}: this model does not know how many ratings its rows had. Models that Spark, or an earlier "
            "version, saved do not say so; fit the model again, or count the ratings yourself and pass candidates= "
            "(LocalModel.fromArrays takes userCounts= and itemCounts=)."
        )
    return side.counts


def _listed(name: str, ids: Any) -> Any:
    """Ids that can be gone through more than once: a mapping as it is, others as a list or an array."""
    if not hasattr(ids, "__iter__") or isinstance(ids, str | bytes):
        raise TypeError(f"{name} takes a list of ids, got {ids!r}: write [{ids!r}]")
    return ids if isinstance(ids, Mapping | np.ndarray) else list(ids)


def checked_side(ids: Sequence[Any] | Ids, rows: Any, name: str, counts: Any = None) -> Side:
    """A side from a caller's arrays."""
    # NumPy's own arrays of strings drop zeros at their ends
    texts = [isinstance(id_, str) for id_ in ids] if np.asarray(ids).dtype.kind in "UOT" else []
    array = np.empty(len(texts), object) if texts else np.asarray(ids)
    if texts:
        if not all(texts):
            raise TypeError(f"The ids of {name} are not all strings: use integers, strings or datetime64 alone")
        array[:] = list(ids)
    elif array.dtype.kind in "iu":
        array = array.astype(np.uint64 if array.dtype == np.uint64 else np.int64)
    elif array.dtype.kind == "M":
        array = _nanoseconds(array, name)
    elif len(array):
        raise TypeError(f"The ids of {name} are of type {array.dtype}: use integers, strings or datetime64")
    else:
        array = array.astype(np.int64)
    values = np.array(rows, np.float32, order="C")
    if array.ndim != 1 or values.ndim != 2 or len(values) != len(array):
        raise ValueError(f"{name} have ids of shape {array.shape} and factors of shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"The factors of {name} are not all finite numbers")
    numbers = None if counts is None else _checked_counts(counts, len(array), name)
    if not np.all(array[1:] > array[:-1]):
        order = np.argsort(array, kind="stable")
        array, values = array[order], values[order]
        numbers = None if numbers is None else numbers[order]
    twice = np.flatnonzero(array[1:] == array[:-1])
    if len(twice):
        raise ValueError(f"The ids of {name} have {array[twice[:1]].tolist()[0]!r} twice")
    return side_of(array, values, name, numbers)


def _nanoseconds(dates: Any, name: str) -> Ids:
    """Dates as datetime64[ns]; ``ValueError`` that names one that nanoseconds cannot count."""
    if not _are_countable(dates):
        wrong = next(date for date in dates.ravel() if not _are_countable(date))
        raise ValueError(
            f"The ids of {name} have {wrong}: dates as ids must lie between 1677 and 2262, where nanoseconds can count "
            "them. Use strings instead."
        )
    exact: Ids = dates.astype("datetime64[ns]")
    return exact


def _are_countable(dates: Any) -> bool:
    try:
        same = dates.astype("datetime64[ns]").astype(dates.dtype) == dates
    except OverflowError:  # from NumPy 2.5 on; older versions make another date of it
        return False
    return bool(np.all(same | np.isnat(dates)))


def _checked_counts(counts: Any, n: int, name: str) -> Int64:
    """Numbers of ratings as a new array; whole floats, as sums and joins of frames give them, are taken too."""
    given = np.asarray(counts)
    if given.shape != (n,):
        raise ValueError(
            f"{name} have {n} ids and numbers of ratings of shape {given.shape}: one for each id is needed"
        )
    if given.dtype.kind not in "iuf" and n:
        raise TypeError(f"The numbers of ratings of {name} are of type {given.dtype}: use integers")
    with np.errstate(invalid="ignore"):  # NaN becomes a negative number, as what int64 cannot hold does
        numbers = given.astype(np.int64)
    wrong = np.flatnonzero((numbers < 0) | (numbers != given))
    if len(wrong):
        raise ValueError(
            f"The numbers of ratings of {name} have {given[wrong[0]]} at position {wrong[0]}: they are integers >= 0"
        )
    return numbers


def inverse_norms(rows: Float32) -> Float32:
    """1 / |row|, float32 (n,); 0 for rows of zeros."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    inverse: Float32 = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0).astype(np.float32)
    return inverse


def read_only(array: A) -> A:
    """A view that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view
