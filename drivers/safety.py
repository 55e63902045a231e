"""Outputs go off however the program ends: signals become exceptions, and switching off is not interrupted.

What a process can catch is handled here; kill -9, power loss and a pulled cable are the device's watchdog's.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from firmware_specs import platform

HELD = (signal.SIGINT, *platform.STOPS, *platform.TIMERS)
"""A program's own timers, too: what they raise would break off the switching off as well as a signal from outside."""


class SignalWatch:
    """While outputs are on: signals whose default is to end the process raise SystemExit in the main thread instead.

    SIGINT raises KeyboardInterrupt already. Handlers that the program has installed itself are left alone.
    """

    def __init__(self) -> None:
        self._ours: list[signal.Signals] = []

    def start(self) -> None:
        """Takes over the signals; does nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        platform.close_is_a_signal()
        for number in platform.STOPS:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _stop)
                self._ours.append(number)

    def stop(self) -> None:
        """Gives them back."""
        if threading.current_thread() is not threading.main_thread():
            return
        while self._ours:
            signal.signal(self._ours.pop(), signal.SIG_DFL)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Holds the stopping signals back; the first that came is delivered afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in HELD}
    for number in HELD:
        signal.signal(number, lambda received, frame: came.append(received))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if came:
        signal.raise_signal(signal.Signals(came[0]))


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
