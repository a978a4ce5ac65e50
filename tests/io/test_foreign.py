"""Columns of other libraries' frames as pandas columns, and back."""

import datetime
import decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy import sparse

from daskals.io.foreign import (
    WHOLE_FLOAT32,
    foreign_kind,
    frame_of_numbers,
    give_back,
    holds_numbers,
    is_lazy_polars,
    names_of,
    opened,
    put_beside,
    read_frame,
    rows_of,
    settled,
)
from daskals.io.frames import check_kind, keep_rows, kind_of
from daskals.io.ids import id_type, read_ids

TABLE = pa.table({"user": [1, 2, 1], "item": ["x", "y", "z"], "rating": [1.0, 2.0, 3.0]})
POLARS = pl.DataFrame({"user": [1, 2, 1], "item": ["x", "y", "z"], "rating": [1.0, 2.0, 3.0]})


# ---- kinds -----------------------------------------------------------------------------------------------


def test_kinds_are_told_apart():
    relation = duckdb.connect().sql("select 1 as user")
    assert [kind_of(each) for each in (TABLE, TABLE.to_batches()[0], TABLE.to_reader(), relation)] == ["pyarrow"] * 4
    assert kind_of(POLARS) == "polars"
    assert kind_of(TABLE.to_pandas()) == "pandas"


@pytest.mark.parametrize(
    "column", [POLARS["user"], TABLE.column("user"), TABLE.column("user").chunk(0), TABLE.to_pandas()["user"]]
)
def test_a_column_is_no_frame(column):
    assert foreign_kind(column) is None
    with pytest.raises(TypeError, match=type(column).__qualname__):
        kind_of(column)


def test_a_lazy_polars_frame_is_to_be_collected():
    assert is_lazy_polars(POLARS.lazy())
    with pytest.raises(TypeError, match=r"exclude is a polars\.LazyFrame.*\.collect\(\)"):
        kind_of(POLARS.lazy(), "exclude")


def test_a_stream_of_a_column_is_no_table():
    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return TABLE.column("user").__arrow_c_stream__(requested_schema)

    with pytest.raises(TypeError, match=r"Stream has an Arrow stream that is not read as a table"):
        opened(Stream())


def test_what_can_be_read_once_becomes_a_table():
    assert settled(TABLE) is TABLE
    assert settled(POLARS) is POLARS
    assert settled(TABLE.to_reader()).equals(TABLE)
    frame = TABLE.to_pandas()
    assert settled(frame) is frame


def test_kinds_of_frames_are_checked():
    for kind in ("pandas", "dask", "polars", "pyarrow"):
        check_kind(kind)
    with pytest.raises(ValueError, match="frames='spark' is not allowed: it must be one of pandas, dask, polars"):
        check_kind("spark")


# ---- in --------------------------------------------------------------------------------------------------


def test_numbers_without_nulls_are_not_copied():
    values = np.arange(1000)
    for frame in (pl.DataFrame({"a": values, "b": values / 2}), pa.table({"a": values, "b": values / 2})):
        read = read_frame(frame, ["a", "b"])
        for name in ("a", "b"):
            own = frame[name].to_numpy()
            assert np.shares_memory(
                read[name].to_numpy(), own if isinstance(frame, pl.DataFrame) else _own(frame, name)
            )


def _own(table, name):
    return table.column(name).chunk(0).to_numpy(zero_copy_only=True)


def test_only_columns_that_are_asked_for_are_read():
    """One that Arrow cannot hold is in no one's way, nor are two of one name."""
    frame = POLARS.with_columns(pl.Series("object", [object()] * 3, pl.Object), pl.Series("wide", [1] * 3, pl.Int128))
    assert read_frame(frame, ["rating", "user"]).columns.tolist() == ["rating", "user"]
    twice = pa.Table.from_arrays([*TABLE.columns, pa.array([1, 2, 3])], [*TABLE.column_names, "item"])
    assert read_frame(twice, ["user"])["user"].tolist() == [1, 2, 1]
    assert names_of(opened(twice.to_reader())) == ["user", "item", "rating", "item"]
    assert read_frame(twice.to_reader(), ["user"])["user"].tolist() == [1, 2, 1]


def test_no_columns_leave_the_number_of_rows():
    for frame in (TABLE, POLARS, TABLE.to_reader()):
        assert len(read_frame(frame, [])) == 3


def test_a_column_that_arrow_does_not_hold_is_named():
    with pytest.raises(TypeError, match="Column 'user' is of type Int128, which Arrow does not hold: cast it"):
        read_frame(POLARS.with_columns(pl.col("user").cast(pl.Int128)), ["user"])


