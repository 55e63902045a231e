"""A wire that is a file descriptor: a terminal or a socket, waited for with `poll` and never blocking in a call."""

from __future__ import annotations

import os
import select
from time import monotonic
from typing import Final

from drivers.errors import LinkTimeout
from drivers.library_errors import LIBRARY_ERRORS, translate
from drivers.transport import ReadBuffer

CHUNK = 1 << 16
CLOSED = -1
POLLS: Final = hasattr(select, "poll")
"""Does the system have `poll`? Windows has none: its ports and sockets are read by their libraries."""


class Descriptor:
    """Reads and writes one non-blocking descriptor.

    Args:
        number: The descriptor; it stays its library's to close.
        address: Named in errors.
    """

    def __init__(self, number: int, address: str) -> None:
        self.buffer = ReadBuffer(self.fill, address)
        self._number = number
        self._address = address
        self._readable, self._either, self._writable = select.poll(), select.poll(), select.poll()
        self._readable.register(number, select.POLLIN)
        self._either.register(number, select.POLLIN | select.POLLOUT)
        self._writable.register(number, select.POLLOUT)

    def write(self, data: bytes, deadline: float) -> None:
        """Sends all of `data`, taking in what arrives meanwhile so that two full buffers never wait on each other."""
        try:
            view = memoryview(data)
            while view:
                try:
                    view = view[os.write(self._number, view) :]
                except BlockingIOError:
                    self._wait_writable(len(view), deadline)
                if view and monotonic() >= deadline:
                    raise self._late(len(view))
        except LIBRARY_ERRORS as error:
            raise translate(error, f"writing {len(data)} bytes", self._address) from error

    def fill(self, deadline: float) -> bytes:
        """Waits for bytes and returns what is there; b"" when none came in time."""
        try:
            if not self._readable.poll(max(0.0, deadline - monotonic()) * 1000.0 + 0.5):
                return b""
            return self._take()
        except LIBRARY_ERRORS as error:
            raise translate(error, "reading", self._address) from error

    def waiting(self) -> bytes:
        """What has come already, without waiting."""
        try:
            while self._readable.poll(0) and not self.buffer.full:
                self.buffer.push(self._take())
        except LIBRARY_ERRORS as error:
            raise translate(error, "reading", self._address) from error
        return self.buffer.waiting()

    def forget(self) -> None:
        """The descriptor is about to be closed: whatever is done with it afterwards fails."""
        self._number = CLOSED

    def _wait_writable(self, left: int, deadline: float) -> None:
        """Waits for room, which pyserial's own non-blocking write does by spinning for ever."""
        while monotonic() < deadline:
            wanted = self._writable if self.buffer.full else self._either
            events = wanted.poll(max(0.0, deadline - monotonic()) * 1000.0 + 0.5)
            if events and events[0][1] & select.POLLOUT:
                return
            if events:
                self.buffer.push(self._take())
        raise self._late(left)

    def _late(self, left: int) -> LinkTimeout:
        return LinkTimeout(f"{left} bytes could not be written before the deadline", device=self._address)

    def _take(self) -> bytes:
        """What is here, past the library, which would wait for it a second time."""
        chunk = os.read(self._number, CHUNK)
        if not chunk:
            raise ConnectionResetError("the other side hung up")
        return chunk
