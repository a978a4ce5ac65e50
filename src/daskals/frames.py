"""Frames in, checked; the same kind of frame out. Names, dtypes, nulls and "pandas or dask?" end here.

An id column may be of any integer type (NumPy's, nullable, Arrow's), of floats or decimals with integral values,
of strings, of categories of those, or of dates. It is read in one of four *forms*: int64, uint64, datetime64[ns],
or str. What a model shows of its ids has the dtype of the column that it was trained on; where that was a nullable or
Arrow integer, NumPy's of the same width; for floats and decimals, int64; for categories, the dtype of their values.
"""

from __future__ import annotations

import decimal
import itertools
import numbers
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
from dask.delayed import Delayed

from daskals import execution
from daskals.blocks import CodedChunk, CodedIds, Float32, Ids
from daskals.indexing import encode, sort_distinct

is_object = pd.api.types.is_object_dtype

Kind = Literal["pandas", "dask"]
Frame = Any  #: pandas.DataFrame or dask.dataframe.DataFrame
Form = Literal["int64", "uint64", "datetime64[ns]", "str"]

#: A pandas frame is cut into slices of at least this many rows,
MIN_SLICE_ROWS = 250_000
#: and of at most this many for each thread, so that no thread waits long for the last.
SLICES_PER_THREAD = 4


class IdType(NamedTuple):
    """How the ids of a side are read, and how they are shown."""

    form: Form
    #: pandas dtype of ids in frames that we return
    shown: Any


class Columns(NamedTuple):
    """Names of the columns to read."""

    user: str | None
    item: str | None
    rating: str | None = None


# ---- frames in -------------------------------------------------------------------------------------------


def kind_of(dataset: Frame) -> Kind:
    """Pandas or dask; ``TypeError`` that says what to do for anything else."""
    if isinstance(dataset, pd.DataFrame):
        return "pandas"
    if isinstance(dataset, dd.DataFrame):
        return "dask"
    raise TypeError(
        f"The dataset must be a pandas or a dask DataFrame, got {type(dataset).__module__}."
        f"{type(dataset).__qualname__}. For an array use pandas.DataFrame(array, columns=[...])."
    )


def check_columns(dataset: Frame, columns: Columns, new: str | None) -> None:
    """The named columns must exist once, be distinct, and ``new`` must not be there; else ``ValueError``."""
    kind_of(dataset)
    present = list(dataset.columns)
    names = [name for name in columns if name is not None]
    for role, name in zip(columns._fields, columns, strict=True):
        if name is not None and present.count(name) != 1:
            how = "No column" if name not in present else f"{present.count(name)} columns"
            raise ValueError(
                f"{how} {name!r} in the dataset; its columns are {', '.join(map(repr, present))}. Rename the "
                f"column, or set {role}Col to the name of the column of {role}s."
            )
    if len(set(names)) < len(names):
        raise ValueError(f"userCol, itemCol and ratingCol must name different columns, got {', '.join(names)}")
    if new in present:
        raise ValueError(f"Column {new!r} already exists in the dataset. Drop it, or set predictionCol to a new name.")


def id_type(dataset: Frame, name: str) -> IdType:
    """How to read the ids in a column; ``TypeError`` if it cannot hold ids."""
    column = dataset[name]
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        known = kind_of(dataset) == "pandas" or column.cat.known
        categories = dtype.categories if known else column.head(1, npartitions=-1).cat.categories
        column, dtype = pd.Series(categories), categories.dtype
    if is_object(dtype) and isinstance(column, pd.Series):
        return _id_type_of_objects(column, name)
    if pd.api.types.is_bool_dtype(dtype):
        raise TypeError(_not_ids(name, dtype))
    if pd.api.types.is_integer_dtype(dtype):
        shown = np.dtype(getattr(dtype, "numpy_dtype", dtype))
        return IdType("uint64" if shown == np.uint64 else "int64", shown)
    if pd.api.types.is_float_dtype(dtype) or _is_arrow_decimal(dtype):
        return IdType("int64", np.dtype(np.int64))
    if pd.api.types.is_datetime64_dtype(dtype):
        return IdType("datetime64[ns]", dtype)
    if pd.api.types.is_string_dtype(dtype) or is_object(dtype):
        return IdType("str", dtype)
    raise TypeError(_not_ids(name, dtype))


def _id_type_of_objects(column: pd.Series, name: str) -> IdType:
    found = pd.api.types.infer_dtype(column, skipna=True)
    if found in ("string", "empty"):
        return IdType("str", column.dtype)
    if found in ("integer", "decimal", "floating"):
        return IdType("int64", np.dtype(np.int64))
    raise TypeError(_not_ids(name, f"object ({found})"))


