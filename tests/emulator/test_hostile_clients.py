"""Clients that mean no good: messages no chip can carry out, half messages, floods of connections."""

import contextlib
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from emulator.chip import Chip
from emulator.device import Device
from emulator.faults import FaultPlan
from emulator.machine import Machine
from emulator.rack.rack import VirtualRack
from emulator.rack.serve import RackServer
from emulator.scpi import ScpiEndpoint
from emulator.serve import Board, Doors, crowd
from firmware_specs import datasheet
from firmware_specs.racks import load_rack

BLOCK = {
    "layers": [{"shape": [4]}, {"shape": [3], "clamped": False}],
    "couplings": [{"kind": "dense", "pre": 0, "post": 1}],
}
EVIL = ["0", "-1", "1", "255", "65536", "2147483647", "4294967295", "9.9e37", "1e300", "-1e300", "1e-320", "INF", "NAN"]
EVIL += ["#HFFFFFFFF", "1e400", '""', "'x", "(@0)", "#12ab", "1 A", "\x1b[2J"]
FORMS = [
    ":SYST:WAIT? %", ":OUTP:PROT:WDOG %", ":SYST:TEMP %", ":SYST:FAUL? %", ":ARR:TOP? %", "*ESE %", "*SRE %",
    ":ARR:CELL:READ? 0,0,0,0,4,0,3,%", ":ARR:CELL:READ? 0,0,0,%,1,0,1", ":ARR:CELL:READ? 0,0,0,0,%,0,%",
    ":ARR:CELL:READ? %,%,%,0,1,0,1", ":ARR:CELL:MEAS? 0,0,0,0,4,0,3,%,0.01", ":ARR:CELL:MEAS? 0,0,0,0,4,0,3,1,%",
    ":ARR:CELL:MEAS? 0,0,0,0,%,0,%,1,0.1", ":ARR:CELL:USAG? 0,0,0,0,%,0,%",
    ":ARR:CELL:PULS 0,0,0,0,4,0,3,UP,%,1e-6,1", ":ARR:CELL:PULS 0,0,0,0,4,0,3,UP,1,%,1",
    ":ARR:CELL:PULS 0,0,0,0,%,0,%,UP,0.1,1e-9,1", ":ARR:SETT? 0,%,0,1,0,(@0,1),#10,#10",
    ":ARR:SETT? 0,1,%,1,0,(@0,1),#14aaaa", ":ARR:SETT? 0,1,0,%,0,(@0,1),#14aaaa",
    ":ARR:SETT? 0,1,0,1,%,(@0,1),#14aaaa", ":ARR:SETT? 0,1,0,1,0,(@%),#14aaaa", ":ARR:PROD? 0,0,0,FORW,%,%,#14aaaa",
    ":SOUR:LIM " + ",".join("%" * 8), ":ARR:CELL:WRIT 0,%,0,0,0,0,1,0,1,#11a", ":ARR:CELL:WRIT 0,0,%,0,0,0,1,0,1,#11a",
    ":ARR:CELL:WRIT 0,0,0,0,0,0,%,0,%,#11a", ":SYST:ECHO? %", ":SYST:SNAP %",
]  # fmt: skip
SHAPES = [
    [2**40],
    [2**62],
    [2**64],
    [2**31] * 3,
    [65536] * 2,
    [10**30],
    [0],
    [-1],
    [1.5],
    [],
    ["4"],
    None,
    [1] * 4,
    [[4]],
]


def block(content):
    size = str(len(content))
    return f"#{len(size)}{size}".encode() + content


def topology(**other):
    return b":ARR:TOP 0," + block(json.dumps(BLOCK | other).encode())


def topologies():
    small = BLOCK["layers"]
    for shape in SHAPES:
        yield topology(layers=[{"shape": shape}, small[1]])
        yield topology(layers=[small[0], {"shape": shape}])
    yield topology(
        layers=[{"shape": [3]}] * 300, couplings=[{"kind": "dense", "pre": n, "post": n + 1} for n in range(299)]
    )
    yield topology(couplings=BLOCK["couplings"] * 70_000)
    for number in (-2, 2**31, 2**40, 10**30):
        yield topology(couplings=[{"kind": "dense", "pre": number, "post": 1}])
        window = {"kind": "conv", "pre": 0, "post": 1, "kernel": number, "stride": abs(number), "padding": abs(number)}
        yield topology(layers=[{"shape": [3, 8, 8]}] * 2, couplings=[window])
    for slope in (1e300, 1e-300, 0, -1, "nan", True):
        yield topology(layers=[{"shape": [4], "slope": slope}, small[1]])
    yield b":ARR:TOP 0," + block(b"[" * 60_000)
    yield b":ARR:TOP 0," + block(b"\xff" * 100)


