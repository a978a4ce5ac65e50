"""The tables of deploy/README.md for a large fit are what `daskals.plan` prints.

After a change of the plan or of its constants ``python tests/project/test_planning_tables.py`` writes them anew.
"""

import re
from pathlib import Path

import pytest

from daskals import kernels

README = Path(__file__).parents[2] / "deploy" / "README.md"
#: A block of Python that prints a plan, and what it prints. (`support.markdown` cannot be imported by a script.)
BLOCKS = re.compile(
    r"(```python\n(?P<code>(?:(?!```).)*?daskals\.plan\(.*?)```\n\n```text\n)(?P<text>.*?)(?=```\n)", re.DOTALL
)


def printed(capture):
    """The README with the tables as they are printed now; ``capture`` runs code in names and returns its output."""
    names = {}

    def filled(block):
        return block[1] + capture(block["code"], names)

    return BLOCKS.sub(filled, README.read_text(encoding="utf-8"))


def run(code, names):
    from contextlib import redirect_stdout
    from io import StringIO

    out = StringIO()
    with redirect_stdout(out):
        exec(code, names)
    return out.getvalue()


def test_there_are_tables():
    assert len(BLOCKS.findall(README.read_text(encoding="utf-8"))) == 2


@pytest.mark.slow
@pytest.mark.skipif(kernels.backend != "numba", reason="the tables are those of the compiled kernels")
def test_the_tables_are_what_is_printed():
    """Otherwise run this file."""
    assert printed(run) == README.read_text(encoding="utf-8")


if __name__ == "__main__":
    README.write_text(printed(run), encoding="utf-8")
