"""The code in Markdown pages: finding it, running it, and comparing what it prints with what the page says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

#: ```python, and ```{code-block} python as MyST has it; the fence may be longer than three
FENCE = re.compile(r"^(?P<fence>```+)(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (?P<kind>not run:|needs) (?P<what>[^\n]+?) -->\s*$")
#: what may stand between code and what it prints
BETWEEN = re.compile(r"\s*(?:It prints(?: \([^)]*\))?:?\s*)?")
NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?")


class Block(NamedTuple):
    """A fenced block of a page."""

    #: of its first line, from 1
    line: int
    language: str
    code: str
    #: why it is not to be run, of the comment ``<!-- not run: needs SLURM -->`` above it; None where it is
    not_run: str | None
    #: the module of the comment ``<!-- needs implicit -->`` above it, without which it cannot be run
    needs: str | None
    #: the ```text block that follows a block of Python at once: what it prints
    prints: str | None


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page, in their order."""
    found = list(FENCE.finditer(text))
    made = []
    for match, after in zip(found, [*found, None][1:], strict=True):
        above = MARK.search(text[: match.start()])
        mark = {above["kind"]: above["what"]} if above else {}
        follows = after is not None and after["info"].strip() == "text"
        printed = follows and BETWEEN.fullmatch(text[match.end() : after.start()])
        made.append(
            Block(
                text[: match.start()].count("\n") + 1,
                match["info"].strip(),
                match["code"],
                mark.get("not run:"),
                mark.get("needs"),
                after["code"] if printed else None,
            )
        )
    return made


def sections(text: str) -> Iterator[tuple[str, Block]]:
    """All blocks with the heading that they stand under."""
    lines = text.splitlines()
    for block in blocks(text):
        headings = [line.lstrip("# ") for line in lines[: block.line] if re.match(r"##+ ", line)]
        yield (headings[-1] if headings else "", block)


def run_python(block: Block, page: Path | str, names: dict[str, Any]) -> str:
    """Run a block in these names; what it has printed. Errors tell the page and the line.

    What asks whether it is the main module, as what starts processes has to, is run as a script.
    """
    if '__name__ == "__main__"' in block.code:
        return _run_script(block)
    printed = io.StringIO()
    padding = "\n" * block.line  # so that tracebacks name the line of the page
    with contextlib.redirect_stdout(printed):
        exec(compile(padding + block.code, str(page), "exec"), names)
    return printed.getvalue()


def _run_script(block: Block) -> str:
    script = Path(f"block_{block.line}.py")
    script.write_text(block.code, encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, check=False)
    # Dask may log a heartbeat that a cluster did not wait for when it closed; what counts is how the script ends
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- comparing output ------------------------------------------------------------------------------------


def same_output(expected: str, printed: str) -> bool:
    """Whether two texts have the same words and about the same numbers.

    Numbers may differ by 3 % or 0.02: factors are float32, and differ between machines in their last digits. White
    space does not count. "..." stands for anything, up to the next word that is the same; numbers before " s" (seconds)
    may be any.
    """
    return _match(_tokens(expected), _tokens(printed))


def _tokens(text: str) -> list[str]:
    spaced = re.sub(r"([\[\](){},:'|=])", r" \1 ", text)
    return re.sub(r"\.\.\.", " ... ", spaced).split()


def _match(expected: list[str], printed: list[str]) -> bool:
    if not expected:
        return not printed
    if expected[0] == "...":
        return any(_match(expected[1:], printed[n:]) for n in range(len(printed) + 1))
    if not printed:
        return False
    is_time = len(expected) > 1 and expected[1] == "s" and bool(NUMBER.fullmatch(printed[0]))
    return (is_time or _alike(expected[0], printed[0])) and _match(expected[1:], printed[1:])


def _alike(one: str, other: str) -> bool:
    if NUMBER.fullmatch(one) and NUMBER.fullmatch(other):
        a, b = (float(each.replace(",", "")) for each in (one, other))
        return abs(a - b) <= max(0.02, 0.03 * abs(a)) if "." in one + other else a == b
    return one == other


# ---- shell -----------------------------------------------------------------------------------------------


def commands(code: str) -> list[list[str]]:
    """The commands of a block of shell, as words; what is set for a command, and comments, are left out."""
    joined = re.sub(r"\\\n\s*", " ", code)
    found = []
    for line in joined.splitlines():
        for part in re.split(r"\s(?:&&|\||;)\s", line):
            words = shlex.split(part, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            if words and words[0] in ("python3", "nice"):
                words[0] = "python"
            if words:
                found.append(words)
    return found


# ---- links -----------------------------------------------------------------------------------------------


def links(text: str) -> list[str]:
    """The targets of all links of a page, but for those in code."""
    prose = re.sub(r"`[^`\n]*`", "``", FENCE.sub("", text))
    return re.findall(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)", prose)


def anchors(text: str) -> set[str]:
    """The anchors of a page: its headings, as GitHub and MyST name them, and MyST's own targets."""
    prose = FENCE.sub("", text)
    found: set[str] = set(re.findall(r"^\(([\w-]+)\)=$", prose, re.MULTILINE))
    for heading in re.findall(r"^#+ (.+)$", prose, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        number = 1
        name = slug
        while name in found:
            name, number = f"{slug}-{number}", number + 1
        found.add(name)
    return found
