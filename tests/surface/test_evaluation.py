"""Evaluators: Spark's own numbers, plain NumPy references, and the same answer however the rows are cut."""

import math
from itertools import pairwise

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import get_task_stream
from hypothesis import given, settings
from hypothesis import strategies as st

from daskals import ALS
from daskals.evaluation import Evaluator, RankingEvaluator, RegressionEvaluator
from daskals.evaluation.ranking import Lists, ranking_scores
from daskals.evaluation.regression import merge_moments, regression_metric, regression_moments

# most tests here are about something else than rated items, of which the evaluator warns once
pytestmark = pytest.mark.filterwarnings("ignore:heldOut= without exclude=")

REGRESSION = ("rmse", "mse", "mae", "r2", "var")
RANKING = ("meanAveragePrecision", "meanAveragePrecisionAtK", "precisionAtK", "ndcgAtK", "recallAtK")

LISTS_OF_INT = pd.ArrowDtype(pa.list_(pa.int64()))
LISTS_OF_STR = pd.ArrowDtype(pa.list_(pa.string()))
RECOMMENDED = pd.ArrowDtype(pa.list_(pa.struct([("item", pa.int32()), ("rating", pa.float32())])))

# data of RankingMetricsSuite and of PySpark's test_evaluation.py
SUITE = (
    [[1, 6, 2, 7, 8, 3, 9, 10, 4, 5], [4, 1, 5, 6, 2, 7, 3, 8, 9, 10], [1, 2, 3, 4, 5]],
    [[1, 2, 3, 4, 5], [1, 2, 3], []],
)
FEW = ([[1, 6, 2], []], [[1, 2, 3, 4, 5], [1, 2, 3]])


def cut(frame, partitions, *, empty=False):
    """A Dask frame with so many partitions; ``empty`` puts one without rows first."""
    bounds = np.linspace(0, len(frame), partitions + 1 - empty).astype(int)
    parts = [frame.iloc[start:end] for start, end in pairwise(bounds)]
    parts = [frame.iloc[:0]] * empty + parts
    return dd.from_map(lambda number: parts[number], range(partitions), meta=frame.iloc[:0])


def cuts(frame):
    """The frame itself, and Dask frames of it."""
    return [frame, cut(frame, 1), cut(frame, 3), cut(frame, 3, empty=True), cut(frame, 7), cut(frame, 7, empty=True)]


def lists(predicted, relevant, dtype=LISTS_OF_INT):
    return pd.DataFrame({"prediction": pd.Series(predicted, dtype=dtype), "label": pd.Series(relevant, dtype=dtype)})


def ratings(prediction, label, **more):
    return pd.DataFrame({"prediction": prediction, "label": label, **more})


# ---- regression: numbers of Spark ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [("rmse", 0.8660254), ("mse", 0.75), ("mae", 0.8333333), ("r2", 0.5178571), ("var", 0.9722222)],
)
def test_regression_measured_in_spark(name, expected):
    frame = ratings([1.5, 1.0, 3.0], [1, 2, 4])
    for each in cuts(frame):
        assert RegressionEvaluator(metricName=name).evaluate(each) == pytest.approx(expected, abs=1e-7)


def test_regression_of_pyspark_test_evaluation():
    frame = pd.DataFrame(
        {
            "raw": [-28.98343821, 20.21491975, -25.98418959, 30.69731842, 74.69283752],
            "label": [-27.0, 21.5, -22.0, 33.0, 71.0],
            "weight": [1.0, 0.8, 1.0, 0.6, 0.2],
        }
    )
    evaluator = RegressionEvaluator().setPredictionCol("raw")
    for each in cuts(frame):
        assert evaluator.evaluate(each) == pytest.approx(2.8424, abs=1e-4)
        assert evaluator.evaluate(each, {evaluator.metricName: "r2"}) == pytest.approx(0.9939, abs=1e-4)
        assert evaluator.evaluate(each, {evaluator.metricName: "mae"}) == pytest.approx(2.6496, abs=1e-4)
        weighted = RegressionEvaluator(predictionCol="raw", weightCol="weight")
        assert weighted.evaluate(each) == pytest.approx(2.7405, abs=1e-4)
    assert weighted.getThroughOrigin() is False


@pytest.mark.parametrize(
    ("prediction", "through_origin", "expected"),
    [
        (
            [72.08, 91.88, 65.48, 52.28, 62.18, 81.98, 58.88, 78.68, 55.58],
            False,
            {"var": 157.3, "mae": 3.7355556, "mse": 17.539511, "rmse": 4.18802, "r2": 0.89968225},
        ),
        (
            [72.12, 99.17, 63.11, 45.08, 58.6, 85.65, 54.09, 81.14, 49.58],
            True,
            {"var": 294.88167, "mae": 4.5888889, "mse": 39.958711, "rmse": 6.3212903, "r2": 0.99185395},
        ),
        (
            [77, 85, 62, 55, 63, 88, 57, 81, 51],
            False,
            {"var": 174.83951, "mae": 0, "mse": 0, "rmse": 0, "r2": 1},
        ),
    ],
    ids=["with intercept", "through the origin", "complete fit"],
)
def test_regression_metrics_suite(prediction, through_origin, expected):
    """RegressionMetricsSuite, whose values come from R."""
    frame = ratings(prediction, [77, 85, 62, 55, 63, 88, 57, 81, 51])
    for each in (frame, cut(frame, 3)):
        found = {
            name: RegressionEvaluator(metricName=name, throughOrigin=through_origin).evaluate(each)
            for name in REGRESSION
        }
        assert found == pytest.approx(expected, abs=1e-5)


