"""Ctrl-C, SIGTERM and SIGHUP as a request to stop after the present step; a second one stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Context in which the signals ask instead of kill.

    Attributes:
        signal: The first one that came, None before.
        hurry_s: A step that has not ended this long after the signal is broken off (`KeyboardInterrupt`); None waits
            for it. A real device must be in its safe state within a second.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.hurry_s: float | None = None
        self._heard = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def heard(self) -> None:
        """The stop is under way, outputs are off: signals that still come change nothing."""
        self._heard = True

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._heard:
            return
        if self.signal is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
        if self.hurry_s is not None:
            signal.setitimer(signal.ITIMER_REAL, self.hurry_s)
