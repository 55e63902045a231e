"""A socket whose calls all end by one deadline, under a library that knows only a timeout for each call.

pyvisa-py's HiSLIP client waits for every piece of a message anew: messages of size 0, foreign message numbers or a byte
now and then keep it for ever, and a connection closed within a message makes it spin.
"""

from __future__ import annotations

import math
import socket
from time import monotonic

CHUNK = 1 << 16
NEARLY = 0.9
"""A timeout this near is not set again."""


class DeadlineSocket:
    """Stands in for a connected socket.

    Args:
        inner: The socket.

    Attributes:
        deadline: Point on the monotonic clock after which every call raises `TimeoutError`.
        sent: Bytes that went out.
    """

    def __init__(self, inner: socket.socket) -> None:
        self.deadline, self.sent = math.inf, 0
        self._inner = inner
        self._timeout_s = -1.0
        self._rest = memoryview(b"")

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
        """All of it, behind what is left of an earlier message that its deadline cut; raises `TimeoutError`."""
        self._send(self._rest)
        self._send(memoryview(data))

    def skip_message(self) -> None:
        """Reads to the end of a message of which a part has been read, where the inner socket follows messages.

        Raises:
            TimeoutError: the rest did not come in time. ConnectionResetError: it cannot come.
        """
        while self.left:
            self.recv_into(bytearray(min(self.left, CHUNK)))

    @property
    def follows(self) -> bool:
        """Does the inner socket follow messages?"""
        return hasattr(self._inner, "left")

    @property
    def left(self) -> int:
        """Bytes of a message of which a part has been read; 0 between messages, and where nobody follows them."""
        return int(getattr(self._inner, "left", 0))

    def settimeout(self, seconds: float | None) -> None:
        """Nothing: the deadline counts."""

    def setsockopt(self, level: int, name: int, value: int) -> None:
        """Of the socket."""
        self._inner.setsockopt(level, name, value)

    def close(self) -> None:
        """Of the socket."""
        self._inner.close()

    def _send(self, data: memoryview) -> None:
        view = data
        try:
            while view:
                self._arm()
                count = self._inner.send(view)
                self.sent += count
                view = view[count:]
        finally:
            if len(view) < len(data):
                self._rest = view

    def _arm(self) -> None:
        left_s = self.deadline - monotonic()
        if left_s <= 0:
            raise TimeoutError("the deadline has passed")
        if not NEARLY * self._timeout_s <= left_s <= self._timeout_s:
            self._inner.settimeout(None if math.isinf(left_s) else left_s)
            self._timeout_s = left_s
