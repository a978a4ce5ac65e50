"""Bad input: an error of the right type that says what is wrong, where, and what to do; and nothing is lost."""

import datetime
import decimal
import pickle
import re
import uuid
from contextlib import suppress
from itertools import pairwise

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from daskals import ALS
from daskals.params import UnknownParamError

#: labels of the index are not positions, so that a test sees which of the two a message names
RATINGS = pd.DataFrame(
    {"user": [1, 1, 2, 2, 3, 3], "item": [5, 6, 6, 7, 6, 7], "rating": [4.0, 2.0, 3.0, 4.0, 1.0, 5.0]},
    index=[10, 20, 30, 40, 50, 60],
)
BAD = 2  # position of the row that is spoilt,
ROW = "row 30"  # and how a message must call it

KINDS = ["pandas", "dask"]


def cut(frame, *bounds):
    """A dask frame with partitions that end at ``bounds``; by default the second one is empty."""
    ends = [0, *(bounds or (2, 2, 5)), len(frame)]
    parts = [frame.iloc[start:stop] for start, stop in pairwise(ends)]
    return dd.from_map(lambda number: parts[number], range(len(parts)), meta=frame.iloc[:0])


def given(kind, frame, *bounds):
    return frame if kind == "pandas" else cut(frame, *bounds)


def spoilt(column, values, dtype=None):
    """The ratings with one column replaced."""
    return RATINGS.assign(**{column: pd.Series(values, index=RATINGS.index, dtype=dtype)})


def deep_copy(frame):
    return pickle.loads(pickle.dumps(frame))


def error_of(function, error):
    """The text of the exception that is raised, which must be of exactly this type."""
    with pytest.raises(error) as caught:
        function()
    assert type(caught.value) is error
    return str(caught.value)


def assert_says(text, *words):
    for word in words:
        assert word in text, f"{word!r} is not in: {text}"


def small(**more):
    """An estimator that is quick: what is refused is refused before the first iteration."""
    return ALS(**{"rank": 2, "maxIter": 0, "numUserBlocks": 1, "numItemBlocks": 1, **more})


def assert_refused(kind, frame, error, *words, als=None, good=RATINGS):
    """`fit` raises this error with these words; leaves the frame as it was, and the estimator fit for good data."""
    als = small() if als is None else als
    before, parameters = deep_copy(frame), als.extractParamMap()
    assert_says(error_of(lambda: als.fit(given(kind, frame)), error), *words)
    assert_frame_equal(frame, before)
    assert als.extractParamMap() == parameters
    assert als.fit(given(kind, good)).rank == als.getRank()


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model():
    return small(maxIter=1).fit(RATINGS)


# ---- not a frame, not its columns ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "thing",
    [
        RATINGS.to_numpy()[:, :1],
        RATINGS.to_numpy().tolist(),
        RATINGS.to_dict(),
        RATINGS["rating"],
        cut(RATINGS)["rating"],
        "ratings.csv",
        None,
    ],
    ids=["array of one column", "list", "dict", "series", "dask series", "path", "None"],
)
@pytest.mark.parametrize("method", ["fit", "transform"])
def test_what_is_no_frame_is_a_type_error_that_says_what_a_frame_is(method, thing, model):
    target = ALS() if method == "fit" else model
    text = error_of(lambda: getattr(target, method)(thing), TypeError)
    assert_says(text, "pandas or a dask DataFrame", type(thing).__qualname__, "pandas.DataFrame(")


@pytest.mark.parametrize("role", ["user", "item", "rating"])
def test_missing_column_is_named_with_those_there_are_and_the_parameter_to_set(kind, role):
    others = [f"'{name}'" for name in RATINGS if name != role]
    assert_refused(kind, RATINGS.drop(columns=role), ValueError, f"No column '{role}'", *others, f"set {role}Col")


def test_missing_column_of_a_custom_name_is_named(kind):
    als = small(userCol="reader")
    good = RATINGS.rename(columns={"user": "reader"})
    assert_refused(kind, RATINGS, ValueError, "No column 'reader'", "'user'", "set userCol", als=als, good=good)


@pytest.mark.parametrize("name", ["user", "item", "rating"])
def test_column_that_stands_twice_is_named(name):
    twice = pd.concat([RATINGS, RATINGS[[name]]], axis=1)
    assert_refused("pandas", twice, ValueError, f"2 columns '{name}'", "Rename")


def test_same_column_for_two_roles_is_a_value_error(kind):
    frame = given(kind, RATINGS)
    for als in (ALS(userCol="item"), ALS(itemCol="user"), ALS(ratingCol="user")):
        text = error_of(lambda als=als: als.fit(frame), ValueError)
        assert_says(text, "userCol", "itemCol", "different", als.getUserCol(), als.getItemCol())


def test_same_column_for_two_roles_is_a_value_error_in_transform(kind, model):
    text = error_of(lambda: model.transform(given(kind, RATINGS), {model.userCol: "item"}), ValueError)
    assert_says(text, "userCol", "itemCol", "different", "item")


def test_fit_refuses_a_frame_that_has_a_column_of_the_prediction_s_name(kind):
    """As Spark does: what is fitted would otherwise be no frame to transform."""
    words = "Column 'prediction' already exists", "Drop it", "predictionCol"
    assert_refused(kind, RATINGS.assign(prediction=1.0), ValueError, *words)
    als = small().setPredictionCol("score")
    assert_refused(kind, RATINGS.assign(score=1.0), ValueError, "Column 'score' already exists", als=als)
    als.fit(given(kind, RATINGS.assign(prediction=1.0)))


def test_transform_refuses_a_frame_that_has_a_column_of_the_prediction_s_name(kind, model):
    predicted = RATINGS.assign(prediction=1.0)
    text = error_of(lambda: model.transform(given(kind, predicted)), ValueError)
    assert_says(text, "Column 'prediction' already exists", "Drop it", "predictionCol")
    assert list(model.transform(predicted, {model.predictionCol: "score"})) == [*predicted, "score"]


# ---- ratings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "Float64", "double[pyarrow]"])
def test_missing_rating_is_a_value_error_that_names_the_row(kind, dtype):
    frame = spoilt("rating", [4.0, 2.0, None, None, 1.0, 5.0], dtype)
    assert_refused(kind, frame, ValueError, "'rating'", "null or NaN", ROW, "(2 such)", "Drop or repair")


