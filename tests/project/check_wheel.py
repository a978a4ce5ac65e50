"""Builds sdist and wheel, and tries the wheel where nothing else is: in environments of its own, not in this checkout.

    python tests/project/check_wheel.py                 all of what follows but the last
    python tests/project/check_wheel.py contents        sdist and wheel are built, and hold what they should
    python tests/project/check_wheel.py bare            without extras, with the oldest and the newest versions: a fit,
                                                        its files, recommendations, the command; the same with
                                                        compiled kernels on each newer Python
    python tests/project/check_wheel.py oldest          tests, with the oldest Python and versions that we promise
    python tests/project/check_wheel.py newest          tests, with the newest versions, on the newest Python
    python tests/project/check_wheel.py sizes [EXTRA]   what pip installs, and how large it is

Each Python from the oldest on is used that is found as python3.N on the PATH, or among those of pyenv. Needs a package
index. Environments are removed at the end, unless --keep names a folder for them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "daskals"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OLDEST = int(PROJECT["requires-python"].rpartition(".")[2])
EXTRAS = ["", "fast", "progress", "viz", "dashboard", "jobqueue", "notebooks", "serve", "docs"]
#: What the package holds beside Python: a new file is added here by somebody who has its licence in mind.
OTHER_FILES = {
    "py.typed",
    "daskals.yaml",
    "datasets/spark_sample/NOTICE",
    "datasets/spark_sample/sample_movielens_ratings.txt",
}
CONSTRAINTS = ("-c", ROOT / "tests" / "project" / "oldest.txt")
IN_SDIST = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "PKG-INFO", ".gitignore"}
#: Of each floor, what meets other libraries: frames, files, kernels, schedulers; a few minutes in all.
TESTS = [
    "tests/io/test_ids.py",
    "tests/io/test_frames_out.py",
    "tests/io/test_factor_files.py",
    "tests/io/test_persistence.py",
    "tests/io/test_foreign.py",
    "tests/kernels/test_backend.py",
    "tests/surface/test_fitting.py",
    "tests/surface/test_recommending.py",
    "tests/surface/test_evaluation.py",
    "tests/surface/test_tuning_rankings.py",
    "tests/serving/test_local_model.py",
    "tests/cli/test_commands.py",
    "tests/progress/test_lines.py",
    "tests/cluster/test_early_errors.py",
]
#: What may change where other libraries are found, imported or configured.
VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "DASKALS_KERNELS", "NUMBA_CACHE_DIR")


def say(text: str) -> None:
    print(f"    {text}", flush=True)


def run(*command: object, cwd: Path) -> str:
    """What a command wrote to stdout; where it fails, all that it wrote is shown and this script ends."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nfailed with {done.returncode}: {' '.join(words)}")
    return done.stdout


# ---- Pythons, environments -------------------------------------------------------------------------------


def find_pythons() -> dict[int, Path]:
    """Interpreters by minor version, ascending; of one version this one, or the first."""
    minor = sys.version_info.minor
    found = {minor: Path(getattr(sys, "_base_executable", sys.executable))}
    for number in range(OLDEST, OLDEST + 10):
        places = [shutil.which(f"python3.{number}")]
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        places += sorted(pyenv.glob(f"3.{number}.*/bin/python3.{number}"))
        for place in filter(None, places):
            # one on the PATH may be a link that only says that nothing is installed
            works = subprocess.run([place, "-c", "import ensurepip, venv"], capture_output=True, check=False)
            if works.returncode == 0:
                found.setdefault(number, Path(place))
    return dict(sorted(found.items()))


def environment(folder: Path, python: Path, *requirements: object) -> Path:
    """The interpreter of a new environment with these requirements."""
    run(python, "-m", "venv", "--clear", folder, cwd=folder.parent)
    new = folder / "bin" / "python"
    run(new, "-m", "pip", "install", "-qq", "--no-compile", *requirements, cwd=folder.parent)
    return new


