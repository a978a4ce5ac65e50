"""Fits, predictions and recommendations from frames of other libraries are those from the pandas frame, to the bit."""

import decimal
import warnings

import dask.dataframe as dd
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal
from scipy import sparse

from daskals import ALS, ALSModel
from daskals.evaluation import RankingEvaluator, RegressionEvaluator
from daskals.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit

RATINGS = pd.DataFrame(
    {
        "note": list("pqrstuvw"),
        "user": [1, 1, 2, 2, 3, 3, 7, 7],
        "item": [5, 6, 6, 7, 6, 7, 5, 7],
        "rating": [4.0, 2.0, 3.0, 4.0, 1.0, 5.0, 2.5, 3.5],
        "when": pd.date_range("2020", periods=8),
    }
)
PAIRS = pd.DataFrame({"item": [5, 7, 6, 99], "user": [3, 1, 8, 2], "tag": list("abcd")})


class Stream:
    """Some library's frame, of which nothing is known but that it offers an Arrow stream."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def table_of(frame):
    return pa.Table.from_pandas(frame, preserve_index=False)


def relation_of(frame):
    return duckdb.connect().from_arrow(table_of(frame))


MAKE = {
    "polars": pl.from_pandas,
    "pyarrow": table_of,
    "batch": lambda frame: pa.RecordBatch.from_pandas(frame, preserve_index=False),
    "reader": lambda frame: table_of(frame).to_reader(3),
    "chunked": lambda frame: pa.concat_tables([table_of(frame[:3]), table_of(frame[3:3]), table_of(frame[3:])]),
    "chunked polars": lambda frame: pl.concat([pl.from_pandas(frame[:3]), pl.from_pandas(frame[3:])], rechunk=False),
    "duckdb": relation_of,
    "stream": lambda frame: Stream(table_of(frame)),
}
kinds = pytest.mark.parametrize("kind", MAKE)


def returned(kind):
    """The class of frames that come back."""
    return pl.DataFrame if "polars" in kind else pa.Table


def small(**more):
    return ALS(**{"rank": 3, "maxIter": 2, "seed": 5, **more})


def plain(frame):
    """Columns of a frame of any kind as lists; what stands in lists and structs as well."""
    if isinstance(frame, dd.DataFrame):
        frame = frame.compute()
    table = table_of(frame) if isinstance(frame, pd.DataFrame) else pa.table(frame)
    return {name: table.column(name).to_pylist() for name in table.column_names}


def factors(model):
    """Ids and factors, the latter as their bits."""
    sides = [plain(side) for side in (model.userFactors, model.itemFactors)]
    return [(side["id"], np.array(side["features"], np.float32).tobytes()) for side in sides]


@pytest.fixture(scope="module")
def model():
    return small().fit(RATINGS)


# ---- fit, transform, recommend ---------------------------------------------------------------------------


@kinds
def test_a_fit_has_the_factors_of_the_pandas_frame_to_the_bit(kind, model):
    found = small().fit(MAKE[kind](RATINGS))
    assert factors(found) == factors(model)
    for frame in (found.userFactors, found.itemFactors, found.recommendForAllUsers(2), found.recommendForAllItems(2)):
        assert type(frame) is returned(kind)
    assert plain(found.recommendForAllUsers(2)) == plain(model.recommendForAllUsers(2))


@kinds
@pytest.mark.parametrize("drop", [False, True])
def test_predictions_stand_beside_all_columns_of_what_was_given(kind, drop, model):
    change = {model.coldStartStrategy: "drop" if drop else "nan"}
    found = model.transform(MAKE[kind](PAIRS), change)
    expected = model.transform(PAIRS, change)
    assert type(found) is returned(kind)
    assert len(found) == (2 if drop else 4)
    assert plain(found.drop(["prediction"])) == plain(expected.drop(columns="prediction"))
    np.testing.assert_equal(np.asarray(found["prediction"]), expected["prediction"].to_numpy())
    assert pa.table(found).schema.field("prediction").type == pa.float32()


@kinds
def test_subsets_are_of_the_kind_that_was_given(kind, model):
    for name in ("recommendForUserSubset", "recommendForItemSubset"):
        found, expected = (getattr(model, name)(frame, 2) for frame in (MAKE[kind](PAIRS), PAIRS))
        assert type(found) is returned(kind)
        assert plain(found) == plain(expected)


def test_on_each_scheduler(scheduler, model):
    frame = MAKE["polars"](RATINGS)
    found = small().fit(frame)
    assert factors(found) == factors(model)
    assert plain(found.transform(frame)) == plain(model.transform(RATINGS))


def test_columns_of_polars_types_stay_as_they_are(model):
    frame = MAKE["polars"](PAIRS).with_columns(
        pl.struct("tag").alias("struct"),
        pl.col("tag").cast(pl.Enum(list("abcd"))).alias("enum"),
        pl.Series("object", [object() for _ in range(4)], pl.Object),
        pl.lit(decimal.Decimal("1.50")).alias("decimal"),
    )
    found = model.transform(frame)
    assert list(found.schema.items()) == [*frame.schema.items(), ("prediction", pl.Float32())]
    assert found.drop("prediction", "object").equals(frame.drop("object"))


@pytest.mark.parametrize("target", ["fit", "transform"])
def test_what_is_given_is_not_changed(target, model):
    for make in (MAKE["polars"], MAKE["pyarrow"]):
        frame = make(RATINGS)
        getattr(small() if target == "fit" else model, target)(frame)
        assert frame.equals(make(RATINGS))


@pytest.mark.parametrize(
    ("ids", "back"),
    [
        (pl.Int8, pl.Int8),
        (pl.Int16, pl.Int16),
        (pl.UInt32, pl.UInt32),
        (pl.UInt64, pl.UInt64),
        (pl.Float32, pl.Int64),
        (pl.Decimal(10, 0), pl.Int64),
        (pl.String, pl.String),
        (pl.Categorical, pl.String),
        (pl.Enum([str(number) for number in range(9)]), pl.String),
        (pl.Datetime("us"), pl.Datetime("us")),
        (pl.Date, pl.Datetime("ms")),
    ],
    ids=str,
)
def test_ids_come_back_in_their_type_also_from_a_file(ids, back, tmp_path):
    through = pl.String if ids == pl.Categorical or isinstance(ids, pl.Enum) else ids
    frame = MAKE["polars"](RATINGS).with_columns(pl.col("user").cast(pl.Int32 if ids == pl.Date else pl.Int64))
    frame = frame.with_columns(pl.col("user").cast(through).cast(ids))
    found = small().fit(frame)
    assert found.userFactors.schema["id"] == back
    assert found.recommendForAllItems(1).schema["recommendations"].inner.fields[0].dtype == back
    assert found.transform(frame).schema["user"] == ids
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Spark cannot load strings and dates
        found.save(str(tmp_path / "model"))
    loaded = ALSModel.load(str(tmp_path / "model"), frames="polars")
    assert loaded.userFactors.equals(found.userFactors)


@pytest.mark.parametrize("ratings", [pl.Int16, pl.UInt8, pl.Float32, pl.Decimal(6, 2), pl.Int64], ids=str)
def test_ratings_of_any_type_of_numbers(ratings):
    frame = RATINGS.assign(rating=RATINGS["rating"].round())
    found = small().fit(MAKE["polars"](frame).with_columns(pl.col("rating").cast(ratings)))
    assert factors(found) == factors(small().fit(frame))


# ---- arrays and sparse matrices --------------------------------------------------------------------------


@pytest.mark.parametrize("make", [sparse.coo_matrix, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
def test_a_sparse_matrix_is_fitted_as_its_entries_are(make, model):
    matrix = make((RATINGS["rating"], (RATINGS["user"], RATINGS["item"])))
    found = small().fit(matrix)
    assert factors(found) == factors(model)
    assert isinstance(found.userFactors, pd.DataFrame)


def test_duplicates_in_a_coo_matrix_and_stored_zeros_are_ratings():
    twice = pd.concat([RATINGS, RATINGS[:2].assign(rating=0.0)])
    matrix = sparse.coo_matrix((twice["rating"], (twice["user"], twice["item"])))
    assert factors(small().fit(matrix)) == factors(small().fit(twice)) != factors(small().fit(RATINGS))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_an_array_has_columns_of_users_items_and_ratings(dtype):
    frame = RATINGS.assign(rating=RATINGS["rating"].round())[["user", "item", "rating"]]
    assert factors(small().fit(frame.to_numpy(dtype))) == factors(small().fit(frame))


@pytest.mark.parametrize("columns", [["user", "item"], ["user", "item", "rating"]])
def test_predictions_of_an_array_are_an_array(columns, model):
    found = model.transform(RATINGS[columns].to_numpy())
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    assert found.tolist() == model.transform(RATINGS)["prediction"].tolist()
    assert np.isnan(model.transform(np.array([[1, 99]])))


def test_arrays_and_matrices_that_cannot_be_taken_are_answered(model):
    array = RATINGS[["user", "item"]].to_numpy()
    with pytest.raises(ValueError, match="'drop' leaves out rows, and an array of predictions cannot say which"):
        model.transform(array, {model.coldStartStrategy: "drop"})
    with pytest.raises(TypeError, match=r"csr_matrix is read by fit.*numpy\.column_stack"):
        model.transform(sparse.csr_matrix((3, 3)))
    with pytest.raises(ValueError, match=r"'user' is 1.5 in row 0.*whole numbers"):
        small().fit(np.array([[1.5, 1, 1]]))
    with pytest.raises(ValueError, match="'rating' is null or NaN in row 1"):
        small().fit(np.array([[1, 1, 1], [1, 2, np.nan]]))
    with pytest.raises(TypeError, match="columns user, item, rating"):
        small().fit(array)
    with pytest.raises(TypeError, match="complex"):
        small().fit(sparse.csr_matrix(np.eye(2) * 1j))
    with pytest.raises(ValueError, match="must name different columns"):
        small(itemCol="user").fit(RATINGS[["user", "item", "rating"]].to_numpy())


# ---- no column of ratings --------------------------------------------------------------------------------


def given(kind, frame):
    return (
        dd.from_pandas(frame, npartitions=3) if kind == "dask" else {"pandas": lambda each: each, **MAKE}[kind](frame)
    )


@pytest.mark.parametrize("kind", ["pandas", "dask", "polars", "duckdb"])
def test_without_a_column_of_ratings_each_row_counts_1(kind):
    """Whatever stands in a column called rating."""
    twice = pd.concat([RATINGS, RATINGS[:3]], ignore_index=True)
    expected = factors(small(implicitPrefs=True).fit(twice.assign(rating=1.0)))
    assert factors(small(implicitPrefs=True, ratingCol="").fit(given(kind, twice))) == expected
    bare = twice[["item", "user"]]
    assert factors(small(implicitPrefs=True, ratingCol="").fit(given(kind, bare))) == expected


def test_without_ratings_arrays_have_two_columns_and_matrices_count_their_entries():
    als, pairs = small(implicitPrefs=True, ratingCol=""), RATINGS[["user", "item"]]
    expected = factors(als.fit(pairs))
    assert factors(als.fit(pairs.to_numpy())) == expected
    assert factors(als.fit(sparse.csr_matrix((RATINGS["rating"], (RATINGS["user"], RATINGS["item"]))))) == expected


def test_an_explicit_fit_needs_ratings():
    with pytest.raises(ValueError, match=r"ratingCol='' counts each row 1.*implicitPrefs=True, or ratingCol"):
        small(ratingCol="").fit(RATINGS)


def test_a_map_without_ratings_does_not_share_those_of_others():
    als = small(implicitPrefs=True)
    one, other = als.fit(RATINGS, [{als.ratingCol: ""}, {als.ratingCol: "rating"}])
    assert factors(one) == factors(small(implicitPrefs=True, ratingCol="").fit(RATINGS))
    assert factors(other) == factors(als.fit(RATINGS)) != factors(one)


@pytest.mark.parametrize("kind", ["reader", "stream"])
def test_a_stream_that_is_read_once_serves_several_fits(kind):
    als = small(implicitPrefs=True)
    models = als.fit(MAKE[kind](RATINGS), [{als.ratingCol: ""}, {als.ratingCol: "rating"}])
    assert [factors(each) for each in models] == [
        factors(each) for each in als.fit(RATINGS, [{als.ratingCol: ""}, {als.ratingCol: "rating"}])
    ]


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_tuning_without_a_column_of_ratings(kind):
    frame = pd.concat([RATINGS] * 3, ignore_index=True).assign(one=1.0)
    als = small(implicitPrefs=True, coldStartStrategy="drop")
    maps = ParamGridBuilder().addGrid(als.alpha, [0.5, 5.0]).build()
    metrics = [
        CrossValidator(
            estimator=als.copy({als.ratingCol: column}),
            estimatorParamMaps=maps,
            evaluator=RegressionEvaluator(labelCol="one"),
            numFolds=2,
        )
        .fit(given(kind, frame))
        .avgMetrics
        for column in ("", "one")
    ]
    assert metrics[0] == metrics[1]
    assert metrics[0][0] != metrics[0][1]


def test_checkpoints_know_whether_there_are_ratings(tmp_path):
    als = small(implicitPrefs=True, checkpointDir=str(tmp_path), checkpointInterval=1, ratingCol="")
    first = als.fit(RATINGS)
    resumed = als.fit(MAKE["polars"](RATINGS), {als.maxIter: 4}, resume=True)
    assert len(resumed.history) == 4
    assert resumed.history["objective"].tolist()[:2] == first.history["objective"].tolist()
    assert factors(resumed) == factors(small(implicitPrefs=True, maxIter=4, ratingCol="").fit(RATINGS))
    with pytest.raises(ValueError, match="fingerprint of the data"):
        als.fit(RATINGS, {als.ratingCol: "rating"}, resume=True)


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_ratings_that_are_truth_values_count_0_and_1(kind):
    frame = RATINGS.assign(rating=RATINGS["rating"] > 3)
    found = small(implicitPrefs=True).fit(MAKE[kind](frame))
    assert factors(found) == factors(small(implicitPrefs=True).fit(RATINGS.assign(rating=frame["rating"] * 1.0)))


# ---- bad input -------------------------------------------------------------------------------------------

NULL = RATINGS.assign(user=RATINGS["user"].astype("Int64"))
NULL.loc[2, "user"] = None
BAD = {
    "null id": (NULL, ValueError, "Column 'user' is null in row 2"),
    "null rating": (RATINGS.assign(rating=RATINGS["rating"].where(RATINGS.index != 2)), ValueError, "'rating' is null"),
    "infinite rating": (
        RATINGS.assign(rating=RATINGS["rating"].replace(5.0, np.inf)),
        ValueError,
        "'rating' is inf.* in row 5",
    ),
    "null truth value": (
        RATINGS.assign(rating=pd.array([True, None] * 4, "boolean")),
        ValueError,
        "null or NaN in row 1",
    ),
    "strings for ratings": (RATINGS.assign(rating="4"), TypeError, "'rating' is of type .*string.* must be numbers"),
    "truth values for ids": (RATINGS.assign(user=True), TypeError, "'user' is of type bool, which cannot hold ids"),
    "no column": (RATINGS.drop(columns="item"), ValueError, "No column 'item'.*'note', 'user', 'rating'.*set itemCol"),
    "prediction": (RATINGS.assign(prediction=1.0), ValueError, "Column 'prediction' already exists"),
    "no rows": (RATINGS.iloc[:0], ValueError, "no rows"),
    "lists": (RATINGS.assign(user=[[1]] * 8), TypeError, "'user' is of type .*list.* cannot hold ids"),
    "structs": (RATINGS.assign(item=[{"a": 1}] * 8), TypeError, "'item' is of type .*struct.* cannot hold ids"),
    "a time zone": (RATINGS.assign(user=RATINGS["when"].dt.tz_localize("UTC")), TypeError, "UTC.*cannot hold ids"),
    "fractions": (RATINGS.assign(user=RATINGS["rating"]), ValueError, "'user' is 2.5 in row 6.*whole numbers"),
}


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb", "reader"])
def test_a_fault_is_named_with_its_column_and_row(kind, fault):
    frame, error, words = BAD[fault]
    with pytest.raises(error, match=words):
        small().fit(MAKE[kind](frame))


@kinds
def test_transform_names_faults_as_well(kind, model):
    for change, error, words in [
        (PAIRS.drop(columns="item"), ValueError, "No column 'item'.*'user', 'tag'"),
        (PAIRS.assign(prediction=1), ValueError, "'prediction' already exists"),
        (PAIRS.assign(user=PAIRS["tag"]), TypeError, "ids of kind str, but the model was trained on ids of kind int64"),
        (PAIRS.assign(user=PAIRS["user"].where(PAIRS["user"] != 8).astype("Int64")), ValueError, "null in row 2"),
    ]:
        with pytest.raises(error, match=words):
            model.transform(MAKE[kind](change))
    assert len(model.transform(MAKE[kind](PAIRS.iloc[:0]))) == 0


def test_two_columns_of_one_name():
    table = table_of(RATINGS)
    twice = table.append_column("user", table["user"])
    for frame in (twice, twice.to_reader()):
        with pytest.raises(ValueError, match="2 columns 'user'"):
            small().fit(frame)
    other = table.append_column("note", table["user"])
    assert factors(small().fit(other)) == factors(small().fit(RATINGS))


def test_a_lazy_frame_is_to_be_collected(model):
    for call in (small().fit, model.transform, lambda frame: model.recommendForUserSubset(frame, 1)):
        with pytest.raises(TypeError, match=r"polars\.LazyFrame.*\.collect\(\)"):
            call(MAKE["polars"](RATINGS).lazy())


def test_a_column_that_arrow_does_not_hold_is_named_only_if_it_is_needed():
    frame = MAKE["polars"](RATINGS).with_columns(pl.col("user").cast(pl.Int128), wide=pl.lit(1).cast(pl.Int128))
    with pytest.raises(TypeError, match=r"Column 'user' is of type Int128.*cast it"):
        small().fit(frame)
    small().fit(frame.with_columns(pl.col("user").cast(pl.Int64)))


def test_a_file_is_loaded_in_any_kind_of_frame(model, tmp_path):
    model.save(str(tmp_path / "model"))
    for kind, made in {
        "pandas": pd.DataFrame,
        "dask": dd.DataFrame,
        "polars": pl.DataFrame,
        "pyarrow": pa.Table,
    }.items():
        loaded = ALSModel.load(str(tmp_path / "model"), frames=kind)
        assert isinstance(loaded.userFactors, made)
        assert factors(loaded) == factors(model)
        assert plain(loaded.recommendForAllUsers(2)) == plain(model.recommendForAllUsers(2))
    with pytest.raises(ValueError, match="frames='spark' is not allowed"):
        ALSModel.load(str(tmp_path / "model"), frames="spark")


# ---- tuning and evaluators -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grid():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {"user": rng.integers(0, 15, 200), "item": rng.integers(0, 12, 200), "fold": np.arange(200) % 2}
    )
    return frame.assign(rating=(frame["user"] + 1) * (frame["item"] + 1) / 20)


@pytest.fixture(scope="module")
def validators():
    """What each validator is made with."""
    als = small(coldStartStrategy="drop", maxIter=1)
    maps = ParamGridBuilder().addGrid(als.regParam, [0.01, 0.5]).build()
    parts = {"estimator": als, "estimatorParamMaps": maps, "evaluator": RegressionEvaluator(labelCol="rating")}
    return {
        "random folds": CrossValidator(**parts, numFolds=2),
        "foldCol": CrossValidator(**parts, numFolds=2, foldCol="fold", collectSubModels=True),
        "split": TrainValidationSplit(**parts),
    }


@pytest.fixture(scope="module")
def tuned(validators, grid):
    """The models that they find on the pandas frame."""
    return {name: validator.fit(grid) for name, validator in validators.items()}


def metrics_of(tuned):
    return getattr(tuned, "avgMetrics", None) or tuned.validationMetrics


@pytest.mark.parametrize(
    ("validator", "kind"),
    [
        ("foldCol", "duckdb"),
        ("random folds", "polars"),
        ("foldCol", "pyarrow"),
        ("split", "reader"),
        ("split", "polars"),
    ],
)
def test_tuning_finds_the_metrics_of_the_pandas_frame(kind, validator, grid, validators, tuned, tmp_path):
    found = validators[validator].fit(MAKE[kind](grid))
    assert metrics_of(found) == metrics_of(tuned[validator])
    assert factors(found.bestModel) == factors(tuned[validator].bestModel)
    models = [found.bestModel, *(found.subModels[0] if validator == "foldCol" else [])]
    assert {type(each.userFactors) for each in models} == {returned(kind)}
    found.save(str(tmp_path / "tuned"))
    loaded = type(found).load(str(tmp_path / "tuned"), frames="polars")
    assert isinstance(loaded.bestModel.userFactors, pl.DataFrame)


def test_tuning_says_that_arrays_and_matrices_are_for_fits(grid):
    als = small()
    validator = CrossValidator(estimator=als, estimatorParamMaps=[{}], evaluator=RegressionEvaluator())
    for frame in (grid.to_numpy(), sparse.csr_matrix((2, 2))):
        with pytest.raises(TypeError):
            validator.fit(frame)


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_a_fault_of_fold_numbers_is_named(kind, grid):
    als = small(coldStartStrategy="drop")
    validator = CrossValidator(
        estimator=als, estimatorParamMaps=[{}], evaluator=RegressionEvaluator(labelCol="rating"), foldCol="fold"
    ).setNumFolds(2)
    with pytest.raises(ValueError, match=r"foldCol 'fold' is 7 in row 0"):
        validator.fit(MAKE[kind](grid.assign(fold=[7, *grid["fold"][1:]])))
    with pytest.raises(ValueError, match=r"no columns 'fold'.*'user', 'item', 'rating'"):
        validator.fit(MAKE[kind](grid[["user", "item", "rating"]]))


@kinds
def test_evaluators_measure_what_models_return(kind, grid):
    model = small().fit(MAKE[kind](grid))
    plain_model = small().fit(grid)
    evaluator = RegressionEvaluator(labelCol="rating")
    expected = evaluator.evaluate(plain_model.transform(grid))
    assert evaluator.evaluate(model.transform(MAKE[kind](grid))) == expected
    ranking = RankingEvaluator(metricName="ndcgAtK", k=3)
    held_out = grid[:50]
    expected = ranking.evaluate(plain_model.recommendForAllUsers(5), heldOut=held_out)
    for lists in (model.recommendForAllUsers(5), plain_model.recommendForAllUsers(5)):
        assert ranking.evaluate(lists, heldOut=MAKE[kind](held_out)) == expected
    with pytest.raises(ValueError, match=r"no columns 'label'.*user, item, fold, rating, prediction"):
        RegressionEvaluator().evaluate(model.transform(MAKE[kind](grid)))


@pytest.mark.parametrize("kind", ["polars", "pyarrow"])
def test_rankings_of_lists(kind):
    frame = pd.DataFrame({"prediction": [[1, 6, 2], [4, 5]], "label": [[1, 2, 3], [7]]})
    assert RankingEvaluator(metricName="precisionAtK", k=2).evaluate(MAKE[kind](frame)) == 0.25


# ---- real data -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["polars", "duckdb", "sparse", "array"])
def test_movielens(ml100k, kind):
    expected = small().fit(ml100k.base)
    if kind == "sparse":
        frame = sparse.csr_matrix((ml100k.base["rating"], (ml100k.base["user"], ml100k.base["item"])))
    else:
        frame = ml100k.base.to_numpy() if kind == "array" else MAKE[kind](ml100k.base)
    found = small().fit(frame)
    assert factors(found) == factors(expected)
    predicted = model_predictions(found, ml100k.test, kind)
    assert_frame_equal(pd.DataFrame({"prediction": predicted}), expected.transform(ml100k.test)[["prediction"]])


def model_predictions(model, test, kind):
    if kind in ("sparse", "array"):
        return model.transform(test.to_numpy())
    return np.asarray(model.transform(MAKE[kind](test))["prediction"])