def test_nan_inside_an_arrow_column_is_missing_as_well(kind):
    values = pa.array([4.0, 2.0, float("nan"), 4.0, 1.0, 5.0], from_pandas=False)
    frame = spoilt("rating", pd.arrays.ArrowExtensionArray(values))
    assert_refused(kind, frame, ValueError, "'rating'", "null or NaN", ROW, "Drop or repair")


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32", "Float64", "double[pyarrow]"])
def test_infinite_rating_is_a_value_error_that_names_row_and_value(kind, dtype, value):
    frame = spoilt("rating", [4.0, 2.0, value, 4.0, 1.0, 5.0], dtype)
    assert_refused(kind, frame, ValueError, "'rating'", f"is {value},", ROW, "(1 such)", "Drop or repair")


@pytest.mark.parametrize("value", [1e39, -3.5e38])
def test_rating_too_large_for_float32_is_a_value_error_not_an_infinity(kind, value):
    frame = spoilt("rating", [4.0, 2.0, value, 4.0, 1.0, 5.0])
    assert_refused(kind, frame, ValueError, "'rating'", str(value), "float32", ROW, "Drop or repair")


@pytest.mark.parametrize("dtype", ["str", "string[python]", "string[pyarrow]", "object"])
@pytest.mark.parametrize("values", [list("abcdef"), list("423415")], ids=["words", "digits"])
def test_ratings_that_are_strings_are_a_type_error_even_if_they_look_like_numbers(kind, values, dtype):
    assert_refused(kind, spoilt("rating", values, dtype), TypeError, "'rating'", "numbers")


def test_ratings_that_are_bools_among_objects_are_a_type_error(kind):
    frame = spoilt("rating", [True, False, True, True, False, True], "object")
    assert_refused(kind, frame, TypeError, "'rating'", "numbers")


@pytest.mark.parametrize("dtype", ["bool", "boolean", "bool[pyarrow]"])
def test_ratings_that_are_bools_count_0_and_1(kind, dtype):
    values = [True, False, True, True, False, True]
    found = small(maxIter=2).fit(given(kind, spoilt("rating", values, dtype)))
    same = small(maxIter=2).fit(given(kind, spoilt("rating", values, "float32")))
    for side in ("userFactors", "itemFactors"):
        pair = [getattr(each, side) for each in (found, same)]
        assert_frame_equal(*(each if kind == "pandas" else each.compute() for each in pair))


@pytest.mark.parametrize("dtype", ["boolean", "bool[pyarrow]"])
def test_a_null_among_bools_is_a_value_error_that_names_the_row(kind, dtype):
    frame = spoilt("rating", [True, False, None, None, False, True], dtype)
    assert_refused(kind, frame, ValueError, "'rating'", "null or NaN", ROW, "(2 such)", "Drop or repair")


def test_categories_of_bools_are_no_ratings(kind):
    frame = RATINGS.assign(rating=pd.Categorical([True, False, True, True, False, True]))
    assert_refused(kind, frame, TypeError, "'rating'", "category", "numbers")


@pytest.mark.parametrize(
    "values",
    [[[1.0]] * 6, [{}] * 6, [4.0, 2.0, "3", 4.0, 1.0, 5.0], [4.0, 2.0, datetime.date(2020, 1, 1), 4.0, 1.0, 5.0]],
    ids=["lists", "dicts", "a string among floats", "a date among floats"],
)
def test_ratings_that_are_objects_are_a_type_error(kind, values):
    assert_refused(kind, spoilt("rating", values, object), TypeError, "'rating'", "numbers")


@pytest.mark.parametrize(
    "values",
    [
        pd.date_range("2020", periods=6),
        pd.to_timedelta(range(6), unit="D"),
        pd.Categorical([4.0, 2, 3, 4, 1, 5]),
        np.arange(6) + 1j,
    ],
    ids=["dates", "durations", "categories", "complex"],
)
def test_ratings_of_another_type_are_a_type_error_that_names_the_type(kind, values):
    frame = RATINGS.assign(rating=values)
    assert_refused(kind, frame, TypeError, "'rating'", str(frame["rating"].dtype), "numbers", "convert")


def test_object_ratings_that_are_numbers_are_taken_and_a_null_among_them_is_found():
    """Only on pandas: dask turns object columns into strings before we see them."""
    values = [4, decimal.Decimal(2), 3.0, 4, 1, 5]
    same = small(maxIter=1).fit(RATINGS).userFactors
    assert_frame_equal(small(maxIter=1).fit(spoilt("rating", values, object)).userFactors, same)
    values[BAD] = None
    assert_refused("pandas", spoilt("rating", values, object), ValueError, "'rating'", "null or NaN", ROW, "Drop")


# ---- weights ---------------------------------------------------------------------------------------------

WEIGHTS = RATINGS.assign(w=[1.0, 2.0, 0.0, 0.5, 1.0, 3.0])


def weighted():
    return small(weightCol="w")


def assert_weights_refused(kind, values, error, *words, dtype=None):
    frame = WEIGHTS.assign(w=pd.Series(values, index=WEIGHTS.index, dtype=dtype))
    assert_refused(kind, frame, error, "'w'", *words, als=weighted(), good=WEIGHTS)


def test_a_missing_column_of_weights_is_named_with_those_there_are_and_the_parameter_to_set(kind):
    others = [f"'{name}'" for name in RATINGS]
    assert_refused(kind, RATINGS, ValueError, "No column 'w'", *others, "set weightCol", als=weighted(), good=WEIGHTS)


@pytest.mark.parametrize("role", ["userCol", "itemCol", "ratingCol"])
def test_a_column_of_weights_that_has_another_role_is_a_value_error(kind, role):
    als = small(weightCol=small().getOrDefault(role))
    text = error_of(lambda: als.fit(given(kind, RATINGS)), ValueError)
    assert_says(text, "weightCol", role, "different columns", als.getWeightCol())


@pytest.mark.parametrize("dtype", ["float64", "float32", "Float64", "double[pyarrow]"])
def test_a_missing_weight_is_a_value_error_that_names_the_row(kind, dtype):
    words = "null or NaN", ROW, "(2 such)", "weights must be finite numbers", "Drop or repair"
    assert_weights_refused(kind, [1.0, 2.0, None, None, 1.0, 3.0], ValueError, *words, dtype=dtype)


@pytest.mark.parametrize("value", [np.inf, 1e39])
def test_a_weight_that_is_no_finite_float32_is_a_value_error_that_names_row_and_value(kind, value):
    words = str(value), "float32", ROW, "(1 such)", "weights must be finite numbers"
    assert_weights_refused(kind, [1.0, 2.0, value, 1.0, 1.0, 3.0], ValueError, *words)


