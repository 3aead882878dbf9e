from __future__ import annotations

import threading
import time

import pytest

from g2l.inference.ahead import ahead


def alive():
    return any(thread.name == "worker" for thread in threading.enumerate())


@pytest.mark.parametrize("depth", [0, 1, 5])
@pytest.mark.parametrize("count", [0, 1, 30])
def test_items_come_in_order_and_the_thread_ends(depth, count):
    assert list(ahead(iter(range(count)), depth, "worker")) == list(range(count))
    assert not alive()


@pytest.mark.parametrize("depth", [0, 2])
def test_no_more_than_the_depth_is_computed_ahead(depth):
    started = []

    def items():
        for number in range(20):
            started.append(number)
            yield number

    for number in ahead(items(), depth, "worker"):
        time.sleep(0.002)  # for a thread that would not wait
        assert len(started) <= number + depth + 2


def test_with_depth_0_two_buffers_are_enough():
    buffers = [[-1], [-1]]

    def items():
        for number in range(50):
            buffers[number % 2][0] = number
            yield buffers[number % 2]

    for number, buffer in enumerate(ahead(items(), 0, "worker")):
        time.sleep(0.001)
        assert buffer[0] == number


def test_the_next_item_is_computed_while_one_is_used():
    second = threading.Event()

    def items():
        yield 1
        second.set()
        yield 2

    results = ahead(items(), 0, "worker")
    assert next(results) == 1
    assert second.wait(timeout=30)
    assert list(results) == [2]


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        yield 2
        raise KeyError("three")

    results = ahead(items(), 5, "worker")
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(KeyError, match="three"):
        next(results)
    assert not alive()


@pytest.mark.parametrize("depth", [0, 3])
def test_closing_ends_a_chain_of_threads_and_closes_what_they_read(depth):
    closed = []

    def numbers():
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.append("numbers")

    def doubled(items):
        try:
            for item in items:
                yield 2 * item
        finally:
            items.close()
            closed.append("doubled")

    results = ahead(doubled(ahead(numbers(), depth, "worker")), depth, "worker")
    assert [next(results) for _ in range(4)] == [0, 2, 4, 6]
    results.close()
    assert closed == ["numbers", "doubled"]
    assert not alive()
