"""Five floors: who may import whom, and which words are spoken where.

    4  Spark's surface      3  the outside world      2  orchestration      1  the scheduler      0  arrays

A module imports from floors below its own, or from its own floor where no circle arises. Imports inside functions
count; those under TYPE_CHECKING count as well.
"""

import ast
import re
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

FLOORS = {
    0: ["blas", "blocks", "indexing", "spark_random", "in_blocks", "least_squares", "streamed", "metrics", "kernels"],
    1: ["execution"],
    2: ["partitioning", "factors", "half_steps", "training", "scoring"],
    3: ["frames", "persistence", "factor_files"],
    4: [
        *(
            "recommendation",
            "model",
            "evaluation",
            "tuning",
            "tuning_models",
            "grids",
            "checkpoints",
            "params",
            "saving",
        ),
        *("datasets", "movielens", "cli"),
    ],
}
FLOOR_OF = {module: floor for floor, modules in FLOORS.items() for module in modules}
#: the package itself imports the surface, for its users
TOP = "daskals"

ROOT = Path(find_spec("daskals").origin).parent


def name_of(path):
    """The dotted name of a file's module, without the package: "" is the package, "kernels._numpy" a kernel."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}
MODULES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def first(name):
    """The module that has a floor: of "kernels._numpy" it is "kernels"."""
    return name.partition(".")[0]


# the package itself stands above all floors; a module without a floor fails one test rather than all
each_module = pytest.mark.parametrize("name", [name for name in MODULES if first(name) in FLOOR_OF])


def imports(name):
    """Absolute dotted names of all that a module imports, wherever in it; "from a import b" gives "a.b"."""
    path, found = FILES[name], set()
    package = [TOP, *name.split(".")] if name else [TOP]
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{prefix}.{alias.name}" for alias in node.names}
    return found


def own_imports(name):
    """Modules of this package that a module imports, by the name that has a floor."""
    found = set()
    for each in imports(name):
        if each == TOP or each.startswith(f"{TOP}."):
            module = each.split(".")[1] if "." in each else ""
            # "from daskals import ALS" and "import daskals" both import the package itself
            found.add(module if module in {first(other) for other in MODULES} else "")
    return found


def outside_imports(name):
    """Top-level names of the other packages that a module imports."""
    return {each.partition(".")[0] for each in imports(name)} - {TOP}


def definitions(tree):
    """Names of functions, of classes' methods and of their arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            if not isinstance(node, ast.Lambda):
                yield node.name
            arguments = node.args
            for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                yield each.arg


def words(tree):
    """All identifiers and strings of a module, docstrings included."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "value"):
            if isinstance(getattr(node, field, None), str):
                yield getattr(node, field)


def test_the_package_was_found():
    """Otherwise all below would hold of nothing."""
    assert {"", "blocks", "kernels", "kernels._numpy", "recommendation"} <= set(MODULES)
    assert own_imports("recommendation") >= {"execution", "frames", "params"}
    assert own_imports("datasets") == {"movielens"}
    assert "dask" in outside_imports("training")


@pytest.mark.parametrize("name", sorted({first(name) for name in MODULES} - {""}))
def test_every_module_has_a_floor(name):
    """A new module must be given one, in FLOORS above."""
    assert name in FLOOR_OF, f"give the module {name} a floor in {Path(__file__).name}"


@each_module
def test_imports_go_down(name):
    """Or stay on the floor; nothing inside imports the package itself."""
    for other in own_imports(name):
        assert other, f"{name} imports the package {TOP} rather than one of its modules"
        assert FLOOR_OF.get(other, 4) <= FLOOR_OF[first(name)], f"{name} imports {other}, which is above it"


def test_imports_have_no_circle():
    """TopologicalSorter raises CycleError if they have."""
    graph = {}
    for name in MODULES:
        graph.setdefault(first(name), set()).update(own_imports(name) - {first(name), ""})
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("blocks") < order.index("training") < order.index("recommendation")


@each_module
def test_arrays_know_nothing_of_dask(name):
    """Floor 0 has arrays and numbers only."""
    if FLOOR_OF[first(name)] == 0:
        assert not outside_imports(name) & {"dask", "distributed"}


@each_module
def test_orchestration_knows_no_column_names(name):
    """No userCol, itemCol, ... below the outside world, in code or in text, and no frames."""
    if FLOOR_OF[first(name)] <= 2:
        found = [word for word in words(MODULES[name]) if re.search(r"[a-z]Col\b", word)]
        assert not found
        assert not [each for each in imports(name) if each.startswith("dask.dataframe")]


@each_module
def test_camel_case_lives_on_the_top_floor(name):
    """Names of Spark's kind are not defined below it."""
    if FLOOR_OF[first(name)] < 4:
        assert not [each for each in definitions(MODULES[name]) if re.search(r"[a-z][A-Z]", each)]


@each_module
def test_only_frames_tell_pandas_from_dask(name):
    """Floors 0 to 2 do not import dask.dataframe; the kernels not even pandas."""
    if first(name) in ("kernels", "blocks", "least_squares", "spark_random", "in_blocks", "execution"):
        assert "pandas" not in outside_imports(name)


@each_module
def test_compiled_code_is_optional(name):
    """Numba, and whatever else is an extra, is imported by the kernels that need it and by no one else."""
    optional = outside_imports(name) & {"numba", "llvmlite"}
    assert not optional or first(name) == "kernels"
    assert "numba" not in outside_imports("kernels")
