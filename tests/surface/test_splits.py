"""Splits of ratings, at random and by time, against plain loops."""

from itertools import pairwise

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from daskals.datasets import leaveLastOut, load_movielens, randomSplit

FRAME = pd.DataFrame(
    {
        "user": [1, 2, 1, 3, 2, 1, 1, 3],
        "item": list("abcdefgh"),
        "timestamp": [5, 9, 7, 1, 9, 7, 2, 0],
    },
    index=[10, 20, 30, 40, 50, 60, 70, 80],
)


def in_kind(frame, kind):
    """The same rows in a frame of another kind; a dask frame has an empty partition too."""
    if kind == "dask":
        ends = [0, len(frame) // 3, len(frame) // 3, 2 * len(frame) // 3, len(frame)]
        parts = [frame.iloc[start:stop] for start, stop in pairwise(ends)]
        return dd.from_map(lambda number: parts[number], range(len(parts)), meta=frame.iloc[:0])
    if kind == "polars":
        return pl.from_pandas(frame)
    if kind in ("pyarrow", "stream"):
        table = pa.Table.from_pandas(frame, preserve_index=False)
        return table if kind == "pyarrow" else table.to_reader(3)
    return frame


def in_pandas(frame):
    if isinstance(frame, dd.DataFrame):
        return frame.compute()
    return frame if isinstance(frame, pd.DataFrame) else pa.table(frame).to_pandas()


KIND_OF = {
    "pandas": pd.DataFrame,
    "dask": dd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.Table,
    "stream": pa.Table,
}
kinds = pytest.mark.parametrize("kind", KIND_OF)


def last_by_loop(frame, n):
    """Places of the rows for testing: the user's n last ones in a stable sort by time, if there are more than n."""
    of_user = {}
    for place, (user, time) in enumerate(zip(frame["user"], frame["timestamp"], strict=True)):
        of_user.setdefault(user, []).append((time, place))
    return {place for rows in of_user.values() if len(rows) > n for _, place in sorted(rows)[-n:]}


def numbered(frame):
    return frame.assign(place=np.arange(len(frame)))


# ---- leaveLastOut ----------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_latest_rows_of_each_user_are_for_testing(kind, n):
    train, test = leaveLastOut(in_kind(numbered(FRAME), kind), n=n)
    assert isinstance(train, KIND_OF[kind])
    assert isinstance(test, KIND_OF[kind])
    expected = last_by_loop(FRAME, n)
    assert in_pandas(test)["place"].tolist() == sorted(expected)
    assert in_pandas(train)["place"].tolist() == sorted(set(range(len(FRAME))) - expected)


def test_of_equal_times_the_later_row_is_the_later_one():
    """Users 1 and 2 have two rows at the same, latest, time."""
    _, test = leaveLastOut(FRAME)
    assert test["item"].tolist() == ["d", "e", "f"]
    assert_frame_equal(test, FRAME.loc[[40, 50, 60]])


def test_users_without_more_rows_than_are_asked_for_stay_in_train():
    train, test = leaveLastOut(FRAME, n=2)
    assert set(test["user"]) == {1}
    assert train["user"].tolist() == [1, 2, 3, 2, 1, 3]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=30),
    st.integers(1, 4),
    st.lists(st.integers(0, 30), max_size=4),
    st.sampled_from([np.int64, str, np.uint64]),
)
def test_a_users_rows_may_be_in_many_partitions(rows, n, cuts, ids):
    frame = numbered(pd.DataFrame(rows, columns=["user", "timestamp"], dtype=np.int64)).astype({"user": ids})
    ends = [0, *sorted(min(cut, len(frame)) for cut in cuts), len(frame)]
    parts = [frame.iloc[start:stop] for start, stop in pairwise(ends)]
    with dask.config.set({"scheduler": "synchronous", "dataframe.convert-string": False}):
        lazy = dd.from_map(lambda number: parts[number], range(len(parts)), meta=frame.iloc[:0])
        expected = last_by_loop(frame, n)
        for whole in (frame, lazy):
            train, test = (in_pandas(each) for each in leaveLastOut(whole, n=n))
            assert test["place"].tolist() == sorted(expected)
            assert train["place"].tolist() == sorted(set(range(len(frame))) - expected)


@pytest.mark.parametrize(
    "times",
    [
        pd.to_datetime(FRAME["timestamp"], unit="s"),
        pd.to_datetime(FRAME["timestamp"], unit="D", utc=True),
        FRAME["timestamp"].astype("timestamp[us][pyarrow]"),
        pd.to_datetime(FRAME["timestamp"], unit="D").astype("date32[pyarrow]"),
        FRAME["timestamp"].astype("Int64"),
        FRAME["timestamp"].astype("uint64[pyarrow]"),
        FRAME["timestamp"].astype(float) + 0.5,
        FRAME["timestamp"] + 2**62,
    ],
    ids=[
        "dates",
        "with a time zone",
        "Arrow's",
        "Arrow days",
        "nullable",
        "Arrow integers",
        "floats",
        "large integers",
    ],
)
def test_times_are_numbers_or_dates_of_any_kind(times):
    frame, expected = numbered(FRAME).assign(timestamp=times.array), sorted(last_by_loop(FRAME, 1))
    for kind in ("pandas", "dask"):
        assert in_pandas(leaveLastOut(in_kind(frame, kind))[1])["place"].tolist() == expected


