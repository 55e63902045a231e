"""Bytes in process: a transport over any callable that takes bytes and returns the device's answer."""

from __future__ import annotations

from collections.abc import Callable

from drivers.errors import LinkLost
from drivers.transport import ReadBuffer


class Loopback:
    """Feeds an endpoint and buffers what it answers.

    Nothing can arrive later than the call that causes it, so a read that finds too little times out at once.

    Args:
        feed: Called with every write; returns the bytes the device sends, b"" for none. A `ConnectionError` it
            raises is a pulled cable.
        address: Named in errors.
        closed: Called when this end closes: the endpoint sees its link go.
    """

    def __init__(
        self, feed: Callable[[bytes], bytes], address: str = "loopback", closed: Callable[[], None] = lambda: None
    ) -> None:
        self.address = address
        self._feed = feed
        self._hung_up = closed
        self._arrived = bytearray()
        self._buffer = ReadBuffer(self._fill, address)
        self._closed = False

    def write(self, data: bytes, deadline: float) -> None:
        """Hands the bytes to the endpoint."""
        self._check()
        try:
            self._arrived += self._feed(data)
        except ConnectionError as error:
            self._closed = True
            raise LinkLost(f"the endpoint hung up: {error}", device=self.address) from error

    def read_exact(self, count: int, deadline: float) -> bytes:
        """Exactly `count` bytes of the answers so far."""
        self._check()
        return self._buffer.exact(count, deadline)

    def read_until(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Bytes up to and with the delimiter."""
        self._check()
        return self._buffer.until(delimiter, limit, deadline)

    def read_piece(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Bytes up to and with the delimiter, or what is here."""
        self._check()
        return self._buffer.piece(delimiter, limit, deadline)

    def read_some(self, deadline: float) -> bytes:
        """What is here, at least one byte."""
        self._check()
        return self._buffer.some(deadline)

    def waiting(self) -> bytes:
        """What the endpoint has sent and nobody has read."""
        if self._arrived:
            self._buffer.push(self._fill(0.0))
        return self._buffer.waiting()

    def drain(self, quiet_s: float, deadline: float) -> int:
        """Throws the answers so far away."""
        self._check()
        return self._buffer.drain(quiet_s, deadline)

    def close(self) -> None:
        """Closes; later calls raise `LinkLost`."""
        if not self._closed:
            self._closed = True
            self._hung_up()

    def _check(self) -> None:
        if self._closed:
            raise LinkLost("the loopback is closed", device=self.address)

    def _fill(self, deadline: float) -> bytes:
        chunk = bytes(self._arrived)
        self._arrived.clear()
        return chunk
