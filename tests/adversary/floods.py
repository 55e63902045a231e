"""Devices that are sound until they are asked for their status, and never stop talking then."""

import contextlib
import socket
import struct
import threading


def frame_floods(board):
    """What a board of frames may say for ever, as one chunk."""
    old = board.frame(2, 0x07, 1, 0, 1, b"late")
    nak = board.frame(5, 0, 0, 0, 1, struct.pack("<BIH", 2, board.last + 1, 0))
    credit = board.frame(4, 0, board.last + 1, 0, 1, struct.pack("<H", 0))
    part = board.frame(2, 0x07, board.last + 1, 0, 65535, b"x" * 4056)
    return {"old replies": old, "naks": nak, "credits": credit, "first parts": part, "garbage": b"\xa5" * 500 + b"\x00",
            "no delimiter": b"\xa5" * 500, "delimiters": b"\x00" * 500}  # fmt: skip


SCPI_FLOODS = {
    "no end": b"1" * 500,
    "lines": b"hello\n" * 100,
    "indefinite": b"#0" + b"x" * 500,
    "blocks": b"#15hello;",
    "huge block": b"#9999999999" + b"x" * 500,
    "quotes": b'"' * 501,
    "newlines": b"\n" * 500,
}


class Flooder:
    """A sound device on a wire until `starts` says so of what it was sent; then the flood, until it is closed.

    Args:
        device: Answers before.
        starts: Looked at with every chunk of the host.
        flood: Called once; gives the chunk that is repeated.
    """

    def __init__(self, device, starts, flood):
        self._device, self._starts, self._flood = device, starts, flood
        self._ends = []

    def on_socket(self):
        """Port of a listening socket."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._ends.append(listener.close)

        def serve():
            with contextlib.suppress(OSError):
                link, _ = listener.accept()
                self._ends.append(link.close)
                self._ends.insert(0, lambda: link.shutdown(socket.SHUT_RDWR))
                self._talk(lambda: link.recv(65536), link.sendall)

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    def on_pty(self, pseudo_terminal):
        """Path of a terminal."""
        end = pseudo_terminal()
        self._ends.append(end.close)

        def serve():
            with contextlib.suppress(OSError):
                self._talk(end.read, end.write)

        threading.Thread(target=serve, daemon=True).start()
        return end.path

    def _talk(self, receive, send):
        while data := receive():
            if self._starts(data):
                chunk = self._flood()
                chunk *= max(1, 16384 // len(chunk))
                while True:
                    send(chunk)
            send(self._device.feed(data))

    def close(self):
        for end in self._ends:
            with contextlib.suppress(OSError):
                end()