# ---- regression: plain references ------------------------------------------------------------------------


def reference(name, p, y, w, through_origin=False):
    """The textbook, with Spark's factor in the total sum of squares."""
    p, y, w = (np.asarray(values, dtype=np.longdouble) for values in (p, y, w))
    mean = (w * y).sum() / w.sum()
    if name in ("mse", "rmse"):
        mse = (w * (y - p) ** 2).sum() / w.sum()
        return float(mse if name == "mse" else mse**0.5)
    if name == "mae":
        return float((w * abs(y - p)).sum() / w.sum())
    if name == "var":
        return float((w * (p - mean) ** 2).sum() / w.sum())
    variance = (w * (y - mean) ** 2).sum() / (w.sum() - (w**2).sum() / w.sum())
    total = (w * y**2).sum() if through_origin else variance * (w.sum() - 1)
    return float(1 - (w * (y - p) ** 2).sum() / total)


@pytest.fixture(scope="module")
def noisy():
    rng = np.random.default_rng(5)
    label = rng.integers(1, 6, 500).astype(float)
    frame = ratings(label + rng.normal(0, 0.7, 500), label, weight=rng.uniform(0, 3, 500))
    frame.loc[::50, "weight"] = 0
    return frame


@pytest.mark.parametrize("through_origin", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", REGRESSION)
def test_regression_is_the_formula_for_every_cut(noisy, name, weighted, through_origin):
    evaluator = RegressionEvaluator(
        metricName=name, weightCol="weight" if weighted else None, throughOrigin=through_origin
    )
    weight = noisy["weight"] if weighted else np.ones(500)
    expected = reference(name, noisy["prediction"], noisy["label"], weight, through_origin)
    for each in cuts(noisy):
        with dask.config.set(scheduler="synchronous"):
            assert evaluator.evaluate(each) == pytest.approx(expected, rel=1e-13)


def test_unweighted_r2_is_one_minus_the_ratio_of_sums_of_squares(noisy):
    p, y = noisy["prediction"], noisy["label"]
    plain = 1 - ((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert RegressionEvaluator(metricName="r2").evaluate(noisy) == pytest.approx(plain, rel=1e-13)


def test_weighted_r2_has_sparks_factor_and_differs_from_the_plain_ratio():
    """By hand: labels 0 and 2 of weights 1 and 3: W = 4, mean 1.5, M2 = 3, W - 10/4 = 1.5, SStot = 3 * 3 / 1.5."""
    frame = ratings([0.0, 1.0], [0.0, 2.0], weight=[1.0, 3.0])
    found = RegressionEvaluator(metricName="r2", weightCol="weight").evaluate(frame)
    assert found == pytest.approx(1 - 3 / 6)
    assert found != pytest.approx(1 - 3 / 3)


@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize("offset", [1e8, -1e8])
def test_large_offsets_lose_no_digits(name, offset):
    rng = np.random.default_rng(11)
    label = offset + rng.normal(0, 0.01, 4000)
    frame = ratings(label + rng.normal(0, 0.003, 4000), label)
    expected = reference(name, frame["prediction"], frame["label"], np.ones(4000))
    for each in cuts(frame):
        assert RegressionEvaluator(metricName=name).evaluate(each) == pytest.approx(expected, rel=1e-7)
    # the formula that the module avoids is far off, so this data can tell
    assert (label**2).mean() - label.mean() ** 2 != pytest.approx(label.var(), rel=0.5)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.sampled_from([0.0, 0.5, 1.0, 7.0])), min_size=1
    ),
    bounds=st.lists(st.integers(0, 50), max_size=6),
)
def test_merging_parts_is_the_whole(rows, bounds):
    """Any cut of any rows, empty parts included, has the moments of the whole."""
    p, y, w = np.array(rows).T
    edges = [0, *sorted(min(bound, len(rows)) for bound in bounds), len(rows)]
    parts = [regression_moments(p[a:b], y[a:b], w[a:b]) for a, b in pairwise(edges)]
    whole, merged = regression_moments(p, y, w), merge_moments(parts)
    assert merged.rows == len(rows)
    np.testing.assert_allclose(merged, whole, rtol=1e-9, atol=1e-3)
    if w.any():
        for name in ("rmse", "mae", "var"):
            expected = reference(name, p, y, w)
            assert regression_metric(name, merged) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "Float64", "double[pyarrow]", "int8", "Int32", "uint16[pyarrow]"])
def test_every_numeric_dtype_is_read(dtype):
    frame = ratings([1, 1, 3], [1, 2, 4]).astype({"prediction": dtype, "label": dtype})
    assert RegressionEvaluator(metricName="mae").evaluate(frame) == pytest.approx(2 / 3)
    assert RegressionEvaluator(metricName="mae").evaluate(cut(frame, 3)) == pytest.approx(2 / 3)