def test_no_message_ends_the_instrument_or_takes_memory_for_what_it_refuses():
    endpoint = ScpiEndpoint(Machine(Device(Chip(datasheet.load("mixed-8bit"), 1))), "bench")
    device = endpoint.machine.device
    ready = topology() + b"\n:OUTP:PROT:CLE;:SYST:TEMP 300;:OUTP:PROT:WDOG 60;:OUTP ON\n*CLS\n"
    endpoint.feed(ready)
    before = resident()
    messages = [*topologies(), *(form.replace("%", value).encode() for form in FORMS for value in EVIL)]
    messages.append(b":ARR:CELL:MEAS? 0,0,0,0,4,0,3,4096" + b",0.01" * 8000)
    messages += [b":SYST:SNAP " + block(struct.pack("<Q", size) + b"{}") for size in (0, 2, 2**62)]
    for message in messages:
        endpoint.feed(message + b"\n")
        errors = endpoint.feed(b":SYST:ERR:ALL?\n")
        assert b"INTERNAL" not in errors, message[:100]
        assert errors.endswith(b'"\n'), message[:100]
        if not (device.outputs.on and device.configured):
            endpoint.feed(ready)
    assert len(messages) > 600
    assert resident() - before < 60e6
    assert endpoint.feed(b"*IDN?\n").startswith(b"crossbar-hil,mixed-8bit,")


def test_a_snapshot_of_a_stranger_takes_no_memory_and_changes_nothing(ask, device, armed):
    from firmware_specs.codes import Opcode

    ask(Opcode.DISARM)
    whole = ask(Opcode.SNAPSHOT)
    length = struct.unpack("<Q", whole[:8])[0]
    head = json.loads(whole[8 : 8 + length])

    def with_topology(text, number="0"):
        changed = json.dumps(head | {"__metadata__": {"topologies": json.dumps({number: text})}}).encode()
        return struct.pack("<Q", len(changed)) + changed + whole[8 + length :]

    huge = json.dumps(BLOCK | {"layers": [{"shape": [200_000]}, {"shape": [200_000]}]})
    for evil in (
        with_topology(huge),
        with_topology(json.dumps(BLOCK), "99"),
        with_topology("[" * 9999),
        whole[:-8],
    ):
        placed = device.chip.arrays[0]
        assert ask(Opcode.RESTORE, evil).code
        assert device.chip.arrays[0] is placed
    assert ask(Opcode.RESTORE, whole) == b""


def resident(process="self"):
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


@contextlib.contextmanager
def serving(server):
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join(10)
    assert not thread.is_alive()


def port_of(address):
    """Of `visa:TCPIP::H::P::SOCKET`, `visa:TCPIP::H::hislip0,P::INSTR` or `serial:socket://H:P`."""
    return int(re.findall(r"[:,](\d+)(?:::\w+)?$", address)[0])


def connect(port):
    return socket.create_connection(("127.0.0.1", port), 5)


def hislip(kind, payload=b"", parameter=0, length=None):
    return struct.pack(">2sBBIQ", b"HS", kind, 0, parameter, len(payload) if length is None else length) + payload


def asks_who(kind, link):
    """Does the instrument answer?"""
    if kind == "hislip":
        link.sendall(hislip(0, b"hislip0", 0x0100_4849))
        assert link.recv(1000)[:3] == b"HS\x01"
        link.sendall(hislip(7, b"*IDN?\n", 0xFFFF_FF00))
    else:
        link.sendall(b"*IDN?\n")
    return b"crossbar-hil" in link.recv(1000)


def test_a_flood_of_silent_links_costs_the_flood_and_not_the_client(monkeypatch, size=30):
    monkeypatch.setattr("emulator.serve.streams.MOST_LINKS", 12)
    board = Board(Device(Chip(datasheet.load("mixed-8bit"), 1)), Doors(scpi=0))
    port = port_of(board.addresses[0])
    with serving(board), contextlib.ExitStack() as stack:
        honest = stack.enter_context(connect(port))
        honest.sendall(b"*IDN?\n")
        assert b"crossbar-hil" in honest.recv(1000)
        flood = [stack.enter_context(connect(port)) for _ in range(size)]
        for link in flood:
            with contextlib.suppress(OSError):
                link.sendall(b":SYST:ECHO? #9000099999x")
        honest.sendall(b"*IDN?\n")
        assert b"crossbar-hil" in honest.recv(1000)
        late = stack.enter_context(connect(port))
        late.sendall(b"*IDN?\n")
        assert b"crossbar-hil" in late.recv(1000)
        ended = [link for link in flood if hung_up(link)]
        assert len(ended) >= size - 12


