"""A wire over any pyserial URL: a port, `socket://`, `rfc2217://`, `loop://`, ...

Port settings are made once, at open, and never touched again: changing a timeout between write and read loses data.
Where the platform can wait for the port, or for the socket under it, waiting is done here and pyserial never blocks;
elsewhere (COM ports), and under a handler that watches what pyserial does (`spy://`), pyserial waits in short slices.
"""

from __future__ import annotations

import contextlib
import math
import socket
import time

import serial

from drivers.descriptor import Descriptor
from drivers.errors import LinkTimeout
from drivers.library_errors import LIBRARY_ERRORS, translate
from drivers.network_port import NetworkPort, network_port
from drivers.port_opening import ControlLines, finish_watching, is_watched, opened, refuse_replacing, socket_of
from drivers.transport import ReadBuffer, within
from firmware_specs import platform

CLOSE_S = 0.5


class SerialPort:
    """An open serial port.

    Args:
        url: Port name or pyserial URL.
        baud: Bits per second.
        deadline: Point in time by which the port must be open.
        lines: What becomes of DTR and RTS.

    Raises:
        LinkLost: there is no such port, or no permission. Busy: another program has it exclusively.
        LinkTimeout: the open hangs. OutOfRange: a setting is refused.
    """

    def __init__(
        self, url: str, baud: int = 115200, *, deadline: float | None = None, lines: ControlLines | None = None
    ) -> None:
        self.address = f"serial:{url}"
        limit = time.monotonic() + 5.0 if deadline is None else deadline
        wanted = lines or ControlLines()
        refuse_replacing(url, self.address)
        try:
            self._port = within(
                limit, lambda: opened(url, baud, wanted), _close_quietly, "opening the port", self.address
            )
        except LIBRARY_ERRORS as error:
            raise translate(error, "opening the port", self.address) from error
        self._network = network_port(self._port)
        self._wire = None if is_watched(url) else _descriptor(self._port, self.address)
        self._buffer = ReadBuffer(self._fill, self.address) if self._wire is None else self._wire.buffer
        if self._wire is not None:
            self._port.timeout = 0
            self._port.write_timeout = 0

    def write(self, data: bytes, deadline: float) -> None:
        """Sends all of `data`."""
        if self._wire is not None:
            self._wire.write(data, deadline)
            return
        if self._network is not None:
            self._network.deadline = deadline
        try:
            self._port.write(data)
        except LIBRARY_ERRORS as error:
            raise translate(error, f"writing {len(data)} bytes", self.address) from error
        finally:
            if self._network is not None:
                self._network.deadline = math.inf

    def read_exact(self, count: int, deadline: float) -> bytes:
        """Exactly `count` bytes."""
        return self._buffer.exact(count, deadline)

    def read_until(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Bytes up to and with the delimiter."""
        return self._buffer.until(delimiter, limit, deadline)

    def read_piece(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Bytes up to and with the delimiter, or what is here."""
        return self._buffer.piece(delimiter, limit, deadline)

    def read_some(self, deadline: float) -> bytes:
        """What is here, at least one byte."""
        return self._buffer.some(deadline)

    def waiting(self) -> bytes:
        """What is here already."""
        if self._wire is not None:
            return self._wire.waiting()
        try:
            if count := self._port.in_waiting:
                self._buffer.push(bytes(self._port.read(count)))
        except LIBRARY_ERRORS as error:
            raise translate(error, "reading", self.address) from error
        return self._buffer.waiting()

    def drain(self, quiet_s: float, deadline: float) -> int:
        """Ends a message that a deadline cut, and throws away what arrives until it is quiet."""
        if self._wire is not None:
            self._wire.finish(deadline)
        if self._network is not None:
            try:
                self._network.finish(deadline)
            except LIBRARY_ERRORS as error:
                raise translate(error, "ending a message", self.address) from error
        return self._buffer.drain(quiet_s, deadline)

    def close(self) -> None:
        """Closes the port; a close that hangs on unsent bytes is left behind."""
        if self._wire is not None:
            self._wire.forget()
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
        """Waits in pyserial, where the port has no descriptor."""
        try:
            while not (chunk := self._port.read(self._port.in_waiting or 1)) and time.monotonic() < deadline:
                pass
        except LIBRARY_ERRORS as error:
            raise translate(error, "reading", self.address) from error
        return bytes(chunk)


def _close_quietly(port: serial.SerialBase) -> None:
    with contextlib.suppress(*LIBRARY_ERRORS):
        port.reset_output_buffer()
    wire = getattr(port, "_socket", None)
    with contextlib.suppress(*LIBRARY_ERRORS):
        port.close()
    finish_watching(port)
    if isinstance(wire, socket.socket | NetworkPort):
        wire.close()  # pyserial forgets it where the other side has hung up first


def _descriptor(port: serial.SerialBase, address: str) -> Descriptor | None:
    """The port's descriptor, where it has one that can be waited for."""
    wire = platform.wire(socket_of(port) or port)
    return None if wire is None else Descriptor(wire, address)