def _not_ids(name: str, dtype: object) -> str:
    return (
        f"Column {name!r} is of type {dtype}, which cannot hold ids: use integers, strings, categories or dates "
        "without a time zone."
    )


def _is_arrow_decimal(dtype: object) -> bool:
    return isinstance(dtype, pd.ArrowDtype) and pa.types.is_decimal(dtype.pyarrow_dtype)


def id_type_to_look_up(dataset: Frame, name: str, trained: IdType) -> IdType:
    """How to read ids that are looked up; ``TypeError`` if they are of another kind than those ``trained`` on."""
    if kind_of(dataset) == "pandas" and not len(dataset):
        return trained  # the dtype of a column without rows says nothing
    given = id_type(dataset, name)
    if trained.form.lstrip("u") != given.form.lstrip("u"):
        raise TypeError(
            f"Column {name!r} has ids of form {given.form}, but the model was trained on ids of form "
            f"{trained.form}: convert the column first."
        )
    return given


def rating_chunks(dataset: Frame, columns: Columns, users: IdType, items: IdType, token: str) -> list[Delayed]:
    """Tasks that read the ratings, a `CodedChunk` each. Values are checked when a task runs: ``ValueError``."""
    assert columns.rating is not None
    dtype = dataset[columns.rating].dtype
    of_numbers = pd.api.types.is_any_real_numeric_dtype(dtype)
    if not of_numbers and not is_object(dtype) and not _is_arrow_decimal(dtype):
        raise TypeError(
            f"Column {columns.rating!r} is of type {dtype}, but ratings must be numbers: convert it first, "
            "for example with pandas.to_numeric."
        )
    return [
        execution.task(read_ratings, part, columns, users, items, name=f"als-read-{token}-{number}")
        for number, part in enumerate(partitions(dataset[list(columns)], token))
    ]


def pair_chunks(parts: Sequence[Delayed], columns: Columns, users: IdType, items: IdType, token: str) -> list[Delayed]:
    """Tasks that read users and items, two `CodedIds` each, of a frame in ``parts``."""
    return [
        execution.task(read_pairs, part, columns, users, items, name=f"als-pairs-{token}-{number}")
        for number, part in enumerate(parts)
    ]


def wanted_ids(dataset: Frame, name: str, trained: IdType, token: str) -> Delayed:
    """A task that gives the distinct ids of one column, ascending; nulls are passed over.

    ``ValueError`` if there is no such column, ``TypeError`` if its ids are of another kind than those trained on.
    """
    check_columns(dataset, Columns(name, None, None), None)
    given = id_type_to_look_up(dataset, name, trained)
    parts = [
        execution.task(_distinct, part, name, given.form, name=f"als-wanted-{token}-{number}")
        for number, part in enumerate(partitions(dataset[[name]], token))
    ]
    return execution.tree_reduce(_union, parts, f"als-wanted-tree-{token}")


def _distinct(frame: pd.DataFrame, name: str, form: Form) -> Ids:
    column = frame[name].dropna()
    if form != "str" and pd.api.types.is_float_dtype(column.dtype):
        column = column[column % 1 == 0]  # as Spark: a fractional id is nobody's, and no error here
    return read_ids(column, form).distinct


def _union(*ids: Ids) -> Ids:
    return encode(np.concatenate(ids)).distinct


