"""Clients that share no code with us, written from PROTOCOL.md and SCPI.md alone, talk to a virtual instrument."""

import json
import struct
import threading
import zlib

import numpy as np
import pytest
import pyvisa
import serial

from emulator.serve import Doors
from hil.counterparts.opening.emulate import open_board


@pytest.fixture
def served():
    """Opens virtual instruments and gives their address and device."""
    running = []

    def serve(**doors):
        board = open_board("discrete-board", 5, Doors(**doors))
        thread = threading.Thread(target=board.run, daemon=True)
        thread.start()
        running.append((board, thread))
        return board.addresses[0].partition(":")[2], board.device

    yield serve
    for board, thread in running:
        board.stop()
        thread.join(30)
        assert not thread.is_alive()
        assert not board.device.outputs.on


def stuff(body):
    out = b""
    for piece in (body + b"\0").split(b"\0")[:-1]:
        while len(piece) >= 254:
            out, piece = out + b"\xff" + piece[:254], piece[254:]
        out += bytes([len(piece) + 1]) + piece
    return out + b"\0"


def unstuff(data):
    out, at = b"", 0
    while at < len(data):
        code = data[at]
        out += data[at + 1 : at + code]
        at += code
        if code < 255 and at < len(data):
            out += b"\0"
    return out


class PlainSerialClient:
    """Requests of one frame, replies of any length, no retries."""

    def __init__(self, url):
        self.port = serial.serial_for_url(url, baudrate=115200, timeout=30)
        self.session, self.sequence = 0xC0FFEE, 0
        answer = self.exchange(6, 0, 0, struct.pack("<BBHIH", 1, 1, 64, 0, 4) + b"test")
        version, continued, self.window = struct.unpack_from("<BBH", answer)
        assert (version, continued) == (1, 0)

    def exchange(self, kind, opcode, sequence, payload):
        header = struct.pack("<BBBBIIHHH", 1, kind, opcode, 0, self.session, sequence, 0, 1, len(payload))
        body = header + payload
        self.port.write(b"\0" + stuff(body + struct.pack("<I", zlib.crc32(body))))
        pieces = []
        while True:
            body = unstuff(self.port.read_until(b"\0")[:-1])
            assert zlib.crc32(body[:-4]) == struct.unpack("<I", body[-4:])[0]
            _, kind, op, self.flags, session, number, part, parts, length = struct.unpack_from("<BBBBIIHHH", body)
            assert (session, number, op) == (self.session, sequence, opcode) and len(body) == 22 + length
            pieces.append(body[18:-4])
            if kind == 3:
                raise RuntimeError(struct.unpack_from("<HI", pieces[0]))
            if part == parts - 1:
                return b"".join(pieces)

    def ask(self, opcode, payload=b""):
        self.sequence += 1
        return self.exchange(1, opcode, self.sequence, payload)


@pytest.mark.parametrize("door", [{"pty": True}, {"tcp": 0}])
def test_a_plain_pyserial_script_arms_writes_settles_and_disarms(served, door):
    url, device = served(**door)
    client = PlainSerialClient(url)
    identity = client.ask(0x01)
    length = struct.unpack_from("<H", identity)[0]
    assert identity[2 : 2 + length] == b"crossbar-hil"
    with pytest.raises(RuntimeError, match=r"\(17, 0\)"):  # NO_WATCHDOG
        client.ask(0x11)
    topology = struct.pack("<BBB", 0, 0, 2) + struct.pack("<BIBd", 1, 4, 1, 1.0) + struct.pack("<BIBd", 1, 3, 0, 1.0)
    topology += struct.pack("<BBbbBHHHB", 1, 0, 0, 1, 1, 0, 0, 0, 0)
    assert client.ask(0x20, struct.pack("<H", 0) + topology) == struct.pack("<HII", 1, 5, 3)
    client.ask(0x10, struct.pack("<d", 2.0))
    client.ask(0x11)
    assert client.flags & 1
    codes = np.arange(15, dtype="<u2") * 60
    patch = struct.pack("<HBBIIIIB", 0, 0, 0, 0, 5, 0, 3, 2) + codes.tobytes()
    assert client.ask(0x30, struct.pack("<HHfH", 0, 0, 0.0, 1) + patch) == struct.pack("<QQQ", 15, 15, 0)
    region = struct.pack("<HHBIIII", 0, 0, 0, 0, 5, 0, 3)
    read = client.ask(0x31, region + struct.pack("<H", 1))
    assert np.abs(np.frombuffer(read[9:], "<u2").astype(int) - codes).max() < 20
    drive, nudge = np.full((2, 4), 2200, "<u2"), np.full((2, 3), 2100, "<u2")
    request = struct.pack("<HBBIHdBbb", 0, 0, 1, 2, 1, 0.0, 2, 0, 1)
    request += struct.pack("<BI", 2, 4) + drive.tobytes() + struct.pack("<BI", 2, 3) + nudge.tobytes()
    reply = client.ask(0x40, request)
    phases, batch, layers = struct.unpack_from("<BIB", reply)
    assert (phases, batch, layers) == (2, 2, 2) and reply[6:10] == b"\1\1\1\1"
    at = 6 + 4 + 3 * 16 + 8
    assert struct.unpack_from("<BI", reply, at) == (2, 4)
    states = np.frombuffer(reply, "<u2", 16, at + 5).reshape(2, 2, 4)
    assert states.min() > 0 and states.max() < 65535 and len(reply) == at + 5 + 32 + 5 + 24
    client.ask(0x12)
    assert not client.flags & 1 and not device.outputs.on
    client.port.close()


