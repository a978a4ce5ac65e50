"""The documentation: its code runs, its commands exist, its links lead somewhere, and Sphinx builds it.

A page's blocks of Python run in their order, in one namespace and an empty folder. What a block prints is compared with
the block of text that follows it. A comment ``<!-- not run: needs SLURM -->`` above a block says that it is not run,
and ``<!-- needs implicit -->`` that it is only run where that module can be imported.

The code of the pages that explain and measure is run by `tests/project/test_readme.py`.
"""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
import tomllib
import urllib.parse
from importlib.util import find_spec
from pathlib import Path

import click
import dask
import pytest
from support.markdown import Block, anchors, blocks, commands, links, run_python, same_output

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {
    str(path.relative_to(DOCS)): path.read_text(encoding="utf-8")
    for path in sorted(DOCS.rglob("*.md"))
    if "_build" not in path.parts
}
ELSEWHERE = ("explanation/", "benchmarks/")
BLOCKS = [(page, block) for page, text in PAGES.items() if not page.startswith(ELSEWHERE) for block in blocks(text)]
#: Pages whose code takes more than a few seconds.
LONG = {"tutorial/4-from-a-laptop-to-a-cluster.md", "faq.md"}
PYTHON = [page for page in PAGES if any(here == page and block.language == "python" for here, block in BLOCKS)]
SHELL = [(page, words) for page, block in BLOCKS if block.language == "sh" for words in commands(block.code)]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Commands of others, which are not looked at.
OTHERS = {"docker", "kubectl", "export", "sbatch", "source"}


def can_import(module: str) -> bool:
    """Whether there is such a module, also where the package that it would be in is missing."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


# ---- code ------------------------------------------------------------------------------------------------


def test_pages_and_blocks_were_found():
    """Otherwise all below would hold of nothing."""
    assert len(PYTHON) >= 14
    assert sum(block.language == "python" for _, block in BLOCKS) > 60
    assert sum(block.prints is not None for _, block in BLOCKS) > 40
    assert len(SHELL) > 15


def test_few_blocks_are_not_run():
    """Each says why; those that need another module are not counted."""
    why = [block.not_run for _, block in BLOCKS if block.language == "python" and block.not_run]
    assert sorted(why) == ["needs Kubernetes", "needs SLURM", "needs a cluster of several machines"]


def test_blocks_are_of_languages_that_somebody_looks_at():
    """A block without a language, or with a misspelt one, would be passed over."""
    known = {"python", "sh", "text", "yaml"}
    wrong = [
        f"{page}:{block.line} {block.language!r}"
        for page, block in BLOCKS
        if block.language not in known and not block.language.startswith("{")
    ]
    assert not wrong


@pytest.fixture
def as_a_reader(tmp_path, monkeypatch):
    """An empty folder, the threads of this process, and no configuration but daskals' own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    with dask.config.set({"daskals.block-ratings": 12500}):
        yield


# implicit warns of BLAS with several threads, which is right, and not our affair
@pytest.mark.filterwarnings("ignore:OpenBLAS is configured:RuntimeWarning")
# raised inside of Dask, with pandas 3.1, when it writes Parquet
@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame")
@pytest.mark.parametrize("page", [pytest.param(page, marks=[pytest.mark.slow] * (page in LONG)) for page in PYTHON])
def test_the_code_of_a_page_runs_and_prints_what_the_page_says(page, as_a_reader):
    names = {"__name__": "page"}
    for block in blocks(PAGES[page]):
        if block.language == "python" and not block.not_run and (not block.needs or can_import(block.needs)):
            printed = run_python(block, page, names)
            if block.prints is not None:
                assert same_output(block.prints, printed), f"{page}:{block.line} prints\n{printed}"
            else:
                assert not printed, f"{page}:{block.line} prints what the page does not show:\n{printed}"


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("test 0.918\ntrain 0.363\n", "test  0.9181\ntrain 0.3625", True),
        ("test 0.918", "test 0.818", False),
        ("314 rows", "315 rows", False),
        ("{'rank': 8}", "{'rank': 8}", True),
        ("{'rank': 8}", "{'rank': 16}", False),
        ("first ... last", "first and all else last", True),
        ("first ... last", "first and all else", False),
        ("it took 3 s", "it took 45 s", True),
        ("a", "a b", False),
        ("a b", "a", False),
    ],
)
def test_what_is_printed_is_compared_by_words_and_numbers(expected, printed, same):
    assert same_output(expected, printed) is same


# ---- commands --------------------------------------------------------------------------------------------


def command_line():
    """The group of commands."""
    return importlib.import_module("daskals.cli.main").cli


def test_commands_of_the_shell_are_of_known_programs():
    known = {"daskals", "python", "pip"} | OTHERS
    assert not [f"{page}: {' '.join(words)}" for page, words in SHELL if words[0] not in known]


