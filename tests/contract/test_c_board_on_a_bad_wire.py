"""The host's link and the firmware in C over a wire that loses, repeats, cuts and damages: every pulse counts once."""

import contextlib
import random
import subprocess
import tty
from pathlib import Path

import numpy as np
import pytest

from drivers.errors import LinkError
from drivers.link import FramedLink
from drivers.loopback import Loopback
from firmware_specs import messages
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Kind, Opcode
from firmware_specs.fragments import cut
from firmware_specs.frame import Decoder, Frame, encode
from firmware_specs.messages import Pulse, Region

CELL = Region(0, 0, 0, 0, 1, 0, 1)
DEADLINE_S = 2.0
MARKER = 0x7F000001


class BadWire:
    """Bytes to a board in C and back, some of them damaged; what a marker's NAK ends has all come."""

    def __init__(self, write, read, seed):
        self.write, self.read = write, read
        self.rng, self.rate, self.faults, self.marks = random.Random(seed), 0.0, 0, 0
        self.decoder = Decoder()

    def feed(self, data):
        self.marks += 1
        marker = Frame(Kind.REQUEST, 1, 0, MARKER, self.marks)
        self.write(self.hurt(data) + b"\0" + encode(marker))
        frames = []
        while not frames or getattr(frames[-1], "session", 0) != MARKER:
            frames += self.decoder.feed(self.read(65536))
        return b"".join(self.hurt(encode(frame)) for frame in frames[:-1])

    def hurt(self, data):
        if not data or self.rng.random() >= self.rate:
            return data
        self.faults += 1
        at = self.rng.randrange(len(data))
        damaged = bytearray(data)
        damaged[at] ^= 1 << self.rng.randrange(8)
        return self.rng.choice([b"", data * 2, data[:at], b"\x05noise\0" + data, bytes(damaged)])


@contextlib.contextmanager
def on_the_host(c_boards):
    process = subprocess.Popen(
        [c_boards.make("check") / "board-checked", "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    try:
        yield process.stdin.write, process.stdout.read
        process.stdin.close()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def on_qemu(c_boards):
    with c_boards.on_qemu(1) as terminal, Path(terminal).open("r+b", buffering=0) as port:
        tty.setraw(port)
        yield port.write, port.read


@pytest.mark.parametrize(
    ("board", "seed", "pulses"),
    [(on_the_host, 1, 150), (on_the_host, 2, 150), (on_qemu, 3, 60)],
    ids=["host 1", "host 2", "qemu 3"],
)
def test_every_pulse_counts_once(c_boards, board, seed, pulses):
    with board(c_boards) as (write, read):
        campaign(BadWire(write, read, seed), seed, pulses)


def campaign(wire, seed, pulses):
    link = FramedLink(Loopback(wire.feed))
    link.open(30.0)
    link.transact(Opcode.CONFIGURE, messages.Configure(0, dense_chain([4, 3])).pack(), 30.0)
    link.transact(Opcode.WATCHDOG, messages.pack_number(60.0), 30.0)
    link.transact(Opcode.ARM, timeout_s=30.0)
    wire.rate, wanted, rng = 0.05, 0, np.random.default_rng(seed)
    for _ in range(pulses):
        count = int(rng.integers(1, 4))
        try:
            link.transact(Opcode.PULSE, Pulse(CELL, True, 1.0, 1e-6, count).pack(), DEADLINE_S)
            wanted += count
        except LinkError:
            wire.rate = 0.0
            link.open(30.0)
            used = messages.CellUsage.parse(link.transact(Opcode.USAGE, CELL.pack(), 30.0)).pulses
            assert int(used[0, 0]) in (wanted, wanted + count)
            wanted, wire.rate = int(used[0, 0]), 0.05
            link.transact(Opcode.ARM, timeout_s=30.0)
    wire.rate = 0.0
    used = messages.CellUsage.parse(link.transact(Opcode.USAGE, CELL.pack(), 30.0)).pulses
    assert int(used[0, 0]) == wanted and wire.faults > 3


def test_a_request_that_finds_no_room_is_asked_for_from_a_frame_that_it_has(c_boards):
    """PROTOCOL.md 5.4: a NAK says from where to go on; here two replies wait for CREDIT and a third request comes."""
    decoder, texts = Decoder(), [bytes([n]) * (2 * 4056 + 5) for n in (1, 2, 3)]

    def tell(*frames):
        """Sends frames, then a request of a session that nobody has; the frames that came before its NAK."""
        write(b"".join(map(encode, (*frames, Frame(Kind.REQUEST, 1, 0, MARKER, len(told) + 1)))))
        told.append([])
        while not told[-1] or told[-1][-1].session != MARKER:
            told[-1] += decoder.feed(read(65536))
        return told[-1][:-1]

    def credit(sequence):
        return Frame(Kind.CREDIT, 0, 0, 5, sequence, payload=messages.Credit(2).pack())

    with on_the_host(c_boards) as (write, read):
        told = []
        tell(Frame(Kind.SYNC, 0, 0, 5, 0, payload=messages.Sync(2, 0, "who").pack()))
        requests = [cut(Kind.REQUEST, Opcode.ECHO, 0, 5, n, text) for n, text in enumerate(texts, 1)]
        for request in requests[:2]:
            assert len([f for f in tell(*request) if f.kind == Kind.NAK]) == 0
        naks = [messages.Nak.parse(f.payload) for f in tell(*requests[2]) if f.kind == Kind.NAK]
        assert [(nak.reason, nak.sequence) for nak in naks] == [(3, 3)] and naks[0].part < len(requests[2])
        tell(credit(1))
        tell(credit(2))
        answer = tell(*requests[2][naks[0].part :], credit(3)) + tell(credit(3))
    assert b"".join(f.payload for f in answer if f.kind == Kind.REPLY) == texts[2]