# ---- regression: missing and degenerate ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "Float64", "double[pyarrow]", "float32"])
@pytest.mark.parametrize("name", REGRESSION)
def test_one_missing_prediction_makes_the_metric_nan(name, dtype):
    """What the notebook ran into: a user or item that was not trained on."""
    frame = ratings(pd.Series([1.0, None, 3.0, 4.0], dtype=dtype), [1.0, 2.0, 4.0, 4.0])
    for each in cuts(frame):
        assert math.isnan(RegressionEvaluator(metricName=name).evaluate(each))
    assert not math.isnan(RegressionEvaluator(metricName=name).evaluate(frame.dropna()))


def test_rows_of_weight_zero_do_not_count_even_with_nan():
    frame = ratings([1.0, np.nan, 5.0], [2.0, 2.0, 2.0], weight=[1.0, 0.0, 0.0])
    assert RegressionEvaluator(metricName="mse", weightCol="weight").evaluate(frame) == 1.0


def test_r2_of_one_row_or_constant_labels_is_not_a_number_to_compare():
    evaluator = RegressionEvaluator(metricName="r2")
    assert evaluator.evaluate(ratings([1.0], [2.0])) == -math.inf
    assert evaluator.evaluate(ratings([1.0, 3.0], [2.0, 2.0])) == -math.inf
    assert math.isnan(evaluator.evaluate(ratings([2.0, 2.0], [2.0, 2.0])))


def test_infinite_predictions_need_no_warning():
    assert RegressionEvaluator().evaluate(ratings([math.inf, 1.0], [1.0, 1.0])) == math.inf


@pytest.mark.parametrize("dtype", ["float64", "Int64", "double[pyarrow]"])
def test_missing_labels_are_counted_over_all_partitions(dtype):
    frame = ratings([1.0, 2, 3, 4, 5], pd.Series([None, 2, 3, 4, None], dtype=dtype))
    for each in cuts(frame):
        with pytest.raises(ValueError, match=r"2 missing values in labelCol 'label'; correct or drop"):
            RegressionEvaluator().evaluate(each)


def test_bad_weights_are_counted_and_named():
    frame = ratings([1.0, 2, 3, 4], [1, 2, 3, 4], w=[-1.0, 1.0, np.nan, -2.0])
    for each in cuts(frame):
        with pytest.raises(ValueError, match=r"1 missing values in weightCol 'w', 2 negative values in weightCol 'w'"):
            RegressionEvaluator(weightCol="w").evaluate(each)


def test_weights_that_are_all_zero():
    for each in cuts(ratings([1.0, 2.0], [1.0, 2.0], w=[0, 0])):
        with pytest.raises(ValueError, match=r"All weights in weightCol 'w' are 0; one must be positive"):
            RegressionEvaluator(weightCol="w").evaluate(each)


def test_r2_needs_weights_that_add_up_to_more_than_one():
    """Spark returns 1.029 for these: more than perfect."""
    frame = ratings([2.25, -0.25, 1.75, 7.75], [3.0, -0.5, 2.0, 7.0], w=[0.1, 0.2, 0.15, 0.05])
    evaluator = RegressionEvaluator(weightCol="w", metricName="r2")
    for each in cuts(frame):
        with pytest.raises(ValueError, match=r"they add up to 0\.5\. Multiply them by a constant"):
            evaluator.evaluate(each)
        assert evaluator.evaluate(each, {evaluator.metricName: "mae"}) == pytest.approx(0.4)
        assert evaluator.evaluate(each, {evaluator.throughOrigin: True}) < 1


def test_an_empty_weight_column_name_means_no_weights():
    assert RegressionEvaluator(weightCol="", metricName="mae").evaluate(ratings([1.0, 2.0], [2, 2])) == 0.5


def test_one_column_may_be_prediction_and_label():
    frame = ratings([1.0, 2.0], [5.0, 5.0])
    for each in (frame, cut(frame, 2)):
        assert RegressionEvaluator(labelCol="prediction").evaluate(each) == 0


@pytest.mark.parametrize("evaluator", [RegressionEvaluator(), RankingEvaluator()])
def test_errors_about_the_frame(evaluator):
    frame = ratings([1.0], [1.0])
    if isinstance(evaluator, RankingEvaluator):
        frame = lists([[1]], [[1]])
    for each in (frame.iloc[:0], cut(frame.iloc[:0], 3)):
        with pytest.raises(ValueError, match="dataset has no rows, so there is nothing to evaluate"):
            evaluator.evaluate(each)
    for each in (frame.rename(columns={"label": "lable"}), cut(frame.rename(columns={"label": "lable"}), 2)):
        with pytest.raises(
            ValueError,
            match=r"dataset has no columns 'label' \(labelCol\) and needs one; its columns are prediction, lable",
        ):
            evaluator.evaluate(each)
    with pytest.raises(ValueError, match=r"dataset has 2 columns 'label' \(labelCol\) and needs one"):
        evaluator.evaluate(pd.concat([frame, frame["label"]], axis=1))
    with pytest.raises(TypeError, match=r"dataset must be a pandas or a dask DataFrame, got builtins\.list"):
        evaluator.evaluate([1.0, 2.0])
    with pytest.raises(TypeError, match="params must be a map from parameters to values, got str"):
        evaluator.evaluate(frame, "")


