"""What a model returns: schemas, laziness, order, ties; pandas for pandas and dask for dask."""

import pickle
import subprocess
import sys
import uuid
from itertools import pairwise

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dask.dataframe.utils import assert_eq
from pandas.testing import assert_frame_equal, assert_series_equal

from daskals import ALS
from daskals.evaluation import RankingEvaluator

RATINGS = pd.DataFrame(
    {
        "user": [0, 0, 0, 1, 1, 2, 2, 2, 5, 5],
        "item": [10, 11, 12, 10, 12, 11, 12, 14, 10, 14],
        "rating": [4.0, 2.0, 5.0, 3.0, 4.0, 1.0, 5.0, 2.0, 3.0, 1.0],
    }
)
ESTIMATOR = {"rank": 3, "maxIter": 2, "seed": 1}

FACTORS = pd.ArrowDtype(pa.list_(pa.float32()))


def recommended(name, kind=None):
    return pd.ArrowDtype(pa.list_(pa.struct([(name, kind or pa.int64()), ("rating", pa.float32())])))


class CountedParts:
    """Partitions that count how often each is read."""

    def __init__(self, frame, *bounds):
        self.parts = [frame.iloc[start:stop] for start, stop in pairwise([0, *bounds, len(frame)])]
        self.log = []  # appending is safe from several threads

    def __dask_tokenize__(self):
        return uuid.uuid4().hex

    def read(self, number):
        self.log.append(number)
        return self.parts[number]

    @property
    def reads(self):
        return [self.log.count(number) for number in range(len(self.parts))]

    def frame(self):
        divisions = [*(part.index[0] for part in self.parts), self.parts[-1].index[-1]]
        meta = self.parts[0].iloc[:0]
        return dd.from_map(self.read, range(len(self.parts)), meta=meta, divisions=divisions)


def lazy(frame, npartitions=3):
    return dd.from_pandas(frame, npartitions=npartitions, sort=False)


@pytest.fixture(scope="module")
def model():
    return ALS(**ESTIMATOR).fit(RATINGS)


@pytest.fixture(scope="module")
def dask_model():
    return ALS(**ESTIMATOR).fit(lazy(RATINGS))


# ---- schemas ---------------------------------------------------------------------------------------------


def test_factors_are_ids_and_arrow_lists_of_float32(model, dask_model):
    for frame in (model.userFactors, dask_model.userFactors, dask_model.userFactors.compute()):
        assert frame.dtypes.to_dict() == {"id": np.dtype("int64"), "features": FACTORS}
    assert isinstance(model.userFactors, pd.DataFrame)
    assert model.userFactors["id"].tolist() == [0, 1, 2, 5]
    assert model.itemFactors["id"].tolist() == [10, 11, 12, 14]
    assert model.userFactors["features"].map(len).eq(model.rank).all()
    assert model.userFactors.index.tolist() == [0, 1, 2, 3]


def test_recommendations_are_ids_and_arrow_lists_of_structs(model, dask_model):
    for users in (model.recommendForAllUsers(2), dask_model.recommendForAllUsers(2)):
        assert users.dtypes.to_dict() == {"user": np.dtype("int64"), "recommendations": recommended("item")}
    for items in (model.recommendForAllItems(2), dask_model.recommendForAllItems(2)):
        assert items.dtypes.to_dict() == {"item": np.dtype("int64"), "recommendations": recommended("user")}
    found = model.recommendForAllUsers(2)
    assert isinstance(found, pd.DataFrame)
    assert found.index.tolist() == [0, 1, 2, 3]


def test_prediction_is_the_last_column_and_float32(model):
    for frame in (RATINGS, lazy(RATINGS)):
        out = model.transform(frame)
        assert list(out.columns) == ["user", "item", "rating", "prediction"]
        assert out["prediction"].dtype == np.float32


def test_the_field_of_a_score_is_called_rating_whatever_the_column_of_ratings():
    stars = RATINGS.rename(columns={"rating": "stars"})
    found = ALS(**ESTIMATOR, ratingCol="stars").fit(stars).recommendForAllUsers(1)
    assert found["recommendations"].dtype == recommended("item")


