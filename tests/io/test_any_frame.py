"""Frames of any dtypes, whole or damaged: the fit of the same data in plain integers, or an error that names the place.

Hypothesis draws ids and ratings, the dtypes in which they are given, the kind of frame, how it is cut into partitions,
and perhaps one fault. The reference is made from the drawn values by dicts: ids ascend as Python sorts them, and
the fit of these ranks, as int64, with ratings as float64 tells the factors.
"""

import decimal
import itertools
import re
from collections import Counter
from typing import Any, NamedTuple

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daskals import ALS


class Form(NamedTuple):
    """How a column may be given."""

    #: what values it can hold: "int", with limits; "text"; "date"
    kind: str
    #: drawn values -> a pandas series
    make: Any
    #: whether the column can be null somewhere
    nullable: bool = False
    low: int = -(2**63)
    high: int = 2**63 - 1
    #: kinds of frames that can have it
    frames: tuple[str, ...] = ("pandas", "dask", "pyarrow")


def of_dtype(dtype):
    return lambda values: pd.Series(values, dtype=dtype)


def mapped(function, dtype):
    """Each value by itself, nulls as they are."""
    return lambda values: pd.Series([None if each is None else function(each) for each in values], dtype=dtype)


def categories(dtype):
    """Also some that do not occur, in no order."""

    def make(values):
        distinct = list(dict.fromkeys(each for each in values if each is not None))
        extra = [each for each in (distinct[0] if distinct else None,) if isinstance(each, int) and each < 100]
        labels = pd.Series([*distinct[::-1], *(each + 20 for each in extra if each + 20 not in distinct)], dtype=dtype)
        return pd.Series(
            pd.Categorical(pd.Series(values, dtype=object), categories=pd.Index(labels, dtype=labels.dtype))
        )

    return make


def whole(bits, signed):
    return {"low": -(2 ** (bits - 1)), "high": 2 ** (bits - 1) - 1} if signed else {"low": 0, "high": 2**bits - 1}


