"""A wire that is a terminal or a socket, waited for by one deadline and never blocking in a call."""

from __future__ import annotations

from time import monotonic

from drivers.errors import LinkTimeout
from drivers.library_errors import LIBRARY_ERRORS, translate
from drivers.transport import ReadBuffer
from firmware_specs import platform

CHUNK = 1 << 16


class Descriptor:
    """Reads and writes one of them.

    Args:
        wire: What waits, reads and writes; the descriptor stays its library's to close.
        address: Named in errors.
    """

    def __init__(self, wire: platform.Wire, address: str) -> None:
        self.buffer = ReadBuffer(self.fill, address)
        self._wire = wire
        self._address = address
        self._rest = memoryview(b"")

    def write(self, data: bytes, deadline: float) -> None:
        """Sends all of `data`, taking in what arrives meanwhile so that two full buffers never wait on each other."""
        self._rest = memoryview(b"")
        self._send(memoryview(data), deadline)

    def finish(self, deadline: float) -> None:
        """Sends what is left of a message that its deadline cut: the other side takes anything else for its middle."""
        if self._rest:
            self._send(self._rest, deadline)

    def _send(self, data: memoryview, deadline: float) -> None:
        view = data
        try:
            while view:
                try:
                    view = view[self._wire.write(view) :]
                except BlockingIOError:
                    self._wait_writable(len(view), deadline)
                if view and monotonic() >= deadline:
                    raise self._late(len(view))
        except LIBRARY_ERRORS as error:
            raise translate(error, f"writing {len(data)} bytes", self._address) from error
        finally:
            if len(view) < len(data):
                self._rest = view

    def fill(self, deadline: float) -> bytes:
        """Waits for bytes and returns what is there; b"" when none came in time."""
        try:
            while self._wire.readable(max(0.0, deadline - monotonic())):
                if (chunk := self._take()) or monotonic() >= deadline:
                    return chunk
            return b""
        except LIBRARY_ERRORS as error:
            raise translate(error, "reading", self._address) from error

    def waiting(self) -> bytes:
        """What has come already, without waiting."""
        try:
            while self._wire.readable(0) and not self.buffer.full and (chunk := self._take()):
                self.buffer.push(chunk)
        except LIBRARY_ERRORS as error:
            raise translate(error, "reading", self._address) from error
        return self.buffer.waiting()

    def forget(self) -> None:
        """The descriptor is about to be closed: whatever is done with it afterwards fails."""
        self._wire.forget()

    def _wait_writable(self, left: int, deadline: float) -> None:
        """Waits for room, which pyserial's own non-blocking write does by spinning for ever."""
        while monotonic() < deadline:
            left_s = max(0.0, deadline - monotonic())
            full = self.buffer.full
            came, room = (False, self._wire.writable(left_s)) if full else self._wire.ready(left_s)
            if room:
                return
            if came:
                self.buffer.push(self._take())
        raise self._late(left)

    def _late(self, left: int) -> LinkTimeout:
        return LinkTimeout(f"{left} bytes could not be written before the deadline", device=self._address)

    def _take(self) -> bytes:
        """What is here, past the library, which would wait for it a second time; b"" where it was gone again.

        A wire that is said to be readable need not be: the kernel dropped what came damaged, another program that
        has the port open was faster.
        """
        try:
            chunk = self._wire.read(CHUNK)
        except BlockingIOError:
            return b""
        if not chunk:
            raise ConnectionResetError("the other side hung up")
        return chunk
