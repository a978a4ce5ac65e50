"""What the package says of itself: version, bounds of its dependencies, classifiers, how to cite it.

What is in the wheel, and whether it works, is seen by check_wheel.py, which builds and installs it.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = METADATA["project"]
PACKAGE = Path(find_spec("daskals").origin).parent
FALLBACK = METADATA["tool"]["hatch"]["version"]["fallback-version"]


# ---- the version -----------------------------------------------------------------------------------------


@pytest.fixture
def version_of(tmp_path):
    """A function: __version__ of the package copied to a folder, in a new process that finds `places` first."""

    def version(folder, *places):
        shutil.copytree(PACKAGE, folder / "daskals", ignore=shutil.ignore_patterns("__pycache__"))
        code = f"import sys; sys.path[:0] = {list(map(str, places))}; import daskals; print(daskals.__version__)"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return version


def installed_in(folder, direct_url=None):
    """What an installation of version 7.8 leaves beside the package."""
    metadata = folder / "daskals-7.8.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: daskals\nVersion: 7.8\n")
    if direct_url:
        (metadata / "direct_url.json").write_text(
            f'{{"dir_info": {{"editable": true}}, "url": "{direct_url}"}}'
        )  # fmt: skip
    return folder


def test_the_version_of_an_installation(version_of, tmp_path):
    site = installed_in(tmp_path / "site")
    assert version_of(site, site) == "7.8"


def test_the_version_of_an_editable_installation(version_of, tmp_path):
    project = tmp_path / "a project"
    site = installed_in(tmp_path / "site", project.as_uri())
    assert version_of(project / "src", project / "src", site) == "7.8"


@pytest.mark.parametrize("project", ["", "another", "clone of it"])
def test_a_source_tree_does_not_take_the_version_of_another_installation(version_of, tmp_path, project):
    """Neither of one in the same environment, nor of an editable one of another folder."""
    site = installed_in(tmp_path / "site", (tmp_path / project).as_uri() if project else None)
    assert version_of(tmp_path / "clone" / "src", tmp_path / "clone" / "src", site) == FALLBACK


def test_the_version_is_not_looked_up_before_it_is_asked_for():
    """Reading metadata takes longer than all the rest of ``import daskals``."""
    code = "import sys, daskals; before = 'importlib.metadata' in sys.modules; daskals.__version__; print(before)"
    done = subprocess.run([sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(PACKAGE.parent)},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "False"


def test_a_build_without_git_has_a_version_before_all_releases():
    assert re.fullmatch(r"0\.0\+[a-z]+", FALLBACK)


# ---- dependencies ----------------------------------------------------------------------------------------


def bounds(requirements):
    """The lower bound of each requirement that has one, by name."""
    found = (re.fullmatch(r"([\w-]+)(?:\[[\w,-]+\])?>=([\d.]+)", each) for each in requirements)
    return {each[1]: each[2] for each in found if each}


def test_the_oldest_versions_that_are_tested_are_those_that_are_promised():
    """oldest.txt has the bounds of all that daskals and its extra `fast` need; distributed goes with dask."""
    lines = (Path(__file__).parent / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pinned.pop("distributed") == pinned["dask"]
    promised = bounds([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["fast"]])
    assert len(promised) == len(PROJECT["dependencies"]) + len(PROJECT["optional-dependencies"]["fast"])
    assert set(pinned) == set(promised)
    for name, version in pinned.items():
        assert f"{version}.".startswith(f"{promised[name]}."), name


# ---- what indexes and readers are told -------------------------------------------------------------------


def test_the_oldest_python_is_named_first():
    """`requires-python`, the classifiers, and what ruff and mypy assume."""
    named = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)]
    assert PROJECT["requires-python"] == f">={named[0]}"
    assert named == sorted(named, key=lambda version: int(version.partition(".")[2]))
    tools = METADATA["tool"]
    assert tools["mypy"]["python_version"] == named[0]
    assert tools["ruff"]["target-version"] == f"py{named[0].replace('.', '')}"


def test_classifiers_exist():
    known = pytest.importorskip("trove_classifiers", reason="needs trove-classifiers").classifiers
    assert set(PROJECT["classifiers"]) <= known


#: Of version 1.2.0 of the Citation File Format: what must be there, and all else that we use.
NEEDED = {"cff-version": str, "message": str, "title": str, "authors": list}
ALLOWED = {"type": str, "abstract": str, "license": str, "keywords": list, "references": list}
REFERENCE = {"type", "title", "authors", "year", "doi", "conference", "identifiers"}


def test_the_citation_follows_its_schema():
    """As far as it is used here; the whole schema knows more."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert set(NEEDED) <= set(citation) <= set(NEEDED) | set(ALLOWED)
    assert all(isinstance(citation[key], kind) for key, kind in {**NEEDED, **ALLOWED}.items())
    assert citation["type"] in ("software", "dataset")
    assert len(set(citation["keywords"])) == len(citation["keywords"])
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference) <= REFERENCE
        assert reference["type"] in ("article", "conference-paper")
        assert isinstance(reference["year"], int)
        assert re.fullmatch(r"10\.\d{4,9}/\S+", reference.get("doi", "10.1234/none"))
        assert all(set(author) == {"family-names", "given-names"} for author in reference["authors"])


def test_the_citation_says_what_the_project_says():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]
    assert set(citation["keywords"]) <= set(PROJECT["keywords"])
    assert citation["title"].startswith(f"{PROJECT['name']}: ")