@pytest.mark.parametrize("values", [["a", "b"], [True, False], [1j, 2j]], ids=["str", "bool", "complex"])
def test_columns_that_are_not_numeric_are_named_with_their_dtype(values):
    frame = ratings([1.0, 2.0], values)
    for each in (frame, cut(frame, 2)):  # of strings Dask may have another dtype than pandas
        with pytest.raises(TypeError, match=f"labelCol 'label' must be numeric, its dtype is {each.label.dtype}"):
            RegressionEvaluator().evaluate(each)
    with pytest.raises(TypeError, match="predictionCol 'label' must be numeric"):
        RegressionEvaluator(predictionCol="label", labelCol="prediction").evaluate(frame)


# ---- ranking: numbers of Spark ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("meanAveragePrecision", dict.fromkeys([1, 2, 5, 10, 15], 0.355026)),
        (
            "meanAveragePrecisionAtK",
            {1: 1 / 3, 2: 0.25, 3: 0.24074, 5: 0.211111, 10: 0.355026, 15: 0.355026},
        ),
        ("precisionAtK", {1: 1 / 3, 2: 1 / 3, 3: 1 / 3, 4: 0.25, 5: 0.8 / 3, 10: 0.8 / 3, 15: 8 / 45}),
        ("ndcgAtK", {1: 1 / 3, 2: 1 / 3, 3: 1 / 3, 5: 0.328788, 10: 0.487913, 15: 0.487913}),
        ("recallAtK", {1: 1 / 15, 2: 8 / 45, 3: 11 / 45, 4: 11 / 45, 5: 16 / 45, 10: 2 / 3, 15: 2 / 3}),
    ],
)
def test_ranking_metrics_suite_and_values_measured_in_spark(name, expected):
    frame = lists(*SUITE)
    evaluator = RankingEvaluator(metricName=name)
    for each in cuts(frame):
        found = {k: evaluator.evaluate(each, {evaluator.k: k}) for k in expected}
        assert found == pytest.approx(expected, abs=1e-5)
    assert evaluator.getK() == 10


@pytest.mark.parametrize(
    ("name", "k", "expected"),
    [
        ("precisionAtK", 1, 0.5),
        ("precisionAtK", 2, 0.25),
        ("ndcgAtK", 1, 0.5),
        ("ndcgAtK", 2, 0.30657),
        ("recallAtK", 1, 0.1),
        ("recallAtK", 2, 0.1),
    ],
)
def test_few_predictions_spark_14886(name, k, expected):
    for each in cuts(lists(*FEW)):
        assert RankingEvaluator(metricName=name, k=k).evaluate(each) == pytest.approx(expected, abs=1e-5)


def test_ranking_of_pyspark_test_evaluation():
    """With lists of floats in an object column, as a Python user has them."""
    as_floats = [[[float(item) for item in row] for row in rows] for rows in SUITE]
    frame = lists(*as_floats, dtype=object)
    evaluator = RankingEvaluator().setPredictionCol("prediction")
    assert evaluator.evaluate(frame) == pytest.approx(0.3550, abs=1e-4)
    assert evaluator.evaluate(frame, {evaluator.metricName: "precisionAtK", evaluator.k: 2}) == pytest.approx(
        0.3333, abs=1e-4
    )


# ---- ranking: a plain reference --------------------------------------------------------------------------


def slow_score(name, predicted, relevant, k):
    """One query, in loops."""
    wanted = set(relevant)
    if not wanted:
        return 0.0
    if name == "meanAveragePrecision":
        k = max(len(predicted), len(wanted))
    top = predicted[:k]
    hits = [item in wanted for item in top]
    if name.startswith("meanAveragePrecision"):
        return sum(sum(hits[: i + 1]) / (i + 1) for i in range(len(top)) if hits[i]) / min(len(wanted), k)
    if name == "precisionAtK":
        return sum(hits) / k
    if name == "recallAtK":
        return sum(hits) / len(wanted)
    ideal = sum(1 / math.log2(i + 2) for i in range(min(k, len(wanted))))
    return sum(1 / math.log2(i + 2) for i in range(len(top)) if hits[i]) / ideal


items = st.lists(st.integers(-4, 8), max_size=7)


@settings(max_examples=100, deadline=None)
@given(queries=st.lists(st.tuples(items, items), min_size=1, max_size=8), k=st.integers(1, 9))
def test_scores_are_those_of_loops(queries, k):
    """Repeated items, empty sides and k beyond the lists included."""
    predicted, relevant = zip(*queries, strict=True)
    flat = [
        Lists(np.array([len(row) for row in rows]), np.array([item for row in rows for item in row], dtype=int))
        for rows in (predicted, relevant)
    ]
    for name in RANKING:
        expected = [slow_score(name, p, r, k) for p, r in queries]
        np.testing.assert_allclose(ranking_scores(name, *flat, k), expected, rtol=1e-12)


@pytest.fixture(scope="module")
def queries():
    rng = np.random.default_rng(3)
    predicted = [rng.permutation(30)[: rng.integers(0, 15)].tolist() for _ in range(60)]
    return predicted, [rng.permutation(30)[: rng.integers(0, 8)].tolist() for _ in range(60)]


