"""Spark's random generator and the start values that its ALS makes from a seed, without a JVM.

The chain is: the seed of the fit gives a 64-bit seed to each side; each Spark block of a side gets its own
generator from that; the generator gives a row of normal numbers to each id of the block, ids ascending; each
row is scaled to unit length. A *Spark block* is "id modulo numUserBlocks": it decides which numbers a row starts
from and nothing else. How rows lie in memory or on workers is another matter (see `daskals.partitioning`).

The generator is ``org.apache.spark.util.random.XORShiftRandom`` under ``java.util.Random.nextGaussian`` (the
polar method of Marsaglia). Two observations make it fast in NumPy, with no Python loop over numbers:

* An attempt of the polar method takes exactly four raw steps whether it is accepted or not. So attempts stand at
  fixed places of the stream: make many, keep those that fall inside the unit circle, in order.
* A raw step is linear over the bits of the 64-bit state. So "m steps ahead" is a 64 x 64 bit matrix, and from
  states s[0..m) the states s[m..2m) are eight table look-ups each (a table per byte of the state)::

      s[0]                                   one state
      s[0] s[1]                              1-step matrix applied to s[0..1)
      s[0] s[1] s[2] s[3]                    2-step matrix applied to s[0..2)
      ...                                    until a chunk is full; then whole chunks are carried forward
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

UInt64 = npt.NDArray[np.uint64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

MASK32 = (1 << 32) - 1
MASK64 = (1 << 64) - 1
#: Raw steps made at a time at most: half a megabyte of states.
CHUNK = 1 << 16
SPARK_RANDOMS = ("3", "2")


def start_values(
    spark_ids: npt.NDArray[np.integer], n_blocks: int, rank: int, side_seed: int, version: str = "3"
) -> Float32:
    """The rows that Spark's ALS starts from, one for each id.

    Parameters
    ----------
    spark_ids : array of int, shape (n,), ascending
        The ids as Spark would see them.
    n_blocks : int
        Spark's ``numUserBlocks`` or ``numItemBlocks``.
    rank : int
        Length of a row.
    side_seed : int
        From `side_seeds`.
    version : "3" or "2"
        Whose generator: that of Spark 3 and later, or that of Spark 2.

    Returns
    -------
    array of float32, shape (n, rank)
        Row j belongs to ``spark_ids[j]`` and has length 1.

    >>> import numpy as np
    >>> user_seed, item_seed = side_seeds(0)
    >>> rows = start_values(np.array([0, 1, 2]), 10, 4, user_seed)
    >>> np.linalg.norm(rows, axis=1).round(5).tolist()
    [1.0, 1.0, 1.0]
    """
    rows = np.empty((len(spark_ids), rank), np.float32)
    block_of = spark_ids % spark_ids.dtype.type(n_blocks)
    for block in np.unique(block_of):
        members = np.flatnonzero(block_of == block)
        rows[members] = block_start_values(len(members), rank, int(block), side_seed, version)
    return rows


def block_start_values(n_rows: int, rank: int, block: int, side_seed: int, version: str) -> Float32:
    """The start rows of one Spark block, shape (n_rows, rank), each of length 1; see `start_values`."""
    seed = _byteswap64(_signed(side_seed) ^ block)
    rows = gaussians(n_rows * rank, seed, version).astype(np.float32).reshape(n_rows, rank)
    # Spark takes the length in float32 and multiplies by its reciprocal; so do we, to the last bit or two.
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64)).astype(np.float32)
    rows *= (np.float32(1) / length)[:, None]
    return rows


def side_seeds(seed: int, version: str = "3") -> tuple[int, int]:
    """The 64-bit seeds of the user side and of the item side that follow from the seed of a fit."""
    states = next(_state_chunks(_hash_seed(seed, version), 4))
    high = states[0:4:2] & np.uint64(MASK32)
    low = states[1:4:2] & np.uint64(MASK32)
    user, item = ((int(h) << 32) + _signed32(int(word)) for h, word in zip(high, low, strict=True))
    return _signed(user), _signed(item)


def gaussians(count: int, seed: int, version: str = "3") -> Float64:
    """The first ``count`` numbers of ``XORShiftRandom(seed).nextGaussian()``, float64."""
    parts: list[Float64] = []
    missing = count
    # two numbers of four states, of which pi / 4 are accepted; and some more, against a second chunk
    chunks = _state_chunks(_hash_seed(seed, version), 64 + int(2.7 * count))
    while missing > 0:
        part = _polar(next(chunks))
        parts.append(part[:missing])
        missing -= len(part)
    return np.concatenate(parts) if parts else np.empty(0)


def _polar(states: UInt64) -> Float64:
    """Marsaglia's polar method on raw states, four an attempt; shape (4 m,) in, (2 accepted,) out."""
    quads = states.reshape(-1, 4)
    high = (quads[:, 0::2] & np.uint64((1 << 26) - 1)) << np.uint64(27)
    uniform = (high + (quads[:, 1::2] & np.uint64((1 << 27) - 1))) * 2.0**-53
    pairs = 2 * uniform - 1
    square = pairs[:, 0] ** 2 + pairs[:, 1] ** 2
    inside = (square < 1) & (square != 0)
    pairs, square = pairs[inside], square[inside]
    numbers: Float64 = pairs * np.sqrt(-2 * np.log(square) / square)[:, None]
    return numbers.reshape(-1)


