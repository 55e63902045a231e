"""Warnings of libraries in threads that overlap."""

import sys
import threading
import warnings

import pytest

from drivers.library_warnings import unheard


def test_nothing_is_heard_within_and_everything_after():
    warnings.simplefilter("error")
    with unheard():
        warnings.warn("not heard", FutureWarning, stacklevel=1)
    with pytest.raises(FutureWarning, match="again"):
        warnings.warn("heard again", FutureWarning, stacklevel=1)


def test_overlapping_uses_end_in_any_order():
    """As of two threads: the first to come is the first to go."""
    warnings.simplefilter("error")
    before = list(warnings.filters)
    first, second = unheard(), unheard()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    warnings.warn("not heard by the second", FutureWarning, stacklevel=1)
    second.__exit__(None, None, None)
    assert list(warnings.filters) == before
    with pytest.raises(FutureWarning):
        warnings.warn("heard", FutureWarning, stacklevel=1)


def test_an_error_within_passes_and_ends_it():
    before = list(warnings.filters)
    with pytest.raises(ValueError, match="of the library"), unheard():
        raise ValueError("of the library")
    assert list(warnings.filters) == before


def test_threads_that_come_and_go_leave_the_filters_as_they_were():
    warnings.simplefilter("error")
    before, heard = list(warnings.filters), []

    def use():
        for _ in range(200):
            with unheard():
                try:
                    warnings.warn("not heard", FutureWarning, stacklevel=1)
                except FutureWarning:
                    heard.append(1)

    interval, threads = sys.getswitchinterval(), [threading.Thread(target=use) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not heard and list(warnings.filters) == before