ONLY_PANDAS = {"frames": ("pandas",)}
IDS = {
    **{f"int{bits}": Form("int", of_dtype(f"int{bits}"), **whole(bits, True)) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": Form("int", of_dtype(f"uint{bits}"), **whole(bits, False)) for bits in (8, 16, 32, 64)},
    "Int64": Form("int", of_dtype("Int64"), True),
    "UInt64": Form("int", of_dtype("UInt64"), True, **whole(64, False)),
    "Int16": Form("int", of_dtype("Int16"), True, **whole(16, True)),
    "int64[pyarrow]": Form("int", of_dtype("int64[pyarrow]"), True),
    "uint8[pyarrow]": Form("int", of_dtype("uint8[pyarrow]"), True, **whole(8, False)),
    "float64": Form("int", of_dtype("float64"), True, -(2**53), 2**53),
    "float32": Form("int", of_dtype("float32"), True, -(2**24), 2**24),
    "Float64": Form("int", of_dtype("Float64"), True, -(2**53), 2**53),
    "double[pyarrow]": Form("int", of_dtype("double[pyarrow]"), True, -(2**53), 2**53),
    "decimal[pyarrow]": Form("int", mapped(decimal.Decimal, pd.ArrowDtype(pa.decimal128(20, 1))), True),
    "objects": Form("int", of_dtype(object), True, **ONLY_PANDAS),
    "decimals": Form("int", mapped(decimal.Decimal, object), True, **ONLY_PANDAS),
    "floats": Form("int", mapped(float, object), True, -(2**53), 2**53, ("pandas",)),
    "category of int64": Form("int", categories("int64"), True),
    "category of Int64": Form("int", categories("Int64"), True, frames=("pandas", "dask")),
    "text objects": Form("text", of_dtype(object), True),
    "string[python]": Form("text", of_dtype("string[python]"), True),
    "string[pyarrow]": Form("text", of_dtype("string[pyarrow]"), True),
    "large_string": Form("text", of_dtype(pd.ArrowDtype(pa.large_string())), True),
    "category of text": Form("text", categories(object), True),
    "datetime64[ns]": Form("date", of_dtype("datetime64[ns]"), True),
    "datetime64[us]": Form("date", of_dtype("datetime64[us]"), True),
    "datetime64[s]": Form("date", of_dtype("datetime64[s]"), True),
    "timestamp[us]": Form("date", of_dtype(pd.ArrowDtype(pa.timestamp("us"))), True),
    "category of dates": Form("date", categories("datetime64[ns]"), True),
}
RATINGS = {
    "float64": of_dtype("float64"),
    "float32": of_dtype("float32"),
    "Float32": of_dtype("Float32"),
    "double[pyarrow]": of_dtype("double[pyarrow]"),
    "int8": of_dtype("int8"),
    "Int64": of_dtype("Int64"),
    "uint16[pyarrow]": of_dtype("uint16[pyarrow]"),
    "decimal[pyarrow]": mapped(decimal.Decimal, pd.ArrowDtype(pa.decimal128(6, 2))),
    "objects": of_dtype(object),
    "decimals": mapped(decimal.Decimal, object),
}
#: Text that others have stumbled over: NUL, halves of a surrogate pair, composed and decomposed, the longest.
TEXT = st.one_of(
    st.sampled_from(["", "\0", "a", "a\0", "a\0b", "\0a", "\ud800", "a\udfff", "é", "é", "NA", "nan", "None", "1"]),
    st.text(max_size=4),
    st.text(st.characters(categories=["Cs", "L"]), max_size=2),
)
#: Those can also be halves of a surrogate pair; Arrow has none.
ANY_TEXT = {"text objects", "category of text"}
DATES = st.integers(-(2**33), 2**33).map(lambda seconds: pd.Timestamp(seconds, unit="s"))
#: How a fault comes into a frame, by what an error must name.
ROWS = ["null id", "null rating", "infinite rating", "fractional id"]
COLUMNS = ["missing column", "column twice"]
PARTS = ["part without column", "part of text", "part that is none", "part of wrong ids", "part with column twice"]


class Drawn(NamedTuple):
    """Data, and the frame that is made of them."""

    users: list
    items: list
    ratings: list
    forms: tuple[str, str, str]
    kind: str
    cuts: list
    fault: str | None
    row: int
    column: str


def is_encodable(values):
    return not any(isinstance(each, str) and re.search("[\ud800-\udfff]", each) for each in values)


def values_for(name):
    form = IDS[name]
    if form.kind == "int":
        near = st.sampled_from([form.low, form.low + 1, 0, 1, 2, 3, form.high - 1, form.high])
        return st.one_of(near, st.integers(0, 5), st.integers(form.low, form.high))
    if form.kind == "date":
        return DATES
    return TEXT if name in ANY_TEXT else TEXT.filter(lambda text: is_encodable([text]))


@st.composite
def frames(draw):
    """A frame with at most one fault."""
    names = [draw(st.sampled_from(list(IDS))) for _ in range(2)]
    forms = [IDS[name] for name in names]
    n = draw(st.integers(1, 12))
    columns = []
    for name in names:
        pool = draw(st.lists(values_for(name), min_size=1, max_size=5, unique=True))
        columns.append([draw(st.sampled_from(pool)) for _ in range(n)])
    ratings = draw(st.lists(st.integers(1, 9), min_size=n, max_size=n))
    kinds = [kind for kind in ("pandas", "dask", "pyarrow", "polars") if all(allows(form, kind) for form in forms)]
    if not is_encodable([*columns[0], *columns[1]]):
        kinds = ["pandas"]
    kind = draw(st.sampled_from(kinds))
    rating = draw(
        st.sampled_from([each for each in RATINGS if kind == "pandas" or each not in ("objects", "decimals")])
    )
    faults = [None, None, *ROWS, *COLUMNS, *(PARTS if kind == "dask" else [])]
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=4)))
    column = draw(st.sampled_from(["user", "item"]))
    return Drawn(
        *columns,
        ratings,
        (*names, rating),
        kind,
        cuts,
        draw(st.sampled_from(faults)),
        draw(st.integers(0, n - 1)),
        column,
    )


def allows(form, kind):
    return ("pyarrow" if kind == "polars" else kind) in form.frames


def spoilt(drawn):
    """(frame of pandas, words that an error must have), with the fault in it; None where this form cannot have it."""
    columns = {"user": list(drawn.users), "item": list(drawn.items), "rating": list(drawn.ratings)}
    form, words = IDS[drawn.forms[0 if drawn.column == "user" else 1]], None
    rating = drawn.forms[2]
    if drawn.fault == "null id":
        if not form.nullable:
            return None
        columns[drawn.column][drawn.row] = None
        words = [f"'{drawn.column}'", "null"]
    elif drawn.fault == "fractional id":
        if form.kind != "int" or "loat" not in drawn.forms[0 if drawn.column == "user" else 1]:
            return None
        columns[drawn.column][drawn.row] = 0.5
        words = [f"'{drawn.column}'", "0.5"]
    elif drawn.fault in ("null rating", "infinite rating"):
        if "int" in rating.lower() and rating != "Int64":
            return None
        if drawn.fault == "infinite rating" and (rating == "Int64" or "ecimal" in rating):
            return None
        columns["rating"][drawn.row] = None if drawn.fault == "null rating" else np.inf
        words = ["'rating'", "null" if drawn.fault == "null rating" else "inf"]
    makers = (IDS[drawn.forms[0]].make, IDS[drawn.forms[1]].make, RATINGS[rating])
    made = {name: make(values) for (name, values), make in zip(columns.items(), makers, strict=True)}
    frame = pd.DataFrame(made)
    if drawn.kind in ("pandas", "dask"):
        frame.index = [10 * (row + 1) for row in range(len(frame))]
    if drawn.fault in ROWS:
        words = [*words, f"row {frame.index[drawn.row]}"]
    return frame, words