days = st.dates(datetime.date(1700, 1, 1), datetime.date(2200, 1, 1))
IDS = {
    pl.Int8: st.integers(-128, 127),
    pl.Int16: st.integers(-(2**15), 2**15 - 1),
    pl.Int32: st.integers(-(2**31), 2**31 - 1),
    pl.Int64: st.integers(-(2**63), 2**63 - 1),
    pl.UInt8: st.integers(0, 255),
    pl.UInt16: st.integers(0, 2**16 - 1),
    pl.UInt32: st.integers(0, 2**32 - 1),
    pl.UInt64: st.integers(0, 2**64 - 1),
    pl.String: st.text(st.characters(exclude_categories=["Cs"])),
    pl.Categorical: st.text(st.characters(exclude_categories=["Cs"])),
    pl.Date: days,
    pl.Datetime("us"): st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)),
    pl.Decimal(20, 0): st.integers(-(10**18), 10**18).map(decimal.Decimal),
}


@pytest.mark.parametrize("dtype", IDS, ids=str)
@given(data=st.data())
def test_ids_of_every_type_are_read_and_given_back(dtype, data):
    """What polars and Python think of them is what comes back, whatever the chunks; types are those of IdType."""
    parts = data.draw(st.lists(st.lists(IDS[dtype], max_size=6), min_size=1, max_size=3))
    series = pl.concat([pl.Series("id", part, dtype=dtype) for part in parts], rechunk=False)
    given_ = [each for part in parts for each in part]
    for frame in (series.to_frame(), series.to_frame().to_arrow()):
        column = read_frame(frame, ["id"])
        assert len(column) == len(given_)
        coded = read_ids(column["id"], id_type(column, "id").kind)
        if not given_:
            continue
        back = give_back(pd.DataFrame({"id": pd.Series(coded.uniques[coded.codes])}), "polars")["id"].to_list()
        expected = [
            datetime.datetime.combine(each, datetime.time()) if type(each) is datetime.date else each for each in given_
        ]
        assert back == expected


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["a", "b", None]),
        pa.array(["a", "b", None], pa.large_string()),
        pa.array(["a", "b", None], pa.string_view()),
        pa.array(["a", "b", None]).dictionary_encode(),
        pa.array([2**62 + 1, 2**62, None]),
        pa.array([2**64 - 1, 5, None], pa.uint64()),
        pa.array([1, 2, None], pa.date32()),
        pa.array([1, 2, None], pa.timestamp("us")),
        pa.array([decimal.Decimal(1), decimal.Decimal(2), None]),
        pa.nulls(3),
    ],
    ids=lambda values: str(values.type)[:12],
)
def test_a_null_id_stays_null_and_others_stay_exact(values):
    column = read_frame(pa.table({"id": values}), ["id"])
    with pytest.raises(ValueError, match="Column 'id' is null in row"):
        read_ids(column["id"], id_type(column, "id").kind)
    there = column.dropna()
    if len(there) and values.type.id not in (pa.date32().id, pa.timestamp("us").id):
        coded = read_ids(there["id"], id_type(there, "id").kind)
        assert [int(each) if values.type == pa.uint64() else each for each in coded.uniques[coded.codes]] == [
            each for each in values.to_pylist() if each is not None
        ]


def test_chunks_with_dictionaries_of_their_own_are_joined():
    chunks = [pa.array(part).dictionary_encode() for part in (["a", "b"], [], ["c", "b"])]
    chunks[1] = chunks[1].cast(chunks[0].type) if chunks[1].type != chunks[0].type else chunks[1]
    column = read_frame(pa.table({"id": pa.chunked_array(chunks)}), ["id"])["id"]
    assert column.astype(str).tolist() == ["a", "b", "c", "b"]


# ---- arrays and sparse matrices --------------------------------------------------------------------------


