"""The table of Spark's tests: what each one allows, and which test of ours says the same, how closely.

A test that says what one of Spark's says is decorated with `spark_test`; what it allows is declared there, and the
test gets it from the fixture ``tolerance``, so that the table cannot say one thing and the test do another. Tests
that already stand elsewhere are in `ELSEWHERE`, those without a meaning here in `WITHOUT_MEANING`.

To write the table anew: ``cd tests && python -m spark_suite.report``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

F = TypeVar("F", bound=Callable)

HERE = Path(__file__).parent
TABLE = HERE / "TABLE.md"
MODULES = ("test_als_suite", "test_pyspark_suite")


class Tolerance(NamedTuple):
    """How far from the expected value a number may be. Values of one kind can be compared."""

    kind: str
    value: float = 0.0

    def __str__(self) -> str:
        return self.kind if self == EXACT else f"{self.kind} {self.value:g}"

    @property
    def bare(self) -> str:
        """Without the kind."""
        return f"{self.value:g}"


EXACT = Tolerance("exact")


def rmse(value: float) -> Tolerance:
    """An upper limit of the root of the mean squared error."""
    return Tolerance("RMSE <", value)


def relative(value: float) -> Tolerance:
    """A limit of the relative error."""
    return Tolerance("relative", value)


def absolute(value: float) -> Tolerance:
    """A limit of the absolute error."""
    return Tolerance("absolute", value)


class Row(NamedTuple):
    """A test of Spark and its counterpart."""

    suite: str
    #: number in the list of ALSSuite's tests; 0 elsewhere
    number: int
    name: str
    #: Spark's
    tolerance: Tolerance
    #: of our test
    ours: Tolerance
    #: file::function, below the folder of tests
    test: str
    #: what is different here, if something is
    note: str = ""


#: What `spark_test` has seen; filled by importing the modules of tests.
STATED: list[Row] = []


def spark_test(
    suite: str,
    number: int,
    name: str,
    tolerance: Tolerance = EXACT,
    *,
    ours: Tolerance | None = None,
    note: str = "",
) -> Callable[[F], F]:
    """Declare that a test says what Spark's test says. ``ours`` is our tolerance, where it is the stricter one."""
    ours = ours or tolerance
    if ours != EXACT and (ours.kind != tolerance.kind or ours.value > tolerance.value):
        raise ValueError(f"{name}: {ours} is not within Spark's own tolerance, {tolerance}")

    def declare(test: F) -> F:
        test.tolerance = ours.value  # type: ignore[attr-defined]
        STATED.append(
            Row(suite, number, name, tolerance, ours, f"spark_suite/{_file(test)}::{test.__name__}", note)  # type: ignore[attr-defined]
        )
        return test

    return declare


def _file(test: Callable) -> str:
    return f"{test.__module__.rpartition('.')[2]}.py"


def _elsewhere(
    suite: str, number: int, name: str, tolerance: Tolerance, test: str, *, ours: Tolerance | None = None
) -> Row:
    return Row(suite, number, name, tolerance, ours or tolerance, test)


NUMBERS, EVALUATION = "blocks/test_spark_random.py", "surface/test_evaluation.py"
#: Stated in other files; the tolerance stands in the source of the test, which is checked.
ELSEWHERE = [
    _elsewhere("ALSSuite", 7, "exact rank-1 matrix", rmse(0.001), f"{NUMBERS}::test_exact_rank_one_matrix"),
    _elsewhere("ALSSuite", 8, "approximate rank-1 matrix", rmse(0.02), f"{NUMBERS}::test_approximate_rank_one_matrix"),
    _elsewhere("ALSSuite", 9, "approximate rank-2 matrix", rmse(0.03), f"{NUMBERS}::test_approximate_rank_two_matrix"),
    _elsewhere("ALSSuite", 10, "different block settings", rmse(0.03), f"{NUMBERS}::test_different_block_settings"),
    _elsewhere("ALSSuite", 11, "more blocks than ratings", rmse(0.002), f"{NUMBERS}::test_more_blocks_than_ratings"),
    _elsewhere("ALSSuite", 12, "implicit feedback", rmse(0.3), f"{NUMBERS}::test_implicit_feedback"),
    _elsewhere(
        "PySpark doctest",
        0,
        "ALS: predictions",
        absolute(1e-4),
        f"{NUMBERS}::test_predictions_of_spark_s_documentation",
        ours=absolute(1e-6),
    ),
    _elsewhere(
        "PySpark doctest",
        0,
        "ALS: recommendForAllUsers, recommendForAllItems",
        absolute(1e-3),
        f"{NUMBERS}::test_recommendations_of_spark_s_documentation",
        ours=EXACT,
    ),
    _elsewhere(
        "PySpark test_evaluation",
        0,
        "test_regression_evaluator: metrics",
        absolute(1e-4),
        f"{EVALUATION}::test_regression_of_pyspark_test_evaluation",
    ),
    _elsewhere(
        "PySpark test_evaluation",
        0,
        "test_ranking_evaluator: metrics",
        absolute(1e-4),
        f"{EVALUATION}::test_ranking_of_pyspark_test_evaluation",
    ),
    _elsewhere(
        "RankingMetricsSuite",
        0,
        "Ranking metrics: MAP, NDCG, Recall",
        absolute(1e-5),
        f"{EVALUATION}::test_ranking_metrics_suite_and_values_measured_in_spark",
    ),
    _elsewhere(
        "RankingMetricsSuite",
        0,
        "MAP, NDCG, Recall with few predictions (SPARK-14886)",
        absolute(1e-5),
        f"{EVALUATION}::test_few_predictions_spark_14886",
    ),
    _elsewhere(
        "RegressionMetricsSuite",
        0,
        "with intercept, through the origin, complete fit",
        absolute(1e-5),
        f"{EVALUATION}::test_regression_metrics_suite",
    ),
]

