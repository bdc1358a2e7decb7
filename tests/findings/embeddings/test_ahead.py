"""Reading ahead: the same items, errors in their place, and a thread that ends."""

from __future__ import annotations

import threading

import pytest

from spine_models.findings.embeddings.ahead import read_ahead


def readers() -> int:
    return sum(thread.name == "read-ahead" for thread in threading.enumerate())


def test_items_come_in_their_order_from_another_thread():
    made_in = []

    def items():
        for n in range(50):
            made_in.append(threading.current_thread())
            yield n

    assert list(read_ahead(items(), 3)) == list(range(50))
    assert threading.current_thread() not in made_in
    assert readers() == 0


def test_nothing_and_none_are_items_like_others():
    assert list(read_ahead([], 1)) == []
    assert list(read_ahead([None, 0, None], 1)) == [None, 0, None]


def test_an_error_comes_where_its_item_would():
    def items():
        yield 1
        raise ValueError("the second")

    got = []
    with pytest.raises(ValueError, match="the second"):
        for item in read_ahead(items(), 2):
            got.append(item)
    assert got == [1]


def test_no_more_than_depth_wait():
    made = []
    taken = threading.Event()

    def items():
        for n in range(20):
            made.append(n)
            if n == 3:
                taken.set()
            yield n

    reader = read_ahead(items(), 2)
    assert next(reader) == 0
    # One was taken, two wait, and the fourth is in the thread's hand.
    assert taken.wait(10)
    assert len(made) == 4
    assert list(reader) == list(range(1, 20))


def test_a_caller_that_stops_ends_the_thread():
    reader = read_ahead(iter(range(1_000_000)), 2)
    assert next(reader) == 0
    reader.close()
    assert readers() == 0
