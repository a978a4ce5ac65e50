"""Numbers that tell data from other data: of ratings and ids for checkpoints, of factors for files."""

from __future__ import annotations

import hashlib
import zlib

import numpy as np
import numpy.typing as npt

from daskals.blocks.ratings import InBlock, SideName
from daskals.kernels.types import Float32, Ids

UInt64 = npt.NDArray[np.uint64]


def fingerprint(block: InBlock, side: SideName = "users") -> int:
    """A number that tells these ratings from others; those of all blocks of a side, summed, do not depend on blocks.

    Nor do they depend on the side. A 64-bit mix (the finaliser of splitmix64) of each rating's positions, value and
    weight, summed modulo 2^64.
    """
    rows = block.start + np.repeat(np.arange(len(block.indptr) - 1, dtype=np.uint64), np.diff(block.indptr))
    users, items = rows.astype(np.uint64), block.source_positions.astype(np.uint64)
    if side == "items":
        users, items = items, users
    mixed = (users << np.uint64(32)) ^ items
    given = [block.ratings, *([] if block.weights is None else [block.weights])]
    for values in (np.zeros(1, np.uint64), *map(_bits, given)):
        mixed = _mixed(mixed, values)
    return int(mixed.sum(dtype=np.uint64))


def _bits(values: Float32) -> UInt64:
    return np.ascontiguousarray(values).view(np.uint32).astype(np.uint64)


def _mixed(state: UInt64, values: UInt64) -> UInt64:
    """A step of the mix: the finaliser of splitmix64."""
    state = state + values * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def fingerprint_of_rows(rows: Float32, start: int, side: SideName) -> int:
    """A number that tells these rows (n, rank) from others; ``start`` is the position of the first one on its side.

    Those of all blocks of both sides, summed modulo 2^64, do not depend on the blocks.
    """
    place = np.arange(start, start + len(rows), dtype=np.uint64)
    mixed = _mixed(place, np.full(1, 1 if side == "users" else 2, np.uint64))
    for column in _bits(rows).T:
        mixed = _mixed(mixed, column)
    return int(mixed.sum(dtype=np.uint64))


def fingerprint_of_ids(ids: Ids, side: SideName) -> int:
    """A number of 64 bits that tells these sorted ids of this side from others, and from the same on the other side.

    Integers are the same whatever their type. Dates differ from the integers that count their nanoseconds: start
    values follow from the ids themselves where those are integers, and from their order where not.
    """
    kind = "integers" if ids.dtype.kind in "iu" else ids.dtype.kind
    digest = hashlib.blake2b(f"{side} {kind} ".encode(), digest_size=8)
    for part in _bytes_of(ids):
        digest.update(part)
    return int.from_bytes(digest.digest(), "little")


def checksum(ids: Ids, rows: Float32) -> int:
    """CRC-32 of ids (n,) and the rows (n, rank) that belong to them."""
    total = 0
    for part in (*_bytes_of(ids), np.ascontiguousarray(rows).reshape(-1).data):
        total = zlib.crc32(part, total)
    return total


def _bytes_of(ids: Ids) -> tuple[bytes | memoryview, ...]:
    """The bytes of ids; of strings their lengths too, which say where each one ends."""
    if ids.dtype.kind != "O":
        return (np.ascontiguousarray(ids).view(np.uint8).data,)
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    return lengths.data, "".join(ids).encode("utf-8", "surrogatepass")