@pytest.mark.parametrize("dtype", [pl.Date, pl.Datetime("us"), pl.Datetime("ns", "UTC"), pl.Float32, pl.UInt8])
def test_times_of_polars(dtype):
    frame = pl.from_pandas(numbered(FRAME)).with_columns(pl.col("timestamp").cast(pl.Int64))
    frame = frame.with_columns(pl.col("timestamp").cast(pl.Int32 if dtype == pl.Date else pl.Int64).cast(dtype))
    assert leaveLastOut(frame)[1]["place"].to_list() == sorted(last_by_loop(FRAME, 1))


def test_other_columns_stay_as_they_are():
    frame = pl.from_pandas(FRAME).with_columns(
        pl.struct(a=pl.col("item")).alias("struct"), pl.col("item").cast(pl.Categorical).alias("category")
    )
    train, test = leaveLastOut(frame)
    assert train.schema == test.schema == frame.schema
    assert pl.concat([train, test]).sort("item").equals(frame.sort("item"))


def test_a_dask_frame_is_split_lazily_with_its_divisions():
    """Nothing is read before either side is computed; every side can be computed on its own."""
    reads = []

    def part(number):
        reads.append(number)
        return FRAME.iloc[4 * number : 4 * number + 4]

    frame = dd.from_map(part, [0, 1], meta=FRAME.iloc[:0], divisions=(10, 50, 80))
    train, test = leaveLastOut(frame)
    assert not reads
    assert train.divisions == test.divisions == (10, 50, 80)
    assert test.compute(scheduler="synchronous").index.tolist() == [40, 50, 60]
    assert test.partitions[1].compute(scheduler="synchronous").index.tolist() == [50, 60]
    assert len(dask.compute(train, test, scheduler="synchronous")[0]) == 5


def test_leave_last_out_on_each_scheduler(scheduler):
    frame = in_kind(numbered(FRAME), "dask")
    assert leaveLastOut(frame)[1].compute()["place"].tolist() == sorted(last_by_loop(FRAME, 1))


@kinds
def test_an_empty_frame_is_split_into_empty_ones(kind):
    for part in (*leaveLastOut(in_kind(FRAME.iloc[:0], kind)), *randomSplit(in_kind(FRAME.iloc[:0], kind), [1, 1])):
        assert list(in_pandas(part).columns) == list(FRAME.columns)
        assert not len(in_pandas(part))


@kinds
@pytest.mark.parametrize("column", ["user", "timestamp"])
def test_a_null_is_named_with_its_row(kind, column):
    frame = FRAME.astype({column: "Int64"})
    frame.loc[20, column] = None
    row = "row 20" if kind in ("pandas", "dask") else "row 1"
    with pytest.raises(ValueError, match=rf"Column '{column}' is null in {row} \(1 such\).*Drop those rows"):
        in_pandas(leaveLastOut(in_kind(frame, kind))[1])


def test_a_nan_inside_an_arrow_column_is_null_as_well():
    values = pa.array([1.0, float("nan"), 1, 1, 1, 1, 1, 1], from_pandas=False)
    with pytest.raises(ValueError, match="'timestamp' is null in row 20"):
        leaveLastOut(FRAME.assign(timestamp=pd.arrays.ArrowExtensionArray(values)))


@kinds
def test_a_missing_column_is_named_with_those_there_are(kind):
    with pytest.raises(ValueError, match=r"no columns 'when' \(timeCol\).*'user', 'item', 'timestamp'"):
        leaveLastOut(in_kind(FRAME, kind), timeCol="when")
    with pytest.raises(ValueError, match=r"no columns 'reader' \(userCol\)"):
        leaveLastOut(in_kind(FRAME, kind), userCol="reader")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"n": 0}, ValueError, "n=0 is not allowed: it must be an integer >= 1"),
        ({"n": 1.5}, TypeError, "n=1.5 is not allowed"),
        ({"n": True}, TypeError, "n=True is not allowed"),
        ({"timeCol": "item"}, TypeError, "'item' is of type .* times must be numbers or dates"),
        ({"timeCol": "user"}, ValueError, "different columns"),
        ({"frame": FRAME.to_numpy()}, TypeError, "frame must be a pandas or a dask DataFrame"),
        ({"frame": pl.from_pandas(FRAME).lazy()}, TypeError, r"LazyFrame.*\.collect\(\)"),
        ({"frame": FRAME.assign(timestamp=True)}, TypeError, "'timestamp' is of type bool"),
        ({"frame": FRAME.assign(user=True)}, TypeError, "'user'.*cannot hold ids"),
    ],
)
def test_what_cannot_be_split_by_time_is_answered(change, error, words):
    with pytest.raises(error, match=words):
        leaveLastOut(**{"frame": FRAME, **change})


