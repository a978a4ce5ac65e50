"""Figures of the documentation: tables and plots say what docs/benchmarks/*.json says, and pictures are not stale."""

import importlib
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
FIGURES = sorted((ROOT / "docs" / "benchmarks").glob("*.json"))
SVGS = sorted(PICTURES.glob("*.svg"))
TEXT = "{http://www.w3.org/2000/svg}text"


@pytest.fixture(scope="module", autouse=True)
def _scripts():
    """The scripts of docs/pictures can be imported, and are forgotten afterwards."""
    names = {path.stem for path in PICTURES.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in names & set(sys.modules)}
    sys.path.insert(0, str(PICTURES))
    yield
    sys.path.remove(str(PICTURES))
    for name in names & set(sys.modules):
        del sys.modules[name]
    sys.modules.update(before)


def script(name):
    return importlib.import_module(name)


def content(name):
    return json.loads((ROOT / "docs" / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))


def texts(svg):
    """What can be read in a picture, a line of it each."""
    found = ElementTree.fromstring(svg).iter(TEXT)
    return [" ".join("".join(each.itertext()).split()) for each in found]


def numbers(cell):
    """The numbers in a cell of a table or in a label, without the multiples in brackets."""
    plain = re.sub(r"\(.*?\)|,(?=\d{3})", "", cell)
    return [float(number) for number in re.findall(r"(?<![\w.])\d*\.?\d+", plain)]


def test_the_files_were_found():
    assert {"ml20m-rank10", "ml20m-rank64", "quality", "scaling"} <= {path.stem for path in FIGURES}
    assert {"seconds", "memory", "half-step", "lost-worker"} <= {path.stem for path in SVGS}


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.stem)
def test_figures_name_their_command_and_are_whole(path):
    """Each has a script that is there, and a value (or null) for each column of each row."""
    found = content(path.stem)
    scripts = re.findall(r"python ((?:benchmarks|examples)/\w+\.py)", found["command"])
    assert scripts or "python -c" in found["command"]
    assert all((ROOT / each).exists() for each in scripts)
    assert found["rows"]
    for row in found["rows"]:
        assert len(row["values"]) == len(found["columns"]), row["what"]
    assert {"title", "data", "machine", "threads", "rounds", "versions"} <= set(found)


def test_the_tables_of_all_pages_are_those_of_the_files():
    """Otherwise run docs/pictures/benchmarks.py."""
    figures, seen = script("_figures"), set()
    for page in figures.PAGES:
        text = page.read_text(encoding="utf-8")
        assert figures.filled(text) == text, page
        seen |= {found[2] for found in figures.PLACE.finditer(text)}
    assert seen == {path.stem for path in FIGURES}


def test_a_table_has_the_values_of_its_file():
    """Read back by another way than the one that wrote it: rounded to three digits, with the right multiples."""
    page = (ROOT / "docs" / "benchmarks" / "speed.md").read_text(encoding="utf-8")
    found = content("ml20m-rank64")
    lines = page.partition("<!-- figures: ml20m-rank64 -->")[2].partition("<!-- end of figures -->")[0].splitlines()
    cells = {each[1].strip(): each[2:-1] for each in (line.split("|") for line in lines if line.startswith("|"))}
    assert "iteration, exact (s)" in cells
    for row in found["rows"]:
        shown = cells[f"{row['what']} ({row['unit']})" if row["unit"] else row["what"]]
        ours = row["values"][0]
        for value, cell in zip(row["values"], shown, strict=True):
            assert numbers(cell) == ([] if value is None else [pytest.approx(value, rel=5e-3)])
            for multiple in re.findall(r"\(([\d.]+)x\)", cell):
                assert float(multiple) == pytest.approx(value / ours, rel=0.05)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0708, "0.0708"),
        (0.33, "0.330"),
        (1.43, "1.43"),
        (7.3, "7.30"),
        (21.0, "21.0"),
        (129, "129"),
        (99.96, "100.0"),
    ],
)
def test_seconds_have_three_digits(value, text):
    assert script("_figures").three_digits(value) == text


