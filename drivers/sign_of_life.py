"""Signs of life while an answer is waited for: a lost request must not starve the device's watchdog.

How long an answer may take follows from the bytes on the wire and can be longer than the watchdog. A host that waits
so long in silence for the answer to a request that never arrived finds the device tripped. A CREDIT that says nothing
new is harmless (PROTOCOL.md 4.3), may be sent at any time (4.5), and restarts the watchdog (6.3).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from drivers.errors import LinkTimeout
from drivers.frame_reader import FrameReader
from drivers.transport import Transport
from firmware_specs.codes import Kind
from firmware_specs.frame import Decoder, Frame, encode
from firmware_specs.messages import Credit

SHARE = 4
"""Signs of life within a watchdog: two in a row may get lost."""
SHORTEST_S = 0.05
"""A device that works on a request takes in 512 bytes beyond its window meanwhile (4.5): no more than fit there."""


def credit(session: int, sequence: int, taken: int) -> bytes:
    """A CREDIT: the frames of a reply before `taken` are here."""
    return encode(Frame(Kind.CREDIT, 0, 0, session, sequence, 0, 1, Credit(taken).pack()))


def is_credit(data: bytes) -> bool:
    """Whether bytes are one CREDIT and nothing else. When one is sent is a matter of the clock."""
    found = Decoder().feed(data)
    return len(found) == 1 and isinstance(found[0], Frame) and found[0].kind == Kind.CREDIT


class SignsOfLife:
    """Writes to a wire, and waits on it without ever being silent for longer than a share of the watchdog.

    Args:
        wire: The byte seam.
        reader: Of its frames.

    Attributes:
        period_s: Longest silence while something is waited for; infinite before a watchdog is set.
    """

    def __init__(self, wire: Transport, reader: FrameReader) -> None:
        self.period_s = math.inf
        self._wire = wire
        self._reader = reader
        self._last = time.monotonic()

    def watched(self, watchdog_s: float) -> None:
        """The device's watchdog from now on, seconds; 0 for none."""
        self.period_s = max(SHORTEST_S, watchdog_s / SHARE) if watchdog_s > 0 else math.inf

    def write(self, data: bytes, until: float) -> None:
        """Sends all of `data`."""
        self._wire.write(data, until)
        self._last = time.monotonic()

    def next(self, until: float, sign: Callable[[], bytes]) -> Frame | None:
        """The next frame, None for a damaged one; `sign` makes what is sent in the meantime.

        Raises:
            LinkTimeout: none came. LinkLost: none can come.
        """
        while True:
            due = self._last + self.period_s
            due = until if until <= due else min(until, max(due, time.monotonic()))
            try:
                return self._reader.next(due)
            except LinkTimeout:
                if not due <= time.monotonic() < until or self._last + self.period_s > due:
                    raise  # patience is over, or the wire is one that cannot wait
            self.write(sign(), until)

    def pause(self, seconds: float, sign: bytes) -> None:
        """Lets time pass: a device that asked for it watches all the same."""
        end = time.monotonic() + seconds
        while (left_s := end - time.monotonic()) > 0:
            time.sleep(min(left_s, max(0.0, self._last + self.period_s - time.monotonic())))
            if time.monotonic() >= self._last + self.period_s:
                self.write(sign, end + SHORTEST_S)