# ---- randomSplit -----------------------------------------------------------------------------------------


@kinds
def test_every_row_is_in_exactly_one_part_in_order(kind):
    frame = numbered(pd.DataFrame({"user": np.arange(300)}))
    parts = randomSplit(in_kind(frame, kind), [2.0, 1, 1], seed=3)
    assert len(parts) == 3
    assert all(isinstance(part, KIND_OF[kind]) for part in parts)
    places = [in_pandas(part)["place"].tolist() for part in parts]
    assert all(each == sorted(each) for each in places)
    assert sorted(place for part in places for place in part) == list(range(300))


def test_frames_of_one_partition_are_split_alike_whatever_their_kind():
    frame = numbered(FRAME.reset_index(drop=True))
    one = dd.from_map(lambda _: frame, [0], meta=frame.iloc[:0])
    expected = [part["place"].tolist() for part in randomSplit(frame, [3, 1], 5)]
    for each in (one, in_kind(frame, "polars"), in_kind(frame, "pyarrow"), in_kind(frame, "stream")):
        assert [in_pandas(part)["place"].tolist() for part in randomSplit(each, [3, 1], 5)] == expected


@settings(max_examples=15)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5), st.integers(-(2**63), 2**63 - 1))
def test_parts_have_about_their_share_of_the_rows(weights, seed):
    """Five standard deviations of a binomial number."""
    rows = 20_000
    sizes = [len(part) for part in randomSplit(pd.DataFrame(index=range(rows)), weights, seed)]
    assert sum(sizes) == rows
    for size, weight in zip(sizes, weights, strict=True):
        share = weight / sum(weights)
        assert abs(size - rows * share) <= 5 * np.sqrt(rows * share * (1 - share)) + 1


@pytest.mark.parametrize("weights", [[1e308, 1e308], [5e-324, 5e-324], [np.float32(0.5), np.int8(1)], (1,)])
def test_weights_of_any_size_are_normalised(weights):
    sizes = [len(part) for part in randomSplit(pd.DataFrame(index=range(1000)), weights)]
    assert sum(sizes) == 1000
    assert min(sizes) > 250


def test_the_seed_decides_and_a_recomputed_partition_has_the_same_rows():
    frame = in_kind(numbered(pd.DataFrame({"user": np.arange(90)})), "dask")
    (one, _), (same, _), (other, _) = (randomSplit(frame, [1, 1], seed) for seed in (1, 1, 2))
    assert_frame_equal(one.compute(), same.compute())
    assert_frame_equal(one.partitions[3].compute(), one.compute()[lambda rows: rows["place"] >= 60])
    assert one.compute()["place"].tolist() != other.compute()["place"].tolist()


@pytest.mark.parametrize(
    ("weights", "error", "words"),
    [
        ([], ValueError, "weights is empty"),
        ([1, 0], ValueError, r"weights\[1\]=0 is not allowed: it must be positive"),
        ([-1.0, 2], ValueError, r"weights\[0\]=-1.0"),
        ([float("nan")], ValueError, r"weights\[0\]=nan"),
        ([1, float("inf")], ValueError, r"weights\[1\]=inf"),
        ([1, "2"], TypeError, r"weights\[1\]='2' is not allowed: it must be a number"),
        ([True], TypeError, r"weights\[0\]=True"),
        (0.8, TypeError, "must be a list of numbers"),
        ("12", TypeError, "must be a list of numbers"),
    ],
)
def test_weights_that_are_none_are_answered(weights, error, words):
    with pytest.raises(error, match=words):
        randomSplit(FRAME, weights)


@pytest.mark.parametrize("seed", [1.5, "1", None, True])
def test_a_seed_that_is_no_integer_is_answered(seed):
    with pytest.raises(TypeError, match=r"seed=.* must be an integer"):
        randomSplit(FRAME, [1], seed)


# ---- real data -------------------------------------------------------------------------------------------


def test_movielens_by_time(data):
    """943 users with 20 ratings or more, many of which have one time; pandas, Dask and Polars agree with a loop."""
    frame = numbered(load_movielens("ml-100k", data / "ml-100k"))
    expected = sorted(last_by_loop(frame, 5))
    assert len(expected) == 943 * 5
    for whole in (frame, dd.from_pandas(frame, npartitions=7), pl.from_pandas(frame)):
        train, test = (in_pandas(each) for each in leaveLastOut(whole, n=5))
        assert test["place"].tolist() == expected
        assert len(train) == len(frame) - len(test)
        newest, oldest = train.groupby("user")["timestamp"].max(), test.groupby("user")["timestamp"].min()
        assert (newest <= oldest).all()
