"""What libraries tell their users in the middle of a call, unheard.

Filters of warnings belong to the whole process, and `warnings.catch_warnings` puts back at its end what it found
at its beginning: of two threads that overlap (a port that is being opened, one that is still being closed) the first to
end makes the second one heard, and the last one leaves the first one's filters for ever.
"""

from __future__ import annotations

import threading
import warnings
from types import TracebackType
from typing import Any


class _Unheard:
    """The first to enter, of all threads, silences; the last to leave puts back what was there."""

    def __init__(self) -> None:
        self._change, self._inside = threading.Lock(), 0
        self._kept: warnings.catch_warnings[Any] | None = None

    def __enter__(self) -> None:
        with self._change:
            if not self._inside:
                self._kept = warnings.catch_warnings()
                self._kept.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._change:
            self._inside -= 1
            if not self._inside and self._kept is not None:
                self._kept.__exit__(None, None, None)


unheard = _Unheard()
"""A context, for any number of threads and calls within each other."""