@pytest.mark.parametrize(
    ("picture", "file", "whats"),
    [
        ("seconds", "ml20m-rank64", ["iteration, exact", "whole fit, exact, 4 iterations", "ten items for all users"]),
        ("seconds-rank10", "ml20m-rank10", ["iteration, exact", "whole fit, exact, 10 iterations"]),
        (
            "seconds-implicit",
            "ml20m-rank64-implicit",
            ["iteration, exact", "iteration, cg", "ten items for all users"],
        ),
        ("memory", "ml20m-rank64", ["peak memory, first fit"]),
    ],
)
def test_the_bars_are_labelled_with_the_values_of_the_file(picture, file, whats):
    """Every value of the rows, in their order, the libraries beside them."""
    labels = [
        text for text in texts((PICTURES / f"{picture}.svg").read_text()) if re.match(r"[\d,.]+ (s|MB)( \(|$)", text)
    ]
    labels = [text for text in labels if not re.fullmatch(r"(0\.1|1|10|100|0|[246],000) (s|MB)", text)]  # of the axes
    rows = {row["what"]: row["values"] for row in content(file)["rows"]}
    wanted = [value for what in whats for value in rows[what] if value is not None]
    assert [numbers(label)[0] for label in labels][: len(wanted)] == pytest.approx(wanted, rel=5e-3)


def test_the_lines_end_at_the_values_of_the_file():
    ends = " | ".join(texts((PICTURES / "scaling.svg").read_text()))
    last = dict(zip(content("scaling")["columns"], content("scaling")["rows"][-1]["values"], strict=True))
    assert f"1 thread, {last['1 thread']} s" in ends
    assert f"2 threads, {last['2 threads']} s" in ends
    assert f"2 processes, {last['from Parquet: 2 processes']:.1f} s" in ends


@pytest.mark.parametrize("path", SVGS, ids=lambda path: path.stem)
def test_a_picture_is_not_older_than_what_it_was_drawn_from(path):
    """Otherwise run docs/pictures/benchmarks.py, or docs/pictures/blocks.py."""
    style, plots = script("_style"), (PICTURES / "benchmarks.py").read_text(encoding="utf-8")
    noted = re.search(r"<!-- sources (\w+) -->", path.read_text(encoding="utf-8"))[1]
    sources = {style.digest(PICTURES / "blocks.py")}
    if f'"{path.stem}"' in plots:
        both = PICTURES / "benchmarks.py", PICTURES / "_figures.py"
        sources = {style.digest(*both, figures) for figures in FIGURES}
    assert noted in sources


@pytest.mark.parametrize("path", SVGS, ids=lambda path: path.stem)
def test_a_picture_follows_light_and_dark(path):
    """It has a title and a background of its own, and no colour besides those of the theme."""
    text, style = path.read_text(encoding="utf-8"), script("_style")
    assert "prefers-color-scheme:dark" in text
    assert re.search(r"<title>.{20,}</title>", text)
    drawn = text[text.index("</style>") :]
    assert re.search(r"fill: var\(--paper\)", drawn)
    assert set(re.findall(r"var\(--([\w-]+)\)", drawn)) <= set(style.THEME)
    assert not re.findall(r"(?:fill|stroke): #\w+", drawn)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        ("ink", "paper", 7), ("ink", "box", 7), ("ink", "ours-pale", 4.5), ("ink", "warm-pale", 4.5),
        ("faint", "paper", 4.5), ("ours", "paper", 4.5), ("warm", "paper", 4.5), ("warm", "box", 4.5),
        ("gone", "paper", 4.5), ("other", "paper", 3),
    ],
)  # fmt: skip
def test_what_is_drawn_can_be_read(front, back, least, mode):
    """Contrast by the formula of the Web Content Accessibility Guidelines."""

    def luminance(role):
        channels = bytes.fromhex(script("_style").THEME[role][mode][1:])
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (each / 255 for each in channels)
        ]
        return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))

    darker, lighter = sorted([luminance(front), luminance(back)])
    assert (lighter + 0.05) / (darker + 0.05) >= least


@pytest.mark.slow
def test_the_scripts_draw_what_is_committed(tmp_path, monkeypatch):
    """As far as words go: where a line ends depends on the version of matplotlib."""
    pytest.importorskip("matplotlib")
    style = script("_style")
    monkeypatch.setattr(style, "HERE", tmp_path)
    monkeypatch.setattr(script("_figures"), "PAGES", ())
    for name in ("benchmarks", "blocks"):
        script(name).main()
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in SVGS}
    for path in SVGS:
        assert texts((tmp_path / path.name).read_text(encoding="utf-8")) == texts(path.read_text(encoding="utf-8"))
