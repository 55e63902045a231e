"""A wire over any VISA resource: `TCPIP::...::SOCKET`, HiSLIP and VXI-11 `INSTR`, USB, GPIB.

pyvisa-py is the default library, so nothing else need be installed; NI-VISA and others by name. Two kinds of
resource: a *stream* (SOCKET, ASRL), where a reply's end is known only by its length or its newline, and *messages*
(INSTR), where the bus marks it. Blocks are read length-exact in both, so no payload byte can end them.

A SOCKET session of pyvisa-py is a plain TCP connection: it is opened and closed by the library, and its bytes go past
it, which writes in portions without a deadline, spins on a closed connection and searches every portion for newlines.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import pyvisa
from pyvisa import constants
from pyvisa.resources import MessageBasedResource

from drivers.deadline_socket import DeadlineSocket
from drivers.descriptor import CHUNK, Descriptor
from drivers.errors import CorruptFrame, LinkLost, LinkTimeout, OutOfRange, ProtocolViolation
from drivers.library_errors import LIBRARY_ERRORS, translate
from drivers.library_warnings import unheard
from drivers.pyvisa_py_sessions import hislip_of, socket_of, with_deadlines
from drivers.transport import ReadBuffer, within
from firmware_specs import platform

if TYPE_CHECKING:
    from drivers.vxi11_calls import Vxi11Calls

CLOSE_S = 0.5
FIRST, MOST_REST = 1 << 12, 1 << 20
"""Bytes to read of a HiSLIP message, at least before its length is known, and at most at once."""
NEARLY = 0.9
"""A timeout this near is not set again: it costs as much as a read."""
_TIMEOUT = constants.ResourceAttribute.timeout_value
_HALF_READ = constants.StatusCode.success_max_count_read
_HERE = constants.VI_ATTR_ASRL_AVAIL_NUM
_TERMCHAR_ON = constants.ResourceAttribute.termchar_enabled


class VisaSession:
    """An open VISA session.

    Args:
        resource: VISA resource name.
        library: VISA library as pyvisa names it: `@py`, `@ivi`, or a path.
        deadline: Point in time by which the session must be open.

    Raises:
        LinkLost: nothing there, or it refuses. Busy: locked by somebody. LinkTimeout: the open hangs.
        OutOfRange: not a resource name, or the library is not installed.
    """

    def __init__(self, resource: str, library: str = "@py", *, deadline: float | None = None) -> None:
        self.address = f"visa:{resource}"
        self._name, self._library = resource, library
        self._session: Any = None
        self._cut = False
        self._usual: int = 0  # bytes of replies, of the exchange before and of this one
        self._came: int = 0
        self._wire: Descriptor | None = None
        self._timed: tuple[DeadlineSocket | Vxi11Calls, ...] = ()
        self._quiet = contextlib.ExitStack()
        self._open(time.monotonic() + 5.0 if deadline is None else deadline)

    def write(self, data: bytes, deadline: float) -> None:
        """Sends all of `data` as one message."""
        self._check()
        if self._wire is not None:
            self._wire.write(data, deadline)
            return
        self._arm(deadline)
        self._usual, self._came = min(max(FIRST, self._came), MOST_REST), 0
        before = self._sent()
        try:
            self._visa.write(self._session, data)
        except LIBRARY_ERRORS as error:
            self._cut = self._cut or (self._sent() != before if self._numbered else self._stream)
            raise translate(error, f"writing {len(data)} bytes", self.address) from error

    def read_exact(self, count: int, deadline: float) -> bytes:
        """Exactly `count` bytes, whatever their values."""
        if not self._stream:
            return self._buffer.exact(count, deadline)
        self._termchar(False)
        data = self._read(count, deadline)
        while len(data) < count:
            data += self._read(count - len(data), deadline)
        return data

    def read_until(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Bytes up to and with the delimiter; a stream takes only b"\\n"."""
        if not self._stream:
            return self._buffer.until(delimiter, limit, deadline)
        line = self.read_piece(delimiter, limit, deadline)
        if not line.endswith(delimiter):
            raise CorruptFrame(f"{len(line)} bytes came without a newline", device=self.address, last=line)
        return line

    def read_piece(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Bytes up to and with the delimiter where it comes within `limit`; a stream takes only b"\n"."""
        if not self._stream:
            return self._buffer.piece(delimiter, limit, deadline)
        if delimiter != b"\n":
            raise OutOfRange("a VISA stream is read by length or up to a newline", device=self.address)
        self._termchar(True)
        return self._read(limit, deadline)

    def read_some(self, deadline: float) -> bytes:
        """What is here, at least one byte; of other streams than sockets one byte."""
        return self._read(1, deadline) if self._stream else self._buffer.some(deadline)

    def waiting(self) -> bytes:
        """What is here already: of a socket or a serial port; a bus with messages drops it with the next question."""
        self._check()
        if self._wire is not None:
            return self._wire.waiting()
        if not self._stream:
            return self._buffer.waiting()
        try:
            count = int(self._visa.get_attribute(self._session, _HERE)[0]) if self._asrl else 0
            return bytes(self._visa.read(self._session, count)[0]) if count else b""
        except LIBRARY_ERRORS as error:
            raise translate(error, "reading", self.address) from error

    def drain(self, quiet_s: float, deadline: float) -> int:
        """Clears the device and what it has sent; a session that cannot be cleared is opened anew.

        So is one of which a deadline has cut a message that went out: whatever came next would be taken for its middle.
        Where the bytes go past the library, its rest is sent first.
        """
        if self._wire is not None:
            self._wire.finish(deadline)
            return self._buffer.drain(quiet_s, deadline)
        self._buffer.clear()
        try:
            self._arm(deadline)
            if self._in_step():
                return 0  # late replies carry the number of their question, and the library drops them
            if self._cut:
                raise ConnectionAbortedError("a message was cut as it went out")
            self._visa.clear(self._session)
        except LIBRARY_ERRORS:
            self._leave(min(deadline, time.monotonic() + CLOSE_S))
            if time.monotonic() >= deadline:
                raise LinkTimeout("clearing it did not end before the deadline", device=self.address) from None
            self._open(deadline)
        return 0

    def close(self) -> None:
        """Closes the session; a close that hangs is left behind."""
        self._leave(time.monotonic() + CLOSE_S)

    def _leave(self, until: float) -> None:
        if self._session is None:
            return
        self._session = None
        if self._wire is not None:
            self._wire.forget()
        self._quiet.close()
        for timed in self._timed:
            timed.deadline = time.monotonic() + CLOSE_S
        with contextlib.suppress(LinkTimeout):
            within(
                until,
                lambda: _close_quietly(self._resource),
                lambda _: None,
                "closing the session",
                self.address,
            )

    def _open(self, deadline: float) -> None:
        try:
            self._resource = within(
                deadline,
                lambda: _open(self._name, self._library, deadline),
                _close_quietly,
                "opening the session",
                self.address,
            )
            resource = self._resource
            self._visa: Any = resource.visalib
            self._session = resource.session
            self._quiet.enter_context(resource.ignore_warning(_HALF_READ))
            self._wire = self._past_the_library(resource)
            self._timed = with_deadlines(resource)
            self._asrl = self._name.upper().startswith("ASRL")
            self._stream = self._wire is None and (resource.resource_class == "SOCKET" or self._asrl)
        except LIBRARY_ERRORS as error:
            self.close()
            raise translate(error, "opening the session", self.address) from error
        self._timeout_ms, self._termchar_on = -1, False
        self._numbered = hislip_of(self._resource) is not None
        self._out_of_step = self._cut = False
        self._usual, self._came = FIRST, 0
        self._buffer = ReadBuffer(self._fill, self.address) if self._wire is None else self._wire.buffer

    def _past_the_library(self, resource: MessageBasedResource) -> Descriptor | None:
        """The connection of a pyvisa-py SOCKET session, ready for small messages; raises where it was refused."""
        connection = socket_of(resource) if resource.resource_class == "SOCKET" else None
        wire = None if connection is None else platform.wire(connection)
        if connection is None or wire is None:
            return None
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:  # pyvisa-py takes a refused connection for open
            raise OSError(code, os.strerror(code))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        return Descriptor(wire, self.address)

    def _fill(self, deadline: float) -> bytes:
        chunk = self._read(self._room, deadline)
        if not chunk:
            raise ProtocolViolation("the reply ended before all of it had come", device=self.address)
        self._came += len(chunk)
        return chunk

    @property
    def _room(self) -> int:
        """Bytes to read at once. HiSLIP: what the reply before had, then the rest; the library zeroes them all."""
        sync = self._timed[0] if self._numbered else None
        if not isinstance(sync, DeadlineSocket) or not sync.follows:
            return CHUNK
        return min(sync.left or self._usual, MOST_REST)

    def _read(self, count: int, deadline: float) -> bytes:
        self._check()
        self._arm(deadline)  # a host that slept until the deadline has read nothing, and is where it was
        try:
            data, _ = self._visa.read(self._session, count)
            return bytes(data)
        except LIBRARY_ERRORS as error:
            in_time = isinstance(error, pyvisa.VisaIOError) and error.error_code == constants.StatusCode.error_timeout
            self._out_of_step = self._numbered and not in_time
            raise translate(error, f"reading up to {count} bytes", self.address) from error

    def _in_step(self) -> bool:
        """Does the next message of a HiSLIP session begin with a header? One that a deadline cut is read to its end."""
        sync = self._timed[0] if self._numbered and not self._out_of_step and not self._cut else None
        if not isinstance(sync, DeadlineSocket):
            return False
        self._out_of_step = True
        try:
            sync.skip_message()
        except TimeoutError:
            raise LinkTimeout("a reply stopped within a message", device=self.address) from None
        self._out_of_step = False
        return True

    def _sent(self) -> int:
        """Bytes of a HiSLIP session that went out: of a host that slept until the deadline none, and nothing is cut."""
        sync = self._timed[0] if self._numbered else None
        return sync.sent if isinstance(sync, DeadlineSocket) else 0

    def _check(self) -> None:
        if self._session is None:
            raise LinkLost("the session is closed", device=self.address)

    def _arm(self, deadline: float) -> None:
        left_ms = math.ceil((deadline - time.monotonic()) * 1000.0)
        if left_ms <= 0:
            raise LinkTimeout("the deadline has passed", device=self.address)
        for timed in self._timed:
            timed.deadline = deadline
        if not self._numbered and not NEARLY * self._timeout_ms <= left_ms <= self._timeout_ms:
            self._visa.set_attribute(self._session, _TIMEOUT, left_ms)
            self._timeout_ms = left_ms

    def _termchar(self, on: bool) -> None:
        if on != self._termchar_on:
            self._visa.set_attribute(self._session, _TERMCHAR_ON, on)
            self._termchar_on = on


def _open(name: str, library: str, deadline: float) -> MessageBasedResource:
    manager = pyvisa.ResourceManager(library)
    left_ms = max(1, int((deadline - time.monotonic()) * 1000.0))
    from drivers.opening_sockets import opening  # with pyvisa-py: as it is imported it looks for USB devices

    with opening(deadline):
        resource = manager.open_resource(name, open_timeout=left_ms)
    if not isinstance(resource, MessageBasedResource):
        resource.close()
        raise ValueError(f"{name} is a {type(resource).__name__}; a message-based resource is needed")
    resource.set_visa_attribute(_TERMCHAR_ON, False)
    return resource


def _close_quietly(resource: MessageBasedResource) -> None:
    with contextlib.suppress(*LIBRARY_ERRORS), unheard():
        resource.close()