def test_custom_names_of_columns_go_through():
    names = {"user": "reader", "item": "book", "rating": "stars"}
    frame = RATINGS.rename(columns=names)
    als = ALS(**ESTIMATOR, userCol="reader", itemCol="book", ratingCol="stars").setPredictionCol("guess")
    expected = ALS(**ESTIMATOR).fit(RATINGS)
    for given in (frame, lazy(frame)):
        model = als.fit(given)
        out = model.transform(given)
        assert list(out.columns) == ["reader", "book", "stars", "guess"]
        if isinstance(out, dd.DataFrame):
            out = out.compute()
        np.testing.assert_allclose(out["guess"], expected.transform(RATINGS)["prediction"], rtol=1e-4)
        assert model.recommendForAllUsers(1).dtypes.to_dict()["recommendations"] == recommended("book")
        assert list(model.recommendForAllUsers(1).columns) == ["reader", "recommendations"]
        assert model.recommendForAllItems(1).dtypes.to_dict()["recommendations"] == recommended("reader")
        assert list(model.recommendForAllItems(1).columns) == ["book", "recommendations"]


def test_a_model_s_columns_can_be_renamed_after_the_fit(model):
    other = model.copy().setUserCol("who").setItemCol("what").setPredictionCol("score")
    out = other.transform(RATINGS.rename(columns={"user": "who", "item": "what"}))
    assert list(out.columns) == ["who", "what", "rating", "score"]
    assert other.recommendForAllUsers(1)["recommendations"].dtype == recommended("what")
    assert model.getUserCol() == "user"
    assert_series_equal(out["score"], model.transform(RATINGS)["prediction"], check_names=False)


# ---- the kind of frame -----------------------------------------------------------------------------------


def test_transform_returns_the_kind_it_is_given_whatever_the_model_was_trained_on(model, dask_model):
    for some in (model, dask_model):
        assert isinstance(some.transform(RATINGS), pd.DataFrame)
        assert isinstance(some.transform(lazy(RATINGS)), dd.DataFrame)
    expected = model.transform(RATINGS)
    np.testing.assert_allclose(dask_model.transform(RATINGS)["prediction"], expected["prediction"], rtol=1e-4)
    assert_frame_equal(model.transform(lazy(RATINGS)).compute(), expected)


def test_a_model_of_a_dask_frame_returns_dask_frames_whose_meta_is_the_truth(dask_model):
    for frame in (
        dask_model.userFactors,
        dask_model.itemFactors,
        dask_model.recommendForAllUsers(3),
        dask_model.recommendForAllItems(99),
    ):
        assert isinstance(frame, dd.DataFrame)
        assert_frame_equal(frame.compute().iloc[:0], frame._meta)
        assert_eq(frame.iloc[:, :1], frame.compute().iloc[:, :1], check_index=False)  # it cannot sort lists


def test_dask_and_pandas_give_the_same_frames(model, dask_model):
    for name in ("userFactors", "itemFactors"):
        found, expected = getattr(dask_model, name).compute(), getattr(model, name)
        assert found["id"].tolist() == expected["id"].tolist()
        np.testing.assert_allclose(np.stack(found["features"]), np.stack(expected["features"]), rtol=1e-4, atol=1e-6)
    found, expected = dask_model.recommendForAllUsers(3).compute(), model.recommendForAllUsers(3)
    assert found["user"].tolist() == expected["user"].tolist()
    for mine, its in zip(found["recommendations"], expected["recommendations"], strict=True):
        assert [each["item"] for each in mine] == [each["item"] for each in its]


