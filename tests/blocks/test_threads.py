"""Work of one task on several threads."""

import threading
import time

import pytest

from daskals.blocks.threads import threads


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
