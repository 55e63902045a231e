"""Keeps a device's watchdog content while its owner makes progress, and stops doing so when something is wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from drivers.errors import DeviceError, LinkError
from drivers.lease import Lease

PATIENCE = 4
"""Heartbeats in a row that may stay unanswered."""
SHORTEST_S, LONGEST_S = 0.002, 0.25
"""Pause between two looks: no shorter, whatever period is asked for, and no longer, since a lease may shrink."""


class Heartbeat:
    """A thread that calls `beat` whenever the link has been quiet for a while, for as long as the owner's lease holds.

    Args:
        beat: Sends one heartbeat and checks the ownership.
        last_traffic: Monotonic time of the last transaction.
        period_s: Longest quiet time; infinite for a device that watches nobody: then only the lease is looked at.
        lease: The owner's; None where somebody else looks after it.
        lapse: Called when the lease is over: switches off. False where the owner has shown life meanwhile.
    """

    def __init__(
        self,
        beat: Callable[[], None],
        last_traffic: Callable[[], float],
        period_s: float,
        lease: Lease | None = None,
        lapse: Callable[[], bool] = lambda: True,
    ) -> None:
        self.failure: DeviceError | None = None
        self._beat = beat
        self._last_traffic = last_traffic
        self._period_s = period_s
        self._lease = lease
        self._lapse = lapse
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
        while not self._end.wait(self._pause_s()):
            if self._lease is not None and self._lease.over:
                if self._lapse():
                    return
                continue
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

    def _pause_s(self) -> float:
        """Until the next beat is due, or the lease is over."""
        due = self._last_traffic() + self._period_s
        if self._lease is not None:
            due = min(due, self._lease.end)
        pause_s = due - time.monotonic()
        return min(max(pause_s, SHORTEST_S), LONGEST_S)
