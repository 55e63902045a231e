"""A device that only echoes, in a process of its own: the ceiling that a driver on the same wire is measured against.

`python -m benchmarks.bare_echo pty|tcp` prints the port and serves one client after the other.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import tty


def serve_pty() -> None:
    """Echoes on a pseudo-terminal; reads on while its answers wait."""
    controller, port = os.openpty()
    tty.setraw(port)
    print(os.ttyname(port), flush=True)
    os.set_blocking(controller, False)
    waiting = b""
    while True:
        readable, writable, _ = select.select([controller], [controller] if waiting else [], [])
        if readable:
            waiting += os.read(controller, 65536)
        if waiting and (writable or readable):
            try:
                waiting = waiting[os.write(controller, waiting) :]
            except BlockingIOError:
                continue


def serve_tcp() -> None:
    """Echoes on a TCP socket of 127.0.0.1."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        link, _ = listener.accept()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := link.recv(65536):
            link.sendall(data)


if __name__ == "__main__":
    serve_pty() if sys.argv[1] == "pty" else serve_tcp()
