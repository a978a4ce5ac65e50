"""What texts call by its full name is there: modules and their contents move, and docstrings stay behind."""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

TOP = Path(__file__).parents[2]
SOURCES = Path(find_spec("daskals").origin).parent
SETTINGS = yaml.safe_load((SOURCES / "daskals.yaml").read_text(encoding="utf-8"))["daskals"]
TEXTS = [
    *sorted(TOP.glob("*.md")),
    TOP / "deploy" / "README.md",
    SOURCES / "daskals.yaml",
    *sorted(path for folder in (SOURCES, TOP / "tests", TOP / "benchmarks") for path in folder.rglob("*.py")),
]
TEXTS.remove(Path(__file__))  # has examples of names that are not there
#: A dotted name of ours in backticks, also as a call, also where it is all of a longer piece of code.
REFERENCE = re.compile(r"`(daskals(?:\.[A-Za-z_][\w-]*)+)(?:\(\))?`")


def resolves(name):
    """Whether this is a module, what is in one, a key of the configuration, or its file."""
    first, *rest = name.split(".")
    if rest == ["yaml"] or rest[0] in SETTINGS:
        return True
    found = import_module(first)
    for n, part in enumerate(rest, 2):
        if not hasattr(found, part):
            try:
                import_module(".".join(name.split(".")[:n]))
            except ImportError:
                return False
        found = getattr(found, part)
    return True


@pytest.mark.parametrize(
    ("name", "is_there"),
    [
        ("daskals.engine.loop", True),
        ("daskals.engine.loop.Iterations.restart_from", True),
        ("daskals.ALS.fit", True),
        ("daskals.block-bytes", True),
        ("daskals.yaml", True),
        ("daskals.loop", False),
        ("daskals.engine.loop.Iterations.send", False),
        ("daskals.kernels._numpy.top_k", False),
        ("daskals.no-such-key", False),
    ],
)
def test_a_reference_is_told_from_what_is_none(name, is_there):
    assert REFERENCE.findall(f"see `{name}`, and ``{name}``") == [name, name]
    assert resolves(name) is is_there


def test_references_are_found_where_they_are():
    """Otherwise the test below would hold of nothing."""
    found = [name for path in TEXTS for name in REFERENCE.findall(path.read_text(encoding="utf-8"))]
    assert len(found) > 30


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(TOP if TOP in path.parents else SOURCES)))
def test_what_a_text_refers_to_is_there(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    gone = [
        f"line {n}: {name}" for n, line in enumerate(lines, 1) for name in REFERENCE.findall(line) if not resolves(name)
    ]
    assert not gone, "\n".join(gone)