@pytest.mark.parametrize("dtype", ["float64", "int64", "Int8", "double[pyarrow]", object])
def test_a_negative_weight_is_a_value_error_that_names_row_and_value(kind, dtype):
    if dtype is object and kind == "dask":
        pytest.skip("dask turns object columns into strings before we see them")
    words = "is -", ROW, "(2 such)", "weights must not be negative"
    assert_weights_refused(kind, [1, 2, -1, -3, 1, 3], ValueError, *words, dtype=dtype)


@pytest.mark.parametrize("values", [list("abcdef"), list("123456")], ids=["words", "digits"])
@pytest.mark.parametrize("dtype", ["str", "category"])
def test_weights_that_are_no_numbers_are_a_type_error(kind, values, dtype):
    assert_weights_refused(kind, values, TypeError, "weights must be numbers", "convert", dtype=dtype)


def test_an_object_among_weights_that_is_no_number_is_a_type_error_that_names_the_row():
    words = "'3'", ROW, "weights must be numbers"
    assert_weights_refused("pandas", [1.0, 2.0, "3", 1.0, 1.0, 3.0], TypeError, *words, dtype=object)


def test_what_ratings_must_be_is_said_of_ratings(kind):
    """And not of what was found in their place."""
    frame = spoilt("rating", [4.0, 2.0, np.nan, 4.0, 1.0, 5.0])
    assert_refused(kind, frame, ValueError, "null or NaN", ROW, "ratings must be finite numbers")


@pytest.mark.parametrize("method", ["foldInUsers", "foldInItems", "recommendForRatings", "explain"])
def test_bad_weights_are_refused_wherever_ratings_are_read(method):
    model = weighted().setParams(maxIter=1).fit(WEIGHTS)
    bad = WEIGHTS.assign(w=[1.0, 2.0, -1.0, 1.0, 1.0, 3.0])
    calls = {
        "recommendForRatings": lambda: model.recommendForRatings(bad, 2),
        "explain": lambda: model.explain(2, 6, ratings=bad),
    }
    text = error_of(calls.get(method, lambda: getattr(model, method)(bad)), ValueError)
    assert_says(text, "'w'", "-1.0", ROW, "weights must not be negative")


# ---- ids -------------------------------------------------------------------------------------------------

NULL_IDS = {
    "float": ([1.0, 1, None, 2, 3, 3], "float64"),
    "str": (["a", "a", None, "b", "c", "c"], "str"),
    "object": (["a", "a", None, "b", "c", "c"], object),
    "string[python]": (["a", "a", None, "b", "c", "c"], "string[python]"),
    "string[pyarrow]": (["a", "a", None, "b", "c", "c"], "string[pyarrow]"),
    "Int64": ([1, 1, None, 2, 3, 3], "Int64"),
    "UInt8": ([1, 1, None, 2, 3, 3], "UInt8"),
    "Float64": ([1, 1, None, 2, 3, 3], "Float64"),
    "int64[pyarrow]": ([1, 1, None, 2, 3, 3], "int64[pyarrow]"),
    "decimal[pyarrow]": ([decimal.Decimal(1)] * 2 + [None] * 1 + [decimal.Decimal(2)] * 3, "decimal128(5, 1)[pyarrow]"),
    "category of str": (["a", "a", None, "b", "c", "c"], "category"),
    "category of int": (pd.Categorical.from_codes([0, 0, -1, 1, 2, 2], categories=[7, 8, 9]), None),
    "datetime": (pd.to_datetime(["2020", "2020", None, "2021", "2022", "2022"]).to_numpy(), None),
}


@pytest.mark.parametrize("column", ["user", "item"])
@pytest.mark.parametrize("ids", NULL_IDS)
def test_null_id_is_a_value_error_that_names_column_and_row(kind, ids, column):
    values, dtype = NULL_IDS[ids]
    if dtype == "decimal128(5, 1)[pyarrow]":
        dtype = pd.ArrowDtype(pa.decimal128(5, 1))
    frame = spoilt(column, values, dtype)
    assert_refused(kind, frame, ValueError, f"'{column}'", "null", ROW, "(1 such)", "Drop")


def test_null_among_integers_in_an_object_column_is_a_value_error():
    frame = spoilt("user", [1, 1, None, 2, 3, 3], object)
    assert_refused("pandas", frame, ValueError, "'user'", "null", ROW, "(1 such)", "Drop")


FRACTIONAL_IDS = {
    "float64": ([1.0, 1, 1.5, 2, 3, 3], "float64"),
    "float32": ([1.0, 1, 1.5, 2, 3, 3], "float32"),
    "Float64": ([1.0, 1, 1.5, 2, 3, 3], "Float64"),
    "double[pyarrow]": ([1.0, 1, 1.5, 2, 3, 3], "double[pyarrow]"),
    "decimal[pyarrow]": (
        [decimal.Decimal(each) for each in ("1", "1", "1.5", "2", "3", "3")],
        pd.ArrowDtype(pa.decimal128(5, 1)),
    ),
    "category": ([1.0, 1, 1.5, 2, 3, 3], "category"),
}


@pytest.mark.parametrize("column", ["user", "item"])
@pytest.mark.parametrize("ids", FRACTIONAL_IDS)
def test_fractional_id_is_a_value_error_that_names_column_row_and_value(kind, ids, column):
    frame = spoilt(column, *FRACTIONAL_IDS[ids])
    assert_refused(kind, frame, ValueError, f"'{column}'", "1.5", ROW, "(1 such)", "whole numbers")


def test_fractional_decimal_in_an_object_column_is_a_value_error():
    values = [decimal.Decimal(each) for each in ("1", "1", "1.5", "2", "3", "3")]
    frame = spoilt("user", values, object)
    assert_refused("pandas", frame, ValueError, "'user'", "1.5", ROW, "(1 such)", "whole numbers")


@pytest.mark.parametrize("value", [1e30, -1e30, 2.0**63, np.inf, -np.inf])
def test_float_id_out_of_range_is_a_value_error_that_names_row_and_value(kind, value):
    frame = spoilt("user", [1.0, 1, value, 2, 3, 3])
    assert_refused(kind, frame, ValueError, "'user'", str(value), ROW, "(1 such)", "range of int64")


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30])
def test_python_integer_out_of_range_is_a_value_error(value):
    frame = spoilt("user", [1, 1, value, 2, 3, 3], object)
    assert_refused("pandas", frame, ValueError, "'user'", str(value), ROW, "range of int64")


