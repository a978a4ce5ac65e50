"""Which set of kernels is taken where Numba is broken, absent, or has no room for a cache: each in its own process."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGE = Path(find_spec("daskals").origin).parent
TELL = "import logging; logging.basicConfig(); import daskals.kernels as kernels; print(kernels.backend)"
FIT = """
import logging; logging.basicConfig()
import pandas as pd
from daskals import ALS, kernels
ratings = pd.DataFrame({"user": [0, 0, 1, 2], "item": [5, 6, 5, 6], "rating": [1.0, 2.0, 3.0, 4.0]})
print(kernels.backend, len(ALS(rank=2, maxIter=1).fit(ratings).history))
"""
BROKEN = {
    "ImportError": 'raise ImportError("Numba needs NumPy 1.0 or less")',
    "OSError": 'raise OSError("libsvml.so: cannot open shared object file")',
    "AttributeError": "import sys; sys.no_such_name",
    "empty": "",
}
needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="compiled kernels need numba")


def run(code, path, **environment):
    """Run code in a new process that finds modules in ``path`` first."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DASKALS_KERNELS", "NUMBA_CACHE_DIR")}
    kept["PYTHONPATH"] = os.pathsep.join(map(str, path))
    return subprocess.run(
        [sys.executable, "-B", "-c", code],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def broken_numba(folder, code):
    """A folder with a package of Numba's name that cannot be used."""
    (folder / "numba").mkdir()
    (folder / "numba" / "__init__.py").write_text(code)
    return folder


@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN)
def test_a_numba_that_cannot_be_imported_is_passed_over_with_a_warning(code, tmp_path):
    """One line that says why."""
    done = run(TELL, [broken_numba(tmp_path, code), PACKAGE.parent])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "numpy"
    (line,) = done.stderr.splitlines()
    assert "Numba cannot be imported" in line
    assert "Error: " in line


def test_a_fit_runs_without_a_usable_numba(tmp_path):
    """From start to end, on the plain kernels."""
    done = run(FIT, [broken_numba(tmp_path, BROKEN["OSError"]), PACKAGE.parent])
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["numpy", "1"]
    assert done.stderr.count("libsvml.so") == 1


def test_compiled_kernels_that_are_asked_for_and_cannot_be_had_are_an_error(tmp_path):
    """The error says which wish it was, why, and what to do."""
    done = run(TELL, [broken_numba(tmp_path, BROKEN["empty"]), PACKAGE.parent], DASKALS_KERNELS="numba")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: DASKALS_KERNELS=numba asks for compiled kernels")
    assert "Error: " in last.removeprefix("ImportError: ")
    assert "unset DASKALS_KERNELS" in last


def test_plain_kernels_that_are_asked_for_need_no_numba(tmp_path):
    """It is not even imported."""
    done = run(TELL, [broken_numba(tmp_path, BROKEN["empty"]), PACKAGE.parent], DASKALS_KERNELS="numpy")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "numpy", "")


def test_an_absent_numba_is_no_reason_to_warn():
    """It is optional."""
    done = run(f"import sys; sys.modules['numba'] = None; {TELL}", [PACKAGE.parent])
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "numpy", "")


def test_an_unknown_set_of_kernels_is_refused():
    """With the two that there are."""
    done = run(TELL, [PACKAGE.parent], DASKALS_KERNELS="fortran")
    assert "DASKALS_KERNELS='fortran' is not allowed: it must be 'numba' or 'numpy'" in done.stderr


def test_the_choice_is_made_at_the_first_use():
    """Importing the package brings neither set, nor Numba and SciPy; every name is there all the same."""
    code = """
import sys
from daskals import kernels
import daskals.kernels.types
print(sorted(name for name in sys.modules if name.split(".")[0] in ("numba", "scipy") or "kernels.num" in name))
print(set(kernels.__all__) <= set(dir(kernels)), vars(kernels).get("top_k"))
from daskals.kernels import top_k
print(kernels.backend, all(callable(getattr(kernels, name)) for name in kernels.__all__ if name != "backend"))
print(top_k is kernels.top_k is vars(kernels)["top_k"], hasattr(kernels, "top_kk"))
"""
    done = run(code, [PACKAGE.parent], DASKALS_KERNELS="numpy")
    assert done.stdout.splitlines() == ["[]", "True None", "numpy True", "True False"], done.stderr


def test_many_threads_may_make_the_choice_at_once():
    """All get the same functions."""
    code = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from daskals import kernels
start = Barrier(8)
def first(number):
    start.wait()
    return getattr(kernels, kernels.__all__[2 + number])
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(first, range(8)))
print([each is getattr(kernels, name) for each, name in zip(found, kernels.__all__[2:])] == [True] * 8)
"""
    assert run(code, [PACKAGE.parent]).stdout.strip() == "True"


@needs_numba
def test_without_room_for_a_cache_kernels_are_compiled_all_the_same(tmp_path):
    """Neither the package's folder nor the user's can be written: one line says what to set."""
    shutil.copytree(PACKAGE, tmp_path / "daskals", ignore=shutil.ignore_patterns("__pycache__"))
    # a file where a folder would have to be: not even root can make it
    (tmp_path / "daskals" / "kernels" / "numba" / "__pycache__").touch()
    code = f"{TELL}; import numpy as np; print(kernels.gaussians(1, 4).round(3).tolist())"
    nowhere = str(tmp_path / "daskals" / "__init__.py" / "cache")
    done = run(code, [tmp_path], HOME=nowhere, XDG_CACHE_HOME=nowhere)
    assert done.returncode == 0, done.stderr
    backend, numbers = done.stdout.splitlines()
    assert backend == "numba"
    assert len(numbers.split(",")) == 4
    (line,) = done.stderr.splitlines()
    assert "NUMBA_CACHE_DIR" in line
