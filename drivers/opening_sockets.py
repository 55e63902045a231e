"""Sockets for pyvisa-py while it opens a session: a stranger's first words take no memory and no more time than given.

Its HiSLIP client takes memory for any length that a header states, up to 2^64 bytes, before it looks what the message
is; its RPC client collects what comes for as long as it comes. Neither can be told a deadline, and a session that is
not open yet has no socket to put one under. So both modules find, under the name `socket`, one that makes sockets of
ours in a thread that opens a session for us (`opening`), and the system's own in every other.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyvisa_py.protocols import hislip, rpc

MOST_OPENING = 1 << 16
"""Bytes that answer the opening of a VXI-11 session, many times over."""
MOST_MESSAGE = 1 << 26
"""Payload of a HiSLIP message; the largest that we ask for is 1 MiB."""
_CHUNK = 1 << 16
_HEADER = struct.Struct("!2sBBIQ")
_here = threading.local()


@contextmanager
def opening(deadline: float) -> Iterator[None]:
    """Within it, and in this thread, sockets of pyvisa-py end with the deadline; where it fails they are closed."""
    for module, kind in ((hislip, MessageSocket), (rpc, RecordSocket)):
        if not isinstance(module.socket, _Sockets):
            module.socket = _Sockets(kind)
    _here.until, _here.made = deadline, []
    try:
        yield
    except BaseException:
        for made in _here.made:  # the library forgets them
            made.close()
        raise
    finally:
        _here.until, _here.made = None, []


def _in_time() -> bool:
    """Is a session being opened in this thread? Raises `TimeoutError` where that takes too long."""
    until = getattr(_here, "until", None)
    if until is not None and time.monotonic() >= until:
        raise TimeoutError("the session was not open before the deadline")
    return until is not None


class _Sockets:
    """The module `socket`, but for one class."""

    def __init__(self, kind: type[socket.socket]) -> None:
        self._kind = kind

    def socket(self, *arguments: Any) -> socket.socket:
        """A socket: ours for sessions of ours."""
        if getattr(_here, "until", None) is None:
            return socket.socket(*arguments)
        made = self._kind(*arguments)
        _here.made.append(made)
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(socket, name)


class RecordSocket(socket.socket):
    """Of an RPC client: takes in as much as an opening needs."""

    taken = 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        """What is there; raises `ConnectionError` where that is too much."""
        data = super().recv(min(size, _CHUNK), flags)
        if _in_time():
            self.taken += len(data)
            if self.taken > MOST_OPENING:
                raise ConnectionError(f"{self.taken} bytes and more came while the session was opened")
        return data


class MessageSocket(socket.socket):
    """Of a HiSLIP client: follows the messages, and refuses lengths that somebody made up."""

    payload = 0
    header = b""

    @property
    def left(self) -> int:
        """Bytes until the header or the payload ends of which a part has come; 0 between messages."""
        return self.payload or (_HEADER.size - len(self.header) if self.header else 0)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """At least one byte; raises `ConnectionError` behind a header that states too long a message."""
        count = super().recv_into(buffer, nbytes, flags)
        _in_time()
        with memoryview(buffer) as came:
            self._follow(came, count)
        return count

    def _follow(self, came: memoryview, count: int) -> None:
        at = 0
        while at < count:
            if self.payload:
                step = min(self.payload, count - at)
                self.payload -= step
            else:
                step = min(_HEADER.size - len(self.header), count - at)
                self.header += came[at : at + step]
                if len(self.header) == _HEADER.size:
                    self.payload, self.header = _HEADER.unpack(self.header)[4], b""
                    if self.payload > MOST_MESSAGE:
                        raise ConnectionError(f"a message of {self.payload} bytes")
            at += step
