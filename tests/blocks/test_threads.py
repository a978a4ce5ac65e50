"""Work of one task on several threads."""

import threading
import time

import numpy as np
import pytest

from daskals.blocks import reduced
from daskals.blocks.threads import threads
from daskals.kernels.types import Products, Tallies


def test_results_come_in_the_order_of_what_was_given():
    def late_first(n):
        time.sleep(0.02 * (3 - n))
        return n

    with threads(3) as map_in_threads:
        assert map_in_threads(late_first, range(3)) == [0, 1, 2]


def test_an_error_comes_out_and_leaves_the_threads_to_others():
    def fail(n):
        raise ValueError(n)

    with pytest.raises(ValueError, match="1"), threads(2) as map_in_threads:
        map_in_threads(fail, [1, 1])
    with threads(1) as map_in_threads:
        assert map_in_threads(abs, [-1]) == [1]


def test_one_task_at_a_time():
    """Three of two threads each: never more than two are at work."""
    at_work, most = [], []

    def work(_):
        at_work.append(1)
        most.append(len(at_work))
        time.sleep(0.01)
        at_work.pop()

    def task():
        with threads(2) as map_in_threads:
            map_in_threads(work, range(4))

    tasks = [threading.Thread(target=task) for _ in range(3)]
    for each in tasks:
        each.start()
    for each in tasks:
        each.join()
    assert len(most) == 12
    assert max(most) == 2


@pytest.mark.parametrize("n_groups", [1, 2, 7])
@pytest.mark.parametrize("residuals", [False, True])
def test_parts_of_groups_are_added_row_by_row(n_groups, residuals):
    """Whole numbers, whose sums are exact in any order; more groups than rows too."""
    rng = np.random.default_rng(n_groups)
    n_rows = 5
    values, errors = rng.integers(0, 9, (n_groups, n_rows, 3)), rng.integers(0, 9, (n_groups, 2, n_rows))

    def make(group):
        (number,) = group
        q, error = errors[number].copy() if residuals else np.zeros((2, 0))
        tallies = Tallies(q + 1.0, q.astype(np.int64), float(number)) if residuals else None
        return reduced.PartOfProducts(Products(values[number].copy(), q, error), tallies)

    whole = reduced.part_of_groups(make, [[n] for n in range(n_groups)], n_rows)
    np.testing.assert_array_equal(whole.products.values, values.sum(0))
    again = reduced.add_parts(*(make([n]) for n in range(n_groups)))
    np.testing.assert_array_equal(again.products.values, values.sum(0))
    if residuals:
        np.testing.assert_array_equal(whole.products.q, errors[:, 0].sum(0))
        np.testing.assert_array_equal(whole.products.error, errors[:, 1].sum(0))
        np.testing.assert_array_equal(whole.tallies.n, errors[:, 0].sum(0) + n_groups)
        np.testing.assert_array_equal(whole.tallies.n_ratings, errors[:, 0].sum(0))
        assert whole.tallies.weight == again.tallies.weight == sum(range(n_groups))
