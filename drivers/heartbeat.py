"""Keeps a device's watchdog content while the host computes, and stops doing so when something is wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from drivers.errors import DeviceError, LinkError

PATIENCE = 4
"""Heartbeats in a row that may stay unanswered."""


class Heartbeat:
    """A thread that calls `beat` whenever the link has been quiet for a while.

    Args:
        beat: Sends one heartbeat and checks the ownership.
        last_traffic: Monotonic time of the last transaction.
        period_s: Longest quiet time.
    """

    def __init__(self, beat: Callable[[], None], last_traffic: Callable[[], float], period_s: float) -> None:
        self.failure: DeviceError | None = None
        self._beat = beat
        self._last_traffic = last_traffic
        self._period_s = period_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="heartbeat")
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; a beat that hangs is not waited for."""
        self._end.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(0.05)

    def _run(self) -> None:
        missed = 0
        while not self._end.wait(max(0.0, self._last_traffic() + self._period_s - time.monotonic())):
            if time.monotonic() < self._last_traffic() + self._period_s:
                continue
            try:
                self._beat()
                missed = 0
            except LinkError as error:
                missed += 1
                if missed >= PATIENCE:
                    self.failure = error
                    return
            except DeviceError as error:
                self.failure = error
                return
