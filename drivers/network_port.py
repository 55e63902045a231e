"""Bounds around pyserial's RFC 2217 handler, whose thread takes in whatever comes and whose writes know no deadline.

The handler's reader puts every byte into a queue without end, and collects a subnegotiation until somebody ends it: a
server that talks fills the memory, read or not. Here the queue has an end, behind which TCP holds the server back; a
subnegotiation longer than any that there is ends the connection; and a write ends with its deadline.
"""

from __future__ import annotations

import math
import select
import socket
import time
from typing import Any

from serial import rfc2217

from drivers.transport import MOST_AHEAD

MOST_OPTION = 1024
"""Bytes of a subnegotiation; the longest that RFC 2217 has is a server's signature of 255."""
CONTROL_S = 5.0
"""How long the handler may take to send an answer of its own."""
_BEGIN, _END, _ESCAPED = b"\xff\xfa", b"\xff\xf0", b"\xff\xff"


class NetworkPort:
    """Takes the place of the socket of an open RFC 2217 port.

    Args:
        port: pyserial's, open.

    Attributes:
        deadline: Point on the monotonic clock by which a write ends.
    """

    def __init__(self, port: Any) -> None:
        self.deadline = math.inf
        self._inner: socket.socket = port._socket
        self._queue = port._read_buffer
        self._queue.maxsize = MOST_AHEAD
        self._option, self._half, self._rest = 0, b"", memoryview(b"")
        port._socket = self

    def recv(self, size: int) -> bytes:
        """What is there.

        Raises:
            ConnectionError: a subnegotiation has no end.
        """
        chunk = self._inner.recv(size)
        seen = (self._half + chunk).replace(_ESCAPED, b"")
        self._half = b"\xff" if seen.endswith(b"\xff") else b""
        begin, end = seen.rfind(_BEGIN), seen.rfind(_END)
        if begin > end:
            self._option = len(seen) - begin
        elif end >= 0:
            self._option = 0
        elif self._option:
            self._option += len(seen)
        if self._option > MOST_OPTION:
            raise ConnectionError(f"a telnet option of {self._option} bytes and more")
        return chunk

    def sendall(self, data: bytes) -> None:
        """All of it; raises `TimeoutError`."""
        if math.isinf(self.deadline):  # the handler's own words, which may stand within a message
            left = self._send(memoryview(data), time.monotonic() + CONTROL_S)
        else:
            left = self._send(memoryview(data), self.deadline)
            self._rest = left if len(left) < len(data) else memoryview(b"")
        if left:
            raise TimeoutError(f"{len(left)} bytes could not be written before the deadline")

    def finish(self, deadline: float) -> None:
        """Sends what is left of a message that its deadline cut; raises `TimeoutError`."""
        self._rest = self._send(self._rest, deadline)
        if self._rest:
            raise TimeoutError(f"{len(self._rest)} bytes of a message could not be written before the deadline")

    def _send(self, view: memoryview, until: float) -> memoryview:
        """Returns what could not be sent in time."""
        while view:
            left_s = until - time.monotonic()
            if left_s <= 0 or not select.select([], [self._inner], [], left_s)[1]:
                break
            view = view[self._inner.send(view) :]
        return view

    def shutdown(self, how: int) -> None:
        """Of the socket; the reader is let go, so that it sees the end."""
        with self._queue.mutex:
            self._queue.maxsize = 0
            self._queue.not_full.notify_all()
        self._inner.shutdown(how)

    def close(self) -> None:
        """Of the socket."""
        self._inner.close()


def network_port(port: Any) -> NetworkPort | None:
    """Puts bounds around an open RFC 2217 port; None of another kind."""
    return NetworkPort(port) if isinstance(port, rfc2217.Serial) else None
