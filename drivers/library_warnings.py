"""What libraries tell their users in the middle of a call, unheard.

Filters of warnings belong to the whole process, and `warnings.catch_warnings` puts back at its end what it found at its
beginning: of two threads that overlap (a port that is being opened, one that is still being closed) the first to end
makes the second one heard, and the last one leaves the first one's filters for ever.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Silence:
    """The first to enter, of all threads, silences; the last to leave puts back what was there."""

    def __init__(self) -> None:
        self._change, self._inside = threading.Lock(), 0
        self._kept: warnings.catch_warnings[Any] | None = None

    def __enter__(self) -> None:
        with self._change:
            if not self._inside:
                self._kept = warnings.catch_warnings(action="ignore")
                self._kept.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._change:
            self._inside -= 1
            if not self._inside and self._kept is not None:
                self._kept.__exit__(None, None, None)


_SILENCE = _Silence()


@contextmanager
def unheard() -> Iterator[None]:
    """No warning of any kind is heard within, in any thread; in any number of threads, and within each other.

    Where Python keeps filters for every thread (3.14 without the global lock), in this thread.
    """
    if getattr(sys.flags, "context_aware_warnings", False):
        with warnings.catch_warnings(action="ignore"):
            yield
    else:
        with _SILENCE:
            yield
