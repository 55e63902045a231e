"""Frames off a wire, as many at once as have come."""

from __future__ import annotations

import time
from collections import deque

from drivers.heard import Heard
from drivers.link_errors import talks
from drivers.transport import Transport
from firmware_specs.frame import Damaged, Decoder, Frame


class FrameReader:
    """Reads a wire in the portions it comes in.

    Args:
        wire: The byte seam.

    Attributes:
        heard: What came since something was asked.
    """

    def __init__(self, wire: Transport) -> None:
        self.heard = Heard()
        self._wire = wire
        self._decoder = Decoder()
        self._here: deque[Frame | Damaged] = deque()

    def next(self, until: float) -> Frame | None:
        """The next frame; None for a damaged one.

        Raises:
            LinkTimeout: none came, whatever else did. LinkLost: none can come.
        """
        while not self._here:
            chunk = self._wire.read_some(until)
            self.heard.take(chunk)
            self._here.extend(self._decoder.feed(chunk))
            if not self._here and time.monotonic() >= until:
                raise talks(self._wire.address)
        found = self._here.popleft()
        if isinstance(found, Damaged):
            self.heard.damaged += 1
            return None
        self.heard.sound += 1
        return found
