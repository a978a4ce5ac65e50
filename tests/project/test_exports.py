"""What the package offers is what it says it offers."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import daskals

OPTIONAL = {"numba", "pyspark", "tqdm", "bokeh", "dask_jobqueue", "threadpoolctl", "matplotlib"}


def all_modules():
    """Names of all modules of the package."""
    return [each.name for each in pkgutil.walk_packages(daskals.__path__, "daskals.")]


def load(name):
    """A module, or a skip if it stands on an extra that is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in OPTIONAL:
            pytest.skip(f"{name} needs {error.name}")
        raise


def test_the_package_exports_what_it_lists():
    """__all__ has every public name that is no module, and no other."""
    public = {name for name in dir(daskals) if not name.startswith("_")}
    assert public == set(daskals.__all__) == {"ALS", "ALSModel", "Hosts", "plan"}
    assert sorted(daskals.__all__) == daskals.__all__


@pytest.mark.parametrize("name", all_modules())
def test_every_module_has_what_it_lists(name):
    """Whatever stands in a module's __all__ can be imported from it, once."""
    module = load(name)
    listed = getattr(module, "__all__", [])
    assert len(set(listed)) == len(listed)
    assert not [each for each in listed if not hasattr(module, each)]


@pytest.mark.parametrize("name", all_modules())
def test_every_module_says_what_it_is_for(name):
    """A docstring at its head."""
    assert (load(name).__doc__ or "").strip()


def test_star_import_gives_the_list():
    """from daskals import *."""
    found = {}
    exec("from daskals import *", found)
    assert set(found) - {"__builtins__"} == set(daskals.__all__)


def test_dir_shows_the_public_names_alone():
    """And the version; modules that happen to be imported are not shown."""
    import daskals.engine.loop

    assert dir(daskals) == ["ALS", "ALSModel", "Hosts", "__version__", "plan"]
    with pytest.raises(AttributeError, match="module 'daskals' has no attribute 'als'"):
        daskals.als


def imports_of(statement):
    """Which of our modules, of Dask and of Numba are imported by a statement in a new process."""
    code = f"{statement}\nimport sys\nprint(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {
        name for name in done.stdout.split() if name.partition(".")[0] in ("daskals", "dask", "distributed", "numba")
    }


def test_import_daskals_is_cheap():
    """Neither Dask nor Numba, until ALS is asked for."""
    assert imports_of("import daskals") == {"daskals"}
    assert imports_of("import daskals; dir(daskals)") == {"daskals"}
    assert imports_of("from daskals import ALS") >= {"daskals.recommendation", "dask"}


def test_type_checkers_see_the_public_names():
    """What is imported when asked for is imported where types are checked."""
    tree = ast.parse(Path(daskals.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    assert {alias.name for node in block.body for alias in node.names} == set(daskals.__all__)


def test_the_package_is_typed():
    """py.typed lies beside the modules, for type checkers."""
    assert (Path(find_spec("daskals").origin).parent / "py.typed").is_file()