def in_kind(drawn, frame):
    """(the frame as it is given, words that an error must have for what is wrong with it as a whole)."""
    words = None
    if drawn.fault == "missing column":
        frame, words = frame.drop(columns=drawn.column), [f"No column '{drawn.column}'"]
    elif drawn.fault == "column twice" and drawn.kind == "pandas":
        frame, words = pd.concat([frame, frame[[drawn.column]]], axis=1), [f"2 columns '{drawn.column}'"]
    if drawn.kind == "pandas":
        return frame, words
    if drawn.kind == "pyarrow":
        return pa.Table.from_pandas(frame, preserve_index=False), words
    if drawn.kind == "polars":
        return pl.from_arrow(pa.Table.from_pandas(frame, preserve_index=False)), words
    ends = [0, *drawn.cuts, len(frame)]
    parts = [frame.iloc[start:stop] for start, stop in itertools.pairwise(ends)]
    number = max(range(len(parts)), key=lambda n: len(parts[n]))
    if drawn.fault in PARTS:
        parts[number] = spoilt_part(drawn, parts[number])
        words = (
            [f"Partition {number}"]
            if drawn.fault == "part that is none"
            else [f"Partition {number}", f"'{drawn.column}'"]
        )
    return dd.from_map(lambda n: parts[n], range(len(parts)), meta=frame.iloc[:0]), words


def spoilt_part(drawn, part):
    """A partition that is not what the meta says."""
    if drawn.fault == "part without column":
        return part.drop(columns=drawn.column)
    if drawn.fault == "part that is none":
        return None
    if drawn.fault == "part with column twice":
        return pd.concat([part, part[[drawn.column]]], axis=1)
    kind = IDS[drawn.forms[0 if drawn.column == "user" else 1]].kind
    if drawn.fault == "part of text":
        other = pd.Series(["x"] * len(part), part.index, dtype="string[python]")
    else:
        other = pd.Series([True] * len(part), part.index)
    if kind == "text" and drawn.fault == "part of text":
        other = pd.Series(range(len(part)), part.index)
    return part.assign(**{drawn.column: other})


def reference(drawn):
    """The ids of both sides, ascending, and the model of the integers that they stand for."""
    columns = {"user": drawn.users, "item": drawn.items}
    stands_for = {name: clean(values) for name, values in columns.items()}
    frame = pd.DataFrame({**stands_for, "rating": np.array(drawn.ratings, np.float64)})
    return [sorted(set(values)) for values in columns.values()], numbers(estimator().fit(frame))


def clean(values):
    """Integers are themselves: Spark's start values depend on them. All else is its rank."""
    if isinstance(values[0], int):
        return np.array(values, np.uint64 if max(values) >= 2**63 else np.int64)
    rank = {each: n for n, each in enumerate(sorted(set(values)))}
    return np.array([rank[each] for each in values], np.int64)


def estimator():
    return ALS(rank=2, maxIter=1, seed=7, numUserBlocks=2, numItemBlocks=1)


def as_lists(frame):
    frame = frame.compute() if isinstance(frame, dd.DataFrame) else frame
    table = frame if isinstance(frame, pd.DataFrame) else pa.table(frame).to_pandas()
    return table["id"].to_list(), np.array([list(row) for row in table["features"]], np.float32)


def numbers(model):
    sides = [as_lists(side) for side in (model.userFactors, model.itemFactors)]
    counts = dask.compute(model._factors.users.counts, model._factors.items.counts)
    return [ids for ids, _ in sides], [rows for _, rows in sides], [each.tolist() for each in counts]


def assert_right(drawn, model):
    expected_ids, (_, rows, _) = reference(drawn)
    found_ids, found_rows, counts = numbers(model)
    for side, values in enumerate((drawn.users, drawn.items)):
        assert [plain(each) for each in found_ids[side]] == expected_ids[side]
        assert counts[side] == [Counter(values)[each] for each in expected_ids[side]]
        np.testing.assert_allclose(found_rows[side], rows[side], rtol=1e-4, atol=1e-5)


def plain(id_):
    """As it was drawn."""
    return pd.Timestamp(id_) if not isinstance(id_, str | int) else id_


def check(drawn):
    made = spoilt(drawn)
    if made is None:
        return
    frame, words = made
    given, more = in_kind(drawn, frame)
    words = words or more
    with dask.config.set({"scheduler": "synchronous", "dataframe.convert-string": False}):
        if words is None:
            assert_right(drawn, estimator().fit(given))
            return
        with pytest.raises((ValueError, TypeError)) as caught:
            estimator().fit(given)
    for word in words:
        assert word in str(caught.value), f"{word!r} is not in: {caught.value}"


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(frames())
def test_any_frame_is_fitted_or_named(drawn):
    check(drawn)


@pytest.mark.slow
@settings(max_examples=2000, suppress_health_check=list(HealthCheck))
@given(frames())
def test_any_frame_is_fitted_or_named_often(drawn):
    check(drawn)
