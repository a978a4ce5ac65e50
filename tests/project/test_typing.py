"""Type checkers see the types of a user's program: mypy and pyright find what is wrong in it, and nothing else."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest
from support import accessors

from daskals.params.accessors import add_accessors
from daskals.params.converters import to_int
from daskals.params.param import Param

PROGRAM = Path(__file__).with_name("typed_program.py")
CHECKERS = {
    "mypy": ["--strict", "--no-error-summary", "--python-executable"],
    "pyright": ["--level", "error", "--pythonpath"],
}


def wrong_lines(text):
    """The numbers of the lines that are marked."""
    return {n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# is wrong")}


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An environment in which the library and all it needs are installed: there, py.typed decides what is seen."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    home = sysconfig.get_path("purelib", vars={"base": str(folder)})
    ours = [str(accessors.ROOT.parent), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    Path(home, "all.pth").write_text("\n".join(ours), encoding="utf-8")
    return folder / "bin" / "python"


def check(checker, python, program):
    """What a type checker reports, as (line, text); or the test is skipped where it cannot run here."""
    if find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed; the extra dev brings it")
    command = [sys.executable, "-m", checker, *CHECKERS[checker], python, program]
    environment = {**os.environ, "PYTHONPATH": "", "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=program.parent, env=environment)
    if checker == "pyright" and not re.search(r"\d+ errors?, \d+ warning", done.stdout):
        pytest.skip(f"pyright did not run; it needs Node.js: {(done.stderr or done.stdout)[-300:]}")
    assert done.returncode in (0, 1), done.stderr
    found = re.findall(rf"{re.escape(program.name)}:(\d+):(?:\d+)?.*error:? (.*)", done.stdout)
    assert found or not done.returncode, done.stdout
    return [(int(line), text) for line, text in found]


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_checker_reports_what_is_wrong_and_nothing_else(checker, python, tmp_path):
    """Each line that is marked, and no other."""
    program = tmp_path / PROGRAM.name
    program.write_text(PROGRAM.read_text(encoding="utf-8"), encoding="utf-8")
    found = check(checker, python, program)
    wrong = wrong_lines(program.read_text(encoding="utf-8"))
    assert len(wrong) > 15
    reported = {line for line, _ in found}
    assert reported == wrong, [(line, text) for line, text in found if line not in wrong]


def test_signatures_are_those_of_the_parameters():
    """What stands in the packages is what the script would write."""
    stale = [path.parent.name for path, text in accessors.modules().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, f"Signatures of getters and setters are out of date in {stale}: run {accessors.COMMAND}"


@pytest.mark.parametrize("cls", accessors.classes_with_accessors(), ids=lambda cls: cls.__name__)
def test_each_class_has_its_signatures(cls):
    """It inherits from the class that has them; and they are there when it runs, with name, text and types."""
    assert f"{cls.__name__}Accessors" in [base.__name__ for base in cls.__bases__]
    for name, param in vars(cls)["_accessors"].items():
        method = getattr(cls, name)
        assert (method.__name__, method.__module__) == (name, cls.__module__)
        assert param.doc in method.__doc__
        assert list(method.__annotations__) == (["value", "return"] if name.startswith("set") else ["return"])


def test_the_script_would_notice_a_new_parameter():
    """Its line, with the type of the converter; Any where that says nothing."""

    class Own:
        pass

    added = add_accessors(
        Own, [Param("depth", "how deep", to_int), Param("any", "any value", lambda value: value)], None
    )
    lines = [accessors.signature(name, param).strip() for name, param in added.items()]
    assert lines == [
        "def getDepth(self) -> int: ...",
        "def setDepth(self, value: int) -> Self: ...",
        "def getAny(self) -> Any: ...",
        "def setAny(self, value: Any) -> Self: ...",
    ]
