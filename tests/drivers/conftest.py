"""Real wires for the driver tests: an answering pseudo-terminal and an answering TCP socket."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field

import pytest


def soon(seconds=20.0):
    return time.monotonic() + seconds


@pytest.fixture
def deadline():
    return soon


@dataclass
class Wire:
    """The device's end: `answer` maps each received chunk to what is sent back; everything received is kept."""

    address: str
    answer: object
    received: bytearray = field(default_factory=bytearray)
    cut: object = None


@pytest.fixture
def pty_wire(pseudo_terminal):
    """Opens pseudo-terminals: `pty_wire(answer)` gives a Wire whose address is the port name."""
    ends = []

    def make(answer=lambda chunk: chunk):
        ends.append(end := pseudo_terminal())
        wire = Wire(end.path, answer, cut=end.close)

        def serve():
            with contextlib.suppress(BrokenPipeError):
                while chunk := end.read():
                    wire.received += chunk
                    end.write(wire.answer(chunk))

        threading.Thread(target=serve, daemon=True).start()
        return wire

    yield make
    for end in ends:
        end.close()


@pytest.fixture
def tcp_wire():
    """Opens listening sockets on a free port: `tcp_wire(answer)` gives a Wire whose address is (host, port)."""
    stops = []

    def make(answer=lambda chunk: chunk):
        listener = socket.create_server(("127.0.0.1", 0))
        wire = Wire(listener.getsockname(), answer)
        links = [listener]

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    link, _ = listener.accept()
                    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    links.append(link)
                    with contextlib.suppress(OSError):
                        while chunk := link.recv(65536):
                            wire.received += chunk
                            link.sendall(wire.answer(chunk))

        def cut():
            for link in links:
                with contextlib.suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)
                link.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        wire.cut = cut
        stops.append((cut, thread))
        return wire

    yield make
    for cut, thread in stops:
        cut()
        thread.join(30)
        cut()  # what was being accepted meanwhile