NO_IDS = {
    "bool": pd.array([True, True, False, False, True, False], "bool"),
    "boolean": pd.array([True, True, False, False, True, False], "boolean"),
    "bool[pyarrow]": pd.array([True, True, False, False, True, False], "bool[pyarrow]"),
    "category of bool": pd.Categorical([True, True, False, False, True, False]),
    "list[pyarrow]": pd.array([[1]] * 6, pd.ArrowDtype(pa.list_(pa.int64()))),
    "dates with a time zone": pd.date_range("2020", periods=6, tz="UTC"),
    "durations": pd.to_timedelta(range(6), unit="D"),
    "periods": pd.period_range("2020", periods=6, freq="D"),
    "intervals": pd.interval_range(0, 6),
    "complex": np.arange(6) + 0j,
}


@pytest.mark.parametrize("column", ["user", "item"])
@pytest.mark.parametrize("ids", NO_IDS)
def test_ids_of_a_type_that_cannot_hold_ids_are_a_type_error_that_says_which_can(kind, ids, column):
    frame = RATINGS.assign(**{column: NO_IDS[ids]})
    assert_refused(kind, frame, TypeError, f"'{column}'", "cannot hold ids", "integers, strings, categories or dates")


NO_ID_OBJECTS = {
    "bools": [True, True, False, False, True, False],
    "lists": [[1], [1], [2], [2], [3], [3]],
    "dicts": [{}] * 6,
    "tuples": [(1, 2)] * 6,
    "integers and strings": [1, "a", 2, 2, 3, 3],
    "strings and bytes": ["a", b"a", "b", "b", "c", "c"],
    "dates with a time zone": list(pd.date_range("2020", periods=6, tz="UTC")),
    "integers and bools": [1, True, 2, 2, 3, 3],
}


@pytest.mark.parametrize("ids", NO_ID_OBJECTS)
def test_object_ids_that_cannot_be_ids_are_a_type_error_on_pandas(ids):
    frame = spoilt("user", NO_ID_OBJECTS[ids], object)
    assert_refused("pandas", frame, TypeError, "'user'", "cannot hold ids", "integers, strings, categories or dates")


@pytest.mark.parametrize("ids", NO_ID_OBJECTS)
def test_object_ids_that_cannot_be_ids_are_a_type_error_on_dask(ids):
    """Where dask leaves object columns alone; by default it makes strings of them, which are ids."""
    with dask.config.set({"dataframe.convert-string": False}):
        frame = spoilt("user", NO_ID_OBJECTS[ids], object)
        assert_refused("dask", frame, TypeError, "'user'", good=spoilt("user", list("aabbcc"), object))


def test_string_ids_that_hide_another_type_in_a_later_partition_are_a_type_error():
    with dask.config.set({"dataframe.convert-string": False}):
        frame = spoilt("user", ["a", "a", 3, "b", "c", "c"], object)
        good = spoilt("user", list("aabbcc"), object)
        assert_refused("dask", frame, TypeError, "'user'", ROW, "3", "int", "astype(str)", good=good)


# ---- objects that are odd numbers ------------------------------------------------------------------------

ODD_RATINGS = {
    "too long an integer": (10**400, ValueError, "which is not a finite float32"),
    "an integer that Python does not write out": (10**5000, ValueError, "which is not a finite float32"),
    "too large a decimal": (decimal.Decimal("1e400"), ValueError, "1E+400, which is not a finite float32"),
    "infinity": (decimal.Decimal("Infinity"), ValueError, "Infinity, which is not a finite float32"),
    "NaN": (decimal.Decimal("NaN"), ValueError, "null or NaN"),
    "a signalling NaN": (decimal.Decimal("sNaN"), ValueError, "null or NaN"),
    "a complex number": (1j, TypeError, "must be numbers"),
}
ODD_IDS = {
    "too long an integer": 10**400,
    "an integer that Python does not write out": 10**5000,
    "infinity": decimal.Decimal("Infinity"),
    "minus infinity": decimal.Decimal("-Infinity"),
    "a signalling NaN": decimal.Decimal("sNaN"),
}


@pytest.mark.parametrize("name", ODD_RATINGS)
def test_object_ratings_that_no_float_can_hold_are_named_with_their_row(name):
    value, error, words = ODD_RATINGS[name]
    frame = spoilt("rating", [4, 2, value, 4, 1, 5], object)
    text = error_of(lambda: small().fit(frame), error)
    assert_says(text, "'rating'", words, ROW)
    assert len(text) < 400


@pytest.mark.parametrize("name", ODD_IDS)
def test_object_ids_that_are_no_whole_numbers_are_named_with_their_row(name):
    kind = type(ODD_IDS[name])
    frame = spoilt("user", [kind(1), kind(1), ODD_IDS[name], kind(2), kind(3), kind(3)], object)
    text = error_of(lambda: small().fit(frame), ValueError)
    assert_says(text, "'user'", ROW, "(1 such)", "whole numbers in the range of int64")
    assert len(text) < 400


def test_object_ids_of_uuids_are_told_to_become_strings():
    """They could be taken as strings, but would not come back as they went in."""
    ids = [uuid.UUID(int=number) for number in (1, 1, 2, 2, 3, 3)]
    assert_refused("pandas", spoilt("user", ids, object), TypeError, "'user'", "UUID", "cannot hold ids", "astype(str)")
    frame = spoilt("user", ids, object)
    frame = frame.assign(user=frame["user"].astype(str))
    assert small().fit(frame).userFactors["id"].tolist() == sorted({str(each) for each in ids})


@pytest.mark.parametrize("ids", ["integers and strings", "strings and bytes", "integers and bools"])
def test_object_ids_of_two_types_are_named_with_the_first_row_of_the_second(ids):
    other = {"integers and strings": "str", "strings and bytes": "bytes", "integers and bools": "bool"}[ids]
    text = error_of(lambda: small().fit(spoilt("user", NO_ID_OBJECTS[ids], object)), TypeError)
    assert_says(text, "'user'", other, "row 20", "astype(str)")


@pytest.mark.parametrize("dtype", ["double[pyarrow]", "float64", "Float64"])
def test_a_subset_of_float_ids_is_found_whatever_makes_the_floats(dtype):
    """Fractions, infinities and nulls are nobody's ids, and no error here, as in Spark."""
    model = small(maxIter=1).fit(RATINGS.astype({"user": dtype}))
    asked = pd.DataFrame({"user": pd.array([3.0, 1.5, None, 1.0, 99.0], dtype=dtype)})
    assert model.recommendForUserSubset(asked, 2)["user"].tolist() == [1, 3]
    assert model.recommendForUserSubset(cut(asked, 2), 2).compute()["user"].tolist() == [1, 3]