def build(folder: Path) -> tuple[Path, Path]:
    """Sdist and wheel, the wheel once from the sdist and once from the checkout, which must give the same bytes."""
    tools = environment(folder / "tools", find_pythons()[OLDEST], "build>=1.2")
    run(tools, "-m", "build", "--outdir", folder / "dist", ROOT, cwd=folder)
    run(tools, "-m", "build", "--wheel", "--outdir", folder / "direct", ROOT, cwd=folder)
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    (direct,) = (folder / "direct").glob("*.whl")
    assert wheel.name == direct.name, f"{wheel.name} from the sdist, {direct.name} from the checkout"
    assert wheel.read_bytes() == direct.read_bytes(), "the wheel from the sdist is another than that from the checkout"
    say(f"{sdist.name} ({sdist.stat().st_size / 1e3:.0f} kB), {wheel.name} ({wheel.stat().st_size / 1e3:.0f} kB)")
    return sdist, wheel


# ---- what is looked at -----------------------------------------------------------------------------------


def check_contents(sdist: Path, wheel: Path) -> None:
    """Both have all of the package and nothing of the rest: no tests, no data beside Spark's sample."""
    ours = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    other = {name for name in ours if PurePosixPath(name).suffix not in (".py", ".pyi")}
    assert other == OTHER_FILES, f"files that are no Python, or are missing: {sorted(other ^ OTHER_FILES)}"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
        text = archive.read(f"{metadata}/METADATA").decode()
        for licence in ("LICENSE", "src/daskals/datasets/spark_sample/NOTICE"):
            assert archive.read(f"{metadata}/licenses/{licence}") == (ROOT / licence).read_bytes()
    inside = {name.removeprefix("daskals/") for name in names if not name.startswith(metadata)}
    assert inside == ours, f"not in both, wheel and checkout: {sorted(inside ^ ours)}"
    headers = dict(re.findall(r"^([\w-]+): (.*)$", text.partition("\n\n")[0], re.MULTILINE))
    assert headers["Requires-Python"] == PROJECT["requires-python"]
    assert headers["License-Expression"] == PROJECT["license"]
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    rest = {name for name in names if not name.startswith("src/")}
    assert rest == IN_SDIST, f"in the sdist too, or missing: {sorted(rest ^ IN_SDIST)}"
    assert names - rest == {f"src/daskals/{name}" for name in ours}
    say("both hold the package, its licences and nothing else")


def check_bare(folder: Path, python: Path, wheel: Path, oldest: bool = False, compiled: bool = False) -> None:
    """daskals alone, or with compiled kernels: a fit, its files, recommendations, the command; the file's version."""
    what = f"{wheel}[fast]" if compiled else wheel
    new = environment(folder / f"bare-{python.name}", python, what, *(CONSTRAINTS if oldest else ()))
    script = ROOT / "tests" / "project" / "bare.py"
    shutil.copy(script, folder)
    words = ["--compiled"] if compiled else []
    version = run(new, "-I", "-W", "error", folder / script.name, *words, cwd=folder).split()[-1]
    assert version.replace("-", "_") == wheel.name.split("-")[1], f"__version__ is {version}, the wheel {wheel.name}"
    kernels, versions = "compiled" if compiled else "plain", "oldest" if oldest else "newest"
    say(f"{python.name}: {version} fits, saves, loads and recommends with {kernels} kernels, the {versions} versions")


