"""Running the command: as a process, and inside of this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from click.testing import CliRunner
from support.small_ratings import ROWS, lines_of

from daskals.cli.main import cli


class Said(NamedTuple):
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of its own, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ratings_csv(here):
    """``ratings.csv``, with names that are guessed."""
    path = here / "ratings.csv"
    path.write_text("userId,movieId,rating\n" + lines_of(ROWS))
    return path


@pytest.fixture
def frame():
    """The same ratings."""
    return pd.DataFrame(ROWS, columns=["userId", "movieId", "rating"])


@pytest.fixture
def invoke(here):
    """A function that runs the command inside of this process."""

    def run(*arguments):
        done = CliRunner().invoke(cli, [str(each) for each in arguments], prog_name="daskals")
        assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
        return Said(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def command(here):
    """The beginning of a command line, and the environment, of a process."""
    source = Path(__file__).parents[2] / "src"
    path = os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")])
    return [sys.executable, "-m", "daskals"], {**os.environ, "PYTHONPATH": path}


@pytest.fixture
def process(command):
    """A function that runs the command as a process."""
    begin, environment = command

    def run(*arguments, **more):
        done = subprocess.run(
            [*begin, *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            env={**environment, **more},
            timeout=120,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run