# ---- partitions that are not what their frame says -------------------------------------------------------

#: what the second partition has, beside what the meta says
BROKEN_DTYPES = {
    "wide unsigned for signed": ("user", "int64", np.array([2**64 - 1, 2], np.uint64)),
    "signed for unsigned": ("user", "uint64", np.array([-1, 2])),
    "wide for narrow": ("user", "int32", np.array([2**40, 2])),
    "bools": ("user", "int64", np.array([True, False])),
    "strings for integers": ("user", "int64", pd.array(["1", "2"], "str")),
    "objects for integers": ("user", "int64", np.array([1, "2"], object)),
    "integers for strings": ("user", "str", np.array([1, 2])),
    "dates for integers": ("user", "int64", pd.date_range("2020", periods=2)),
    "finer dates": ("user", "datetime64[s]", pd.date_range("2020", periods=2).as_unit("ns")),
    "dates with a time zone": ("user", "datetime64[ns]", pd.date_range("2020", periods=2, tz="UTC")),
    "categories of bools": ("user", "int64", pd.Categorical([True, False])),
    "rating strings": ("rating", "float64", pd.array(["1", "2"], "str")),
    "rating dates": ("rating", "float64", pd.date_range("2020", periods=2)),
    "rating bools": ("rating", "float64", np.array([True, False])),
    "rating complex": ("rating", "float64", np.array([1j, 2])),
}


def pieces(*parts, meta=RATINGS):
    """A dask frame of these partitions, whatever they are; Dask is told not to look at them."""
    delayed = [dask.delayed(lambda part=part: part, pure=False)() for part in parts]
    return dd.from_delayed(delayed, meta=meta.iloc[:0], verify_meta=False)


GOOD, SECOND = RATINGS.iloc[:2], RATINGS.iloc[2:4]


@pytest.mark.parametrize("name", BROKEN_DTYPES)
def test_a_partition_that_breaks_the_promise_of_the_meta_is_named_with_both_dtypes(name):
    column, meta, values = BROKEN_DTYPES[name]
    promised = RATINGS.astype({column: meta})
    broken = SECOND.assign(**{column: values})
    frame = pieces(promised.iloc[:2], broken, promised.iloc[4:], meta=promised)
    text = error_of(lambda: small().fit(frame), TypeError)
    assert_says(text, "Partition 1", repr(column), str(broken[column].dtype), str(promised[column].dtype), "meta")


@pytest.mark.parametrize(
    ("meta", "found"),
    [("int64", "int8"), ("int64", "Int16"), ("float64", "int64"), ("uint64", "uint8"), ("int64", "category"),
     ("str", "object"), ("object", "str"), ("str", "category"), ("datetime64[ns]", "datetime64[s]")],
)  # fmt: skip
def test_a_partition_of_another_dtype_that_means_the_same_is_taken(meta, found):
    with dask.config.set({"dataframe.convert-string": False}):
        users = RATINGS["user"].astype(str) if meta == "object" else RATINGS["user"]
        if meta.startswith("datetime"):
            users = pd.to_datetime(users, unit="D")
        good = RATINGS.assign(user=users.astype(meta))
        model = small(maxIter=1).fit(pieces(good.iloc[:2], good.iloc[2:].astype({"user": found}), meta=good))
        expected = small(maxIter=1).fit(dd.from_pandas(good, npartitions=1))
        found, expected = model.userFactors.compute(), expected.userFactors.compute()
        assert found["id"].tolist() == expected["id"].tolist()
        np.testing.assert_allclose(np.stack(found["features"]), np.stack(expected["features"]), rtol=1e-4)


def test_transform_and_subsets_hold_partitions_to_their_meta(model):
    broken = SECOND.assign(user=np.array([2**64 - 1, 2], np.uint64))
    lazy = pieces(GOOD, broken)
    words = "Partition 1", "'user'", "uint64", "int64"
    assert_says(error_of(model.transform(lazy).compute, TypeError), *words)
    assert_says(error_of(model.recommendForUserSubset(lazy, 1).compute, TypeError), *words)


NO_PARTITIONS = {
    "a missing column": (SECOND.drop(columns="rating"), ValueError, "Partition 1 has no columns 'rating'"),
    "a renamed column": (SECOND.rename(columns={"user": "User"}), ValueError, "Partition 1 has no columns 'user'"),
    "a column twice": (pd.concat([SECOND, SECOND[["item"]]], axis=1), ValueError, "Partition 1 has 2 columns 'item'"),
    "None": (None, TypeError, "Partition 1 is of type NoneType"),
    "an array": (SECOND.to_numpy(), TypeError, "Partition 1 is of type ndarray"),
    "a series": (SECOND["user"], TypeError, "Partition 1 is of type Series"),
}


@pytest.mark.parametrize("name", NO_PARTITIONS)
def test_a_partition_without_the_columns_is_named(name, model):
    part, error, words = NO_PARTITIONS[name]
    frame = pieces(GOOD, part, RATINGS.iloc[4:])
    assert_says(error_of(lambda: small().fit(frame), error), words)
    if "rating" not in words:
        assert_says(error_of(model.transform(frame).compute, error), words)


@pytest.mark.parametrize("error", [KeyError("mine"), ValueError("mine"), TypeError("mine"), OSError("mine")])
def test_a_partition_that_raises_by_itself_keeps_its_own_error(error, model):
    def fail():
        raise error

    parts = [dask.delayed(GOOD), dask.delayed(fail)()]
    frame = dd.from_delayed(parts, meta=RATINGS.iloc[:0], verify_meta=False)
    for call in (lambda: small().fit(frame), model.transform(frame).compute):
        assert "mine" in error_of(call, type(error))


def test_a_table_of_users_by_items_is_told_to_be_melted():
    table = pd.DataFrame(np.arange(200.0).reshape(2, 100), columns=[f"film {n}" for n in range(100)])
    text = error_of(lambda: ALS().fit(table), ValueError)
    assert_says(text, "No column 'user'", "'film 0'", "and 80 more", "melt(")
    advice = re.search(r"table\.rename_axis.*dropna\(\)", text).group()
    assert len(small().fit(eval(advice, {"table": table})).itemFactors) == 100
    assert "melt" not in error_of(lambda: ALS().fit(RATINGS.rename(columns={"user": "who"})), ValueError)


