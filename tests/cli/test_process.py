"""The command as a person meets it: a process, files, an exit code, one line where something is wrong."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys

import pandas as pd
import pytest
from support.small_ratings import ROWS, SMALL, lines_of

BODY = lines_of(ROWS)
TEXT = "userId,movieId,rating\n" + BODY


def test_from_a_file_to_recommendations_by_one_command(process, ratings_csv, here):
    said = process("recommend", ratings_csv, *SMALL, "--out", "recs.csv")
    assert said.code == 0, said.err
    found = pd.read_csv(here / "recs.csv")
    # of seven users one has not rated everything, and items 4 and 5 are left for him
    assert found["userId"].tolist() == [7, 7]
    assert sorted(found["movieId"]) == [4, 5]
    assert found["rank"].tolist() == [1, 2]
    assert "2 recommendations to 1 user in recs.csv" in said.out
    assert "users = userId, items = movieId, ratings = rating" in said.err


def test_from_a_file_to_a_model_to_recommendations(process, ratings_csv, here):
    fitted = process("fit", ratings_csv, *SMALL)
    assert fitted.code == 0, fitted.err
    assert "in ratings.model" in fitted.out
    assert (here / "ratings.model" / "metadata").is_dir()
    asked = process("recommend", "ratings.model", "--user", 7, "--json")
    assert asked.code == 0, asked.err
    (answer,) = json.loads(asked.out)
    assert answer["userId"] == 7
    assert sorted(each["movieId"] for each in answer["recommendations"]) == [4, 5]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


#: A file that is read, whatever it looks like; what is said of it on the way.
GOOD = {
    "quotes": ('"userId","movieId","rating"\n' + lines_of((f'"u,{u}"', i, f'"{r}"') for u, i, r in ROWS), "a header"),
    "bom": (b"\xef\xbb\xbf" + TEXT.encode(), "users = userId"),
    "utf16": (TEXT.encode("utf-16"), "utf-16"),
    "gzip": (gzip.compress(TEXT.encode()), "separator comma"),
    "no-header": (BODY, "no header): users = column 1, items = column 2, ratings = column 3"),
    "tabs": (lines_of(ROWS, "\t"), "separator tab"),
    "colons": (lines_of(((u, i, r, 978300760) for u, i, r in ROWS), "::"), "separator ::, no header"),
    "decimal-commas": (lines_of(((u, i, f"{r},5") for u, i, r in ROWS), ";"), "separator semicolon"),
}


@pytest.mark.parametrize("name", ["quotes", "utf16"])
def test_files_that_are_read_by_a_process(process, here, name):
    check_read(process, here, name)


def test_files_that_are_read(invoke, here):
    for name in GOOD:
        check_read(invoke, here, name)
        shutil.rmtree(here / "file.model")


def check_read(run, here, name):
    content, said_of_it = GOOD[name]
    said = run("fit", write(here / "file.csv", content), *SMALL, "--json")
    assert said.code == 0, said.err
    assert said_of_it in said.err, name
    report = json.loads(said.out)
    assert (report["users"], report["items"], report["iterations"]) == (7, 5, 3), name


#: A file that is none of ratings; what the one line says.
BAD = {
    "empty": (b"", "is empty (0 bytes)"),
    "missing-column": (
        "user,price,when\n" + BODY,
        "which column holds the items and which the ratings is not obvious; it has the columns user, price, when",
    ),
    "text-as-rating": (TEXT + "3,4,good\n", "line 35: column rating holds 'good', where a finite number is expected"),
    "wrong-separator": ("hello\nworld\n", "no separator makes columns of its lines; the first is 'hello'"),
    "binary": (bytes(range(256)) * 40, "is binary, no text (its first bytes are 00 01 02"),
    "page": ("<!DOCTYPE html><html>Not found</html>", "is a page of HTML or XML"),
    "names-alone": ("user,item,rating\n", "has a line of names (user, item, rating) and no rows"),
    "empty-gzip": (gzip.compress(b""), "holds nothing, packed by gzip"),
    "cut-gzip": (gzip.compress(TEXT.encode())[:-12], "is packed by gzip, and damaged or cut short"),
    "parquet-by-name": (b"PAR1 and no more", "cannot be read as one"),
}


@pytest.mark.parametrize("name", ["empty", "text-as-rating"])
def test_files_that_are_none_are_told_in_one_line_by_a_process(process, here, name):
    check_refused(process, here, name)


def test_files_that_are_none_are_told_in_one_line(invoke, here):
    for name in BAD:
        check_refused(invoke, here, name)


def check_refused(run, here, name):
    content, told = BAD[name]
    said = run("fit", write(here / "file.csv", content), *SMALL)
    last = said.err.splitlines()[-1]
    assert told in last, name
    assert said.code == 1, name
    assert said.out == "", name
    assert last.startswith(f"daskals: {here}/file.csv"), name
    assert "Traceback" not in said.err, name
    assert os.listdir(here) == ["file.csv"], name


def test_two_gigabytes_of_zeros_are_told_at_once_and_without_memory(command, here):
    """Inside of 1.5 GB of address space, in which they could not be read."""
    with open(here / "zeros.csv", "wb") as file:
        file.truncate(2 << 30)
    begin, environment = command
    limit = 1_500_000  # kilobytes
    shell = f"ulimit -d {limit}; exec {sys.executable} -m daskals fit zeros.csv"
    assert begin[0] == sys.executable
    done = subprocess.run(
        ["bash", "-c", shell], capture_output=True, encoding="utf-8", env=environment, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "holds zero bytes where text should be (2,147,483,648 bytes in all)" in done.stderr


def test_ctrl_c_leaves_nothing(command, ratings_csv, here):
    begin, environment = command
    fit = ["fit", "ratings.csv", "--iterations", "1000000", "--checkpoint-dir", "checkpoints"]
    with subprocess.Popen([*begin, *fit], stderr=subprocess.PIPE, encoding="utf-8", env=environment) as running:
        said = ""
        while "Fitting" not in said:
            line = running.stderr.readline()
            assert line, said
            said += line
        running.send_signal(signal.SIGINT)
        _, rest = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Interrupted" in rest
    assert "Traceback" not in rest
    assert [name for name in sorted(os.listdir(here)) if name != "checkpoints"] == ["ratings.csv"]


def test_exit_codes_of_a_wrong_command_line(invoke, ratings_csv):
    said = invoke("fit", ratings_csv, "--set", "rang=3")
    assert said.code == 2
    assert "there is no parameter 'rang' (did you mean rank?)" in said.err


def test_a_fault_shows_its_traceback_when_asked(invoke, monkeypatch):
    plain = invoke("fit", "nothing.csv").err
    assert plain == "daskals: There is no nothing.csv\n"
    assert "FileNotFoundError: There is no nothing.csv" in invoke("fit", "nothing.csv", "--traceback").err
    monkeypatch.setenv("DASKALS_DEBUG", "1")
    assert "FileNotFoundError: There is no nothing.csv" in invoke("fit", "nothing.csv").err


@pytest.mark.slow
def test_a_pipe_that_closes_is_no_fault(command, ratings_csv):
    begin, environment = command
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    line = f"{begin[0]} -m daskals params | head -n 1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, encoding="utf-8", env=environment, check=False)
    assert done.stdout.startswith("alpha")
    assert "Traceback" not in done.stderr
