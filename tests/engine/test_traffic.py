"""Bytes of the forms of a half-step: the formulas count what arrays between processes take."""

import itertools

import numpy as np
import pytest

from daskals.blocks.biases import biases_of
from daskals.engine.traffic import HalfStepSize, bytes_moved, bytes_of_share, fewest_bytes, row_bytes

SIZES = [
    HalfStepSize(n_destination, n_source, columns, processes, has_biases, itemsize)
    for (n_destination, n_source), columns, processes, (has_biases, itemsize) in itertools.product(
        [(12, 30), (30, 12)], [3, 10], [1, 2, 5], [(False, 4), (True, 4), (False, 8)]
    )
]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)


class Network:
    """Processes that send each other arrays, and how many bytes those are."""

    def __init__(self):
        self.bytes = 0

    def send(self, array, sender, receiver):
        self.bytes += array.nbytes if sender != receiver else 0
        return array

    def add_in_a_tree(self, parts):
        """The sum of a part of each process, two of them being added at a time where one of the two is."""
        held = list(enumerate(parts))
        while len(held) > 1:
            pairs = [held[n : n + 2] for n in range(0, len(held), 2)]
            held = [(pair[0][0], sum(self.send(part, sender, pair[0][0]) for sender, part in pair)) for pair in pairs]
        return held[0][1]


def shares(size):
    """Rows of the source, a part of them for each process, as they travel; and those in which unknowns are solved."""
    rows = np.random.default_rng(0).standard_normal((size.n_source, size.columns)).astype(np.float32)
    parts = np.array_split(rows, size.processes)
    if not size.has_biases:
        return parts, parts
    biases = biases_of("users", size.columns, 3.0)
    return parts, [biases.narrow_sources([part])[0][0] for part in parts]


@sizes
def test_gathering_brings_each_process_the_rows_of_all_others(size):
    network, (parts, _) = Network(), shares(size)
    for receiver in range(size.processes):
        for sender, part in enumerate(parts):
            network.send(part, sender, receiver)
    assert bytes_moved(size, "gather") == network.bytes


@sizes
def test_exact_equations_are_added_in_a_tree(size):
    """A triangle of A and b for each destination row. All source rows are rated by all, so the sums can be checked."""
    network, (_, parts) = Network(), shares(size)
    dtype = np.dtype(f"f{size.itemsize}")
    upper = np.triu_indices(parts[0].shape[1])
    equations = [
        np.tile(np.concatenate([(part.T @ part)[upper], part.sum(0)]), (size.n_destination, 1)).astype(dtype)
        for part in parts
    ]
    total = network.add_in_a_tree(equations)
    assert bytes_moved(size, "reduce-exact") == network.bytes
    whole = np.concatenate(parts).astype(np.float64)
    np.testing.assert_allclose(total[0], np.concatenate([(whole.T @ whole)[upper], whole.sum(0)]), rtol=1e-4, atol=1e-4)


@sizes
@pytest.mark.parametrize("cg_steps", [1, 3])
def test_conjugate_gradients_send_directions_and_add_products(size, cg_steps):
    """With the textbook's method: one product for the residual of the start, and one a step."""
    network, (_, parts) = Network(), shares(size)
    dtype, rank = np.dtype(f"f{size.itemsize}"), parts[0].shape[1]

    def product(directions):
        copies = [network.send(directions, 0, receiver) for receiver in range(size.processes)]
        here = [(copy @ part.T @ part).astype(dtype) for copy, part in zip(copies, parts, strict=True)]
        return network.add_in_a_tree(here) + directions

    x = np.zeros((size.n_destination, rank), dtype)
    residual = np.ones_like(x) - product(x)
    direction, before = residual, (residual**2).sum(1, keepdims=True)
    for _ in range(cg_steps):
        image = product(direction)
        step = before / (direction * image).sum(1, keepdims=True)
        x, residual = x + step * direction, residual - step * image
        after = (residual**2).sum(1, keepdims=True)
        direction, before = residual + after / before * direction, after
    assert bytes_moved(size, "reduce-cg", cg_steps) == network.bytes


def test_one_process_moves_nothing():
    size = HalfStepSize(10, 20, 4, processes=1)
    assert [bytes_moved(size, form, 3) for form in ("gather", "reduce-exact", "reduce-cg")] == [0, 0, 0]


def test_sizes_beyond_four_bytes_are_no_trouble():
    """100 million users and a million items, rank 64: 25.6 GB, 8.6 GB, 2 GB into each process."""
    size = HalfStepSize(10**6, 10**8, 64, processes=16)
    assert bytes_of_share(size, "gather") == row_bytes(10**8, 64) == 25_600_000_000
    assert bytes_of_share(size, "reduce-exact") == 10**6 * 64 * 67 // 2 * 4
    assert bytes_moved(size, "reduce-cg", 3) == 15 * 2_048_000_000


def test_the_fewest_bytes():
    """Where sides are alike the rows themselves; from 50 to 1 on, at rank 64, equations; with steps, earlier."""
    exact, steps = ("gather", "reduce-exact"), ("gather", "reduce-cg")

    def best(ratio, forms, cg_steps=0):
        return fewest_bytes(HalfStepSize(1000, 1000 * ratio, 64, processes=4), forms, cg_steps)

    assert [best(ratio, exact) for ratio in (1, 33, 34, 500)] == ["gather", "gather", "reduce-exact", "reduce-exact"]
    assert [best(ratio, steps, 3) for ratio in (1, 8, 9, 500)] == ["gather", "gather", "reduce-cg", "reduce-cg"]
    assert best(8, steps[::-1], 3) == "reduce-cg", "of equal ones the first"
