"""Byte streams of a virtual instrument: TCP connections and pseudo-terminals in front of endpoints."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

from emulator.serve.crowd import MOST_LINKS, Crowd
from firmware_specs import platform

CHUNK = 1 << 16
PAUSE_S = 0.2
MOST_WAITING = 1 << 24
"""Bytes of unsent replies above which nothing more is read from a link."""


class Channel(Protocol):
    """Something the loop waits for."""

    def fileno(self) -> int:
        """What to wait on."""

    def handle(self, events: int) -> None:
        """Called when it is ready."""

    def close(self) -> None:
        """Ends it."""


class Loop(Protocol):
    """What a channel asks of the loop that waits for it.

    Attributes:
        crowd: All links, of which idle ones make room for new ones.
    """

    crowd: Crowd

    def watch(self, channel: Channel, events: int) -> None:
        """Waits for a channel, or for other events of it."""

    def forget(self, channel: Channel) -> None:
        """Stops waiting for it."""

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Runs something later, in the loop's thread."""


class Endpoint(Protocol):
    """The device's end of a link."""

    def feed(self, data: bytes) -> bytes:
        """Answer to bytes; a `ConnectionError` pulls the cable."""

    def closed(self) -> None:
        """The link went away."""


@runtime_checkable
class Streaming(Protocol):
    """An endpoint that answers in portions."""

    def answers(self, data: bytes) -> Iterable[bytes]:
        """As `feed`, one portion after the other."""


class Deferring(Protocol):
    """An endpoint that answers later, too: a fault injector."""

    later: Callable[[float, bytes], None]


class StreamLink:
    """One link of bytes; subclasses say how they are read and written.

    Args:
        server: The loop.
        endpoint: What answers.
    """

    def __init__(self, server: Loop, endpoint: Endpoint) -> None:
        self._server = server
        self.endpoint = endpoint
        self._waiting = bytearray()
        self._events = selectors.EVENT_READ
        self.open = True
        self.answered = False
        self._since = time.monotonic()
        self._answers = endpoint.answers if isinstance(endpoint, Streaming) else lambda data: (endpoint.feed(data),)
        if hasattr(endpoint, "later"):
            deferring: Deferring = endpoint  # type: ignore[assignment]
            deferring.later = lambda seconds, data: server.call_later(seconds, lambda: self.send(data))

    @property
    def idle_s(self) -> float:
        """Since it came."""
        return time.monotonic() - self._since

    @property
    def owns(self) -> bool:
        """Has it the outputs?"""
        return bool(getattr(self.endpoint, "owns", False))

    @property
    def held(self) -> int:
        """Bytes of a half message and of replies that did not go out."""
        return len(self._waiting) + int(getattr(self.endpoint, "pending", 0))

    def fileno(self) -> int:
        """What the loop waits on."""
        raise NotImplementedError

    def _read(self) -> bytes:
        raise NotImplementedError

    def _write(self, data: bytes | memoryview) -> int:
        raise NotImplementedError

    def handle(self, events: int) -> None:
        """Reads and answers, or sends on."""
        if events & selectors.EVENT_WRITE:
            self._flush()
        if self.open and events & selectors.EVENT_READ:
            try:
                data = self._read()
                for reply in self._answers(data) if data else ():
                    self.answered |= bool(reply)
                    self.send(reply)
                self._server.crowd.heard(self)
            except BlockingIOError:
                return
            except OSError:
                self.hang_up()
                return
            if not data:
                self.hang_up()

    def send(self, data: bytes) -> None:
        """Sends, or keeps what does not go out at once."""
        if not self.open:
            return
        sent = 0
        if not self._waiting and data:
            try:
                sent = self._write(data)
            except BlockingIOError:
                pass
            except OSError:
                self.hang_up()
                return
        if sent < len(data):
            self._waiting += memoryview(data)[sent:]
            self._flush()

    def _flush(self) -> None:
        sent = 0
        try:
            with memoryview(self._waiting) as view:
                while sent < len(view):
                    sent += self._write(view[sent:])
        except BlockingIOError:
            pass
        except OSError:
            self.hang_up()
            return
        del self._waiting[:sent]
        events = selectors.EVENT_WRITE if self._waiting else 0
        if len(self._waiting) < MOST_WAITING:
            events |= selectors.EVENT_READ
        if events != self._events:
            self._events = events
            self._server.watch(self, events)

    def hang_up(self) -> None:
        """The link is gone: the device notices, the channel closes."""
        if self.open:
            self.close()
            self.endpoint.closed()

    def close(self) -> None:
        """Closes the channel."""
        self.open = False
        self._server.forget(self)


