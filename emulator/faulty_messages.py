"""Faults on a link that marks the end of messages itself (HiSLIP): they strike whole messages."""

from __future__ import annotations

from collections.abc import Callable

from emulator.faults import Faulty
from emulator.scpi import ScpiEndpoint


class WholeMessages:
    """A SCPI endpoint that is fed whole messages, as a fault injector feeds it.

    Args:
        endpoint: The sound one.
    """

    def __init__(self, endpoint: ScpiEndpoint) -> None:
        self.feed = endpoint.feed_message
        self.closed = endpoint.closed
        self.nak = endpoint.nak


class FaultyMessages:
    """A SCPI endpoint of a message link behind a bad wire.

    Args:
        endpoint: The sound one.
        wrap: Puts a fault injector, whose units are what it is fed, in front of it.
    """

    def __init__(self, endpoint: ScpiEndpoint, wrap: Callable[[WholeMessages], Faulty]) -> None:
        self.injector = wrap(WholeMessages(endpoint))
        self._endpoint = endpoint
        self._begun = b""

    @property
    def status_byte(self) -> int:
        """As *STB? answers it."""
        return self._endpoint.status_byte

    def feed(self, data: bytes) -> bytes:
        """Part of a message."""
        self._begun += data
        return b""

    def feed_message(self, data: bytes) -> bytes:
        """The end of a message; returns the reply, after the faults had their way."""
        message, self._begun = self._begun + data, b""
        return self.injector.feed(message)

    def clear(self) -> None:
        """Device clear."""
        self._begun = b""
        self.injector.calm()
        self._endpoint.clear()

    def closed(self) -> None:
        """The link went away."""
        self._begun = b""
        self.injector.closed()
