"""The event loop of a virtual instrument: links, timers and watchdog in one thread, so verbs run one at a time."""

from __future__ import annotations

import heapq
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

from emulator.serve.crowd import Crowd
from emulator.serve.streams import Channel, Endpoint, Listener, PtyLink

IDLE_S = 0.5


class Server:
    """Serves endpoints until it is stopped.

    Args:
        tick: Called in every turn; looks at watchdogs and returns the seconds until it wants to be called again.
        host: Address to listen on; anything but a loopback address needs `anywhere`.
        anywhere: Allows other addresses.
    """

    def __init__(
        self, tick: Callable[[], float | None] = lambda: None, host: str = "127.0.0.1", *, anywhere: bool = False
    ) -> None:
        if not anywhere and host not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(f"listening on {host!r} opens the device to the network; only loopback is served unasked")
        self.host = host
        self._tick = tick
        self._selector = selectors.DefaultSelector()
        self._channels: dict[Channel, None] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.crowd = Crowd()
        self._stopping = False
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def tcp(self, connect: Callable[[socket.socket], Channel | None], port: int = 0) -> int:
        """Listens on a port (0: any free one) and returns it; `connect` makes a channel of every connection."""
        listener = Listener(self, self.host, port, connect)
        self.watch(listener, selectors.EVENT_READ)
        return listener.port

    def pty(self, endpoint: Endpoint, link: Path | None = None) -> Path:
        """Serves an endpoint on a pseudo-terminal and returns its path.

        Args:
            endpoint: What answers.
            link: A symbolic link that always leads to the present terminal, also after a pulled cable.
        """
        channel = PtyLink(self, endpoint, link)
        return channel.path

    def watch(self, channel: Channel, events: int) -> None:
        """Waits for a channel, or for other events of it."""
        if channel in self._channels:
            self._selector.modify(channel.fileno(), events, channel)
        else:
            self._channels[channel] = None
            self._selector.register(channel.fileno(), events, channel)

    def forget(self, channel: Channel) -> None:
        """Stops waiting for a channel, before it closes."""
        if channel in self._channels:
            del self._channels[channel]
            self._selector.unregister(channel.fileno())

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Runs something later, in the loop's thread."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), action))

    def run(self) -> None:
        """Serves until `stop`, then closes everything."""
        try:
            while not self._stopping:
                self._turn()
        finally:
            self.close()

    def stop(self) -> None:
        """Ends `run`; may be called from any thread and from signal handlers."""
        self._stopping = True
        with suppress(OSError):  # the loop may have seen it, and closed, meanwhile
            self._wake.send(b"\0")

    def close(self) -> None:
        """Closes every channel."""
        for channel in list(self._channels):
            channel.close()
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def _turn(self) -> None:
        wanted = self._tick()
        wait_s = IDLE_S if wanted is None else min(IDLE_S, max(0.0, wanted))
        if self._timers:
            wait_s = min(wait_s, max(0.0, self._timers[0][0] - time.monotonic()))
        for key, events in self._selector.select(wait_s):
            if key.data in self._channels:  # an earlier one of this turn may have closed it
                key.data.handle(events)
            elif key.data is None:
                self._woken.recv(64)
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()
