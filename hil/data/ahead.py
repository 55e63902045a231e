"""The next batch is read, augmented and moved to its device while the present one is learnt from."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """The same items in the same order, each asked for one early, on a thread of its own.

    An error of the iterator is raised where its item would have been; leaving early waits for the item under way.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        pending = pool.submit(next, items, end)
        while (item := pending.result()) is not end:
            pending = pool.submit(next, items, end)
            yield item  # type: ignore[misc]
