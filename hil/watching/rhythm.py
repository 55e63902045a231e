"""How often something is done: after some seconds, and later where doing it takes long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Rhythm:
    """Says when something is due.

    Args:
        seconds: From one time to the next, at least; the first time is due at once.
        share: Of the time that doing it may take; 1: never mind.
    """

    def __init__(self, seconds: float, share: float = 1.0) -> None:
        self._seconds, self._share = seconds, share
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time; from then on it is not, for as long as it should be."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True

    @contextmanager
    def working(self) -> Iterator[None]:
        """While it is done: what takes long is due later."""
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        self._next = max(self._next, began + took / self._share)
