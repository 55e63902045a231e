"""`python -m benchmarks.wires`: the driver against a bare link on the same kind of wire, and training through a wire.

Every ratio is of two rates taken in turns in the same run: absolute rates say more about the machine's other work.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
import pyvisa
from cobs import cobs
from pyvisa.resources import MessageBasedResource

from benchmarks.bare_links import Action, bare_block, bare_serial
from drivers.connect import connect
from drivers.crossbar import Crossbar
from drivers.link import FramedLink
from drivers.scpi_link import ScpiLink
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Opcode
from firmware_specs.frame import MAX_PAYLOAD
from firmware_specs.scpi import block

SMALL, LARGE = 16, 1 << 16
PAYLOADS = {"0x00": b"\x00" * LARGE, "0x0A": b"\x0a" * LARGE, "0xFF": b"\xff" * LARGE, "random": os.urandom(LARGE)}
TURN_S = 0.15
TURNS = 7
SHEET = "discrete-board"
EPOCHS = 4
DOORS = ("pty", "socket", "scpi socket", "hislip")
QUESTION = "SYST:ECHO? 'abcdefghijklmnop'"


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


def both_ends_us(action: Action, pid: int | None) -> float:
    """Least processor time of a call, ours and that of the process behind the wire: holds on a busy machine, too."""
    best_s = float("inf")
    for _ in range(TURNS):
        calls, start, before = 0, time.perf_counter(), time.process_time() + on_cpu_s(pid)
        while time.perf_counter() - start < TURN_S:
            action()
            calls += 1
        best_s = min(best_s, (time.process_time() + on_cpu_s(pid) - before) / calls)
    return best_s * 1e6


def on_cpu_s(pid: int | None) -> float:
    """Time a process has had a processor; NaN where the system does not tell as Linux does."""
    if pid is None:
        return 0.0
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        return float("nan")
    return sum(int((task / "schedstat").read_text("utf-8").split()[0]) for task in tasks.iterdir()) / 1e9


def compared(what: str, bare: tuple[Action, int], driver: tuple[Action, int]) -> None:
    """A line with calls a second in turn, and processor time of both ends, each given with its other process."""
    bare_rate, rate = rates(bare[0], driver[0])
    bare_us, us = both_ends_us(*bare), both_ends_us(*driver)
    print(f"{what}  bare {bare_rate:8.0f}/s  driver {rate:8.0f}/s {rate / bare_rate:5.0%};", end=" ")
    print(f"CPU of both ends {bare_us:6.1f} and {us:6.1f} us {bare_us / us:5.0%}")


class Child(NamedTuple):
    """A process behind a wire: its number, and its next line of output."""

    pid: int
    line: Callable[[], str]


@contextmanager
def process(*command: str) -> Iterator[Child]:
    """A process whose output goes to a file, so that nobody has to read along."""
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8") as output:
        child = subprocess.Popen([sys.executable, "-m", *command], stdout=output, stderr=subprocess.DEVNULL)
        try:
            with Path(output.name).open(encoding="utf-8") as reader:
                yield Child(child.pid, lambda: _line(reader))
        finally:
            child.terminate()
            child.wait()


def _line(reader: TextIO) -> str:
    text = ""
    while not text.endswith("\n"):
        text += reader.readline()
        time.sleep(0.01)
    return text


class Instrument(NamedTuple):
    """A virtual instrument in a process of its own: its number, and its addresses by door."""

    pid: int
    doors: dict[str, str]


@contextmanager
def virtual_instrument() -> Iterator[Instrument]:
    """An instrument with all its doors open."""
    with process("hil", "emulate", SHEET, "--pty", "--tcp", "0", "--scpi", "0", "--hislip", "0") as child:
        addresses: list[str] = []
        while len(addresses) < len(DOORS):
            text = child.line().strip()
            if text.startswith(("serial:", "visa:")):
                addresses.append(text)
        yield Instrument(child.pid, dict(zip(DOORS, addresses, strict=True)))


def serial_table(instrument: Instrument) -> None:
    """Framed link against bare pyserial."""
    for door, kind in (("pty", "pty"), ("socket", "tcp")):
        address = instrument.doors[door]
        with process("benchmarks.bare_echo", kind) as echo, connect(address) as crossbar:
            where = echo.line().strip()
            url = where if kind == "pty" else f"socket://127.0.0.1:{where}"
            link = crossbar.session.dialect.link  # type: ignore[attr-defined]

            def ours(payload: bytes, link: FramedLink = link) -> tuple[Action, int]:
                return lambda: link.transact(Opcode.ECHO, payload), instrument.pid

            compared(f"{door:12} {SMALL:6} B", (bare_serial(url, SMALL), echo.pid), ours(bytes(SMALL)))
            compared(f"{door:12} {LARGE:6} B", (bare_serial(url, LARGE), echo.pid), ours(PAYLOADS["random"]))
            bare, *each = rates(bare_serial(url, LARGE), *(ours(payload)[0] for payload in PAYLOADS.values()))
            words = "  ".join(f"{name} {rate / bare:4.0%}" for name, rate in zip(PAYLOADS, each, strict=True))
            print(f"{door:12} {LARGE:6} B  bare {bare * LARGE / 1e6:5.1f} MB/s each way  driver: {words}")
            batch = [(Opcode.ECHO, PAYLOADS["random"])] * 8
            bare, driver = rates(bare_serial(url, LARGE), partial(link.transact_all, batch, 10.0))
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
    each_us = [2 * both_ends_us(action, None) for action in actions.values()]
    words = ", ".join(f"{name} {us:.0f} us" for name, us in zip(actions, each_us, strict=True))
    print(f"codec        {LARGE:6} B  an echo needs at least {sum(each_us):.0f} us of both ends: {words}")


def visa_table(instrument: Instrument) -> None:
    """SCPI dialect against bare pyvisa: a short query, and a block of 64 KiB there and back."""
    manager = pyvisa.ResourceManager("@py")
    for door in ("scpi socket", "hislip"):
        address = instrument.doors[door]
        with process("benchmarks.bare_echo", "tcp") as echo, connect(address) as crossbar:
            name, pid = f"TCPIP::127.0.0.1::{echo.line().strip()}::SOCKET", echo.pid
            if door == "hislip":  # an echo needs an instrument there
                name, pid = address.removeprefix("visa:"), instrument.pid
            bare_link = manager.open_resource(name, timeout=2000)
            assert isinstance(bare_link, MessageBasedResource)
            link = crossbar.session.dialect.link  # type: ignore[attr-defined]

            def ours(message: bytes, link: ScpiLink = link) -> tuple[Action, int]:
                return lambda: link.ask(message, "echo", 2.0), instrument.pid

            bare_link.write_termination = bare_link.read_termination = "\n"
            query = (lambda bare=bare_link: bare.query(QUESTION), pid)
            compared(f"{door:12}  query  ", query, ours(QUESTION.encode()))
            block_echo = bare_block(manager, bare_link, PAYLOADS["random"])
            messages = [b":SYST:ECHO? " + block(payload) for payload in PAYLOADS.values()]
            compared(f"{door:12} {LARGE:6} B", (block_echo, pid), ours(messages[-1]))
            bare, *each = rates(block_echo, *(ours(message)[0] for message in messages))
            words = "  ".join(f"{name} {rate / bare:4.0%}" for name, rate in zip(PAYLOADS, each, strict=True))
            print(f"{door:12} {LARGE:6} B  bare {bare * LARGE / 1e6:5.1f} MB/s each way  driver: {words}")
            settles = partial(link.ask, messages[-1], "echo", 2.0, once=True, tied=True)
            compared(f"{door:12} as settles ask", (block_echo, pid), (settles, instrument.pid))
            bare_link.close()


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
            with virtual_instrument() as instrument:
                trained(name, instrument.doors[name], folder)


def trained(name: str, address: str, folder: str) -> None:
    """Trains once and prints wall time, processor time of both processes, accuracy, and the weights' digest."""
    run = Path(folder) / name.replace(" ", "-")
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "hil", "train", "digits", "--device", address, "--run-dir", str(run)]
    subprocess.run([*command, "--set", f"run.epochs={EPOCHS}"], capture_output=True, check=True)
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    host_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    print(
        f"{name:12}  {wall_s:6.1f} s in all, host process {host_s:5.1f} s of CPU; "
        f"test accuracy {summary['test_accuracy']:.4f}, weights {summary['weights'][:12]}"
    )


def main() -> None:
    """Prints the tables."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with virtual_instrument() as instrument:
        serial_table(instrument)
        codec_table()
        visa_table(instrument)
        settle_table(instrument.doors)
    if "--train" in sys.argv:
        training()


if __name__ == "__main__":
    main()