def read_block(instrument):
    """Length-exact, so that a line feed in the data ends nothing."""
    termination, instrument.read_termination = instrument.read_termination, None
    head = instrument.read_bytes(2)
    data = instrument.read_bytes(int(instrument.read_bytes(int(head[1:]))))
    assert (head[:1], instrument.read_bytes(1)) == (b"#", b"\n")
    instrument.read_termination = termination
    return data


@pytest.mark.parametrize("door", [{"scpi": 0}, {"hislip": 0}])
def test_a_plain_pyvisa_script_settles_and_reads_states(served, door):
    address, _ = served(**door)
    manager = pyvisa.ResourceManager("@py")
    instrument = manager.open_resource(address, timeout=30_000)
    instrument.read_termination = instrument.write_termination = "\n"
    assert instrument.query("*IDN?").split(",")[:3] == ["crossbar-hil", "discrete-board", "seed-5"]
    instrument.write("FORM:BORD SWAP")
    topology = {"layers": [{"shape": [4]}, {"shape": [3], "clamped": False}],
                "couplings": [{"kind": "dense", "pre": 0, "post": 1}]}  # fmt: skip
    instrument.write_binary_values("ARR:TOP 0,", list(json.dumps(topology).encode()), datatype="B")
    instrument.write("OUTP:PROT:WDOG 2;:OUTP ON")
    assert instrument.query("SYST:ERR?") == '0,"No error"'
    codes = list(range(0, 900, 60))
    instrument.write_binary_values("ARR:CELL:WRIT 0,0,0,0,0,0,5,0,3,", codes, datatype="H")
    drive = np.full(8, 2200, "<u2")
    instrument.write_binary_values("ARR:SETT? 0,2,0,1,0,(@0),", drive, datatype="H")
    states = np.frombuffer(read_block(instrument), "<u2")
    assert len(states) == 8 and states.min() > 0 and states.max() < 65535
    instrument.write("ARR:SETT:STAT?")
    statistics = np.frombuffer(read_block(instrument), "<f8")
    assert statistics[0:8:4].tolist() == [1.0, 1.0] and len(statistics) == 2 * 4 + 2
    instrument.write("OUTP OFF")
    assert instrument.query("OUTP?;:SYST:ERR?") == '0;0,"No error"'
    instrument.close()
    manager.close()


def test_hislip_status_byte_device_clear_and_lock_are_served(served):
    address, _ = served(hislip=0)
    manager = pyvisa.ResourceManager("@py")
    first, second = (manager.open_resource(address, timeout=30_000) for _ in range(2))
    first.write("NONSENSE")
    assert first.query("*OPC?").strip() == "1"
    assert first.read_stb() & 4
    first.clear()
    assert first.query("SYST:ERR?").startswith("-113")
    assert second.query("*IDN?").startswith("crossbar-hil")
    first.close()
    assert second.query("*OPC?").strip() == "1"
    second.close()
    manager.close()
