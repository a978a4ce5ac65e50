"""CONTRIBUTING.md: its examples run, and the files and functions that it names exist."""

import ast
import doctest
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = Path(find_spec("daskals").origin).parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TABLES = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("|")]
STEPS = [row for row in TABLES if re.match(r"\d+\. ", row[0])]
QUOTED = re.findall(r"`([^`\n]+)`", TEXT)


def quoted(cell):
    """The words in code font."""
    return re.findall(r"`([^`]+)`", cell)


def defined_in(file):
    """Names of all functions and classes, methods included."""
    nodes = ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_the_examples_run():
    """All that follows >>> in the file, in their order."""
    (example,) = [doctest.DocTestParser().get_doctest(TEXT, {}, "CONTRIBUTING.md", "CONTRIBUTING.md", 0)]
    assert len(example.examples) > 10
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize(("_", "files", "functions"), STEPS, ids=[row[0].partition(".")[0] for row in STEPS])
def test_every_step_from_rating_to_factor_is_where_the_table_says(_, files, functions):
    """Each function of a row is defined in one of the row's files."""
    names = set().union(*map(defined_in, quoted(files)))
    assert quoted(functions)
    assert set(quoted(functions)) <= names


@pytest.mark.parametrize(
    "name", sorted({each for each in QUOTED if re.fullmatch(r"[\w./]+\.(py|md|yaml|sbatch)", each)})
)
def test_every_file_that_is_named_exists(name):
    """From the root of the project, or from that of the package; NAME stands for any."""
    places = [ROOT / name, PACKAGE / name] if "NAME" not in name else [PACKAGE / Path(name).parent]
    assert any(place.exists() for place in places)


def test_the_table_of_packages_has_them_all():
    """A row for each folder of the package."""
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {quoted(row[0])[0] for row in TABLES if quoted(row[0]) and len(row) == 4} == packages


@pytest.mark.parametrize("name", ["LATER_PARAMS", "KINDS", "RANKING_METRICS", "REGRESSION_METRICS", "_CONVERSIONS"])
def test_every_table_to_add_to_exists(name):
    """As a name at the head of some file."""
    assert name in QUOTED
    files = [*PACKAGE.rglob("*.py"), ROOT / "benchmarks" / "same_bits.py"]
    assert any(re.search(rf"^{name}\b.*=", file.read_text(encoding="utf-8"), re.M) for file in files)