class SocketLink(StreamLink):
    """A TCP connection in front of an endpoint."""

    def __init__(self, server: Loop, endpoint: Endpoint, connection: socket.socket) -> None:
        super().__init__(server, endpoint)
        self._socket = connection
        server.crowd.come(self)

    def fileno(self) -> int:
        """The socket's."""
        return self._socket.fileno()

    def _read(self) -> bytes:
        return self._socket.recv(CHUNK)

    def _write(self, data: bytes | memoryview) -> int:
        return self._socket.send(data)

    def close(self) -> None:
        """Closes the connection."""
        self._server.crowd.go(self)
        self._waiting = bytearray()
        super().close()
        self._socket.close()


class PtyLink(StreamLink):
    """A pseudo-terminal in front of an endpoint. A pulled cable closes it and puts a new one in its place.

    Attributes:
        path: Where the other end is: the symbolic link where one was given.
    """

    def __init__(self, server: Loop, endpoint: Endpoint, link: Path | None = None) -> None:
        super().__init__(server, endpoint)
        self._link = link
        self._plug_in()
        self.path = link or self._terminal.path

    def _plug_in(self) -> None:
        self._terminal = platform.open_terminal()
        self.open = True
        self._waiting.clear()
        self._events = selectors.EVENT_READ
        if self._link is not None:
            self._terminal.link_from(self._link)
        self._server.watch(self, selectors.EVENT_READ)

    def fileno(self) -> int:
        """The device's side."""
        return self._terminal.fileno()

    def _read(self) -> bytes:
        return self._terminal.read(CHUNK)

    def _write(self, data: bytes | memoryview) -> int:
        return self._terminal.write(data)

    def hang_up(self) -> None:
        """The cable is pulled; a new terminal takes the place of this one at once."""
        super().hang_up()
        self._plug_in()

    def close(self) -> None:
        """Closes the terminal."""
        super().close()
        self._terminal.close()
        if self._link is not None:
            self._link.unlink(missing_ok=True)


class Listener:
    """Accepts TCP connections.

    Args:
        server: The loop.
        host: Address to listen on.
        port: 0 for any free one.
        connect: Makes a channel of a connection; None: the connection is closed.
    """

    def __init__(self, server: Loop, host: str, port: int, connect: Callable[[socket.socket], Channel | None]) -> None:
        self._server = server
        self._connect = connect
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])

    def fileno(self) -> int:
        """The listening socket's."""
        return self._socket.fileno()

    def handle(self, events: int) -> None:
        """Takes a connection in; where descriptors run short another link makes room, or it waits a while."""
        crowd = self._server.crowd
        if len(crowd) >= MOST_LINKS and not crowd.make_room():
            self._pause()
            return
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return  # it has gone again
        except OSError:
            if not crowd.make_room():
                self._pause()
            return
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            channel = self._connect(connection)
        except OSError:
            connection.close()
            return
        if channel is None:
            connection.close()
        else:
            self._server.watch(channel, selectors.EVENT_READ)

    def close(self) -> None:
        """Stops listening."""
        self._server.forget(self)
        self._socket.close()

    def _pause(self) -> None:
        """Lets connections wait outside."""
        self._server.forget(self)
        self._server.call_later(PAUSE_S, self._listen)

    def _listen(self) -> None:
        if self._socket.fileno() >= 0:
            self._server.watch(self, selectors.EVENT_READ)