@pytest.mark.parametrize("name", RANKING)
def test_ranking_is_the_same_for_every_cut(queries, name):
    expected = np.mean([slow_score(name, p, r, 4) for p, r in zip(*queries, strict=True)])
    for each in cuts(lists(*queries)):
        with dask.config.set(scheduler="synchronous"):
            assert RankingEvaluator(metricName=name, k=4).evaluate(each) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "cell", [list, tuple, np.array, lambda row: np.array(row, dtype="float32")], ids=["list", "tuple", "array", "f32"]
)
def test_object_cells_may_be_lists_tuples_or_arrays(queries, cell):
    expected = RankingEvaluator().evaluate(lists(*queries))
    frame = lists(*([cell(row) for row in rows] for rows in queries), dtype=object)
    assert RankingEvaluator().evaluate(frame) == expected
    with dask.config.set({"dataframe.convert-string": False}):
        assert RankingEvaluator().evaluate(dd.from_pandas(frame, npartitions=4)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "kind", [pa.large_list(pa.int32()), pa.list_(pa.float64()), pa.list_(pa.large_string())], ids=str
)
def test_arrow_lists_of_any_kind(queries, kind):
    expected = RankingEvaluator().evaluate(lists(*queries))
    as_item = str if pa.types.is_large_string(kind.value_type) else int
    rows = [[[as_item(item) for item in row] for row in side] for side in queries]
    for each in cuts(lists(*rows, dtype=pd.ArrowDtype(kind))):
        assert RankingEvaluator().evaluate(each) == pytest.approx(expected, rel=1e-12)


def test_lists_of_one_fixed_size_and_sides_of_different_number_types():
    frame = lists([[1, 2], [3, 4]], [[2, 1], [4, 9]], dtype=pd.ArrowDtype(pa.list_(pa.int64(), 2)))
    frame["label"] = pd.Series([[2.0, 1.0], [4.0, 9.0]])
    assert RankingEvaluator(metricName="precisionAtK", k=2).evaluate(frame) == 0.75


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of pandas 3.1, in Dask's own reader
def test_lists_read_from_parquet(tmp_path, queries):
    pq.write_table(pa.table(dict(zip(["prediction", "label"], queries, strict=True))), tmp_path / "lists.parquet")
    frame = dd.read_parquet(tmp_path / "lists.parquet")
    assert RankingEvaluator().evaluate(frame) == pytest.approx(RankingEvaluator().evaluate(lists(*queries)))


# ---- ranking: errors -------------------------------------------------------------------------------------


def test_lists_that_dask_made_strings_of_are_refused_with_advice():
    frame = dd.from_pandas(lists(*FEW, dtype=object), npartitions=1)
    with pytest.raises(TypeError, match=r"predictionCol 'prediction' must hold lists, its dtype is string.*'datafra"):
        RankingEvaluator().evaluate(frame)


def test_numbers_are_no_lists():
    with pytest.raises(TypeError, match=r"predictionCol 'prediction' must hold lists, its dtype is float64"):
        RankingEvaluator().evaluate(ratings([1.0], [1.0]))
    with pytest.raises(TypeError, match=r"labelCol 'label' cannot be read: expected lists, got int64"):
        RankingEvaluator().evaluate(lists([[1]], [1], dtype=object))


def test_missing_lists_are_counted():
    frame = lists([[1], None, None, [2]], [[1], [1], [1], [1]])
    for each in [*cuts(frame), frame.astype(object), lists([[1], None, float("nan")], [[1]] * 3, dtype=object)]:
        with pytest.raises(ValueError, match=r"2 missing lists in predictionCol 'prediction'; correct or drop"):
            RankingEvaluator().evaluate(each)


def test_missing_items():
    with pytest.raises(ValueError, match=r"labelCol 'label' cannot be read: 1 items are missing"):
        RankingEvaluator().evaluate(lists([[1]], [[1, None]]))


@pytest.mark.parametrize("row", [[[1]], [True], [{"item": 1}]], ids=["lists", "bools", "structs"])
def test_items_that_are_neither_numbers_nor_strings(row):
    with pytest.raises(TypeError, match=r"'prediction' cannot be read: items must be numbers, strings or dates, got"):
        RankingEvaluator().evaluate(lists([row], [[1]], dtype=object))


def test_items_of_mixed_types():
    with pytest.raises(TypeError, match=r"predictionCol 'prediction' cannot be read: "):
        RankingEvaluator().evaluate(lists([["a", 1]], [[1]], dtype=object))
    frame = lists([[1]], [["1"]], dtype=object)
    with pytest.raises(TypeError, match="predicted items are numbers and relevant items are strings; convert one"):
        RankingEvaluator().evaluate(frame)


# ---- ranking against held-out ratings ----------------------------------------------------------------------


def recommendations(lists_of_items, dtype="int32", kind=RECOMMENDED):
    """In the form that recommendForAllUsers has."""
    cells = [[{"item": item, "rating": 5.0 - i} for i, item in enumerate(row)] for row in lists_of_items.values()]
    users = pd.Series(list(lists_of_items), dtype=dtype)
    return pd.DataFrame({"user": users, "recommendations": pd.Series(cells, dtype=kind)})


