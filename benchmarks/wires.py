"""`python -m benchmarks.wires`: the driver against a bare link on the same kind of wire, and training through a wire.

Every ratio is of two rates taken in turns in the same run: absolute rates say more about the machine's other work.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
import pyvisa
import serial
from cobs import cobs
from pyvisa.resources import MessageBasedResource

from drivers.connect import connect
from drivers.crossbar import Crossbar
from firmware_specs.codes import Opcode
from firmware_specs.frame import MAX_PAYLOAD
from firmware_specs.scpi import block
from firmware_specs.topology import dense_chain

SMALL, LARGE = 16, 1 << 16
PAYLOADS = {"0x00": b"\x00" * LARGE, "0x0A": b"\x0a" * LARGE, "0xFF": b"\xff" * LARGE, "random": os.urandom(LARGE)}
TURN_S = 0.15
TURNS = 7
SHEET = "discrete-board"
EPOCHS = 4
DOORS = ("pty", "socket", "scpi socket", "hislip")
QUESTION = "SYST:ECHO? 'abcdefghijklmnop'"
Action = Callable[[], object]


def rates(*actions: Action) -> list[float]:
    """Calls a second of each action: medians of turns that alternate."""
    found: list[list[float]] = [[] for _ in actions]
    for action in actions:
        action()
    for _ in range(TURNS):
        for action, own in zip(actions, found, strict=True):
            calls, start = 0, time.perf_counter()
            while time.perf_counter() - start < TURN_S:
                action()
                calls += 1
            own.append(calls / (time.perf_counter() - start))
    return [statistics.median(own) for own in found]


@contextmanager
def process(*command: str) -> Iterator[Callable[[], str]]:
    """A process whose output goes to a file, so that nobody has to read along; the value reads its next line."""
    with tempfile.NamedTemporaryFile("w+") as output:
        child = subprocess.Popen([sys.executable, "-m", *command], stdout=output, stderr=subprocess.DEVNULL)
        try:
            with Path(output.name).open() as reader:
                yield lambda: _line(reader)
        finally:
            child.terminate()
            child.wait()


def _line(reader: TextIO) -> str:
    text = ""
    while not text.endswith("\n"):
        text += reader.readline()
        time.sleep(0.01)
    return text


@contextmanager
def virtual_instrument() -> Iterator[dict[str, str]]:
    """Addresses of an instrument in a process of its own, by door."""
    with process("hil", "emulate", SHEET, "--pty", "--tcp", "0", "--scpi", "0", "--hislip", "0") as line:
        addresses: list[str] = []
        while len(addresses) < len(DOORS):
            text = line().strip()
            if text.startswith(("serial:", "visa:")):
                addresses.append(text)
        yield dict(zip(DOORS, addresses, strict=True))


def bare_serial(url: str, size: int) -> Action:
    """Write and read back with pyserial alone, never more under way than a terminal's buffer takes."""
    port = serial.serial_for_url(url, baudrate=115200, timeout=1)
    if url.startswith("socket:"):
        port._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = os.urandom(size)

    def echo_socket() -> None:
        port.write(data)
        port.read(size)

    def echo() -> None:
        sent = got = 0
        while got < size:
            while sent < size and sent - got < 2 * 4096:
                sent += port.write(data[sent : sent + 4096])
            got += len(port.read(min(size - got, max(1, port.in_waiting))))

    return echo_socket if url.startswith("socket:") else echo


def serial_table(doors: dict[str, str]) -> None:
    """Framed link against bare pyserial."""
    for door, kind in (("pty", "pty"), ("socket", "tcp")):
        with process("benchmarks.bare_echo", kind) as line, connect(doors[door]) as crossbar:
            where = line().strip()
            url = where if kind == "pty" else f"socket://127.0.0.1:{where}"
            link = crossbar.session.dialect.link  # type: ignore[attr-defined]
            bare, driver = rates(bare_serial(url, SMALL), lambda link=link: link.transact(Opcode.ECHO, bytes(SMALL)))
            print(f"{door:12} {SMALL:6} B  bare {bare:8.0f}/s  driver {driver:8.0f}/s  {driver / bare:5.0%}")
            actions = [lambda p=p, link=link: link.transact(Opcode.ECHO, p) for p in PAYLOADS.values()]
            bare, *each = rates(bare_serial(url, LARGE), *actions)
            words = "  ".join(f"{name} {rate / bare:4.0%}" for name, rate in zip(PAYLOADS, each, strict=True))
            print(f"{door:12} {LARGE:6} B  bare {bare * LARGE / 1e6:5.1f} MB/s each way  driver: {words}")
            batch = [(Opcode.ECHO, PAYLOADS["random"])] * 8
            bare, driver = rates(bare_serial(url, LARGE), lambda link=link, batch=batch: link.transact_all(batch, 10.0))
            print(f"{door:12}  8 in a row of these, pipelined: {8 * driver / bare:5.0%} of the bare rate")


