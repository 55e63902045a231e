"""What strangers have: their boards and boxes on wires of their own, and `hil` called in this process."""

import contextlib
import importlib.util
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import serial
import serial.rfc2217

from hil import cli

ADVERSARY = Path(__file__).parents[1] / "adversary"


def beside(path):
    spec = importlib.util.spec_from_file_location(f"reports_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    """Locks and ledgers of this test, and a folder to be in."""
    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("CROSSBAR_HIL_LEDGERS", str(tmp_path / "ledgers"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def hil(capsys):
    """`hil(*arguments)`: exit code, and what was said on both streams; an exception that `hil` lets out is raised."""

    def call(*arguments):
        capsys.readouterr()
        try:
            cli.main([str(a) for a in arguments])
            code = 0
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return SimpleNamespace(code=code, out=out, err=err, said=out + err)

    return call


@pytest.fixture
def board():
    """`board(**lies)`: written from PROTOCOL.md alone, bytes in and bytes out."""
    return beside(ADVERSARY / "board.py").PlainBoard


@pytest.fixture
def crossbar_box():
    """The same for an instrument, from SCPI.md alone."""
    return beside(ADVERSARY / "instrument.py").PlainInstrument


class Wires:
    """Servers of wires: each gives the place to connect to, and hands what comes to `feed`."""

    def __init__(self, pseudo_terminal):
        self.open, self.threads, self._pseudo_terminal = [], [], pseudo_terminal

    def pty(self, feed, greeting=b"", deaf_s=0.0):
        """A port whose board says `greeting` when it is opened the first time and hears nothing for a while."""
        self.open.append(end := self._pseudo_terminal())
        began = []

        def serve():
            with contextlib.suppress(BrokenPipeError):
                while chunk := end.read():
                    if not began:
                        began.append(time.monotonic())
                        end.write(greeting)
                    if time.monotonic() - began[0] >= deaf_s:
                        end.write(feed(chunk))

        self._start(serve)
        return end.path

    def tcp(self, feed, greeting=b"", clients=8, deaf_s=0.0):
        """A port of this host, deaf for a while after each opening; further clients than so many are closed."""
        server = socket.create_server(("127.0.0.1", 0))
        self.open.append(server)
        connected = []

        def one(client):
            with client, contextlib.suppress(OSError):
                hears = time.monotonic() + deaf_s
                client.sendall(greeting)
                while chunk := client.recv(65536):
                    if time.monotonic() >= hears:
                        client.sendall(feed(chunk))
            connected.pop()

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    self.open.append(client)
                    if len(connected) >= clients:
                        client.close()
                        continue
                    connected.append(client)
                    self._start(lambda client=client: one(client))

        self._start(serve)
        return server.getsockname()[1]

    def rfc2217(self, feed):
        """A serial port on the network as RFC 2217 has it, its settings kept by a port that loops back."""
        server = socket.create_server(("127.0.0.1", 0))
        self.open.append(server)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    self.open.append(client)
                    talk(client)

        def talk(client):
            port = serial.serial_for_url("loop://", timeout=0)
            writer = SimpleNamespace(write=client.sendall)
            manager = serial.rfc2217.PortManager(port, writer)
            with contextlib.suppress(OSError):
                while chunk := client.recv(65536):
                    if data := b"".join(manager.filter(chunk)):
                        client.sendall(b"".join(manager.escape(feed(data))))
            port.close()

        self._start(serve)
        return server.getsockname()[1]

    def _start(self, work):
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.threads.append(thread)

    def close(self):
        for end in self.open:
            with contextlib.suppress(OSError):
                if isinstance(end, socket.socket):
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                end.close()
        for thread in self.threads:
            thread.join(30)


@pytest.fixture
def wires(pseudo_terminal):
    made = Wires(pseudo_terminal)
    yield made
    made.close()