@pytest.mark.parametrize("strategy", ["nan", "drop"])
def test_meta_of_a_lazy_transform_is_the_truth(model, strategy):
    frame = RATINGS.assign(
        note=pd.Series(list("abcdefghij"), dtype="string[pyarrow]"),
        kind=pd.Categorical(list("xyxyxyxyxy")),
        when=pd.date_range("2020", periods=10),
        count=pd.array([1, None] * 5, dtype="Int64"),
        wide=np.arange(10, dtype=np.int8),
    )
    out = model.transform(lazy(frame), {model.coldStartStrategy: strategy})
    assert_frame_equal(out.compute().iloc[:0], out._meta)
    assert_eq(out, out.compute())
    for part in out.to_delayed():
        assert part.compute().dtypes.equals(out.dtypes)


# ---- rows and their order --------------------------------------------------------------------------------

QUERIES = pd.DataFrame(
    {
        "x": [0.5, None, 2.5, 3.5, 4.5, 5.5],
        "item": [14, 10, 99, 12, 11, 14],
        "tag": list("qwerty"),
        "user": [5, 0, 0, 77, 2, 5],
    },
    index=pd.MultiIndex.from_product([["r", "s"], [3, 1, 2]], names=["letter", "number"]),
)


def test_rows_index_and_columns_stay_as_they_are_on_pandas(model):
    out = model.transform(QUERIES)
    assert_frame_equal(out.drop(columns="prediction"), QUERIES)
    assert out["prediction"].isna().tolist() == [False, False, True, True, False, False]


def test_rows_index_and_columns_stay_as_they_are_on_dask(model):
    """Also with an index that is neither sorted nor unique, and over empty partitions."""
    frame = QUERIES.set_axis([7, 3, 7, 1, 9, 0], axis=0)
    expected = model.transform(frame)
    parts = [frame.iloc[:0], frame.iloc[:2], frame.iloc[2:2], frame.iloc[2:5], frame.iloc[5:], frame.iloc[:0]]
    given = dd.from_map(lambda number: parts[number], range(len(parts)), meta=frame.iloc[:0])
    out = model.transform(given)
    assert out.npartitions == given.npartitions
    assert_frame_equal(out.compute(), expected.astype({"tag": given.dtypes["tag"]}))


def test_divisions_are_kept(model):
    given = CountedParts(RATINGS, 3, 5).frame()
    out = model.transform(given)
    assert out.divisions == given.divisions == (0, 3, 5, 9)
    assert_frame_equal(out.loc[4:6].compute(), model.transform(RATINGS).loc[4:6])
    assert model.transform(given.clear_divisions()).divisions == (None, None, None, None)


def test_divisions_of_a_transform_that_drops_hold_for_what_is_left(model):
    given = CountedParts(RATINGS.assign(user=[99, 99, 99, 1, 99, 2, 2, 2, 5, 99]), 3, 5).frame()
    out = model.transform(given, {model.coldStartStrategy: "drop"})
    assert_frame_equal(out.compute(), model.transform(given.compute()).dropna(subset=["prediction"]))
    assert_frame_equal(out.loc[3:5].compute(), out.compute().loc[3:5])


def test_transform_of_no_rows_has_no_rows(model):
    for frame in (RATINGS.iloc[:0], lazy(RATINGS.iloc[:0], 1)):
        for strategy in ("nan", "drop"):
            out = model.transform(frame, {model.coldStartStrategy: strategy})
            assert len(out) == 0
            assert list(out.columns) == ["user", "item", "rating", "prediction"]
            assert out["prediction"].dtype == np.float32


def test_other_columns_may_have_any_names(model):
    """Also such as are no strings, or are names of our parameters."""
    frame = RATINGS.assign(id=1, features=2, recommendations=3, score=4)
    frame[0] = 5
    frame[("a", 1)] = 6
    out = model.transform(frame)
    assert_frame_equal(out.drop(columns="prediction"), frame)


def test_columns_that_stand_twice_are_kept_where_they_are_none_of_ours(model):
    frame = pd.concat([RATINGS, pd.DataFrame({"x": range(10)}), pd.DataFrame({"x": range(10)})], axis=1)
    out = model.transform(frame)
    assert list(out.columns) == [*frame.columns, "prediction"]


