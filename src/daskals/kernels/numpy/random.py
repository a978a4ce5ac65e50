"""Normal numbers of Spark's generator, in plain NumPy.

The state is 64 bits. A raw step is ``s ^= s << 21; s ^= s >> 35; s ^= s << 4``, and gives low bits of the new state
(``XORShiftRandom.next``). Two steps make a uniform number, two of those an attempt of Marsaglia's polar method
(``java.util.Random.nextGaussian``), of which pi / 4 give two normal numbers. Two observations make it fast with no
Python loop over numbers:

* An attempt takes exactly four raw steps whether it is accepted or not. So attempts stand at fixed places of the
  stream: make many, keep those that fall inside the unit circle, in order.
* A raw step is linear over the bits of the state. So "m steps ahead" is a 64 x 64 bit matrix, and from
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

from daskals.kernels.types import Float64

UInt64 = npt.NDArray[np.uint64]
#: Raw steps made at a time at most: half a megabyte of states.
CHUNK = 1 << 16


def gaussians(state: int, count: int) -> Float64:
    """The first ``count`` normal numbers of the generator in this state (unsigned), float64."""
    parts: list[Float64] = []
    missing = count
    # two numbers of four states, of which pi / 4 are accepted; and some more, against a second chunk
    chunks = _state_chunks(state, 64 + int(2.7 * count))
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
