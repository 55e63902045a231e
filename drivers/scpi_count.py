"""How many armed verbs an instrument has executed, and how many of them this session asked for (SCPI.md 4.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from drivers.errors import Busy, DeviceFault, OutOfRange

T = TypeVar("T")


class ArmedCount:
    """Counts along with the device, and asks it again where an answer was lost.

    Args:
        ask: The device's count; None of firmware that has none.

    Attributes:
        done: Armed verbs of this session that were executed; None where that is not known.
    """

    def __init__(self, ask: Callable[[], int | None]) -> None:
        self.done: int | None = None
        self._ask = ask
        self._before: int | None = None

    def begin(self) -> int | None:
        """A session begins: what the device had executed by then."""
        self._before = self._ask()
        self.done = None if self._before is None else 0
        return self._before

    def run(self, verb: Callable[[], T]) -> T:
        """Runs an armed verb; what is refused is not executed."""
        known, self.done = self._known(), None
        try:
            found = verb()
        except (DeviceFault, Busy, OutOfRange):
            self.done = known
            raise
        self.done = None if known is None else known + 1
        return found

    def _known(self) -> int | None:
        if self.done is None and self._before is not None and (now := self._ask()) is not None:
            return now - self._before
        return self.done
