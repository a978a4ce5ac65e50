"""The notebooks of ``examples/``: what is kept in them is clean, and running them again gives the same.

To run them and keep what they give, all or some (it needs ``pip install 'daskals[notebooks]'``, and the folder of data
sets that ``DASKALS_DATA`` names):

    python tests/project/test_notebooks.py
    python tests/project/test_notebooks.py examples/cluster.ipynb
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
#: Of each notebook, the folder that must be in the folder of data sets; none where the data are made up.
NEEDS = {"cluster": None, "implicit_lastfm": "lastfm-2k", "movielens_als": "ml-100k"}
NOTEBOOKS = [ROOT / "examples" / f"{name}.ipynb" for name in NEEDS]

MOST_BYTES = 600_000
MOST_LINES = 25
#: What is different each time: seconds, the ports that were free, the uids of estimators.
CHANGING = re.compile(r"\b\d+(\.\d+)? s\b|(?<=127\.0\.0\.1:)\d+|(?<=\bALS_)[0-9a-f]{12}\b")
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
PATH = re.compile(r"(?<![\w.:/])/(?:home|Users|root|tmp|work|usr|var|opt|mnt|private)\b|\b[A-Z]:\\")
BAR = re.compile(r"\d+%\|")

Notebook = dict[str, Any]
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


# ---- running ---------------------------------------------------------------------------------------------


def executed(path: Path) -> Notebook:
    """The notebook with the outputs of a run in a new kernel of this Python; whatever a cell raises comes out."""
    import nbformat
    from nbclient import NotebookClient

    # a widget would be kept as an empty box, and a cluster of the caller is none of the notebook's
    environment = {name: value for name, value in os.environ.items() if name != "DASK_SCHEDULER_ADDRESS"}
    environment["DASK_DASKALS__PROGRESS"] = "false"
    if "DASKALS_DATA" in environment:
        environment["DASKALS_DATA"] = str(Path(environment["DASKALS_DATA"]).resolve())
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    with tempfile.TemporaryDirectory() as settings:
        # not what the user has set for IPython, nor where
        client.execute(env={**environment, "IPYTHONDIR": settings})
    notebook.metadata["language_info"] = {"name": "python"}  # without the version
    return json.loads(nbformat.writes(notebook))


def write(path: Path) -> None:
    """Run a notebook, and keep what it gives."""
    notebook = executed(path)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# ---- looking ---------------------------------------------------------------------------------------------


def read(path: Path) -> Notebook:
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(notebook: Notebook) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def texts(cell: dict[str, Any]) -> Iterator[str]:
    """What a cell shows as text. A picture has a text too, which says its size."""
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            yield "".join(output["text"])
        elif "image/png" not in output.get("data", {}):
            yield "".join(output.get("data", {}).get("text/plain", ()))


def faults(notebook: Notebook) -> list[str]:
    """What must not be kept, in words; empty if all is well."""
    found = []
    for number, cell in enumerate(code_cells(notebook), start=1):
        where = f"code cell {number}"
        if cell["execution_count"] != number:
            found.append(f"{where} was run as number {cell['execution_count']}")
        if set(cell["metadata"]) - {"tags"}:
            found.append(f"{where} has metadata {sorted(cell['metadata'])}")
        kinds = [output["output_type"] for output in cell["outputs"]]
        if "error" in kinds:
            found.append(f"{where} ends with an error")
        if any(output.get("name") == "stderr" for output in cell["outputs"]):
            found.append(f"{where} has a warning or another message on stderr")
        if any("widget" in kind for output in cell["outputs"] for kind in output.get("data", {})):
            found.append(f"{where} has a widget")
        found += [f"{where} {fault}" for text in texts(cell) for fault in faults_of_text(text)]
        pages = ["".join(output.get("data", {}).get("text/html", ())) for output in cell["outputs"]]
        found += [f"{where}, HTML: names a path" for page in pages if PATH.search(page)]
    return found


def faults_of_text(text: str) -> Iterator[str]:
    if PATH.search(text):
        yield f"names the path {PATH.search(text)[0]}"
    if re.search(rf"\b{re.escape(platform.node())}\b", text):
        yield f"names this machine, {platform.node()}"
    if BAR.search(text):
        yield "has a progress bar"
    if len(text.splitlines()) > MOST_LINES:
        yield f"has {len(text.splitlines())} lines of output"


def assert_same(found: str, kept: str) -> None:
    """The same text, and the same figures as far as the order of sums allows; spaces and seconds do not matter."""
    found, kept = (CHANGING.sub("", text) for text in (found, kept))
    assert NUMBER.sub("#", found).split() == NUMBER.sub("#", kept).split()
    for its, ours in zip(NUMBER.findall(found), NUMBER.findall(kept), strict=True):
        decimals = len(re.split("e", ours)[0].partition(".")[2])
        last_digit = 10.0**-decimals if decimals and "e" not in ours else 0.0
        assert float(its) == pytest.approx(float(ours), rel=1e-4, abs=max(1e-5, 1.01 * last_digit))


# ---- tests of what is kept -------------------------------------------------------------------------------


def test_every_notebook_is_here():
    assert {path.stem for path in (ROOT / "examples").glob("*.ipynb")} == set(NEEDS)


@each_notebook
def test_outputs_are_kept_and_clean(path):
    notebook = read(path)
    assert faults(notebook) == []
    assert path.stat().st_size < MOST_BYTES
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    outputs = [output for cell in code_cells(notebook) for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert sum(bool(cell["outputs"]) for cell in code_cells(notebook)) > len(code_cells(notebook)) // 2


@each_notebook
def test_each_step_is_explained(path):
    """A heading first, and never more than two pieces of code without a text between them."""
    kinds = [cell["cell_type"] for cell in read(path)["cells"]]
    assert "".join(read(path)["cells"][0]["source"]).startswith("# ")
    assert "code code code" not in " ".join(kinds)


def test_movielens_figures_are_those_of_spark():
    """Each table that has a column or a row of differences has small ones only."""
    cells = code_cells(read(ROOT / "examples" / "movielens_als.ipynb"))
    tables = [text for cell in cells for text in texts(cell) if "difference" in text]
    assert len(tables) == 8
    differences = [float(each) for text in tables for each in re.findall(r"\b\de[-+]\d\d\b", text)]
    assert len(differences) == 5 + 1 + 1 + 3 + 5 + 5 + 10 + 10
    assert max(differences) < 1e-6


# ---- tests of running ------------------------------------------------------------------------------------


@pytest.mark.slow
@each_notebook
def test_running_gives_what_is_kept(path, request):
    for module in ("nbclient", "ipykernel", "matplotlib"):
        pytest.importorskip(module, reason="pip install 'daskals[notebooks]' brings what runs notebooks")
    if NEEDS[path.stem]:
        folder = request.getfixturevalue("data") / NEEDS[path.stem]
        if not folder.is_dir():
            pytest.skip(f"DASKALS_DATA has no folder {folder.name}, which may not be distributed with daskals")
    kept, found = read(path), executed(path)
    assert faults(found) == []
    for ours, its in zip(code_cells(kept), code_cells(found), strict=True):
        assert_same("\n".join(texts(its)), "\n".join(texts(ours)))
        pictures = [sum("image/png" in each.get("data", {}) for each in cell["outputs"]) for cell in (ours, its)]
        assert pictures[0] == pictures[1]


# ---- tests of the tests ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ("RMSE 0.9590534", "RMSE 0.9590"),
        ("fitted in 3.2 s", "fitted in 14 s"),
        ("http://127.0.0.1:1234/status", "http://127.0.0.1:8787/status"),
        ("a   b\n-0.10001", "a b -0.1000"),
        ("difference 3e-08", "difference 0e+00"),
        ("2.3938912e+06", "2.393891e+06"),
        ("uid=ALS_0123456789ab", "uid=ALS_ab0123456789"),
    ],
)
def test_what_counts_as_the_same(found, kept):
    assert_same(found, kept)


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ("RMSE 0.9580", "RMSE 0.9590"),
        ("Toy Story (1995)", "Toy Story (1996)"),
        ("item 12", "item 13"),
        ("nan", "0.95"),
        ("one two", "one"),
        ("difference 3e-03", "difference 0e+00"),
    ],
)
def test_what_counts_as_another_result(found, kept):
    with pytest.raises(AssertionError):
        assert_same(found, kept)


def test_faults_are_found():
    def fault(*outputs, count=1, **metadata):
        cell = {"cell_type": "code", "execution_count": count, "metadata": metadata, "outputs": list(outputs)}
        return faults({"cells": [cell]})

    def printed(text, name="stdout"):
        return {"output_type": "stream", "name": name, "text": [text]}

    assert fault(printed("fine")) == []
    assert fault(printed("http://127.0.0.1:1/status and 1/2 and and/or /status")) == []
    for wrong in (
        fault(count=2),
        fault(execution={"iopub.execute_input": "2026"}),
        fault({"output_type": "error", "ename": "ValueError", "evalue": "", "traceback": []}),
        fault(printed("UserWarning", "stderr")),
        fault(printed("written to /home/me/x")),
        fault(printed(f"on {platform.node()}")),
        fault(printed(" 45%|####      | 9/20")),
        fault(printed("line\n" * 26)),
        fault({"output_type": "display_data", "data": {"application/vnd.jupyter.widget-view+json": {}}}),
        fault({"output_type": "display_data", "data": {"text/plain": ["x"], "text/html": ["<b>/tmp/x</b>"]}}),
    ):
        assert len(wrong) == 1, wrong


if __name__ == "__main__":
    for name in sys.argv[1:] or NOTEBOOKS:
        write(Path(name).resolve())
