"""Spark's random generator, and the start values that Spark's ALS makes from a seed, without a JVM.

1. From the seed of the fit follows a 64-bit seed for each side (`side_seeds`). 2. From that follows a seed for each
*Spark block* of the side. The Spark block of an id is "id modulo numUserBlocks" (or
   numItemBlocks). It decides which numbers a row starts from, and nothing else; the blocks in which rows lie in memory
   and on workers are others, chosen in `daskals.engine.plan`.
3. The generator of a Spark block gives ``rank`` normal numbers to each id in it, ids ascending (`gaussians`).
4. Each row is divided by its length (`block_start_values`).

The generator is Spark's ``org.apache.spark.util.random.XORShiftRandom``; normal numbers come from it by the method of
``java.util.Random.nextGaussian`` (Marsaglia's polar method). Both are in `daskals.kernels.gaussians`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from daskals import kernels

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
MASK32 = (1 << 32) - 1
MASK64 = (1 << 64) - 1
SPARK_RANDOMS = ("3", "2")


def start_values(
    spark_ids: npt.NDArray[np.integer], n_blocks: int, rank: int, side_seed: int, version: str = "3"
) -> Float32:
    """The rows from which Spark's ALS starts, one for each id.

    Parameters
    ----------
    spark_ids : array of int, shape (n,), ascending
        The ids as Spark would see them (`daskals.blocks.ids.spark_ids`).
    n_blocks : int
        Spark's ``numUserBlocks`` or ``numItemBlocks``.
    rank : int
        Length of a row.
    side_seed : int
        The seed of the side, from `side_seeds`.
    version : "3" or "2"
        "3" for the generator of Spark 3 and later, "2" for that of Spark 2.

    Returns
    -------
    array of float32, shape (n, rank)
        Row j belongs to ``spark_ids[j]`` and has length 1.

    Raises
    ------
    ValueError
        Another ``version``.

    Examples
    --------
    >>> import numpy as np
    >>> user_seed, item_seed = side_seeds(0)
    >>> rows = start_values(np.array([0, 1, 2]), 10, 4, user_seed)
    >>> np.linalg.norm(rows, axis=1).round(5).tolist()
    [1.0, 1.0, 1.0]
    """
    rows = np.empty((len(spark_ids), rank), np.float32)
    block_of = spark_ids % spark_ids.dtype.type(n_blocks)
    # sorted by block; within a block, ids ascend. Only blocks that have ids are visited: there may be 2^31 - 1 of them.
    order = np.argsort(block_of, kind="stable")
    blocks, starts = np.unique(block_of[order], return_index=True)
    for block, members in zip(blocks, np.split(order, starts[1:]), strict=False):  # (of nothing, split gives one part)
        rows[members] = block_start_values(len(members), rank, int(block), side_seed, version)
    return rows


def block_start_values(n_rows: int, rank: int, block: int, side_seed: int, version: str) -> Float32:
    """The start rows of one Spark block: float32, shape (n_rows, rank), each of length 1; see `start_values`."""
    seed = _byteswap64(_signed(side_seed) ^ block)
    rows = gaussians(n_rows * rank, seed, version).astype(np.float32).reshape(n_rows, rank)
    # Spark computes the length in float32 and multiplies by its reciprocal. So do we, and agree to the last bit or two.
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64)).astype(np.float32)
    rows *= (np.float32(1) / length)[:, None]
    return rows


def side_seeds(seed: int, version: str = "3") -> tuple[int, int]:
    """The 64-bit seeds of the user side and of the item side, which follow from the seed of a fit."""
    state, sides = _hash_seed(seed, version), []
    for _ in range(2):
        high = state = _step(state)
        low = state = _step(state)
        sides.append(_signed(((high & MASK32) << 32) + _signed32(low & MASK32)))
    return sides[0], sides[1]


def _step(state: int) -> int:
    """The state of the generator after one step; both are unsigned 64-bit integers."""
    state ^= state << 21 & MASK64
    state ^= state >> 35
    return state ^ (state << 4 & MASK64)


def gaussians(count: int, seed: int, version: str = "3") -> Float64:
    """The first ``count`` numbers of ``XORShiftRandom(seed).nextGaussian()``: float64, shape (count,)."""
    numbers: Float64 = kernels.gaussians(_hash_seed(seed, version), count)
    return numbers


def _hash_seed(seed: int, version: str) -> int:
    """Scramble a seed as Spark does: Murmur3 over its 8 bytes, to which Spark 2 adds 56 bytes of zeros."""
    if version not in SPARK_RANDOMS:
        raise ValueError(f"sparkRandom={version!r} is not allowed: it must be one of {SPARK_RANDOMS}")
    data = (seed & MASK64).to_bytes(8, "big") + bytes(56 if version == "2" else 0)
    low = _murmur3(data, 0x3C074A61)
    high = _murmur3(data, low)
    return (high << 32) | low


def _murmur3(data: bytes, seed: int) -> int:
    """MurmurHash3_x86_32 (Austin Appleby, public domain) of ``data``, whose length must be a multiple of four."""
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
    """The same 64 bits, read as a signed number (a ``long`` in Java)."""
    return ((value & MASK64) ^ (1 << 63)) - (1 << 63)


def _signed32(value: int) -> int:
    return ((value & MASK32) ^ (1 << 31)) - (1 << 31)
