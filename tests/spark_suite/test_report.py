"""The table is what the tests declare, and what it says of tests in other files is so."""

import ast
from pathlib import Path

import pytest

from spark_suite import report
from spark_suite.report import EXACT, absolute, relative, rmse, spark_test

TESTS = Path(__file__).parents[1]


def functions(file):
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_table_is_up_to_date():
    written = report.TABLE.read_text(encoding="utf-8") if report.TABLE.exists() else ""
    assert written == report.table(), "write it anew: cd tests && python -m spark_suite.report"


def test_every_test_of_als_suite_is_in_the_table():
    """1 to 30, each at least once."""
    assert {row.number for row in report.rows() if row.suite == "ALSSuite"} == {0, *range(1, 31)}


@pytest.mark.parametrize("row", report.ELSEWHERE, ids=lambda row: row.test)
def test_tests_of_other_files_exist_and_have_the_tolerance(row):
    """As a number in the function or its decorators."""
    file, _, name = row.test.partition("::")
    found = functions(file)
    assert name in found
    numbers = {node.value for node in ast.walk(found[name]) if isinstance(node, ast.Constant)}
    if row.ours != EXACT:
        assert row.ours.value in numbers


@pytest.mark.parametrize("module", report.MODULES)
def test_every_test_of_the_suites_is_declared(module):
    """And uses the tolerance that it declares, if it is one."""
    report.rows()
    stated = {row.test: row for row in report.STATED}
    for name, node in functions(f"spark_suite/{module}.py").items():
        if not name.startswith("test_"):
            continue
        row = stated[f"spark_suite/{module}.py::{name}"]
        takes = "tolerance" in {argument.arg for argument in node.args.args}
        assert takes == (row.ours != EXACT), name
        uses = [each for each in ast.walk(node) if isinstance(each, ast.Name) and each.id == "tolerance"]
        assert bool(uses) == takes, name


def test_a_tolerance_beyond_spark_s_is_refused():
    """As is one of another kind."""
    for ours in (rmse(0.02), absolute(0.001)):
        with pytest.raises(ValueError, match=r"is not within Spark's own tolerance, RMSE < 0\.01"):
            spark_test("suite", 1, "name", rmse(0.01), ours=ours)
    with pytest.raises(ValueError, match="is not within Spark's own tolerance, exact"):
        spark_test("suite", 1, "name", EXACT, ours=relative(1e-9))


def test_a_declaration_gives_the_test_its_tolerance(monkeypatch):
    monkeypatch.setattr(report, "STATED", [])

    def test():
        pass

    assert spark_test("suite", 1, "name", rmse(0.01), ours=rmse(0.005))(test) is test
    assert test.tolerance == 0.005
    (row,) = report.STATED
    assert (str(row.tolerance), str(row.ours)) == ("RMSE < 0.01", "RMSE < 0.005")