# ---- lazy until computed ---------------------------------------------------------------------------------


def test_nothing_is_read_before_it_is_computed(model):
    parts = CountedParts(RATINGS, 3, 5)
    out = model.transform(parts.frame())
    wide = out[out["prediction"] > 0].assign(error=out["prediction"] - out["rating"])
    assert parts.reads == [0, 0, 0]
    wide.compute()
    assert parts.reads == [1, 1, 1]


def test_only_the_partitions_that_are_asked_for_are_read(model):
    parts = CountedParts(RATINGS, 3, 5)
    model.transform(parts.frame()).partitions[1].compute()
    assert parts.reads == [0, 1, 0]


def test_categories_are_taken_from_the_meta_where_it_knows_them(model):
    parts = CountedParts(RATINGS.astype({"user": "category"}), 3, 5)
    out = model.transform(parts.frame())
    assert parts.reads == [0, 0, 0]
    out.compute()
    assert parts.reads == [1, 1, 1]


@pytest.mark.parametrize("dtype", ["int64", "str", "category"])
@pytest.mark.parametrize("scheduler_name", ["synchronous", "threads"])
def test_a_fit_reads_its_input_once(dtype, scheduler_name):
    parts = CountedParts(RATINGS.astype({"user": dtype}), 3, 5)
    with dask.config.set(scheduler=scheduler_name):
        model = ALS(**ESTIMATOR).fit(parts.frame())
        assert parts.reads == [1, 1, 1]
        model.recommendForAllUsers(2).compute()
        model.userFactors.compute()
    assert parts.reads == [1, 1, 1]


def test_a_refused_frame_is_not_read():
    parts = CountedParts(RATINGS, 3, 5)
    with pytest.raises(ValueError, match="No column"):
        ALS(itemCol="thing").fit(parts.frame())
    with pytest.raises(ValueError, match="rank"):
        ALS(rank=0).fit(parts.frame())
    assert parts.reads == [0, 0, 0]


def test_a_lazy_transform_can_be_computed_twice_and_outlives_its_model():
    model = ALS(**ESTIMATOR).fit(lazy(RATINGS))
    out = model.transform(lazy(RATINGS))
    factors, recommendations = model.userFactors, model.recommendForAllItems(1)
    first = out.compute()
    del model
    assert_frame_equal(out.compute(), first)
    assert len(factors.compute()) == len(recommendations.compute()) == 4


def test_several_transforms_can_be_computed_together(model):
    outs = dask.compute(model.transform(lazy(RATINGS)), model.transform(lazy(RATINGS.iloc[::-1])))
    assert_frame_equal(outs[0], outs[1].sort_index())


# ---- parameters ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["drop", "Drop", "DROP", "dRoP"])
def test_cold_start_strategy_drop_in_any_case_of_letters(model, strategy):
    out = model.transform(QUERIES, {model.coldStartStrategy: strategy})
    assert_frame_equal(out, model.transform(QUERIES).dropna(subset=["prediction"]))
    assert len(out) == 4


@pytest.mark.parametrize("strategy", ["nan", "NaN", "NAN", "Nan"])
def test_cold_start_strategy_nan_in_any_case_of_letters(model, strategy):
    out = ALS(**ESTIMATOR, coldStartStrategy=strategy).fit(RATINGS).transform(QUERIES)
    assert out["prediction"].isna().sum() == 2
    assert_frame_equal(out, model.transform(QUERIES))


def test_parameters_of_a_fit_are_those_of_its_model():
    als = ALS(**ESTIMATOR, coldStartStrategy="drop", blockSize=7).setPredictionCol("score")
    out = als.fit(RATINGS).transform(QUERIES)
    assert list(out.columns) == [*QUERIES.columns, "score"]
    assert len(out) == 4


def test_overriding_parameters_in_transform_does_not_change_the_model(model):
    before = model.extractParamMap()
    out = model.transform(QUERIES, {model.coldStartStrategy: "drop", model.predictionCol: "score"})
    assert list(out.columns) == [*QUERIES.columns, "score"]
    assert model.extractParamMap() == before
    again = model.transform(QUERIES)
    assert list(again.columns) == [*QUERIES.columns, "prediction"]
    assert len(again) == 6