#: (suite, test, why there is nothing to say of it here)
WITHOUT_MEANING = [
    (
        "ALSSuite",
        "2: normal equation, wrong lengths and negative weights are refused",
        "equations are assembled from arrays of one block at once, there is no object that takes one row; "
        "that weights are never negative is in the counterpart of the test",
    ),
    (
        "ALSSuite",
        "20: string ids are refused; ids beyond 32 bits are refused",
        "ids may be integers of 64 bits, strings, categories and dates; what is no id of these kinds is refused",
    ),
    (
        "ALSSuite",
        "20: the same on a stream",
        "Dask has no streaming frames",
    ),
    (
        "ALSStorageSuite",
        "default and non-default storage params set correct RDD StorageLevels",
        "there are no RDDs; where rows are kept is up to the memory limits of Dask's workers. A level other than the "
        "default has no effect and a warning says so (stated)",
    ),
    (
        "ALSStorageSuite",
        "saved model size estimation",
        "estimatedSize and estimateModelSize are Scala's alone: Spark's Python has neither",
    ),
    (
        "RankingMetricsSuite",
        "NDCG with relevance values",
        "RankingMetrics of the RDD interface alone: RankingEvaluator takes no relevance",
    ),
    (
        "PySpark test_evaluation",
        "test_java_params",
        "there are no Java objects that copies could share; that copies share nothing is stated",
    ),
    (
        "PySpark test_evaluation",
        "binary, multiclass, multilabel and clustering evaluators",
        "they do not evaluate a recommender",
    ),
]


def rows() -> list[Row]:
    """All tests that are stated, by suite and in Spark's order."""
    for module in MODULES:
        importlib.import_module(f"spark_suite.{module}")
    suites = ["ALSSuite", "ALSCleanerSuite", "ALSStorageSuite"]
    order = {name: place for place, name in enumerate(suites)}
    return sorted({*STATED, *ELSEWHERE}, key=lambda row: (order.get(row.suite, len(order)), *row[:3], row.test))


def table() -> str:
    """The table as Markdown."""
    lines = [
        "<!-- Generated by `python -m spark_suite.report`, to be run in the folder of tests. Do not edit. -->",
        "",
        "# Spark's tests of ALS, and ours",
        "",
        "Each line is a test of Apache Spark, what that allows, and the test here that says the same on the same data.",
        "",
        "| Spark's test | Spark's tolerance | our test | ours |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows():
        number = f"{row.number}. " if row.number else ""
        ours = f"{row.ours} ({row.note})" if row.note else str(row.ours)
        lines.append(f"| {row.suite}: {number}{row.name} | {row.tolerance} | `{row.test}` | {ours} |")
    lines += ["", "## Without a meaning on Dask", "", "| Spark's test | why |", "| --- | --- |"]
    lines += [f"| {suite}: {test} | {reason} |" for suite, test, reason in WITHOUT_MEANING]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    # this module under its own name is another one, and the tests' decorators talk to that
    TABLE.write_text(importlib.import_module("spark_suite.report").table(), encoding="utf-8")
