"""A wire over any pyserial URL: a port, `socket://`, `rfc2217://`, `loop://`, ...

Port settings are made once, at open, and never touched again: changing a timeout between write and read loses data.
Where the port has a file descriptor, waiting is done here with `poll` and pyserial never blocks; elsewhere pyserial
waits in short slices.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import socket
import time

import serial

from drivers.errors import LinkTimeout
from drivers.library_errors import LIBRARY_ERRORS, translate
from drivers.transport import ReadBuffer, within

CHUNK = 1 << 16
SLICE_S = 0.01
WRITE_S = 5.0
CLOSE_S = 0.5


class SerialPort:
    """An open serial port.

    Args:
        url: Port name or pyserial URL.
        baud: Bits per second.
        deadline: Point in time by which the port must be open.

    Raises:
        LinkLost: there is no such port, or no permission. Busy: another program has it exclusively.
        LinkTimeout: the open hangs. OutOfRange: a setting is refused.
    """

    def __init__(self, url: str, baud: int = 115200, *, deadline: float | None = None) -> None:
        self.address = f"serial:{url}"
        limit = time.monotonic() + 5.0 if deadline is None else deadline
        try:
            self._port = within(limit, lambda: _open(url, baud), _close_quietly, "opening the port", self.address)
        except LIBRARY_ERRORS as error:
            raise translate(error, "opening the port", self.address) from error
        self._buffer = ReadBuffer(self._fill, self.address)
        self._poll = _poller(self._port, select.POLLIN)
        self._both = _poller(self._port, select.POLLIN | select.POLLOUT)
        if self._poll is not None:
            self._port.timeout = 0
            self._port.write_timeout = 0

    def write(self, data: bytes, deadline: float) -> None:
        """Sends all of `data`, taking in what arrives meanwhile so that two full buffers never wait on each other."""
        view = memoryview(data)
        try:
            if self._both is None:
                self._port.write(data)
                return
            while view:
                try:
                    view = view[os.write(self._port.fileno(), view) :]
                except BlockingIOError:
                    self._wait_writable(self._both, len(view), deadline)
        except LIBRARY_ERRORS as error:
            raise translate(error, f"writing {len(data)} bytes", self.address) from error

    def read_exact(self, count: int, deadline: float) -> bytes:
        """Exactly `count` bytes."""
        return self._buffer.exact(count, deadline)

    def read_until(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Bytes up to and with the delimiter."""
        return self._buffer.until(delimiter, limit, deadline)

    def read_piece(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Bytes up to and with the delimiter, or what is here."""
        return self._buffer.piece(delimiter, limit, deadline)

    def drain(self, quiet_s: float, deadline: float) -> int:
        """Throws away what arrives until it is quiet."""
        return self._buffer.drain(quiet_s, deadline)

    def close(self) -> None:
        """Closes the port; a close that hangs on unsent bytes is left behind."""
        if self._port.is_open:
            with contextlib.suppress(LinkTimeout):
                within(
                    time.monotonic() + CLOSE_S,
                    lambda: _close_quietly(self._port),
                    lambda _: None,
                    "closing the port",
                    self.address,
                )

    def _fill(self, deadline: float) -> bytes:
        try:
            if self._poll is not None:
                if not self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000.0 + 0.5):
                    return b""
                return self._take()
            while not (chunk := self._port.read(self._port.in_waiting or 1)) and time.monotonic() < deadline:
                pass
            return bytes(chunk)
        except LIBRARY_ERRORS as error:
            raise translate(error, "reading", self.address) from error

    def _wait_writable(self, both: select.poll, left: int, deadline: float) -> None:
        """Waits for room, which pyserial's own non-blocking write does by spinning for ever."""
        while True:
            remaining = deadline - time.monotonic()
            events = both.poll(max(0.0, remaining) * 1000.0 + 0.5)
            if not events:
                raise LinkTimeout(f"{left} bytes could not be written before the deadline", device=self.address)
            happened = events[0][1]
            if happened & select.POLLOUT:
                return
            self._buffer.push(self._take())

    def _take(self) -> bytes:
        """What is here, past pyserial, which would wait for it a second time."""
        chunk = os.read(self._port.fileno(), CHUNK)
        if not chunk:
            raise ConnectionResetError("the other side hung up")
        return chunk


def _open(url: str, baud: int) -> serial.SerialBase:
    exclusive = None if "://" in url else True
    port = serial.serial_for_url(url, baudrate=baud, timeout=SLICE_S, write_timeout=WRITE_S, exclusive=exclusive)
    if url.startswith("socket://"):
        with socket.socket(fileno=os.dup(port.fileno())) as twin:
            twin.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return port


def _close_quietly(port: serial.SerialBase) -> None:
    with contextlib.suppress(*LIBRARY_ERRORS):
        port.reset_output_buffer()
    wire = getattr(port, "_socket", None)
    with contextlib.suppress(*LIBRARY_ERRORS):
        port.close()
    if isinstance(wire, socket.socket):
        wire.close()  # pyserial forgets it where the other side has hung up first


def _poller(port: serial.SerialBase, events: int) -> select.poll | None:
    """A poll object for ports that have a file descriptor, else None."""
    try:
        descriptor = port.fileno()
    except (io.UnsupportedOperation, AttributeError):
        return None
    poll = select.poll()
    poll.register(descriptor, events)
    return poll
