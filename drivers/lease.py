"""Life is progress, not a thread: how long outputs may stay on without a word from the session's owner.

A heartbeat proves that a process runs, not that the program in it goes on: it beats while the main thread waits for a
lock for ever, or for somebody to page down. So the owner holds outputs on a lease. Every verb renews it; work on the
host that takes longer says so by name and for how long; whoever finds it over switches off.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from drivers.errors import OutOfRange

LEASE_S = 30.0
LONGEST_S = 3600.0
"""Nobody is busy for longer than this without a word."""


class Lease:
    """When the owner last showed life, and until when that holds.

    Args:
        seconds: How long a sign of life holds.
        device: Named in refusals.
        clock: Seconds since some origin.

    Raises:
        OutOfRange: the time is not within 0 .. 3600 s.
    """

    def __init__(self, seconds: float = LEASE_S, device: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._device, self._clock = device, clock
        self.seconds = self._bounded("lease_s", seconds)
        self._lock = threading.Lock()
        self._busy: list[float] = []
        self.renewed = clock()

    @property
    def end(self) -> float:
        """When it is over, on the clock."""
        return max(self.renewed + self.seconds, *self._busy) if self._busy else self.renewed + self.seconds

    @property
    def over(self) -> bool:
        """The owner has shown no life for too long."""
        return self._clock() >= self.end

    @property
    def left_s(self) -> float:
        """Seconds until it is over; 0 where it is."""
        return max(0.0, self.end - self._clock())

    def renew(self) -> None:
        """A sign of life."""
        self.renewed = self._clock()

    @contextmanager
    def busy(self, seconds: float) -> Iterator[None]:
        """Work on the host that takes at most so long; the lease holds for it, and begins anew behind it.

        Raises:
            OutOfRange: not within 0 .. 3600 s: whoever needs more says so again on the way.
        """
        end = self._clock() + self._bounded("busy", seconds)
        with self._lock:
            self._busy = [*self._busy, end]
        try:
            yield
        finally:
            if not self.over:  # who comes back too late finds it over
                self.renew()
            with self._lock:
                rest = list(self._busy)
                rest.remove(end)
                self._busy = rest

    def _bounded(self, what: str, seconds: float) -> float:
        if not (math.isfinite(seconds) and 0 < seconds <= LONGEST_S):
            text = f"{what} = {seconds}: more than 0 and at most {LONGEST_S:g} s are needed"
            raise OutOfRange(text, device=self._device)
        return float(seconds)
