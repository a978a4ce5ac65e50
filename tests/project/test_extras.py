"""What needs an extra that is not installed says which one to install."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
#: What is run without which modules, and the words that it must say.
WITHOUT = {
    "kernels that are asked for": (
        ["numba"],
        "import os; os.environ['DASKALS_KERNELS'] = 'numba'\nfrom daskals import kernels; kernels.backend",
        "pip install 'daskals[fast]'",
    ),
    "kernels": (
        ["numba"],
        "import logging; logging.basicConfig(level='INFO')\nfrom daskals import kernels; kernels.backend",
        "pip install 'daskals[fast]'",
    ),
    "the command": (
        ["numba"],
        "import os; os.environ.pop('DASKALS_KERNELS', None)\nfrom daskals.cli.main import cli\n"
        "cli(['recommend', 'src/daskals/datasets/spark_sample/sample_movielens_ratings.txt', '--user', '3'])",
        "pip install 'daskals[fast]'",
    ),
    "pictures": (
        ["matplotlib"],
        "from daskals import ALS\nfrom daskals.datasets import load_sample\nfrom daskals.plots import trainingCurve\n"
        "trainingCurve(ALS(rank=2, maxIter=1).fit(load_sample()))",
        "pip install 'daskals[viz]'",
    ),
    "jobs of a queue": (
        ["dask_jobqueue"],
        "import sys; sys.path[:0] = ['deploy', 'deploy/slurm']; import fit_jobqueue as j; j.cluster_class('slurm')",
        "pip install 'daskals[jobqueue]'",
    ),
    "the dashboard of a local cluster": (
        ["bokeh"],
        "import runpy, sys; sys.argv = ['local.py', '--workers', '1', '--', '-c', 'pass']\n"
        "if __name__ == '__main__': runpy.run_path('deploy/local.py', run_name='__main__')",
        "pip install 'daskals[dashboard]'",
    ),
    "a web service": (
        ["fastapi", "uvicorn"],
        "import runpy; runpy.run_path('examples/serve.py', run_name='__main__')",
        "pip install 'daskals[serve]'",
    ),
    "frames of Polars, which is no extra": (
        ["polars"],
        "from daskals import ALSModel; ALSModel.load('a model', frames='polars')",
        "pip install polars",
    ),
}


def run_without(modules, code, folder):
    """What a script writes in a process in which these modules cannot be imported."""
    block = f"import sys\nfor name in {modules}: sys.modules[name] = None\n"
    script = folder / "script.py"
    script.write_text(block + code, encoding="utf-8")
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=ROOT, env=environment)
    return done.stdout + done.stderr


@pytest.mark.parametrize(("modules", "code", "words"), WITHOUT.values(), ids=WITHOUT)
def test_what_is_missing_is_named_with_the_way_to_get_it(modules, code, words, tmp_path):
    assert words in run_without(modules, code, tmp_path)


def test_each_extra_that_is_named_exists():
    """In code, in scripts and in texts: a command that is shown installs something."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    for folder, kinds in {"src": "py", "deploy": "*", "examples": "py", "docs": "md", "tests": "py"}.items():
        files += [path for path in (ROOT / folder).rglob(f"*.{kinds}") if path.is_file()]
    named = {
        extra
        for path in files
        for found in re.findall(r"daskals\[([a-z,]+)\]", path.read_text(encoding="utf-8", errors="ignore"))
        for extra in found.split(",")
    }
    assert {"fast", "jobqueue", "serve", "dashboard"} <= named
    assert named <= set(EXTRAS)
