"""README.md, and the pages that explain and measure: their examples run as they stand, their links lead somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: These pages and the README are tested here; `tests/docs` tests the others.
FOLDERS = ("docs/explanation", "docs/benchmarks")
PAGES = ["README.md", *(str(path.relative_to(ROOT)) for each in FOLDERS for path in sorted((ROOT / each).glob("*.md")))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def without_code(page: str) -> str:
    return re.sub(r"`[^`\n]*`", "", FENCED.sub("", read(page)))


def anchor(heading: str) -> str:
    """What a link to a heading says, on GitHub and in Sphinx."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def section(heading: str) -> str:
    """What stands in the README under a heading."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


# ---- examples --------------------------------------------------------------------------------------------


def examples(page: str) -> list[tuple[str, str | None]]:
    """Each piece of Python of a page, and what it prints, if the page says so right after it."""
    blocks = [(found[1], found[2], found.start(), found.end()) for found in FENCED.finditer(read(page))]
    following = [*blocks, ("", "", 0, 0)][1:]
    return [
        (code, after[1] if after[0] == "text" and not read(page)[end : after[2]].strip() else None)
        for (language, code, _, end), after in zip(blocks, following, strict=True)
        if language == "python"
    ]


def test_the_examples_were_found():
    assert len(examples("README.md")) == 1
    assert len(examples("docs/benchmarks/quality.md")) == 2
    prints = [printed for page in PAGES for _, printed in examples(page) if printed is not None]
    assert len(prints) >= 6


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)])
def test_the_examples_of_a_page_run_and_print_what_it_says(page, capsys):
    """One after the other, as a reader would run them."""
    names = {"__name__": "page"}
    for number, (code, printed) in enumerate(examples(page)):
        exec(compile(code, f"{page}, example {number}", "exec"), names)
        shown = capsys.readouterr().out
        if printed is not None:
            assert shown == printed, f"{page}, example {number}"


def test_the_first_model_recommends_what_users_do_not_have(capsys):
    """Three items for each user, none of which the user has rated; and it prints the first of them."""
    ((code, _),) = examples("README.md")
    names = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    assert "user" in capsys.readouterr().out
    model, ratings = names["model"], names["ratings"]
    unseen = model.recommendForAllUsers(3, exclude=ratings, flat=True)
    assert (unseen.groupby("user").size() == 3).all()
    assert set(unseen["user"]) == set(ratings["user"])
    assert unseen.merge(ratings, on=["user", "item"]).empty


# ---- commands --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "words"), [("Run", "examples/movielens.py"), ("Test", "pytest"), ("A first model", "ALS(")]
)
def test_what_ci_runs_of_the_readme_is_there(heading, words):
    """`.ci/run` takes the first fenced code under each of these headings."""
    assert re.search(rf'readme_command "?{heading}\b', read(".ci/run"))
    language, code = FENCED.search(section(heading)).groups()
    assert words in code
    assert language == ("python" if heading == "A first model" else "sh")


def test_scripts_that_are_named_exist():
    named = {
        each for page in PAGES for each in re.findall(r"\b(?:benchmarks|examples|deploy|docs)/[\w/]+\.py\b", read(page))
    }
    assert {"examples/movielens.py", "benchmarks/compare.py", "examples/quality.py"} <= named
    assert not [each for each in named if not (ROOT / each).exists()]


def test_the_commands_that_are_named_exist():
    """``daskals recommend`` and the others, with their options."""
    cli = pytest.importorskip("daskals.cli.main").cli
    lines = [line for page in PAGES for _, code in FENCED.findall(read(page)) for line in code.splitlines()]
    used = [line.partition("#")[0].split() for line in lines if re.match(r"(\.venv/bin/)?daskals ", line)]
    assert used
    for _, name, *words in used:
        command = cli.get_command(None, name)
        assert command is not None, name
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options


# ---- texts -----------------------------------------------------------------------------------------------


def test_the_readme_is_a_front_page():
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """Files of the repository, and headings in them."""
    text = without_code(page)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, heading = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), f"{page}: {target}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", FENCED.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
            assert heading in map(anchor, headings), f"{page}: {target}"


def test_the_quality_figures_of_the_readme_were_measured():
    """Each is a value in the file of quality; the tables are tested in test_docs_figures.py."""
    rows = json.loads(read("docs/benchmarks/quality.json"))["rows"]
    measured = {f"{value:.4f}".removeprefix("0") for row in rows for value in row["values"] if value is not None}
    named = re.findall(r"(?<![\w.])\.\d{4}", README)
    assert len(named) >= 6
    assert set(named) <= measured