@pytest.mark.parametrize(("page", "words"), [each for each in SHELL if each[1][0] == "pip"])
def test_extras_to_install_exist(page, words):
    assert words[1] == "install"
    for extra in re.findall(r"\[([\w,-]+)\]", " ".join(words)):
        assert set(extra.split(",")) <= set(PROJECT["optional-dependencies"]), page


@pytest.mark.parametrize(("page", "words"), [each for each in SHELL if each[1][0] in ("python", "sbatch")])
def test_scripts_and_their_options_exist(page, words):
    """The file is there, and has each option as a word; it may stand in a file beside it."""
    if words[1] == "-m":
        assert can_import(words[2]), page
        return
    script = next(ROOT / word for word in words[1:] if re.search(r"\.(py|sbatch|sh)$", word))
    assert script.is_file(), f"{page}: {script}"
    beside = [*script.parent.glob("*.py"), *(ROOT / "deploy").glob("*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in {script, *beside})
    after = words[words.index(str(script.relative_to(ROOT))) :]
    gone = [word for word in after if word.startswith("--") and f'"{word.partition("=")[0]}"' not in text]
    assert not gone, page


@pytest.mark.parametrize(("page", "words"), [each for each in SHELL if each[1][0] == "daskals"])
def test_commands_of_daskals_and_their_options_exist(page, words):
    group = command_line()
    context = click.Context(group)
    if len(words) > 1 and words[1].startswith("-"):
        assert words[1] in ("--help", "--version"), page
        return
    command = group.get_command(context, words[1])
    assert command is not None, f"{page}: there is no command {words[1]}"
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help", "-h"}
    gone = [word for word in words[2:] if word.startswith("-") and word.partition("=")[0] not in known]
    assert not gone, page


def test_options_of_daskals_in_the_text_exist():
    """Those in code font, such as ``--user-col customer``, are options of some command or script."""
    group = command_line()
    context = click.Context(group)
    known = {
        name
        for command in group.list_commands(context)
        for param in group.get_command(context, command).params
        for name in (*param.opts, *param.secondary_opts)
    }
    sources = [*ROOT.glob("deploy/**/*.*"), *ROOT.glob("examples/*.py")]
    scripts = "".join(path.read_text(encoding="utf-8") for path in sources)
    for page, text in PAGES.items():
        for quoted in re.findall(r"(?<!`)`(--[^`\n]+)`(?!`)", text):
            for option in re.findall(r"--[\w-]+", quoted):
                assert option in {*known, "--help"} or option in scripts, f"{page}: {option}"


@pytest.mark.slow
def test_the_first_page_of_the_tutorial_works_as_commands(as_a_reader, tmp_path):
    """Its commands, one after the other, on the files that its Python makes."""
    page = "tutorial/1-first-recommendations.md"
    ran = []
    for block in blocks(PAGES[page]):
        if block.language == "python":
            if "load_sample" in block.code:  # what makes the files
                run_python(block, page, {"__name__": "page"})
        elif block.language == "sh":
            for words in commands(block.code):
                if words[0] == "daskals":
                    command = [sys.executable, "-m", *words]
                    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
                    assert done.returncode == 0, done.stdout + done.stderr
                    ran.append(words[1])
    assert "recommend" in ran
    assert len((tmp_path / "recs.csv").read_text(encoding="utf-8").splitlines()) == 301  # 30 users


# ---- links -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """To pages, and to headings in them; addresses of others are not fetched."""
    for link in links(PAGES[page]):
        if re.match(r"[a-z]+:", link):
            assert re.match(r"https?://[\w.-]+\.[a-z]+", link), link
            continue
        target, _, anchor = urllib.parse.unquote(link).partition("#")
        path = (DOCS / page).parent / target if target else DOCS / page
        assert path.is_file(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{page}: {link}"


def test_every_page_can_be_reached():
    """From the list of pages of the folder that it is in."""
    for page, text in PAGES.items():
        tree = re.search(r"```\{toctree\}\n(?::\w+:.*\n)*\n(.*?)```", text, re.DOTALL)
        for entry in tree[1].split() if tree else []:
            assert (DOCS / page).parent.joinpath(f"{entry}.md").is_file(), f"{page}: {entry}"
    listed = {
        ((DOCS / page).parent / f"{entry}.md").resolve()
        for page, text in PAGES.items()
        for tree in re.findall(r"```\{toctree\}\n(?::\w+:.*\n)*\n(.*?)```", text, re.DOTALL)
        for entry in tree.split()
    }
    assert {DOCS / page for page in PAGES if page != "index.md"} <= listed


@pytest.mark.parametrize(
    ("name", "text"), [("README.md", (ROOT / "README.md").read_text(encoding="utf-8")), *PAGES.items()]
)
def test_files_of_the_repository_that_are_named_exist(name, text):
    for path in re.findall(r"`((?:examples|deploy|benchmarks)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), f"{name}: {path}"


# ---- the reference ---------------------------------------------------------------------------------------

PUBLIC = ("recommendation", "evaluation", "tuning", "datasets", "serving")
REFERENCE = "".join(text for page, text in PAGES.items() if page.startswith("reference/"))
DOCUMENTED = {name.rpartition(".")[2] for name in re.findall(r"\.\. auto\w+:: ([\w.]+)", REFERENCE)}
MEMBERS = {tuple(name.split(".")[-2:]) for name in re.findall(r"\.\. auto\w+:: ([\w.]+)", REFERENCE)}
#: What all classes with parameters have; it is described once, with `ALS`.
COMMON = {
    *("clear", "copy", "explainParam", "explainParams", "extractParamMap", "getOrDefault", "getParam", "hasDefault"),
    *("hasParam", "isDefined", "isSet", "params", "set", "setParams", "validate", "save", "load", "write", "read"),
    # of the validators: a list of maps, as `ALS.fitMultiple`
    "fitMultiple",
}


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_is_in_the_reference(package):
    module = importlib.import_module(f"daskals.{package}")
    assert set(module.__all__) <= DOCUMENTED


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_method_is_in_the_reference(package):
    """But for getters and setters, and for what all classes have in common."""
    module = importlib.import_module(f"daskals.{package}")
    for cls in [getattr(module, name) for name in module.__all__ if inspect.isclass(getattr(module, name))]:
        if issubclass(cls, tuple | Exception) or cls.__name__ == "Evaluator":
            continue
        ours = {
            name
            for name in dir(cls)
            if not name.startswith("_")
            and not re.match(r"(get|set)[A-Z]", name)
            and (callable(getattr(cls, name)) or isinstance(inspect.getattr_static(cls, name), property))
        }
        missing = {name for name in ours - COMMON if (cls.__name__, name) not in MEMBERS}
        assert not missing, cls.__name__


def test_every_command_is_in_the_reference():
    group = command_line()
    headings = set(re.findall(r"^## daskals (\w+)$", PAGES["reference/command-line.md"], re.MULTILINE))
    assert set(group.list_commands(click.Context(group))) == headings


def public_objects():
    """(name, object) of all public functions, classes, and methods and properties of these."""
    for package in (*PUBLIC, "plots"):
        module = importlib.import_module(f"daskals.{package}")
        for name in module.__all__:
            found = getattr(module, name)
            yield name, found
            for member in dir(found) if inspect.isclass(found) else ():
                static = inspect.getattr_static(found, member)
                plain = getattr(static, "__func__", getattr(static, "fget", static))
                if not member.startswith("_") and inspect.isfunction(plain):
                    yield f"{name}.{member}", plain


def test_docstrings_are_of_the_form_that_is_shown():
    """After a list of parameters or errors, text and examples need a heading, or they are shown as further entries."""
    docscrape = pytest.importorskip("numpydoc.docscrape", reason="needs pip install 'daskals[docs]'")
    seen, wrong = 0, []
    for name, found in public_objects():
        text = inspect.getdoc(found) or ""
        parsed = docscrape.NumpyDocString(text)  # warns of a section that it does not know, which is an error here
        seen += bool(parsed["Parameters"])
        for section in ("Parameters", "Other Parameters", "Returns", "Raises"):
            for entry in parsed[section]:
                label = f"{entry.name} {entry.type}"
                if ">>>" in label or "\n>>> " in "\n".join(entry.desc) or entry.name.endswith("."):
                    wrong.append(f"{name}, {section}: {label[:60]}")
    assert seen > 15
    assert not wrong, "\n".join(wrong)


# ---- Sphinx ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_sphinx_builds_it_without_a_warning(tmp_path):
    pytest.importorskip("sphinx", reason="needs pip install 'daskals[docs]'")
    pytest.importorskip("pydata_sphinx_theme", reason="needs pip install 'daskals[docs]'")
    options = ["-W", "--keep-going", "-q", "-b", "html", "-d", tmp_path / "doctrees"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, DOCS, tmp_path / "html"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    parameters = (tmp_path / "html" / "reference" / "parameters.html").read_text(encoding="utf-8")
    assert all(f">{name}<" in parameters for name in ("rank", "unobservedWeight", "seed"))
    commands_ = (tmp_path / "html" / "reference" / "command-line.html").read_text(encoding="utf-8")
    assert commands_.count("Usage: ") == 1 + len(re.findall(r"^## daskals ", PAGES["reference/command-line.md"], re.M))
    pictures = (tmp_path / "html" / "reference" / "plots.html").read_text(encoding="utf-8")
    assert 'id="daskals.plots.trainingCurve"' in pictures
    assert ">daskals.panels<" in (tmp_path / "html" / "reference" / "configuration.html").read_text(encoding="utf-8")


def test_a_block_knows_what_stands_above_it_and_what_it_prints():
    text = "<!-- not run: needs SLURM -->\n```python\na\n```\n\nIt prints\n\n```text\nb\n```\n\n```sh\nc\n```\n"
    assert blocks(text) == [
        Block(2, "python", "a\n", "needs SLURM", None, "b\n"),
        Block(8, "text", "b\n", None, None, None),
        Block(12, "sh", "c\n", None, None, None),
    ]
