"""What the first bytes of a file say of it: compression, encoding, and whether it is a table at all.

Nothing but a few pieces of a file is read, so that a wrong file of any size is told at once.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
from typing import Any, Literal, NamedTuple

import fsspec

#: Bytes that are looked at.
HEAD = 1 << 17
#: What is said to be expected, whatever was found.
EXPECTED = "expected a table of ratings: text such as CSV, JSON lines, or Parquet"

_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_OPENERS: dict[str, Any] = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}
#: What else is often met, by its first bytes.
_STRANGERS = {
    b"PK\x03\x04": "a zip archive, or an Excel workbook: unpack it, or save the sheet as CSV",
    b"%PDF": "a PDF document",
    b"\x89HDF": "an HDF5 file: write it as Parquet or CSV, with pandas for example",
    b"SQLite format 3": "an SQLite database: write the table as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV",
    b"\x93NUMPY": "a NumPy array",
    b"\x80\x04\x95": "a Python pickle: write it as Parquet or CSV",
    b"ORC": "an ORC file: write it as Parquet or CSV",
    b"Obj\x01": "an Avro file: write it as Parquet or CSV",
}


class Head(NamedTuple):
    """What is known of a file before it is read."""

    kind: Literal["text", "json", "parquet"]
    compression: str | None
    encoding: str
    #: of text: the complete lines at the beginning, without the empty ones
    lines: list[str]


def look_at(file: str) -> Head:
    """Look at the beginning of a file; ``ValueError`` in one line that says what was found where it is no table."""
    fs, place = fsspec.url_to_fs(file)
    size = fs.size(place)
    if size == 0:
        raise ValueError(f"{file} is empty (0 bytes); {EXPECTED}")
    with fs.open(place, "rb") as opened:
        first = opened.read(HEAD)
        compression = next((name for magic, name in _PACKED.items() if first.startswith(magic)), None)
        if compression is None:
            _check_for_zeros(file, opened, size, first)
    if first.startswith(b"PAR1"):
        return Head("parquet", None, "", [])
    for magic, what in _STRANGERS.items():
        if first.startswith(magic):
            raise ValueError(f"{file} is {what}; {EXPECTED}")
    if compression is not None:
        first = _unpacked(file, first, compression)
    whole = size is not None and size <= HEAD and len(first) <= HEAD
    encoding = _encoding_of(file, first)
    text = first.decode(encoding, errors="replace")  # the last character may be cut
    lines = text.splitlines() if whole else text.splitlines()[:-1] or text.splitlines()
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise ValueError(f"{file} has nothing but white space; {EXPECTED}")
    return Head(_kind_of(file, lines[0]), compression, encoding, lines)


def _kind_of(file: str, first: str) -> Literal["text", "json"]:
    begins = first.lstrip()[:1]
    if begins == "{":
        return "json"
    if begins == "[":
        raise ValueError(
            f"{file} is a JSON array, or begins like one; of JSON, lines are expected, with one object on each: "
            f"jq -c '.[]' makes them"
        )
    if re.match(r"\s*<(!doctype|html|\?xml)", first, re.IGNORECASE):
        raise ValueError(f"{file} is a page of HTML or XML, perhaps one that a server sends in place of it; {EXPECTED}")
    return "text"


def _check_for_zeros(file: str, opened: Any, size: int | None, first: bytes) -> None:
    """A file that was allocated and never written, all of it or from somewhere on: told by three pieces of it."""
    if not first.strip(b"\0"):
        raise ValueError(f"{file} holds zero bytes where text should be ({size:,} bytes in all); {EXPECTED}")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"PAR1")) or not size or size <= len(first):
        return
    for place in (size // 2, size - 4096):
        opened.seek(max(0, place))
        piece = opened.read(4096)
        if not piece.strip(b"\0"):
            raise ValueError(
                f"{file} is text at its head, but holds zero bytes at byte {max(0, place):,} of {size:,}: it was not "
                "written to its end"
            )


def _unpacked(file: str, first: bytes, compression: str) -> bytes:
    """The beginning of what is packed."""
    try:
        if compression == "zstd":
            import pyarrow as pa

            return bytes(pa.CompressedInputStream(pa.BufferReader(first), "zstd").read(HEAD))
        with _OPENERS[compression](io.BytesIO(first)) as opened:
            parts: list[bytes] = []
            try:
                while sum(map(len, parts)) <= HEAD and (part := opened.read1(4096)):
                    parts.append(part)
            except EOFError:  # only the beginning of it is here
                pass
            found = b"".join(parts)
    except (OSError, ValueError, lzma.LZMAError) as error:
        raise ValueError(f"{file} begins as {compression} does, and cannot be unpacked: {error}") from None
    if not found:
        raise ValueError(f"{file} holds nothing, packed by {compression}; {EXPECTED}")
    return found


def _encoding_of(file: str, first: bytes) -> str:
    if first.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = [first[start::2].count(0) for start in (0, 1)]
    half = max(1, len(first) // 2)
    if max(zeros) > 0.9 * half and min(zeros) < 0.1 * half:  # UTF-16 of Latin letters, without a mark
        return "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    control = sum(first.count(byte) for byte in range(32) if byte not in (9, 10, 11, 12, 13))
    if first.count(0) or control > 0.01 * len(first):
        begins = first[:8].hex(" ")
        raise ValueError(f"{file} is binary, no text (its first bytes are {begins}); {EXPECTED}")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(first)
    except UnicodeDecodeError:
        return "cp1252" if not set(first) & {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "latin-1"
    return "utf-8"
