"""The house: a package imports only from packages below it."""

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

#: From the roof down. Packages on one line do not know each other.
FLOORS = [
    ["cli"],
    ["plots"],
    ["tuning"],
    ["recommendation", "evaluation", "datasets"],
    ["serving"],
    ["io"],
    ["engine"],
    ["execution", "blocks"],
    ["kernels", "params", "progress"],
]
FLOOR_OF = {package: number for number, floor in enumerate(reversed(FLOORS)) for package in floor}
LONGEST_FILE, LONGEST_FUNCTION, LONGEST_PARAMETERS = 300, 60, 8

ROOT = Path(find_spec("daskals").origin).parent
TREES = {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.rglob("*.py"))}
INSIDE = {path: tree for path, tree in TREES.items() if len(path.parts) > 1}
each_file = pytest.mark.parametrize("path", INSIDE, ids=str)


def package(path):
    """The package that a file is in."""
    return path.parts[0]


def imported(tree):
    """Absolute dotted names of all that a module imports, wherever in it; "from a import b" gives "a.b"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute, so that the rule can be read off a line"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_packages(tree):
    """The packages of daskals that a module imports from, or reads from a name that it makes up."""
    made = [
        "".join(each.value for each in ast.walk(call.args[0]) if isinstance(each, ast.Constant))
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and call.args and ast.unparse(call.func).endswith("import_module")
    ]
    return {name.split(".")[1] for name in [*imported(tree), *made] if name.startswith("daskals.")}


def libraries(tree):
    """The other top-level names that a module imports."""
    return {name.partition(".")[0] for name in imported(tree)} - {"daskals"}


def functions(tree):
    """All functions and methods, also those inside of others."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def arguments_of(function):
    """What it takes, but for *args and **kwargs."""
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def lines_of_code(function):
    """From the first line of its signature to the last of its body, without the docstring."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    return function.end_lineno - function.lineno + 1 - (docstring.end_lineno - docstring.lineno + 1 if docstring else 0)


def definitions(tree):
    """Names of functions, of classes' methods and of their arguments."""
    for node in functions(tree):
        yield node.name
        yield from (each.arg for each in arguments_of(node))


def words(tree):
    """All identifiers and strings of a module, docstrings included."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "value"):
            if isinstance(getattr(node, field, None), str):
                yield getattr(node, field)


def test_the_house_was_found():
    """Otherwise all below would hold of nothing."""
    assert {package(path) for path in INSIDE} == set(FLOOR_OF)
    assert own_packages(TREES[Path("recommendation/fitting.py")]) >= {"engine", "io", "execution"}
    assert own_packages(TREES[Path("recommendation/meanings.py")]) >= {"engine", "kernels"}
    assert "dask" in libraries(TREES[Path("engine/loop.py")])
    assert {path for path in TREES if len(path.parts) == 1} == {Path("__init__.py"), Path("__main__.py")}


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("import daskals.io.ids", "io"),
        ("from daskals import kernels", "kernels"),
        ("from daskals.engine import loop", "engine"),
        ("def later():\n    from daskals.tuning.grid import ParamGridBuilder", "tuning"),
        ("if TYPE_CHECKING:\n    from daskals.io import ids as anything", "io"),
        ("import_module(f'daskals.kernels.{name}')", "kernels"),
        ("importlib.import_module('daskals.io')", "io"),
        ("import dask, numpy", None),
    ],
)
def test_an_import_is_seen_however_it_is_written(line, package):
    assert own_packages(ast.parse(line)) == {package} - {None}


@each_file
def test_a_package_imports_only_from_packages_below_it(path):
    """The whole rule. (Through the bare name ``daskals`` and its lazy names all would be in reach.)"""
    mine = package(path)
    assert "daskals" not in imported(TREES[path])
    assert own_packages(TREES[path]) <= set(FLOOR_OF), "name the package, rather than what daskals shows of it"
    above = [each for each in own_packages(TREES[path]) if each != mine and FLOOR_OF[each] >= FLOOR_OF[mine]]
    assert not above, f"{mine} imports from {above}"


@each_file
def test_a_room_can_be_overseen(path):
    """At most 300 lines; outside of compiled code a function has at most 8 parameters, and 60 lines of code."""
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    if path.parts[:2] == ("kernels", "numba"):
        return
    for node in functions(TREES[path]):
        assert lines_of_code(node) <= LONGEST_FUNCTION, node.name
        # Spark's constructors have a keyword for each parameter, and public functions of data sets theirs
        public = package(path) in ("recommendation", "evaluation", "tuning", "datasets", "serving", "plots")
        if not (public and (node.name == "__init__" or not node.name.startswith("_"))):
            given = [each.arg for each in arguments_of(node)]
            assert len([each for each in given if each not in ("self", "cls")]) <= LONGEST_PARAMETERS, node.name


@each_file
def test_arrays_know_nothing_of_dask(path):
    """Below the engine there are arrays and numbers only; the kernels do not even know pandas."""
    if package(path) in ("blocks", "kernels"):
        assert not libraries(TREES[path]) & {"dask", "distributed"}
    if package(path) == "kernels":
        assert "pandas" not in libraries(TREES[path])


def imported_at_once(tree):
    """Absolute dotted names of what is imported when the module is: not what is in functions, or for type checkers."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(ast.Module([node], []))