# ---- recommendations -------------------------------------------------------------------------------------


def brute_force(queries, candidates, k):
    """The best k candidates for each query row by all scores at once: largest first, of equal ones the larger id."""
    left, right = (np.stack(frame["features"]).astype(np.float64) for frame in (queries, candidates))
    scores = left @ right.T
    ids = candidates["id"].to_numpy()
    order = np.lexsort((-np.broadcast_to(ids, scores.shape), -scores), axis=1)[:, :k]
    return ids[order], np.take_along_axis(scores, order, 1)


def unzipped(frame, name):
    lists = frame["recommendations"]
    return [[each[name] for each in row] for row in lists], [[each["rating"] for each in row] for row in lists]


MANY = pd.DataFrame(
    {
        "user": np.random.default_rng(0).integers(0, 60, 900) * 3,
        "item": np.random.default_rng(1).integers(0, 40, 900) - 20,
        "rating": np.random.default_rng(2).normal(3, 1, 900),
    }
)


@pytest.fixture(scope="module")
def large():
    return ALS(rank=4, maxIter=2).fit(MANY)


@pytest.mark.parametrize("k", [1, 2, 7, 39, 40, 1000])
@pytest.mark.parametrize("block_size", [1, 3, 4096])
def test_recommendations_are_those_of_brute_force_for_any_number_and_block_size(large, block_size, k):
    model = large.copy().setBlockSize(block_size)
    for found, name, queries, candidates in (
        (model.recommendForAllUsers(k), "item", model.userFactors, model.itemFactors),
        (model.recommendForAllItems(k), "user", model.itemFactors, model.userFactors),
    ):
        ids, scores = brute_force(queries, candidates, k)
        assert found.iloc[:, 0].tolist() == queries["id"].tolist()
        found_ids, found_scores = unzipped(found, name)
        np.testing.assert_array_equal(found_ids, ids)
        np.testing.assert_allclose(found_scores, scores, rtol=1e-5, atol=1e-5)