def _state_chunks(state: int, at_a_time: int = CHUNK) -> Iterator[UInt64]:
    """The states after 1, 2, 3, ... raw steps from ``state``, endlessly, a power of two <= `CHUNK` at a time."""
    jump = _one_step_matrix()
    chunk = _apply(jump, np.array([state], np.uint64))
    while len(chunk) < min(at_a_time, CHUNK):
        chunk = np.concatenate([chunk, _apply(jump, chunk)])
        jump = _apply(jump, jump)
    while True:
        yield chunk
        chunk = _apply(jump, chunk)


def _one_step_matrix() -> UInt64:
    """One raw step as a matrix over bits: entry i is the state that follows from bit i alone."""
    state = np.uint64(1) << np.arange(64, dtype=np.uint64)
    state ^= state << np.uint64(21)
    state ^= state >> np.uint64(35)
    return state ^ (state << np.uint64(4))


def _apply(matrix: UInt64, states: UInt64) -> UInt64:
    """Multiply states by a bit matrix: xor of one table entry for each of the eight bytes of a state."""
    images = np.zeros((8, 256), np.uint64)
    for bit in range(8):
        images[:, 1 << bit : 2 << bit] = images[:, : 1 << bit] ^ matrix[bit::8, None]
    out = np.zeros_like(states)
    for byte in range(8):
        out ^= images[byte][(states >> np.uint64(8 * byte)) & np.uint64(255)]
    return out


def _hash_seed(seed: int, version: str) -> int:
    """Spark's scrambling of a seed: Murmur3 over its 8 bytes, which Spark 2 padded with 56 zeros."""
    if version not in SPARK_RANDOMS:
        raise ValueError(f"sparkRandom={version!r} is not allowed: it must be one of {SPARK_RANDOMS}")
    data = (seed & MASK64).to_bytes(8, "big") + bytes(56 if version == "2" else 0)
    low = _murmur3(data, 0x3C074A61)
    high = _murmur3(data, low)
    return (high << 32) | low


def _murmur3(data: bytes, seed: int) -> int:
    """MurmurHash3_x86_32 (Austin Appleby, public domain) of bytes whose number is a multiple of four."""
    h = seed
    for start in range(0, len(data), 4):
        k = int.from_bytes(data[start : start + 4], "little") * 0xCC9E2D51 & MASK32
        h ^= _rotate32(k, 15) * 0x1B873593 & MASK32
        h = (_rotate32(h, 13) * 5 + 0xE6546B64) & MASK32
    h ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = (h ^ (h >> shift)) * factor & MASK32
    return h ^ (h >> 16)


def _rotate32(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & MASK32


def _byteswap64(value: int) -> int:
    """Scala's ``scala.util.hashing.byteswap64``."""
    mixed = value * 0x9E3775CD9E3775CD & MASK64
    swapped = int.from_bytes(mixed.to_bytes(8, "big"), "little")
    return _signed(swapped * 0x9E3775CD9E3775CD)


def _signed(value: int) -> int:
    """The same 64 bits read as Java's long."""
    return ((value & MASK64) ^ (1 << 63)) - (1 << 63)


def _signed32(value: int) -> int:
    return ((value & MASK32) ^ (1 << 31)) - (1 << 31)