# ---- any damage at all -----------------------------------------------------------------------------------

ID_DTYPES = ["int64", "uint8", "Int32", "int64[pyarrow]", "float64", "double[pyarrow]", "str", "object", "category"]
RATING_DTYPES = ["float64", "float32", "Float64", "double[pyarrow]", "int8", "object"]
#: what is put into one cell
DAMAGE = [
    None,
    np.nan,
    np.inf,
    -np.inf,
    1.5,
    1e300,
    10**60,
    "x",
    True,
    b"x",
    1j,
    [1],
    decimal.Decimal("sNaN"),
    uuid.UUID(int=3),
]


def right_model(frame):
    """The ids and factors of plain columns with the values of a frame."""
    plain = pd.DataFrame(
        {name: [value.item() if isinstance(value, np.generic) else value for value in frame[name]] for name in frame}
    )
    return small(maxIter=1).fit(plain.astype({"rating": "float64"}))


def draw_damage(data):
    """Ratings in drawn dtypes of which one cell is replaced; the name of the column and the number of the row."""
    dtypes = {name: data.draw(st.sampled_from(ID_DTYPES), name) for name in ("user", "item")}
    frame = RATINGS.astype({**dtypes, "rating": data.draw(st.sampled_from(RATING_DTYPES), "rating")})
    column = data.draw(st.sampled_from(list(frame)), "damaged column")
    row, value = data.draw(st.integers(0, 5), "row"), data.draw(st.sampled_from(DAMAGE), "value")
    cells = frame[column].astype(object)
    cells = pd.Series([*cells.iloc[:row], value, *cells.iloc[row + 1 :]], index=frame.index, dtype=object)
    # where the dtype holds no such value the column becomes one of objects
    no_such_value = TypeError, ValueError, OverflowError, pa.ArrowException, decimal.InvalidOperation
    with suppress(*no_such_value), np.errstate(over="ignore"):
        cells = cells.astype(frame[column].dtype.name)
    return frame.assign(**{column: cells}), column, row


def check_damaged_frame(data):
    """The model is that of the values, or the error names the column, and the row or what the whole column is."""
    frame, column, row = draw_damage(data)
    # objects in a dask frame are taken for strings
    lazy = "object" not in (frame["user"].dtype.name, frame["item"].dtype.name) and data.draw(st.booleans(), "in dask")
    before = deep_copy(frame)
    with dask.config.set({"dataframe.convert-string": False, "scheduler": "synchronous"}):
        text = ""
        try:
            model = small(maxIter=1).fit(cut(frame) if lazy else frame)
        except (TypeError, ValueError) as error:
            text = str(error)
        if text:
            whole_column = re.search(r"is of type|holds \w+ objects|mixes", text)
            assert repr(column) in text
            assert whole_column or f"row {frame.index[row]}" in text
        else:
            expected = right_model(frame)
            for side in ("userFactors", "itemFactors"):
                found, right = (computed(getattr(each, side)) for each in (model, expected))
                assert found["id"].tolist() == right["id"].tolist()
                features = (np.stack(each["features"]) for each in (found, right))
                np.testing.assert_allclose(*features, rtol=1e-3, atol=1e-4)
    assert_frame_equal(frame.map(repr), before.map(repr))  # pandas compares no signalling NaN


@settings(max_examples=25)
@examples(data=st.data())
def test_a_frame_with_any_damage_is_fitted_right_or_refused_by_column_and_row(data):
    check_damaged_frame(data)


@pytest.mark.slow
@settings(max_examples=500)
@examples(data=st.data())
def test_many_frames_with_any_damage_are_fitted_right_or_refused_by_column_and_row(data):
    check_damaged_frame(data)


def computed(frame):
    return frame.compute() if isinstance(frame, dd.DataFrame) else frame


# ---- no rows ---------------------------------------------------------------------------------------------


def test_empty_frame_is_a_value_error(kind):
    assert_refused(kind, RATINGS.iloc[:0], ValueError, "No ratings", "no rows", "Check")


def test_frame_of_one_empty_partition_is_a_value_error():
    als = ALS()
    assert_says(error_of(lambda: als.fit(dd.from_pandas(RATINGS.iloc[:0], npartitions=1)), ValueError), "No ratings")
    assert_says(error_of(lambda: als.fit(cut(RATINGS).query("rating > 9")), ValueError), "No ratings")


ID_TYPES = ["int64", "uint64", "float64", "Int64", "int32[pyarrow]", "str", "category", "datetime64[ns]"]


@pytest.mark.parametrize("ids", ID_TYPES)
@pytest.mark.parametrize("bounds", [(0, 3), (3, 3), (3, 6), (0, 0, 0, 6, 6)], ids=str)
def test_empty_partitions_among_others_change_nothing(ids, bounds):
    frame = RATINGS.assign(user=RATINGS["user"].astype(ids), item=RATINGS["item"].astype(ids))
    als = small(maxIter=1)
    expected, model = als.fit(frame), als.fit(cut(frame, *bounds))
    pairs = frame.drop(columns="rating")
    expected, found = expected.transform(pairs), model.transform(cut(pairs, *bounds)).compute()
    np.testing.assert_allclose(found["prediction"], expected["prediction"], rtol=1e-4, atol=1e-5)


# ---- parameters ------------------------------------------------------------------------------------------


def test_positional_arguments_are_a_type_error():
    assert_says(error_of(lambda: ALS(10), TypeError), "__init__", "keyword arguments")
    assert_says(error_of(lambda: ALS().setParams(10), TypeError), "setParams", "keyword arguments")


def test_unknown_parameter_is_a_type_error_that_names_the_nearest_or_all():
    for call in (lambda: ALS(ranks=3), lambda: ALS().setParams(ranks=3)):
        assert_says(error_of(call, TypeError), "'ranks'", "ALS", "did you mean rank?")
    for call in (lambda: ALS(colour=3), lambda: ALS().setParams(colour=3)):
        assert_says(error_of(call, TypeError), "'colour'", "ALS", "rank, maxIter, regParam")


def test_unknown_name_of_a_parameter_is_an_error_that_names_the_nearest_or_all(model):
    als = ALS()
    for name, words in (("ranks", ["did you mean rank?"]), ("colour", ["maxIter", "rank", "regParam"])):
        for call in (
            lambda name=name: als.getParam(name),
            lambda name=name: als.set(name, 3),
            lambda name=name: als.getOrDefault(name),
            lambda name=name: als.fit(RATINGS, {name: 3}),
        ):
            assert_says(error_of(call, UnknownParamError), f"'{name}'", als.uid, *words)
    text = error_of(lambda: model.transform(RATINGS, {"rank": 3}), UnknownParamError)
    assert_says(text, "'rank'", "blockSize", "userCol")


