"""Ctrl-C, SIGTERM and a closed terminal as a request to stop after the present step; a second one stops at once."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Self

from firmware_specs import platform

QUIET_S = 10.0
"""After a step was broken off, what is written then is not broken off by more of the same signals."""


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
        self._broken_off = -QUIET_S
        self._before: dict[signal.Signals, object] = {}
        self._alarm: platform.Alarm | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            platform.close_is_a_signal()
            self._before = {number: signal.signal(number, self._ask) for number in platform.ASKING}
            self._alarm = platform.Alarm(self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._alarm is not None:
            self._alarm.close()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def heard(self) -> None:
        """The stop is under way, outputs are off: signals that still come change nothing."""
        self._heard = True

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._heard or time.monotonic() < self._broken_off + QUIET_S:
            return
        if self.signal is not None:
            if self._alarm is not None:
                self._alarm.set(0)
            self._broken_off = time.monotonic()
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
        if self.hurry_s is not None and self._alarm is not None:
            self._alarm.set(self.hurry_s)