def test_recommended_ratings_are_predictions(large):
    found = large.recommendForAllUsers(3)
    items, ratings = unzipped(found, "item")
    pairs = pd.DataFrame({"user": np.repeat(found["user"].to_numpy(), 3), "item": np.concatenate(items)})
    np.testing.assert_allclose(large.transform(pairs)["prediction"], np.concatenate(ratings), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block_size", [1, 2, 3, 4096])
@pytest.mark.parametrize("ids", ["int", "negative", "str"])
def test_of_equal_scores_the_larger_id_comes_first_and_stays(block_size, ids):
    """Items whose ratings are all 0 have factors 0, whatever the user: only the order of ids is left."""
    names = {
        "int": [2, 3, 5, 9, 100],
        "negative": [-9, -2, 3, 4, 5],
        "str": ["2", "30", "5", "a", "b"],
    }[ids]
    shuffled = [3, 0, 4, 2, 1]
    frame = pd.DataFrame([(user, names[at], 0.0) for user in range(4) for at in shuffled], columns=[*RATINGS])
    frame = frame.assign(item=frame["item"].astype("str") if ids == "str" else frame["item"])
    model = ALS(rank=2, maxIter=1, blockSize=block_size).fit(frame)
    for k in (1, 3, 5):
        items, ratings = unzipped(model.recommendForAllUsers(k), "item")
        assert items == [names[::-1][:k]] * 4
        assert ratings == [[0.0] * k] * 4
        users, _ = unzipped(model.recommendForAllItems(k), "user")
        assert users == [[3, 2, 1, 0][:k]] * 5


@pytest.mark.parametrize("block_size", [1, 3, 4096])
def test_of_equal_scores_among_others_the_larger_id_comes_first(block_size):
    """Twins, rated alike by everyone, have the same factors: four pairs of equal scores."""
    rng = np.random.default_rng(5)
    half = pd.DataFrame({"user": np.repeat(range(6), 4), "item": np.tile(range(4), 6), "rating": rng.normal(3, 1, 24)})
    frame = pd.concat([half, half.assign(item=half["item"] + 100)], ignore_index=True)
    model = ALS(rank=2, maxIter=3, numItemBlocks=1, blockSize=block_size).fit(frame)
    factors = np.stack(model.itemFactors["features"])
    np.testing.assert_array_equal(factors[:4], factors[4:])
    for k in (1, 3, 8):
        items, _ = unzipped(model.recommendForAllUsers(k), "item")
        for row in items:
            for place, item in enumerate(row):
                assert item >= 100 or row[place - 1] == item + 100


def test_number_of_recommendations_may_be_a_numpy_integer(model):
    assert_frame_equal(model.recommendForAllUsers(np.int8(2)), model.recommendForAllUsers(2))


def test_recommendations_of_dask_are_lazy_and_a_partition_can_be_computed_alone(dask_model):
    found = dask_model.recommendForAllUsers(2)
    parts = [found.partitions[number].compute() for number in range(found.npartitions)]
    assert pd.concat(parts)["user"].tolist() == [0, 1, 2, 5]


# ---- history ---------------------------------------------------------------------------------------------


def test_history_has_a_row_for_each_iteration_and_is_a_copy(model):
    history = model.history
    assert history.columns.tolist() == ["iteration", "objective", "rmse", "seconds"]
    assert history["iteration"].tolist() == [1, 2]
    history["rmse"] = 0.0
    assert model.history["rmse"].gt(0).all()


def test_no_iterations_leave_the_start_values_and_no_history():
    model = ALS(rank=3, maxIter=0).fit(RATINGS)
    assert len(model.history) == 0
    assert np.isfinite(model.transform(RATINGS)["prediction"]).all()


# ---- files of what is returned ---------------------------------------------------------------------------

#: what the lists of a frame are read as, and by whom
READERS = {
    "pandas": lambda path: pd.read_parquet(path),
    "pandas, Arrow dtypes": lambda path: pd.read_parquet(path, dtype_backend="pyarrow"),
    "dask": lambda path: dd.read_parquet(path).compute(),
    "dask, Arrow dtypes": lambda path: dd.read_parquet(path, dtype_backend="pyarrow").compute(),
    "Arrow": lambda path: pq.read_table(path).to_pandas(ignore_metadata=True),
    "polars": lambda path: pytest.importorskip("polars").read_parquet(f"{path}/*.parquet").to_pandas(),
    "duckdb": lambda path: pytest.importorskip("duckdb").sql(f"select * from '{path}/*.parquet'").df(),
}


def lists_of(frame):
    """Ids of the rows, ascending, with plain Python lists."""
    column = frame.columns[1]
    frame = frame.sort_values(frame.columns[0])
    rows = [each.tolist() if isinstance(each, np.ndarray) else list(each) for each in frame[column]]
    return frame.iloc[:, 0].tolist(), rows


def written(frame, folder):
    """A folder of Parquet files of a frame of either kind."""
    if isinstance(frame, dd.DataFrame):
        frame.to_parquet(folder, write_index=False)
    else:
        folder.mkdir()
        frame.to_parquet(folder / "all.parquet")
    return folder


@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")  # of pandas 3.1, about Dask
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("make", [lambda frame: frame, lazy], ids=["pandas", "dask"])
def test_what_to_parquet_writes_is_read_by_everyone_without_a_keyword(make, reader, tmp_path):
    model = ALS(**ESTIMATOR, numUserBlocks=3).fit(make(RATINGS.assign(item=RATINGS["item"].astype(str))))
    for name, found in (("recommended", model.recommendForAllUsers(2)), ("factors", model.userFactors)):
        again = READERS[reader](written(found, tmp_path / name))
        assert lists_of(again) == lists_of(found.compute() if isinstance(found, dd.DataFrame) else found)


def test_files_are_read_where_daskals_is_not(tmp_path):
    model = ALS(**ESTIMATOR).fit(RATINGS)
    model.recommendForAllUsers(2).explode("recommendations").to_parquet(tmp_path / "exploded.parquet")
    model.userFactors.to_parquet(tmp_path / "factors.parquet")
    script = f"""
import sys, pandas as pd, dask.dataframe as dd
for name in ("exploded", "factors"):
    path = r"{tmp_path}/" + name + ".parquet"
    assert len(pd.read_parquet(path)) == len(dd.read_parquet(path)) > 0
assert "daskals" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, cwd=tmp_path)


def test_a_file_for_each_block_has_lists_of_structs(tmp_path):
    """Written where the block is made; the type in the file is Arrow's."""
    found = ALS(**ESTIMATOR, numUserBlocks=3).fit(lazy(RATINGS)).recommendForAllUsers(2)
    files = sorted(written(found, tmp_path / "recommendations").glob("*.parquet"))
    assert len(files) == found.npartitions == 3
    field = pq.read_schema(files[0]).field("recommendations")
    assert field.type.value_type == pa.struct([("item", pa.int64()), ("rating", pa.float32())])


def test_what_pandas_does_with_lists_it_does_with_ours(model):
    """And the result can be written as well: the dtype goes along."""
    found = model.recommendForAllUsers(2)
    plain = found.astype({"recommendations": recommended("item")})
    theirs = pd.arrays.ArrowExtensionArray(pa.array(found["recommendations"]))
    plain["recommendations"] = pd.Series(theirs, index=plain.index)
    assert type(plain["recommendations"].dtype) is pd.ArrowDtype
    assert_frame_equal(found, plain)
    assert_frame_equal(plain, found)
    for operation in (
        lambda frame: frame[frame["user"] > 1],
        lambda frame: frame.iloc[[2, 0]],
        lambda frame: frame.explode("recommendations"),
        lambda frame: frame.explode("recommendations")["recommendations"].struct.explode(),
        lambda frame: frame["recommendations"].list.len().to_frame(),
        lambda frame: frame.reindex([0, 9]),
        lambda frame: frame.merge(frame.assign(one=1), on="user"),
        lambda frame: pd.concat([frame, frame.iloc[:1]]),
        lambda frame: pd.json_normalize(frame.explode("recommendations")["recommendations"]),
        lambda frame: pickle.loads(pickle.dumps(frame)),
    ):
        mine, its = operation(found), operation(plain)
        assert_frame_equal(mine, its)
        assert not [each for each in mine.dtypes if str(each).startswith(("list<", "struct<"))]
    flat = [frame["recommendations"].list.flatten() for frame in (found, plain)]  # of pandas' own dtype
    assert_series_equal(*flat)
    assert hash(found.dtypes["recommendations"]) == hash(plain.dtypes["recommendations"])
    assert found.dtypes["recommendations"] == plain.dtypes["recommendations"]
    assert found.dtypes["recommendations"] != FACTORS
    assert found.dtypes["recommendations"] != "object"
    assert repr(found.dtypes["recommendations"]) == repr(plain.dtypes["recommendations"])


def test_recommendations_read_back_are_evaluated_as_before(tmp_path):
    found = ALS(**ESTIMATOR).fit(RATINGS).recommendForAllUsers(3)
    path = written(found, tmp_path / "recommendations")
    evaluator, expected = RankingEvaluator(metricName="precisionAtK", k=2), RATINGS.query("rating > 2")
    nothing = expected.iloc[:0]
    score = evaluator.evaluate(found, heldOut=expected, exclude=nothing)
    assert 0 < score < 1
    assert evaluator.evaluate(pd.read_parquet(path), heldOut=expected, exclude=nothing) == score
    assert evaluator.evaluate(dd.read_parquet(path), heldOut=expected, exclude=nothing) == score
    assert evaluator.evaluate(dd.from_pandas(found, npartitions=2), heldOut=lazy(expected), exclude=nothing) == score