def check_tests(folder: Path, python: Path, wheel: Path, oldest: bool, arguments: list[str]) -> None:
    """A part of the tests, copied out of the checkout, against the wheel with its compiled kernels."""
    name = f"{'oldest' if oldest else 'newest'}-{python.name}"
    new = environment(folder / name, python, f"{wheel}[fast,test]", *(CONSTRAINTS if oldest else ()))
    copy = folder / f"tests-{name}"
    shutil.copytree(ROOT / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", copy)
    where = run(new, "-c", "import daskals; print(daskals.__file__)", cwd=copy).strip()
    assert Path(where).is_relative_to(folder / name), f"the tests would import {where}, which is not the wheel's"
    versions = dict(line.split("==") for line in run(new, "-m", "pip", "freeze", cwd=copy).splitlines() if "==" in line)
    shown = ("dask", "distributed", "numpy", "scipy", "pandas", "pyarrow", "numba")
    say(f"{python.name}, {', '.join(f'{each} {versions[each]}' for each in shown)}")
    start = time.monotonic()
    variables = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [new, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider", *arguments]
    code = subprocess.run(list(map(str, command)), cwd=copy, env=variables, check=False).returncode
    if code:
        sys.exit(f"the tests failed with {name}")
    say(f"{time.monotonic() - start:.0f} s")


MEASURE = """
import importlib.metadata, pathlib
for each in importlib.metadata.distributions():
    files = {each.locate_file(file).resolve() for file in each.files or ()}
    size = sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc")
    print(each.metadata["Name"], each.version, size)
"""


def show_sizes(folder: Path, python: Path, wheel: Path, extras: list[str]) -> None:
    """The packages that an installation brings, without and with each extra, and their MB on disk (no .pyc files)."""
    bare: dict[str, str] = {}
    for extra in extras:
        new = environment(folder / f"sizes-{extra}", python, f"{wheel}[{extra}]" if extra else wheel)
        rows = [line.split() for line in run(new, "-c", MEASURE, cwd=folder).splitlines()]
        rows = [row for row in rows if row[0] not in ("pip", "setuptools") and row[0] not in bare]
        rows.sort(key=lambda row: -int(row[2]))
        total = sum(int(row[2]) for row in rows) / 1e6
        print(f"\n{'daskals[' + extra + '] brings beside that' if extra else 'daskals brings'}: {total:.0f} MB")
        for name, version, size in rows:
            print(f"    {name:28}{version:24}{int(size) / 1e6:8.1f}")
        if not extra:
            bare = {row[0]: row[1] for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ["contents", "bare", "oldest", "newest"]
    parser.add_argument("part", nargs="?", choices=[*parts, "sizes"], help="default: all but sizes")
    parser.add_argument("extra", nargs="*", help="for sizes: these extras alone")
    parser.add_argument("--python", type=int, action="append", metavar="N", help="for newest: Python 3.N alone")
    parser.add_argument("--tests", nargs="+", default=TESTS, metavar="ARGUMENT", help="other arguments for pytest")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for the environments, which are kept")
    options = parser.parse_args()
    pythons = find_pythons()
    assert OLDEST in pythons, f"needs Python 3.{OLDEST}, the oldest that daskals is for"
    wanted = [options.part] if options.part else parts
    with tempfile.TemporaryDirectory(prefix="daskals-wheel-") as temporary:
        folder = (options.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("dist", "direct"):
            shutil.rmtree(folder / name, ignore_errors=True)
        print("==> sdist and wheel", flush=True)
        sdist, wheel = build(folder)
        check_contents(sdist, wheel)
        if "bare" in wanted:
            print("==> without extras", flush=True)
            for oldest in (False, True):
                check_bare(folder, pythons[OLDEST], wheel, oldest)
            for number in [number for number in pythons if number > OLDEST]:
                check_bare(folder, pythons[number], wheel, compiled=True)
        if "oldest" in wanted:
            print("==> the oldest versions", flush=True)
            check_tests(folder, pythons[OLDEST], wheel, True, options.tests)
        if "newest" in wanted:
            for number in options.python or [max(pythons)]:
                print(f"==> the newest versions on Python 3.{number}", flush=True)
                check_tests(folder, pythons[number], wheel, False, options.tests)
        if "sizes" in wanted:
            show_sizes(folder, pythons[OLDEST], wheel, ["", *options.extra] if options.extra else EXTRAS)


if __name__ == "__main__":
    main()