def partitions(dataset: Frame, token: str) -> list[Delayed]:
    """A frame in parts, as tasks: slices of a pandas frame, the partitions of a dask frame."""
    if kind_of(dataset) == "dask":
        return list(dataset.to_delayed())
    most = SLICES_PER_THREAD * execution.total_threads()
    n = max(1, min(most, len(dataset) // MIN_SLICE_ROWS))
    edges = np.linspace(0, len(dataset), n + 1).astype(int)
    return [
        execution.task(execution.itself, dataset.iloc[start:stop], name=f"als-slice-{token}-{start}")
        for start, stop in itertools.pairwise(edges)
    ]


def read_ratings(frame: pd.DataFrame, columns: Columns, users: IdType, items: IdType) -> CodedChunk:
    """The ratings of one part of a frame."""
    assert columns.rating is not None
    ratings = read_numbers(frame[columns.rating])
    return CodedChunk(*read_pairs(frame, columns, users, items), ratings)


def read_pairs(frame: pd.DataFrame, columns: Columns, users: IdType, items: IdType) -> tuple[CodedIds, CodedIds]:
    """The users and items of one part of a frame."""
    return read_ids(frame[columns.user], users.form), read_ids(frame[columns.item], items.form)


def read_numbers(column: pd.Series) -> Float32:
    """A column of ratings as float32; ``ValueError`` at a null, NaN or infinite one, naming the first row."""
    if is_object(column.dtype):
        _check_numbers(column)
    try:
        wide = column.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise TypeError(f"Column {column.name!r} holds values that are not numbers: {error}") from None
    with np.errstate(over="ignore"):
        ratings = wide.astype(np.float32)
    finite = np.isfinite(ratings)
    if not finite.all():
        row = int(np.argmin(finite))
        what = "null or NaN" if np.isnan(wide[row]) else f"{wide[row]}, which is not a finite float32"
        raise ValueError(
            f"Column {column.name!r} is {what} in {_place(column, row)} ({_count(~finite)} such): ratings must be "
            "finite numbers. Drop or repair those rows first."
        )
    return ratings


def _check_numbers(column: pd.Series) -> None:
    """``TypeError`` at the first value of an object column that is no number: NumPy would convert "3" and True."""
    for row, value in enumerate(column):
        number = isinstance(value, numbers.Real | decimal.Decimal) and not isinstance(value, bool | np.bool_)
        missing = pd.api.types.is_scalar(value) and pd.isna(value)
        if not number and not missing:
            raise TypeError(
                f"Column {column.name!r} holds {value!r} in {_place(column, row)}, but ratings must be numbers: "
                "convert it first, for example with pandas.to_numeric."
            )


def read_ids(column: pd.Series, form: Form) -> CodedIds:
    """A column of ids, coded; ``ValueError`` at a null or a fractional one, naming the first row and its value."""
    missing = column.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"Column {column.name!r} is null in {_place(column, int(np.argmax(missing)))} ({_count(missing)} "
            "such): every rating needs a user and an item. Drop those rows first."
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        used = encode(column.cat.codes.to_numpy())
        first = np.empty(len(used.distinct), np.int64)
        first[used.codes[::-1]] = np.arange(len(column))[::-1]
        categories = pd.Series(column.cat.categories[used.distinct], column.index[first], name=column.name)
        inner = read_ids(categories, form)
        return CodedIds(inner.distinct, inner.codes[used.codes])
    if form == "str":
        try:
            codes, distinct = pd.factorize(column)
        except TypeError as error:
            raise TypeError(_not_ids(str(column.name), f"object ({error})")) from None
        return sort_distinct(_strings(column, distinct, codes), codes)
    if form == "datetime64[ns]":
        return encode(_nanoseconds(column))
    coded = encode(_integers(column, form))
    return CodedIds(coded.distinct.astype(form), coded.codes)


def _nanoseconds(column: pd.Series) -> Ids:
    dates = column.to_numpy()
    exact = dates.astype("datetime64[ns]")
    wrapped = exact.astype(dates.dtype) != dates
    if wrapped.any():
        row = int(np.argmax(wrapped))
        raise ValueError(
            f"Column {column.name!r} is {dates[row]} in {_place(column, row)}: dates as ids must lie between 1677 and "
            "2262, where nanoseconds can count them. Use strings instead."
        )
    return exact


def _strings(column: pd.Series, distinct: Any, codes: Any) -> Ids:
    strings = np.asarray(distinct, dtype=object)
    for place, value in enumerate(strings):
        if not isinstance(value, str):
            row = int(np.argmax(codes == place))
            raise TypeError(
                f"Column {column.name!r} mixes strings with {type(value).__name__}: {value!r} in "
                f"{_place(column, row)}. Convert the column with astype(str)."
            )
    return strings


def _integers(column: pd.Series, form: Form) -> Ids:
    if is_object(column.dtype) or _is_arrow_decimal(column.dtype):
        return _integral(column, np.array([_as_number(value) for value in column], dtype=object), form)
    values = column.to_numpy()
    if is_object(values.dtype):  # nullable and Arrow integers, whose nulls were excluded above
        values = column.to_numpy(np.dtype(form))
    return values if values.dtype.kind in "iu" else _integral(column, values, form)


def _as_number(value: Any) -> Any:
    return int(value) if isinstance(value, decimal.Decimal) and value == value.to_integral_value() else value


def _integral(column: pd.Series, values: Ids, form: Form) -> Ids:
    limits = np.iinfo(form)
    fits = np.array([value % 1 == 0 and limits.min <= int(value) <= limits.max for value in values.tolist()], np.bool_)
    if not fits.all():
        row = int(np.argmin(fits))
        raise ValueError(
            f"Column {column.name!r} is {values[row]} in {_place(column, row)} ({_count(~fits)} such): numeric ids "
            f"must be whole numbers in the range of {form}."
        )
    return values.astype(form)


def _place(column: pd.Series, row: int) -> str:
    label = column.index[row]
    return f"row {label.item() if isinstance(label, np.generic) else label!r}"


def _count(mask: Any) -> int:
    return int(np.count_nonzero(mask))


# ---- frames out ------------------------------------------------------------------------------------------


def collect_predictions(
    dataset: Frame, parts: Sequence[Delayed], scores: Sequence[Delayed], name: str, *, drop: bool, token: str
) -> Frame:
    """The dataset, which is in ``parts``, with a column of its scores."""
    out = [
        execution.task(add_predictions, part, some, name, drop, name=f"als-transform-{token}-{number}")
        for number, (part, some) in enumerate(zip(parts, scores, strict=True))
    ]
    if kind_of(dataset) == "pandas":
        return _concatenated(out, keep_index=True)
    meta = add_predictions(dataset._meta, np.empty(0, np.float32), name, drop)
    return dd.from_delayed(out, meta=meta, divisions=dataset.divisions, verify_meta=False)


def collect_recommendations(
    found: Sequence[Delayed], columns: tuple[str, str], shown: tuple[IdType, IdType], kind: Kind, token: str
) -> Frame:
    """What `daskals.scoring.recommend` found, as a frame."""
    out = [
        execution.task(recommendation_frame, each, columns, shown, name=f"als-recommendations-{token}-{number}")
        for number, each in enumerate(found)
    ]
    if kind == "pandas":
        return _concatenated(out)
    nothing = _no_ids(shown[0]), _no_ids(shown[1]).reshape(0, 1), np.empty((0, 1), np.float32)
    return dd.from_delayed(out, meta=recommendation_frame(nothing, columns, shown), verify_meta=False)


def collect_factors(rows: Sequence[Delayed], rank: int, shown: IdType, kind: Kind) -> Frame:
    """Ids and rows of `daskals.scoring.rows_with_ids`, as a frame."""
    out = [execution.task(factor_frame, each, shown, name=f"{each.key}-frame") for each in rows]
    if kind == "pandas":
        return _concatenated(out)
    nothing = _no_ids(shown), np.empty((0, rank), np.float32)
    return dd.from_delayed(out, meta=factor_frame(nothing, shown), verify_meta=False)


def _concatenated(parts: Sequence[Delayed], *, keep_index: bool = False) -> pd.DataFrame:
    frames: tuple[pd.DataFrame, ...] = execution.fetch(*parts)
    return pd.concat(frames, ignore_index=not keep_index) if len(frames) > 1 else frames[0]


def add_predictions(frame: pd.DataFrame, scores: Float32, name: str, drop: bool) -> pd.DataFrame:
    """The frame with a column of scores; without the rows whose score is NaN where ``drop``."""
    out = frame.assign(**{name: np.asarray(scores, np.float32)})
    return out[~np.isnan(scores)] if drop else out


def recommendation_frame(
    found: tuple[Ids, Ids, Float32], columns: tuple[str, str], shown: tuple[IdType, IdType]
) -> pd.DataFrame:
    """Query ids and an Arrow ``list<struct<candidate, rating: float>>`` of what is recommended to each."""
    ids, candidates, scores = found
    values = pa.StructArray.from_arrays(
        [_arrow_ids(candidates.reshape(-1), shown[1]), pa.array(scores.reshape(-1), pa.float32())],
        names=[columns[1], "rating"],
    )
    lists = _lists_of(values, len(ids), scores.shape[1])
    return pd.DataFrame({columns[0]: _shown_ids(ids, shown[0]), "recommendations": lists})


def factor_frame(rows: tuple[Ids, Float32], shown: IdType) -> pd.DataFrame:
    """Columns ``id`` and ``features``, an Arrow ``list<float>``."""
    ids, factors = rows
    values = pa.array(np.ascontiguousarray(factors, np.float32).reshape(-1))
    return pd.DataFrame({"id": _shown_ids(ids, shown), "features": _lists_of(values, *factors.shape)})


def _lists_of(values: pa.Array, n: int, length: int) -> pd.Series:
    offsets = np.arange(n + 1) * length
    if offsets[-1] <= np.iinfo(np.int32).max:
        lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
    else:
        lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)
    return pd.Series(pd.arrays.ArrowExtensionArray(lists))


def _shown_ids(ids: Ids, shown: IdType) -> pd.Series:
    return pd.Series(ids).astype(shown.shown)


def _arrow_ids(ids: Ids, shown: IdType) -> pa.Array:
    return pa.Array.from_pandas(_shown_ids(ids, shown))


def _no_ids(shown: IdType) -> Ids:
    return np.empty(0, object if shown.form == "str" else shown.form)
