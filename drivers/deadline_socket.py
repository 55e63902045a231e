"""A socket whose calls all end by one deadline, under a library that knows only a timeout for each call.

pyvisa-py's HiSLIP client waits for every piece of a message anew: messages of size 0, foreign message numbers or a byte
now and then keep it for ever, and a connection closed within a message makes it spin.
"""

from __future__ import annotations

import math
import socket
from time import monotonic

NEARLY = 0.9
"""A timeout this near is not set again."""


class DeadlineSocket:
    """Stands in for a connected socket.

    Args:
        inner: The socket.

    Attributes:
        deadline: Point on the monotonic clock after which every call raises `TimeoutError`.
    """

    def __init__(self, inner: socket.socket) -> None:
        self.deadline = math.inf
        self._inner = inner
        self._timeout_s = -1.0

    def recv_into(self, buffer: memoryview | bytearray, size: int = 0) -> int:
        """At least one byte.

        Raises:
            TimeoutError: none came in time. ConnectionResetError: none can come.
        """
        self._arm()
        count = self._inner.recv_into(buffer, size)
        if not count:
            raise ConnectionResetError("the other side hung up")
        return count

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """All of it; raises `TimeoutError`."""
        self._arm()
        self._inner.sendall(data)

    def settimeout(self, seconds: float | None) -> None:
        """Nothing: the deadline counts."""

    def setsockopt(self, level: int, name: int, value: int) -> None:
        """Of the socket."""
        self._inner.setsockopt(level, name, value)

    def close(self) -> None:
        """Of the socket."""
        self._inner.close()

    def _arm(self) -> None:
        left_s = self.deadline - monotonic()
        if left_s <= 0:
            raise TimeoutError("the deadline has passed")
        if not NEARLY * self._timeout_s <= left_s <= self._timeout_s:
            self._inner.settimeout(None if math.isinf(left_s) else left_s)
            self._timeout_s = left_s