def files_of(name):
    """The files that are run when something is imported by its dotted name: those of its packages, and its own."""
    parts = name.split(".")[1:]
    for n in range(len(parts) + 1):
        yield Path(*parts[:n], "__init__.py")
        if n:
            yield Path(*parts[:n]).with_suffix(".py")


def closure(paths):
    """All files that are run when these are, themselves included."""
    done, left = set(), set(paths)
    while left:
        path = left.pop()
        done.add(path)
        found = {
            file for name in imported_at_once(TREES[path]) if name.startswith("daskals.") for file in files_of(name)
        }
        left |= (found & set(TREES)) - done
    return done


def test_serving_stands_on_what_has_no_dask():
    """Whatever it imports, directly or through others: no Dask, and no compiled kernels."""
    ground = closure(path for path in INSIDE if package(path) == "serving")
    assert {Path("io/factor_files.py"), Path("kernels/__init__.py"), Path("blocks/reasons.py")} <= ground
    assert Path("io/frames.py") in closure([Path("io/ids.py")])
    bad = {str(path) for path in ground if libraries(TREES[path]) & {"dask", "distributed", "numba", "llvmlite"}}
    assert not bad


def test_python_m_daskals_is_the_command():
    """What stands beside the packages has no code of its own."""
    assert set(imported(TREES[Path("__main__.py")])) == {"daskals.cli.main.run"}


def test_help_of_the_command_needs_no_numpy():
    """What `daskals --help`, and the help of each command, run: click and the standard library alone."""
    shown = [path for path in INSIDE if package(path) == "cli" and path.stem.endswith(("main", "options", "_command"))]
    ground = closure([*shown, Path("__main__.py")])
    heavy = {"dask", "distributed", "numpy", "pandas", "pyarrow", "numba", "fsspec"}
    assert Path("cli/talking.py") in ground
    assert not {
        str(path) for path in ground if {name.partition(".")[0] for name in imported_at_once(TREES[path])} & heavy
    }


@each_file
def test_the_engine_knows_no_columns_and_no_settings(path):
    """No userCol, itemCol, ... in code or in text, no frames, and nothing that reads Dask's configuration."""
    if package(path) in ("engine", "blocks", "kernels"):
        assert not [word for word in words(TREES[path]) if re.search(r"[a-z]Col\b", word)]
        assert not [each for each in imported(TREES[path]) if each.startswith("dask.dataframe")]
        assert not {"current_scheduler", "read_settings"} & {each.rsplit(".")[-1] for each in imported(TREES[path])}
        assert "dask.config" not in ast.unparse(TREES[path])


@each_file
def test_pandas_or_dask_is_asked_in_io(path):
    """And nowhere else: only there, and where data are made, is there a word of dask.dataframe."""
    if package(path) not in ("io", "datasets"):
        assert not [each for each in imported(TREES[path]) if each.startswith("dask.dataframe")]


@each_file
def test_camel_case_lives_under_the_roof(path):
    """Names of Spark's kind are not defined below the surface."""
    if package(path) in ("io", "engine", "execution", "blocks", "kernels") and path != Path("io/readwrite.py"):
        assert not [each for each in definitions(TREES[path]) if re.search(r"[a-z][A-Z]", each)]


@each_file
def test_compiled_code_is_optional(path):
    """Numba is imported by the compiled kernels alone."""
    if path.parts[:2] != ("kernels", "numba"):
        assert not libraries(TREES[path]) & {"numba", "llvmlite"}


def test_twins_have_one_name():
    """Each kernel of plain NumPy has a compiled one in a file of the same name."""
    names = {kind: {path.name for path in INSIDE if path.parts[:2] == ("kernels", kind)} for kind in ("numpy", "numba")}
    assert names["numpy"] <= names["numba"]
