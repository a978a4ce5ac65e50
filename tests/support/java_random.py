"""``java.util.Random``, and the test data that Spark's ALSSuite makes with it.

The generator is the one that the documentation of ``java.util.Random`` prescribes: a linear congruential one of 48
bits, of which `next` returns the uppermost.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

MASK48 = (1 << 48) - 1
FACTOR = 0x5DEECE66D


def signed(value, bits):
    """The low ``bits`` bits of an integer as Java's int (32) or long (64)."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


class JavaRandom:
    def __init__(self, seed):
        self.state = (seed ^ FACTOR) & MASK48
        self.spare = None

    def next(self, bits):
        self.state = (self.state * FACTOR + 0xB) & MASK48
        return signed(self.state >> (48 - bits), 32)

    def next_int(self):
        return self.next(32)

    def next_long(self):
        return signed((self.next(32) << 32) + self.next(32), 64)

    def next_float(self):
        return np.float32(self.next(24) / (1 << 24))

    def next_double(self):
        return ((self.next(26) << 27) + self.next(27)) / (1 << 53)

    def next_gaussian(self):
        """The polar method makes two at a time; the second one is the next call's."""
        if self.spare is not None:
            number, self.spare = self.spare, None
            return number
        while True:
            v1 = 2 * self.next_double() - 1
            v2 = 2 * self.next_double() - 1
            s = v1 * v1 + v2 * v2
            if 0 < s < 1:
                scale = math.sqrt(-2 * math.log(s) / s)
                self.spare = v2 * scale
                return v1 * scale


class Split(NamedTuple):
    training: pd.DataFrame
    test: pd.DataFrame


def explicit_data(n_users, n_items, rank, noise=0.0, seed=11):
    """60 % of the cells of a matrix of this rank as training, with noise; 30 % as test, without."""
    random = JavaRandom(seed)
    users, items = _factors(n_users, rank, random), _factors(n_items, rank, random)
    training, test = [], []
    for user, left in users:
        for item, right in items:
            _deal(random, user, item, _dot(left, right), noise, training, test)
    return Split(_frame(training), _frame(test))


def implicit_data(n_users, n_items, rank, noise=0.0, seed=11):
    """The same, but positive cells are observed with probability 0.8 and others with 0.2."""
    random = JavaRandom(seed)
    users, items = _factors(n_users, rank, random), _factors(n_items, rank, random)
    training, test = [], []
    for user, left in users:
        for item, right in items:
            value = _dot(left, right)
            if random.next_double() < (0.8 if value > 0 else 1 - 0.8):
                _deal(random, user, item, value, noise, training, test)
    return Split(_frame(training), _frame(test))


def _factors(size, rank, random):
    ids = set()
    while len(ids) < size:
        ids.add(random.next_int())
    return [(each, [np.float32(-1) + random.next_float() * np.float32(2) for _ in range(rank)]) for each in sorted(ids)]


def _dot(left, right):
    return float(np.dot(np.array(left, np.float32), np.array(right, np.float32)))


def _deal(random, user, item, value, noise, training, test):
    x = random.next_double()
    if x < 0.6:
        training.append((user, item, value + noise * random.next_gaussian()))
    elif x < 0.6 + 0.3:
        test.append((user, item, value))


def _frame(rows):
    return pd.DataFrame(rows, columns=["user", "item", "rating"]).astype({"rating": "float32"})