@pytest.mark.parametrize("make", [sparse.coo_matrix, sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_stored_entries_of_a_sparse_matrix_are_rows_zeros_too(make):
    rows, columns, values = [2, 0, 0], [1, 1, 0], [5.0, 0.0, 3.0]
    matrix = make((values, (rows, columns)), shape=(4, 3))
    assert holds_numbers(matrix)
    frame = frame_of_numbers(matrix, ["user", "item", "rating"])
    assert sorted(frame.itertuples(index=False, name=None)) == [(0, 0, 3.0), (0, 1, 0.0), (2, 1, 5.0)]


def test_an_entry_that_is_stored_twice_is_two_rows():
    matrix = sparse.coo_matrix(([1.0, 2.0, 4.0], ([0, 0, 1], [1, 1, 1])))
    assert frame_of_numbers(matrix, ["u", "i", "r"])["r"].tolist() == [1.0, 2.0, 4.0]
    rows = sparse.csr_matrix((np.array([1.0, 2, 4]), np.array([1, 1, 1]), np.array([0, 2, 3])), shape=(2, 2))
    assert frame_of_numbers(rows, ["u", "i", "r"])["r"].tolist() == [1.0, 2.0, 4.0]
    assert rows.nnz == 3  # which reading does not change


def test_an_array_is_not_copied_and_its_columns_are_named_in_order():
    array = np.arange(12.0).reshape(4, 3)
    frame = frame_of_numbers(array, ["u", "i", "r"])
    assert_frame_equal(frame, pd.DataFrame(array, columns=["u", "i", "r"]))
    assert np.shares_memory(frame["u"].to_numpy(), array)
    assert frame_of_numbers(array, ["u", "i"]).columns.tolist() == ["u", "i"]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((2, 4)), r"shape \(2, 4\)"),
        (np.zeros((2, 2)), r"shape \(2, 2\)"),
        (np.zeros((2, 3, 1)), r"shape \(2, 3, 1\)"),
        (np.array([["a", "b", "c"]]), "dtype <U1"),
        (np.zeros((2, 3), object), "dtype object"),
        (np.zeros((2, 3), bool), "dtype bool"),
        (np.zeros((2, 3), complex), "dtype complex128"),
        (np.zeros(2, [("u", int), ("i", int)]), "dtype"),
        (np.ma.masked_array(np.zeros((2, 3))), "a masked array"),
    ],
)
def test_an_array_of_another_shape_or_type_is_answered_with_what_is_wanted(array, words):
    with pytest.raises(TypeError, match=rf"{words}.*columns u, i, r.*pandas\.DataFrame\("):
        frame_of_numbers(array, ["u", "i", "r"])


def test_ids_alone_are_an_array_of_one_column():
    for array in (np.array([3, 5]), np.array([[3], [5]])):
        assert frame_of_numbers(array, ["i"])["i"].tolist() == [3, 5]
    for other in (np.zeros((2, 3)), sparse.csr_matrix((2, 2))):  # whose first column would be that of users
        with pytest.raises(TypeError, match=r"\(2, 3\)|where i is wanted"):
            frame_of_numbers(other, ["i"])
    with pytest.raises(TypeError, match=r"1 dimension\(s\) where u, i are wanted"):
        frame_of_numbers(sparse.coo_array(np.ones(3)), ["u", "i"])


def test_ids_that_float32_rounds_are_refused():
    array = np.array([[WHOLE_FLOAT32 + 2, 1, 1]], np.float32)
    with pytest.raises(ValueError, match="ids above 16777216, where float32 does not hold all whole numbers"):
        frame_of_numbers(array, ["u", "i", "r"])
    frame_of_numbers(array.astype(np.float64), ["u", "i", "r"])
    frame_of_numbers(np.array([[WHOLE_FLOAT32, 1, 1e9]], np.float32), ["u", "i", "r"])


# ---- out -------------------------------------------------------------------------------------------------


def test_rows_are_kept_and_columns_put_beside():
    mask = np.array([True, False, True])
    made = pd.DataFrame({"score": np.array([0.5, np.nan], np.float32)}, index=[0, 2])
    for frame in (TABLE, POLARS):
        assert pa.table(rows_of(frame, mask))["item"].to_pylist() == ["x", "z"]
        beside = pa.table(put_beside(frame, made, "score", drop=True))
        assert beside["item"].to_pylist() == ["x", "z"]
        assert beside["score"].type == pa.float32()
        assert beside["score"].null_count == 0  # NaN is no null, in Spark neither
        kept = keep_rows(frame, lambda rows, _: (rows["rating"] > 1).to_numpy(), ["rating"])
        assert type(kept) is type(frame)
        assert pa.table(kept)["item"].to_pylist() == ["y", "z"]


def test_pandas_is_given_back_as_it_is():
    frame = TABLE.to_pandas()
    assert give_back(frame, "pandas") is frame
    assert give_back(frame, "pyarrow").equals(TABLE.cast(give_back(frame, "pyarrow").schema))
    assert give_back(frame, "pyarrow").schema.metadata is None
