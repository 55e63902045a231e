"""Serves virtual instruments: one socket each, on this machine only, one thread for all of them.

All instruments stand on one bench, so their commands are carried out one after the other, in the order they arrive.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from emulator.instruments.shelf import Shelf

HOST = "127.0.0.1"
CHUNK = 1 << 16
MOST_LINKS = 200
SEND_S = 2.0
"""A client that does not fetch its answers for so long is hung up: all others wait for it."""


@dataclass
class _Door:
    """One instrument's listening socket, or a connection to it."""

    name: str
    listening: bool


class ShelfServer:
    """Sockets in front of virtual instruments.

    Args:
        virtual: The instruments.
        ports: Ports of those that should have a certain one.

    Raises:
        OSError: a port is not free.
    """

    def __init__(self, virtual: Shelf, ports: Mapping[str, int] = MappingProxyType({})) -> None:
        self.virtual = virtual
        self._selector = selectors.DefaultSelector()
        self._stop, self._stopped = socket.socketpair()
        self._selector.register(self._stopped, selectors.EVENT_READ, None)
        self._ports: dict[str, int] = {}
        self._talking: dict[str, socket.socket] = {}
        self._links: dict[socket.socket, str] = {}
        try:
            for name in virtual.boxes:
                self._listen(name, ports.get(name, 0))
        except OSError:
            self._close()
            raise

    @property
    def addresses(self) -> dict[str, str]:
        """VISA resource of every instrument."""
        return {name: f"TCPIP::{HOST}::{port}::SOCKET" for name, port in self._ports.items()}

    def _listen(self, name: str, port: int) -> None:
        listener = socket.create_server((HOST, port))
        listener.setblocking(False)
        self._ports[name] = listener.getsockname()[1]
        self._selector.register(listener, selectors.EVENT_READ, _Door(name, True))

    def run(self) -> None:
        """Serves until `stop`."""
        try:
            while True:
                ready = self._selector.select(self.virtual.patience_s())
                self._poll()
                for key, _ in ready:
                    if key.data is None:
                        return
                    assert isinstance(key.fileobj, socket.socket)  # noqa: S101 - all we register are sockets
                    if key.data.listening:
                        self._accept(key.fileobj, key.data.name)
                    elif key.fileobj in self._links:  # an earlier one of this turn may have closed it
                        self._serve(key.fileobj, key.data.name)
        finally:
            self._close()

    def stop(self) -> None:
        """Ends `run`; may be called from a signal handler or another thread."""
        with contextlib.suppress(OSError):
            self._stop.send(b"x")

    def _accept(self, listener: socket.socket, name: str) -> None:
        """Takes a connection in; beyond so many, or without descriptors, the oldest that nobody talks on makes room."""
        if len(self._links) >= MOST_LINKS:
            self._make_room()
        try:
            connection, _ = listener.accept()
        except OSError:
            self._make_room()
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(SEND_S)
        self._links[connection] = name
        self._selector.register(connection, selectors.EVENT_READ, _Door(name, False))

    def _make_room(self) -> None:
        idle = next((link for link, name in self._links.items() if self._talking.get(name) is not link), None)
        if idle is not None:
            self._hang_up(idle)

    def _serve(self, connection: socket.socket, name: str) -> None:
        try:
            data = connection.recv(CHUNK)
            if data:
                self._talking[name] = connection
                connection.sendall(self.virtual.feed(name)(data))
                return
        except OSError:
            pass  # gone, or it does not fetch its answers
        self._hang_up(connection)

    def _hang_up(self, connection: socket.socket) -> None:
        name = self._links.pop(connection, "")
        if self._talking.get(name) is connection:
            del self._talking[name]
        self._selector.unregister(connection)
        connection.close()

    def _poll(self) -> None:
        """Instruments whose waiting is over go on; what they say goes to whoever spoke last."""
        for name, said in self.virtual.poll():
            if name in self._talking:
                with contextlib.suppress(OSError):
                    self._talking[name].sendall(said)

    def _close(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)  # noqa: S101 - all we register are sockets
            self._selector.unregister(key.fileobj)
            key.fileobj.close()
        self._stop.close()
        self._selector.close()
