"""What a person sees who runs a program in a terminal: a pseudo-terminal, and what stands on its screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios


def run_in_terminal(command: list[str], columns: int = 80, **env: str) -> tuple[int, str]:
    """The exit code of a command in a terminal of so many columns, and all that it wrote there."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    surroundings = {**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **env}
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=surroundings)
    os.close(slave)
    written = bytearray()
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while some := os.read(master, 65536):
            written += some
    os.close(master)
    return process.wait(), written.decode()


def screens(written: str, columns: int = 80) -> list[list[str]]:
    """What stood in the lines of the screen, each time before the cursor went back to the beginning of a line.

    Knows only what bars are made of: carriage return, line feed, and one line up.
    """
    lines, row, column, seen = [""], 0, 0, []
    text = written.replace("\x1b[A", "\x00")
    for sign in text:
        if sign == "\r":
            seen.append([line.rstrip() for line in lines])
            column = 0
        elif sign == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif sign == "\x00":
            assert row, "above the first line"
            row -= 1
        else:
            assert sign.isprintable(), f"{sign!r} is more than this terminal knows"
            assert column < columns, f"the line {lines[row]!r} wraps"
            lines[row] = lines[row].ljust(column)[:column] + sign + lines[row][column + 1 :]
            column += 1
    return [*seen, [line.rstrip() for line in lines]]