WRONG_TYPES = [
    ("rank", 2.5, "int"),
    ("rank", "3", "int"),
    ("rank", True, "int"),
    ("rank", [3], "int"),
    ("maxIter", np.nan, "int"),
    ("maxIter", np.inf, "int"),
    ("seed", 0.5, "int"),
    ("numUserBlocks", "1", "int"),
    ("blockSize", 1j, "int"),
    ("regParam", "0.1", "float"),
    ("regParam", True, "float"),
    ("alpha", [1.0], "float"),
    ("implicitPrefs", 1, "bool"),
    ("nonnegative", "true", "bool"),
    ("userCol", 3, "string"),
    ("coldStartStrategy", True, "string"),
    ("precision", 64, "string"),
    ("sparkRandom", 3, "string"),
]


@pytest.mark.parametrize(("name", "value", "wanted"), WRONG_TYPES)
def test_wrong_type_is_a_type_error_at_once_that_names_parameter_value_and_type(name, value, wanted):
    als = ALS()
    before = als.extractParamMap()
    for call in (
        lambda: ALS(**{name: value}),
        lambda: als.setParams(**{name: value}),
        lambda: als.set(name, value),
        lambda: getattr(als, f"set{name[0].upper()}{name[1:]}")(value),
        lambda: als.fit(RATINGS, {getattr(als, name): value}),
    ):
        assert_says(error_of(call, TypeError), f'"{name}"', repr(value), wanted)
    assert als.extractParamMap() == before


def test_a_wrong_type_among_several_values_sets_none_of_them():
    als = ALS(rank=3)
    error_of(lambda: als.setParams(rank=4, maxIter="x"), TypeError)
    assert als.getRank() == 3


