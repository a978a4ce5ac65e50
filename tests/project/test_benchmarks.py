"""The scripts in benchmarks/ run: each says what it takes, and does its work on data of any size."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from support.network import missing

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("[a-z]*.py"))


def test_the_scripts_were_found():
    assert {"compare.py", "micro.py", "same_bits.py", "scaling.py"} <= set(SCRIPTS)


@pytest.fixture
def _as_a_script(monkeypatch):
    """Modules beside the scripts can be imported, and are forgotten afterwards; nothing takes the place of pytest."""
    before = set(sys.modules)
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("starts another process"))
    monkeypatch.syspath_prepend(FOLDER)
    yield
    for name in set(sys.modules) - before:
        if (FOLDER / f"{name}.py").exists():
            del sys.modules[name]


@pytest.mark.usefixtures("_as_a_script")
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_says_what_it_takes(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(FOLDER / script), run_name="__main__")
    assert end.value.code == 0
    assert f"usage: {script}" in capsys.readouterr().out


#: The smallest work of each script, and words of what it prints.
WORK = {
    "compare.py": ("--shape 300x100x3000 --rank 4 --peers daskals-numpy --repeat 1 --iterations 3", "daskals-numpy"),
    "scaling.py": ("--base 20000 --factors 1 --rank 4 --iterations 2 --repeat 1", "From Parquet, rank 4"),
    "convergence.py": ("--shape 300x100x3000 --rank 4 --iterations 2", "cg, 2 steps"),
    "scheduler.py": ("--blocks 3 --iterations 1 --users 300 --items 100 --ratings 3000 --repeat 1", "of the least"),
    "deaths.py": ("--shape 3000x500x60000 --rank 4 --iterations 3 --workers 2 --seeds 1", "of 1 deaths cost"),
    "serving.py": ("--items 500 --rank 4 --repeat 2", "500 items, rank 4"),
    "beyond_memory.py": ("--shape 300x100x3000 --partitions 4 --memory 1GB --iterations 1", "on disk"),
    "traffic.py": ("--shape 300x100x3000 --rank 4 --workers 2 --iterations 1 2 --forms gather", "of the model"),
    "hosts.py": ("--shape 300x100x3000 --rank 4 --workers 2 --iterations 1 2 --forms gather --rates 1gbit", "1gbit"),
    "constants.py": ("--rank 16 32 --ratings 20000 --shuffled 400000 --threads 2 --repeat 1", "MEASURED = Speed("),
    "planned.py": ("--shape 300x100x3000 --threads 2 --iterations 2", "LocalCluster, rank 64, cg, implicit"),
}


@pytest.mark.slow
@pytest.mark.parametrize("script", WORK)
def test_a_script_does_its_work(script, tmp_path):
    if script == "hosts.py" and (reason := missing()):
        pytest.skip(reason)
    arguments, words = WORK[script]
    data = ["--data", tmp_path] if "--data" in (FOLDER / script).read_text(encoding="utf-8") else []
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, FOLDER / script, *arguments.split(), *data, "--json", figures],
        capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "PYTHONWARNINGS": "default"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert words in done.stdout
    assert "FAILED" not in done.stdout
    assert figures.exists()
