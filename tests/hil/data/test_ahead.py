import threading

import pytest

from hil.data.ahead import ahead


def test_items_come_unchanged_and_in_order():
    assert list(ahead(iter(range(20)))) == list(range(20))
    assert list(ahead(iter([]))) == []
    assert list(ahead(iter([None, 0]))) == [None, 0]


def test_the_next_item_is_made_while_the_present_one_is_used():
    made = threading.Event()

    def items():
        yield 1
        made.set()
        yield 2

    batches = ahead(items())
    assert next(batches) == 1
    assert made.wait(60)
    assert next(batches) == 2


def test_an_error_is_raised_where_its_item_would_have_been():
    def items():
        yield 1
        raise ValueError("damaged file")

    batches = ahead(items())
    assert next(batches) == 1
    with pytest.raises(ValueError, match="damaged file"):
        next(batches)


def test_leaving_early_leaves_no_thread_behind():
    before = threading.active_count()
    batches = ahead(iter(range(1000)))
    next(batches)
    batches.close()
    assert threading.active_count() == before