OUT_OF_RANGE = {
    "rank": (0, ">= 1"),
    "maxIter": (-1, ">= 0"),
    "regParam": (-0.5, ">= 0"),
    "alpha": (np.nan, ">= 0"),
    "numUserBlocks": (0, ">= 1"),
    "numItemBlocks": (-3, ">= 1"),
    "blockSize": (0, ">= 1"),
    "checkpointInterval": (0, "-1 (never) or an integer >= 1"),
    "seed": (2**63, "64-bit"),
    "coldStartStrategy": ("raise", "'nan', 'drop'"),
    "precision": ("half", "'single', 'double'"),
    "sparkRandom": ("4", "'3', '2'"),
    "intermediateStorageLevel": ("NONE", "'MEMORY_AND_DISK'"),
    "finalStorageLevel": ("foo", "'NONE'"),
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_value_out_of_range_is_a_value_error_at_fit_that_says_what_is_allowed(name):
    value, allowed = OUT_OF_RANGE[name]
    als = ALS(**{name: value})
    text = error_of(lambda: als.fit(RATINGS), ValueError)
    assert_says(text, f"{name}={value!r}", allowed)
    assert len(text.splitlines()) == 2, "only the offending parameter is named"
    als.clear(name)
    als.setRank(2).setMaxIter(1).fit(RATINGS)


def test_all_values_out_of_range_are_named_at_once():
    als = ALS(**{name: value for name, (value, _) in OUT_OF_RANGE.items()})
    _, *lines = error_of(lambda: als.fit(RATINGS), ValueError).splitlines()
    assert len(lines) == len(OUT_OF_RANGE)
    for name, (value, allowed) in OUT_OF_RANGE.items():
        assert any(f"{name}={value!r}" in line and allowed in line for line in lines)


def test_infinite_regularisation_is_refused_with_words_that_exclude_it():
    """'must be a number >= 0' would say that infinity is allowed."""
    assert_says(error_of(lambda: ALS(regParam=np.inf).fit(RATINGS), ValueError), "regParam=inf", "finite")


def test_range_of_a_model_s_parameters_is_checked_when_it_works(model):
    text = error_of(lambda: model.transform(RATINGS, {model.coldStartStrategy: "raise"}), ValueError)
    assert_says(text, "coldStartStrategy='raise'", "'nan', 'drop'")


def test_range_is_checked_before_a_model_of_a_list_is_fitted():
    als = small(maxIter=1)
    text = error_of(lambda: als.fit(RATINGS, [{als.rank: 1}, {als.rank: 0}]), ValueError)
    assert_says(text, "rank=0", ">= 1")


@pytest.mark.parametrize("params", [5, "rank", [5], {5: 1}, [("rank", 5)]])
def test_parameter_maps_of_a_wrong_type_are_a_type_error(params):
    text = error_of(lambda: ALS().fit(RATINGS, params), TypeError)
    assert re.search("map|parameter", text)


def test_parameter_of_another_estimator_is_a_value_error():
    als, other = ALS(), ALS()
    assert_says(error_of(lambda: als.fit(RATINGS, {other.rank: 3}), ValueError), str(other.rank), als.uid)


# ---- recommendations -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "name"), [("Users", "numItems"), ("Items", "numUsers")])
@pytest.mark.parametrize("n", [0, -1, np.int64(0), -3.0])
def test_number_of_recommendations_below_one_is_a_value_error(model, method, name, n):
    text = error_of(lambda: getattr(model, f"recommendForAll{method}")(n), ValueError)
    assert_says(text, f"{name}={int(n)}", ">= 1")


@pytest.mark.parametrize(("method", "name"), [("Users", "numItems"), ("Items", "numUsers")])
@pytest.mark.parametrize("n", [True, np.True_, 2.5, "3", None, [3], np.nan])
def test_number_of_recommendations_of_a_wrong_type_is_a_type_error_that_names_it(model, method, name, n):
    text = error_of(lambda: getattr(model, f"recommendForAll{method}")(n), TypeError)
    assert_says(text, name, repr(n), "int")


# ---- transform -------------------------------------------------------------------------------------------


def transformed(model, kind, frame, **params):
    out = model.transform(given(kind, frame), params or None)
    return out if kind == "pandas" else out.compute()


@pytest.mark.parametrize("role", ["user", "item"])
def test_transform_names_a_missing_column(kind, model, role):
    text = error_of(lambda: model.transform(given(kind, RATINGS.drop(columns=role))), ValueError)
    assert_says(text, f"No column '{role}'", "its columns are", f"set {role}Col")


OTHER_KINDS = {
    "strings": list("aabbcc"),
    "dates": pd.date_range("2020", periods=6),
    "categories of strings": pd.Categorical(list("aabbcc")),
}


@pytest.mark.parametrize("ids", OTHER_KINDS)
def test_transform_refuses_ids_of_another_kind_at_once(kind, model, ids):
    frame = RATINGS.assign(user=OTHER_KINDS[ids])
    text = error_of(lambda: model.transform(given(kind, frame)), TypeError)
    assert_says(text, "'user'", "trained on ids of kind int64", "convert the column")


def test_transform_refuses_integers_where_the_model_has_strings(kind):
    model = small(maxIter=1).fit(RATINGS.assign(item=list("abbcbc")))
    text = error_of(lambda: model.transform(given(kind, RATINGS)), TypeError)
    assert_says(text, "'item'", "int64", "trained on ids of kind str", "convert the column")


@pytest.mark.parametrize("ids", NO_IDS)
def test_transform_refuses_ids_of_a_type_that_cannot_hold_ids(kind, model, ids):
    text = error_of(lambda: model.transform(given(kind, RATINGS.assign(item=NO_IDS[ids]))), TypeError)
    assert_says(text, "'item'", "cannot hold ids", "integers")


def test_transform_names_the_row_of_a_null_id(kind, model):
    frame = spoilt("user", [1, 1, None, 2, 3, 3], "Int64")
    before = deep_copy(frame)
    assert_says(error_of(lambda: transformed(model, kind, frame), ValueError), "'user'", "null", ROW, "Drop")
    assert_frame_equal(frame, before)
    transformed(model, kind, RATINGS)


def test_transform_names_row_and_value_of_a_fractional_id(kind, model):
    frame = spoilt("item", [5.0, 6, 6.5, 7, 6, 7])
    text = error_of(lambda: transformed(model, kind, frame), ValueError)
    assert_says(text, "'item'", "6.5", ROW, "whole numbers")


def test_values_of_a_dask_frame_are_checked_when_it_is_computed(model):
    lazy = model.transform(cut(spoilt("item", [5.0, 6, 6.5, 7, 6, 7])))
    assert_says(error_of(lazy.compute, ValueError), "'item'", "6.5")


def test_transform_leaves_its_input_as_it_was(kind, model):
    frame = RATINGS.assign(note=list("abcdef"), when=pd.date_range("2020", periods=6))
    before = deep_copy(frame)
    for strategy in ("nan", "drop"):
        out = transformed(model, kind, frame, coldStartStrategy=strategy)
        out["rating"] = 0.0
        out.loc[:, "user"] = 99
        assert_frame_equal(frame, before)


def test_fit_leaves_its_input_as_it_was(kind):
    frame = RATINGS.astype({"user": "category", "rating": "float32"})[["rating", "item", "user"]]
    before = deep_copy(frame)
    small(maxIter=2, implicitPrefs=True).fit(given(kind, frame))
    assert_frame_equal(frame, before)


def test_frame_that_may_not_be_written_to_can_be_fitted(kind):
    """Memory-mapped columns are read-only; nothing is written to the input, so they serve."""
    columns = {name: RATINGS[name].to_numpy(copy=True) for name in RATINGS}
    for values in columns.values():
        values.setflags(write=False)
    frame = pd.DataFrame(columns, copy=False)
    assert transformed(small(maxIter=1).fit(given(kind, frame)), kind, frame)["prediction"].notna().all()


# ---- equations without a solution ------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("names", [{5: 5, 6: 6, 7: 7}, {5: "five", 6: "six", 7: "seven"}], ids=["int", "str"])
def test_no_regularisation_and_too_few_ratings_is_a_value_error_that_names_the_id(kind, names, precision):
    """Item 5 has one rating, which does not determine three factors."""
    frame = RATINGS.assign(item=RATINGS["item"].map(names))
    als = ALS(rank=3, regParam=0.0, maxIter=2, precision=precision)
    grid = pd.MultiIndex.from_product([range(5), range(6)], names=["user", "item"]).to_frame(index=False)
    good = grid.assign(rating=np.random.default_rng(0).normal(size=30))
    words = "item with id", "ratings, rank 3", "singular", "Set regParam above 0", "rank below"
    assert_refused(kind, frame, ValueError, *words, als=als, good=good)
    text = error_of(lambda: als.fit(given(kind, frame)), ValueError)
    culprit, n_ratings = re.search(r"id (\S+) \((\d+) ratings", text).groups()
    counts = {repr(name): count for name, count in frame["item"].value_counts().items()}
    assert counts[culprit] == int(n_ratings) < 3


# ---- on a cluster ----------------------------------------------------------------------------------------


CLUSTER_ERRORS = {
    "null rating": (spoilt("rating", [4.0, 2, None, 4, 1, 5]), ValueError, ("'rating'", "null or NaN", ROW)),
    "infinite rating": (spoilt("rating", [4.0, 2, np.inf, 4, 1, 5]), ValueError, ("'rating'", "inf", ROW)),
    "null id": (spoilt("user", [1, 1, None, 2, 3, 3], "Int64"), ValueError, ("'user'", "null", ROW)),
    "fractional id": (spoilt("user", [1.0, 1, 1.5, 2, 3, 3]), ValueError, ("'user'", "1.5", ROW)),
    "empty": (RATINGS.iloc[:0], ValueError, ("No ratings",)),
}


@pytest.mark.parametrize("fault", CLUSTER_ERRORS)
@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_tasks_keep_type_and_text_on_a_cluster(cluster, kind, fault):
    frame, error, words = CLUSTER_ERRORS[fault]
    with cluster.as_current():
        assert_refused(kind, frame, error, *words)


@pytest.mark.parametrize("kind", KINDS)
def test_singular_equations_name_the_id_on_a_cluster(cluster, kind):
    als = ALS(rank=3, regParam=0.0, maxIter=2)
    with cluster.as_current():
        text = error_of(lambda: als.fit(given(kind, RATINGS.assign(item=list("vwwxwx")))), ValueError)
    assert_says(text, "item with id '", "ratings, rank 3", "Set regParam above 0")


def test_errors_of_transform_keep_type_and_text_on_a_cluster(cluster):
    with cluster.as_current():
        model = small(maxIter=1).fit(RATINGS)
        lazy = model.transform(cut(spoilt("item", [5.0, 6, 6.5, 7, 6, 7])))
        assert_says(error_of(lazy.compute, ValueError), "'item'", "6.5", ROW, "whole numbers")
        assert model.transform(cut(RATINGS)).compute()["prediction"].notna().all()
