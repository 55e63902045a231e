"""`python -m benchmarks.c_board [--train]`: the firmware in C on a pseudo-terminal: small round trips, and training.

Rates are of the machine's wall clock; processor time of both ends holds on a busy machine, too. Training is compared
with the emulated firmware on the same kind of wire, in turns.
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
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.wires import TURN_S, TURNS, Action, on_cpu_s, rates
from drivers.connect import connect
from firmware_specs.codes import Kind, Opcode
from firmware_specs.firmware.board import FOLDER
from firmware_specs.frame import DELIMITER, Frame, encode
from firmware_specs.messages import Sync

SMALL = 16
ROUNDS = 3
NONCE = 77


def build(folder: Path) -> Path:
    """The host port, as `make` builds it."""
    subprocess.run(["make", "-s", "-C", str(FOLDER), f"BUILD={folder}", "host"], check=True)
    return folder / "board"


@contextmanager
def serving(*command: str | Path) -> Iterator[tuple[str, int]]:
    """Address and number of a board's process, which says its address first."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8")
    assert child.stdout is not None
    try:
        line = ""
        while not line.startswith("serial:"):
            line = child.stdout.readline()
        yield line.strip(), child.pid
    finally:
        child.terminate()
        child.wait()


def bare(port: int) -> Action:
    """A host that does nothing but write a request that was made before and read its reply, and never sleeps."""
    frames = [encode(Frame(Kind.SYNC, 0, 0, NONCE, 0, payload=Sync(8, 0, "bare").pack()))]
    sequence = 0

    def trip() -> None:
        nonlocal sequence
        if sequence + 1 >= len(frames):
            new = range(len(frames), len(frames) + 4096)
            frames.extend(encode(Frame(Kind.REQUEST, Opcode.ECHO, 0, NONCE, n, payload=bytes(SMALL))) for n in new)
        sequence += 1
        exchange(port, frames[sequence])

    exchange(port, frames[0])
    return trip


def exchange(port: int, frame: bytes) -> None:
    """Writes a frame, reads one; looks at the line until it is there, as waking up costs more than all the rest."""
    os.write(port, frame)
    while True:
        try:
            if os.read(port, 4096).endswith(DELIMITER):
                return
        except BlockingIOError:
            os.sched_yield()


def trips(board: Path) -> None:
    """Round trips a second and what they cost: a bare host, then the driver."""
    with serving(board) as (address, pid):
        port = os.open(address.removeprefix("serial:"), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(port)
        told("bare host", bare(port), pid)
        os.close(port)
    with serving(board) as (address, pid), connect(address) as crossbar:
        link = crossbar.session.dialect.link  # type: ignore[attr-defined]
        told("driver", lambda: link.transact(Opcode.ECHO, bytes(SMALL)), pid)


def told(who: str, action: Action, pid: int) -> None:
    """A line: trips a second, and least processor time of a trip on this side and at the board."""
    (rate,) = rates(action)
    costs = []
    for _ in range(TURNS):
        calls, start = 0, time.perf_counter()
        ours_s, board_s = time.process_time(), on_cpu_s(pid)
        while time.perf_counter() - start < TURN_S:
            action()
            calls += 1
        costs.append(((time.process_time() - ours_s) / calls * 1e6, (on_cpu_s(pid) - board_s) / calls * 1e6))
    ours_us, board_us = min(costs, key=sum)
    print(f"{who:10} {rate:8.0f} trips/s; processor time of a trip: host {ours_us:5.1f} us, board {board_us:5.1f} us")


def training(board: Path) -> None:
    """`hil train digits` over both boards in turns: ratio of wall times and of processor times, and accuracies."""
    emulator = [sys.executable, "-m", "hil", "emulate", str(FOLDER / "board.toml"), "--pty"]
    found: dict[str, list[tuple[float, float, float]]] = {"C": [], "emulator": []}
    for _ in range(ROUNDS):
        for name, command in (("C", [str(board)]), ("emulator", emulator)):
            found[name].append(trained(command))
            wall_s, cpu_s, accuracy = found[name][-1]
            print(f"{name:9} {wall_s:6.1f} s, {cpu_s:6.1f} s of CPU at both ends, {accuracy:.2%} correct", flush=True)
    for which, words in ((0, "wall time"), (1, "processor time")):
        ratio = statistics.median(c[which] / e[which] for c, e in zip(found["C"], found["emulator"], strict=True))
        print(f"C over emulator, {words}: {ratio:.2f}")


def trained(command: list[str]) -> tuple[float, float, float]:
    """Seconds on the clock, seconds of processors with the board's, and test accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        with serving(*command) as (address, _):
            train = [sys.executable, "-m", "hil", "train", "digits", "--device", address, "--run-dir", f"{folder}/run"]
            train += ["--json", f"{folder}/summary.json", "--set", "run.epochs=3"]
            subprocess.run(train, capture_output=True, check=True)
            wall_s = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        accuracy = json.loads(Path(folder, "summary.json").read_text("utf-8"))["test_accuracy"]
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, accuracy


def main() -> None:
    """Prints the table, or with `--train` the comparison of trainings."""
    with tempfile.TemporaryDirectory() as folder:
        board = build(Path(folder))
        (training if "--train" in sys.argv else trips)(board)


if __name__ == "__main__":
    main()
