"""Messages that a deadline cuts on their way: the device never takes the next one for their middle, nor the host.

The devices are of this file: a stalled stream, HiSLIP 1.0 (IVI-6.1) and RFC 2217 as far as an opening needs them.
"""

import contextlib
import os
import socket
import struct
import threading
import time

import pytest

from drivers.deadline_socket import DeadlineSocket
from drivers.errors import LinkTimeout
from drivers.serial_port import SerialPort
from drivers.visa import VisaSession

LONG = bytes(range(1, 251)) * 40_000
"""10 MB: more than two sockets hold."""
HEADER = struct.Struct(">2sBBIQ")
DATA, DATA_END = 6, 7


def within(seconds):
    return time.monotonic() + seconds


def exactly(link, count):
    data = b""
    while len(data) < count:
        chunk = link.recv(count - len(data))
        if not chunk:
            raise ConnectionError
        data += chunk
    return data


class Stalled:
    """Takes a connection and nothing of what it says until it is told to; then it keeps all of it."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.go, self.heard = threading.Event(), bytearray()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        link, _ = self._listener.accept()
        self.go.wait(30)
        with link, contextlib.suppress(OSError):
            while chunk := link.recv(1 << 16):
                self.heard += chunk

    def all_of_it(self):
        self._thread.join(30)
        self._listener.close()
        return bytes(self.heard)


@pytest.mark.parametrize(
    "opened",
    [
        lambda port: SerialPort(f"socket://127.0.0.1:{port}"),
        lambda port: VisaSession(f"TCPIP::127.0.0.1::{port}::SOCKET"),
    ],
    ids=["socket", "visa socket"],
)
@pytest.mark.parametrize("drains", [1, 2])
def test_the_rest_of_a_cut_message_goes_before_the_next_over_a_stream_and_once(opened, drains):
    device = Stalled()
    wire = opened(device.port)
    with pytest.raises(LinkTimeout):
        wire.write(LONG, within(0.2))
    with pytest.raises(LinkTimeout):
        wire.drain(0.02, within(0.2))
    device.go.set()
    for _ in range(drains):
        wire.drain(0.02, within(20))
    wire.write(b"*IDN?\n", within(20))
    wire.close()
    assert device.all_of_it() == LONG + b"*IDN?\n"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
def test_the_rest_of_a_cut_message_goes_before_the_next_over_a_terminal():
    import tty

    main, sub = os.openpty()
    tty.setraw(sub)
    heard = bytearray()
    wire = SerialPort(os.ttyname(sub))
    with pytest.raises(LinkTimeout):
        wire.write(LONG[:100_000], within(0.2))

    def read():
        while len(heard) < 100_006:
            heard.extend(os.read(main, 1 << 12))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    wire.drain(0.02, within(20))
    wire.write(b"*IDN?\n", within(20))
    reader.join(20)
    wire.close()
    os.close(main)
    os.close(sub)
    assert bytes(heard) == LONG[:100_000] + b"*IDN?\n"


def test_calls_over_a_socket_with_a_deadline_stay_whole():
    here, there = socket.socketpair()
    wire, heard = DeadlineSocket(here), bytearray()
    wire.deadline = within(0.2)
    with pytest.raises(TimeoutError):
        wire.sendall(LONG)

    def read():
        while len(heard) < len(LONG) + 4:
            heard.extend(there.recv(1 << 16))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    wire.deadline = within(20)
    wire.sendall(b"next")
    reader.join(20)
    here.close()
    there.close()
    assert bytes(heard) == LONG + b"next"


class Hislip:
    """An instrument behind HiSLIP; `answers` gives the pieces of a reply's bytes."""

    def __init__(self, answers, *, deaf=False):
        self._answers, self._deaf = answers, deaf
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"TCPIP::127.0.0.1::hislip0,{self._listener.getsockname()[1]}::INSTR"
        self.sessions, self.heard, self.go = 0, [], threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._listener.accept()
                threading.Thread(target=self._guarded, args=(link,), daemon=True).start()

    def _guarded(self, link):
        with link, contextlib.suppress(OSError):
            self._serve(link)

    def _serve(self, link):
        while True:
            _, kind, _, parameter, length = HEADER.unpack(exactly(link, HEADER.size))
            if kind in (DATA, DATA_END) and self._deaf and self.sessions == 1:
                self.go.wait(30)
            try:
                said = exactly(link, length)
            except ConnectionError:
                self.heard.append("half a message")
                raise
            if kind == 0:
                self.sessions += 1
                link.sendall(HEADER.pack(b"HS", 1, 0, 0x0100 << 16 | self.sessions, 0))
            elif kind == 17:
                link.sendall(HEADER.pack(b"HS", 18, 0, 0, 0))
            elif kind == 15:
                link.sendall(HEADER.pack(b"HS", 16, 0, 0, 8) + struct.pack(">Q", 1 << 26))
            elif kind == DATA_END:
                self.heard.append(said)
                for piece in self._answers(said, parameter):
                    link.sendall(piece)

    def close(self):
        self.go.set()
        self._listener.close()