@pytest.fixture(scope="module")
def held():
    """Users -20..39 have recommendations, users 0..59 held-out items: (lists, held-out lists, rows of the latter)."""
    rng = np.random.default_rng(8)
    lists_of = {user: rng.permutation(25)[:6].tolist() for user in range(-20, 40)}
    wanted = {user: rng.permutation(25)[: rng.integers(1, 5)].tolist() for user in [*range(60), -7, -3]}
    rows = pd.DataFrame([(user, item) for user, row in wanted.items() for item in row], columns=["user", "item"])
    return lists_of, wanted, rows.sample(frac=1, random_state=1, ignore_index=True)


@pytest.mark.parametrize("name", RANKING)
def test_held_out_ratings_are_the_labels(held, name):
    """Every pair of kinds of frames, with user ids of different widths, negative ones too."""
    lists_of, wanted, rows = held
    expected = np.mean([slow_score(name, lists_of.get(user, []), row, 3) for user, row in wanted.items()])
    evaluator = RankingEvaluator(metricName=name, k=3)
    recommended = recommendations(lists_of)
    with dask.config.set(scheduler="synchronous"):
        for left in (recommended, cut(recommended, 3, empty=True)):
            for right in (rows, cut(rows, 1), cut(rows, 7)):
                assert evaluator.evaluate(left, heldOut=right) == pytest.approx(expected, rel=1e-12)


def test_users_without_held_out_rows_are_left_out_and_users_without_recommendations_count_0():
    recommended = recommendations({1: [5, 6], 2: [5], 3: []})
    rows = pd.DataFrame({"user": [1, 1, 3, 4], "item": [5, 9, 5, 5]})  # user 1 hits once; 3 and 4 cannot
    evaluator = RankingEvaluator(metricName="precisionAtK", k=1)
    assert evaluator.evaluate(recommended, heldOut=rows) == pytest.approx(1 / 3)
    assert evaluator.evaluate(cut(recommended, 2), heldOut=cut(rows, 3)) == pytest.approx(1 / 3)


def test_recommendations_as_python_dicts_as_plain_lists_and_with_other_column_names(held):
    lists_of, _, rows = held
    expected = RankingEvaluator().evaluate(recommendations(lists_of), heldOut=rows)
    plain = pd.DataFrame({"user": list(lists_of), "recommendations": list(lists_of.values())})
    for left in (recommendations(lists_of, kind=object), plain):
        assert RankingEvaluator().evaluate(left, heldOut=rows) == pytest.approx(expected)
        assert RankingEvaluator().evaluate(left, heldOut=cut(rows, 3)) == pytest.approx(expected)
    kind = pd.ArrowDtype(pa.list_(pa.struct([("film", pa.int32()), ("rating", pa.float32())])))
    films = [[{"film": item, "rating": 1.0} for item in row] for row in lists_of.values()]
    renamed = pd.DataFrame({"who": list(lists_of), "recommendations": pd.Series(films, dtype=kind)})
    rows = rows.rename(columns={"user": "who", "item": "film"})
    assert RankingEvaluator().evaluate(renamed, heldOut=rows, userCol="who", itemCol="film") == pytest.approx(expected)


@pytest.mark.parametrize("dtypes", [("Int64", "int8"), ("float64", "int64"), ("str", "object"), ("str", "str")])
def test_users_of_different_dtypes_meet(held, dtypes):
    lists_of, _, rows = held
    expected = RankingEvaluator().evaluate(recommendations(lists_of), heldOut=rows)
    left = recommendations(lists_of).astype({"user": "str" if "str" in dtypes else "int64"})
    right = rows.astype({"user": "str"}) if "str" in dtypes else rows
    left, right = left.astype({"user": dtypes[0]}), right.astype({"user": dtypes[1]})
    assert RankingEvaluator().evaluate(left, heldOut=right) == pytest.approx(expected)
    assert RankingEvaluator().evaluate(cut(left, 3), heldOut=cut(right, 2)) == pytest.approx(expected)