def hung_up(link):
    link.setblocking(False)
    try:
        return link.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_the_link_that_has_the_outputs_is_never_hung_up_for_others(monkeypatch):
    monkeypatch.setattr("emulator.serve.streams.MOST_LINKS", 4)
    board = Board(Device(Chip(datasheet.load("mixed-8bit"), 1)), Doors(scpi=0))
    port = port_of(board.addresses[0])
    with serving(board), contextlib.ExitStack() as stack:
        owner = stack.enter_context(connect(port))
        owner.sendall(b":OUTP:PROT:WDOG 60;:OUTP ON;:OUTP?\n")
        assert owner.recv(10) == b"1\n"
        for _ in range(12):
            other = stack.enter_context(connect(port))
            other.sendall(b"*IDN?\n")
            assert b"crossbar-hil" in other.recv(1000)
        owner.sendall(b":OUTP?\n")
        assert owner.recv(10) == b"1\n"


@pytest.mark.parametrize("kind", ["scpi", "hislip"])
def test_half_messages_are_held_up_to_a_bound_of_all_links_together(kind, monkeypatch):
    monkeypatch.setattr(crowd, "MOST_HELD", 8 << 20)
    board = Board(Device(Chip(datasheet.load("mixed-8bit"), 1)), Doors(**{kind: 0}))
    port = port_of(board.addresses[0])
    before = resident()
    with serving(board), contextlib.ExitStack() as stack:
        for _ in range(16):
            link = stack.enter_context(connect(port))
            half = b":SYST:ECHO? #8" + b"30000000"
            if kind == "hislip":
                link.sendall(hislip(0, b"hislip0", 0x0100_4849))
                link.recv(1000)
                half = hislip(7, b"", 0xFFFF_FF00, 30_000_000)
            with contextlib.suppress(OSError):
                link.sendall(half + bytes(6_000_000))
        honest = stack.enter_context(connect(port))
        assert asks_who(kind, honest)
        assert resident() - before < 50e6


def test_an_instrument_without_descriptors_lives_on(monkeypatch):
    board = Board(Device(Chip(datasheet.load("mixed-8bit"), 1)), Doors(scpi=0))
    port = port_of(board.addresses[0])
    accept = socket.socket.accept
    failures = iter([True] * 5)

    def short(self):
        if next(failures, False):
            raise OSError(24, "Too many open files")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", short)
    with serving(board), connect(port) as late:
        late.sendall(b"*IDN?\n")
        assert b"crossbar-hil" in late.recv(1000)


def test_a_frame_client_that_says_nothing_gives_way(monkeypatch):
    monkeypatch.setattr("emulator.serve.board.SILENT_S", 0.0)
    board = Board(Device(Chip(datasheet.load("mixed-8bit"), 1)), Doors(tcp=0), FaultPlan())
    port = port_of(board.addresses[0])
    with serving(board), connect(port) as silent, connect(port) as second:
        silent.settimeout(5)
        assert silent.recv(1) == b""
        second.settimeout(0.1)
        with pytest.raises(TimeoutError):
            second.recv(1)


def test_a_rack_lives_through_a_flood_and_a_client_that_fetches_nothing(monkeypatch):
    monkeypatch.setattr("emulator.instruments.serve.MOST_LINKS", 10)
    server = RackServer(VirtualRack(load_rack("bench-16x16")))
    port = next(iter(server._ports.values()))
    with serving(server), contextlib.ExitStack() as stack:
        honest = stack.enter_context(connect(port))
        honest.sendall(b"*IDN?\n")
        assert honest.recv(1000)
        for _ in range(30):
            link = stack.enter_context(connect(port))
            with contextlib.suppress(OSError):
                link.sendall(b"x" * 3_000_000 if _ == 0 else b"half")
        late = stack.enter_context(connect(port))
        late.sendall(b"\n*IDN?\n")
        assert late.recv(1000)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["scpi", "hislip"])
def test_fifteen_hundred_connections_cost_nothing_that_stays(kind):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    command = [sys.executable, "-m", "hil", "emulate", "mixed-8bit", f"--{kind}", "0", "--quiet"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        port = port_of(child.stdout.readline().strip())
        with connect(port) as honest:
            assert asks_who(kind, honest)
        before = resident(child.pid)
        with contextlib.ExitStack() as stack:
            half = hislip(7, b"", 0xFFFF_FF00, 30_000_000) if kind == "hislip" else b":SYST:ECHO? #830000000"
            for number in range(1500):
                link = stack.enter_context(connect(port))
                with contextlib.suppress(OSError):
                    link.sendall(half + bytes(1_000_000 if number % 10 == 0 else 10))
            assert child.poll() is None
            with connect(port) as honest:
                assert asks_who(kind, honest)
        with connect(port) as honest:
            assert asks_who(kind, honest)
        assert resident(child.pid) < 1.1 * before
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