def reply(number, data):
    return HEADER.pack(b"HS", DATA_END, 0, number, len(data)) + data


@pytest.mark.parametrize("cut", [5, 16, 300])
@pytest.mark.parametrize("times", [1, 3])
def test_a_hislip_reply_that_came_half_is_read_to_its_end_and_the_session_stays(cut, times):
    """In its header, between header and payload, in its payload; and where one reply after the other is late."""

    too_late = threading.Event()

    def answers(said, number):
        whole = reply(number, b"x" * 1000 + b"\n" if said == b"LATE?" else b"in time\n")
        yield whole[:cut]
        if said == b"LATE?":
            too_late.wait(30)
        yield whole[cut:]

    device = Hislip(answers)
    wire = VisaSession(device.address)
    for _ in range(times):
        wire.write(b"LATE?", within(5))
        with pytest.raises(LinkTimeout):
            wire.read_exact(1001, within(0.1))
    too_late.set()
    wire.drain(0.02, within(30))
    wire.write(b"*IDN?", within(30))
    assert wire.read_until(b"\n", 100, within(30)) == b"in time\n"
    wire.close()
    device.close()
    assert device.sessions == 1


@pytest.mark.parametrize("messages", [[LONG + LONG], [LONG + LONG, b"*CLS"]], ids=["cut", "cut, and one unsent"])
def test_a_hislip_session_of_which_a_message_was_cut_is_opened_anew(messages):
    """A device that was told half a command is not to hear its other half behind the back of whoever gave it up."""
    device = Hislip(lambda said, number: [reply(number, b"in time\n")], deaf=True)
    wire = VisaSession(device.address)
    for message in messages:
        with pytest.raises(LinkTimeout):
            wire.write(message, within(2.0))
    wire.drain(0.02, within(30))
    device.go.set()
    wire.write(b"*IDN?", within(30))
    assert wire.read_until(b"\n", 100, within(30)) == b"in time\n"
    wire.close()
    device.close()
    assert device.sessions == 2
    assert [said for said in device.heard if said != "half a message"] == [b"*IDN?"]


@pytest.mark.parametrize("slept", ["before it arms", "before it calls the library"])
@pytest.mark.parametrize("doing", ["write", "read"])
def test_a_hislip_session_whose_host_sleeps_until_the_deadline_stays(monkeypatch, doing, slept):
    """Nothing went out or came in, so nothing is cut: a session that is opened anew would trip outputs that are on."""
    device = Hislip(lambda said, number: [reply(number, b"in time\n")])
    wire = VisaSession(device.address)
    if doing == "read":
        wire.write(b"LATE?", within(30))
    with monkeypatch.context() as patch:
        where, name = (wire, "_check") if slept == "before it arms" else (type(wire._visa), doing)
        at_work = getattr(where, name)

        def late(*arguments):
            time.sleep(0.2)
            return at_work(*arguments)

        patch.setattr(where, name, late)
        with pytest.raises(LinkTimeout):
            wire.write(b"NEVER?", within(0.1)) if doing == "write" else wire.read_exact(8, within(0.1))
    wire.drain(0.02, within(30))
    wire.write(b"*IDN?", within(30))
    assert wire.read_until(b"\n", 100, within(30)) == b"in time\n"
    wire.close()
    device.close()
    assert device.sessions == 1 and device.heard == ([b"LATE?", b"*IDN?"] if doing == "read" else [b"*IDN?"])