def test_errors_of_held_out_ratings():
    evaluator, recommended = RankingEvaluator(), recommendations({1: [5], 2: [6]})
    rows = pd.DataFrame({"user": [1, 2], "item": [5, 5]})
    with pytest.raises(ValueError, match=r"heldOut has no columns 'item' \(itemCol\).* are user, movie"):
        evaluator.evaluate(recommended, heldOut=rows.rename(columns={"item": "movie"}))
    with pytest.raises(ValueError, match=r"dataset has no columns 'recommendations' \(made by recommendForAllUsers\)"):
        evaluator.evaluate(rows, heldOut=rows)
    with pytest.raises(TypeError, match=r"heldOut must be a pandas or a dask DataFrame, got builtins\.dict"):
        evaluator.evaluate(recommended, heldOut={})
    with pytest.raises(ValueError, match="heldOut has no rows"):
        evaluator.evaluate(recommended, heldOut=rows.iloc[:0])
    with pytest.raises(ValueError, match="1 repeated values in userCol 'user' of dataset"):
        evaluator.evaluate(pd.concat([recommended, recommended.iloc[:1]]), heldOut=rows)
    for missing in ("user", "item"):
        holes = rows.astype({missing: "Int64"})
        holes.loc[1, missing] = pd.NA
        for each in (holes, cut(holes, 2)):
            with pytest.raises(ValueError, match=f"1 missing values in {missing}Col '{missing}' of heldOut"):
                evaluator.evaluate(recommended, heldOut=each)
    text = rows.astype({"user": "str"})
    named = f"userCol 'user' is int32 in dataset and {text.user.dtype} in heldOut; convert one"
    with pytest.raises(TypeError, match=named):
        evaluator.evaluate(recommended, heldOut=text)
    with pytest.raises(TypeError, match="predicted items are numbers and relevant items are strings"):
        evaluator.evaluate(recommended, heldOut=rows.astype({"item": "str"}))
    with pytest.raises(ValueError, match=r"no field 'movie'; their fields are item, rating"):
        evaluator.evaluate(recommended, heldOut=rows.rename(columns={"item": "movie"}), itemCol="movie")
    with pytest.raises(TypeError, match="column 'recommendations' must hold lists, its dtype is int64"):
        evaluator.evaluate(rows.assign(recommendations=1), heldOut=rows)


# ---- schedulers and passes over the data -------------------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_the_scheduler_in_force_is_used(scheduler, noisy, held):
    lists_of, _, rows = held
    with dask.config.set(scheduler=scheduler):
        found = (
            RegressionEvaluator().evaluate(cut(noisy, 7)),
            RankingEvaluator().evaluate(cut(recommendations(lists_of), 3), heldOut=cut(rows, 3)),
        )
    assert found == pytest.approx(
        (RegressionEvaluator().evaluate(noisy), RankingEvaluator().evaluate(recommendations(lists_of), heldOut=rows))
    )


class Counted:
    """A scheduler that counts how often it is called, and Dask frames whose partitions are counted when read."""

    def __init__(self):
        self.reads, self.computations = [], 0

    def __call__(self, graph, keys, **options):
        self.computations += 1
        return dask.get(graph, keys, **options)

    def cut(self, name, frame, partitions):
        parts = np.array_split(np.arange(len(frame)), partitions)

        def read(number):
            self.reads.append((name, number))
            return frame.iloc[parts[number]]

        return dd.from_map(read, range(partitions), meta=frame.iloc[:0])


def test_each_partition_is_read_once_in_one_computation(noisy):
    counted = Counted()
    frame = counted.cut("rows", noisy, 5)
    with dask.config.set(scheduler=counted):
        RegressionEvaluator(metricName="r2", weightCol="weight").evaluate(frame)
    assert sorted(counted.reads) == [("rows", number) for number in range(5)]
    assert counted.computations == 1


@pytest.mark.parametrize("name", RANKING)
def test_lists_are_read_once_in_one_computation(name):
    counted = Counted()
    frame = counted.cut("lists", lists(*SUITE), 3)
    with dask.config.set(scheduler=counted):
        RankingEvaluator(metricName=name).evaluate(frame)
    assert sorted(counted.reads) == [("lists", number) for number in range(3)]
    assert counted.computations == 1


def test_recommendations_and_held_out_ratings_are_read_once_in_one_computation(held):
    """Both of them, though they are shuffled by user."""
    lists_of, _, rows = held
    counted = Counted()
    left, right = counted.cut("recommended", recommendations(lists_of), 3), counted.cut("held out", rows, 4)
    with dask.config.set(scheduler=counted):
        RankingEvaluator().evaluate(left, heldOut=right)
    assert sorted(counted.reads) == [
        *(("held out", number) for number in range(4)),
        *(("recommended", number) for number in range(3)),
    ]
    assert counted.computations == 1


@pytest.mark.slow
def test_what_a_model_recommends_is_evaluated_on_a_cluster(cluster):
    """As it comes, each block of users scored once, and the same figures as from pandas frames."""
    rng = np.random.default_rng(4)
    rows = pd.DataFrame({"user": rng.integers(-50, 50, 2000), "item": rng.integers(0, 80, 2000)}).drop_duplicates()
    rows, held_out = rows.iloc[::2].assign(rating=1.0), rows.iloc[1::2]
    als = ALS(rank=4, maxIter=2, implicitPrefs=True, numUserBlocks=3)
    best = als.fit(rows).recommendForAllUsers(5)
    with cluster.as_current():
        recommended = als.fit(dd.from_pandas(rows, npartitions=2)).recommendForAllUsers(5)
        right = dd.from_pandas(held_out, npartitions=3)
        for name in ("ndcgAtK", "recallAtK"):
            evaluator = RankingEvaluator(metricName=name, k=5)
            with get_task_stream(cluster) as stream:
                found = evaluator.evaluate(recommended, heldOut=right)
            assert found == pytest.approx(evaluator.evaluate(best, heldOut=held_out), rel=1e-6)
            scored = [each["key"] for each in stream.data if str(each["key"]).startswith("als-recommend-")]
            assert len(scored) == len(set(scored)) == 3
    assert found > 0


