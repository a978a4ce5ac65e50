"""The examples of the README run as they stand, those that need a cluster aside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()
#: heading, code
EXAMPLES = [
    (re.findall(r"^##+ (.*)$", README[: found.start()], re.MULTILINE)[-1], found[1])
    for found in re.finditer(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
]


def test_the_examples_were_found():
    headings = [heading for heading, _ in EXAMPLES]
    assert {"A first model", "Recommendations for people", "Which model to recommend by", "Serving"} <= set(headings)


@pytest.mark.parametrize(("heading", "code"), [each for each in EXAMPLES if each[0] != "On a cluster"])
def test_an_example_runs(heading, code, capsys):
    names = {"__name__": "readme"}
    exec(compile(code, heading, "exec"), names)
    printed = capsys.readouterr().out
    if heading == "Recommendations for people":
        unseen, ratings = names["unseen"], names["ratings"]
        assert (unseen.groupby("user").size() == 10).all()
        assert unseen.merge(ratings, on=["user", "item"]).empty
        assert len(names["for_newcomer"]) == 3
        assert not set(names["for_newcomer"]["item"]) & {2, 29, 55}
        assert len(names["alike"]) == 6
        assert len(names["reasons"]) == 3
    if heading == "Serving":
        assert "Scored(id=" in printed
        assert printed.strip().endswith("True False")