def codec_table() -> None:
    """What COBS and CRC-32 alone take of an echo of frames, at the speed of their C code, at both ends together."""
    bodies = [PAYLOADS["random"][at : at + MAX_PAYLOAD] for at in range(0, LARGE, MAX_PAYLOAD)]
    stuffed = [cobs.encode(body) for body in bodies]
    actions = {
        "COBS encode": lambda: [cobs.encode(body) for body in bodies],
        "COBS decode": lambda: [cobs.decode(body) for body in stuffed],
        "CRC-32": lambda: [zlib.crc32(body) for body in bodies * 2],
    }
    each_us = [2e6 / rate for rate in rates(*actions.values())]
    words = ", ".join(f"{name} {us:.0f} us" for name, us in zip(actions, each_us, strict=True))
    print(f"codec        {LARGE:6} B  an echo needs at least {sum(each_us):.0f} us of both ends: {words}")


def visa_table(doors: dict[str, str]) -> None:
    """SCPI dialect against bare pyvisa: a short query, and a block of 64 KiB there and back."""
    manager = pyvisa.ResourceManager("@py")
    for door in ("scpi socket", "hislip"):
        with process("benchmarks.bare_echo", "tcp") as line, connect(doors[door]) as crossbar:
            name = doors[door].removeprefix("visa:")
            name = f"TCPIP::127.0.0.1::{line().strip()}::SOCKET" if door == "scpi socket" else name
            bare_link = manager.open_resource(name, timeout=2000)
            assert isinstance(bare_link, MessageBasedResource)
            link = crossbar.session.dialect.link  # type: ignore[attr-defined]
            query, block_echo = bare_visa(manager, bare_link)
            bare, driver = rates(query, lambda link=link: link.ask(QUESTION.encode(), "echo", 2.0))
            print(f"{door:12}  query    bare {bare:8.0f}/s  driver {driver:8.0f}/s  {driver / bare:5.0%}")
            messages = [b":SYST:ECHO? " + block(payload) for payload in PAYLOADS.values()]
            actions = [lambda m=message, link=link: link.ask(m, "echo", 2.0) for message in messages]
            bare, *each = rates(block_echo, *actions)
            words = "  ".join(f"{name} {rate / bare:4.0%}" for name, rate in zip(PAYLOADS, each, strict=True))
            print(f"{door:12} {LARGE:6} B  bare {bare * LARGE / 1e6:5.1f} MB/s each way  driver: {words}")
            bare_link.close()


def bare_visa(manager: pyvisa.ResourceManager, link: MessageBasedResource) -> tuple[Action, Action]:
    """pyvisa alone: a query, and a block that is written and read back by its length; without Nagle's delay."""
    data = block(PAYLOADS["random"])
    link.write_termination = link.read_termination = "\n"
    if link.resource_class == "SOCKET":
        session = manager.visalib.sessions[link.session]  # type: ignore[attr-defined]
        session.interface.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def echo() -> None:
        link.write_raw(data)
        link.read_bytes(len(data), chunk_size=LARGE)

    def ask() -> None:
        link.write_raw(b":SYST:ECHO? " + data)
        link.read_raw(2 * LARGE)

    return lambda: link.query(QUESTION), echo if link.resource_class == "SOCKET" else ask


def settle_table(doors: dict[str, str]) -> None:
    """A settle batch of 64 KiB of states through every door, and how much of it is the chip's own."""
    rng = np.random.default_rng(0)
    topology = dense_chain([256, 128])
    drive = rng.uniform(-1e-4, 1e-4, (85, 256)).astype(np.float32)

    def prepared(crossbar: Crossbar) -> Action:
        crossbar.configure(0, topology)
        crossbar.arm()
        crossbar.program(0, [rng.uniform(1e-5, 1e-3, (2, 257, 128))])
        return lambda: crossbar.settle(0, drive)

    for door, address in doors.items():
        with connect(address) as crossbar:
            (rate,) = rates(prepared(crossbar))
            print(f"{door:12}  settle of 85 x (256 + 128) states: {1e3 / rate:6.2f} ms")


def training() -> None:
    """`hil train digits` in process and through every door, each time with a chip of the same seed as new."""
    with tempfile.TemporaryDirectory() as folder:
        trained("in process", f"emulator:{SHEET}", folder)
        for name in DOORS:
            with virtual_instrument() as doors:
                trained(name, doors[name], folder)


def trained(name: str, address: str, folder: str) -> None:
    """Trains once and prints wall time, processor time of both processes, accuracy, and the weights' digest."""
    run = Path(folder) / name.replace(" ", "-")
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "hil", "train", "digits", "--device", address, "--run-dir", str(run)]
    subprocess.run([*command, "--set", f"run.epochs={EPOCHS}"], capture_output=True, check=True)
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    host_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary = json.loads((run / "summary.json").read_text())
    print(
        f"{name:12}  {wall_s:6.1f} s in all, host process {host_s:5.1f} s of CPU; "
        f"test accuracy {summary['test_accuracy']:.4f}, weights {summary['weights'][:12]}"
    )


def main() -> None:
    """Prints the tables."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with virtual_instrument() as doors:
        serial_table(doors)
        codec_table()
        visa_table(doors)
        settle_table(doors)
    if "--train" in sys.argv:
        training()


if __name__ == "__main__":
    main()