def test_on_a_cluster(noisy, held):
    distributed = pytest.importorskip("distributed")
    lists_of, _, rows = held
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        distributed.Client(cluster),
    ):
        on_cluster = (
            RegressionEvaluator(metricName="r2").evaluate(cut(noisy, 7)),
            RankingEvaluator().evaluate(cut(lists(*SUITE), 3)),
            RankingEvaluator().evaluate(cut(recommendations(lists_of), 3), heldOut=cut(rows, 3)),
        )
        with pytest.raises(ValueError, match="1 missing values in labelCol 'label'"):
            RegressionEvaluator().evaluate(cut(ratings([1.0, 2.0], [1.0, None]), 2))
        with dask.config.set(scheduler="threads"):  # a p2p shuffle, the default under a client, would fail
            RankingEvaluator().evaluate(cut(recommendations(lists_of), 3), heldOut=cut(rows, 3))
    assert on_cluster == pytest.approx(
        (
            RegressionEvaluator(metricName="r2").evaluate(noisy),
            RankingEvaluator().evaluate(lists(*SUITE)),
            RankingEvaluator().evaluate(recommendations(lists_of), heldOut=rows),
        )
    )


# ---- parameters ------------------------------------------------------------------------------------------


def test_larger_is_better_for_r2_var_and_every_ranking_metric():
    assert {name: RegressionEvaluator(metricName=name).isLargerBetter() for name in REGRESSION} == {
        "rmse": False,
        "mse": False,
        "mae": False,
        "r2": True,
        "var": True,
    }
    assert all(RankingEvaluator(metricName=name).isLargerBetter() for name in RANKING)


def test_metric_names_are_checked_when_an_evaluator_works_and_not_before():
    evaluator = RankingEvaluator(metricName="mrr", k=0)
    with pytest.raises(ValueError, match=r"metricName='mrr' is not allowed: it must be one of 'meanAverage") as caught:
        evaluator.evaluate(lists(*SUITE))
    assert "k=0 is not allowed: it must be an integer >= 1" in str(caught.value)
    with pytest.raises(ValueError, match="metricName='MAPE' is not allowed: it must be one of 'rmse', 'mse'"):
        RegressionEvaluator(metricName="MAPE").evaluate(ratings([1.0], [1.0]))
    with pytest.raises(TypeError, match="metricName"):
        RegressionEvaluator(metricName=2)
    with pytest.raises(TypeError, match="throughOrigin"):
        RegressionEvaluator(throughOrigin=1)
    with pytest.raises(TypeError, match=r"RankingEvaluator has no parameter 'weightCol'"):
        RankingEvaluator(weightCol="w")
    with pytest.raises(TypeError, match="keyword"):
        RegressionEvaluator("prediction")


def test_the_case_of_letters_in_a_metric_name_does_not_matter():
    assert RegressionEvaluator(metricName="R2").isLargerBetter()
    assert RegressionEvaluator(metricName="RMSE").evaluate(ratings([1.0], [3.0])) == 2.0
    assert RankingEvaluator(metricName="NDCGATK").evaluate(lists(*SUITE)) == pytest.approx(0.487913, abs=1e-5)


def test_params_of_one_call_leave_the_evaluator_alone():
    evaluator = RegressionEvaluator(metricName="r2")
    assert evaluator.evaluate(ratings([1.0, 2.0], [2.0, 4.0]), {evaluator.metricName: "mae"}) == 1.5
    assert evaluator.getMetricName() == "r2"
    copied = evaluator.copy({evaluator.metricName: "mae"})
    assert (evaluator.getMetricName(), copied.getMetricName()) == ("r2", "mae")
    with pytest.raises(ValueError, match="does not belong to"):
        evaluator.evaluate(ratings([1.0], [1.0]), {RankingEvaluator().k: 2})


def test_set_params_sets_what_is_passed_and_refuses_the_rest():
    evaluator = RegressionEvaluator(labelCol="rating")
    assert evaluator.setParams(metricName="mae", weightCol="w") is evaluator
    assert (evaluator.getLabelCol(), evaluator.getMetricName(), evaluator.getWeightCol()) == ("rating", "mae", "w")
    assert not evaluator.isSet("throughOrigin")
    with pytest.raises(TypeError, match=r"RegressionEvaluator has no parameter 'k'; its parameters are predictionCol"):
        evaluator.setParams(k=3)
    assert RankingEvaluator().setK(3).setLabelCol("x").getK() == 3
    assert not RegressionEvaluator().isDefined("weightCol")


def test_an_evaluator_of_ones_own():
    class Rows(Evaluator):
        def _evaluate(self, dataset):
            return float(len(dataset))

    assert Rows().evaluate(ratings([1.0], [1.0])) == 1.0
    assert Rows().isLargerBetter()
    with pytest.raises(NotImplementedError, match="Evaluator does not say how to evaluate"):
        Evaluator().evaluate(ratings([1.0], [1.0]))


@pytest.mark.parametrize(("call", "known"), [(regression_metric, "rmse, mse"), (ranking_scores, "meanAverage")])
def test_array_functions_name_the_metrics_they_know(call, known):
    one = regression_moments(np.ones(1), np.ones(1))
    arguments = (one,) if call is regression_metric else (None, None, 1)
    with pytest.raises(ValueError, match=f"There is no metric 'mrr'; the metrics are {known}"):
        call("mrr", *arguments)
